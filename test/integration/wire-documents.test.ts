/** The documents of the wire: valid by the validators of their own kinds, and complete. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Parser } from "@asyncapi/parser";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { compile } from "json-schema-to-typescript";
import { endReasons, limits, protocolVersion, rejectionReasons } from "../../src/protocol.ts";
import { adminRouter } from "../../src/rpc/admin.ts";
import { codeOf } from "../../src/rpc/errors.ts";
import { createAppRouter } from "../../src/rpc/router.ts";
import { createWireDocuments } from "../../src/rpc/wire/documents.ts";
import { closeCodes } from "../../src/trpc-ws/close-codes.ts";
import { fuzzedFacts } from "../support/fuzz.ts";
import { root } from "../support/root.ts";

type Node = { readonly [name: string]: Node } | undefined;
const at = (document: unknown, ...path: string[]) =>
  path.reduce<Node>((node, name) => node?.[name], document as Node);
const keys = (node: unknown) => Object.keys(node as object).sort();

const generic = createWireDocuments({ release: "1.2.3" });
const declared = createWireDocuments({ release: "1.2.3", facts: fuzzedFacts });

/** Errors and warnings; that there is a newer version of AsyncAPI is neither. */
async function asyncApiFaults(document: unknown): Promise<string[]> {
  const faults = await new Parser().validate(JSON.stringify(document));
  return faults
    .filter(({ severity }) => severity <= 1)
    .map(({ path, message }) => `${path.join(".")}: ${message}`);
}

async function isOpenApi(document: unknown): Promise<boolean> {
  const validator = new Validator();
  const { valid } = await validator.validate(document as Record<string, unknown>);
  return valid && validator.version === "3.1";
}

// The validators and the generator take seconds.
setDefaultTimeout(30_000);

const ajv = () => new Ajv2020({ strict: false });

describe.each([
  ["any site", generic],
  ["a site that has declared facts", declared],
])("of %s", (_, documents) => {
  test("the JSON Schema is one (2020-12), and compiles", () => {
    const schema = documents["json-schema.json"] as object;
    expect(ajv().validateSchema(schema)).toBe(true);
    expect(() => ajv().compile(schema)).not.toThrow();
  });

  test("the AsyncAPI document is one", async () => {
    expect(await asyncApiFaults(documents["asyncapi.json"])).toEqual([]);
  });

  test("the OpenAPI document is one", async () => {
    expect(await isOpenApi(documents["openapi.json"])).toBe(true);
  });

  test.each(keys(documents))("each reference in %s leads somewhere", (name) => {
    const document = documents[name];
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(20);
    for (const [, path = ""] of references)
      expect([path, typeof at(document, ...path.split("/"))]).toEqual([path, "object"]);
  });
});

test("the validators find faults", async () => {
  const asyncApi = { ...generic["asyncapi.json"], operations: { join: { action: "shout" } } };
  expect(await asyncApiFaults(asyncApi)).not.toEqual([]);
  expect(await isOpenApi({ ...generic["openapi.json"], paths: { trpc: 1 } })).toBe(false);
  expect(ajv().validateSchema({ ...generic["json-schema.json"], $defs: 1 })).toBe(false);
});

test("types that a generator makes of the JSON Schema are those of protocol.ts", async () => {
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-types-"));
  const generated = await compile(generic["json-schema.json"] as never, "Frame", {
    ignoreMinAndMaxItems: true,
  });
  await Bun.write(join(folder, "wire.ts"), generated);
  const check = (assigned: string) =>
    Bun.write(
      join(folder, "check.ts"),
      `import type * as Wire from "./wire.ts";
import type { PeerEvent, PeerState, StandingOffer } from "${join(root, "src/protocol.ts")}";
import type { JoinInput, NoFacts } from "${join(root, "src/protocol/declaration.ts")}";
${assigned}`,
    );
  const compiles = () => {
    const options =
      "--noEmit --strict --allowImportingTsExtensions --module preserve --target esnext";
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { stdout } = Bun.spawnSync([tsc, ...options.split(" "), "check.ts"], { cwd: folder });
    return stdout.toString();
  };
  await check(`export const event = (given: Wire.Event): PeerEvent => given;
export const state = (given: Wire.State): PeerState => given;
export const standing = (given: StandingOffer): Wire.StandbyInput => ({ offer: given });
export const join = (given: Omit<JoinInput<NoFacts>, "facts" | "wants">): Wire.JoinInput => given;`);
  expect(compiles()).toBe("");
  await check("export const event = (given: Wire.Event): PeerState => given;");
  expect(compiles()).toContain("error TS");
  await rm(folder, { recursive: true });
});

describe("what they list", () => {
  const { procedures } = createAppRouter({ facts: {}, softAfterMs: 0 })._def;
  const calls = keys(procedures).filter((name) => name !== "events");
  const title = (name: string) => name[0]?.toUpperCase() + name.slice(1);
  const definitions = at(generic["json-schema.json"], "$defs");

  test("each procedure, with what it takes and is answered", () => {
    for (const name of calls)
      for (const part of ["Input", "Answer", "Call", "Response"])
        expect(keys(definitions)).toContain(`${title(name)}${part}`);
    const operations = keys(at(generic["asyncapi.json"], "operations"));
    const others = ["askToReconnect", "batch", "connect", "ping", "pinged", "unsubscribe"];
    expect(operations).toEqual([...keys(procedures), ...others].sort());
    const ofHttp = (prefix: string) =>
      keys(at(generic["openapi.json"], "paths")).flatMap((path) =>
        path.startsWith(`${prefix}/`) && !path.includes("{") ? path.slice(prefix.length + 1) : [],
      );
    expect(ofHttp("/trpc")).toEqual(keys(procedures));
    expect(ofHttp("/admin")).toEqual([...keys(adminRouter._def.procedures), "decisions"].sort());
  });

  test("each name of which the wire protocol says to generate a type", async () => {
    const protocol = await Bun.file(join(root, "src/rpc/README.md")).text();
    const names = /^for name in (.*)$/m.exec(protocol)?.[1]?.split(" ") ?? [];
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(keys(definitions)).toContain(name);
  });

  test("queries by GET, and mutations by POST", () => {
    for (const name of calls) {
      const { type } = (procedures as unknown as Record<string, { _def: { type: string } }>)[name]
        ?._def ?? { type: "" };
      const methods = keys(at(generic["openapi.json"], "paths", `/trpc/${name}`));
      expect([name, methods]).toEqual([name, [type === "query" ? "get" : "post"]]);
    }
  });

  test("each type of event", async () => {
    const protocol = await Bun.file(join(root, "src/protocol.ts")).text();
    const types = new Set([...protocol.matchAll(/type: "([a-z-]+)"/g)].map(([, type]) => type));
    const names = at(definitions, "Event", "anyOf") as unknown as { $ref: string }[];
    const listed = names.map(({ $ref }) =>
      at(definitions, $ref.slice("#/$defs/".length), "properties", "type", "const"),
    );
    expect(types.size).toBeGreaterThan(10);
    expect(new Set(listed as unknown[])).toEqual(types);
  });

  test("each reason of a refusal, with its code, and of the end of a room", () => {
    const reason = at(definitions, "Refusal", "properties", "data", "properties", "reason");
    expect(reason?.["enum"] as unknown).toEqual(rejectionReasons);
    expect(reason?.["x-codes"] as unknown).toEqual(codeOf);
    const ends = at(definitions, "PartnerDisconnectedEvent", "properties", "reason", "enum");
    expect(ends as unknown).toEqual(endReasons);
  });

  test("each close code, and whether to reconnect after it; limits; and the version", () => {
    const channel = at(generic["asyncapi.json"], "channels", "trpc");
    const codes = channel?.["x-close-codes"] as unknown as Record<string, unknown>[];
    expect(Object.fromEntries(codes.map(({ name, code }) => [name, code]))).toEqual(closeCodes);
    for (const { code, reconnect, meaning } of codes) {
      expect([code, reconnect]).toEqual([code, Number(code) < 4500]);
      expect(meaning).toEndWith(reconnect === true ? "Reconnect." : "Do not reconnect.");
    }
    expect(channel?.["x-limits"] as unknown).toEqual(limits);
    for (const name of ["asyncapi.json", "openapi.json"])
      expect(at(generic[name], "info", "x-protocol") as unknown).toBe(protocolVersion);
  });
});

describe("join", () => {
  const validatorOf = (documents: typeof generic) => {
    const schema = documents["json-schema.json"] as { $id: string };
    return ajv()
      .addSchema(schema)
      .compile({ $ref: `${schema.$id}#/$defs/JoinInput` });
  };
  const fits = { facts: { age: 31, topics: ["go"] }, wants: { age: { from: 25, hard: true } } };
  const unfit = [
    { facts: { age: 7 } },
    { facts: { height: 180 } },
    { facts: { region: "eu" } },
    { wants: { topics: { in: ["cats"] } } },
    { wants: { adult: { is: true, hard: true } } },
  ];

  test("of a site is described as it takes it", () => {
    const validates = validatorOf(declared);
    expect(validates(fits)).toBe(true);
    for (const input of unfit) expect([input, validates(input)]).toEqual([input, false]);
  });

  test("of any site takes what some site may have declared, and nothing else", () => {
    const validates = validatorOf(generic);
    for (const input of [fits, ...unfit]) expect([input, validates(input)]).toEqual([input, true]);
    for (const input of [{ fact: {} }, { facts: { age: null } }, { wants: { age: { near: 3 } } }])
      expect([input, validates(input)]).toEqual([input, false]);
  });
});
