/**
 * HMAC-SHA-256 (RFC 2104) of many short texts under one key, for session tokens and the hashes of addresses: three for each new
 * peer. Node's `createHmac` makes a stream and prepares the key for each of them; this copies a hasher that has been prepared.
 */
import { CryptoHasher } from "bun";

/** The 32 bytes of the code for a text, which is taken as UTF-8. */
export type Hmac = (text: string) => Buffer;

export function createHmacSha256(key: string | Buffer): Hmac {
  const prepared = new CryptoHasher("sha256", key);
  return (text) => prepared.copy().update(text).digest() as Buffer;
}
