/**
 * The sessions with streams on this node, and what has been published for them: what a stream reads comes from
 * here, and only when something may have been missed from the log in Redis.
 */
import { EventLog, type LogEntry } from "../../domain/event-log.ts";
import { reject, type Rejection } from "../../domain/rejection.ts";
import { limits } from "../../protocol.ts";
import type { System } from "../../system.ts";
import type { Stream } from "../engine.ts";

export interface Inbox {
  epoch: string;
  generation: number;
  addressHash: string;
  /** By its id, who to wake. */
  readonly streams: Map<string, () => void>;
  /** The newest events; absent while some may have been missed. */
  tail: EventLog | undefined;
  /** What came while there was no tail. */
  early: LogEntry[];
  /** Whoever waits for news up to an offset. */
  expecting: { offset: number; resolve: () => void }[];
}

export interface Inboxes {
  /** Opens a stream; its news may come before it is known where they begin. */
  open(sessionId: string, streamId: string, addressHash: string, wake: () => void): Inbox;
  /** `false` if there was no such stream. */
  close(sessionId: string, streamId: string): boolean;
  /** From now on news are read here, after `last`. */
  follow(inbox: Inbox, last: number): void;
  /** What was read of a log in Redis, up to `last`. */
  catchUp(sessionId: string, last: number): void;
  /** The events after `after`; `undefined` when only Redis can tell. */
  read(stream: Stream, after: number): LogEntry[] | "behind" | "detached" | Rejection | undefined;
  /** `offset` and event, as they were published. */
  deliver(sessionId: string, published: string): void;
  /** Another tab has the session from this generation on. */
  takeOver(sessionId: string, generation: number): void;
  /**
   * Resolves when the news of a change have come that was made here: no answer may overtake the events that led
   * to it, or a peer would be told of a room that it has left already.
   */
  caughtUp(sessionId: string, offset: number): Promise<void>;
  /** Something may have been missed: everybody reads the log. */
  distrust(): void;
  /** No stream is one any more: each has to be attached again. */
  clear(): void;
  /** The sessions that come from an address. */
  from(addressHash: string): string[];
  has(sessionId: string): boolean;
}

export function createInboxes(
  clock: Pick<System, "schedule">,
  /** How long news are waited for before the log is read (milliseconds). */
  patienceMs: number,
): Inboxes {
  const inboxes = new Map<string, Inbox>();

  function wake({ streams }: Inbox) {
    for (const ring of streams.values()) ring();
  }

  function distrust(inbox: Inbox) {
    inbox.tail = undefined;
    wake(inbox);
  }

  function receive(inbox: Inbox, entry: LogEntry) {
    const { tail } = inbox;
    if (tail && entry.offset <= tail.last) return;
    if (tail && entry.offset === tail.last + 1) tail.append(entry.json);
    else {
      inbox.tail = undefined;
      inbox.early.push(entry);
      if (inbox.early.length > limits.logEventsMax) inbox.early.shift();
    }
  }

  function follow(inbox: Inbox, last: number) {
    inbox.tail = new EventLog(inbox.epoch, last);
    const { early } = inbox;
    inbox.early = [];
    for (const entry of early) receive(inbox, entry);
    settle(inbox);
  }

  /** Whoever waits for news that are here now waits no more. */
  function settle(inbox: Inbox) {
    if (inbox.expecting.length === 0) return;
    const last = inbox.tail?.last ?? 0;
    const due = inbox.expecting;
    inbox.expecting = [];
    for (const one of due) {
      if (one.offset <= last) one.resolve();
      else inbox.expecting.push(one);
    }
  }

  return {
    follow,

    open(sessionId, streamId, addressHash, ring) {
      let inbox = inboxes.get(sessionId);
      if (!inbox) {
        const streams = new Map<string, () => void>();
        inbox = {
          epoch: "",
          generation: 0,
          addressHash,
          streams,
          tail: undefined,
          early: [],
          expecting: [],
        };
        inboxes.set(sessionId, inbox);
      }
      inbox.streams.set(streamId, ring);
      return inbox;
    },

    close(sessionId, streamId) {
      const inbox = inboxes.get(sessionId);
      if (!inbox?.streams.delete(streamId)) return false;
      if (inbox.streams.size === 0) inboxes.delete(sessionId);
      return true;
    },

    catchUp(sessionId, last) {
      const inbox = inboxes.get(sessionId);
      if (inbox && !inbox.tail) follow(inbox, last);
    },

    read({ sessionId, streamId, generation, epoch }, after) {
      const inbox = inboxes.get(sessionId);
      if (!inbox?.streams.has(streamId)) return "detached";
      if (generation < inbox.generation) return reject("taken-over");
      if (epoch !== inbox.epoch) return "behind";
      return inbox.tail?.after(after);
    },

    deliver(sessionId, published) {
      const inbox = inboxes.get(sessionId);
      if (!inbox) return;
      const offset = Number.parseInt(published, 10);
      receive(inbox, { offset, json: published.slice(published.indexOf("\n") + 1) });
      wake(inbox);
      settle(inbox);
    },

    takeOver(sessionId, generation) {
      const inbox = inboxes.get(sessionId);
      if (!inbox) return;
      inbox.generation = Math.max(inbox.generation, generation);
      wake(inbox);
    },

    async caughtUp(sessionId, offset) {
      const inbox = inboxes.get(sessionId);
      if (!inbox || (inbox.tail?.last ?? 0) >= offset) return;
      await new Promise<void>((resolve) => {
        let cancel = clock.schedule(patienceMs, () => {
          distrust(inbox);
          cancel = clock.schedule(patienceMs, resolve);
        });
        inbox.expecting.push({
          offset,
          resolve() {
            cancel();
            // In a turn of its own: what was read has then been sent.
            clock.schedule(0, resolve);
          },
        });
      });
    },

    distrust() {
      for (const inbox of inboxes.values()) distrust(inbox);
    },

    clear() {
      const lost = [...inboxes.values()];
      inboxes.clear();
      for (const inbox of lost) wake(inbox);
    },

    from: (addressHash) =>
      [...inboxes].flatMap(([id, inbox]) => (inbox.addressHash === addressHash ? [id] : [])),
    has: (sessionId) => inboxes.has(sessionId),
  };
}
