/**
 * The tickets of a long list by what they state and refuse, so that one who fits few of them is found without reading the others. They are in
 * blocks, each of which has the tickets that were queued in some interval. A block has a bit of every ticket for each value that can be
 * stated or refused (a bitmap index: one `and` compares 32 tickets), and counts how many state each, so that a
 * block need not be looked into for one that nobody in it states.
 */
import type { Dimensions, Fitting } from "../../domain/facts.ts";

/** Tickets of one block. */
const slotsMax = 256;
const slotWords = slotsMax / 32;
/** A block with fewer is merged with one beside it, if that leaves room for as many. */
const slotsMin = slotsMax / 4;

/** The rows of a block's bits before those of values. */
const valueRows = 2;

/** A ticket in the list, and its place in a block. */
export interface Listed {
  block: Block | undefined;
  index: number;
}

interface Block {
  /** When its first ticket may have been queued; its last one not after the first of the next block. */
  queuedFrom: number;
  count: number;
  readonly listed: (Listed | undefined)[];
  /** When each was queued. */
  readonly times: Float64Array;
  /**
   * Rows of `slotWords` words: the tickets that are there; those with a want that bits do not tell all about; those that state each value;
   * those that refuse each value.
   */
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
  /** Whether bits tell all about its own wants. */
  readonly isTold: boolean;
}

export class FitBlocks<L extends Listed> {
  readonly #dimensions: Dimensions;
  readonly #queuedSince: (listed: L) => number;
  readonly #values: number;
  readonly #blocks: Block[] = [];
  /**
   * The ticket that was added last, until another one is added or looks: most tickets are paired as soon as they have been added and have
   * looked, and need no place in a block.
   */
  #latest: { listed: L; fitting: Fitting } | undefined;

  /** @param dimensions whose `bitsOf` may keep the bits of the last ticket. */
  constructor(dimensions: Dimensions, queuedSince: (listed: L) => number) {
    this.#dimensions = dimensions;
    this.#queuedSince = queuedSince;
    this.#values = 32 * dimensions.words;
  }

  add(listed: L, fitting: Fitting): void {
    this.#placeLatest();
    this.#latest = { listed, fitting };
  }

  #placeLatest(): void {
    if (!this.#latest) return;
    const { listed, fitting } = this.#latest;
    this.#latest = undefined;
    const queuedSince = this.#queuedSince(listed);
    let at = this.#at(queuedSince);
    if ((this.#blocks[at]?.count ?? slotsMax) === slotsMax) {
      this.#makeRoom(at, queuedSince);
      at = this.#at(queuedSince);
    }
    const block = this.#blocks[at];
    if (block) this.#put(block, listed, this.#dimensions.bitsOf(fitting), this.#isTold(fitting));
  }

  /** @param fitting as it was added. */
  remove(listed: L, fitting: Fitting): void {
    if (this.#latest?.listed === listed) this.#latest = undefined;
    const { block, index } = listed;
    if (!block) return;
    this.#clear(block, index, this.#dimensions.bitsOf(fitting));
    listed.block = undefined;
    if (block.count >= slotsMin) return;
    const at = this.#blocks.indexOf(block);
    if (block.count === 0) this.#blocks.splice(at, 1);
    else if (!this.#merge(at)) this.#merge(at + 1);
  }

  /**
   * Up to `countMax` of the tickets that fit, those that were queued first; perhaps fewer once `refusedMax` were not accepted.
   * @param accepts whether a ticket counts whose bits fit. `isTold`: they tell all about the wants of both.
   */
  findFirst(
    fitting: Fitting,
    { countMax, refusedMax }: { countMax: number; refusedMax: number },
    accepts: (listed: L, isTold: boolean) => boolean,
  ): L[] {
    if (this.#latest?.fitting !== fitting) this.#placeLatest();
    const plan = this.#planFor(fitting);
    const found: L[] = [];
    let refusedLeft = refusedMax;
    for (const block of this.#blocks) {
      const { listed, times, bits } = block;
      const slots = mayFit(block, plan) ? fittingSlots(block, plan) : [];
      // Within a block they are in any order. Reading a ticket costs far more than comparing times: only those are read that are chosen.
      while (slots.length > 0 && found.length < countMax && refusedLeft > 0) {
        const slot = takeEarliest(slots, times);
        const one = listed[slot] as L | undefined;
        if (!one) continue;
        const isTold = plan.isTold && ((bits[slotWords + (slot >>> 5)] ?? 0) & maskOf(slot)) === 0;
        if (accepts(one, isTold)) found.push(one);
        else refusedLeft -= 1;
      }
      if (found.length === countMax || refusedLeft === 0) break;
    }
    return found;
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

  /**
   * Makes room for a ticket that was queued then: splits a full block in two; at the end a new one begins, as most tickets come
   * there.
   */
  #makeRoom(at: number, queuedSince: number): void {
    const full = this.#blocks[at];
    const begin = (queuedFrom: number): Block => ({
      queuedFrom,
      count: 0,
      listed: [],
      times: new Float64Array(slotsMax),
      bits: new Int32Array((valueRows + 2 * this.#values) * slotWords),
      counts: new Uint16Array(this.#values),
    });
    if (!full) return void this.#blocks.push(begin(Number.NEGATIVE_INFINITY));
    const times = full.listed.flatMap((one) => (one ? this.#queuedSince(one as L) : []));
    times.sort((a, b) => a - b);
    const [first = 0] = times;
    const middle = at === this.#blocks.length - 1 ? times.length - 1 : times.length >>> 1;
    const from = times.slice(middle).find((time) => time > first);
    // If all were queued at one time, the others come into blocks of their own: those before it, and those of it or after it.
    if (from === undefined && queuedSince < first) {
      this.#blocks.splice(at, 0, begin(full.queuedFrom));
      full.queuedFrom = first;
      return;
    }
    const added = begin(from ?? first);
    this.#blocks.splice(at + 1, 0, added);
    if (from !== undefined)
      this.#moveFrom(full, added, (listed) => this.#queuedSince(listed) >= from);
  }

  /** Moves all of a block into the one before it, if they fit there. */
  #merge(at: number): boolean {
    const [into, block] = [this.#blocks[at - 1], this.#blocks[at]];
    if (!into || !block || into.count + block.count > slotsMax - slotsMin) return false;
    this.#moveFrom(block, into, () => true);
    this.#blocks.splice(at, 1);
    return true;
  }

  #moveFrom(block: Block, into: Block, isMoved: (listed: L) => boolean): void {
    for (const listed of block.listed as (L | undefined)[]) {
      if (!listed || !isMoved(listed)) continue;
      const { index } = listed;
      const bits = this.#bitsAt(block, index);
      const isTold = ((block.bits[slotWords + (index >>> 5)] ?? 0) & maskOf(index)) === 0;
      this.#clear(block, index, bits);
      this.#put(into, listed, bits, isTold);
    }
  }

  /** Whether bits tell all about a ticket's wants. */
  #isTold({ required }: Fitting): boolean {
    return required === undefined || required.every((want) => this.#dimensions.isTold(want));
  }

  #put(block: Block, listed: L, bits: readonly number[], isTold: boolean): void {
    let word = 0;
    while (block.bits[word] === -1) word += 1;
    const index = 32 * word + Math.clz32(~(block.bits[word] ?? 0));
    listed.block = block;
    listed.index = index;
    block.listed[index] = listed;
    block.times[index] = this.#queuedSince(listed);
    block.count += 1;
    if (!isTold) {
      const at = slotWords + (index >>> 5);
      block.bits[at] = (block.bits[at] ?? 0) | maskOf(index);
    }
    this.#toggle(block, index, bits, 1);
  }

  #clear(block: Block, index: number, bits: readonly number[]): void {
    block.listed[index] = undefined;
    const at = slotWords + (index >>> 5);
    block.bits[at] = (block.bits[at] ?? 0) & ~maskOf(index);
    block.count -= 1;
    this.#toggle(block, index, bits, -1);
  }

  /** Sets the bits of a ticket, or clears them. */
  #toggle(block: Block, index: number, bits: readonly number[], by: 1 | -1): void {
    const { bits: all, counts } = block;
    const mask = maskOf(index);
    const word = index >>> 5;
    all[word] = (all[word] ?? 0) ^ mask;
    for (let n = 0; n < bits.length; n++)
      for (let left = bits[n] ?? 0; left !== 0; left &= left - 1) {
        const value = 32 * n + 31 - Math.clz32(left & -left);
        const at = (valueRows + value) * slotWords + word;
        all[at] = (all[at] ?? 0) ^ mask;
        if (value < this.#values) counts[value] = (counts[value] ?? 0) + by;
      }
  }

  #bitsAt({ bits }: Block, index: number): number[] {
    const mask = maskOf(index);
    return Array.from({ length: 2 * this.#dimensions.words }, (_, n) => {
      let ones = 0;
      for (let bit = 0; bit < 32; bit++)
        if (((bits[(valueRows + 32 * n + bit) * slotWords + (index >>> 5)] ?? 0) & mask) !== 0)
          ones |= 1 << bit;
      return ones;
    });
  }

  #planFor(fitting: Fitting): Plan {
    const { coded, words } = this.#dimensions;
    const bits = this.#dimensions.bitsOf(fitting);
    const none: number[] = [];
    const any: number[][] = [];
    for (const { from, groups } of coded) {
      const word = from >>> 5;
      const all = (groups === 31 ? -1 : (1 << (groups + 1)) - 1) << (from & 31);
      const first = valueRows + 32 * word;
      addRows(none, first + this.#values, (bits[word] ?? 0) & all);
      const refused = (bits[words + word] ?? 0) & all;
      if (refused === 0) continue;
      const accepted: number[] = [];
      addRows(accepted, first, all & ~refused);
      if (2 * accepted.length <= groups) any.push(accepted);
      else addRows(none, first, refused);
    }
    return { none, any, isTold: this.#isTold(fitting) };
  }
}

/** Adds the numbers of the rows whose bits are set. @param first the row of bit 0. */
function addRows(rows: number[], first: number, bits: number): void {
  for (let left = bits; left !== 0; left &= left - 1)
    rows.push(first + 31 - Math.clz32(left & -left));
}

/** Bit 31 is that of the first of 32, as `Math.clz32` counts. */
const maskOf = (index: number) => (1 << 31) >>> (index & 31);

/** Whether some ticket of the block states one of the accepted values of each dimension. */
function mayFit({ counts }: { counts: Uint16Array }, { any }: Plan): boolean {
  for (const rows of any) {
    let stated = 0;
    for (const row of rows) stated += counts[row - valueRows] ?? 0;
    if (stated === 0) return false;
  }
  return true;
}

/** The slots of the tickets whose bits fit. */
function fittingSlots({ bits }: Block, plan: Plan): number[] {
  const slots: number[] = [];
  for (let word = 0; word < slotWords; word++) {
    let left = bits[word] ?? 0;
    for (const rows of plan.any) {
      if (left === 0) break;
      let stated = 0;
      for (const row of rows) stated |= bits[row * slotWords + word] ?? 0;
      left &= stated;
    }
    for (const row of plan.none) {
      if (left === 0) break;
      left &= ~(bits[row * slotWords + word] ?? 0);
    }
    for (; left !== 0; left &= ~maskOf(Math.clz32(left))) slots.push(32 * word + Math.clz32(left));
  }
  return slots;
}

/** Takes out the slot of the ticket that was queued first. */
function takeEarliest(slots: number[], times: Float64Array): number {
  let at = 0;
  for (let n = 1; n < slots.length; n++)
    if ((times[slots[n] ?? 0] ?? 0) < (times[slots[at] ?? 0] ?? 0)) at = n;
  const earliest = slots[at] ?? 0;
  slots[at] = slots[slots.length - 1] ?? 0;
  slots.length -= 1;
  return earliest;
}
