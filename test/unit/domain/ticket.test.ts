import { describe, expect, test } from "bun:test";
import { acceptanceAfter, defaultWishes, normaliseWishes } from "../../../src/domain/ticket.ts";

const wishes = (interests: string[], languages: string[] = []) =>
  normaliseWishes({ ...defaultWishes, interests, languages });
const steps = { languageAfterMs: 5000, anybodyAfterMs: 10_000 };

describe("wishes", () => {
  for (const [one, other] of [
    ["Jazz ", "jazz"],
    ["free   jazz", "Free\tJazz"],
    ["Straße", "STRASSE"],
    ["ＪＡＺＺ", "jazz"],
    ["ΟΔΟΣ", "οδος"],
  ] as const)
    test(`${JSON.stringify(one)} meets ${JSON.stringify(other)}`, () => {
      expect(wishes([one]).interests).toEqual(wishes([other]).interests);
    });

  test("named twice count once", () => {
    expect(wishes(["Jazz", "jazz "]).interests).toEqual(["jazz"]);
  });

  test("for a language mean its primary subtag", () => {
    expect(wishes([], ["en-GB", "EN", "de"]).languages).toEqual(["en", "de"]);
  });

  test("for a language mean the same in upper case, which only Intl can read", () => {
    const letters = [..."abcdefghijklmnopqrstuvwxyz"];
    const codes = letters.flatMap((one) => letters.map((other) => one + other));
    for (const code of codes)
      for (const tag of [
        code,
        ...["US", "CN", "NO", "DD", "SU"].map((region) => `${code}-${region}`),
      ])
        expect([tag, wishes([], [tag]).languages]).toEqual([
          tag,
          wishes([], [tag.toUpperCase()]).languages,
        ]);
  });
});

describe("a ticket accepts", () => {
  test("anybody at once when it wishes nothing", () => {
    expect(acceptanceAfter(wishes([]), 0, steps)).toEqual({ accepts: "anybody" });
  });

  test("interests, then languages, then anybody, with its own waiting time", () => {
    const both = wishes(["jazz"], ["en"]);
    const at = (ms: number) => acceptanceAfter(both, ms, steps);
    expect(at(0)).toEqual({ accepts: "interest", relaxesAfterMs: 5000 });
    expect(at(4999)).toEqual({ accepts: "interest", relaxesAfterMs: 5000 });
    expect(at(5000)).toEqual({ accepts: "language", relaxesAfterMs: 10_000 });
    expect(at(10_000)).toEqual({ accepts: "anybody" });
  });

  test("only what it wished for before the bound", () => {
    expect(acceptanceAfter(wishes(["jazz"]), 7000, steps).accepts).toBe("interest");
    expect(acceptanceAfter(wishes([], ["en"]), 0, steps).accepts).toBe("language");
  });
});
