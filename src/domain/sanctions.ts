/** What was done about each subject before, from which follows what is done next: first a warning, then ever longer suspensions. */

export interface Sanction {
  /** Epoch milliseconds. Two of the same moment and kind are one. */
  at: number;
  /** Of a suspension its end (epoch milliseconds); absent for a warning. */
  until?: number | undefined;
}

export interface SanctionLimits {
  /** Whether a warning comes before the first suspension. */
  warns: boolean;
  /** After which a sanction no longer counts (milliseconds); 0: never. */
  decayMs: number;
  /** Subjects that are remembered; past that the one whose last sanction is the oldest is forgotten. */
  recordsMax: number;
}

/** Sanctions kept of one subject: more steps than anybody configures. */
const perSubjectMax = 32;

export class Sanctions {
  readonly #limits: SanctionLimits;
  /** By subject, the one that was sanctioned the longest ago first; of each the oldest first. */
  readonly #past = new Map<string, Sanction[]>();

  constructor(limits: SanctionLimits) {
    this.#limits = limits;
  }

  /**
   * Which sanction comes next: `warning`, or how many suspensions came before it. It counts only what was before `now`, so that the same
   * reports lead to the same also when they are read again. A suspension that prolongs another one is no further step.
   * @param isCertain whether it is suspended in any case.
   */
  nextStep(
    subject: string,
    now: number,
    { isCertain }: { isCertain: boolean },
  ): "warning" | number {
    const { warns, decayMs } = this.#limits;
    const since = decayMs === 0 ? Number.NEGATIVE_INFINITY : now - decayMs;
    const counting = (this.#past.get(subject) ?? []).filter(({ at }) => at < now && at > since);
    if (warns && counting.length === 0 && !isCertain) return "warning";
    let suspensions = 0;
    let end = Number.NEGATIVE_INFINITY;
    for (const { at, until } of counting) {
      if (until === undefined) continue;
      if (at >= end) suspensions += 1;
      end = Math.max(end, until);
    }
    return now < end ? suspensions - 1 : suspensions;
  }

  add(subject: string, sanction: Sanction): void {
    const past = this.#past.get(subject) ?? [];
    const isKnown = past.some(({ at, until }) => at === sanction.at && until === sanction.until);
    if (isKnown) return;
    this.#past.delete(subject);
    const all = [...past, sanction].sort((a, b) => a.at - b.at);
    this.#past.set(subject, all.slice(-perSubjectMax));
    const [oldest] = this.#past.keys();
    if (this.#past.size > this.#limits.recordsMax && oldest !== undefined)
      this.#past.delete(oldest);
  }

  forget(subject: string): void {
    this.#past.delete(subject);
  }
}
