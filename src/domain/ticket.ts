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
  place: number;
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

/** NFKC, case-folded, trimmed, inner blanks collapsed: 'Jazz ' meets 'jazz'. */
function normaliseInterest(interest: string): string {
  if (plainWords.test(interest) && interest.length <= limits.interestCharsMax) return interest;
  const folded = interest
    .normalize("NFKC")
    .toUpperCase() // 'ß' and 'SS', 'ς' and 'Σ' fold together only through upper case
    .toLowerCase()
    .trim()
    .replace(/\s+/g, " ");
  // NFKC can make eighteen characters of one; the bound is on what is kept and told.
  return [...folded].slice(0, limits.interestCharsMax).join("");
}

/** Whether the word is among these: on lists as short as ours a loop is several times faster than `includes`. */
export function names(words: readonly string[], word: string): boolean {
  for (const other of words) if (other === word) return true;
  return false;
}

/** Each word once, in order, and none that is empty. */
function unique(words: readonly string[], normalise: (word: string) => string): string[] {
  const known: string[] = [];
  for (const word of words) {
    const normal = normalise(word);
    if (normal !== "" && !names(known, normal)) known.push(normal);
  }
  return known;
}

const primarySubtag = (tag: string) => tag.toLowerCase().split("-", 1)[0] ?? "";

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
): { accepts: Acceptance; widensAfterMs?: number } {
  const wishesInterest = wishes.interests.length > 0;
  const wishesLanguage = wishes.languages.length > 0;
  if ((!wishesInterest && !wishesLanguage) || waitedMs >= steps.anybodyAfterMs)
    return { accepts: "anybody" };
  const byInterestOnly = wishesInterest && waitedMs < steps.languageAfterMs;
  if (byInterestOnly && wishesLanguage)
    return { accepts: "interest", widensAfterMs: steps.languageAfterMs };
  return {
    accepts: wishesLanguage ? "language" : "interest",
    widensAfterMs: steps.anybodyAfterMs,
  };
}
