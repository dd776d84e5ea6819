/**
 * The port between the use cases and the storage of sessions, lobby, rooms, event logs and deadlines. It speaks the domain's
 * language, never that of its own storage.
 *
 * An engine MUST
 * - make each verb atomic, and reject with a `Rejection` before it has changed anything;
 * - append to the event logs of all concerned in the same step as the change itself, and wake their streams after it;
 * - pair two who have asked to meet again in the step that makes it possible (domain/again.ts), before anybody else can have either;
 * - keep every deadline (grace, cooldown, relaxation, retention) as state, announce each that comes to be the earliest, and
 *   hand each due one to one sweep only;
 * - bound what it keeps per session by `limits` and its options.
 * An engine MUST NOT
 * - choose partners: it offers those who are eligible, and checks that they have not changed since;
 * - wait for a socket, or let one session's reader delay another;
 * - rely on being called by one process, or in any order.
 *
 * Verbs return `T | Promise<T>`, so that an engine in memory stays synchronous: always await them. An engine whose storage is
 * unavailable rejects with `unavailable`, at once or within a second. The verb may then have been carried out or not, and the
 * same mutation id again finds out. Streams and deadlines continue when the storage is back.
 */
import type { Confirmed } from "../domain/living-calls.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { LogEntry, Position } from "../domain/event-log.ts";
import type { Dimensions } from "../domain/facts.ts";
import type { LifecycleEvent, LifecycleType } from "../domain/lifecycle.ts";
import type {
  Grounds,
  ModerationLimits,
  Party,
  Subject,
  Suspension,
} from "../domain/moderation.ts";
import type { RoomMessages } from "../domain/attestation.ts";
import type { DecisionRecord, DecisionsRequest, ExportedDecision } from "../domain/decisions.ts";
import type { Rejection } from "../domain/rejection.ts";
import type { SkipLimits } from "../domain/skip-penalty.ts";
import type { Ending } from "../domain/room.ts";
import type { SiteStats } from "../domain/stats.ts";
import type { RelaxSteps, Ticket, Wishes } from "../domain/ticket.ts";
import type { Rate } from "../domain/token-bucket.ts";
import type {
  CaseAnswer,
  Facts,
  Media,
  ReportReason,
  StandingOffer,
  Stats,
  Status,
} from "../protocol.ts";
import type { OperatorView } from "./operator-view.ts";
import type { Ended } from "../domain/transitions.ts";
import type { Moved, TransitionOptions } from "../domain/change.ts";
import type { OfferKept } from "../domain/standby.ts";
import type { Room, RoomEnd, RoomProof } from "../domain/session.ts";

/** A session, and its generation. A caller with a lower generation than the session's is rejected as `taken-over`. */
export interface Caller {
  sessionId: string;
  generation: number;
  /** The same id has the same result, and is carried out once: the last 256 within two minutes. */
  mutationId?: string | undefined;
  /**
   * Whether it calls beside an open stream of its own. While that stream is not attached on this node (the process was stopped
   * for too long, and has registered as a new node) the missed events have yet to come, and no answer may come before them:
   * `unavailable`.
   */
  streaming?: boolean | undefined;
}

export interface AttachRequest {
  sessionId: string;
  /** Keyed hash of the bucket of the address that it connects from: for limits and suspensions, never sent to a peer. */
  addressHash: string;
  /**
   * The operator's own id of whoever this is, 1 to 128 characters; the same each time that the session is attached. Bans, blocks,
   * cooldowns, skips and votes then hold for all sessions of the account. Never sent to a peer.
   */
  account?: string | undefined;
  /**
   * The name of the lobby that the session is in until it joins another one, as the operator says. A ticket goes there, a room stays where
   * it is. Absent: the one that it was in.
   */
  lobby?: string | undefined;
  /** The names of those in which it may be without that; from any other one it goes to `main`. Absent: all. */
  lobbies?: readonly string[] | undefined;
  /** The lowest generation that the session is known to have had (from its token); 0 for a new session. */
  generation: number;
  /** The last event that the peer has received. Without one of the present epoch it takes the session over. */
  position?: Position | undefined;
  /** Called after a verb that has appended events, or has ended the stream: `read` then. Must not throw. */
  wake: () => void;
}

/** One open `events` stream of a session. */
export interface Stream {
  sessionId: string;
  generation: number;
  streamId: string;
  epoch: string;
  /** The offset after which to read. */
  after: number;
}

export interface Attached {
  stream: Stream;
  /** All events after the position that was given, if all of them could be replayed; else none. */
  missed: LogEntry[];
  /** Whether `missed` is complete. */
  recovered: boolean;
  /** Whether the session has begun by this: there was none, or it was gone. */
  isNew: boolean;
  /** Tickets that should look for a partner. */
  newlyWaiting: string[];
}

export interface MatchOptions {
  ticket: Ticket;
  /** Tickets that may be paired with it, the longest queued first; bounded, and empty when there is none. */
  eligible: Ticket[];
}

/** A ticket at one of its versions. */
export type TicketVersion = Pick<Ticket, "sessionId" | "revision">;

export interface PairRequest {
  roomId: string;
  /** Makes the offer, unless the other one alone has a standing offer, or has waited for longer with its own. */
  impolite: TicketVersion;
  polite: TicketVersion;
  relayOnly: boolean;
  sharedInterests: string[];
  /** Whose call led to this: the recorded result of its mutation becomes `paired` in the same step. */
  caller?: Caller | undefined;
}

export interface EndRequest {
  ending: Ending;
  /** Only this room; the present one if absent. */
  roomId?: string | undefined;
  /** Of a skip: the facts that the operator states of the session now, in place of earlier ones; absent: they stay. */
  claims?: Facts | undefined;
  /** Of a skip: the lane that the operator names now; absent: the one it named last. */
  lane?: number | undefined;
}

/** What was decided by a call: each is returned by one call only, on whichever node. */
export interface Decided {
  decided: readonly DecisionRecord[];
}

/** What belongs to a report beside its reason. */
export interface Filing {
  /** The same for the same reporter and room, and unguessable. */
  caseId: string;
  /** This process has a note or evidence to be told with it. */
  isHeld?: boolean;
}

export interface Reported extends Decided {
  /** The reported partner. */
  reported: Party;
  suspended: Suspension[];
  /** Tickets that entered the lobby, because their partner was suspended. */
  newlyWaiting: string[];
  /** Whether it was the reporter's first report of this room; another one changes nothing. */
  first: boolean;
  /** Whether it counts as a vote for a suspension. */
  counted: boolean;
}

/**
 * Is called with each lifecycle event, and has taken it once what it returns has settled. Must not take for ever, nor rely on its
 * faults being noticed.
 */
export type LifecycleListener = (event: LifecycleEvent) => MaybePromise<void>;

export interface Engine {
  /** What an operator's console needs. */
  readonly operator: OperatorView;
  /**
   * The id of a new session, made of an unguessable one (22 characters of base64url), which it may change in the last two.
   * @param account that of the session, so that all its sessions are where what it shares among them is kept.
   */
  newSessionId(id: string, account?: string): string;
  /**
   * Opens a stream: creates the session if it does not exist, ends its absence, appends `session`, and `resync` when a
   * position was given that can't be recovered. Missed events are returned in the same step, so that no later event can push
   * them out of the log. `taken-over` for a lower generation with a position of the present epoch: the tab that lost the
   * session.
   */
  attach(request: AttachRequest): MaybePromise<Attached | Rejection>;
  /**
   * Closes a stream. Without any left the session is absent, and its grace begins. Idempotent.
   * @param graceMsMax how long it may be at most (milliseconds), as the peer has to authenticate anew by then. Default: Infinity.
   */
  detach(stream: Stream, graceMsMax?: number): MaybePromise<void>;
  /**
   * The events after `after`; none if there are no new ones. `overflow` when some of them are dropped already: the reader is
   * too slow, and has to start over. `detached` when the stream has ended through no fault of the reader's: attach again, from
   * the last event that was read.
   */
  read(
    stream: Stream,
    after: number,
  ): MaybePromise<LogEntry[] | "overflow" | "detached" | Rejection>;

  /** The session's status; `idle` for one that does not exist. */
  status(caller: Caller): MaybePromise<{ status: Status; roomId?: string } | Rejection>;
  /**
   * Enters the lobby, or replaces the wishes of a session that waits, which may put it into another lobby; in a room it changes
   * nothing but the lobby of the next one. Absent wishes: the last ones.
   * `not-subscribed` without an open stream, `rate-limited` for one who skipped too often, `suspended`.
   */
  enqueue(caller: Caller, wishes?: Wishes): MaybePromise<Moved | Rejection>;

  /**
   * Leaves an offer with the caller's ticket, in place of the one before; `null` takes that back. Whoever is paired with the caller gets it in
   * `wait-for-offer`, and nobody else does: see domain/standby.ts. It is kept apart from the session, so that those who look for a partner read
   * none. Not kept without a ticket in a mode with media, nor past the limits: then the one before is dropped as well. `wrong-mode` for media that
   * the ticket's mode has not.
   */
  standby(caller: Caller, offer: StandingOffer | null): MaybePromise<OfferKept | Rejection>;

  /**
   * A waiting ticket and its options; `undefined` when it does not wait, or its session is absent.
   * @param asEntered whether the ticket has just entered the lobby: then its options may be those of that moment, if the engine
   * has kept them. Tickets that have entered since then find this one when they look for a partner.
   */
  matchOptions(sessionId: string, asEntered?: boolean): MaybePromise<MatchOptions | undefined>;
  /** Pairs two tickets if both still have these versions; `false`, and no change, if not. */
  pair(request: PairRequest): MaybePromise<boolean>;

  /**
   * Relays an event in JSON (a `Signal`, a message, or that one types) to the partner; without one it only finds out whether it could. `false` for a room of
   * the caller's that has ended recently; `not-in-room` for any other, whether it exists or not. An id that is repeated on another
   * node may be answered `false` once the partner's log has dropped that room: see event-log.ts.
   */
  send(
    caller: Caller,
    roomId: string,
    signal: string | undefined,
  ): MaybePromise<boolean | Rejection>;
  /** The caller says what it sends from now on: see domain/media.ts. */
  media(
    caller: Caller,
    roomId: string,
    media: Media,
  ): MaybePromise<{ delivered: boolean } | Rejection>;
  /**
   * Media flows in the caller's room: from now on it can't end as `connect-failed`. With a proof of the room, of which it is known that it is
   * genuine, the grace of an absent partner is extended, and a lost room exists again once both members have called this (domain/living-calls.ts):
   * never between two of whom one has blocked the other.
   */
  confirm(caller: Caller, roomId: string, proof?: RoomProof): MaybePromise<Confirmed | Rejection>;
  /**
   * Ends the caller's room by the room's table. Changes nothing when it has ended, or is another one; but `leave` also takes a
   * ticket out of the lobby, and `skip` of one who is idle enters it, as `enqueue` does. `rate-limited` for a skip too many.
   */
  end(caller: Caller, request: EndRequest): MaybePromise<Ended | Rejection>;
  /**
   * Blocks the other member of a present or recent room: the two never meet again in these sessions, or in any of their accounts. The
   * same mutation again makes sure of it once more.
   */
  avoid(caller: Caller, roomId: string): MaybePromise<{ partnerId: string } | Rejection>;
  /**
   * Asks to meet the other member of an ended room again, for which both have five minutes: see domain/again.ts. Once both have, they are paired
   * in the very step in which the second one asks, or in which the last of them becomes free or comes back, also though they avoid each other
   * for a while, and never once one has blocked the other. They must be in the same part of the storage by then. Else it changes nothing that
   * anybody can see: the result is the caller's status, as if the other one did not exist.
   * @param id unguessable, and another one each time: that of the room in which they would meet is made of it.
   */
  again(caller: Caller, roomId: string, id: string): MaybePromise<Moved | Rejection>;

  /**
   * Reports the other member of a present or recent room; the same report again counts for nothing. A session that is suspended
   * by it leaves lobby and room at once, and is sent `resync`; one that is warned is sent `warning`, once it is there.
   */
  report(
    caller: Caller,
    roomId: string,
    reason?: ReportReason,
    filing?: Filing,
  ): MaybePromise<Reported | Rejection>;
  /**
   * The messages that the caller and the other member of a present or recent room were sent in it, as far as their logs have them.
   * `not-in-room` for any other room.
   */
  messagesIn(caller: Caller, roomId: string): MaybePromise<RoomMessages | Rejection>;
  /** An operator's decision; the subject leaves lobby and room at once. `until`: epoch milliseconds. */
  suspend(
    subject: Subject,
    until: number,
    grounds?: Grounds,
  ): MaybePromise<Pick<Reported, "newlyWaiting" | "decided"> | Rejection>;
  /** `false` if there was no such suspension. */
  lift(subject: Subject, grounds?: Grounds): MaybePromise<boolean | Rejection>;
  /** An operator closes a case without a sanction. */
  dismiss(caseId: string, grounds?: Grounds): MaybePromise<Decided | Rejection>;
  /** What was decided, the oldest first; as far as it is kept. */
  decisions(request: DecisionsRequest): MaybePromise<ExportedDecision[] | Rejection>;
  /** What was decided of a case; nothing for one that does not exist. */
  caseAnswer(caseId: string): MaybePromise<CaseAnswer | Rejection>;
  /** All suspensions, the first to end first. */
  suspensions(): MaybePromise<Suspension[]>;

  /** Has all nodes, this one too, close the connections of a subject: calls the listener of `onDisconnect`. */
  disconnect(subject: Subject): MaybePromise<Rejection | undefined>;
  /** Replaces the listener for subjects whose connections are to be closed. It must not throw. */
  onDisconnect(listener: (subject: Subject) => void): void;

  stats(): MaybePromise<SiteStats | Rejection>;
  /** Of one lobby; `undefined` for the one that is always there. */
  statsOf(lobby: string | undefined): MaybePromise<Stats | Rejection>;
  /** Whether its storage is available. */
  available(): boolean;
  /**
   * The clock of its deadlines and waiting times (epoch milliseconds). It never steps, and is the same on all nodes, whatever
   * the wall clock of this machine shows.
   */
  now(): number;
  /** Replaces the listener for each deadline (by `now`) that comes to be the earliest. */
  onDeadline(listener: (at: number) => void): void;
  /** Replaces the listener for each room that has ended, called once on all nodes together. It must not throw. */
  onEnded(listener: (end: RoomEnd) => void): void;
  /** Replaces the listener for each room of two who meet again, called once on all nodes together. It must not throw. */
  onMetAgain(listener: (room: Room) => void): void;
  /**
   * Sets the listener for lifecycle events: each of those that the options name is told at least once over all nodes together, after
   * its change and never within a verb. Those that concern the same room or peer are told in order, each once the one before has been
   * taken, while others go on. The same event has the same id each time.
   * @param onLost called with the number of events that are not told, as too many wait.
   * @returns how many wait to be told by this node at the moment.
   */
  onLifecycle(listener: LifecycleListener, onLost?: (events: number) => void): () => number;
  /** Carries out what is due. Returns the tickets that should look for a partner, and when to sweep next. */
  sweep(): MaybePromise<{ newlyWaiting: string[]; nextAt?: number }>;
  /** Resolves when the lifecycle events are told: all of them, or those that are being told where others can tell the rest. */
  close(): MaybePromise<void>;
}

/**
 * Bounds of the sessions and accounts that are gone, but are kept as long as their tokens are valid because they block another session or
 * are blocked: they cost nothing to create. Past a bound the one that went first is forgotten. 0: no limit.
 */
export interface BlockLimits {
  blockersMax: number;
  blockersPerAddressMax: number;
}

/**
 * Bounds of the bytes of standing offers that are kept at a time, as JSON in UTF-8: all together, and of each address. An engine of several
 * storages counts in each of them. 0: no limit.
 */
export interface StandbyLimits {
  bytesMax: number;
  bytesPerAddressMax: number;
}

export const transitionOptionsOf = (options: EngineOptions): TransitionOptions => ({
  callKeepMs: 0,
  ...options,
  voteAfterMs: options.moderation.voteAfterMs,
});

/** What every engine is made with. Times in milliseconds. */
export interface EngineOptions {
  graceMs: number;
  /** See `TransitionOptions`. Default: 0. */
  callKeepMs?: number;
  seal?: TransitionOptions["seal"];
  /** How long two who skipped avoid each other; 0: not at all. */
  skipCooldownMs: number;
  relax: RelaxSteps;
  /** Of facts, that tickets may state and want; the same on all nodes. Default: none. */
  dimensions?: Dimensions | undefined;
  skipping: SkipLimits;
  /** Of what one account does by `enqueue`, `avoid`, `again`, and `end` with `skip` or `failed`; past it these are `rate-limited`. */
  intents: Rate;
  moderation: ModerationLimits;
  /** How long decisions are kept for an export, as far as there are few enough; 0 (the default): without an end. */
  decisionsKeepMs?: number;
  /** Others that one session can avoid at a time; should exceed the skips that are possible in a cooldown. */
  avoidsMax: number;
  blocks: BlockLimits;
  standby: StandbyLimits;
  /** Which lifecycle events are told; the same on all nodes. Default: none, and then none is derived or stored. */
  lifecycle?: readonly LifecycleType[];
}
