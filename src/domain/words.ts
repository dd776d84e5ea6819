/** Folds an interest as people type it, so that spellings of one word are equal and can be compared as text. */
import { limits } from "../protocol.ts";

/*
 * What is folded: case, compatibility characters (NFKC, UAX #15), blanks, what can't be seen, characters that keyboards write
 * differently, and what capitals or everyday spelling leave out: Greek accents, the dots of 'ё', Arabic and Hebrew vowel points.
 * Everything else that CLDR's root collation tells apart by letter or accent stays apart: 'o' and 'ö', 'c' and 'c++', and Latin 'o' and
 * Cyrillic 'о'. So do Hiragana and Katakana, and simplified and traditional Han, which have no mapping that is right in every word.
 */

/** What most input is in lower case: folded already. Folding costs more than pairing. */
const plainWords = /^[a-z0-9]+(?:[ '-][a-z0-9]+)*$/;

type Rule = readonly [characters: RegExp, replacement: string];

/** Applied before NFKC, which makes a space and a mark of some of these characters. */
const punctuation: readonly Rule[] = [
  [/[\u2018\u2019\u201b\u02b9\u02bb\u02bc\u2032\u00b4\u0060\uff07\uff40\u055a\u05f3]/g, "'"],
  [/[\u201c-\u201f\u02ba\u2033\u05f4]/g, '"'],
  // The wave dash and the full-width tilde are one character on Japanese keyboards.
  [/\u301c/g, "~"],
  [/[\p{Dash_Punctuation}\u2212]/gu, "-"],
  // Within Chinese and Japanese names, and in Catalan.
  [/[\u2022\u2027\u2219\u22c5\u30fb\uff65]/g, "\u00b7"],
  [/[\u2044\u2215]/g, "/"],
  // Voiced and semi-voiced sound marks of Kana, as characters of their own.
  [/\u309b/g, "\u3099"],
  [/\u309c/g, "\u309a"],
];

/** Applied after NFKC and case folding. */
const letters: readonly Rule[] = [
  // 'İ' in lower case is 'i' with a second dot. 'ı' has become 'i', as both are 'I' in capitals.
  [/(?<=\p{Soft_Dotted}\p{M}*)\u0307/gu, ""],
  // Greek capitals are written without accents and breathings. The dialytika stays: it tells words apart.
  [/(?<=\p{Script=Greek}\p{M}*)[\u0300\u0301\u0313\u0314\u0342]/gu, ""],
  // Only schoolbooks and dictionaries print every 'ё'.
  [/(?<=\u0435)\u0308/g, ""],
  // Legacy and Turkish keyboards have the cedilla for the Romanian comma.
  [/(?<=[st]\p{M}*)\u0326/gu, "\u0327"],
  // French keyboards lack the ligature. 'æ' is a letter of its own in Danish, and no ligature.
  [/œ/g, "oe"],
  // The Armenian ligature is 'եւ' by NFKC; 'ԵՎ' is how it is capitalised.
  [/եւ/g, "եվ"],
  // The tatweel only stretches a word. Arabic and Hebrew points and cantillation.
  [/\u0640/g, ""],
  [/[\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7]/g, ""],
  // Arabic, Persian and Urdu keyboards write yeh, kaf and heh differently; the hamza above yeh or heh is one in all of them.
  [/[\u064a\u0649]/g, "\u06cc"],
  [/\u0643/g, "\u06a9"],
  [/\u06c1/g, "\u0647"],
  [/\u06d5(?=\u0654)/g, "\u0647"],
  [/\u06c3/g, "\u0629"],
  // Thai and Lao: a tone mark and the ring of Sara Am are typed in either order, and two Sara E look like Sara Ae.
  [/([\u0e4d\u0ecd])([\u0e32\u0eb2]?)([\u0e48-\u0e4b\u0ec8-\u0ecb])/g, "$3$1$2"],
  [/\u0e40\u0e40/g, "\u0e41"],
  [/\u0ec0\u0ec0/g, "\u0ec1"],
];

/** Final consonants of Malayalam and Bengali, which older keyboards write as consonant, virama and ZWJ. */
const finalConsonants = new Map([
  ["\u0d23", "\u0d7a"],
  ["\u0d28", "\u0d7b"],
  ["\u0d30", "\u0d7c"],
  ["\u0d32", "\u0d7d"],
  ["\u0d33", "\u0d7e"],
  ["\u0d15", "\u0d7f"],
  ["\u09a4", "\u09ce"],
]);

/** The flags of England, Scotland and Wales differ in invisible tags only: the tags become the letters that they stand for. */
const showTags = (flag: string): string =>
  flag.replace(/[\u{e0030}-\u{e007a}]/gu, (tag) =>
    String.fromCodePoint((tag.codePointAt(0) ?? 0) - 0xe0000),
  );

function withoutInvisible(text: string): string {
  return (
    text
      .replace(/([\u0d15-\u0d33]\u0d4d|\u09a4\u09cd)\u200d/g, (written) => {
        const [consonant = ""] = written;
        return finalConsonants.get(consonant) ?? written;
      })
      .replace(/\u{1f3f4}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]+\u{e007f}/gu, showTags)
      // Among them variation selectors, bidirectional marks, soft hyphens and Hangul fillers.
      .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
      // U+0085 is a line break; U+2800 is a Braille pattern without dots.
      .replace(/[\s\u0085\u2800]+/g, " ")
      .replace(/[\p{Cc}\ufff9-\ufffb]/gu, "")
  );
}

/** The ASCII digit of a decimal digit of any script. Unicode keeps ten in a row, zero first. */
function asciiDigit(digit: string): string {
  const code = digit.codePointAt(0) ?? 0;
  let before = 0;
  while (/\p{Nd}/u.test(String.fromCodePoint(code - before - 1))) before++;
  return String(before % 10);
}

function applied(rules: readonly Rule[], text: string): string {
  let changed = text;
  for (const [characters, replacement] of rules) changed = changed.replace(characters, replacement);
  return changed;
}

/** One pass of the folding. Its result may have to be folded again. */
function pass(text: string): string {
  const compatible = applied(punctuation, withoutInvisible(text).normalize("NFC"))
    .normalize("NFKC")
    // Upper case joins 'ß' with 'SS' and 'ς' with 'Σ'; lower case before it joins 'ẞ' with 'ß'.
    .toLowerCase()
    .toUpperCase()
    .toLowerCase()
    .normalize("NFD");
  return (
    applied(letters, compatible)
      .normalize("NFC")
      .replace(/(?![0-9])\p{Nd}/gu, asciiDigit)
      .trim()
      // A hashtag's mark, however often: one at a time would not be idempotent. It may be a keycap, with a mark of its own.
      .replace(/^(?: ?#\p{M}*)+ ?/u, "")
  );
}

/** More passes than any text was found to need. Each simplifies the text or leaves it unchanged. */
const passesMax = 8;

function settled(text: string): string {
  let folded = text;
  for (let n = 0; n < passesMax; n++) {
    const next = pass(folded);
    if (next === folded) break;
    folded = next;
  }
  return folded;
}

/**
 * The word that stands for all spellings of an interest: ' Jazz' and '#jazz' are 'jazz'. Empty if nothing is left that can be
 * seen, else at most `limits.interestCharsMax` code points without line breaks. Idempotent.
 */
export function normaliseInterest(interest: string): string {
  const lowerCase = interest.toLowerCase();
  if (plainWords.test(lowerCase) && lowerCase.length <= limits.interestCharsMax) return lowerCase;
  const folded = settled(interest);
  // NFKC can turn one character into eighteen. What is cut may end in a blank, or its last letter have another form at the end.
  const cut = [...folded].slice(0, limits.interestCharsMax).join("");
  return cut === folded ? folded : settled(cut);
}
