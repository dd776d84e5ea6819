/** Which interests meet, in the scripts that people type. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { defaultWishes, normaliseWishes } from "../../../src/domain/ticket.ts";
import { limits } from "../../../src/protocol.ts";

const interestsOf = (...interests: string[]) =>
  normaliseWishes({ ...defaultWishes, interests, languages: [] }).interests;

type Pairs = Record<string, [one: string, other: string, because: string][]>;

const meet: Pairs = {
  Latin: [
    ["JAZZ", "jAzZ", "case"],
    [" jazz ", "jazz", "blanks around it"],
    ["hip  hop", "hip hop", "several blanks"],
    ["hip\u00a0hop", "hip hop", "no-break space"],
    ["hip\u0085hop", "hip hop", "next line, a control character"],
    ["İstanbul", "istanbul", "Turkish capital with a dot"],
    ["i\u0307stanbul", "istanbul", "Turkish capital with a dot, put into lower case"],
    ["ISPARTA", "ısparta", "Turkish capital without a dot"],
    ["STRAẞE", "straße", "capital sharp s"],
    ["straße", "STRASSE", "sharp s in capitals"],
    ["STRAẞE", "strasse", "capital sharp s as two letters"],
    ["ﬁlm", "film", "ligature of fonts"],
    ["ſtraſſe", "strasse", "long s"],
    ["ĳs", "ijs", "Dutch digraph"],
    ["œnologie", "oenologie", "ligature that French keyboards lack"],
    ["știință", "ştiinţă", "Romanian comma below, typed as a cedilla"],
    ["ＪＡＺＺ", "jazz", "full width"],
    ["𝐣𝐚𝐳𝐳", "jazz", "mathematical letters"],
    ["café", "cafe\u0301", "composed and decomposed"],
    ["Việt Nam", "VIỆT NAM".normalize("NFD"), "Vietnamese, decomposed, in capitals"],
    ["ệ", "e\u0302\u0323", "marks in another order"],
    ["col·lecció", "col•lecció", "Catalan middle dot"],
    ["coŀlecció", "col·lecció", "Catalan l with a middle dot"],
    ["m²", "m2", "superscript"],
    ["½", "1/2", "fraction"],
    ["wait…", "wait...", "ellipsis"],
  ],
  punctuation: [
    ["rock ’n’ roll", "rock 'n' roll", "typographic apostrophe"],
    ["rock ‘n’ roll", "rock 'n' roll", "typographic quotation marks"],
    ["rock`n´roll", "rock'n'roll", "spacing accents"],
    ["“heroes”", '"heroes"', "typographic double quotation marks"],
    ["sci\u2011fi", "sci-fi", "non-breaking hyphen"],
    ["sci\u2013fi", "sci-fi", "en dash"],
    ["sci\u2212fi", "sci-fi", "minus sign"],
    ["sci－fi", "sci-fi", "full-width hyphen"],
    ["#jazz", "jazz", "hashtag"],
    ["＃jazz", "jazz", "full-width hashtag"],
    [" # Jazz", "jazz", "hashtag with blanks"],
    ["##jazz", "jazz", "hashtag typed twice"],
    ["#\ufe0f\u20e3jazz", "jazz", "hashtag as a keycap"],
  ],
  invisible: [
    ["ja\u200bzz", "jazz", "zero width space"],
    ["\u2060jazz", "jazz", "word joiner"],
    ["jazz\u200e", "jazz", "left-to-right mark"],
    ["\u2067jazz\u2069", "jazz", "bidirectional isolate"],
    ["\ufeffjazz", "jazz", "byte order mark"],
    ["ja\ufeffzz", "jazz", "byte order mark inside"],
    ["soft\u00adware", "software", "soft hyphen"],
    ["jazz\u{e0067}\u{e007f}", "jazz", "tag characters"],
    ["jazz\u{e0100}", "jazz", "variation selector"],
    ["jazz\u3164", "jazz", "Hangul filler"],
    ["jazz\u2800", "jazz", "Braille blank"],
    ["ja\u0000zz", "jazz", "control character"],
    ["❤\ufe0f", "❤", "emoji presentation"],
    ["#☕\ufe0e", "☕", "text presentation"],
  ],
  Greek: [
    ["ΟΔΟΣ", "οδος", "final sigma"],
    ["οδοσ", "οδος", "final sigma typed as another"],
    ["ΜΟΥΣΙΚΗ", "μουσική", "capitals have no accent"],
    ["Σίσυφος", "ΣΊΣΥΦΟΣ", "accented capital"],
    ["μουσικὴ", "μουσική", "polytonic"],
    ["µm", "μm", "micro sign"],
    ["\u1ffd", "´", "canonical equivalent of a spacing accent"],
  ],
  Cyrillic: [
    ["МУЗЫКА", "музыка", "case"],
    ["й", "и\u0306", "decomposed"],
    ["самолёты", "самолеты", "the dots of yo are optional"],
    ["ЁЖ", "е\u0308ж", "yo, decomposed"],
    ["п’ять", "п'ять", "Ukrainian apostrophe"],
  ],
  "Armenian and Georgian": [
    ["ԵՐԱԺՇՏՈՒԹՅՈՒՆ", "երաժշտություն", "case"],
    ["Երևան", "ԵՐԵՎԱՆ", "ligature yev in capitals"],
    ["Երևան", "Երեւան", "ligature yev in two letters"],
    ["ᲛᲣᲡᲘᲙᲐ", "მუსიკა", "Mtavruli capitals"],
  ],
  "Arabic and Persian": [
    ["موسیقی", "موسيقي", "Persian and Arabic yeh"],
    ["موسيقى", "موسيقي", "Egyptian yeh without dots"],
    ["كتاب", "کتاب", "Arabic and Persian kaf"],
    ["ہاکی", "هاكي", "Urdu heh"],
    ["ئ", "ي\u0654", "hamza above, decomposed"],
    ["ئ", "ی\u0654", "hamza above the Persian yeh"],
    ["خانهٔ", "خانۀ", "Persian heh with hamza"],
    ["مـوسـيقى", "موسيقى", "tatweel"],
    ["مُوسِيقَى", "موسيقى", "vowel points"],
    ["ﻣﻮﺳﻴﻘﻲ", "موسيقي", "presentation forms"],
    ["ﷲ", "الله", "ligature of a word"],
    ["می\u200cخواهم", "میخواهم", "zero width non-joiner"],
    ["۲۰۲۰", "2020", "Persian digits"],
    ["٢٠٢٠", "۲۰۲۰", "Arabic-Indic and Persian digits"],
  ],
  Hebrew: [
    ["מוזיקה\u200f", "#מוזיקה", "right-to-left mark, hashtag"],
    ["מוּזִיקָה", "מוזיקה", "vowel points"],
    ["שׁלום", "שלום", "presentation form"],
    ["צ׳ט", "צ'ט", "geresh typed as an apostrophe"],
    ["ארה״ב", 'ארה"ב', "gershayim typed as quotation marks"],
    ["תל־אביב", "תל-אביב", "maqaf typed as a hyphen"],
  ],
  Indic: [
    ["संगीत", "#संगीत\u200d", "hashtag, joiner"],
    ["क\u093c", "\u0958", "nukta, decomposed"],
    ["१०", "10", "Devanagari digits"],
    ["স\u09c7\u09be", "স\u09cb", "Bengali vowel in two parts"],
    ["സിനിമകള്\u200d", "സിനിമകൾ", "Malayalam final consonant of older keyboards"],
    ["উৎসব", "উত্\u200dসব", "Bengali final consonant of older keyboards"],
  ],
  "Thai and Lao": [
    ["น้ำ", "น\u0e49\u0e4d\u0e32", "Sara Am, decomposed"],
    ["น้ำ", "น\u0e4d\u0e49\u0e32", "Sara Am, tone mark after its ring"],
    ["น้ำ", "น\u0e33\u0e49", "Sara Am, tone mark at the end"],
    ["เเมว", "แมว", "two Sara E look like Sara Ae"],
    ["๒๔", "24", "Thai digits"],
    ["ນ້ຳ", "ນ\u0ecd\u0ec9\u0eb2", "Lao Sara Am, tone mark after its ring"],
  ],
  Hangul: [
    ["음악", "음악".normalize("NFD"), "Jamo"],
    ["ﾾ", "ㅎ", "half width"],
    ["음악\u115f", "음악", "Jamo filler"],
  ],
  "Kana and Han": [
    ["ｶﾞﾝﾀﾞﾑ", "ガンダム", "half width"],
    ["が", "か\u3099", "decomposed"],
    ["か゛", "が", "voiced sound mark of its own"],
    ["ハリー・ポッター", "ハリー･ポッター", "half-width middle dot"],
    ["哈利·波特", "哈利‧波特", "middle dots of two keyboards"],
    ["１〜２", "1～2", "wave dash and full-width tilde"],
    ["＃音楽", "音楽\u3000", "full-width hashtag, ideographic space"],
    ["㍿", "株式会社", "square"],
    ["⼈", "人", "radical"],
    ["葛\u{e0100}", "葛", "variant of an ideograph"],
  ],
};

const differ: Pairs = {
  Latin: [
    ["jazz", "jazzy", "another word"],
    ["jazz", "jaz z", "a blank parts words"],
    ["resume", "résumé", "accents"],
    ["schon", "schön", "umlaut"],
    ["ano", "año", "tilde"],
    ["lodz", "łódź", "stroke"],
    ["æon", "aeon", "a Danish letter, no ligature"],
    ["maße", "mase", "sharp s is two"],
    ["1", "l", "alike only to the eye"],
  ],
  punctuation: [
    ["c", "c#", "a sign at the end"],
    ["c", "c++", "signs at the end"],
    ["c++", "c+", "how many signs"],
    ["sci-fi", "scifi", "hyphen"],
    ["sci-fi", "sci fi", "hyphen and blank"],
    ["rock'n'roll", "rocknroll", "apostrophe"],
    [".net", "net", "a point before it"],
    ["c#jazz", "cjazz", "a hash inside"],
    ["a/b", "ab", "slash"],
  ],
  Greek: [
    ["οδος", "οδοι", "another form"],
    ["παϊδάκια", "παιδάκια", "dialytika"],
    ["ο", "o", "a Latin letter that looks like it"],
  ],
  Cyrillic: [
    ["о", "o", "a Latin letter that looks like it"],
    ["сор", "cop", "Latin letters that look like it"],
    ["мир", "мір", "Ukrainian i"],
    ["и", "й", "short i"],
    ["г", "ґ", "Ukrainian ge"],
    ["ї", "і", "Ukrainian yi"],
  ],
  "Armenian and Georgian": [
    ["օ", "o", "a Latin letter that looks like it"],
    ["կատու", "գատու", "Armenian ken and gim"],
    ["კ", "ქ", "Georgian letters"],
  ],
  "Arabic and Persian": [
    ["موسيقي", "موسيقا", "another ending"],
    ["كتاب", "كتب", "a long vowel"],
    ["بھ", "به", "Urdu aspiration is not heh"],
    ["گ", "ک", "gaf"],
    ["أمل", "امل", "hamza"],
    ["مدرسة", "مدرسه", "teh marbuta"],
  ],
  Hebrew: [
    ["שלום", "שלומ", "final letter"],
    ["מוזיקה", "מזיקה", "full spelling"],
  ],
  Indic: [
    ["क", "\u0958", "nukta"],
    ["അവൻ", "അവന്", "Malayalam final consonant and virama: he, to him"],
    ["क", "ক", "Devanagari and Bengali"],
    ["कि", "की", "length of a vowel"],
  ],
  Thai: [
    ["ไก", "ใก", "two letters of one sound"],
    ["มา", "ม้า", "tone"],
  ],
  Hangul: [
    ["음악", "음", "a syllable"],
    ["가", "까", "tense consonant"],
  ],
  "Kana and Han": [
    ["か", "が", "voiced sound mark"],
    ["ハ", "パ", "semi-voiced sound mark"],
    ["か", "カ", "Hiragana and Katakana"],
    ["つ", "っ", "small Kana"],
    ["ー", "-", "long vowel, not a dash"],
    ["音楽", "音乐", "Japanese and Chinese"],
    ["東京", "京東", "order"],
  ],
  "emoji and digits": [
    ["❤", "💙", "colour"],
    ["🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "England and Scotland, which differ in tags"],
    ["🏴󠁧󠁢󠁷󠁬󠁳󠁿", "🏴", "Wales and a black flag"],
    ["10", "1 0", "a blank parts numbers"],
    ["٣", "٤", "Arabic-Indic digits"],
  ],
};

/** Characters that folding changes, drops, or reads together with their neighbours. */
const delicate = [
  ..."# ＃İıiJ\u0307ẞßſSΣς´`\u0345\u0301\u0308\u200b\u200d\ufe0fﷺŉǰΐᾳ‑aеœș\u0326և\u20e3\u0085\u2800",
  ..."\u0649\u0654\u06c1\u06d5\u064e\u0640\u0e40\u0e4d\u0e33\u0e49\u0d28\u0d4d\u1100\u1161か\u309b",
  ..."\u{1f3f4}\u{e0067}\u{e007f}٣𝟗½…",
];

/** All of Unicode, and what is likely to break. */
const anyText = (maxLength: number) =>
  fc.oneof(
    fc.string({ unit: "binary", maxLength }),
    fc.string({ unit: "grapheme", maxLength }),
    fc.array(fc.constantFrom(...delicate), { maxLength }).map((parts) => parts.join("")),
  );

const count = (pairs: Pairs) => Object.values(pairs).flat().length;

describe("C interests", () => {
  test("are compared in at least sixty pairs that meet and thirty that do not", () => {
    expect(count(meet)).toBeGreaterThanOrEqual(60);
    expect(count(differ)).toBeGreaterThanOrEqual(30);
  });

  for (const [script, pairs] of Object.entries(meet))
    for (const [one, other, because] of pairs)
      test(`${script}: ${JSON.stringify(one)} meets ${JSON.stringify(other)}: ${because}`, () => {
        expect(one).not.toBe(other);
        expect(interestsOf(one)).toHaveLength(1);
        expect(interestsOf(one)).toEqual(interestsOf(other));
      });

  for (const [script, pairs] of Object.entries(differ))
    for (const [one, other, because] of pairs)
      test(`${script}: ${JSON.stringify(one)} does not meet ${JSON.stringify(other)}: ${because}`, () => {
        expect(interestsOf(one, other)).toHaveLength(2);
      });

  test("of what can't be seen alone are none, and cost no other", () => {
    for (const invisible of [
      "\u200b",
      "\u2800",
      "\u3164",
      "\u2060\u200e",
      "\ufe0f",
      "\u00ad",
      "\u{e0067}",
      "\u0000",
      "#",
      "##",
      "# \u200b#",
      "＃",
      "ـ",
    ])
      expect(interestsOf(invisible, "jazz")).toEqual(["jazz"]);
  });

  test("are folded once and for all, within their bound and without what can't be seen", () => {
    fc.assert(
      fc.property(anyText(40), (interest) => {
        const once = interestsOf(interest);
        expect(interestsOf(...once)).toEqual(once);
        for (const word of once) {
          expect([...word].length).toBeLessThanOrEqual(limits.interestCharsMax);
          expect(word).not.toMatch(/[\p{Default_Ignorable_Code_Point}\p{Cc}]|^#|^\s|\s$/u);
        }
      }),
      { numRuns: 5000 },
    );
  }, 30_000);

  test("meet in capitals and small letters, composed and decomposed", () => {
    fc.assert(
      fc.property(anyText(12), (interest) => {
        // The Greek iota below a letter is a letter in capitals. Alone it would take the marks that follow.
        fc.pre(!interest.includes("\u0345"));
        const folded = interestsOf(interest);
        for (const same of [
          interest.toUpperCase(),
          interest.toLowerCase(),
          interest.normalize("NFC"),
          interest.normalize("NFD"),
        ])
          expect([same, interestsOf(same)]).toEqual([same, folded]);
      }),
      { numRuns: 5000 },
    );
  }, 30_000);

  test("meet whatever invisible character is in them", () => {
    const invisible = fc.constantFrom("\u200b", "\u200c", "\u2060", "\u200e", "\u00ad", "\ufe0f");
    fc.assert(
      fc.property(anyText(6), invisible, anyText(6), (start, character, end) => {
        // Within the sequences whose invisible characters mean something, another one undoes that.
        fc.pre(!/[\u200d\u{e0000}-\u{e007f}]/u.test(start + end));
        expect(interestsOf(start + character + end)).toEqual(interestsOf(start + end));
      }),
      { numRuns: 5000 },
    );
  }, 30_000);
});
