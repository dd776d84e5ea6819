/** The recorded results of one session's mutations. */
import { resultKeptMs, resultsMax } from "../../domain/recorded-result.ts";

/** Results that were recorded one after the other, and when the last of them was (milliseconds of the engine's clock). */
interface Generation {
  readonly results: Map<string, object>;
  lastAt: number;
}

/**
 * Keeps the last `resultsMax` results, and up to as many older ones, each at least for `resultKeptMs`. In two generations, which
 * are dropped as a whole: deleting the oldest entry of a `Map` for each new one makes recording a third slower, and an object with
 * its own time for each result would be one more for the garbage collector to visit.
 */
export class RecordedResults {
  #recent: Generation | undefined;
  #older: Generation | undefined;

  /** The result of this mutation, if it was recorded and is not too old by `now`. */
  get(mutationId: string, now: number): object | undefined {
    return find(this.#recent, mutationId, now) ?? find(this.#older, mutationId, now);
  }

  set(mutationId: string, result: object, now: number): void {
    const recent = (this.#recent ??= { results: new Map(), lastAt: now });
    recent.results.set(mutationId, result);
    recent.lastAt = now;
    if (recent.results.size < resultsMax) return;
    this.#older = recent;
    this.#recent = undefined;
  }
}

function find(generation: Generation | undefined, mutationId: string, now: number) {
  if (!generation || generation.lastAt + resultKeptMs <= now) return undefined;
  return generation.results.get(mutationId);
}
