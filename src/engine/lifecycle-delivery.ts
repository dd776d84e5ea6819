/**
 * Tells lifecycle events to their listener, never within the call that added them: those that concern the same room or peer one after the
 * other, in the order in which they were added, and all others at the same time.
 */
import { concernsOf, type LifecycleEvent } from "../domain/lifecycle.ts";
import type { LifecycleListener } from "./engine.ts";

/** Events that are told at the same time: a listener that waits a second for each still keeps up with so many a second. */
const atOnceMax = 100;

interface Entry {
  event: LifecycleEvent;
  /** Taken before the listener has the event, which may change it. */
  concerns: readonly string[];
  onTold: () => void;
  /** How many it has to wait for, and which wait for it. */
  waitsFor: number;
  followers: Entry[];
}

export interface LifecycleDeliveryParts {
  defer: (task: () => void) => void;
  /** Whether events may begin to be told now; if not, `resume` is called once they may. Default: always. */
  mayBegin?: () => boolean;
}

export class LifecycleDelivery {
  readonly #parts: LifecycleDeliveryParts;
  #listener: LifecycleListener | undefined;
  /** Those that wait for no other. */
  #ready: Entry[] = [];
  readonly #running = new Set<Entry>();
  /** The last one that concerns a room or peer. */
  #last = new Map<string, Entry>();
  #size = 0;
  #isDue = false;
  #onIdle: (() => void)[] = [];

  constructor(parts: LifecycleDeliveryParts) {
    this.#parts = parts;
  }

  /** Events that have not been told yet, those that are being told included. */
  get size(): number {
    return this.#size;
  }

  get isListening(): boolean {
    return this.#listener !== undefined;
  }

  listen(listener: LifecycleListener): void {
    this.#listener = listener;
    this.resume();
  }

  /** @param onTold called when the listener has taken the event. */
  add(event: LifecycleEvent, onTold: () => void = () => {}): void {
    const concerns = concernsOf(event);
    const entry: Entry = { event, concerns, onTold, waitsFor: 0, followers: [] };
    for (const concern of concerns) {
      const before = this.#last.get(concern);
      if (before) {
        before.followers.push(entry);
        entry.waitsFor += 1;
      }
      this.#last.set(concern, entry);
    }
    this.#size += 1;
    if (entry.waitsFor > 0) return;
    this.#ready.push(entry);
    this.resume();
  }

  /** Continues soon. */
  resume(): void {
    if (this.#isDue || this.#ready.length === 0) return;
    this.#isDue = true;
    this.#parts.defer(() => {
      this.#isDue = false;
      this.#tellReady();
    });
  }

  /** Drops all events but those that are being told. Returns these. */
  forget(): LifecycleEvent[] {
    const running = [...this.#running];
    this.#ready = [];
    this.#last = new Map();
    for (const entry of running) {
      entry.followers = [];
      for (const concern of entry.concerns) this.#last.set(concern, entry);
    }
    this.#size = running.length;
    this.#checkIdle();
    return running.map(({ event }) => event);
  }

  /** Resolves when there is nothing to tell. */
  async idle(): Promise<void> {
    if (this.#size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #tellReady(): void {
    const { mayBegin = () => true } = this.#parts;
    const listener = this.#listener;
    while (listener && this.#running.size < atOnceMax && mayBegin()) {
      const entry = this.#ready.shift();
      if (!entry) return;
      this.#running.add(entry);
      void this.#tell(entry, listener);
    }
  }

  async #tell(entry: Entry, listener: LifecycleListener): Promise<void> {
    const { event, concerns, onTold } = entry;
    try {
      await listener(event);
    } catch {
      // Whoever listens knows what to do about its own faults.
    }
    this.#running.delete(entry);
    this.#size -= 1;
    for (const concern of concerns)
      if (this.#last.get(concern) === entry) this.#last.delete(concern);
    for (const follower of entry.followers)
      if (--follower.waitsFor === 0) this.#ready.push(follower);
    onTold();
    this.#checkIdle();
    this.#tellReady();
  }

  #checkIdle(): void {
    if (this.#size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}
