/** Which interests and languages meet, in the scripts that people type. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { defaultWishes, normaliseWishes } from "../../../src/domain/ticket.ts";
import { limits } from "../../../src/protocol.ts";

const interestsOf = (...interests: string[]) =>
  normaliseWishes({ ...defaultWishes, interests, languages: [] }).interests;
const languagesOf = (...languages: string[]) =>
  normaliseWishes({ ...defaultWishes, interests: [], languages }).languages;

const meet: [one: string, other: string][] = [
  // Latin
  ["Jazz", "jazz"],
  [" jazz ", "jazz"],
  ["JAZZ", "jAzZ"],
  ["hip  hop", "hip hop"],
  ["hip\u00a0hop", "hip hop"],
  ["hip\u3000hop", "hip hop"],
  ["\u0130stanbul", "istanbul"],
  ["ISTANBUL", "istanbul"],
  ["STRA\u1e9eE", "straße"],
  ["STRA\u1e9eE", "strasse"],
  ["straße", "STRASSE"],
  ["ﬁlm", "film"],
  ["ＪＡＺＺ", "jazz"],
  ["𝐣𝐚𝐳𝐳", "jazz"],
  ["café", "cafe\u0301"],
  ["CAFÉ", "café"],
  ["rock ’n’ roll", "rock 'n' roll"],
  ["rock ‘n’ roll", "rock 'n' roll"],
  ["rock`n`roll", "rock'n'roll"],
  ["rock´n´roll", "rock'n'roll"],
  ["sci\u2011fi", "sci-fi"],
  ["sci\u2010fi", "sci-fi"],
  ["sci\u2013fi", "sci-fi"],
  ["sci\u2014fi", "sci-fi"],
  ["sci\u2212fi", "sci-fi"],
  ["sci－fi", "sci-fi"],
  ["#jazz", "jazz"],
  ["＃jazz", "jazz"],
  ["# jazz", "jazz"],
  [" #Jazz", "jazz"],
  ["ja\u200bzz", "jazz"],
  ["\u2060jazz", "jazz"],
  ["jazz\u200e", "jazz"],
  ["\u202ajazz\u202c", "jazz"],
  ["\ufeffjazz", "jazz"],
  ["soft\u00adware", "software"],
  ["ŁÓDŹ", "łódź"],
  ["ÆON", "æon"],
  ["Žižek", "žižek"],
  ["Việt Nam", "VIỆT NAM"],
  // Greek
  ["ΟΔΟΣ", "οδος"],
  ["ΜΟΥΣΙΚΗ", "μουσικη"],
  ["Σίσυφος", "ΣΊΣΥΦΟΣ"],
  // Cyrillic
  ["МУЗЫКА", "музыка"],
  ["Йога", "йога"],
  ["й", "и\u0306"],
  // Armenian, Georgian
  ["ԵՐԱԺՇՏՈՒԹՅՈՒՆ", "երաժշտություն"],
  ["მუსიკა", " მუსიკა"],
  // Arabic, Persian
  ["موسیقی", "موسيقي"],
  ["موسيقى", "موسيقي"],
  ["كتاب", "کتاب"],
  ["می\u200cخواهم", "میخواهم"],
  // Hebrew
  ["מוזיקה\u200f", "מוזיקה"],
  ["#מוזיקה", "מוזיקה"],
  // Devanagari
  ["संगीत", " संगीत "],
  ["क\u093c", "क़"],
  // Hangul, Kana, Han
  ["음악", "음악".normalize("NFD")],
  ["ｶﾞﾝﾀﾞﾑ", "ガンダム"],
  ["が", "か\u3099"],
  ["音楽\u3000", "音楽"],
  ["＃音楽", "音楽"],
  ["㍿", "株式会社"],
  // Thai
  ["ดนตรี", "#ดนตรี"],
  // Emoji
  ["❤\ufe0f", "❤"],
  ["☕\ufe0e", "☕"],
  ["#❤\ufe0f", "❤"],
];

const differ: [one: string, other: string][] = [
  ["jazz", "jazzy"],
  ["jazz", "ja zz"],
  ["c", "c#"],
  ["c#", "c++"],
  ["c++", "c+"],
  ["cafe", "café"],
  ["uber", "über"],
  ["ano", "año"],
  ["sci-fi", "scifi"],
  ["sci-fi", "sci fi"],
  ["rock'n'roll", "rocknroll"],
  ["o'neil", "oneil"],
  ["cop", "сор"],
  ["a", "а"],
  ["мир", "мір"],
  ["е", "ё"],
  ["и", "й"],
  ["οδος", "οδοι"],
  ["موسيقي", "موسيقا"],
  ["كتاب", "كتب"],
  ["שלום", "שלומ"],
  ["क", "क़"],
  ["か", "が"],
  ["ハ", "パ"],
  ["か", "カ"],
  ["音楽", "音乐"],
  ["東京", "京東"],
  ["음악", "음"],
  ["❤", "💙"],
  ["👍", "👎"],
  ["1", "2"],
  ["10", "1 0"],
];

describe("C interests", () => {
  test("are compared in at least sixty pairs that meet and thirty that do not", () => {
    expect(meet.length).toBeGreaterThanOrEqual(60);
    expect(differ.length).toBeGreaterThanOrEqual(30);
  });

  for (const [one, other] of meet)
    test(`${JSON.stringify(one)} meets ${JSON.stringify(other)}`, () => {
      expect(interestsOf(one)).toHaveLength(1);
      expect(interestsOf(one)).toEqual(interestsOf(other));
    });

  for (const [one, other] of differ)
    test(`${JSON.stringify(one)} does not meet ${JSON.stringify(other)}`, () => {
      expect(interestsOf(one, other)).toHaveLength(2);
    });

  test("of what can't be seen alone are none, and cost no other", () => {
    for (const invisible of ["\u200b", "\u2800", "\u3164", "\u2060\u200e", "\ufe0f", "#", "\u00ad"])
      expect(interestsOf(invisible, "jazz")).toEqual(["jazz"]);
  });

  test("are folded once and for all, within their bound and without what can't be seen", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 40 }),
      fc.string({ unit: "grapheme", maxLength: 20 }),
      fc
        .array(
          fc.constantFrom(
            "#",
            " ",
            "＃",
            "İ",
            "i",
            "\u0307",
            "ẞ",
            "ß",
            "S",
            "ς",
            "´",
            "\u0345",
            "\u200b",
            "ﷺ",
            "ŉ",
            "ǰ",
            "\u0130\u0307",
            "‑",
            "a",
          ),
          { maxLength: 40 },
        )
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(text, (interest) => {
        const once = interestsOf(interest);
        expect(interestsOf(...once)).toEqual(once);
        for (const word of once) {
          expect([...word].length).toBeLessThanOrEqual(limits.interestCharsMax);
          expect(word).not.toMatch(/\p{Default_Ignorable_Code_Point}|^#|^\s|\s$/u);
        }
      }),
      { numRuns: 5000 },
    );
  }, 30_000);
});

describe("C languages", () => {
  for (const [tag, other] of [
    ["en-US-u-hc-h23", "en"],
    ["EN", "en-GB"],
    ["nb", "no"],
    ["nb-NO", "no"],
    ["iw", "he"],
    ["tl", "fil"],
    ["in", "id"],
    ["ji", "yi"],
    ["mo", "ro"],
    ["zh-Hant-TW", "zh"],
    ["de-1996", "de"],
    ["pt-BR", "pt-PT"],
    ["sr-Latn-RS", "sr"],
    ["eng", "en"],
    ["x-default", ""],
  ] as const)
    test(`${tag} ${other === "" ? "is no language" : `meets ${other}`}`, () => {
      expect(languagesOf(tag)).toEqual(other === "" ? [] : languagesOf(other));
    });

  test("a tag that can't be read costs that tag alone", () => {
    expect(languagesOf("en-US@posix", "", "de", "not a tag", "🇩🇪", "fr")).toEqual(["de", "fr"]);
  });

  test("languages that differ do not meet", () => {
    expect(languagesOf("en", "de", "no", "nn", "sv")).toHaveLength(5);
  });
});
