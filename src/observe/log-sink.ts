/**
 * Lines on their way to an output that may be slow, full or closed. Nobody waits for it: what it does not take is kept up to a bound,
 * then dropped and counted, and the number is told as soon as lines can be written again.
 */
import type { MaybePromise } from "../maybe-promise.ts";
import type { System } from "../system.ts";
import type { Destination, DroppedLines } from "./log.ts";

export interface LogOutput {
  /**
   * Never waits. @returns a promise if not all could be written at once; nothing else is written before it resolves.
   * @throws also by its promise, if nothing more of this text will be written.
   */
  write(text: string): MaybePromise<void>;
}

export interface LogSinkParts {
  output: LogOutput;
  system: Pick<System, "now" | "defer" | "schedule">;
}

/** What is kept while the output takes nothing (characters). */
export const keptCharsMax = 1_048_576;
/** After a failure the next attempt is made (milliseconds). */
const restMs = 1000;
/** Errors after which there may be space again. Any other means that nobody reads. */
const fullCodes: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EFBIG", "EAGAIN"]);

const linesIn = (text: string) => text.split("\n").length - 1;

/**
 * Writes at the end of a turn what was logged in it, as a write costs the same for one line as for many. If a kill or a power
 * cut ends a turn, its lines are lost.
 */
export class LogSink implements Destination {
  readonly dropped: Required<Pick<DroppedLines, "full" | "closed">> = { full: 0, closed: 0 };
  readonly #parts: LogSinkParts;
  #lines = "";
  /** Dropped lines that no line has told of yet. */
  #untold = { full: 0, closed: 0 };
  #state: "idle" | "writing" | "resting" = "idle";
  /** Whether the output may have ended within a line. */
  #isTorn = false;
  #onIdle: (() => void)[] = [];

  constructor(parts: LogSinkParts) {
    this.#parts = parts;
  }

  write(line: string): void {
    if (this.#lines.length + line.length > keptCharsMax) return this.#drop("full", 1);
    if (this.#lines === "" && this.#state === "idle") this.#parts.system.defer(this.flush);
    this.#lines += line;
  }

  /** Writes at once what can be written, as there may be no later turn. */
  readonly flush = (): void => {
    if (this.#state !== "idle" || this.#lines === "") return;
    const lines = this.#lines;
    this.#lines = "";
    const told = this.#untold;
    this.#untold = { full: 0, closed: 0 };
    const fail = (error: unknown) => this.#failed(error, linesIn(lines), told);
    try {
      const writing = this.#parts.output.write(this.#notice(told) + lines);
      if (!(writing instanceof Promise)) return this.#written();
      this.#state = "writing";
      writing.then(() => this.#written(), fail);
    } catch (error) {
      fail(error);
    }
  };

  /** Resolves when nothing is left to be written, or the output has failed. The caller bounds the time. */
  async drained(): Promise<void> {
    this.flush();
    if (this.#state === "writing") await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #written(): void {
    this.#isTorn = false;
    this.#state = "idle";
    this.flush();
    if (this.#state === "idle") this.#settle();
  }

  #failed(error: unknown, lines: number, told: typeof this.dropped): void {
    this.#isTorn = true;
    this.#untold.full += told.full;
    this.#untold.closed += told.closed;
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    this.#drop(fullCodes.has(code) ? "full" : "closed", lines);
    this.#state = "resting";
    this.#parts.system.schedule(restMs, () => {
      this.#state = "idle";
      this.flush();
    });
    this.#settle();
  }

  #settle(): void {
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #drop(because: "full" | "closed", lines: number): void {
    this.dropped[because] += lines;
    this.#untold[because] += lines;
  }

  /** A line in pino's form, as no logger is behind this. */
  #notice({ full, closed }: typeof this.dropped): string {
    if (full + closed === 0) return "";
    const time = this.#parts.system.now();
    const notice = { level: 40, time, full, closed, msg: "log lines were dropped" };
    return `${this.#isTorn ? "\n" : ""}${JSON.stringify(notice)}\n`;
  }
}
