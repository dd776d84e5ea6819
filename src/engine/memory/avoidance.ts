/**
 * Who avoids whom. Besides answering for two of them, it lets a whole lobby be compared at once: whoever avoids another one or is
 * avoided gets a small number, so that in a clique, whose members have all skipped each other, a join need not
 * read through all of them.
 */
import { clearBit, hasBit, members, setBit, type BitSet } from "./bit-set.ts";

export interface Avoider<A> extends Numbered {
  /** Whom it avoids, and until when (epoch milliseconds; Infinity for a block). Only its own decisions. */
  avoids: Map<A, number> | undefined;
}

export interface Numbered {
  /** Assigned once it avoids another or is avoided. */
  number: number | undefined;
  /** The numbers of all that it must not meet, by the decision of either. */
  barred: BitSet | undefined;
}

export interface AvoidanceGraph<A> {
  /** From now on `one` avoids `other`, who is another one, at least until then. Past the bound the oldest avoidance of `one` ends. */
  avoid(one: A, other: A, until: number): void;
  /** The avoidance ends that was to last until then; `false` if it was renewed or ended before. */
  expire(one: A, other: A, until: number): boolean;
  /** Those who are `one` never meet each other. */
  avoidItself(one: A): void;
  /** Whether it blocks another one, or is blocked. */
  blocks(one: A): boolean;
  /** Removes one that is gone. */
  forget(one: A): void;
}

/** Whether the two must not meet. */
export function isBarred(one: Numbered, other: Numbered): boolean {
  return one.barred !== undefined && other.number !== undefined && hasBit(one.barred, other.number);
}

/** Whether one of the two has blocked the other: they avoid each other for good. */
export function hasBlocked<A extends Pick<Avoider<A>, "avoids">>(one: A, other: A): boolean {
  const forGood = Number.POSITIVE_INFINITY;
  return one.avoids?.get(other) === forGood || other.avoids?.get(one) === forGood;
}

/** @param avoidsMax others that one session can avoid at a time. */
export function createAvoidanceGraph<A extends Avoider<A>>(avoidsMax: number): AvoidanceGraph<A> {
  const byNumber: (A | undefined)[] = [];
  const freeNumbers: number[] = [];

  function numberOf(avoider: A): number {
    avoider.number ??= freeNumbers.pop() ?? byNumber.length;
    byNumber[avoider.number] = avoider;
    return avoider.number;
  }

  function end(one: A, other: A): void {
    one.avoids?.delete(other);
    if (other.avoids?.has(one)) return;
    if (one.barred && other.number !== undefined) clearBit(one.barred, other.number);
    if (other.barred && one.number !== undefined) clearBit(other.barred, one.number);
  }

  function* barredFor({ barred }: A): Generator<A> {
    for (const number of members(barred ?? new Map())) {
      const other = byNumber[number];
      if (other) yield other;
    }
  }

  return {
    avoid(one, other, until) {
      const avoids = (one.avoids ??= new Map());
      const before = avoids.get(other) ?? 0;
      avoids.delete(other);
      avoids.set(other, Math.max(before, until));
      setBit((one.barred ??= new Map()), numberOf(other));
      setBit((other.barred ??= new Map()), numberOf(one));
      if (avoids.size <= avoidsMax) return;
      const oldest = avoids.keys().next();
      if (!oldest.done) end(one, oldest.value);
    },
    expire(one, other, until) {
      if (one.avoids?.get(other) !== until) return false;
      end(one, other);
      return true;
    },
    avoidItself(one) {
      setBit((one.barred ??= new Map()), numberOf(one));
    },
    blocks(one) {
      for (const other of barredFor(one)) if (hasBlocked(one, other)) return true;
      return false;
    },
    forget(one) {
      for (const other of barredFor(one)) {
        other.avoids?.delete(one);
        if (other.barred && one.number !== undefined) clearBit(other.barred, one.number);
      }
      one.avoids = undefined;
      if (one.number === undefined) return;
      byNumber[one.number] = undefined;
      freeNumbers.push(one.number);
    },
  };
}
