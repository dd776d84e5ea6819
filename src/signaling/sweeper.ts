/** Sweeps the engine whenever its earliest deadline is due. */
import type { Engine } from "../engine/engine.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { Log } from "../observe/log.ts";
import type { System } from "../system.ts";

/** After a bug the sweep is repeated (milliseconds). */
const retryMs = 1000;

export interface SweeperParts {
  engine: Pick<Engine, "sweep" | "now" | "onDeadline">;
  system: Pick<System, "schedule">;
  log: Log;
  /** Called after each sweep with the tickets that should look for a partner. */
  match: (sessionIds: readonly string[]) => MaybePromise<unknown>;
}

export class Sweeper {
  readonly #parts: SweeperParts;
  /** When the next sweep is due; an earlier deadline brings it forward, a later one changes nothing. */
  #dueAt = Number.POSITIVE_INFINITY;
  #cancel = () => {};
  #isStopped = false;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
    parts.engine.onDeadline((at) => this.#schedule(at));
  }

  /** Has a sweep done soon, because something failed. */
  retry(): void {
    this.#schedule(this.#parts.engine.now() + retryMs);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #schedule(at: number): void {
    if (this.#isStopped || at >= this.#dueAt) return;
    const { system, engine } = this.#parts;
    this.#dueAt = at;
    this.#cancel();
    this.#cancel = system.schedule(Math.max(0, at - engine.now()), () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      void this.#sweep();
    });
  }

  async #sweep(): Promise<void> {
    const { engine, match, log } = this.#parts;
    try {
      const { newlyWaiting, nextAt } = await engine.sweep();
      if (nextAt !== undefined) this.#schedule(nextAt);
      await match(newlyWaiting);
    } catch (bug) {
      log.bug(bug, "sweep");
      this.retry();
    }
  }
}
