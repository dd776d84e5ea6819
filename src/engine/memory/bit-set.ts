/** A set of small numbers, by words of 32 bits; absent words are empty. */
export type BitSet = Map<number, number>;

export function setBit(bits: BitSet, number: number): void {
  const word = number >>> 5;
  bits.set(word, (bits.get(word) ?? 0) | (1 << (number & 31)));
}

export function clearBit(bits: BitSet, number: number): void {
  const word = number >>> 5;
  const left = (bits.get(word) ?? 0) & ~(1 << (number & 31));
  if (left === 0) bits.delete(word);
  else bits.set(word, left);
}

export function hasBit(bits: BitSet, number: number): boolean {
  return ((bits.get(number >>> 5) ?? 0) & (1 << (number & 31))) !== 0;
}

export function* members(bits: BitSet): Generator<number> {
  for (const [word, mask] of bits)
    for (let bit = 0; bit < 32; bit++) if (mask & (1 << bit)) yield word * 32 + bit;
}

/** How many numbers two sets share. */
export function countShared(a: BitSet, b: BitSet): number {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  let count = 0;
  for (const [word, mask] of few) count += popcount(mask & (many.get(word) ?? 0));
  return count;
}

/** The ones in 32 bits, added up in ever wider fields (Warren, Hacker's Delight, 5-1). */
function popcount(mask: number): number {
  let ones = mask - ((mask >>> 1) & 0x55555555);
  ones = (ones & 0x33333333) + ((ones >>> 2) & 0x33333333);
  return Math.imul((ones + (ones >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
