/**
 * The sessions with streams on this node, and the events that were published for them. Streams read from here; the log in
 * Redis is read only when an event may have been missed.
 */
import { EventLog, stageOf, type LogEntry, type Stage } from "../../domain/event-log.ts";
import type { Subject } from "../../domain/moderation.ts";
import { reject, type Rejection } from "../../domain/rejection.ts";
import { limits } from "../../protocol.ts";
import type { System } from "../../system.ts";
import type { AttachRequest, Stream } from "../engine.ts";
import type { RecordedResults } from "../../domain/recorded-results.ts";
import { textOf } from "./log-entry.ts";
import type { Fields } from "./session-codec.ts";

/** Where the signals of a session with a stream here go. */
export interface Line {
  readonly roomId: string;
  readonly generation: number;
  readonly partnerId: string;
  /** Of the partner's log. */
  readonly name: string;
  /** The offset of the last event that the log has dropped. */
  readonly dropped: number;
  /** Other nodes with streams of the partner, separated by spaces. */
  readonly holders: string;
}

export interface Inbox {
  epoch: string;
  generation: number;
  addressHash: string;
  readonly account: string | undefined;
  /** Stream id → how to wake it. */
  readonly streams: Map<string, () => void>;
  /** The newest events; absent while some may have been missed. */
  tail: EventLog | undefined;
  /** Events that arrived before others, or while there was no tail. */
  early: { offset: number; entry: string }[];
  waiters: { offset: number; resolve: () => void }[];
  /** The session as it was when this node last read or changed it; and its partner, if that has no stream here. */
  known: Fields | undefined;
  knownPartner: readonly [id: string, fields: Fields] | undefined;
  /** Since when it has been waiting (milliseconds of the shard's clock), as far as its events tell. */
  waitingSince: number | undefined;
  /** Where its signals go, and what became of those that were sent here, by mutation id. */
  line: Line | undefined;
  sent: RecordedResults | undefined;
  /** Whether it has not been connected to another node before. */
  readonly isFirst: boolean;
}

export class Inboxes {
  readonly #clock: Pick<System, "schedule">;
  readonly #patienceMs: number;
  readonly #now: () => number;
  readonly #inboxes = new Map<string, Inbox>();

  /**
   * @param patienceMs how long an event is waited for before the log is read.
   * @param now milliseconds of the shard's clock.
   */
  constructor(clock: Pick<System, "schedule">, patienceMs: number, now: () => number) {
    this.#clock = clock;
    this.#now = now;
    this.#patienceMs = patienceMs;
  }

  /** Adds a stream. Its events may arrive before it is known at which offset they begin. */
  open(request: AttachRequest, streamId: string): Inbox {
    const { sessionId, addressHash, account, position, wake } = request;
    const isFirst = position === undefined;
    let inbox = this.#inboxes.get(sessionId);
    if (!inbox) {
      inbox = {
        epoch: "",
        generation: 0,
        addressHash,
        account,
        streams: new Map(),
        tail: undefined,
        early: [],
        waiters: [],
        known: undefined,
        knownPartner: undefined,
        waitingSince: undefined,
        line: undefined,
        sent: undefined,
        isFirst,
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

  /** Sessions with a stream. */
  get size(): number {
    return this.#inboxes.size;
  }

  get(sessionId: string): Inbox | undefined {
    return this.#inboxes.get(sessionId);
  }

  /** Whether a stream of this generation is attached here. */
  isAttached(sessionId: string, generation: number): boolean {
    return this.#inboxes.get(sessionId)?.generation === generation;
  }

  has(sessionId: string): boolean {
    return this.#inboxes.has(sessionId);
  }

  /** The sessions to which a suspension of the subject applies. */
  sessionsOf(subject: Subject): string[] {
    if (subject.kind === "session") return this.#inboxes.has(subject.id) ? [subject.id] : [];
    const field = subject.kind === "account" ? "account" : "addressHash";
    return [...this.#inboxes].flatMap(([id, inbox]) => (inbox[field] === subject.id ? [id] : []));
  }

  /** The sessions that have been waiting since then; all sessions if no time is given. */
  waiting(since: number | undefined): string[] {
    return [...this.#inboxes].flatMap(([id, { waitingSince = Number.POSITIVE_INFINITY }]) =>
      since === undefined || waitingSince <= since ? [id] : [],
    );
  }

  // -------------------------------------------------------------------------------------------
  // Reading

  /** From now on the events after `last` are read here. */
  follow(inbox: Inbox, last: number): void {
    inbox.tail = new EventLog(inbox.epoch, last);
    takeEarly(inbox);
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
  // What other nodes publish, or this one has appended

  onEvent(sessionId: string, offset: number, entry: string): void {
    const inbox = this.#inboxes.get(sessionId);
    if (!inbox) return;
    const stage = stageOf(entry);
    if (stage === "lobby") inbox.waitingSince ??= this.#now();
    else if (stage === "room") inbox.waitingSince = undefined;
    const isAppended = receive(inbox, offset, entry, stage);
    wake(inbox);
    resolveWaiters(inbox);
    // Events from two nodes may come in another order than they were appended: the missing one is on its way.
    if (isAppended || !inbox.tail || inbox.early.length > 1) return;
    this.#clock.schedule(this.#patienceMs, () => {
      if (inbox.early.length > 0) invalidate(inbox);
    });
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

  /** The streams of a session have to be attached again. */
  end(sessionId: string): void {
    const inbox = this.#inboxes.get(sessionId);
    this.#inboxes.delete(sessionId);
    if (inbox) wake(inbox);
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

/** Appends an event if it is the next one, or keeps it until it is. Returns whether the tail has changed. */
function receive(inbox: Inbox, offset: number, entry: string, stage: Stage | undefined): boolean {
  const { tail, early } = inbox;
  if (tail && offset <= tail.last) return true;
  if (tail?.last !== offset - 1) {
    early.push({ offset, entry });
    if (early.length > limits.logEventsMax) early.shift();
    return false;
  }
  tail.append(textOf(entry), stage);
  if (early.length > 0) takeEarly(inbox);
  return true;
}

/** Appends what has come before its turn. */
function takeEarly(inbox: Inbox): void {
  const early = inbox.early.toSorted((a, b) => a.offset - b.offset);
  inbox.early = [];
  for (const { offset, entry } of early) receive(inbox, offset, entry, stageOf(entry));
}

function resolveWaiters(inbox: Inbox): void {
  if (inbox.waiters.length === 0) return;
  const last = inbox.tail?.last ?? 0;
  const { waiters } = inbox;
  inbox.waiters = waiters.filter(({ offset }) => offset > last);
  for (const { offset, resolve } of waiters) if (offset <= last) resolve();
}
