/**
 * The sessions with streams on this node, and the events that were published for them. Streams read from here; the log in
 * Redis is read only when an event may have been missed.
 */
import { EventLog, readLogText, type LogEntry } from "../../domain/event-log.ts";
import { reject, type Rejection } from "../../domain/rejection.ts";
import { limits } from "../../protocol.ts";
import type { System } from "../../system.ts";
import type { Stream } from "../engine.ts";

export interface Inbox {
  epoch: string;
  generation: number;
  addressHash: string;
  /** Stream id → how to wake it. */
  readonly streams: Map<string, () => void>;
  /** The newest events; absent while some may have been missed. */
  tail: EventLog | undefined;
  /** Events that arrived while there was no tail. */
  early: { offset: number; text: string }[];
  waiters: { offset: number; resolve: () => void }[];
}

export class Inboxes {
  readonly #clock: Pick<System, "schedule">;
  readonly #patienceMs: number;
  readonly #inboxes = new Map<string, Inbox>();

  /** @param patienceMs how long an event is waited for before the log is read. */
  constructor(clock: Pick<System, "schedule">, patienceMs: number) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
  }

  /** Adds a stream. Its events may arrive before it is known at which offset they begin. */
  open(sessionId: string, streamId: string, addressHash: string, wake: () => void): Inbox {
    let inbox = this.#inboxes.get(sessionId);
    if (!inbox) {
      inbox = {
        epoch: "",
        generation: 0,
        addressHash,
        streams: new Map(),
        tail: undefined,
        early: [],
        waiters: [],
      };
      this.#inboxes.set(sessionId, inbox);
    }
    inbox.streams.set(streamId, wake);
    return inbox;
  }

  /** `false` if there was no such stream. */
  close(sessionId: string, streamId: string): boolean {
    const inbox = this.#inboxes.get(sessionId);
    if (!inbox?.streams.delete(streamId)) return false;
    if (inbox.streams.size === 0) this.#inboxes.delete(sessionId);
    return true;
  }

  has(sessionId: string): boolean {
    return this.#inboxes.has(sessionId);
  }

  /** The sessions that are connected from an address. */
  at(addressHash: string): string[] {
    return [...this.#inboxes].flatMap(([id, inbox]) =>
      inbox.addressHash === addressHash ? [id] : [],
    );
  }

  // -------------------------------------------------------------------------------------------
  // Reading

  /** From now on the events after `last` are read here. */
  follow(inbox: Inbox, last: number): void {
    inbox.tail = new EventLog(inbox.epoch, last);
    const { early } = inbox;
    inbox.early = [];
    for (const { offset, text } of early) receive(inbox, offset, text);
    resolveWaiters(inbox);
  }

  /** The log in Redis was read up to `last`. */
  advance(sessionId: string, last: number): void {
    const inbox = this.#inboxes.get(sessionId);
    if (inbox && !inbox.tail) this.follow(inbox, last);
  }

  /** The events after `after`; `undefined` when the log in Redis must be read. */
  read(
    { sessionId, streamId, generation, epoch }: Stream,
    after: number,
  ): LogEntry[] | "overflow" | "detached" | Rejection | undefined {
    const inbox = this.#inboxes.get(sessionId);
    if (!inbox?.streams.has(streamId)) return "detached";
    if (generation < inbox.generation) return reject("taken-over");
    if (epoch !== inbox.epoch) return "overflow";
    return inbox.tail?.after(after);
  }

  // -------------------------------------------------------------------------------------------
  // What is published

  onEvent(sessionId: string, offset: number, text: string): void {
    const inbox = this.#inboxes.get(sessionId);
    if (!inbox) return;
    receive(inbox, offset, text);
    wake(inbox);
    resolveWaiters(inbox);
  }

  onTakeOver(sessionId: string, generation: number): void {
    const inbox = this.#inboxes.get(sessionId);
    if (!inbox) return;
    inbox.generation = Math.max(inbox.generation, generation);
    wake(inbox);
  }

  /**
   * Resolves when the events up to `offset` have arrived: no answer may overtake the events that led to it, or a peer would
   * learn of a room that it has left already.
   */
  async waitForOffset(sessionId: string, offset: number): Promise<void> {
    const inbox = this.#inboxes.get(sessionId);
    if (!inbox || (inbox.tail?.last ?? 0) >= offset) return;
    const clock = this.#clock;
    await new Promise<void>((resolve) => {
      let cancel = clock.schedule(this.#patienceMs, () => {
        invalidate(inbox);
        cancel = clock.schedule(this.#patienceMs, resolve);
      });
      inbox.waiters.push({
        offset,
        resolve() {
          cancel();
          // In a turn of its own: what was read has then been sent.
          clock.schedule(0, resolve);
        },
      });
    });
  }

  /** Events may have been missed: every stream reads the log in Redis. */
  invalidate(): void {
    for (const inbox of this.#inboxes.values()) invalidate(inbox);
  }

  /** Every stream has to be attached again. */
  clear(): void {
    const lost = [...this.#inboxes.values()];
    this.#inboxes.clear();
    for (const inbox of lost) wake(inbox);
  }
}

function wake({ streams }: Inbox): void {
  for (const wakeStream of streams.values()) wakeStream();
}

function invalidate(inbox: Inbox): void {
  inbox.tail = undefined;
  wake(inbox);
}

function receive(inbox: Inbox, offset: number, text: string): void {
  const { tail } = inbox;
  if (tail && offset <= tail.last) return;
  if (tail && offset === tail.last + 1) tail.append(text);
  else {
    inbox.tail = undefined;
    inbox.early.push({ offset, text });
    if (inbox.early.length > limits.logEventsMax) inbox.early.shift();
  }
}

function resolveWaiters(inbox: Inbox): void {
  if (inbox.waiters.length === 0) return;
  const last = inbox.tail?.last ?? 0;
  const { waiters } = inbox;
  inbox.waiters = waiters.filter(({ offset }) => offset > last);
  for (const { offset, resolve } of waiters) if (offset <= last) resolve();
}

/** The texts of consecutive events after `after`. */
export function readTexts(after: number, texts: readonly string[]): LogEntry[] {
  return texts.map((text, index) => readLogText(after + index + 1, text));
}
