/** What the engine in memory keeps of one session. */
import type { EventLog } from "../../domain/event-log.ts";
import type { Restraint } from "../../domain/restraint.ts";
import type { RoomState } from "../../domain/room.ts";
import type { Ticket, Wishes } from "../../domain/ticket.ts";
import type { Mode } from "../../protocol.ts";
import type { Bits } from "./bits.ts";
import type { Calendar, Entry } from "./calendar.ts";
import type { Standing, Waiter } from "./lobby.ts";

export interface Session extends Waiter<Session> {
  readonly id: string;
  /** Of the address it last came from. */
  addressHash: string;
  /** Counts take-overs: a caller that holds an older one has lost the session to another tab. */
  claim: number;
  /** Absent once the grace has ended: whoever comes back then starts a new epoch. */
  log: EventLog | undefined;
  /** Open streams. Present means: there is one. */
  streams: OpenStream[];
  ticket: Ticket | undefined;
  standing: readonly Standing<Session>[] | undefined;
  room: Room | undefined;
  /** The last ones asked for; they outlive ticket and room. */
  wishes: Wishes | undefined;
  /** Epoch milliseconds of the first waiting, kept through rooms that ended through others. */
  place: number | undefined;
  // Most sessions never need these, so they are made when they do.
  avoids: Map<Session, number> | undefined;
  number: number | undefined;
  barred: Bits | undefined;
  /** The last rooms that ended, and who else was in them. */
  recentRooms: Map<string, string> | undefined;
  /** Answers by mutation id. */
  answers: Map<string, { at: number; answer: object }> | undefined;
  restraint: Restraint | undefined;
  /** Epoch milliseconds at which it was lost; meaningful while nobody is there. */
  goneSince: number;
  revision: number;
  /** This session's entries in the calendars of deadlines. */
  grace: { at: number; entry: Entry<Session> } | undefined;
  widening: { calendar: "language" | "anybody"; entry: Entry<Session> } | undefined;
  retention: { calendar: Calendar<Session>; entry: Entry<Session> } | undefined;
}

export interface OpenStream {
  id: string;
  wake: () => void;
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

export function createSession(id: string, addressHash: string): Session {
  return {
    id,
    addressHash,
    claim: 0,
    log: undefined,
    streams: [],
    ticket: undefined,
    standing: undefined,
    room: undefined,
    wishes: undefined,
    place: undefined,
    avoids: undefined,
    number: undefined,
    barred: undefined,
    recentRooms: undefined,
    answers: undefined,
    restraint: undefined,
    goneSince: 0,
    revision: 0,
    grace: undefined,
    widening: undefined,
    retention: undefined,
  };
}

export function partnerOf(session: Session, room: Room): Session {
  return room.polite === session ? room.impolite : room.polite;
}

/** Adds to a map that keeps only its newest `sizeMax` members, and makes it if there is none. */
export function remember<V>(
  known: Map<string, V> | undefined,
  key: string,
  value: V,
  sizeMax: number,
): Map<string, V> {
  const map = known ?? new Map<string, V>();
  map.delete(key);
  map.set(key, value);
  if (map.size > sizeMax) {
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }
  return map;
}
