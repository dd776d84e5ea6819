/** What a user has chosen of what the operator declares: restored, read from fields, and sent. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { FactDimension, Site } from "../../../src/protocol/declaration.ts";
import { joinInput } from "../../../src/rpc/schemas.ts";
import {
  readFact,
  readWant,
  restoreChoices,
  storedForm,
  wishesOf,
  type Choices,
} from "../../../src/web/choices.ts";

const region = { kind: "one", of: ["eu", "us", "asia"] } as const;
const topics = { kind: "set", of: ["art", "go", "jazz"] } as const;
const age = { kind: "range", from: 18, to: 99 } as const;
const smoker = { kind: "flag" } as const;

const site = {
  protocol: 1,
  modes: ["video"],
  facts: { region, topics, age, smoker, verified: { kind: "flag", by: "claims" } },
  lobbies: ["main", "jazz", "chess"],
} satisfies Site;

const everything: Choices = {
  lobby: "jazz",
  facts: { region: "eu", topics: ["art", "jazz"], age: 31, smoker: false },
  wants: {
    region: { in: ["eu", "us"], hard: true },
    topics: { in: ["go"] },
    age: { from: 25, to: 40, hard: true },
    smoker: { is: false },
    verified: { is: true, hard: true },
  },
};

const nothing = { lobby: undefined, facts: {}, wants: {} };

describe("what was chosen on an earlier visit", () => {
  test("is restored as it was", () => {
    expect(restoreChoices(storedForm(everything), site)).toEqual(everything);
  });

  test("is nothing where nothing was stored, or what can't be read", () => {
    for (const stored of ["", "{", "null", "[]", "7", '{"facts":[],"wants":"eu","lobby":3}'])
      expect(restoreChoices(stored, site)).toEqual(nothing);
  });

  test("loses in silence what is declared no longer, and keeps the rest", () => {
    const smaller = {
      ...site,
      lobbies: ["main", "chess"],
      facts: {
        region: { kind: "one", of: ["us", "asia"] },
        topics: { kind: "set", of: ["jazz"] },
        age: { kind: "range", from: 30, to: 99, hard: false },
      },
    } satisfies Site;
    expect(restoreChoices(storedForm(everything), smaller)).toEqual({
      lobby: undefined,
      facts: { topics: ["jazz"], age: 31 },
      wants: { region: { in: ["us"], hard: true }, age: { to: 40 } },
    });
    const none = { ...site, facts: {}, lobbies: ["main"] };
    expect(restoreChoices(storedForm(everything), none)).toEqual(nothing);
  });

  test("loses what is of another kind now", () => {
    const other = {
      ...site,
      facts: { region: smoker, topics: age, age: region, smoker: topics },
    } satisfies Site;
    expect(restoreChoices(storedForm({ ...everything, lobby: undefined }), other)).toEqual(nothing);
  });

  test("is left to the server where that has not said what it declares", () => {
    expect(restoreChoices(storedForm(everything), undefined)).toEqual(everything);
  });

  test("is no fact that only the operator states", () => {
    const stored = JSON.stringify({ facts: { verified: true } });
    expect(restoreChoices(stored, site).facts).toEqual({});
  });

  test("is no lobby for the first one, in which everybody is who chooses none", () => {
    expect(restoreChoices('{"lobby":"main"}', site).lobby).toBeUndefined();
  });
});

test("whatever is stored, the server accepts what is sent", () => {
  const join = joinInput(site.facts, 1000);
  const values = ["eu", "us", "art", "jazz", "mars", 17, 18, 40, 99, 100, 2.5, true, false, null];
  const value = fc.oneof(fc.constantFrom(...values), fc.array(fc.constantFrom(...values)));
  const part = fc.constantFrom("in", "from", "to", "is", "hard", "softAfterMs", "other");
  const name = fc.constantFrom(...Object.keys(site.facts), "gone", "toString", "__proto__");
  const stored = fc.record({
    lobby: fc.constantFrom("main", "jazz", "gone", 3, ""),
    facts: fc.dictionary(name, value),
    wants: fc.dictionary(name, fc.oneof(value, fc.dictionary(part, value))),
  });
  let sent = 0;
  fc.assert(
    fc.property(stored, (stored) => {
      const wishes = wishesOf(restoreChoices(JSON.stringify(stored), site));
      expect(join.safeParse(wishes)).toMatchObject({ success: true });
      sent += Object.keys(wishes.wants ?? {}).length;
    }),
    { numRuns: 500 },
  );
  expect(sent).toBeGreaterThan(50);
});

test("join is sent what was chosen, and no fields for nothing", () => {
  expect(wishesOf(everything)).toEqual({ ...everything } as object);
  expect(wishesOf({ facts: {}, wants: {} })).toEqual({});
  expect(Object.keys(wishesOf({ facts: { age: 31 }, wants: {} }))).toEqual(["facts"]);
});

describe("a fact", () => {
  test.each<[FactDimension, unknown, unknown]>([
    [region, "us", "us"],
    [region, "", undefined],
    [region, ["us"], undefined],
    [topics, ["jazz", "art"], ["art", "jazz"]],
    [topics, [], undefined],
    [age, 18, 18],
    [age, 99, 99],
    [age, 17, undefined],
    [age, 100, undefined],
    [age, 20.5, undefined],
    [age, Number.NaN, undefined],
    [age, undefined, undefined],
    [smoker, false, false],
    [smoker, undefined, undefined],
  ])("of %j: %j is %j", (dimension, given, fact) => {
    expect(readFact(dimension, given)).toEqual(fact as never);
  });

  test("of a set has no more values than the server takes", () => {
    const of = Array.from({ length: 40 }, (_, n) => `value ${n}`);
    expect(readFact({ kind: "set", of }, of)).toHaveLength(16);
    expect(readWant({ kind: "set", of }, { in: of })).toEqual({ in: of.slice(0, 16) });
    expect(readWant({ kind: "one", of }, { in: of })).toEqual({ in: of });
  });
});

describe("a want", () => {
  test.each<[FactDimension, unknown, unknown]>([
    [region, { in: ["us"], hard: true }, { in: ["us"], hard: true }],
    [{ ...region, hard: false }, { in: ["us"], hard: true }, { in: ["us"] }],
    [region, { in: ["us"], hard: false }, { in: ["us"] }],
    [region, { in: [], hard: true }, undefined],
    [age, { from: 25 }, { from: 25 }],
    [age, { to: 40, hard: true }, { to: 40, hard: true }],
    [age, { from: 40, to: 40 }, { from: 40, to: 40 }],
    [age, { from: 41, to: 40 }, undefined],
    [age, { from: 3, to: 40 }, { to: 40 }],
    [age, { hard: true }, undefined],
    [smoker, { is: false }, { is: false }],
    [smoker, { is: undefined, hard: true }, undefined],
    [smoker, undefined, undefined],
  ])("of %j: %j is %j", (dimension, given, want) => {
    expect(readWant(dimension, given)).toEqual(want as never);
  });
});
