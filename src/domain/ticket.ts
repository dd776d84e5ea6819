/** A ticket is a waiting peer, with its wishes and since when it waits. */
import type { Mode } from "../protocol.ts";
import { primaryLanguage } from "./languages.ts";
import { normaliseInterest } from "./words.ts";

/** What a peer asked for in `join`, normalised so that the wishes of two peers can be compared. */
export interface Wishes {
  mode: Mode;
  interests: readonly string[];
  /** Primary language subtags (BCP 47), lower case. */
  languages: readonly string[];
  relayOnly: boolean;
  autoRejoin: boolean;
  /** Only tickets of one lobby meet. The operator says which one it is; absent: the one that is always there. */
  lobby?: string;
}

/** The wishes of a peer that has never stated any. */
export const defaultWishes: Wishes = {
  mode: "video",
  interests: [],
  languages: [],
  relayOnly: false,
  autoRejoin: true,
};

/**
 * Whom a ticket accepts at the moment: only those who share an interest; also those who share a language; or anybody in its
 * mode. It relaxes with the ticket's own waiting time and never becomes stricter.
 */
export type Acceptance = "interest" | "language" | "anybody";

const acceptances: readonly Acceptance[] = ["interest", "language", "anybody"];

/** Whether `acceptance` is at least as relaxed as `wanted`. */
export function accepts(acceptance: Acceptance, wanted: Acceptance): boolean {
  return acceptances.indexOf(acceptance) >= acceptances.indexOf(wanted);
}

export interface Ticket {
  sessionId: string;
  wishes: Wishes;
  /** When this waiting began (epoch milliseconds): wishes relax from here. */
  since: number;
  /** Since when it is queued (epoch milliseconds): its place is kept through rooms that others ended. */
  queuedSince: number;
  accepts: Acceptance;
  /** Changes with wishes, acceptance, presence and avoidance: two tickets are paired only at the versions that were compared. */
  revision: number;
}

/** After how much waiting (milliseconds) a wish relaxes: to a shared language, then to anybody. */
export interface RelaxSteps {
  languageAfterMs: number;
  anybodyAfterMs: number;
}

/** `Array.prototype.includes` as a loop, which is several times faster on short lists. */
export function includes(items: readonly string[], item: string): boolean {
  for (const other of items) if (other === item) return true;
  return false;
}

/** Each item once, normalised, in order, and without empty ones. */
function unique(words: readonly string[], normalise: (word: string) => string): string[] {
  const known: string[] = [];
  for (const word of words) {
    const normal = normalise(word);
    if (normal !== "" && !includes(known, normal)) known.push(normal);
  }
  return known;
}

/** The wishes of a peer in the form in which two are compared. */
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
    languages: unique(asked.languages, primaryLanguage),
    relayOnly: asked.relayOnly,
    autoRejoin: asked.autoRejoin,
  };
}

/** Whom a ticket with these wishes accepts after `waitedMs`, and after which waiting time it accepts more. */
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

/**
 * Under which terms a ticket is found, and just as well where it looks: each interest, and what it accepts besides. The terms of two lobbies
 * differ, so that nobody is offered a ticket of another one.
 */
export function forEachIndexTerm(
  { wishes, accepts: acceptance }: Pick<Ticket, "wishes" | "accepts">,
  visit: (kind: Acceptance, word: string) => void,
): void {
  // No word has a line break in it.
  const inLobby = wishes.lobby === undefined ? "" : `${wishes.lobby}\n`;
  for (const word of wishes.interests) visit("interest", inLobby + word);
  if (accepts(acceptance, "language"))
    for (const word of wishes.languages) visit("language", inLobby + word);
  if (accepts(acceptance, "anybody")) visit("anybody", inLobby);
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
