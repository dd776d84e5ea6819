/**
 * How often something may be done: a bucket of `burst` tokens that fills with `perS` tokens a second. Kept as
 * the one time at which it will be full again (the generic cell rate algorithm), so that nothing has to be
 * refilled, and "wait that long" is exact to the millisecond.
 */
export interface Rate {
  /** Tokens a second, more than 0; a rate of 0 is no limit at all. */
  perS: number;
  /** Tokens in a full bucket, at least 1. */
  burst: number;
}

export interface TokenBucket {
  /** Milliseconds of the clock that `takeToken` is given; a bucket whose time has come is as good as new, and can be thrown away. */
  fullAt: number;
}

/**
 * Takes a token, or several at once, at `now` (milliseconds of a monotonic clock): 0 if there was one, otherwise the milliseconds, rounded up,
 * after which there is one. What was refused costs nothing.
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
