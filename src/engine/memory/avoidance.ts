/**
 * Who avoids whom. Besides answering for two, it lets a whole lobby be compared at once: whoever avoids or is
 * avoided gets a small number, so that a clique, in which everybody has skipped everybody, need not be read
 * through at every join.
 */
import { clearBit, hasBit, members, setBit, type BitSet } from "./bit-set.ts";

export interface Avoider<A> {
  /** Whom it avoids, and until when (epoch milliseconds); for ever is Infinity. Its own word alone. */
  avoids: Map<A, number> | undefined;
  /** Given once it avoids or is avoided. */
  number: number | undefined;
  /** The numbers of all whom it must not meet, by either one's word. */
  barred: BitSet | undefined;
}

export interface AvoidanceGraph<A> {
  /** From now on `one` avoids `other`, at least until then; past the cap its oldest word lapses. */
  avoid(one: A, other: A, until: number): void;
  /** Carries out that `one`'s word has run out; `false` if it was renewed or taken back meanwhile. */
  expire(one: A, other: A, until: number): boolean;
  /** Whether it avoids somebody for ever, or somebody avoids it so. */
  blocks(one: A): boolean;
  /** Drops every word of and about one that is gone. */
  forget(one: A): void;
}

/** Whether the two must not meet. */
export function isBarred<A>(one: Avoider<A>, other: Avoider<A>): boolean {
  return one.barred !== undefined && other.number !== undefined && hasBit(one.barred, other.number);
}

/** @param avoidsMax how many others one session can avoid at a time. */
export function createAvoidanceGraph<A extends Avoider<A>>(avoidsMax: number): AvoidanceGraph<A> {
  const byNumber: (A | undefined)[] = [];
  const free: number[] = [];

  function numberOf(avoider: A): number {
    avoider.number ??= free.pop() ?? byNumber.length;
    byNumber[avoider.number] = avoider;
    return avoider.number;
  }

  function bar(one: A, other: A) {
    setBit((one.barred ??= new Map()), numberOf(other));
    setBit((other.barred ??= new Map()), numberOf(one));
  }

  function takeBack(one: A, other: A) {
    one.avoids?.delete(other);
    if (other.avoids?.has(one)) return;
    if (one.barred && other.number !== undefined) clearBit(one.barred, other.number);
    if (other.barred && one.number !== undefined) clearBit(other.barred, one.number);
  }

  return {
    avoid(one, other, until) {
      const avoids = (one.avoids ??= new Map());
      const before = avoids.get(other) ?? 0;
      avoids.delete(other);
      avoids.set(other, Math.max(before, until));
      bar(one, other);
      if (avoids.size <= avoidsMax) return;
      const oldest = avoids.keys().next();
      if (!oldest.done) takeBack(one, oldest.value);
    },
    expire(one, other, until) {
      if (one.avoids?.get(other) !== until) return false;
      takeBack(one, other);
      return true;
    },
    blocks(one) {
      for (const number of members(one.barred ?? new Map())) {
        const other = byNumber[number];
        if (!other) continue;
        const until = Math.max(other.avoids?.get(one) ?? 0, one.avoids?.get(other) ?? 0);
        if (until === Number.POSITIVE_INFINITY) return true;
      }
      return false;
    },
    forget(one) {
      for (const number of members(one.barred ?? new Map())) {
        const other = byNumber[number];
        if (!other) continue;
        other.avoids?.delete(one);
        if (other.barred && one.number !== undefined) clearBit(other.barred, one.number);
      }
      one.avoids = undefined;
      if (one.number === undefined) return;
      byNumber[one.number] = undefined;
      free.push(one.number);
    },
  };
}
