/** What the engine in memory keeps of one session besides its value. */
import type { EventLog } from "../../domain/event-log.ts";
import { newSession, type Session } from "../../domain/session.ts";
import type { BitSet } from "./bit-set.ts";
import type { Stream } from "../engine.ts";
import type { IndexEntry, WaitingPeer } from "./lobby-index.ts";
import type { RecordedResults } from "../recorded-results.ts";
import type { Entry, TimeBuckets } from "../time-buckets.ts";

/** An entry in the time buckets of one kind of deadline. */
export interface Scheduled {
  readonly buckets: TimeBuckets<StoredSession>;
  readonly entry: Entry<StoredSession>;
}

export interface OpenStream {
  readonly id: string;
  readonly wake: () => void;
}

/** A class, so that all of them share one compact shape. What most sessions never need is made on demand. */
export class StoredSession implements WaitingPeer<StoredSession> {
  value: Session;
  /** Absent once the grace has expired: a peer that returns later starts a new epoch. */
  log: EventLog | undefined;
  streams: OpenStream[] = [];
  results: RecordedResults | undefined;
  /** Its one deadline: of a waiting one its relaxation, of an absent one the end of its grace, later of its retention. */
  scheduled: Scheduled | undefined;
  indexEntries: readonly IndexEntry<StoredSession>[] | undefined;
  avoids: Map<StoredSession, number> | undefined;
  number: number | undefined;
  barred: BitSet | undefined;

  constructor(id: string, addressHash: string | undefined) {
    this.value = newSession(id, addressHash);
  }

  get id(): string {
    return this.value.id;
  }
}

/** Holds its session, which is the same for as long as it is open, so that no event has to look it up. */
export class OpenedStream implements Stream {
  readonly session: StoredSession;
  readonly sessionId: string;
  readonly generation: number;
  readonly streamId: string;
  readonly epoch: string;
  readonly after: number;

  constructor(session: StoredSession, streamId: string, epoch: string, after: number) {
    this.session = session;
    this.sessionId = session.id;
    this.generation = session.value.generation;
    this.streamId = streamId;
    this.epoch = epoch;
    this.after = after;
  }
}
