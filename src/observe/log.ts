/**
 * What happened, one JSON line each. Never an SDP, a candidate, an address, a token or chat: the callers
 * pass only what the types here name, and rooms are told apart by their ids.
 */
import { pino, type DestinationStream } from "pino";

export interface Log {
  debug(what: string, fields?: object): void;
  info(what: string, fields?: object): void;
  warn(what: string, fields?: object): void;
  /** A broken invariant of ours, with its stack. */
  bug(error: unknown, where: string): void;
}

/** The levels an operator may choose from, in pino's order. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Writes to standard output, or to `destination`. */
export function createLog(level: LogLevel, destination?: DestinationStream): Log {
  const options = { level, base: null };
  const logger = destination ? pino(options, destination) : pino(options);
  return {
    debug: (what, fields) => logger.debug(fields ?? {}, what),
    info: (what, fields) => logger.info(fields ?? {}, what),
    warn: (what, fields) => logger.warn(fields ?? {}, what),
    bug: (error, where) => logger.error({ err: error, where }, "bug"),
  };
}
