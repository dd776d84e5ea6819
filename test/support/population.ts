/**
 * What people state and want on a site with eight dimensions, in shares that such sites are known for: most state most of it, two in five want
 * nothing, a few want something unusual, and hardly anybody wants more than two things.
 */
import type { Stated, Want } from "../../src/domain/facts.ts";
import type { Facts, FactValue } from "../../src/protocol.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";

export const declaration = {
  region: {
    kind: "one",
    of: ["europe", "north america", "asia", "south america", "africa", "oceania"],
  },
  country: { kind: "one", of: Array.from({ length: 60 }, (_, n) => `country ${n}`) },
  age: { kind: "range", from: 18, to: 99, bands: [21, 25, 30, 35, 40, 50, 60] },
  gender: { kind: "one", of: ["woman", "man", "other"] },
  level: { kind: "one", of: ["a1", "a2", "b1", "b2", "c1", "c2"] },
  topics: { kind: "set", of: Array.from({ length: 24 }, (_, n) => `topic ${n}`) },
  adult: { kind: "flag", by: "claims" },
  microphone: { kind: "flag" },
} as const satisfies FactsDeclaration;

/** How many state a dimension, how their values are spread, how many want something of it, and how many of those insist on it. */
interface Shares {
  name: keyof typeof declaration;
  stated: number;
  value: (random: () => number) => FactValue;
  wanted: number;
  hard: number;
  want: (random: () => number, own: FactValue | undefined) => Omit<Want, "of">;
}

/** One of them, each about half as likely as the one before. */
const early = <T>(values: readonly T[], random: () => number): T =>
  values[Math.min(values.length - 1, Math.floor(-Math.log2(1 - random())))] as T;

/** Those whose rank is r are named in proportion to 1/r. */
const byRank = <T>(values: readonly T[], random: () => number): T =>
  values[Math.floor((values.length + 1) ** random()) - 1] as T;

const age = (random: () => number) => 18 + Math.floor(Math.min(81, -Math.log(1 - random()) * 9));

const shares: readonly Shares[] = [
  {
    name: "region",
    stated: 1,
    value: (random) => early(declaration.region.of, random),
    wanted: 0.15,
    hard: 0.2,
    want: (random, own) => ({ in: [String(own ?? early(declaration.region.of, random))] }),
  },
  {
    name: "country",
    stated: 0.9,
    value: (random) => byRank(declaration.country.of, random),
    wanted: 0.05,
    hard: 0.2,
    want: (random) => ({
      in: [byRank(declaration.country.of, random), byRank(declaration.country.of, random)],
    }),
  },
  {
    name: "age",
    stated: 0.7,
    value: age,
    wanted: 0.2,
    hard: 0.3,
    want: (random, own) => {
      const middle = typeof own === "number" ? own : age(random);
      return { from: Math.max(18, middle - 5), to: Math.min(99, middle + 7) };
    },
  },
  {
    name: "gender",
    stated: 0.8,
    value: (random) => (random() < 0.3 ? "woman" : random() < 0.96 ? "man" : "other"),
    wanted: 0.25,
    hard: 0.4,
    want: (random) => ({ in: [random() < 0.75 ? "woman" : "man"] }),
  },
  {
    name: "level",
    stated: 0.3,
    value: (random) => byRank(declaration.level.of, random),
    wanted: 0.03,
    hard: 0.3,
    want: () => ({ in: ["b2", "c1", "c2"] }),
  },
  {
    name: "topics",
    stated: 0.4,
    value: (random) => [
      ...new Set([byRank(declaration.topics.of, random), byRank(declaration.topics.of, random)]),
    ],
    wanted: 0.1,
    hard: 0.1,
    want: (random) => ({ in: [byRank(declaration.topics.of, random)] }),
  },
  {
    name: "adult",
    stated: 0.6,
    value: () => true,
    wanted: 0.1,
    hard: 1,
    want: () => ({ is: true }),
  },
  {
    name: "microphone",
    stated: 0.9,
    value: (random) => random() < 0.95,
    wanted: 0.05,
    hard: 0,
    want: () => ({ is: true }),
  },
];

/** What one of them states and wants. Soft wants give way after eight seconds. */
export function somebody(random: () => number): Stated {
  const facts: Record<string, FactValue> = {};
  const wants: Want[] = [];
  for (const { name, stated, value, wanted, hard, want } of shares) {
    if (random() < stated) facts[name] = value(random);
    if (random() >= wanted) continue;
    const wish = { of: name, ...want(random, facts[name]) };
    wants.push(random() < hard ? wish : { ...wish, softAfterMs: 8000 });
  }
  const of: Facts = facts;
  return wants.length > 0 ? { facts: of, wants } : { facts: of };
}
