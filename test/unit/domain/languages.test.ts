/** Which language tags mean one language. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { defaultWishes, normaliseWishes } from "../../../src/domain/ticket.ts";

const languagesOf = (...languages: string[]) =>
  normaliseWishes({ ...defaultWishes, interests: [], languages }).languages;

describe("C languages", () => {
  test.each([
    ["EN", "en", "case"],
    ["en-GB", "en", "region"],
    ["es-419", "es", "region of the UN"],
    ["en-US-u-hc-h23", "en", "extension"],
    ["de-1996", "de", "variant"],
    ["zh-Hant-TW", "zh", "script"],
    ["sr-Latn-RS", "sr", "script"],
    ["en-x-anything", "en", "private use"],
    ["nb", "no", "Bokmål"],
    ["nb-NO", "no", "Bokmål"],
    ["nob", "no", "Bokmål, ISO 639-3"],
    ["no-bok", "no", "grandfathered"],
    ["no-nyn", "nn", "grandfathered"],
    ["i-klingon", "tlh", "grandfathered"],
    ["I-Lux", "lb", "grandfathered, in another case"],
    ["art-lojban", "jbo", "grandfathered"],
    ["en-GB-oed", "en", "grandfathered"],
    ["iw", "he", "withdrawn"],
    ["iw-IL", "he", "withdrawn"],
    ["in", "id", "withdrawn"],
    ["ji", "yi", "withdrawn"],
    ["jw", "jv", "withdrawn"],
    ["mo", "ro", "withdrawn"],
    ["sh", "sr", "withdrawn"],
    ["sh-BA", "sr", "withdrawn"],
    ["bh", "bho", "withdrawn"],
    ["tl", "fil", "Filipino is standardised Tagalog"],
    ["tl-PH", "fil", "Filipino is standardised Tagalog"],
    ["tgl", "fil", "Tagalog, ISO 639-3"],
    ["tw", "ak", "Twi is Akan"],
    ["eng", "en", "ISO 639-3"],
    ["deu", "de", "ISO 639-3"],
    ["ger-DE", "de", "ISO 639-2, bibliographic"],
    ["chi", "zh", "ISO 639-2, bibliographic"],
    ["cmn-Hans-CN", "zh", "macrolanguage"],
    ["arb", "ar", "macrolanguage"],
    ["swh", "sw", "macrolanguage"],
    ["zsm", "ms", "macrolanguage"],
    ["pes", "fa", "macrolanguage"],
    ["prs", "fa", "Dari"],
    ["zh-cmn-Hans", "zh", "extended language subtag"],
    ["zh-yue", "yue", "extended language subtag"],
    ["zh-yue-HK", "yue", "extended language subtag"],
    ["zh-min-nan", "nan", "grandfathered"],
    ["sgn-ase", "ase", "extended language subtag"],
  ])("%s meets %s: %s", (tag, other) => {
    expect(languagesOf(tag)).toEqual([other]);
    expect(languagesOf(other)).toEqual([other]);
  });

  test("a tag that can't be read or names no language costs that tag alone", () => {
    const none = [
      "en-US@posix",
      "",
      "not a tag",
      "🇩🇪",
      "x-default",
      "i-default",
      "und",
      "mul",
      "zxx",
    ];
    for (const tag of [...none, "und-Latn", "i-enochian", "en-", "e", "\u200b", "*", "a-DE"])
      expect([tag, languagesOf(tag, "de", "fr")]).toEqual([tag, ["de", "fr"]]);
  });

  test("no text breaks them, and what they say means itself", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.stringMatching(/^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$/),
        ),
        (tag) => {
          const languages = languagesOf(tag);
          expect(languagesOf(...languages)).toEqual(languages);
          for (const language of languages) expect(language).toMatch(/^[a-z]{2,8}$/);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("every code of two or three letters means a language that means itself", () => {
    const letters = [..."abcdefghijklmnopqrstuvwxyz"];
    const two = letters.flatMap((one) => letters.map((other) => one + other));
    for (const code of two.flatMap((start) => [start, ...letters.map((end) => start + end)])) {
      const languages = languagesOf(code);
      if (languagesOf(...languages)[0] !== languages[0])
        throw new Error(
          `${code} means ${languages[0]}, which means ${languagesOf(...languages)[0]}`,
        );
    }
  });

  test("languages that differ do not meet", () => {
    for (const different of [
      ["en", "de", "no", "nn", "sv", "da"],
      ["zh", "yue", "nan", "wuu", "ja"],
      ["ar", "fa", "ur", "arz"],
      ["sr", "hr", "bs", "sl", "sk"],
      ["id", "ms", "jv", "fil"],
    ])
      expect(languagesOf(...different)).toEqual(different);
  });
});
