/**
 * Events of which something is only in the memory of the process that caused them: what a reporter has shown is never in Redis. The node with
 * the lock asks that process to tell such an event, and goes on when it has. If that process is gone, or takes too long, the node tells
 * the event itself, without what is missing.
 */
import type { Held, LifecycleEvent } from "../../domain/lifecycle.ts";
import type { System } from "../../system.ts";
import type { LifecycleListener } from "../engine.ts";
import type { Node } from "./node.ts";

/** How often the other process is asked (milliseconds): messages may be lost. */
const askMs = 1000;
/** Longer than a hook or webhook is waited for there (milliseconds). */
const tellMs = 120_000;

export interface HeldEventsParts {
  node: Pick<Node, "id" | "keys" | "publish" | "command">;
  clock: Pick<System, "schedule" | "elapsed">;
}

export class HeldEvents {
  readonly #parts: HeldEventsParts;
  /** Called with the id of an event that another process has told. */
  readonly #waiting = new Map<string, () => void>();
  /** Events that this process was asked to tell, for a while after it has: another node may ask again. */
  readonly #asked = new Map<string, Promise<unknown>>();

  constructor(parts: HeldEventsParts) {
    this.#parts = parts;
  }

  /** Tells an event, here or where what belongs to it is. */
  async tell(event: LifecycleEvent & Held, listener: LifecycleListener): Promise<void> {
    const { heldBy } = event;
    const { node, clock } = this.#parts;
    if (heldBy === undefined || heldBy === node.id)
      return void (await this.#tellHere(event, listener));
    const until = clock.elapsed() + tellMs;
    const message = { type: "tell", from: node.id, event: JSON.stringify(event) } as const;
    while (clock.elapsed() < until && (await this.#isAlive(heldBy))) {
      const told = this.#isTold(event.id);
      // Without Redis this node has no lock for long, and another one tells the event.
      await node.publish(node.keys.nodeChannel(heldBy), message).catch(() => {});
      if (await told) return;
    }
    await listener(event);
  }

  /** Another node asks this one to tell an event. */
  async asked(from: string, json: string, listener: LifecycleListener | undefined): Promise<void> {
    if (!listener) return;
    const event = JSON.parse(json) as LifecycleEvent & Held;
    await this.#tellHere(event, listener);
    const { node } = this.#parts;
    await node.publish(node.keys.nodeChannel(from), { type: "told", id: event.id });
  }

  /** The node that was asked has told an event. */
  told(id: string): void {
    this.#waiting.get(id)?.();
  }

  /** Resolves when nothing is being told that another node has asked for. */
  async idle(): Promise<void> {
    await Promise.all(this.#asked.values());
  }

  /** Once, however often it is asked for. */
  #tellHere(event: LifecycleEvent & Held, listener: LifecycleListener): Promise<unknown> {
    if (event.heldBy === undefined) return Promise.resolve(listener(event));
    const running = this.#asked.get(event.id);
    if (running) return running;
    const telling = (async () => listener(event))().catch(() => {});
    this.#asked.set(event.id, telling);
    void telling.then(() =>
      this.#parts.clock.schedule(tellMs, () => void this.#asked.delete(event.id)),
    );
    return telling;
  }

  /** Resolves with whether the event is told soon. */
  #isTold(id: string): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isTold: boolean) => {
        cancel();
        this.#waiting.delete(id);
        resolve(isTold);
      };
      const cancel = this.#parts.clock.schedule(askMs, () => settle(false));
      this.#waiting.set(id, () => settle(true));
    });
  }

  async #isAlive(id: string): Promise<boolean> {
    const { node } = this.#parts;
    const found = await node.command("EXISTS", node.keys.node(id)).catch(() => 1);
    return Number(found) === 1;
  }
}
