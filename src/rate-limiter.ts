/** Limits how often something may be done, by whom or what does it: a token bucket for each, created when it is first used. */
import { returnTokens, takeToken, type Rate, type TokenBucket } from "./domain/token-bucket.ts";

/** Full buckets are dropped when there are more than this many. */
const bucketsSwept = 10_000;

export class RateLimiter {
  readonly #rate: Rate;
  readonly #elapsed: () => number;
  readonly #byName = new Map<string, TokenBucket>();
  readonly #byObject = new WeakMap<object, TokenBucket>();
  #sweepAt = bucketsSwept;

  /** @param elapsed the monotonic clock, in milliseconds. */
  constructor(rate: Rate, elapsed: () => number) {
    this.#rate = rate;
    this.#elapsed = elapsed;
  }

  /** Returns 0 if there were enough tokens, else after how many milliseconds there are; then none is taken. */
  take(of: string | object, tokens?: number): number {
    // Without a limit nothing is kept.
    if (this.#rate.perS === 0) return 0;
    return takeToken(this.#bucketOf(of), this.#rate, this.#elapsed(), tokens);
  }

  /** Returns tokens that have just been taken. */
  giveBack(of: string | object, tokens: number): void {
    if (this.#rate.perS > 0) returnTokens(this.#bucketOf(of), this.#rate, tokens);
  }

  #bucketOf(of: string | object): TokenBucket {
    const known = typeof of === "string" ? this.#byName.get(of) : this.#byObject.get(of);
    if (known) return known;
    // Before the new one is there: it is full, too.
    if (this.#byName.size >= this.#sweepAt) this.#sweep();
    const bucket: TokenBucket = { fullAt: 0 };
    if (typeof of === "string") this.#byName.set(of, bucket);
    else this.#byObject.set(of, bucket);
    return bucket;
  }

  #sweep(): void {
    const now = this.#elapsed();
    for (const [name, { fullAt }] of this.#byName) if (fullAt <= now) this.#byName.delete(name);
    this.#sweepAt = Math.max(bucketsSwept, 2 * this.#byName.size);
  }
}
