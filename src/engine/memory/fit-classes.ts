/**
 * The tickets of a long list by what they state and refuse, so that one who fits few of them is found without reading the others. All
 * tickets with the same bits (see `Fit`) are a class; the bits of all classes lie side by side, and comparing a ticket with thousands of
 * them takes microseconds.
 */
import type { Fit } from "../../domain/facts.ts";
import { after, TimeBuckets, type Entry } from "../time-buckets.ts";

/** Tickets of one class that are passed over in a look because of what only exact values tell, or because they avoid each other. */
const passedMax = 64;

export interface FitClass<P> {
  readonly key: string;
  /** Its place in the list of classes. */
  index: number;
  readonly peers: TimeBuckets<P>;
}

/** Where a ticket is in its class. */
export interface ClassEntry<P> {
  readonly of: FitClass<P>;
  readonly entry: Entry<P>;
}

export class FitClasses<P> {
  readonly #bucketMs: number;
  /** Of each class as many words as a `Fit` has. */
  #bits: Int32Array;
  readonly #words: number;
  readonly #classes: FitClass<P>[] = [];
  readonly #byKey = new Map<string, FitClass<P>>();

  /** @param words that a `Fit` has. */
  constructor(bucketMs: number, words: number) {
    this.#bucketMs = bucketMs;
    this.#words = words;
    this.#bits = new Int32Array(16 * words);
  }

  add(peer: P, { bits }: Fit, queuedSince: number): ClassEntry<P> {
    const key = bits.join();
    const of = this.#byKey.get(key) ?? this.#create(key, bits);
    return { of, entry: of.peers.add(queuedSince, peer) };
  }

  remove({ of, entry }: ClassEntry<P>): void {
    of.peers.remove(entry);
    if (of.peers.size > 0) return;
    this.#byKey.delete(of.key);
    // The last one takes its place.
    const last = this.#classes.pop();
    if (!last || last === of) return;
    const from = last.index * this.#words;
    this.#bits.copyWithin(of.index * this.#words, from, from + this.#words);
    last.index = of.index;
    this.#classes[of.index] = last;
  }

  /**
   * Visits tickets of the classes that fit, those of a class the longest queued first.
   * @param visit answers `later` for one that does not count, and `enough` if those that were queued later need not be visited.
   */
  forEachFitting({ bits }: Fit, visit: (peer: P) => "taken" | "later" | "enough"): void {
    const words = this.#words / 2;
    const all = this.#bits;
    for (let index = 0; index < this.#classes.length; index++) {
      const from = index * this.#words;
      let refused = 0;
      for (let n = 0; n < words; n++) {
        refused |= (bits[n] ?? 0) & (all[from + words + n] ?? 0);
        refused |= (bits[words + n] ?? 0) & (all[from + n] ?? 0);
      }
      if (refused === 0) this.#visit(index, visit);
    }
  }

  #visit(index: number, visit: (peer: P) => "taken" | "later" | "enough"): void {
    let passed = 0;
    for (let entry = this.#classes[index]?.peers.first; entry; entry = after(entry)) {
      const answer = visit(entry.value);
      if (answer === "enough" || (answer === "later" && ++passed === passedMax)) return;
    }
  }

  #create(key: string, bits: readonly number[]): FitClass<P> {
    const index = this.#classes.length;
    const created = { key, index, peers: new TimeBuckets<P>(this.#bucketMs) };
    this.#classes.push(created);
    this.#byKey.set(key, created);
    if ((index + 1) * this.#words > this.#bits.length) {
      const grown = new Int32Array(2 * this.#bits.length);
      grown.set(this.#bits);
      this.#bits = grown;
    }
    this.#bits.set(bits, index * this.#words);
    return created;
  }
}
