/** A ticket is a waiting peer, with its wishes and since when it waits. */
import type { Mode } from "../protocol.ts";
import { forEachListedValue, isRequired, type Fitting, type Stated, type Want } from "./facts.ts";
import { includes } from "./includes.ts";
import { primaryLanguage } from "./languages.ts";
import { normaliseInterest } from "./words.ts";

/** What a peer asked for in `join`, normalised so that the wishes of two peers can be compared. */
export interface Wishes extends Stated {
  mode: Mode;
  interests: readonly string[];
  /** Primary language subtags (BCP 47), lower case. */
  languages: readonly string[];
  relayOnly: boolean;
  autoRejoin: boolean;
  /** The number of the lane that the operator has named: see lanes.ts; absent: none. Peers can't state it. */
  lane?: number;
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

export interface Ticket extends Fitting {
  sessionId: string;
  wishes: Wishes;
  /** When this waiting began (epoch milliseconds): wishes relax from here. */
  since: number;
  /** Since when it is queued (epoch milliseconds): its place is kept through rooms that others ended. */
  queuedSince: number;
  accepts: Acceptance;
  /** The wants that hold at the moment: whoever does not meet them is not accepted. Absent: none. */
  required: readonly Want[] | undefined;
  /** Changes with wishes, acceptance, presence and avoidance: two tickets are paired only at the versions that were compared. */
  revision: number;
}

/** After how much waiting (milliseconds) a wish relaxes: to a shared language, then to anybody. */
export interface RelaxSteps {
  languageAfterMs: number;
  anybodyAfterMs: number;
  /** After which a ticket meets those of other lanes as well; 0 or absent: there are no lanes. */
  laneAfterMs?: number | undefined;
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

/**
 * The wishes of a peer in the form in which two are compared.
 * @param asked its facts and wants are of declared dimensions, and valid.
 */
export function normaliseWishes(
  asked: {
    mode: Mode;
    interests: string[];
    languages: string[];
    relayOnly: boolean;
    autoRejoin: boolean;
  } & Stated,
): Wishes {
  const { facts, wants } = asked;
  return {
    ...(facts && { facts }),
    ...(wants && wants.length > 0 && { wants }),
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
    return relaxing("anybody", undefined, wishes, waitedMs, steps);
  const byInterestOnly = wishesInterest && waitedMs < steps.languageAfterMs;
  if (byInterestOnly && wishesLanguage)
    return relaxing("interest", steps.languageAfterMs, wishes, waitedMs, steps);
  const accepted = wishesLanguage ? "language" : "interest";
  return relaxing(accepted, steps.anybodyAfterMs, wishes, waitedMs, steps);
}

/** @param wordsAfterMs when its interests and languages give way next. */
function relaxing(
  accepted: Acceptance,
  wordsAfterMs: number | undefined,
  { wants }: Wishes,
  waitedMs: number,
  { laneAfterMs = 0 }: RelaxSteps,
): { accepts: Acceptance; relaxesAfterMs?: number } {
  let relaxesAfterMs = wordsAfterMs;
  if (waitedMs < laneAfterMs) relaxesAfterMs = Math.min(laneAfterMs, relaxesAfterMs ?? laneAfterMs);
  for (const want of wants ?? []) {
    const { softAfterMs } = want;
    if (softAfterMs !== undefined && isRequired(want, waitedMs))
      relaxesAfterMs = Math.min(softAfterMs, relaxesAfterMs ?? softAfterMs);
  }
  return relaxesAfterMs === undefined
    ? { accepts: accepted }
    : { accepts: accepted, relaxesAfterMs };
}

/** What a term lists: those who name an interest, speak a language, state or want a value of a listed dimension, or accept anybody. */
export type TermKind = Acceptance | "fact";

/**
 * Under which terms a ticket is found, and just as well where it looks. Two that fit share one: an interest; a language, or nothing but that
 * each accepts the other, once both do. A ticket that wants a value of a dimension whose values are listed is not among those who accept
 * anybody but among those who state it. The terms of two lobbies differ, so that nobody is offered a ticket of another one.
 */
export function forEachIndexTerm(
  ticket: Pick<Ticket, "wishes" | "accepts" | "required">,
  listed: ReadonlySet<string> | undefined,
  visit: (kind: TermKind, word: string) => void,
): void {
  const { wishes, accepts: acceptance } = ticket;
  // No word has a line break in it.
  const inLobby = wishes.lobby === undefined ? "" : `${wishes.lobby}\n`;
  for (const word of wishes.interests) visit("interest", inLobby + word);
  if (accepts(acceptance, "language"))
    for (const word of wishes.languages) visit("language", inLobby + word);
  if (!accepts(acceptance, "anybody")) return;
  const wantsListed =
    listed !== undefined &&
    forEachListedValue(ticket, listed, (dimension, value) =>
      visit("fact", `${inLobby}${dimension}\n${value}`),
    );
  if (!wantsListed) visit("anybody", inLobby);
}

/** When a ticket accepts more than now; `undefined` for one that never does. */
export function nextRelaxation(
  { wishes, since }: Pick<Ticket, "wishes" | "since">,
  now: number,
  steps: RelaxSteps,
): number | undefined {
  const { relaxesAfterMs } = acceptanceAfter(wishes, now - since, steps);
  return relaxesAfterMs === undefined ? undefined : since + relaxesAfterMs;
}
