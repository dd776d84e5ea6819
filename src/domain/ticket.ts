/** A ticket is a peer that waits, with its wishes and since when. */
import { limits, type Mode } from "../protocol.ts";

/** What a peer asked for in `join`, normalised so that two peers' words can be compared. */
export interface Wishes {
  mode: Mode;
  interests: readonly string[];
  /** Primary language subtags (BCP 47), lower case. */
  languages: readonly string[];
  relayOnly: boolean;
  autoRejoin: boolean;
}

/** What a peer wishes that never said. */
export const defaultWishes: Wishes = {
  mode: "video",
  interests: [],
  languages: [],
  relayOnly: false,
  autoRejoin: true,
};

/**
 * Whom a ticket takes at the moment: only who shares an interest; also who shares a language; or anybody
 * in its mode. It widens with the ticket's own waiting time and never narrows.
 */
export type Acceptance = "interest" | "language" | "anybody";

const acceptances: readonly Acceptance[] = ["interest", "language", "anybody"];

/** Whether `acceptance` is at least as wide as `wanted`. */
export function accepts(acceptance: Acceptance, wanted: Acceptance): boolean {
  return acceptances.indexOf(acceptance) >= acceptances.indexOf(wanted);
}

export interface Ticket {
  sessionId: string;
  wishes: Wishes;
  /** Epoch milliseconds at which this waiting began: wishes relax from here. */
  since: number;
  /** Epoch milliseconds of its first waiting: the older, the sooner it is its turn. */
  queuedSince: number;
  accepts: Acceptance;
  /** Changes with wishes, acceptance, presence and avoidance: a pair is made only of tickets as they were seen. */
  revision: number;
}

/** After how much waiting (milliseconds) a wish gives way: to a shared language, then to anybody. */
export interface RelaxSteps {
  languageAfterMs: number;
  anybodyAfterMs: number;
}

/** What nearly everybody types is in the normal form already, and normalising costs more than pairing. */
const plainWords = /^[a-z0-9]+(?: [a-z0-9]+)*$/;

/** Characters that stand for the same one in what people type, by the one that is kept. */
const sameCharacters: readonly (readonly [RegExp, string])[] = [
  [/[\u2018\u2019\u201b\u02bc\u02b9\u2032\u00b4\u0060\uff07]/g, "'"],
  [/[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]/g, "-"],
  // Persian and Arabic keyboards write yeh and kaf differently.
  [/[\u064a\u0649]/g, "\u06cc"],
  [/\u0643/g, "\u06a9"],
];

/** One pass of the folding: what it makes can have something to fold again. */
function fold(text: string): string {
  let folded = text;
  // Before NFKC, which makes a space and an accent of U+00B4.
  for (const [characters, kept] of sameCharacters) folded = folded.replace(characters, kept);
  folded = folded
    .normalize("NFKC")
    // Upper case joins 'ß' with 'SS' and 'ς' with 'Σ'; lower case before it joins 'ẞ' with 'ß'.
    .toLowerCase()
    .toUpperCase()
    .toLowerCase()
    .replaceAll("i\u0307", "i") // 'İ' in lower case
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .replace(/[\s\u2800]+/g, " ")
    .replace(/^(?: ?#)+/, "")
    .trim();
  // NFKC can make eighteen characters of one; the bound is on what is kept and told.
  return [...folded].slice(0, limits.interestCharsMax).join("").trim();
}

/** More than any text was seen to need: each pass makes it simpler or leaves it. */
const foldsMax = 8;

/**
 * NFKC, case-folded, without what can't be seen and without a leading '#', blanks collapsed: 'Jazz ' meets '#jazz'.
 * Empty where nothing is left. Idempotent.
 */
function normaliseInterest(interest: string): string {
  if (plainWords.test(interest) && interest.length <= limits.interestCharsMax) return interest;
  let folded = interest;
  for (let n = 0; n < foldsMax; n++) {
    const next = fold(folded);
    if (next === folded) break;
    folded = next;
  }
  return folded;
}

/** Whether the word is among these: on lists as short as ours a loop is several times faster than `includes`. */
export function includes(words: readonly string[], word: string): boolean {
  for (const other of words) if (other === word) return true;
  return false;
}

/** Each word once, in order, and none that is empty. */
function unique(words: readonly string[], normalise: (word: string) => string): string[] {
  const known: string[] = [];
  for (const word of words) {
    const normal = normalise(word);
    if (normal !== "" && !includes(known, normal)) known.push(normal);
  }
  return known;
}

/** Bokmål is what `no` means nearly everywhere (CLDR's likely subtags); their speakers are to meet. */
const sameLanguage: ReadonlyMap<string, string> = new Map([
  ["nb", "no"],
  // Filipino is standardised Tagalog; CLDR takes the one for the other.
  ["tl", "fil"],
]);

/** A BCP 47 tag's primary subtag by today's name (CLDR's aliases: `iw` is `he`); empty for what is no tag. */
function primarySubtag(tag: string): string {
  try {
    const [canonical = ""] = Intl.getCanonicalLocales(tag);
    const [primary = ""] = canonical.split("-", 1);
    return sameLanguage.get(primary) ?? primary;
  } catch {
    return "";
  }
}

/** What a peer asked for, in the form in which two peers' wishes are compared. */
export function normaliseWishes(asked: {
  mode: Mode;
  interests: string[];
  languages: string[];
  relayOnly: boolean;
  autoRejoin: boolean;
}): Wishes {
  return {
    mode: asked.mode,
    interests: unique(asked.interests, normaliseInterest),
    languages: unique(asked.languages, primarySubtag),
    relayOnly: asked.relayOnly,
    autoRejoin: asked.autoRejoin,
  };
}

/** Whom a ticket with these wishes takes after `waitedMs`, and after which waiting that widens next. */
export function acceptanceAfter(
  wishes: Wishes,
  waitedMs: number,
  steps: RelaxSteps,
): { accepts: Acceptance; relaxesAfterMs?: number } {
  const wishesInterest = wishes.interests.length > 0;
  const wishesLanguage = wishes.languages.length > 0;
  if ((!wishesInterest && !wishesLanguage) || waitedMs >= steps.anybodyAfterMs)
    return { accepts: "anybody" };
  const byInterestOnly = wishesInterest && waitedMs < steps.languageAfterMs;
  if (byInterestOnly && wishesLanguage)
    return { accepts: "interest", relaxesAfterMs: steps.languageAfterMs };
  return {
    accepts: wishesLanguage ? "language" : "interest",
    relaxesAfterMs: steps.anybodyAfterMs,
  };
}

/** Under which terms a ticket is found, and just as well where it looks: each interest, and what it accepts besides. */
export function forEachIndexTerm(
  { wishes, accepts: acceptance }: Pick<Ticket, "wishes" | "accepts">,
  visit: (kind: Acceptance, word: string) => void,
): void {
  for (const word of wishes.interests) visit("interest", word);
  if (accepts(acceptance, "language")) for (const word of wishes.languages) visit("language", word);
  if (accepts(acceptance, "anybody")) visit("anybody", "");
}

/** When a ticket accepts more than now, and what it then accepts; `undefined` for one that accepts anybody. */
export function nextRelaxation(
  { wishes, since, accepts: acceptance }: Pick<Ticket, "wishes" | "since" | "accepts">,
  now: number,
  steps: RelaxSteps,
): { to: "language" | "anybody"; at: number } | undefined {
  if (acceptance === "anybody") return undefined;
  const { relaxesAfterMs } = acceptanceAfter(wishes, now - since, steps);
  if (relaxesAfterMs === undefined) return undefined;
  const to = relaxesAfterMs === steps.languageAfterMs ? "language" : "anybody";
  return { to, at: since + relaxesAfterMs };
}
