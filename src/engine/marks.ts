/**
 * Short texts that are known for a while, on all nodes that share a storage. They are no part of any session, and losing one costs
 * its peer little: a challenge is asked again, a hint is missing in a report.
 */
import type { Rejection } from "../domain/rejection.ts";
import type { MaybePromise } from "../maybe-promise.ts";

/** Lives in milliseconds. A storage that is away is answered as `unavailable`. */
export interface Marks {
  /** Sets it unless it is set: whether it was not. */
  claim(name: string, lifeMs: number): MaybePromise<boolean | Rejection>;
  /** Sets it, whatever it was. */
  set(name: string, text: string, lifeMs: number): MaybePromise<Rejection | undefined>;
  get(name: string): MaybePromise<string | undefined | Rejection>;
}

/** Past this many those are forgotten that were set first. */
const marksMaxDefault = 100_000;
/** The share of all that is forgotten at once: looking for those whose time is over takes milliseconds. */
const forgottenShare = 1 / 16;

/** Marks in the memory of this process. @param elapsed the monotonic clock, in milliseconds. */
export function createMarks(elapsed: () => number, marksMax = marksMaxDefault): Marks {
  /** In the order in which they were set. */
  const marks = new Map<string, { text: string; until: number }>();

  function get(name: string): string | undefined {
    const mark = marks.get(name);
    return mark && mark.until > elapsed() ? mark.text : undefined;
  }

  function set(name: string, text: string, lifeMs: number): undefined {
    // Last in the order again.
    marks.delete(name);
    if (marks.size >= marksMax) makeRoom();
    marks.set(name, { text, until: elapsed() + lifeMs });
  }

  function makeRoom(): void {
    const now = elapsed();
    for (const [name, { until }] of marks) if (until <= now) marks.delete(name);
    const keptMax = marksMax - Math.max(1, Math.floor(marksMax * forgottenShare));
    for (const name of marks.keys()) {
      if (marks.size <= keptMax) return;
      marks.delete(name);
    }
  }

  return {
    claim(name, lifeMs) {
      if (get(name) !== undefined) return false;
      set(name, "1", lifeMs);
      return true;
    },
    set,
    get,
  };
}
