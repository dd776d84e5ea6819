/** The recorded results of mutations. */
import { resultKeptMs, resultsMax } from "../domain/recorded-result.ts";

interface RecordedResult {
  /** Milliseconds of the engine's clock. */
  readonly at: number;
  readonly result: object;
}

/**
 * Keeps the last so many results (by default as many as are kept for one session) of the last `resultKeptMs`, and up to as many older ones. In two generations, the older of which
 * is dropped as a whole: deleting the oldest entry of a `Map` for each new one is slow.
 */
export class RecordedResults {
  readonly #max: number;
  #recent = new Map<string, RecordedResult>();
  #older: Map<string, RecordedResult> | undefined;
  /** When the first of the recent ones was recorded. */
  #recentSince = 0;

  constructor(max = resultsMax) {
    this.#max = max;
  }

  /** The result of this mutation, if it was recorded and is not too old by `now`. */
  get(mutationId: string, now: number): object | undefined {
    const recorded = this.#recent.get(mutationId) ?? this.#older?.get(mutationId);
    return recorded && recorded.at + resultKeptMs > now ? recorded.result : undefined;
  }

  set(mutationId: string, result: object, now: number): void {
    const isFull = this.#recent.size >= this.#max;
    if (this.#recent.size > 0 && (isFull || now >= this.#recentSince + resultKeptMs)) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    if (this.#recent.size === 0) this.#recentSince = now;
    this.#recent.set(mutationId, { at: now, result });
  }
}
