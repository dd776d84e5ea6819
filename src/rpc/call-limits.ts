/** How often a session may call, and how much one connection may have open. */
import { reject, type Rejection } from "../domain/rejection.ts";
import { returnTokens, takeToken, type Rate, type TokenBucket } from "../domain/token-bucket.ts";

/** What is counted together: signals and queries, intents, or bytes that are relayed to the partner. */
export type CallKind = "signals" | "intents" | "bytes";
export type CallRates = Readonly<Record<CallKind, Rate>>;

export interface CallLimits {
  /** Takes tokens (default: one) of a session or an address, by name; or of a connection that has neither. */
  take(kind: CallKind, of: string | object, tokens?: number): Rejection | undefined;
  /** Returns tokens that have just been taken. */
  giveBack(kind: CallKind, of: string | object, tokens: number): void;
}

/** Full buckets are dropped when there are more than this many. */
const bucketsSwept = 10_000;

/** @param elapsed the monotonic clock, in milliseconds. */
export function createCallLimits(rates: CallRates, elapsed: () => number): CallLimits {
  const bucketOf = {
    signals: createBuckets(elapsed),
    intents: createBuckets(elapsed),
    bytes: createBuckets(elapsed),
  };
  return {
    take(kind, of, tokens) {
      const rate = rates[kind];
      if (rate.perS === 0) return undefined;
      const retryAfterMs = takeToken(bucketOf[kind](of), rate, elapsed(), tokens);
      return retryAfterMs === 0 ? undefined : reject("rate-limited", { retryAfterMs });
    },
    giveBack(kind, of, tokens) {
      returnTokens(bucketOf[kind](of), rates[kind], tokens);
    },
  };
}

/** Buckets of one kind, each created when it is first used. */
function createBuckets(elapsed: () => number): (of: string | object) => TokenBucket {
  const byName = new Map<string, TokenBucket>();
  const byConnection = new WeakMap<object, TokenBucket>();
  let sweepAt = bucketsSwept;

  function sweep() {
    for (const [name, { fullAt }] of byName) if (fullAt <= elapsed()) byName.delete(name);
    sweepAt = Math.max(bucketsSwept, 2 * byName.size);
  }

  return (of) => {
    const known = typeof of === "string" ? byName.get(of) : byConnection.get(of);
    if (known) return known;
    const bucket: TokenBucket = { fullAt: 0 };
    if (typeof of === "string") byName.set(of, bucket);
    else byConnection.set(of, bucket);
    if (byName.size > sweepAt) sweep();
    return bucket;
  };
}

/** Limits how many run at a time; the others wait in the order of their arrival. */
export interface Turnstile {
  /** How many more may run without waiting. */
  readonly free: number;
  enter(): Promise<void> | undefined;
  leave(): void;
}

export function createTurnstile(inFlightMax: number): Turnstile {
  return new Counter(inFlightMax);
}

/** A class, as there is one per connection, and closures would cost memory for each of them. */
class Counter implements Turnstile {
  readonly #inFlightMax: number;
  #inside = 0;
  #waiting: (() => void)[] | undefined;

  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
  }

  get free(): number {
    return this.#inFlightMax - this.#inside;
  }

  enter(): Promise<void> | undefined {
    if (this.#inside >= this.#inFlightMax)
      return new Promise((resolve) => (this.#waiting ??= []).push(resolve));
    this.#inside += 1;
    return undefined;
  }

  leave(): void {
    const next = this.#waiting?.shift();
    if (next) next();
    else this.#inside -= 1;
  }
}
