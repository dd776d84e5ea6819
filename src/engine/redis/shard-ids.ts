/**
 * The number of the shard in which a session is born is part of its id: the last two characters, as digits of base64url. So
 * anybody who knows the id knows where to ask, and the ids stay unguessable by the other twenty.
 */

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** How many shards there can be. */
export const shardsMax = digits.length ** 2;

/** @param id 22 characters of base64url. @param shard from 0 to `shardsMax` - 1. */
export function withShard(id: string, shard: number): string {
  const high = digits[Math.floor(shard / digits.length)] ?? "";
  return id.slice(0, -2) + high + (digits[shard % digits.length] ?? "");
}

/** Also of an id without a number: then any shard will do, if it is always the same. */
export function birthShardOf(id: string, count: number): number {
  const [high = "", low = ""] = id.slice(-2);
  const number = digits.indexOf(high) * digits.length + digits.indexOf(low);
  return ((number % count) + count) % count;
}

/**
 * By which an account chooses among shards: the one with the greatest weight (rendezvous hashing: Thaler and Ravishankar, 1998). The
 * hash is FNV-1a, 32 bits, with the finalizer of MurmurHash3, as those of similar names differ too little in the upper bits.
 */
export function weightOf(account: string, shard: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${shard}:${account}`)
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
