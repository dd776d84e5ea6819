/** What the engine in memory keeps of one session. */
import type { EventLog } from "../../domain/event-log.ts";
import type { RoomState } from "../../domain/room.ts";
import type { Ticket, Wishes } from "../../domain/ticket.ts";
import type { Mode } from "../../protocol.ts";
import type { Entry } from "./calendar.ts";

export interface Session {
  readonly id: string;
  /** Counts take-overs: a caller that holds an older one has lost the session to another tab. */
  claim: number;
  /** Absent once the grace has ended: whoever comes back then starts a new epoch. */
  log: EventLog | undefined;
  /** Open streams and how to wake each. Present means: there is one. */
  readonly streams: Map<string, () => void>;
  ticket: Ticket | undefined;
  room: Room | undefined;
  /** The last ones asked for; they outlive ticket and room. */
  wishes: Wishes | undefined;
  /** Epoch milliseconds of the first waiting, kept through rooms that ended through others. */
  place: number | undefined;
  /** Epoch milliseconds until which this session avoids another one. */
  readonly cooldowns: Map<string, number>;
  readonly blocked: Set<string>;
  /** The last rooms that ended, and who else was in them. */
  readonly recentRooms: Map<string, string>;
  /** Answers by mutation id. */
  readonly answers: Map<string, { at: number; answer: object }>;
  revision: number;
  /** This session's entries in the calendars of deadlines. */
  grace: { at: number; entry: Entry<Session> } | undefined;
  widening: { calendar: "language" | "anybody"; entry: Entry<Session> } | undefined;
  retention: Entry<Session> | undefined;
}

export interface Room {
  readonly id: string;
  readonly mode: Mode;
  readonly polite: Session;
  readonly impolite: Session;
  readonly relayOnly: boolean;
  readonly sharedInterests: string[];
  readonly since: number;
  state: RoomState;
}

export function createSession(id: string): Session {
  return {
    id,
    claim: 0,
    log: undefined,
    streams: new Map(),
    ticket: undefined,
    room: undefined,
    wishes: undefined,
    place: undefined,
    cooldowns: new Map(),
    blocked: new Set(),
    recentRooms: new Map(),
    answers: new Map(),
    revision: 0,
    grace: undefined,
    widening: undefined,
    retention: undefined,
  };
}

/** Whether the two must not meet, by either one's word. */
export function avoidEachOther(a: Session, b: Session, now: number): boolean {
  return (
    (a.cooldowns.get(b.id) ?? 0) > now ||
    (b.cooldowns.get(a.id) ?? 0) > now ||
    a.blocked.has(b.id) ||
    b.blocked.has(a.id)
  );
}

export function partnerOf(session: Session, room: Room): Session {
  return room.polite === session ? room.impolite : room.polite;
}

/** Adds to a map or set that keeps only its newest `sizeMax` members. */
export function remember<K, V>(map: Map<K, V>, key: K, value: V, sizeMax: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > sizeMax) {
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }
}
