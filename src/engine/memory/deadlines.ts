/** All deadlines of the engine in memory. Each kind has time buckets of its own, as all its deadlines are equally long. */
import type { Account, Person, Scheduled, StoredSession } from "./stored-session.ts";
import type { DeadlineNotifier } from "../deadline-notifier.ts";
import { TimeBuckets } from "../time-buckets.ts";

const relaxationStepMs = 250;

/** A cooldown during which `one` avoids `other`. */
export interface Cooldown {
  one: Person;
  other: Person;
  until: number;
}

export class Deadlines {
  readonly graces = new TimeBuckets<StoredSession>(1);
  /** Graces that a partner has extended. */
  readonly keeps = new TimeBuckets<StoredSession>(1);
  readonly cooldowns = new TimeBuckets<Cooldown>(1);
  /** By how far ahead they were scheduled, in steps: those of one queue are scheduled nearly in their order, and there are few queues. */
  readonly relaxations = new Map<number, TimeBuckets<StoredSession>>();
  /** When a session that is gone is forgotten: those that block, or are blocked, are kept longer. */
  readonly retentions = new TimeBuckets<StoredSession>(1);
  readonly blockerRetentions = new TimeBuckets<StoredSession>(1);
  /** When an account is forgotten that blocks another one, or is blocked, and whose sessions are all forgotten. */
  readonly accountRetentions = new TimeBuckets<Account>(1);
  readonly #notifier: DeadlineNotifier;

  constructor(notifier: DeadlineNotifier) {
    this.#notifier = notifier;
  }

  schedule<T>(buckets: TimeBuckets<T>, at: number, value: T): Scheduled<T> {
    const scheduled = { buckets, entry: buckets.add(at, value) };
    this.#notifier.notify(at);
    return scheduled;
  }

  scheduleRelaxation(at: number, now: number, session: StoredSession): Scheduled<StoredSession> {
    const { relaxations } = this;
    const step = Math.ceil((at - now) / relaxationStepMs);
    const buckets = relaxations.get(step) ?? new TimeBuckets<StoredSession>(1);
    relaxations.set(step, buckets);
    return this.schedule(buckets, at, session);
  }

  startCooldown(cooldown: Cooldown): void {
    this.cooldowns.add(cooldown.until, cooldown);
    this.#notifier.notify(cooldown.until);
  }

  /** Milliseconds of the engine's clock; `undefined` if there is no deadline. */
  get earliest(): number | undefined {
    const { graces, keeps, cooldowns, relaxations, retentions, blockerRetentions } = this;
    const { accountRetentions } = this;
    const earliest = Math.min(
      graces.firstAt ?? Number.POSITIVE_INFINITY,
      keeps.firstAt ?? Number.POSITIVE_INFINITY,
      cooldowns.firstAt ?? Number.POSITIVE_INFINITY,
      ...[...relaxations.values()].map(({ firstAt }) => firstAt ?? Number.POSITIVE_INFINITY),
      retentions.firstAt ?? Number.POSITIVE_INFINITY,
      blockerRetentions.firstAt ?? Number.POSITIVE_INFINITY,
      accountRetentions.firstAt ?? Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(earliest) ? earliest : undefined;
  }
}

/** Undoes `schedule`; once only. */
export function cancel<T>({ buckets, entry }: Scheduled<T>): void {
  buckets.remove(entry);
}

/** Removes each deadline that is due at `now`, carries it out, and collects what that returns. */
export function takeDue<T>(
  buckets: TimeBuckets<T>,
  now: number,
  carryOut: (value: T) => readonly string[],
): string[] {
  const results: string[] = [];
  for (;;) {
    const { first } = buckets;
    if (!first || (buckets.firstAt ?? 0) > now) return results;
    buckets.remove(first);
    results.push(...carryOut(first.value));
  }
}
