/** How long peers waited lately, for an honest estimate: the median, or nothing while there is too little. */
import type { Mode } from "../protocol.ts";

const samplesKept = 64;
const samplesNeeded = 3;
/** Older samples tell nothing about now (milliseconds). */
const freshMs = 600_000;
/** A median is worked out at most this often (milliseconds). */
const refreshMs = 1000;

export class WaitEstimator {
  #samples: { at: number; waitedMs: number }[] = [];
  #median: number | undefined;
  #medianAt = Number.NEGATIVE_INFINITY;

  /** Somebody who had to wait was paired after `waitedMs`. */
  record(waitedMs: number, now: number): void {
    this.#samples.push({ at: now, waitedMs });
    if (this.#samples.length > 2 * samplesKept) this.#samples = this.#samples.slice(-samplesKept);
  }

  /** Milliseconds, or `undefined` when there is nothing to base it on. */
  estimate(now: number): number | undefined {
    if (now - this.#medianAt < refreshMs) return this.#median;
    const fresh = this.#samples.slice(-samplesKept).filter(({ at }) => now - at <= freshMs);
    const waits = fresh.map(({ waitedMs }) => waitedMs).sort((a, b) => a - b);
    this.#median = fresh.length < samplesNeeded ? undefined : waits[waits.length >> 1];
    this.#medianAt = now;
    return this.#median;
  }
}

/** One estimator for each mode. */
export const createWaitEstimators = (): Record<Mode, WaitEstimator> => ({
  video: new WaitEstimator(),
  audio: new WaitEstimator(),
  text: new WaitEstimator(),
});
