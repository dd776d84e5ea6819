/** What must hold of every schema of every procedure, the operator's included. */
import { describe, expect, test } from "bun:test";
import type { AnyTRPCRouter } from "@trpc/server";
import * as z from "zod";
import { adminRouter } from "../../../src/rpc/admin.ts";
import { createAppRouter } from "../../../src/rpc/router.ts";

type Schema = z.core.$ZodType;

function schemasOf(router: AnyTRPCRouter): [path: string, schema: Schema][] {
  return Object.entries(router._def.procedures).flatMap(([path, procedure]) => {
    const { inputs } = (procedure as unknown as { _def: { inputs: unknown[] } })._def;
    return inputs.map((input): [string, Schema] => {
      const schema = input instanceof z.core.$ZodType ? input : undefined;
      if (!schema) throw new Error(`the schema of ${path} is not known here`);
      return [path, schema];
    });
  });
}

/** Every string in a schema, by its path. A kind of schema that is new here has to be added. */
function stringsIn(schema: Schema, path: string): [path: string, schema: Schema][] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "string":
      return [[path, schema]];
    case "object":
      return Object.entries(def.shape).flatMap(([key, member]) =>
        stringsIn(member as Schema, `${path}.${key}`),
      );
    case "array":
      return stringsIn(def.element, `${path}[]`);
    case "optional":
    case "nullable":
    case "default":
    case "prefault":
      return stringsIn(def.innerType, path);
    case "union":
      return def.options.flatMap((option) => stringsIn(option, path));
    case "pipe":
      return stringsIn(def.in, path);
    case "enum":
    case "literal":
    case "number":
    case "boolean":
    case "null":
    case "never":
      return [];
    default:
      throw new Error(`${path} is of a kind that this test does not know: ${def.type}`);
  }
}

const appRouter = createAppRouter({
  facts: {
    region: { kind: "one", of: ["eu", "us"] },
    topics: { kind: "set", of: ["art"] },
    age: { kind: "range", from: 18, to: 99 },
    adult: { kind: "flag", by: "claims" },
  },
  softAfterMs: 0,
});
const strings = [...schemasOf(appRouter), ...schemasOf(adminRouter)].flatMap(([path, schema]) =>
  stringsIn(schema, path),
);

describe("A11 every string of every procedure is well-formed Unicode", () => {
  test("the strings are found", () => {
    const paths = strings.map(([path]) => path);
    for (const path of ["join.interests[]", "offer.sdp", "events.lastEventId", "leave.id"])
      expect(paths).toContain(path);
    for (const path of ["addIceCandidate.candidate.usernameFragment", "suspend.subject.id"])
      expect(paths).toContain(path);
  });

  for (const [path, schema] of strings)
    test(path, () => {
      for (const text of ["\ud800", "\udfff", "en\ud800", "\udc00a", "a\ud83d b"])
        expect(z.safeParse(schema, text).success).toBe(false);
    });
});
