/** Checks the tokens of operators (`ADMIN_TOKEN`, `METRICS_TOKEN`), and limits how often an address may be wrong. */
import { createHash, timingSafeEqual } from "node:crypto";
import { takeToken, type TokenBucket } from "../domain/token-bucket.ts";

/** Wrong tokens that an address may send: ten, then one more each six seconds. */
const wrongTokenRate = { perS: 1 / 6, burst: 10 };
/** Addresses remembered; past that the one whose last wrong token is the oldest is forgotten. */
const addressesMax = 1000;

export type Access = { granted: true } | { granted: false; retryAfterMs?: number };

/**
 * Whether a request may do what `token` permits. An address that has sent too many wrong tokens is answered when to try again
 * (`retryAfterMs`). The right token is always accepted: strangers who share the operator's address, as behind a proxy that was
 * not announced, must not be able to lock the operator out, and no token can be found by guessing (see config.ts).
 * @param token the right one; without it there is no access.
 * @param authorization the request's header.
 * @param addressHash keyed hash of the request's address.
 */
export type CheckAccess = (
  token: string | undefined,
  authorization: string | null,
  addressHash: string,
) => Access;

export interface OperatorAccessOptions {
  /** The monotonic clock, in milliseconds. */
  elapsed: () => number;
  /** Called for each wrong token; not for a request without one. */
  onWrongToken: (addressHash: string) => void;
}

export function createOperatorAccess({
  elapsed,
  onWrongToken,
}: OperatorAccessOptions): CheckAccess {
  const buckets = new Map<string, TokenBucket>();

  return (token, authorization, addressHash) => {
    if (token === undefined || authorization === null) return { granted: false };
    if (isBearer(authorization, token)) return { granted: true };
    const bucket = buckets.get(addressHash) ?? { fullAt: 0 };
    const retryAfterMs = takeToken(bucket, wrongTokenRate, elapsed());
    if (retryAfterMs > 0) return { granted: false, retryAfterMs };
    buckets.delete(addressHash);
    buckets.set(addressHash, bucket);
    const [leastRecent] = buckets.keys();
    if (buckets.size > addressesMax && leastRecent !== undefined) buckets.delete(leastRecent);
    onWrongToken(addressHash);
    return { granted: false };
  };
}

/** Whether an `Authorization` header bears the token; compared in constant time. */
function isBearer(authorization: string, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization), digest(`Bearer ${token}`));
}
