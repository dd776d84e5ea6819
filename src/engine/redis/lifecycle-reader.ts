/**
 * Tells the lifecycle events of one shard, which were appended to its stream with their changes. One node at a time does so, the one with
 * the lock; an event is removed once it was told. If that node dies, or is stopped for longer than its lease, another one takes the lock
 * and reads the stream from the start: what is still there may have been told, but was not removed. What is in the stream is what is
 * pending, so there is no need of a consumer group, which could be lost while the events are there, and would be written at each read.
 *
 * Nothing blocks a connection: the lock is renewed at each heartbeat, when the others look whether it is free; whoever appends an event
 * wakes the node with the lock.
 */
import type { LifecycleEvent, LifecycleType } from "../../domain/lifecycle.ts";
import type { System } from "../../system.ts";
import type { LifecycleListener } from "../engine.ts";
import { LifecycleDelivery } from "../lifecycle-delivery.ts";
import { HeldEvents } from "./held-events.ts";
import type { Node } from "./node.ts";
import { scripts } from "./scripts.ts";

/** Events that are read ahead. */
const aheadMax = 500;
/** Events that are appended or told within this time are read or removed together (milliseconds). */
const gatherMs = 25;

export interface LifecycleReaderParts {
  node: Pick<Node, "id" | "keys" | "available" | "hasLease" | "run" | "publish" | "command">;
  clock: Pick<System, "schedule" | "elapsed" | "defer">;
  leaseMs: number;
  /** Those that are told; without any the stream is never read. */
  wanted: readonly LifecycleType[];
  inBackground: (what: string, task: () => Promise<unknown>) => void;
  /** Moderation entries whose events have not been appended; only called on the node with the lock. */
  onUntold: (entries: readonly string[]) => Promise<void>;
}

export class LifecycleReader {
  readonly #parts: LifecycleReaderParts;
  readonly #delivery: LifecycleDelivery;
  readonly #held: HeldEvents;
  #listener: LifecycleListener | undefined;
  /** By their ids in the stream: those that wait here, are being told, or were told and are still in the stream. */
  readonly #known = new Map<string, LifecycleEvent>();
  readonly #told = new Set<string>();
  #onLost: (events: number) => void = () => {};
  /** Events that were in the stream when it was read last. */
  #stored = 0;
  /** The last one that was read. */
  #after = "";
  /** Until when this node has the lock for certain, by the monotonic clock. */
  #leaseUntil = Number.NEGATIVE_INFINITY;
  /** The other node that has the lock, as far as is known. */
  #holder: string | undefined;
  #reading: Promise<void> | undefined;
  #readsAgain = false;
  #cancel: (() => void) | undefined;
  #isClosing = false;

  constructor(parts: LifecycleReaderParts) {
    this.#parts = parts;
    const { elapsed, defer } = parts.clock;
    this.#held = new HeldEvents(parts);
    // Another node takes the lock once it has ended, or as soon as this node counts as dead.
    const mayBegin = () => parts.node.hasLease && elapsed() < this.#leaseUntil;
    this.#delivery = new LifecycleDelivery({ defer, mayBegin });
  }

  /** See `Engine.onLifecycle`: all that is in the stream waits for the node with the lock, as it was when that read last. */
  listen(listener: LifecycleListener, onLost: (events: number) => void = () => {}): () => number {
    if (this.#parts.wanted.length === 0) return () => 0;
    this.#onLost = onLost;
    this.#listener = listener;
    this.#delivery.listen((event) => this.#held.tell(event, listener));
    this.#wakeSoon();
    return () => {
      if (this.#parts.clock.elapsed() >= this.#leaseUntil) return this.#delivery.size;
      return Math.max(0, this.#stored - this.#told.size);
    };
  }

  /** This node has appended events. */
  appended(): void {
    this.#wakeSoon();
  }

  /** Another node has appended events, and believes that this one tells them. */
  wake(): void {
    this.#holder = undefined;
    this.#wakeSoon();
  }

  /** Another node asks this one to tell an event. */
  asked(from: string, event: string): void {
    const { inBackground } = this.#parts;
    inBackground("an event that is held here", () => this.#held.asked(from, event, this.#listener));
  }

  /** The node that was asked has told an event. */
  told(id: string): void {
    this.#held.told(id);
  }

  /** Redis is available again: after a failover ids may be lower than that of the last event that was read. */
  restart(): Promise<void> {
    this.#after = "";
    return this.refresh();
  }

  /** Renews the lock, or looks whether it is free, and reads. Rejects while Redis is unavailable. */
  refresh(): Promise<void> {
    if (!this.#delivery.isListening) return Promise.resolve();
    this.#readsAgain = true;
    this.#reading ??= this.#readAll();
    return this.#reading;
  }

  /** Waits for the events that are being told; the others are left to another node, or to the next start. */
  async close(): Promise<void> {
    if (!this.#delivery.isListening || this.#isClosing) return;
    this.#isClosing = true;
    this.#drop();
    await Promise.all([this.#delivery.idle(), this.#held.idle()]);
    this.#cancel?.();
    await this.#reading?.catch(() => {});
    // Without Redis the lock expires, and what was told is told again.
    await this.#read(0).catch(() => {});
  }

  #wakeSoon(): void {
    if (this.#cancel) return;
    const { node, clock, inBackground } = this.#parts;
    this.#cancel = clock.schedule(gatherMs, () => {
      this.#cancel = undefined;
      if (!node.available) return;
      const holder = this.#told.size === 0 ? this.#holder : undefined;
      inBackground("lifecycle events", () =>
        holder === undefined
          ? this.refresh()
          : node.publish(node.keys.nodeChannel(holder), { type: "lifecycle" }),
      );
    });
  }

  async #readAll(): Promise<void> {
    try {
      while (this.#readsAgain) {
        this.#readsAgain = false;
        await this.#read(this.#parts.leaseMs);
      }
    } finally {
      this.#reading = undefined;
    }
  }

  async #read(leaseMs: number): Promise<void> {
    const { node, clock, onUntold } = this.#parts;
    const told = [...this.#told];
    const max = this.#isClosing ? 0 : Math.max(0, aheadMax - this.#delivery.size);
    const begunAt = clock.elapsed();
    const args = { after: this.#after, max, lease_ms: leaseMs };
    const reply = await node.run(scripts.readLifecycle, args, told);
    for (const id of told) {
      this.#told.delete(id);
      this.#known.delete(id);
    }
    if (reply[0] === "held") {
      this.#leaseUntil = Number.NEGATIVE_INFINITY;
      this.#holder = reply[1];
      return this.#drop();
    }
    const [how, entries, lost, untold, stored] = reply;
    this.#stored = stored;
    this.#holder = undefined;
    // Another node may have told those that wait here, and others that were read before.
    if (how === "taken") this.#drop();
    this.#leaseUntil = begunAt + leaseMs;
    for (const entry of entries) this.#add(...entry);
    if (lost > 0) this.#onLost(lost);
    if (max > 0 && entries.length === max) this.#readsAgain = true;
    this.#delivery.resume();
    if (untold.length > 0) await onUntold(untold);
  }

  #add(id: string, [, json = ""]: string[]): void {
    this.#after = id;
    const event = JSON.parse(json) as LifecycleEvent;
    if (this.#known.get(id)?.id === event.id) return;
    this.#known.set(id, event);
    this.#delivery.add(event, () => {
      this.#told.add(id);
      this.#wakeSoon();
    });
  }

  /** Forgets the events that were read and of which none is being told. */
  #drop(): void {
    this.#after = "";
    const running = new Set(this.#delivery.forget());
    for (const [id, event] of this.#known)
      if (!running.has(event) && !this.#told.has(id)) this.#known.delete(id);
  }
}
