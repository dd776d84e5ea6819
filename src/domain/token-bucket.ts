/**
 * How often something may be done: a bucket of `burst` tokens that is refilled with `perS` tokens a second. Stored as the time
 * at which it will be full again (generic cell rate algorithm), so that nothing has to be refilled, and the time to wait is
 * exact to the millisecond.
 */
export interface Rate {
  /** Tokens a second, more than 0; a rate of 0 is no limit at all. */
  perS: number;
  /** Tokens in a full bucket, at least 1. */
  burst: number;
}

export interface TokenBucket {
  /** Milliseconds of the clock that `takeToken` is given. After that time the bucket is full, and can be forgotten. */
  fullAt: number;
}

/**
 * Takes tokens at `now` (milliseconds of a monotonic clock). Returns 0 if there were enough, else the milliseconds, rounded up,
 * after which there are; then none is taken.
 */
export function takeToken(
  bucket: TokenBucket,
  { perS, burst }: Rate,
  now: number,
  tokens = 1,
): number {
  if (perS === 0) return 0;
  const tokenMs = 1000 / perS;
  const fullAt = Math.max(bucket.fullAt, now);
  const waitMs = fullAt - (burst - tokens) * tokenMs - now;
  if (waitMs > 0) return Math.ceil(waitMs);
  bucket.fullAt = fullAt + tokens * tokenMs;
  return 0;
}

/** Returns tokens that have just been taken, for something that did not happen after all. */
export function returnTokens(bucket: TokenBucket, { perS }: Rate, tokens: number): void {
  if (perS > 0) bucket.fullAt -= (tokens * 1000) / perS;
}
