/** Estimates how long a peer will wait: the median of recent waits, or nothing while there are too few. */
import type { Mode } from "../protocol.ts";

const samplesKept = 64;
const samplesNeeded = 3;
/** Older samples are ignored (milliseconds). */
const freshMs = 600_000;
/** The median is calculated at most this often (milliseconds). */
const refreshMs = 1000;

export class WaitEstimator {
  #samples: { at: number; waitedMs: number }[] = [];
  #median: number | undefined;
  #medianAt = Number.NEGATIVE_INFINITY;

  /** A peer was paired after `waitedMs`. */
  record(waitedMs: number, now: number): void {
    this.#samples.push({ at: now, waitedMs });
    if (this.#samples.length > 2 * samplesKept) this.#samples = this.#samples.slice(-samplesKept);
  }

  /** Milliseconds; `undefined` while there are too few samples. */
  estimate(now: number): number | undefined {
    if (now - this.#medianAt < refreshMs) return this.#median;
    const fresh = this.#samples.slice(-samplesKept).filter(({ at }) => now - at <= freshMs);
    const waits = fresh.map(({ waitedMs }) => waitedMs).sort((a, b) => a - b);
    this.#median = fresh.length < samplesNeeded ? undefined : waits[waits.length >> 1];
    this.#medianAt = now;
    return this.#median;
  }

  /** Whether all samples are too old to count. */
  isStale(now: number): boolean {
    const last = this.#samples.at(-1);
    return last === undefined || now - last.at > freshMs;
  }
}

/** One estimator for each mode. */
export const createWaitEstimators = (): Record<Mode, WaitEstimator> => ({
  video: new WaitEstimator(),
  audio: new WaitEstimator(),
  text: new WaitEstimator(),
});
