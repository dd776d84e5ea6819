/** The declaration of facts: what is taken, and what is refused, all at once and by name. */
import { describe, expect, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFacts, readFactsFile } from "../../src/facts-config.ts";
import { configOf, ConfigError } from "../../src/app/options.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";

const sound: FactsDeclaration = {
  region: { kind: "one", of: ["eu", "us"], by: "claims", shown: true, hard: true },
  topics: { kind: "set", of: ["art"] },
  age: { kind: "range", from: 18, to: 99, bands: [25, 35, 99] },
  temperature: { kind: "range", from: -40, to: -40 },
  adult: { kind: "flag", by: "peer", shown: false, hard: false },
};

const flag = { kind: "flag" };
const one = (...of: unknown[]) => ({ a: { kind: "one", of } });
const range = (from: unknown, to: unknown, more: object = {}) => ({
  a: { kind: "range", from, to, ...more },
});
const many = (count: number) => Array.from({ length: count }, (_, n) => `value ${n}`);
const text = "must be a text of 1 to 64 printable characters";

const wrong: [what: string, declared: unknown, problems: string[]][] = [
  ["no object", null, ["must be an object with a dimension under each name"]],
  ["a list", [flag], ["must be an object with a dimension under each name"]],
  ["a text", "region", ["must be an object with a dimension under each name"]],
  [
    "nine dimensions",
    Object.fromEntries([..."abcdefghi"].map((name) => [name, flag])),
    ["has 9 dimensions, and there may be 8"],
  ],
  ["an empty name", { "": flag }, [`"": the name ${text}`]],
  [
    "a name that is too long",
    { ["n".repeat(65)]: flag },
    [`"${"n".repeat(65)}": the name ${text}`],
  ],
  ["a control character in a name", { "a\nb": flag }, [`"a\\nb": the name ${text}`]],
  ["half a character in a name", { "\ud800": flag }, [`"\\ud800": the name ${text}`]],
  [
    "the name of a prototype",
    JSON.parse('{ "__proto__": { "kind": "flag" } }'),
    ["__proto__: is the name of something that every object has"],
  ],
  [
    "the name of a method",
    { constructor: flag },
    ["constructor: is the name of something that every object has"],
  ],
  [
    "the name of lanes",
    { lane: flag },
    ["lane: is the name of the server's own: see LANE_AFTER_MS"],
  ],
  ["a dimension that is none", { a: "one" }, ["a: must be an object"]],
  ["a dimension that is null", { a: null }, ["a: must be an object"]],
  ["no kind", { a: {} }, ["a.kind: must be one, set, range or flag"]],
  ["an unknown kind", { a: { kind: "many" } }, ["a.kind: must be one, set, range or flag"]],
  [
    "an unknown field",
    { a: { kind: "flag", show: true } },
    ["a.show: is no field of a dimension of this kind"],
  ],
  [
    "fields of another kind",
    { a: { kind: "flag", of: [], from: 1 } },
    [
      "a.of: is no field of a dimension of this kind",
      "a.from: is no field of a dimension of this kind",
    ],
  ],
  ["no values", { a: { kind: "set" } }, ["a.of: must be a list of texts"]],
  ["an empty list of values", one(), ["a.of: must name a value"]],
  ["too many values", one(...many(257)), ["a.of: must name at most 256 values"]],
  ["a value twice", one("eu", "us", "eu", "eu"), ['a.of: names "eu" twice']],
  ["a value that is no text", one("eu", 1), [`a.of.1: ${text}`]],
  ["an empty value", one(""), [`a.of.0: ${text}`]],
  ["a control character in a value", one("eu\u0000"), [`a.of.0: ${text}`]],
  ["half a character in a value", one("\udc00"), [`a.of.0: ${text}`]],
  ["a value that is too long", one("v".repeat(65)), [`a.of.0: ${text}`]],
  [
    "a range without bounds",
    { a: { kind: "range" } },
    ["a.from: must be a whole number", "a.to: must be a whole number"],
  ],
  ["a fraction", range(1.5, 3), ["a.from: must be a whole number"]],
  ["a number as a text", range(1, "3"), ["a.to: must be a whole number"]],
  ["a range upside down", range(99, 18), ["a.from: must not be above `to`"]],
  ["bands that do not ascend", range(1, 9, { bands: [3, 3] }), ["a.bands: must be ascending"]],
  [
    "a band below the range",
    range(1, 9, { bands: [1, 3] }),
    ["a.bands: must lie above `from`, and not above `to`"],
  ],
  [
    "a band above the range",
    range(1, 9, { bands: [3, 10] }),
    ["a.bands: must lie above `from`, and not above `to`"],
  ],
  [
    "a band that is no whole number",
    range(1, 9, { bands: [2.5] }),
    ["a.bands.0: must be a whole number"],
  ],
  [
    "32 bands",
    range(0, 99, { bands: Array.from({ length: 31 }, (_, n) => n + 1) }),
    ["a.bands: must be at most 30 numbers, which make 31 bands"],
  ],
  ["another source", { a: { ...flag, by: "me" } }, ['a.by: must be "peer" or "claims"']],
  ["shown as a text", { a: { ...flag, shown: "yes" } }, ["a.shown: must be true or false"]],
  ["hard as a number", { a: { ...flag, hard: 1 } }, ["a.hard: must be true or false"]],
];

describe("a declaration", () => {
  test("is taken as it is", () => {
    expect(readFacts(sound)).toEqual({ facts: sound });
    expect(readFacts({})).toEqual({ facts: {} });
  });

  test("may have eight dimensions, 256 values and 31 bands", () => {
    const eight = Object.fromEntries([..."abcdefgh"].map((name) => [name, flag]));
    expect(readFacts(eight).problems).toBeUndefined();
    expect(readFacts(one(...many(256))).problems).toBeUndefined();
    const bands = Array.from({ length: 30 }, (_, n) => n + 1);
    expect(readFacts(range(0, 99, { bands })).problems).toBeUndefined();
  });

  test.each(wrong)("is refused with %s", (_, declared, problems) => {
    expect(readFacts(declared)).toEqual({ problems });
  });

  test("is refused with all that is wrong with it at once", () => {
    const declared = {
      "": flag,
      region: { kind: "one", of: ["eu", "eu"], shown: 1 },
      age: { kind: "range", from: 9, to: 1, bands: [2, 1], unit: "years" },
      adult: { kind: "flagg" },
    };
    expect(readFacts(declared).problems?.toSorted()).toEqual([
      `"": the name ${text}`,
      "adult.kind: must be one, set, range or flag",
      "age.bands: must be ascending",
      "age.bands: must lie above `from`, and not above `to`",
      "age.from: must not be above `to`",
      "age.unit: is no field of a dimension of this kind",
      'region.of: names "eu" twice',
      "region.shown: must be true or false",
    ]);
  });
});

describe("the file", () => {
  const written = async (content: string) => {
    const path = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "facts.json");
    await Bun.write(path, content);
    return path;
  };

  test("has the same object", async () => {
    expect(readFactsFile(await written(JSON.stringify(sound)))).toEqual({ facts: sound });
  });

  test("that is missing, or no JSON, is named so", async () => {
    expect(readFactsFile("/nowhere/facts.json").problems?.join()).toMatch(/^can't be read: ENOENT/);
    expect(readFactsFile(await written("{ region: ")).problems?.join()).toMatch(/^is no JSON: /);
    expect(readFactsFile(await written("[]")).problems).toHaveLength(1);
    // As if the variable named the file of another one.
    for (const text of ["s3cr3t", '{ "a": s3cr3t }', "'s3cr3t'"])
      expect(readFactsFile(await written(text)).problems?.join()).not.toContain("s3cr3t");
  });
});

describe("as options", () => {
  const problemsOf = (options: object) => {
    try {
      configOf(options, "a random secret of the tests");
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
    }
    return [];
  };

  test("facts reach the configuration, and so does the file", async () => {
    const secret = "a random secret of the tests";
    expect(configOf({ facts: sound }, secret).facts).toEqual(sound);
    expect(configOf({}, secret).facts).toBeUndefined();
    const path = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "facts.json");
    await Bun.write(path, JSON.stringify(sound));
    expect(configOf({ factsFile: path }, secret).facts).toEqual(sound);
    expect(problemsOf({ facts: sound, factsFile: path })).toEqual([
      "facts: and factsFile exclude each other: set one of them",
    ]);
  });

  test("mistakes are reported with those in other options, by name", () => {
    expect(problemsOf({ graceMs: -1, facts: { a: { kind: "one" }, b: 1 } })).toEqual([
      'graceMs: must be a whole number from 0 to 3600000 (it is "-1")',
      "facts: a.of: must be a list of texts",
      "facts: b: must be an object",
    ]);
    expect(problemsOf({ factsFile: "/nowhere/facts.json" }).join()).toMatch(
      /^factsFile: can't be read: ENOENT/,
    );
  });
});
