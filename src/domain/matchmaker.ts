/**
 * Who is paired with whom: pure functions of the ticket that looks, the tickets that it may have, the
 * time, and a source of randomness. The engine has applied the hard rules (same mode, both present,
 * neither avoids the other, each accepts the other); what is left here is taste and fairness.
 */
import { includes, type Ticket } from "./ticket.ts";

export interface MatchContext {
  /** Epoch milliseconds. */
  now: number;
  /** A number in [0, 1). */
  random: () => number;
}

/**
 * Chooses a partner for `ticket` from `candidates` (never empty, oldest place first, bounded), or nobody.
 * Must be pure. Whoever is not chosen goes on waiting and is offered again.
 */
export type Policy = (
  ticket: Ticket,
  eligible: readonly Ticket[],
  moment: MatchContext,
) => Ticket | undefined;

/** The interests that both tickets named. */
export function sharedInterests(a: Ticket, b: Ticket): string[] {
  const shared: string[] = [];
  for (const word of a.wishes.interests) if (includes(b.wishes.interests, word)) shared.push(word);
  return shared;
}

/** How many words two lists share. */
function countShared(mine: readonly string[], yours: readonly string[]): number {
  let count = 0;
  for (const word of mine) if (includes(yours, word)) count += 1;
  return count;
}

/** Shared interests first, then a shared language, then anybody. */
function scoreOf(a: Ticket, b: Ticket): number {
  const interests = countShared(a.wishes.interests, b.wishes.interests);
  if (interests > 0) return 1 + interests;
  return countShared(a.wishes.languages, b.wishes.languages) > 0 ? 1 : 0;
}

/**
 * The policy that is used when the operator gives none.
 *
 * Fairness, as a contract:
 * - Once a fitting ticket has waited `patienceMs` since its place, the next ticket that looks takes it,
 *   whatever else is on offer; only a ticket with an older place goes before it.
 * - Before that, among equally good partners nobody is passed over for one whose place is more than
 *   `windowMs` younger; inside that window the choice is random, so that two who know each other's
 *   rhythm can't force a meeting.
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
