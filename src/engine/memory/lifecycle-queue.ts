/** The lifecycle events of the engine in memory, in a bounded queue until they are told. They end with the process. */
import type { Change } from "../../domain/change.ts";
import {
  lifecycleOfChange,
  lifecycleOfDecision,
  type Before,
  type Decision,
  type LifecycleEvent,
  type LifecycleType,
} from "../../domain/lifecycle.ts";
import type { Verdict } from "../../domain/moderation.ts";
import type { System } from "../../system.ts";
import { lifecycleQueueMax } from "../constants.ts";
import type { LifecycleListener } from "../engine.ts";
import { LifecycleDelivery } from "../lifecycle-delivery.ts";

export class LifecycleQueue {
  /** To be called before a change is applied; `undefined` if none is to be told. */
  readonly onChange: ((change: Change<unknown>, before: Before) => void) | undefined;
  readonly #wanted: readonly LifecycleType[];
  readonly #delivery: LifecycleDelivery;
  #onLost: (events: number) => void = () => {};

  /** @param now the engine's clock (epoch milliseconds). */
  constructor(
    system: Pick<System, "defer" | "now">,
    now: () => number,
    wanted: readonly LifecycleType[] = [],
  ) {
    this.#wanted = wanted;
    if (wanted.length > 0)
      this.onChange = (change, before) => {
        const time = { now: now(), at: system.now() };
        this.#add(lifecycleOfChange(change, before, time, wanted));
      };
    this.#delivery = new LifecycleDelivery({ defer: system.defer });
  }

  /** See `Engine.onLifecycle`. */
  listen(listener: LifecycleListener, onLost: (events: number) => void = () => {}): () => number {
    this.#onLost = onLost;
    this.#delivery.listen(listener);
    return () => this.#delivery.size;
  }

  decided(decision: Decision, verdict: Verdict): void {
    if (this.#wanted.length > 0) this.#add(lifecycleOfDecision(decision, verdict, this.#wanted));
  }

  #add(events: LifecycleEvent[]): void {
    for (const event of events)
      if (this.#delivery.size < lifecycleQueueMax) this.#delivery.add(event);
      else this.#onLost(1);
  }

  /** Resolves when all have been told. */
  async close(): Promise<void> {
    if (this.#delivery.isListening) await this.#delivery.idle();
  }
}
