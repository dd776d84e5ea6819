/**
 * The events of one session, kept for resuming: bounded in number, bytes and rooms, replayed completely or not at all. Positions are
 * `epoch:offset`; an epoch is one life of a log, offsets count from 1.
 *
 * When a session enters the lobby, its log drops what came before the beginning of its latest room. So in a room it has at most that
 * room and the one before: enough for a peer that has missed how one ended and the next began, and needs every signal of the new one.
 */
import { limits, type LoggedEvent } from "../protocol.ts";

export interface Position {
  epoch: string;
  /** Offset of the last event received; 0 before the first. */
  offset: number;
}

export interface LogEntry {
  offset: number;
  /** A `LoggedEvent`, serialized once, however often it is sent. */
  json: string;
  /** What is added when it is sent, as it is secret or short-lived: see `PeerEvent`. */
  lacks: Lack | undefined;
}

/** `iceServers`: the field of that name. `state`: the ICE servers in the state of a paired peer, and the token. */
export type Lack = "iceServers" | "state";

/** The events that are logged incompletely. */
const lacking: Partial<Record<LoggedEvent["type"], Lack>> = {
  session: "state",
  resync: "state",
  "create-offer": "iceServers",
  "wait-for-offer": "iceServers",
};

/** How the text of an incomplete event begins. */
const beginOf: Record<Lack, string> = { iceServers: '["iceServers",', state: '["state",' };

/**
 * An event as a log keeps it: its JSON; for an incomplete event, an array of what it lacks and the event. Signals in JSON are kept
 * as they are. `JSON.stringify` makes the array, as a concatenated string would be copied when it is read.
 */
export function toLogText(event: LoggedEvent): string {
  const lacks = lacking[event.type];
  return JSON.stringify(lacks === undefined ? event : [lacks, event]);
}

/** The inverse of `toLogText`. */
export function readLogText(offset: number, text: string): LogEntry {
  if (!text.startsWith("[")) return { offset, json: text, lacks: undefined };
  const lacks: Lack = text.startsWith(beginOf.state) ? "state" : "iceServers";
  return { offset, json: text.slice(beginOf[lacks].length, -1), lacks };
}

/** The text of a `wait-for-offer` with the partner's standing offer in it, which is given in JSON. */
export function withOffer(text: string, offer: string): string {
  return `${text.slice(0, -2)},"offer":${offer}}]`;
}

/** Where an event leads its session, if that decides what its log keeps. */
export type Stage = "lobby" | "room";

/** @param text see `toLogText`. */
export function stageOf(text: string): Stage | undefined {
  if (text.startsWith(beginOf.iceServers)) return "room";
  return text.startsWith('{"type":"lobby"') ? "lobby" : undefined;
}

/** Whether, and if not why, the events after a position can be replayed whole. */
export type Recovery = "whole" | "other-epoch" | "too-old" | "future";

/** Which events a log holds: those after `dropped`, up to `last`. */
export interface LogExtent {
  epoch: string;
  last: number;
  dropped: number;
}

/** Whether everything after `position` can be replayed from a log; `none` if no position is given. */
export function recoveryOf(
  position: Position | undefined,
  log: LogExtent | undefined,
): Recovery | "none" {
  if (!position) return "none";
  if (position.epoch !== log?.epoch) return "other-epoch";
  if (position.offset > log.last) return "future";
  return position.offset < log.dropped ? "too-old" : "whole";
}

/**
 * A new epoch. It only distinguishes the lives of one session's log, so it need not be unguessable.
 * @param random a number in [0, 1).
 */
export const newEpoch = (random: number): string => Math.floor(random * 2 ** 52).toString(36);

/** A class, as there is one log per session, and closures would cost memory for each of them. */
export class EventLog {
  readonly epoch: string;
  /** As texts: every object would be visited by the garbage collector for as long as it is kept. */
  #events: string[] = [];
  /** Index of the oldest event that is kept: dropping moves this, and slices the array now and then. */
  #head = 0;
  #bytes = 0;
  #last = 0;
  /** Offset of the event that began the latest room; 0 if none has begun in this log. */
  #roomBegan = 0;

  /** @param last the offset of the newest event that it does not hold. */
  constructor(epoch: string, last = 0) {
    this.epoch = epoch;
    this.#last = last;
  }

  /** Offset of the newest event; 0 while there is none. */
  get last(): number {
    return this.#last;
  }

  /** Offset of the newest event that was dropped; 0 while none was. */
  get #dropped(): number {
    return this.#last - (this.#events.length - this.#head);
  }

  /**
   * Adds an event, dropping the oldest ones past the bounds. Returns its offset.
   * @param stage see `stageOf`; a signal leads nowhere.
   */
  append(text: string, stage?: Stage): number {
    this.#events.push(text);
    this.#last += 1;
    this.#bytes += text.length;
    if (stage === "room") this.#roomBegan = this.#last;
    else if (stage === "lobby") this.#dropEarlierRooms();
    while (
      this.#events.length - this.#head > limits.logEventsMax ||
      this.#bytes > limits.logBytesMax
    )
      this.#dropOldest();
    return this.#last;
  }

  #dropOldest(): void {
    const oldest = this.#events[this.#head];
    if (oldest === undefined) throw new Error("an empty log is within its bounds");
    this.#bytes -= oldest.length;
    // Released now: until the slice it would keep its memory.
    this.#events[this.#head] = "";
    this.#head += 1;
    if (this.#head > limits.logEventsMax) this.#compact();
  }

  #dropEarlierRooms(): void {
    if (this.#dropped >= this.#roomBegan - 1) return;
    while (this.#dropped < this.#roomBegan - 1) this.#dropOldest();
    this.#compact();
  }

  #compact(): void {
    this.#events = this.#events.slice(this.#head);
    this.#head = 0;
  }

  /** The offsets that it covers. */
  get extent(): LogExtent {
    return { epoch: this.epoch, last: this.#last, dropped: this.#dropped };
  }

  /** The entries after `offset`, the oldest first; `undefined` when some of them are dropped already. */
  after(offset: number): LogEntry[] | undefined {
    const missing = offset - this.#dropped;
    if (missing < 0) return undefined;
    const entries: LogEntry[] = [];
    for (let index = this.#head + missing; index < this.#events.length; index++) {
      const text = this.#events[index];
      if (text !== undefined) entries.push(readLogText(offset + entries.length + 1, text));
    }
    return entries;
  }
}

/** `epoch:offset` → Position; `undefined` for a text that no log can have given out. */
export function parsePosition(id: string): Position | undefined {
  const match = /^([A-Za-z0-9_-]{1,64}):(0|[1-9][0-9]{0,14})$/.exec(id);
  if (!match?.[1] || !match[2]) return undefined;
  return { epoch: match[1], offset: Number(match[2]) };
}

/** Position → `epoch:offset`. */
export function formatPosition(epoch: string, offset: number): string {
  return `${epoch}:${offset}`;
}
