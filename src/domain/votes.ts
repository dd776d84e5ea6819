/** Votes for a sanction: what they say, and of how many persons they are. */
import type { ReportReason } from "../protocol.ts";

export interface Vote {
  /** When it was made (epoch milliseconds). */
  at: number;
  reason: ReportReason;
  caseId: string | undefined;
}

/** The reason that most of the votes have; of several the one that was given last. */
export function mostFrequentReason(votes: readonly Vote[]): ReportReason {
  const counts = new Map<ReportReason, number>();
  for (const { reason } of votes) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return votes.findLast(({ reason }) => counts.get(reason) === most)?.reason ?? "other";
}

/** How many persons these reporters are at most: those who share an account or a network, of now or before, are taken for one. */
export function countPersons(reporters: Iterable<string>): number {
  let persons: Set<string>[] = [];
  for (const reporter of reporters) {
    const names = new Set(JSON.parse(reporter) as string[]);
    const others = persons.filter((person) => person.isDisjointFrom(names));
    for (const same of persons)
      if (!others.includes(same)) for (const name of same) names.add(name);
    persons = [...others, names];
  }
  return persons.length;
}
