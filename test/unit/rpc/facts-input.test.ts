/** Facts and wants in `join`: what is declared is taken, all else is refused by the path of its field. */
import { describe, expect, test } from "bun:test";
import { TRPCError } from "@trpc/server";
import type { z } from "zod";
import type { Facts } from "../../../src/protocol.ts";
import {
  factLimits,
  type FactsDeclaration,
  type JoinInput,
} from "../../../src/protocol/declaration.ts";
import { formatError } from "../../../src/rpc/errors.ts";
import { createJoinClaims } from "../../../src/rpc/facts-input.ts";
import { joinInput } from "../../../src/rpc/schemas.ts";

const many = Array.from({ length: 17 }, (_, n) => `topic ${n}`);
const declared = {
  region: { kind: "one", of: ["eu", "us", "asia"] },
  topics: { kind: "set", of: many },
  age: { kind: "range", from: 18, to: 99 },
  adult: { kind: "flag", by: "claims" },
  pets: { kind: "flag", hard: false },
} as const satisfies FactsDeclaration;

const schema = joinInput(declared, 10_000);

/** What a peer is told of an input that is refused; `undefined` for one that is taken. */
function refusedField(input: unknown, by = schema): string | undefined {
  const { error } = by.safeParse(input);
  if (!error) return undefined;
  const shape = {
    message: "",
    code: -32600,
    data: { code: "BAD_REQUEST", httpStatus: 400, path: "join" },
  } as const;
  const told = formatError({ error: new TRPCError({ code: "BAD_REQUEST", cause: error }), shape });
  expect(told.data.reason).toBe("bad-input");
  return told.data.field;
}

const parsed = (input: unknown) => {
  const { facts, wants } = schema.parse(input);
  return { facts, wants };
};

/** Does not compile unless the hand-written input has exactly the fields of the schema. */
type OfSchema = Omit<NonNullable<z.input<typeof schema>>, "facts" | "wants">;
type ByHand = Omit<JoinInput<FactsDeclaration>, "facts" | "wants">;
const same: [OfSchema, ByHand] extends [ByHand, OfSchema] ? true : never = true;

describe("what is declared", () => {
  test("is taken, in the domain's form", () => {
    expect(same).toBe(true);
    const facts = { region: "eu", topics: ["topic 1", "topic 2", "topic 1"], age: 31, pets: false };
    const wants = {
      region: { in: ["us", "eu", "us"], hard: true },
      topics: { in: ["topic 3"] },
      age: { from: 25, softAfterMs: 8000 },
      adult: { is: true, hard: true },
      pets: { is: false, hard: false },
    };
    expect(parsed({ facts, wants })).toEqual({
      facts: { ...facts, topics: ["topic 1", "topic 2"] },
      wants: [
        { of: "region", in: ["us", "eu"] },
        { of: "topics", in: ["topic 3"], softAfterMs: 10_000 },
        { of: "age", from: 25, softAfterMs: 8000 },
        { of: "adult", is: true },
        { of: "pets", is: false, softAfterMs: 10_000 },
      ],
    });
  });

  test("may be at its bounds", () => {
    expect(parsed({ facts: { age: 18, topics: many.slice(1) } }).facts).toEqual({
      age: 18,
      topics: many.slice(1),
    });
    const wants = {
      age: { from: 99, to: 99, softAfterMs: factLimits.softAfterMsMax },
      region: { in: ["eu", "us", "asia"], softAfterMs: 0 },
    };
    expect(refusedField({ wants })).toBeUndefined();
  });

  test("without any of it nothing is stated", () => {
    for (const input of [undefined, {}, { facts: {}, wants: {} }, { facts: { age: undefined } }]) {
      const { facts, wants = [] } = parsed(input);
      expect([facts, wants]).toEqual([undefined, []]);
    }
  });
});

const wrong: [what: string, input: object, field: string][] = [
  ["an undeclared fact", { facts: { height: 180 } }, "facts.height"],
  ["an undeclared want", { wants: { height: { from: 180 } } }, "wants.height"],
  ["a prototype as a fact", { facts: JSON.parse('{ "__proto__": true }') }, "facts.__proto__"],
  ["a prototype as a want", { wants: JSON.parse('{ "__proto__": {} }') }, "wants.__proto__"],
  ["what every object has", { facts: { constructor: "eu" } }, "facts.constructor"],
  ["facts as a list", { facts: [] }, "facts"],
  ["wants as null", { wants: null }, "wants"],
  ["an undeclared value", { facts: { region: "mars" } }, "facts.region"],
  ["another writing of a value", { facts: { region: "EU" } }, "facts.region"],
  ["a list for one", { facts: { region: ["eu"] } }, "facts.region"],
  ["one for a set", { facts: { topics: "topic 1" } }, "facts.topics"],
  ["an empty set", { facts: { topics: [] } }, "facts.topics"],
  ["an undeclared value in a set", { facts: { topics: ["topic 1", "x"] } }, "facts.topics.1"],
  ["17 values in a set", { facts: { topics: many } }, "facts.topics"],
  ["a hundred values in a set", { facts: { topics: Array(100).fill("topic 1") } }, "facts.topics"],
  ["a number below the range", { facts: { age: 17 } }, "facts.age"],
  ["a number above the range", { facts: { age: 100 } }, "facts.age"],
  ["a fraction", { facts: { age: 20.5 } }, "facts.age"],
  ["a number as a text", { facts: { age: "20" } }, "facts.age"],
  ["a number for a flag", { facts: { pets: 1 } }, "facts.pets"],
  ["a claim", { facts: { adult: true } }, "facts.adult"],
  ["a claim that is null", { facts: { adult: null } }, "facts.adult"],
  ["no selection for one", { wants: { region: {} } }, "wants.region.in"],
  ["an empty selection", { wants: { region: { in: [] } } }, "wants.region.in"],
  ["an undeclared value", { wants: { region: { in: ["eu", "mars"] } } }, "wants.region.in.1"],
  [
    "more values than there are",
    { wants: { region: { in: Array(4).fill("eu") } } },
    "wants.region.in",
  ],
  ["17 values of a set", { wants: { topics: { in: many } } }, "wants.topics.in"],
  ["a text as a selection", { wants: { region: { in: "eu" } } }, "wants.region.in"],
  ["another kind's selection", { wants: { region: { from: 1 } } }, "wants.region.in"],
  ["a range without bounds", { wants: { age: {} } }, "wants.age"],
  ["a range upside down", { wants: { age: { from: 40, to: 25 } } }, "wants.age.from"],
  ["a range from below", { wants: { age: { from: 17 } } }, "wants.age.from"],
  ["a range to above", { wants: { age: { to: 100 } } }, "wants.age.to"],
  ["a fraction in a range", { wants: { age: { to: 30.5 } } }, "wants.age.to"],
  ["a flag without a value", { wants: { adult: { hard: true } } }, "wants.adult.is"],
  ["a flag as a text", { wants: { adult: { is: "yes" } } }, "wants.adult.is"],
  ["an unknown field", { wants: { adult: { is: true, soft: true } } }, "wants.adult.soft"],
  ["hard where it may not be", { wants: { pets: { is: true, hard: true } } }, "wants.pets.hard"],
  ["hard as a number", { wants: { adult: { is: true, hard: 1 } } }, "wants.adult.hard"],
  [
    "hard that gives way",
    { wants: { adult: { is: true, hard: true, softAfterMs: 5 } } },
    "wants.adult.softAfterMs",
  ],
  [
    "a negative wait",
    { wants: { adult: { is: true, softAfterMs: -1 } } },
    "wants.adult.softAfterMs",
  ],
  [
    "too long a wait",
    { wants: { adult: { is: true, softAfterMs: 120_001 } } },
    "wants.adult.softAfterMs",
  ],
  [
    "part of a millisecond",
    { wants: { adult: { is: true, softAfterMs: 0.5 } } },
    "wants.adult.softAfterMs",
  ],
];

describe("what is not declared", () => {
  test.each(wrong)("is refused by name: %s", (_, input, field) => {
    expect(refusedField(input)).toBe(field);
  });

  test("is everything where nothing is declared", () => {
    const nothing = joinInput({}, 10_000);
    expect(refusedField({ facts: { region: "eu" } }, nothing)).toBe("facts.region");
    expect(refusedField({ wants: { age: { from: 1 } } }, nothing)).toBe("wants.age");
    expect(refusedField({ facts: {}, wants: {} }, nothing)).toBeUndefined();
  });

  test("has its whole path in the refusal, also with the longest names", () => {
    const name = "n".repeat(factLimits.nameCharsMax);
    const long = joinInput({ [name]: { kind: "flag" } }, 10_000);
    const wants = { [name]: { is: true, softAfterMs: -1 } };
    expect(refusedField({ wants }, long)).toBe(`wants.${name}.softAfterMs`);
  });
});

describe("claims", () => {
  const both = {
    region: { kind: "one", of: ["eu", "us"], by: "claims" },
    groups: { kind: "set", of: many, by: "claims" },
    age: { kind: "range", from: 18, to: 99, by: "claims" },
    adult: { kind: "flag", by: "claims" },
    pets: { kind: "flag" },
  } as const satisfies FactsDeclaration;

  function claimsOf(known: Readonly<Record<string, unknown>> | undefined) {
    const faults: string[] = [];
    const claims = createJoinClaims(both, (dimension) => faults.push(dimension));
    return { claims: claims?.read(known), faults, of: claims };
  }

  test("are read of declared dimensions that are the operator's to state, and no others", () => {
    const known = {
      region: "eu",
      groups: ["topic 1"],
      age: 31,
      adult: true,
      pets: true,
      plan: "x",
    };
    const { claims, faults } = claimsOf(known);
    expect(claims).toEqual({ region: "eu", groups: ["topic 1"], age: 31, adult: true });
    expect(faults).toEqual([]);
  });

  test("that are no values count as not stated, each by itself, and the operator is told", () => {
    const known = { region: "mars", groups: many, age: "31", adult: true };
    const { claims, faults } = claimsOf(known);
    expect(claims).toEqual({ adult: true });
    expect(faults).toEqual(["region", "groups", "age"]);
  });

  test("that are null or absent are not stated, and no fault", () => {
    for (const known of [undefined, {}, { region: null, age: undefined }])
      expect(claimsOf(known)).toMatchObject({ claims: {}, faults: [] });
  });

  test("join what the peer states, which is kept", () => {
    const { of } = claimsOf({});
    const asked: { mode: string; facts: Facts } = { mode: "video", facts: { pets: true } };
    const added = of?.addTo(asked, { region: "eu" });
    expect(added).toEqual({ mode: "video", facts: { pets: true, region: "eu" } });
    expect(asked.facts).toEqual({ pets: true });
    expect(of?.addTo({}, undefined)).toEqual({ facts: undefined });
  });

  test("cost nothing where the operator states no dimension", () => {
    expect(createJoinClaims({ pets: { kind: "flag" } }, () => {})).toBeUndefined();
  });
});
