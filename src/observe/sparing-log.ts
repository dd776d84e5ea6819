/**
 * The one place through which all lines pass that strangers can cause: of each kind at most one a second is written, and the next one
 * says how many were left out. A line of a new kind is limited by itself; what is not limited is listed here.
 */
import { takeToken, type TokenBucket } from "../domain/token-bucket.ts";
import type { LogFields } from "./log-fields.ts";
import { logLevels, type Log, type LogLevel } from "./log.ts";

/** Of each kind (milliseconds). */
const everyMs = 1000;

/**
 * What happens to each peer and room. At level `debug` all are written, so that one room or session can be followed; above it as many in
 * the long run as of any other kind, but a site with few of them has all.
 */
const stories: ReadonlySet<string> = new Set([
  "stream began",
  "stream ended",
  "joined",
  "paired",
  "connected",
  "met again",
  "restored",
  "ended",
  "blocked",
  "reported",
]);
const storyRate = { perS: 1, burst: 60 };

/** What only an operator causes: each of these is written. */
const byOperator: ReadonlySet<string> = new Set([
  "suspended",
  "lifted",
  "dismissed",
  "disconnected",
  "room ended by an operator",
]);

interface Kind extends TokenBucket {
  nextAt: number;
  unlogged: number;
}

export interface SparingLog extends Log {
  /** Counts a line that was not even asked for. */
  leaveOut(): void;
}

/** @param elapsed the monotonic clock, in milliseconds. */
export function createSparingLog(log: Log, elapsed: () => number): SparingLog {
  const kinds = new Map<string, Kind>();
  let leftOut = 0;

  /** The fields of a line that may be written, with how many others of its kind were not since the last one. */
  function pass(
    level: LogLevel,
    what: string,
    fields: LogFields | undefined,
  ): { fields: LogFields | undefined } | undefined {
    const { level: written = "info" } = log;
    if (log.level !== undefined && logLevels.indexOf(level) < logLevels.indexOf(written))
      return undefined;
    const isStory = stories.has(what);
    const isVerbose = logLevels.indexOf(written) <= logLevels.indexOf("debug");
    if (byOperator.has(what) || (isStory && isVerbose)) return { fields };
    // Each part of the storage may fail by itself, and a call for any of a few reasons.
    const key = `${what} ${String(fields?.["shard"])} ${isStory ? "" : String(fields?.["reason"])}`;
    const kind = kinds.get(key) ?? { fullAt: 0, nextAt: Number.NEGATIVE_INFINITY, unlogged: 0 };
    kinds.set(key, kind);
    const now = elapsed();
    if (isStory ? takeToken(kind, storyRate, now) > 0 : now < kind.nextAt) {
      kind.unlogged += 1;
      leftOut += 1;
      return undefined;
    }
    const { unlogged } = kind;
    kind.nextAt = now + everyMs;
    kind.unlogged = 0;
    return { fields: unlogged === 0 ? fields : { ...fields, unlogged } };
  }

  const at = (level: "debug" | "info" | "warn" | "error") => (what: string, fields?: LogFields) => {
    const passed = pass(level, what, fields);
    if (passed) log[level](what, passed.fields);
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    bug(error, where, fields) {
      const passed = pass("error", `bug in ${where}`, fields);
      if (passed) log.bug(error, where, passed.fields);
    },
    get level() {
      return log.level;
    },
    set level(to) {
      log.level = to;
    },
    dropped: () => ({ ...log.dropped?.(), rate: leftOut }),
    leaveOut: () => void (leftOut += 1),
  };
}

/** Of each kind, one warning a minute after a burst of twenty, and never two within a second. */
const rate = { perS: 1 / 60, burst: 20 };
/** Distinct cases remembered for each kind. Past that the oldest one is forgotten, and may be logged again. */
const keysMax = 1000;

/**
 * Logs each distinct case once, and only a few per hour: a new origin, host or address costs strangers nothing.
 * @param what the message; each one is limited by itself.
 * @param key what makes this case distinct from others of its kind.
 * @param fields of the line; it also gets `unlogged`, how many others of its kind were left out since the last line.
 */
export type WarnOnce = (what: string, key: string, fields: LogFields) => void;

/** @param elapsed the monotonic clock, in milliseconds. */
export function createWarnOnce(
  log: Pick<Log, "warn"> & Partial<Pick<SparingLog, "leaveOut">>,
  elapsed: () => number,
): WarnOnce {
  const kinds = new Map<string, Kind & { known: Set<string> }>();
  return (what, key, fields) => {
    const kind = kinds.get(what) ?? {
      fullAt: 0,
      nextAt: Number.NEGATIVE_INFINITY,
      known: new Set<string>(),
      unlogged: 0,
    };
    kinds.set(what, kind);
    if (kind.known.has(key)) return;
    const now = elapsed();
    if (now < kind.nextAt || takeToken(kind, rate, now) > 0) {
      kind.unlogged += 1;
      log.leaveOut?.();
      return;
    }
    kind.known.add(key);
    const [oldest] = kind.known;
    if (kind.known.size > keysMax && oldest !== undefined) kind.known.delete(oldest);
    const { unlogged } = kind;
    kind.unlogged = 0;
    log.warn(what, unlogged === 0 ? fields : { ...fields, unlogged });
    // Read again, so that the log, which has the same bound, never leaves out what counts as known here.
    kind.nextAt = elapsed() + everyMs;
  };
}
