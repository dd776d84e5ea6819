/**
 * Logs what strangers cause. They can make a new origin, host or address for nothing, so each distinct thing is
 * logged once, and only so many in an hour.
 */
import { takeToken, type TokenBucket } from "../domain/token-bucket.ts";
import type { Log } from "./log.ts";

/** A warning a minute, in bursts of twenty, for each kind of thing. */
const rate = { perS: 1 / 60, burst: 20 };
/** Distinct things remembered for each kind; past that the longest known is forgotten, and may be logged again. */
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
