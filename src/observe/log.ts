/** The log: one JSON line per event. It never contains an SDP, a candidate, an address, a token or chat. Rooms are identified by id. */
import { pino, type DestinationStream } from "pino";

export interface Log {
  debug(what: string, fields?: object): void;
  info(what: string, fields?: object): void;
  warn(what: string, fields?: object): void;
  /** The server can't work, and that does not pass by itself. */
  error(what: string, fields?: object): void;
  /** A broken invariant, with its stack. */
  bug(error: unknown, where: string): void;
}

/** The levels that an operator can choose, in pino's order. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Writes lines of this level and above, each with its time (epoch milliseconds). */
export function createLog(level: LogLevel, destination: DestinationStream): Log {
  const logger = pino({ level, base: null }, destination);
  return {
    debug: (what, fields) => logger.debug(fields ?? {}, what),
    info: (what, fields) => logger.info(fields ?? {}, what),
    warn: (what, fields) => logger.warn(fields ?? {}, what),
    error: (what, fields) => logger.error(fields ?? {}, what),
    bug: (error, where) => logger.error({ err: error, where }, "bug"),
  };
}

/** Standard output, written to once per turn of the event loop. */
export function toStandardOutput(defer: (task: () => void) => void): DestinationStream {
  // Synchronously, or what is written during the exit would be lost.
  const lines = new Collected(pino.destination({ dest: 1, sync: true }), defer);
  process.on("exit", lines.flush);
  return lines;
}

/**
 * Writes at the end of a turn what was logged in it, as a write costs the same for one line as for many. If a kill or a power
 * cut ends a turn, its lines are lost.
 */
export class Collected implements DestinationStream {
  readonly #output: DestinationStream;
  readonly #defer: (task: () => void) => void;
  #lines = "";

  constructor(output: DestinationStream, defer: (task: () => void) => void) {
    this.#output = output;
    this.#defer = defer;
  }

  write(line: string): void {
    if (this.#lines === "") this.#defer(this.flush);
    this.#lines += line;
  }

  /** Writes at once, as there may be no later turn. */
  readonly flush = (): void => {
    const lines = this.#lines;
    this.#lines = "";
    if (lines !== "") this.#output.write(lines);
  };
}
