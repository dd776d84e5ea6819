/**
 * What one session was told, kept for when it comes back: bounded in events and bytes, never partly
 * replayed. Positions are `epoch:offset`; an epoch is one life of a log, offsets count from 1.
 */
import { limits, type LoggedEvent } from "../protocol.ts";

export interface Position {
  epoch: string;
  /** Offset of the last event received; 0 before the first. */
  offset: number;
}

export interface LogEntry {
  offset: number;
  event: LoggedEvent;
}

/** Whether, and if not why, the events after a position can be replayed whole. */
export type Recovery = "whole" | "other-epoch" | "too-old" | "future";

export interface EventLog {
  readonly epoch: string;
  /** Offset of the newest event; 0 while there is none. */
  readonly last: number;
  /** Adds an event, dropping the oldest ones past the bounds. Answers its offset. */
  append(event: LoggedEvent): number;
  /** Can everything after `position` be replayed? */
  recovery(position: Position): Recovery;
  /** The entries after `offset`, oldest first; `undefined` when some of them are gone already. */
  after(offset: number): LogEntry[] | undefined;
}

/** An event's weight in the log: its free text, and a flat sum for all that is of fixed shape. */
function weigh(event: LoggedEvent): number {
  const flatBytes = 256;
  if (event.type === "offer" || event.type === "answer") return flatBytes + event.sdp.length;
  if (event.type === "add-ice-candidate") return flatBytes + event.candidate.candidate.length;
  return flatBytes;
}

export function createEventLog(epoch: string): EventLog {
  let entries: LogEntry[] = [];
  /** Index of the oldest live entry: dropping is moving this, and now and then a slice. */
  let head = 0;
  let bytes = 0;
  let last = 0;

  /** Offset of the newest event that was dropped; 0 while none was. */
  const dropped = () => last - (entries.length - head);

  function trim() {
    while (entries.length - head > limits.logEventsMax || bytes > limits.logBytesMax) {
      const oldest = entries[head];
      if (!oldest) return;
      bytes -= weigh(oldest.event);
      head += 1;
    }
    if (head > limits.logEventsMax) {
      entries = entries.slice(head);
      head = 0;
    }
  }

  return {
    epoch,
    get last() {
      return last;
    },
    append(event) {
      last += 1;
      entries.push({ offset: last, event });
      bytes += weigh(event);
      trim();
      return last;
    },
    recovery(position) {
      if (position.epoch !== epoch) return "other-epoch";
      if (position.offset > last) return "future";
      if (position.offset < dropped()) return "too-old";
      return "whole";
    },
    after(offset) {
      if (offset < dropped()) return undefined;
      return entries.slice(head + Math.max(0, offset - dropped()));
    },
  };
}

/** `epoch:offset` → Position; `undefined` for anything that no log could have given out. */
export function parsePosition(id: string): Position | undefined {
  const match = /^([A-Za-z0-9_-]{1,64}):(0|[1-9][0-9]{0,14})$/.exec(id);
  if (!match?.[1] || !match[2]) return undefined;
  return { epoch: match[1], offset: Number(match[2]) };
}

/** Position → `epoch:offset`. */
export function formatPosition(epoch: string, offset: number): string {
  return `${epoch}:${offset}`;
}
