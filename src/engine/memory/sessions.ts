/** What the engine in memory keeps of one session. */
import type { EventLog } from "../../domain/event-log.ts";
import type { Ticket } from "../../domain/ticket.ts";
import type { Member } from "../moves.ts";
import type { TimeBuckets, Entry } from "./time-buckets";
import type { Waiter } from "./lobby.ts";

export interface Session extends Waiter<Session>, Member<Session> {
  /** Absent once the grace has ended: whoever comes back then starts a new epoch. */
  log: EventLog | undefined;
  streams: OpenStream[];
  ticket: Ticket | undefined;
  /** Answers by mutation id. */
  answers: Map<string, { at: number; answer: object }> | undefined;
  // This session's entries in the calendars of deadlines.
  grace: { at: number; entry: Entry<Session> } | undefined;
  widening: { calendar: "language" | "anybody"; entry: Entry<Session> } | undefined;
  retention: { calendar: TimeBuckets<Session>; entry: Entry<Session> } | undefined;
}

export interface OpenStream {
  id: string;
  wake: () => void;
}

export function createSession(id: string, addressHash: string | undefined): Session {
  return {
    id,
    addressHash,
    generation: 0,
    log: undefined,
    streams: [],
    ticket: undefined,
    standing: undefined,
    room: undefined,
    wishes: undefined,
    place: undefined,
    // Most sessions never need these, so they are made when they do.
    avoids: undefined,
    number: undefined,
    barred: undefined,
    recentRooms: undefined,
    networksBefore: undefined,
    rooms: 0,
    aversions: 0,
    answers: undefined,
    restraint: undefined,
    goneSince: 0,
    revision: 0,
    grace: undefined,
    widening: undefined,
    retention: undefined,
  };
}
