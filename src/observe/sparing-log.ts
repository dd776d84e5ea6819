/**
 * Logs what strangers can cause. A new origin, host or address costs them nothing, so each distinct case is logged once, and only
 * a few per hour.
 */
import { takeToken, type TokenBucket } from "../domain/token-bucket.ts";
import type { Log } from "./log.ts";

/** One warning a minute after a burst of twenty, for each kind. */
const rate = { perS: 1 / 60, burst: 20 };
/** Distinct cases remembered for each kind. Past that the oldest one is forgotten, and may be logged again. */
const keysMax = 1000;

/**
 * @param what the message; each one is limited by itself.
 * @param key what makes this case distinct from others of its kind.
 * @param fields of the line; it also gets `unlogged`, how many others of its kind were left out since the last line.
 */
export type WarnOnce = (what: string, key: string, fields: object) => void;

/** @param elapsed the monotonic clock, in milliseconds. */
export function createWarnOnce(log: Pick<Log, "warn">, elapsed: () => number): WarnOnce {
  const kinds = new Map<string, TokenBucket & { known: Set<string>; unlogged: number }>();
  return (what, key, fields) => {
    const kind = kinds.get(what) ?? { fullAt: 0, known: new Set(), unlogged: 0 };
    kinds.set(what, kind);
    if (kind.known.has(key)) return;
    if (takeToken(kind, rate, elapsed()) > 0) {
      kind.unlogged += 1;
      return;
    }
    kind.known.add(key);
    const [oldest] = kind.known;
    if (kind.known.size > keysMax && oldest !== undefined) kind.known.delete(oldest);
    const { unlogged } = kind;
    kind.unlogged = 0;
    log.warn(what, unlogged === 0 ? fields : { ...fields, unlogged });
  };
}
