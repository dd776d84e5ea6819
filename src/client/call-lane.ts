/** Makes calls in order over requests that have none: one group at a time. */
import type { Timer, Timers } from "./platform.ts";
import { readRefusal } from "./refusal.ts";
import { retryDelayMs } from "./retry-delay.ts";

interface Waiting {
  start(): Promise<void>;
  cancel(): void;
}

/**
 * Calls in the order in which they were made. What is due in one turn is started together, as one batch; what comes
 * meanwhile waits until that has been answered. After a request without an answer the next one is delayed, ever longer.
 */
export class CallLane {
  readonly #groupMax: number;
  readonly #random: () => number;
  readonly #timers: Timers;
  #waiting: Waiting[] = [];
  #isBusy = false;
  #timer: Timer | undefined;
  /** Groups in a row with a call that was not answered. */
  #failures = 0;

  /** @param groupMax - how many calls are started together at most; @param random - returns a number in [0, 1). */
  constructor(groupMax: number, random: () => number, timers: Timers) {
    this.#groupMax = groupMax;
    this.#random = random;
    this.#timers = timers;
  }

  /** Makes a call in its turn. Rejects as the call does, and when it is cleared before its turn. */
  run<T>(call: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        start: () => call().then(resolve, (error: unknown) => this.#onRejected(error, reject)),
        cancel: () => reject(new Error("the connection was closed before this call was made")),
      });
      // What the same turn calls as well goes along.
      queueMicrotask(() => void this.#proceed());
    });
  }

  /** Rejects the calls that have not been made yet. */
  clear(): void {
    this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { cancel } of this.#waiting.splice(0)) cancel();
  }

  #unanswered = false;

  #onRejected(error: unknown, reject: (error: unknown) => void): void {
    if (readRefusal(error).kind === "unanswered") this.#unanswered = true;
    reject(error);
  }

  async #proceed(): Promise<void> {
    if (this.#isBusy || this.#timer !== undefined || this.#waiting.length === 0) return;
    this.#isBusy = true;
    this.#unanswered = false;
    await Promise.all(this.#waiting.splice(0, this.#groupMax).map(({ start }) => start()));
    this.#isBusy = false;
    if (!this.#unanswered) {
      this.#failures = 0;
      return this.#proceed();
    }
    const delayMs = retryDelayMs(this.#failures++, this.#random());
    this.#timer = this.#timers.setTimeout(() => {
      this.#timer = undefined;
      void this.#proceed();
    }, delayMs);
  }
}
