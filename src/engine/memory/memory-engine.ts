/** The engine that keeps everything in this process: the default, for one node. Synchronous throughout. */
import type { Confirmed } from "../../domain/living-calls.ts";
import { askAgain } from "../../domain/again.ts";
import type { RoomMessages } from "../../domain/attestation.ts";
import type { Change, Moved, Surroundings } from "../../domain/change.ts";
import type { DecisionsRequest, ExportedDecision } from "../../domain/decisions.ts";
import { EventLog, newEpoch, recoveryOf, type LogEntry } from "../../domain/event-log.ts";
import { setMedia } from "../../domain/media.ts";
import type { Grounds, Subject, Suspension } from "../../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import type { Room, RoomEnd, Session, RoomProof } from "../../domain/session.ts";
import { knowsRoom, statusOf } from "../../domain/session.ts";
import type { OfferKept } from "../../domain/standby.ts";
import type { SiteStats } from "../../domain/stats.ts";
import type { Wishes } from "../../domain/ticket.ts";
import * as presence from "../../domain/presence.ts";
import * as transitions from "../../domain/transitions.ts";
import type { MaybePromise } from "../../maybe-promise.ts";
import type { CaseAnswer, Media, StandingOffer, Stats, Status } from "../../protocol.ts";
import { steadyClock, type System } from "../../system.ts";
import { eligibleMax } from "../constants.ts";
import { DeadlineNotifier } from "../deadline-notifier.ts";
import type {
  Attached,
  AttachRequest,
  Caller,
  Decided,
  EndRequest,
  Engine,
  EngineOptions,
  MatchOptions,
  PairRequest,
  Reported,
  Stream,
} from "../engine.ts";
import { isBarred } from "./avoidance.ts";
import { takeDue } from "./deadlines.ts";
import { LifecycleQueue } from "./lifecycle-queue.ts";
import { Meetings } from "./meetings.ts";
import { MemoryOperatorView } from "./operator-view.ts";
import { SessionStore, wakeAll } from "./session-store.ts";
import { OpenedStream, type StoredSession } from "./stored-session.ts";
import { createSurroundings } from "./surroundings.ts";
import { Suspensions } from "./suspensions.ts";

export function createMemoryEngine(system: System, options: EngineOptions): Engine {
  return new MemoryEngine(system, options);
}

class MemoryEngine implements Engine {
  readonly now: () => number;
  readonly operator: MemoryOperatorView;
  readonly #system: System;
  readonly #surroundings: () => Surroundings;
  readonly #notifier = new DeadlineNotifier();
  readonly #store: SessionStore;
  readonly #meetings: Meetings;
  readonly #suspensions: Suspensions;
  #onDisconnect: (subject: Subject) => void = () => {};
  readonly #lifecycle: LifecycleQueue;
  #streams = 0;

  constructor(system: System, options: EngineOptions) {
    this.now = steadyClock(system);
    this.#system = system;
    this.#store = new SessionStore(this.now, options, this.#notifier);
    this.#lifecycle = new LifecycleQueue(system, this.now, options.lifecycle);
    this.#store.onChange = this.#lifecycle.onChange;
    const shared = { system, now: this.now, options, store: this.#store };
    this.#suspensions = new Suspensions({
      ...shared,
      lifecycle: this.#lifecycle,
      surroundings: () => this.#surroundings(),
      apply: (...change) => this.#meetings.apply(...change),
    });
    this.#surroundings = createSurroundings({ ...shared, suspensions: this.#suspensions });
    this.#meetings = new Meetings(this.#store, this.#surroundings);
    this.operator = new MemoryOperatorView(this.#store, this.#meetings, this.#surroundings);
  }

  // -------------------------------------------------------------------------------------------
  // Streams

  newSessionId(id: string): string {
    return id;
  }

  attach(request: AttachRequest): Attached | Rejection {
    const { sessionId, addressHash, account, lobby, lobbies, generation, position } = request;
    const store = this.#store;
    const session = store.get(sessionId) ?? store.create(sessionId, addressHash, account);
    const recovery = recoveryOf(position, session.log?.extent);
    // The tab that lost the session comes back with what it last had: it has still lost it.
    const isKnownEpoch = recovery !== "none" && recovery !== "other-epoch";
    if (isKnownEpoch && generation < session.value.generation) return reject("taken-over");
    const log = (session.log ??= new EventLog(newEpoch(this.#system.random())));
    const partner = store.partnerOf(session);
    const change = presence.attach(
      session.current(),
      partner?.current(),
      { addressHash, account, lobby, lobbies, generation, recovery },
      this.#surroundings(),
    );
    // Another tab, or one that was away for too long: the streams before it end.
    const replaced = isKnownEpoch ? [] : session.streams.splice(0);
    const streamId = String(++this.#streams);
    session.streams.push({ id: streamId, wake: request.wake });
    // Read before `session` is appended, so that no later event can push it out.
    const recovered = recovery === "whole";
    const missed = (recovered && position && log.after(position.offset)) || [];
    const after = log.last;
    const { newlyWaiting } = this.#meetings.apply(change, session, partner);
    wakeAll(replaced);
    return {
      stream: new OpenedStream(session, streamId, log.epoch, after),
      missed,
      recovered,
      isNew: after === 0,
      newlyWaiting,
    };
  }

  detach({ sessionId, streamId }: Stream, graceMsMax = Number.POSITIVE_INFINITY): void {
    const session = this.#store.get(sessionId);
    const index = session?.streams.findIndex(({ id }) => id === streamId) ?? -1;
    if (!session || index < 0) return;
    session.streams.splice(index, 1);
    if (session.streams.length > 0) return;
    const partner = this.#store.partnerOf(session);
    const around = this.#surroundings();
    const away = { since: around.now, graceMsMax };
    const change = presence.detach(session.value, partner?.value, away, around);
    this.#store.apply(change, session, partner);
  }

  read(stream: Stream, after: number): LogEntry[] | "overflow" | Rejection {
    const { session } = stream as OpenedStream;
    if (stream.generation < session.value.generation) return reject("taken-over");
    if (session.log?.epoch !== stream.epoch) return "overflow";
    return session.log.after(after) ?? "overflow";
  }

  // -------------------------------------------------------------------------------------------
  // Verbs

  status(caller: Caller): { status: Status; roomId?: string } | Rejection {
    const session = this.#sessionOf(caller);
    if (isRejection(session)) return session;
    if (!session) return { status: "idle" };
    const status = statusOf(session.value);
    const { room } = session.value;
    return room ? { status, roomId: room.id } : { status };
  }

  enqueue(caller: Caller, asked?: Wishes): Moved | Rejection {
    const wishes = asked && this.#store.lobby.internStrings(asked);
    return this.#carryOut<Moved>(caller, notSubscribed, (session) =>
      transitions.enqueue(session, wishes, this.#surroundings()),
    );
  }

  standby(caller: Caller, offer: StandingOffer | null): OfferKept | Rejection {
    return this.#carryOut<OfferKept>(caller, notKept, (session) =>
      this.#store.offers.leave(session, offer),
    );
  }

  matchOptions(sessionId: string): MatchOptions | undefined {
    const session = this.#store.get(sessionId);
    const ticket = session?.value.ticket;
    if (!ticket || !session.value.present) return undefined;
    return { ticket, eligible: this.#store.lobby.eligibleFor(session, eligibleMax) };
  }

  pair(request: PairRequest): boolean {
    const impolite = this.#store.ticketAt(request.impolite);
    const polite = this.#store.ticketAt(request.polite);
    if (!impolite || !polite || impolite === polite || isBarred(impolite.person, polite.person))
      return false;
    const around = this.#surroundings();
    const change = transitions.pair(impolite.value, polite.value, request, around);
    const { caller } = request;
    if (caller)
      for (const session of [impolite, polite])
        if (session.id === caller.sessionId)
          session.record(caller.mutationId, transitions.pairedAtOnce, this.now());
    return this.#store.apply(change, impolite, polite);
  }

  send(caller: Caller, roomId: string, signal: string | undefined): boolean | Rejection {
    const session = this.#sessionOf(caller);
    if (isRejection(session)) return session;
    if (!session) return notInRoom;
    const past = session.recorded<{ delivered: boolean }>(caller.mutationId, this.now());
    if (past) return past.delivered;
    const delivered = session.value.room?.id === roomId;
    if (!delivered && !knowsRoom(session.value, roomId)) return notInRoom;
    session.record(caller.mutationId, delivered ? deliveredResult : droppedResult, this.now());
    if (delivered && signal !== undefined) {
      const partner = this.#store.partnerOf(session);
      partner?.log?.append(signal);
      if (partner) wakeAll(partner.streams);
    }
    return delivered;
  }

  media(caller: Caller, roomId: string, media: Media): { delivered: boolean } | Rejection {
    return this.#carryOut<{ delivered: boolean }>(caller, notInRoom, (session, partner) =>
      setMedia(session, partner, roomId, media),
    );
  }

  confirm(caller: Caller, roomId: string, proof?: RoomProof): Confirmed | Rejection {
    return this.#carryOut<Confirmed>(
      caller,
      notInRoom,
      (one, other) => transitions.confirm(one, other, roomId, this.#surroundings(), proof),
      (session) => this.#store.partnerOf(session) ?? this.#meetings.partnerBy(proof, session),
    );
  }

  end(caller: Caller, request: EndRequest): transitions.Ended | Rejection {
    return this.#carryOut<transitions.Ended>(
      caller,
      transitions.endOfUnknown(request.ending),
      (session, partner) => transitions.end(session, partner, request, this.#surroundings()),
    );
  }

  avoid(caller: Caller, roomId: string): { partnerId: string } | Rejection {
    return this.#carryOut<{ partnerId: string }>(
      caller,
      notInRoom,
      (session, met) =>
        met ? transitions.block(session, met, roomId, this.#surroundings()) : notInRoom,
      (session) => this.#suspensions.metIn(session, roomId)?.partner,
    );
  }

  again(caller: Caller, roomId: string, id: string): Moved | Rejection {
    return this.#carryOut<Moved>(caller, notInRoom, (session) =>
      askAgain(session, roomId, id, this.#surroundings()),
    );
  }

  // -------------------------------------------------------------------------------------------
  // Moderation

  report(...[caller, ...report]: Parameters<Engine["report"]>): Reported | Rejection {
    const session = this.#sessionOf(caller);
    if (isRejection(session)) return session;
    return session ? this.#suspensions.report(session, ...report) : notInRoom;
  }

  messagesIn(caller: Caller, roomId: string): RoomMessages | Rejection {
    const session = this.#sessionOf(caller);
    if (isRejection(session)) return session;
    return session ? this.#suspensions.messagesIn(session, roomId) : notInRoom;
  }

  suspend(...decision: Parameters<Suspensions["suspend"]>): ReturnType<Suspensions["suspend"]> {
    return this.#suspensions.suspend(...decision);
  }

  lift(subject: Subject, grounds?: Grounds): boolean {
    return this.#suspensions.lift(subject, grounds);
  }

  dismiss(caseId: string, grounds?: Grounds): Decided {
    return this.#suspensions.dismiss(caseId, grounds);
  }

  suspensions(): Suspension[] {
    return this.#suspensions.list();
  }

  decisions(request: DecisionsRequest): ExportedDecision[] {
    return this.#suspensions.decisions(request);
  }

  caseAnswer(caseId: string): CaseAnswer {
    return this.#suspensions.ofCase(caseId);
  }

  disconnect(subject: Subject): undefined {
    this.#onDisconnect(subject);
  }

  onDisconnect(listener: (subject: Subject) => void): void {
    this.#onDisconnect = listener;
  }

  // -------------------------------------------------------------------------------------------
  // The engine as a whole

  stats(): SiteStats {
    return this.#store.lobbies.stats();
  }

  statsOf(lobby: string | undefined): Stats {
    return this.#store.lobbies.statsOf(lobby);
  }

  available(): boolean {
    return true;
  }

  onDeadline(listener: (at: number) => void): void {
    this.#notifier.listen(listener);
  }

  onEnded(listener: (end: RoomEnd) => void): void {
    this.#store.onRoomEnded = listener;
  }

  onMetAgain(listener: (room: Room) => void): void {
    this.#meetings.onMetAgain = listener;
  }

  sweep(): { newlyWaiting: string[]; nextAt?: number } {
    const store = this.#store;
    const { deadlines } = store;
    const now = this.now();
    const newlyWaiting = [
      ...takeDue(deadlines.graces, now, (session) => this.#expireGrace(session)),
      ...takeDue(deadlines.keeps, now, (session) => this.#expireGrace(session)),
      ...takeDue(deadlines.cooldowns, now, (cooldown) => store.endCooldown(cooldown)),
      ...[...deadlines.relaxations.values()].flatMap((buckets) =>
        takeDue(buckets, now, (session) => this.#relax(session)),
      ),
      ...takeDue(deadlines.retentions, now, (session) => store.expire(session)),
      ...takeDue(deadlines.blockerRetentions, now, (session) => store.forget(session)),
      ...takeDue(deadlines.accountRetentions, now, (account) => store.forgetAccount(account)),
    ];
    const nextAt = deadlines.earliest;
    this.#notifier.reset(nextAt);
    return nextAt === undefined ? { newlyWaiting } : { newlyWaiting, nextAt };
  }

  onLifecycle(...listeners: Parameters<Engine["onLifecycle"]>): () => number {
    return this.#lifecycle.listen(...listeners);
  }

  close(): MaybePromise<void> {
    this.#store.clear();
    return this.#lifecycle.close();
  }

  // -------------------------------------------------------------------------------------------

  /** The caller's session, if it has not been taken over. */
  #sessionOf(caller: Caller): StoredSession | Rejection | undefined {
    const session = this.#store.get(caller.sessionId);
    if (session && caller.generation < session.value.generation) return reject("taken-over");
    return session;
  }

  /**
   * Carries out a verb on the caller's session, once per mutation id.
   * @param unknown the result for a session that does not exist.
   * @param otherOf the other session that the verb concerns. Default: its partner.
   */
  #carryOut<Result extends object>(
    caller: Caller,
    unknown: Result | Rejection,
    verb: (session: Session, other: Session | undefined) => Change<Result> | Rejection,
    otherOf = (one: StoredSession) => this.#store.partnerOf(one),
  ): Result | Rejection {
    const session = this.#sessionOf(caller);
    if (isRejection(session)) return session;
    if (!session) return unknown;
    const past = session.recorded<Result>(caller.mutationId, this.now());
    if (past) return past;
    const other = otherOf(session);
    const change = verb(session.current(), other?.current());
    if (isRejection(change)) return change;
    const result = this.#meetings.apply(change, session, other);
    session.record(caller.mutationId, result, this.now());
    return result;
  }

  #expireGrace(session: StoredSession): string[] {
    session.scheduled = undefined;
    const partner = this.#store.partnerOf(session);
    const around = this.#surroundings();
    const change = presence.expireGrace(session.current(), partner?.current(), around);
    return this.#meetings.apply(change, session, partner).newlyWaiting;
  }

  #relax(session: StoredSession): string[] {
    session.scheduled = undefined;
    const change = transitions.relax(session.current(), this.#surroundings());
    return this.#store.apply(change, session, undefined).newlyWaiting;
  }
}

const notSubscribed = reject("not-subscribed");
const notInRoom = reject("not-in-room");
const notKept = { kept: false };
const [deliveredResult, droppedResult] = [{ delivered: true }, { delivered: false }];
