/** Shuts the process down on a signal: it drains, and exits. */
import { constants } from "node:os";
import type { Log } from "../observe/log.ts";
import type { System } from "../system.ts";

/**
 * A wrapper passes on a signal that the terminal has already sent to the whole process group: a second signal so soon after
 * the first one is the same (milliseconds).
 */
const sameSignalMs = 1000;

/** The signals that ask this process to end. */
export const endingSignals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
export type EndingSignal = (typeof endingSignals)[number];

export interface ShutdownParts {
  system: System;
  log: Log;
  /** The process exits after this even if draining hangs (milliseconds). */
  drainMs: number;
  exit: (code: number) => never;
}

export class Shutdown {
  /** What is to be done before the exit; set once there is something. */
  drain: () => Promise<void> = async () => {};
  readonly #parts: ShutdownParts;
  /** When the first signal came, by the monotonic clock. */
  #startedAt: number | undefined;

  constructor(parts: ShutdownParts) {
    this.#parts = parts;
  }

  /**
   * The first signal starts it. A second one exits at once, with 128 and the signal's number, as a shell reports a process that a
   * signal has ended.
   */
  signalled(signal: EndingSignal): void {
    const { system, log, exit } = this.#parts;
    if (this.#startedAt === undefined) void this.start(signal);
    else if (system.elapsed() - this.#startedAt >= sameSignalMs) {
      log.warn("a second signal has ended the drain", { signal });
      exit(128 + constants.signals[signal]);
    }
  }

  /**
   * Drains and exits with 0, once.
   * @param cause the signal, or in words what else.
   */
  async start(cause: string): Promise<void> {
    const { system, log, drainMs, exit } = this.#parts;
    if (this.#startedAt !== undefined) return;
    this.#startedAt = system.elapsed();
    log.info("leaving", { signal: cause });
    system.schedule(drainMs, () => {
      log.warn("the drain was not over in time: what was left is cut off", { drainMs });
      exit(0);
    });
    await this.drain();
    exit(0);
  }
}
