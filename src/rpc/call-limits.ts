/** How often a session may call, and how much one connection may have open. */
import { reject, type Rejection } from "../domain/rejection.ts";
import type { Rate } from "../domain/token-bucket.ts";
import { RateLimiter } from "../rate-limiter.ts";

/** What is counted together: signals and queries, intents, or bytes that are relayed to the partner. */
export type CallKind = "signals" | "intents" | "bytes";
export type CallRates = Readonly<Record<CallKind, Rate>>;

export interface CallLimits {
  /** Takes tokens (default: one) of a session or an address, by name; or of a connection that has neither. */
  take(kind: CallKind, of: string | object, tokens?: number): Rejection | undefined;
  /** Returns tokens that have just been taken. */
  giveBack(kind: CallKind, of: string | object, tokens: number): void;
}

/** @param elapsed the monotonic clock, in milliseconds. */
export function createCallLimits(rates: CallRates, elapsed: () => number): CallLimits {
  const limiters = {
    signals: new RateLimiter(rates.signals, elapsed),
    intents: new RateLimiter(rates.intents, elapsed),
    bytes: new RateLimiter(rates.bytes, elapsed),
  };
  return {
    take(kind, of, tokens) {
      const retryAfterMs = limiters[kind].take(of, tokens);
      return retryAfterMs === 0 ? undefined : reject("rate-limited", { retryAfterMs });
    },
    giveBack: (kind, of, tokens) => limiters[kind].giveBack(of, tokens),
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
