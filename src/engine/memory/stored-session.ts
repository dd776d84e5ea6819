/** What the engine in memory keeps of one session besides its value, and of an account with all its sessions. */
import type { EventLog } from "../../domain/event-log.ts";
import { recordedResult } from "../../domain/recorded-result.ts";
import {
  newSession,
  newStanding,
  withStanding,
  type Session,
  type Standing,
} from "../../domain/session.ts";
import type { Avoider } from "./avoidance.ts";
import type { BitSet } from "./bit-set.ts";
import type { Stream } from "../engine.ts";
import type { IndexEntry, WaitingPeer } from "./lobby-index.ts";
import { RecordedResults } from "../../domain/recorded-results.ts";
import type { Entry, TimeBuckets } from "../time-buckets.ts";

/** Who avoids others and is avoided: an account, with all its sessions, or a session without one. */
export type Person = StoredSession | Account;

/** An entry in the time buckets of one kind of deadline. */
export interface Scheduled<T> {
  readonly buckets: TimeBuckets<T>;
  readonly entry: Entry<T>;
}

export interface OpenStream {
  readonly id: string;
  readonly wake: () => void;
}

/** A class, so that all of them share one compact shape. What most sessions never need is made on demand. */
export class StoredSession implements WaitingPeer<StoredSession>, Avoider<Person> {
  value: Session;
  readonly account: Account | undefined;
  /** Its account, or itself. */
  readonly person: Person;
  /** Absent once the grace has expired: a peer that returns later starts a new epoch. */
  log: EventLog | undefined;
  streams: OpenStream[] = [];
  results: RecordedResults | undefined;
  /** Its one deadline: of a waiting one its relaxation, of an absent one the end of its grace, later of its retention. */
  scheduled: Scheduled<StoredSession> | undefined;
  indexEntries: readonly IndexEntry<StoredSession>[] | undefined;
  avoids: Map<Person, number> | undefined;
  number: number | undefined;
  barred: BitSet | undefined;

  constructor(id: string, addressHash: string | undefined, account: Account | undefined) {
    this.value = newSession(id, addressHash, account?.name);
    this.account = account;
    this.person = account ?? this;
  }

  get id(): string {
    return this.value.id;
  }

  get sessions(): readonly StoredSession[] {
    return [this];
  }

  /** The result of a mutation that was carried out before; `undefined` for any other. */
  recorded<Result>(mutationId: string | undefined, now: number): Result | undefined {
    return mutationId === undefined
      ? undefined
      : (this.results?.get(mutationId, now) as Result | undefined);
  }

  record(mutationId: string | undefined, result: object, now: number): void {
    const kept = mutationId === undefined ? undefined : recordedResult(result);
    if (mutationId === undefined || !kept) return;
    (this.results ??= new RecordedResults()).set(mutationId, kept, now);
  }

  /** Its value, with the standing of its account as another session may have changed it. */
  current(): Session {
    if (this.account) this.value = withStanding(this.value, this.account.standing);
    return this.value;
  }
}

/** What holds for all sessions of an account. */
export class Account implements Avoider<Person> {
  readonly name: string;
  /** Those that are not forgotten. */
  readonly sessions = new Set<StoredSession>();
  standing: Standing = newStanding;
  /** When it is forgotten, if it is kept without a session. */
  scheduled: Scheduled<Account> | undefined;
  avoids: Map<Person, number> | undefined;
  number: number | undefined;
  barred: BitSet | undefined;

  constructor(name: string) {
    this.name = name;
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
