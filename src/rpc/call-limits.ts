/** How often a session may call, and how much one connection may have open. */
import { reject, type Rejection } from "../domain/rejection.ts";
import { takeToken, type Rate, type TokenBucket } from "../domain/token-bucket.ts";

/** What is counted together: signals (and queries), or intents. */
export type CallKind = "signals" | "intents";
export type CallRates = Readonly<Record<CallKind, Rate>>;

type Buckets = Record<CallKind, TokenBucket>;

export interface CallLimits {
  /** Takes a token of the session; without a session, of the connection. */
  take(kind: CallKind, sessionId: string | undefined, connection: object): Rejection | undefined;
}

/** A bucket that is full again is forgotten; this many are kept before looking for such. */
const bucketsSwept = 10_000;

/** @param now epoch milliseconds. */
export function createCallLimits(rates: CallRates, now: () => number): CallLimits {
  const ofSessions = new Map<string, Buckets>();
  const ofConnections = new WeakMap<object, Buckets>();
  let sweepAt = bucketsSwept;

  function bucketsOf(sessionId: string | undefined, connection: object): Buckets {
    const known =
      sessionId === undefined ? ofConnections.get(connection) : ofSessions.get(sessionId);
    if (known) return known;
    const buckets: Buckets = { signals: { fullAt: 0 }, intents: { fullAt: 0 } };
    if (sessionId === undefined) ofConnections.set(connection, buckets);
    else ofSessions.set(sessionId, buckets);
    if (ofSessions.size > sweepAt) sweep();
    return buckets;
  }

  function sweep() {
    for (const [sessionId, { signals, intents }] of ofSessions)
      if (signals.fullAt <= now() && intents.fullAt <= now()) ofSessions.delete(sessionId);
    sweepAt = Math.max(bucketsSwept, 2 * ofSessions.size);
  }

  return {
    take(kind, sessionId, connection) {
      const rate = rates[kind];
      if (rate.perS === 0) return undefined;
      const retryAfterMs = takeToken(bucketsOf(sessionId, connection)[kind], rate, now());
      return retryAfterMs === 0 ? undefined : reject("rate-limited", { retryAfterMs });
    },
  };
}

/** Lets at most `inFlightMax` through at a time; the rest wait, in the order they came. */
export interface Turnstile {
  enter(): Promise<void> | undefined;
  leave(): void;
}

export function createTurnstile(inFlightMax: number): Turnstile {
  let inside = 0;
  const waiting: (() => void)[] = [];
  return {
    enter() {
      if (inside < inFlightMax) {
        inside += 1;
        return undefined;
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
    leave() {
      const next = waiting.shift();
      if (next) next();
      else inside -= 1;
    },
  };
}
