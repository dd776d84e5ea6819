/**
 * What happened, one JSON line each. Never an SDP, a candidate, an address, a token or chat: the callers
 * pass only what the types here name, and rooms are told apart by their ids.
 */
import { pino, type DestinationStream } from "pino";

export interface Log {
  debug(what: string, fields?: object): void;
  info(what: string, fields?: object): void;
  warn(what: string, fields?: object): void;
  /** What keeps the server from working, and does not pass by itself. */
  error(what: string, fields?: object): void;
  /** A broken invariant of ours, with its stack. */
  bug(error: unknown, where: string): void;
}

/** The levels an operator may choose from, in pino's order. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Writes what is at this level or above it, each line with its time (epoch milliseconds). */
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

/** Standard output, written to once a turn. */
export function toStandardOutput(soon: (task: () => void) => void): DestinationStream {
  // At once, or what is written while the process leaves would be lost.
  const lines = new Collected(pino.destination({ dest: 1, sync: true }), soon);
  process.on("exit", lines.flush);
  return lines;
}

/**
 * Writes at the end of a turn what was logged in it: the kernel asks as much for a short line as for many. What is
 * logged in a turn that a kill or a power cut ends is lost with it.
 */
export class Collected implements DestinationStream {
  readonly #output: DestinationStream;
  readonly #soon: (task: () => void) => void;
  #lines = "";

  constructor(output: DestinationStream, soon: (task: () => void) => void) {
    this.#output = output;
    this.#soon = soon;
  }

  write(line: string): void {
    if (this.#lines === "") this.#soon(this.flush);
    this.#lines += line;
  }

  /** Now, since nothing may come after. */
  readonly flush = (): void => {
    const lines = this.#lines;
    this.#lines = "";
    if (lines !== "") this.#output.write(lines);
  };
}
