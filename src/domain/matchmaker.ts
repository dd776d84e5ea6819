/**
 * Who is paired with whom: pure functions of the ticket that looks for a partner, the tickets that are eligible, the time, and
 * a source of randomness. The engine has applied the hard rules (same mode, both present, neither avoids the other, each
 * accepts the other); preference and fairness are decided here.
 */
import { meets } from "./facts.ts";
import { includes } from "./includes.ts";
import type { Ticket } from "./ticket.ts";

export interface MatchContext {
  /** Epoch milliseconds. */
  now: number;
  /** A number in [0, 1). */
  random: () => number;
}

/**
 * Chooses a partner for `ticket` from `eligible` (never empty, the longest queued first, bounded), or none. Must be pure.
 * Tickets that are not chosen keep waiting, and are offered again.
 */
export type Policy = (
  ticket: Ticket,
  eligible: readonly Ticket[],
  moment: MatchContext,
) => Ticket | undefined;

/** The interests that both tickets named. */
export function sharedInterests(a: Pick<Ticket, "wishes">, b: Pick<Ticket, "wishes">): string[] {
  const shared: string[] = [];
  for (const word of a.wishes.interests) if (includes(b.wishes.interests, word)) shared.push(word);
  return shared;
}

/** How many items two lists share. */
function countShared(mine: readonly string[], yours: readonly string[]): number {
  let count = 0;
  for (const item of mine) if (includes(yours, item)) count += 1;
  return count;
}

/** Shared interests count most, and as much as wants that the other one meets; then a shared language. */
function scoreOf(a: Ticket, b: Ticket): number {
  const met = countShared(a.wishes.interests, b.wishes.interests) + countMet(a, b) + countMet(b, a);
  if (met > 0) return 1 + met;
  return countShared(a.wishes.languages, b.wishes.languages) > 0 ? 1 : 0;
}

/** How many wants of one the other meets; hard ones are met by all who are eligible. */
function countMet({ wishes: { wants } }: Ticket, { wishes: { facts } }: Ticket): number {
  if (wants === undefined) return 0;
  let count = 0;
  for (const want of wants) if (want.softAfterMs !== undefined && meets(facts, want)) count += 1;
  return count;
}

/**
 * The policy that is used when the operator gives none.
 *
 * Its fairness is a contract:
 * - Once an eligible ticket has been queued for `patienceMs`, the next ticket that looks is paired with it, whatever its score;
 *   only a ticket that has been queued longer precedes it.
 * - Before that, among equal scores no ticket is passed over for one that queued more than `windowMs` later. Within that window
 *   the choice is random, so that two who time their joins can't force a meeting.
 */
export function createFairPolicy({
  patienceMs,
  windowMs,
}: {
  patienceMs: number;
  windowMs: number;
}): Policy {
  return (ticket, eligible, { now, random }) => {
    const oldest = eligible[0];
    if (!oldest || now - oldest.queuedSince >= patienceMs) return oldest;

    let best: Ticket[] = [];
    let bestScore = -1;
    for (const candidate of eligible) {
      const score = scoreOf(ticket, candidate);
      if (score > bestScore) {
        best = [candidate];
        bestScore = score;
      } else if (
        score === bestScore &&
        candidate.queuedSince - (best[0]?.queuedSince ?? 0) <= windowMs
      ) {
        best.push(candidate);
      }
    }
    return best[Math.floor(random() * best.length)];
  };
}
