/** The log: one JSON line per event. It never contains an SDP, a candidate, an address, a token or chat. Rooms are identified by id. */
import { pino, type DestinationStream } from "pino";
import type { LogFields } from "./log-fields.ts";

export interface Log {
  debug(what: string, fields?: LogFields): void;
  info(what: string, fields?: LogFields): void;
  warn(what: string, fields?: LogFields): void;
  /** The server can't work, and that does not pass by itself. */
  error(what: string, fields?: LogFields): void;
  /** A broken invariant, with its stack. `fields` say how many like it were left out. */
  bug(error: unknown, where: string, fields?: LogFields): void;
  /** What is written at the moment: lines of this level and above. It may be set at any time. Absent: not known, and can't be set. */
  level?: LogLevel | undefined;
  /** Lines that were not written, since the start; for the metric. */
  dropped?(): DroppedLines;
}

/** The levels that an operator can choose, in pino's order. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** `rate`: others of its kind had just been written. `full`: nobody took them, or there is no space. `closed`: nobody can take them. */
export const droppedBecause = ["rate", "full", "closed"] as const;
export type DroppedLines = Partial<Record<(typeof droppedBecause)[number], number>>;

/** Where lines go. */
export interface Destination extends DestinationStream {
  dropped?: Readonly<DroppedLines>;
}

/** Writes lines of this level and above, each with its time (epoch milliseconds). */
export function createLog(level: LogLevel, destination: Destination): Log {
  const logger = pino({ level, base: null }, destination);
  return {
    debug: (what, fields) => logger.debug(fields ?? {}, what),
    info: (what, fields) => logger.info(fields ?? {}, what),
    warn: (what, fields) => logger.warn(fields ?? {}, what),
    error: (what, fields) => logger.error(fields ?? {}, what),
    bug: (error, where, fields) => logger.error({ err: error, where, ...fields }, "bug"),
    get level() {
      return logger.level as LogLevel;
    },
    set level(to) {
      if (to !== undefined) logger.level = to;
    },
    dropped: () => destination.dropped ?? {},
  };
}
