/**
 * The port between the use cases and whatever keeps the state: sessions, lobby, rooms, event logs and
 * deadlines. It speaks the domain, never its own storage's words.
 *
 * An engine MUST
 * - make each verb all or nothing, and refuse with a `Rejection` before it has changed anything;
 * - append to the event logs of everybody concerned in the same step as the change itself;
 * - keep every deadline (grace, cooldown, relaxing, retention) as state, ring the alarm whenever one
 *   comes to stand before all others, and hand each due one to one sweep only;
 * - keep per session what `limits` and its options bound, and no more.
 * An engine MUST NOT
 * - choose partners: it offers those who may be paired and checks that they still are as they were seen;
 * - wait for a socket, or let one session's reader delay another;
 * - rely on being called by one process, or in any order.
 *
 * Verbs answer `T | Promise<T>`, so that an engine in memory stays synchronous: always await them. An engine
 * whose storage is away refuses with `unavailable`, at once or within a second; what was asked may then have been
 * done or not, and the same mutation id again finds out. What it has promised (streams, deadlines) it keeps when
 * the storage is back.
 */
import type { MaybePromise } from "../maybe-promise.ts";
import type { LogEntry, Position } from "../domain/event-log.ts";
import type { ModerationLimits, Party, Subject, Suspension } from "../domain/moderation.ts";
import type { Rejection } from "../domain/rejection.ts";
import type { SkipLimits } from "../domain/skip-penalty.ts";
import type { Ending } from "../domain/room.ts";
import type { RelaxSteps, Ticket, Wishes } from "../domain/ticket.ts";
import type { Mode, Status } from "../protocol.ts";
import type { Confirmed, Ended } from "../domain/transitions.ts";
import type { Moved } from "../domain/change.ts";
import type { RoomEnd } from "../domain/session.ts";

/** Who calls: a session, and the generation on it. A generation older than the session's is `taken-over`. */
export interface Caller {
  sessionId: string;
  generation: number;
  /** Same id, same answer, done once: the last 256 within two minutes. */
  mutationId?: string | undefined;
  /**
   * Whether it calls beside an open stream of its own. While that is not attached on this node (it was stopped for too
   * long and has begun anew) what was missed has yet to come, and no answer may come before it: `unavailable`.
   */
  streaming?: boolean;
}

export interface AttachRequest {
  sessionId: string;
  /** A keyed hash of the address bucket it comes from: counted and suspended by, never told. */
  addressHash: string;
  /** The least generation this session is known to have had (from its token); 0 for a new one. */
  generation: number;
  /** The last event the peer has; without one of the living epoch the session is taken over. */
  position?: Position | undefined;
  /** Called after new events, a take-over, or anything else worth a `read`. Must not throw. */
  wake: () => void;
}

/** One open `events` stream of a session. */
export interface Stream {
  sessionId: string;
  generation: number;
  streamId: string;
  epoch: string;
  /** Read on after this offset. */
  after: number;
}

export interface Attached {
  stream: Stream;
  /** Everything after the position that was given, if all of it could be replayed; else nothing. */
  missed: LogEntry[];
  /** Whether all that was missed is in `missed`. */
  recovered: boolean;
  /** Whose tickets should look for a partner: its own, now that its owner is here. */
  newlyWaiting: string[];
}

export interface MatchOptions {
  ticket: Ticket;
  /** Who may be paired with it, oldest place first, bounded; empty when nobody fits. */
  eligible: Ticket[];
}

/** A ticket as it was seen: its session and revision. */
export type TicketVersion = Pick<Ticket, "sessionId" | "revision">;

export interface PairRequest {
  roomId: string;
  /** Makes the offer. */
  impolite: TicketVersion;
  polite: TicketVersion;
  relayOnly: boolean;
  sharedInterests: string[];
}

export interface EndRequest {
  ending: Ending;
  /** Only this room; the current one if absent. */
  roomId?: string | undefined;
}

export interface Reported {
  /** Who was reported. */
  reported: Party;
  suspended: Suspension[];
  /** Whose tickets are new in the lobby, because their partner was put out. */
  newlyWaiting: string[];
  /** Whether it was the first of this reporter in this room; another one is no news. */
  first: boolean;
  /** Whether it counts as a vote towards a suspension. */
  counted: boolean;
}

export interface Stats {
  /** Sessions with an open stream. */
  online: number;
  waiting: Record<Mode, number>;
  rooms: Record<Mode, number>;
}

export interface Engine {
  /**
   * Opens a stream: makes the session if it is unknown, ends its absence, appends `session` (and `resync`
   * when a position was given that can't be recovered). What was missed is answered in the same step, so
   * that no later event can push it out. `taken-over` for an older generation with a position of the living epoch:
   * that is the tab that lost the session.
   */
  attach(request: AttachRequest): MaybePromise<Attached | Rejection>;
  /** Closes a stream; without any left the session is absent and its grace runs. Idempotent. */
  detach(stream: Stream): MaybePromise<void>;
  /**
   * The events after `after` that have reached this node; none if there are no new ones. `overflow` when some are
   * gone: that reader is too slow and has to start anew. `detached` when the stream is no more, through no
   * fault of its reader's: attach again, from the last event that was read.
   */
  read(
    stream: Stream,
    after: number,
  ): MaybePromise<LogEntry[] | "overflow" | "detached" | Rejection>;

  /** Where the session stands; `undefined` for one without any trace. */
  status(caller: Caller): MaybePromise<{ status: Status; roomId?: string } | Rejection>;
  /**
   * Enters the lobby, or replaces the wishes of one who waits; nothing while paired. Absent wishes: the
   * last ones. `not-subscribed` without an open stream; `rate-limited` for one who skipped too often;
   * `suspended` for one who was reported too often.
   */
  enqueue(caller: Caller, wishes?: Wishes): MaybePromise<Moved | Rejection>;
  /** Corrects the recorded answer of a mutation whose matching came after its effect. */
  updateRecordedResult(caller: Caller, status: Status): MaybePromise<void>;

  /** A waiting ticket and whom it may have; `undefined` when it does not wait, or its owner is absent. */
  matchOptions(sessionId: string): MaybePromise<MatchOptions | undefined>;
  /** Pairs two tickets if both are as they were seen; `false`, and no change, if not. */
  pair(request: PairRequest): MaybePromise<boolean>;

  /**
   * Relays a signal (a `Signal` in JSON) to the other member of the living room, or only looks whether it could.
   * `false` for a room of the caller's that has just ended; `not-in-room` for any other, in the same words whether
   * it exists or not.
   */
  send(
    caller: Caller,
    roomId: string,
    signal: string | undefined,
  ): MaybePromise<boolean | Rejection>;
  /** Media flows in the caller's room: from now on it can't end as `connect-failed`. */
  confirm(caller: Caller, roomId: string): MaybePromise<Confirmed | Rejection>;
  /**
   * Ends the caller's room by the room's table. Changes nothing when it is over, or another one; but
   * `leave` also takes a waiting ticket out of the lobby. `rate-limited` for a skip too many.
   */
  end(caller: Caller, request: EndRequest): MaybePromise<Ended | Rejection>;
  /** The other member of a current or recent room, never to be met again by this session. */
  avoid(caller: Caller, roomId: string): MaybePromise<{ partnerId: string } | Rejection>;

  /**
   * One voice against the other member of a current or recent room; the same voice again counts for nothing.
   * Whoever is suspended by it is out of lobby and room at once, and told so by `resync`.
   */
  report(caller: Caller, roomId: string): MaybePromise<Reported | Rejection>;
  /** An operator's word; out of lobby and room at once. Until: epoch milliseconds. */
  suspend(
    subject: Subject,
    until: number,
  ): MaybePromise<Pick<Reported, "newlyWaiting"> | Rejection>;
  /** `false` if there was no such suspension. */
  lift(subject: Subject): MaybePromise<boolean | Rejection>;
  /** Every suspension there is, the first to end first. */
  suspensions(): MaybePromise<Suspension[]>;

  stats(): MaybePromise<Stats | Rejection>;
  /** Whether its storage is at hand. */
  available(): boolean;
  /**
   * The clock that its deadlines, places and waiting times go by (epoch milliseconds). It never steps, and is the same on
   * all nodes; the wall clock of this machine may be set to anything.
   */
  now(): number;
  /** Who to tell of each deadline (by `now`) that comes to stand before all others. */
  onDeadline(ring: (at: number) => void): void;
  /** Who to tell of each room that has ended, in whatever way, once on all nodes together. Must not throw. */
  onEnded(listener: (end: RoomEnd) => void): void;
  /** Carries out what is due. Answers the tickets that should look for a partner, and when to sweep next. */
  sweep(): MaybePromise<{ newlyWaiting: string[]; nextAt?: number }>;
  close(): MaybePromise<void>;
}

/**
 * Sessions that are gone and have blocked somebody, or were blocked, are remembered as long as their tokens live: but no
 * more than these, in all and of one address, as they cost nothing to make. Past them the first to have gone is
 * forgotten. 0: no limit.
 */
export interface BlockLimits {
  blockersMax: number;
  blockersPerAddressMax: number;
}

/** What every engine is made with. Times in milliseconds. */
export interface EngineOptions {
  graceMs: number;
  /** How long two who skipped avoid each other; 0 switches it off. */
  skipCooldownMs: number;
  relax: RelaxSteps;
  skipping: SkipLimits;
  moderation: ModerationLimits;
  /** How many others one session can avoid at a time; should exceed the skips possible in a cooldown. */
  avoidsMax: number;
  blocks: BlockLimits;
}
