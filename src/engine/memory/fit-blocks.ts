/**
 * The tickets of a long list by what they state and refuse, so that one who fits few of them is found without reading the others. They are in
 * blocks, each of which has the tickets that were queued in some interval. A block has a bit of every ticket for each value that can be
 * stated or refused (a bitmap index: one `and` compares 32 tickets), and says which values are stated in it at all, so that most blocks need not be looked into for a rare one.
 */
import type { Dimensions, Fitting } from "../../domain/facts.ts";

/** Tickets of one block. */
const slotsMax = 512;
const slotWords = slotsMax / 32;
/** A block with fewer is merged with one beside it, if that leaves room for as many. */
const slotsMin = slotsMax / 4;

/** What is known of a ticket in a block. */
export interface Slot<P> {
  block: Block<P>;
  index: number;
}

interface Block<P> {
  /** When its first ticket may have been queued; its last one not after the first of the next block. */
  queuedFrom: number;
  count: number;
  readonly peers: (P | undefined)[];
  readonly slots: (Slot<P> | undefined)[];
  /** `slotWords` words each: of the tickets that are there; that state each value; that refuse each value. */
  readonly bits: Int32Array;
  /** How many tickets state each value. */
  readonly counts: Uint16Array;
}

/** What a ticket that looks has to compare. Numbers of rows of a block's bits. */
interface Plan {
  /** Tickets in any of these do not fit. */
  readonly none: readonly number[];
  /** Of each of these, a ticket that fits is in one. */
  readonly any: readonly (readonly number[])[];
}

export class FitBlocks<P> {
  readonly #dimensions: Dimensions;
  readonly #queuedSince: (peer: P) => number;
  readonly #values: number;
  readonly #blocks: Block<P>[] = [];

  /** @param queuedSince of a peer's ticket. */
  constructor(dimensions: Dimensions, queuedSince: (peer: P) => number) {
    this.#dimensions = dimensions;
    this.#queuedSince = queuedSince;
    this.#values = 32 * dimensions.words;
  }

  add(peer: P, fitting: Fitting): Slot<P> {
    const queuedSince = this.#queuedSince(peer);
    let at = this.#at(queuedSince);
    if ((this.#blocks[at]?.count ?? slotsMax) === slotsMax) {
      this.#makeRoom(at);
      at = this.#at(queuedSince);
    }
    const block = this.#blocks[at] as Block<P>;
    const slot: Slot<P> = { block, index: 0 };
    this.#put(block, peer, slot, this.#dimensions.bitsOf(fitting));
    return slot;
  }

  remove({ block, index }: Slot<P>): void {
    this.#clear(block, index);
    if (block.count >= slotsMin) return;
    const at = this.#blocks.indexOf(block);
    if (block.count === 0) this.#blocks.splice(at, 1);
    else if (!this.#merge(at)) this.#merge(at + 1);
  }

  /**
   * Visits the tickets whose bits fit: block by block, those that were queued first before others, but in any order within a block.
   * @param visit is called with each; `next` before each further block: visiting ends when it answers `false`.
   */
  forEachFitting(fitting: Fitting, visit: (peer: P) => void, next: () => boolean): void {
    const plan = this.#planFor(fitting);
    for (const block of this.#blocks) {
      if (!mayFit(block, plan)) continue;
      visitFitting(block, plan, visit);
      if (!next()) return;
    }
  }

  // -------------------------------------------------------------------------------------------

  /** The block in which those are that were queued then. */
  #at(queuedSince: number): number {
    let low = 0;
    let high = this.#blocks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#blocks[middle]?.queuedFrom ?? 0) <= queuedSince) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Splits a full block in two; at the end a new one begins, as most tickets come there. */
  #makeRoom(at: number): void {
    const full = this.#blocks[at];
    const begin = (queuedFrom: number): Block<P> => ({
      queuedFrom,
      count: 0,
      peers: [],
      slots: [],
      bits: new Int32Array((1 + 2 * this.#values) * slotWords),
      counts: new Uint16Array(this.#values),
    });
    if (!full) return void this.#blocks.push(begin(Number.NEGATIVE_INFINITY));
    const times = full.peers.flatMap((peer) => (peer ? this.#queuedSince(peer) : []));
    times.sort((a, b) => a - b);
    const [first = 0] = times;
    const middle = at === this.#blocks.length - 1 ? times.length - 1 : times.length >>> 1;
    const from = times.slice(middle).find((time) => time > first);
    // If all were queued at one time, the next ones come into a block of their own.
    const added = begin(from ?? first);
    this.#blocks.splice(at + 1, 0, added);
    if (from !== undefined) this.#moveFrom(full, added, (peer) => this.#queuedSince(peer) >= from);
  }

  /** Moves all of a block into the one before it, if they fit there. */
  #merge(at: number): boolean {
    const [into, block] = [this.#blocks[at - 1], this.#blocks[at]];
    if (!into || !block || into.count + block.count > slotsMax - slotsMin) return false;
    this.#moveFrom(block, into, () => true);
    this.#blocks.splice(at, 1);
    return true;
  }

  #moveFrom(block: Block<P>, into: Block<P>, isMoved: (peer: P) => boolean): void {
    for (let index = 0; index < slotsMax; index++) {
      const [peer, slot] = [block.peers[index], block.slots[index]];
      if (!peer || !slot || !isMoved(peer)) continue;
      const bits = this.#bitsAt(block, index);
      this.#clear(block, index);
      this.#put(into, peer, slot, bits);
    }
  }

  #put(block: Block<P>, peer: P, slot: Slot<P>, bits: readonly number[]): void {
    let word = 0;
    while (block.bits[word] === -1) word += 1;
    const index = 32 * word + Math.clz32(~(block.bits[word] ?? 0));
    slot.block = block;
    slot.index = index;
    block.peers[index] = peer;
    block.slots[index] = slot;
    block.count += 1;
    const mask = maskOf(index);
    setRow(block, 0, word, mask);
    for (const [n, ones] of bits.entries())
      for (let left = ones; left !== 0;) {
        const bit = 31 - Math.clz32(left);
        left &= ~(1 << bit);
        const value = 32 * n + bit;
        setRow(block, 1 + value, word, mask);
        if (value < this.#values) block.counts[value] = (block.counts[value] ?? 0) + 1;
      }
  }

  #clear(block: Block<P>, index: number): void {
    const mask = maskOf(index);
    const word = index >>> 5;
    for (let row = 0; row <= 2 * this.#values; row++) {
      const at = row * slotWords + word;
      const bits = block.bits[at] ?? 0;
      if ((bits & mask) === 0) continue;
      block.bits[at] = bits & ~mask;
      if (row >= 1 && row <= this.#values) block.counts[row - 1] = (block.counts[row - 1] ?? 0) - 1;
    }
    block.peers[index] = undefined;
    block.slots[index] = undefined;
    block.count -= 1;
  }

  #bitsAt({ bits }: Block<P>, index: number): number[] {
    const mask = maskOf(index);
    return Array.from({ length: 2 * this.#dimensions.words }, (_, n) => {
      let ones = 0;
      for (let bit = 0; bit < 32; bit++)
        if (((bits[(1 + 32 * n + bit) * slotWords + (index >>> 5)] ?? 0) & mask) !== 0)
          ones |= 1 << bit;
      return ones;
    });
  }

  #planFor(fitting: Fitting): Plan {
    const { coded, words } = this.#dimensions;
    const bits = this.#dimensions.bitsOf(fitting);
    const none: number[] = [];
    const any: number[][] = [];
    const has = (from: number, value: number) =>
      ((bits[from + (value >>> 5)] ?? 0) & (1 << (value & 31))) !== 0;
    for (const { from, groups } of coded) {
      const refused: number[] = [];
      const accepted: number[] = [];
      for (let value = from; value <= from + groups; value++) {
        if (has(0, value)) none.push(1 + this.#values + value);
        (has(words, value) ? refused : accepted).push(1 + value);
      }
      if (refused.length > accepted.length) any.push(accepted);
      else none.push(...refused);
    }
    return { none, any };
  }
}

/** Bit 31 is that of the first of 32, as `Math.clz32` counts. */
const maskOf = (index: number) => (1 << 31) >>> (index & 31);

function setRow({ bits }: { bits: Int32Array }, row: number, word: number, mask: number): void {
  const at = row * slotWords + word;
  bits[at] = (bits[at] ?? 0) | mask;
}

/** Whether some ticket of the block states one of the accepted values of each dimension. */
function mayFit({ counts }: { counts: Uint16Array }, { any }: Plan): boolean {
  for (const rows of any) {
    let stated = 0;
    for (const row of rows) stated += counts[row - 1] ?? 0;
    if (stated === 0) return false;
  }
  return true;
}

function visitFitting<P>({ bits, peers }: Block<P>, plan: Plan, visit: (peer: P) => void): void {
  for (let word = 0; word < slotWords; word++) {
    let left = bits[word] ?? 0;
    for (const row of plan.none) left &= ~(bits[row * slotWords + word] ?? 0);
    for (const rows of plan.any) {
      if (left === 0) break;
      let stated = 0;
      for (const row of rows) stated |= bits[row * slotWords + word] ?? 0;
      left &= stated;
    }
    while (left !== 0) {
      const bit = Math.clz32(left);
      left &= ~maskOf(bit);
      const peer = peers[32 * word + bit];
      if (peer) visit(peer);
    }
  }
}
