/** How often a session may call, and how much one connection may have open. */
import { reject, type Rejection } from "../domain/rejection.ts";
import { takeToken, type Rate, type TokenBucket } from "../domain/token-bucket.ts";

/** What is counted together: signals (and queries), or intents. */
export type CallKind = "signals" | "intents";
export type CallRates = Readonly<Record<CallKind, Rate>>;

type Buckets = Record<CallKind, TokenBucket>;

export interface CallLimits {
  /** Takes a token of a session or an address, by name; or of a connection that has neither. */
  take(kind: CallKind, of: string | object): Rejection | undefined;
}

/** A bucket that is full again is forgotten; this many are kept before looking for such. */
const bucketsSwept = 10_000;

/** @param now epoch milliseconds. */
export function createCallLimits(rates: CallRates, now: () => number): CallLimits {
  const byName = new Map<string, Buckets>();
  const byConnection = new WeakMap<object, Buckets>();
  let sweepAt = bucketsSwept;

  function bucketsOf(of: string | object): Buckets {
    const known = typeof of === "string" ? byName.get(of) : byConnection.get(of);
    if (known) return known;
    const buckets: Buckets = { signals: { fullAt: 0 }, intents: { fullAt: 0 } };
    if (typeof of === "string") byName.set(of, buckets);
    else byConnection.set(of, buckets);
    if (byName.size > sweepAt) sweep();
    return buckets;
  }

  function sweep() {
    for (const [sessionId, { signals, intents }] of byName)
      if (signals.fullAt <= now() && intents.fullAt <= now()) byName.delete(sessionId);
    sweepAt = Math.max(bucketsSwept, 2 * byName.size);
  }

  return {
    take(kind, of) {
      const rate = rates[kind];
      if (rate.perS === 0) return undefined;
      const retryAfterMs = takeToken(bucketsOf(of)[kind], rate, now());
      return retryAfterMs === 0 ? undefined : reject("rate-limited", { retryAfterMs });
    },
  };
}

/** Lets so many through at a time; the rest wait, in the order they came. */
export interface Turnstile {
  enter(): Promise<void> | undefined;
  leave(): void;
}

export function createTurnstile(inFlightMax: number): Turnstile {
  return new Counter(inFlightMax);
}

/** A class, for its memory: there is one per connection, and hardly any of them has anybody waiting. */
class Counter implements Turnstile {
  readonly #inFlightMax: number;
  #inside = 0;
  #waiting: (() => void)[] | undefined;

  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
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
