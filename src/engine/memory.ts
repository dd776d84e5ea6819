/** The engine that keeps everything in this process: the default, for one node. Synchronous throughout. */
import { EventLog, type LogEntry } from "../domain/event-log.ts";
import { Moderation, type Subject, type Suspension } from "../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import { WaitEstimator } from "../domain/wait-estimate";
import type { Wishes } from "../domain/ticket.ts";
import { modes, type LoggedEvent, type Mode, type Status } from "../protocol.ts";
import { steadyClock, type System } from "../system.ts";
import type {
  Attached,
  AttachRequest,
  Caller,
  Engine,
  EngineOptions,
  PairRequest,
  Reported,
  TicketVersion,
  Stream,
} from "./engine.ts";
import { barred, createAvoidance } from "./memory/avoidance.ts";
import { TimeBuckets } from "./memory/time-buckets";
import { createLobby } from "./memory/lobby.ts";
import { createSession, type Session } from "./memory/sessions.ts";
import {
  comesFrom,
  createMoves,
  isAsSeen,
  memberOf,
  partnerOf,
  partyOf,
  recorded,
  remember,
  reporterOf,
  type RoomEnd,
} from "./moves.ts";

/** Tickets offered to the policy from the one place where a ticket looks; half as many from each of several. */
const candidatesMax = 4;
const answersMax = 256;
const answersKeptMs = 120_000;
/** How long a session without a connection is remembered at least, so that cooldowns and blocks hold. */
const retentionMsMin = 600_000;
/**
 * How long a session is remembered that has blocked somebody or was blocked: as long as a token lives that is not used,
 * so that no two of them meet again while both can come back.
 */
const tokenLifeMs = 7 * 24 * 60 * 60 * 1000;

/** Knows its session, which is the same for as long as it is open: so no event has to look it up. */
class OpenedStream implements Stream {
  readonly session: Session;
  readonly sessionId: string;
  readonly generation: number;
  readonly streamId: string;
  readonly epoch: string;
  readonly after: number;

  constructor(session: Session, streamId: string, epoch: string, after: number) {
    this.session = session;
    this.sessionId = session.id;
    this.generation = session.generation;
    this.streamId = streamId;
    this.epoch = epoch;
    this.after = after;
  }
}

/** `one`'s avoiding of `other`, and when it is over. */
interface Cooldown {
  one: Session;
  other: Session;
  until: number;
}

export function createMemoryEngine(system: System, options: EngineOptions): Engine {
  const now = steadyClock(system);
  const sessions = new Map<string, Session>();
  const lobby = createLobby<Session>();
  const moderation = new Moderation(options.moderation);
  const avoidance = createAvoidance<Session>(options.avoidsMax);
  const roomCount: Record<Mode, number> = { video: 0, audio: 0, text: 0 };
  const waits = {
    video: new WaitEstimator(),
    audio: new WaitEstimator(),
    text: new WaitEstimator(),
  };
  let online = 0;
  let streams = 0;

  // Deadlines. Each calendar holds one kind, all of one duration, so that additions come in order.
  const graces = new TimeBuckets<Session>(1);
  const cooldowns = new TimeBuckets<Cooldown>(1);
  const widenings = {
    language: new TimeBuckets<Session>(1),
    anybody: new TimeBuckets<Session>(1),
  };
  const retentions = { usual: new TimeBuckets<Session>(1), blockers: new TimeBuckets<Session>(1) };
  /** Sessions in `retentions.blockers` by the address they last came from, the first to have gone first. */
  const blockersOf = new Map<string, Set<Session>>();
  const calendars = [
    graces,
    cooldowns,
    widenings.language,
    widenings.anybody,
    ...Object.values(retentions),
  ];
  let alarmAt = Number.POSITIVE_INFINITY;
  let ring: (at: number) => void = () => {};
  let tellEnded: (end: RoomEnd) => void = () => {};

  const retentionMs = Math.max(retentionMsMin, options.skipCooldownMs);

  /** Tells the lives of one session's log apart, and nothing else: it need not be unguessable. */
  const newEpoch = () => Math.floor(system.random() * 2 ** 52).toString(36);

  function setAlarm(at: number) {
    if (at >= alarmAt) return;
    alarmAt = at;
    ring(at);
  }

  function tell(session: Session, event: LoggedEvent) {
    if (session.log) tellWorded(session, JSON.stringify(event));
  }

  function tellWorded({ log, streams }: Session, json: string) {
    if (!log) return;
    log.append(json);
    for (const { wake } of streams) wake();
  }

  const moves = createMoves<Session>(
    {
      now,
      told: (at) => at - now() + system.now(),
      tell,

      stand(session, widens) {
        lobby.add(session);
        if (!widens) return;
        const { to, at } = widens;
        session.widening = { calendar: to, entry: widenings[to].add(at, session) };
        setAlarm(at);
      },

      unstand(session) {
        lobby.remove(session);
        if (session.widening) widenings[session.widening.calendar].remove(session.widening.entry);
        session.widening = undefined;
      },

      lobby(_, mode) {
        const estimateMs = waits[mode].estimate(now());
        const counts = { waiting: lobby.waiting(mode), online };
        return estimateMs === undefined ? counts : { ...counts, estimateMs };
      },

      began({ mode }, waitedMs) {
        roomCount[mode] += 1;
        waits[mode].record(waitedMs, now());
      },

      ended({ mode }, end) {
        roomCount[mode] -= 1;
        tellEnded(end);
      },

      avoid(one, other, until) {
        avoidance.avoid(one, other, until);
        if (!Number.isFinite(until)) return;
        cooldowns.add(until, { one, other, until });
        setAlarm(until);
      },

      await(session, until) {
        session.grace = { at: until, entry: graces.add(until, session) };
        setAlarm(until);
      },

      awaitNoMore(session) {
        if (session.grace) graces.remove(session.grace.entry);
        session.grace = undefined;
      },

      release(session) {
        session.log = undefined;
        keepUntil(session, retentions.usual, session.goneSince + retentionMs);
      },

      suspended,
    },
    options,
  );

  // -------------------------------------------------------------------------------------------
  // Sessions

  /** The session a caller means, if it still holds its generation. */
  function called(caller: Caller): Session | Rejection | undefined {
    const session = sessions.get(caller.sessionId);
    if (session && caller.generation < session.generation) return reject("taken-over");
    return session;
  }

  /**
   * Does `act` once per mutation id, whatever has become of the world since: the same id again gets the
   * recorded answer.
   */
  function once<Answer extends object>(
    session: Session,
    { mutationId }: Caller,
    act: () => Answer | Rejection,
  ): Answer | Rejection {
    if (mutationId === undefined) return act();
    const past = session.answers?.get(mutationId);
    if (past && past.at + answersKeptMs > now()) return past.answer as Answer;
    const answer = act();
    const kept = recorded(answer);
    if (kept) {
      const record = { at: now(), answer: kept };
      session.answers = remember(session.answers, mutationId, record, answersMax);
    }
    return answer;
  }

  function asSeen(seen: TicketVersion): Session | undefined {
    const session = sessions.get(seen.sessionId);
    return isAsSeen(session, seen) ? session : undefined;
  }

  /** Who else was in a current or recent room of the session, and whether a report from it counts. */
  function metIn(session: Session, roomId: string) {
    const met = moves.metIn(session, roomId);
    if (!met) return undefined;
    const { partnerId, votes } = met;
    return { partner: sessions.get(partnerId) ?? revive(partnerId), votes };
  }

  /** Keeps a session again that was forgotten: its token still lives, and so must a word about it. */
  function revive(id: string): Session {
    const session = createSession(id, undefined);
    sessions.set(id, session);
    session.goneSince = now();
    keepUntil(session, retentions.usual, session.goneSince + retentionMs);
    return session;
  }

  // -------------------------------------------------------------------------------------------
  // Suspensions

  function suspended(session: Session): Rejection | undefined {
    const until = moderation.suspendedUntil(partyOf(session), system.now());
    return until === undefined ? undefined : reject("suspended", { until });
  }

  /** Puts everybody out to whom a suspension applies. Answers whose tickets entered the lobby because of it. */
  function putOut(suspensions: readonly Suspension[]): string[] {
    return suspensions.flatMap(({ subject }) => suspectsOf(subject).flatMap(moves.putOut));
  }

  function suspectsOf({ kind, id }: Subject): Session[] {
    if (kind === "session") return [sessions.get(id) ?? []].flat();
    return [...sessions.values()].filter(({ addressHash }) => addressHash === id);
  }

  // -------------------------------------------------------------------------------------------
  // What is due

  function keepForNow(session: Session) {
    session.retention?.calendar.remove(session.retention.entry);
    session.retention = undefined;
  }

  function keepUntil(session: Session, calendar: TimeBuckets<Session>, at: number) {
    session.retention = { calendar, entry: calendar.add(at, session) };
    setAlarm(at);
  }

  /** One avoidance has run out: if both wait, they may meet now, and nothing else will tell them. */
  function forgive({ one, other, until }: Cooldown): string[] {
    return avoidance.forgive(one, other, until) && one.ticket && other.ticket ? [one.id] : [];
  }

  function widen(session: Session): string[] {
    session.widening = undefined;
    if (!session.ticket) return [];
    moves.widen(session);
    return [session.id];
  }

  /** Lets go of a session that has been gone for long; later if it has blocked somebody, or was blocked. */
  function letGo(session: Session): string[] {
    session.retention = undefined;
    if (!avoidance.blocks(session)) return forget(session);
    // All that costs memory and is not needed for as long.
    session.answers = undefined;
    session.recentRooms = undefined;
    session.wishes = undefined;
    keepUntil(session, retentions.blockers, session.goneSince + tokenLifeMs);
    const { addressHash } = session;
    if (addressHash !== undefined) {
      const same = blockersOf.get(addressHash) ?? new Set();
      same.add(session);
      blockersOf.set(addressHash, same);
      const { blockersPerAddressMax } = options.blocks;
      const [first] = same;
      if (blockersPerAddressMax > 0 && same.size > blockersPerAddressMax && first) drop(first);
    }
    const { blockersMax } = options.blocks;
    const first = retentions.blockers.first?.value;
    if (blockersMax > 0 && retentions.blockers.size > blockersMax && first) drop(first);
    return [];
  }

  function drop(session: Session) {
    keepForNow(session);
    forget(session);
  }

  function forget(session: Session): string[] {
    forgetBlocker(session);
    avoidance.forget(session);
    sessions.delete(session.id);
    return [];
  }

  /** It is here again, or is forgotten: it is none of those that are kept for their blocks alone. */
  function forgetBlocker(session: Session) {
    const { addressHash } = session;
    const same = addressHash === undefined ? undefined : blockersOf.get(addressHash);
    if (addressHash === undefined || !same?.delete(session)) return;
    if (same.size === 0) blockersOf.delete(addressHash);
  }

  function takeDue<T>(calendar: TimeBuckets<T>, carryOut: (value: T) => string[]): string[] {
    const newlyWaiting: string[] = [];
    for (;;) {
      const { first } = calendar;
      if (!first || (calendar.firstAt ?? 0) > now()) return newlyWaiting;
      calendar.remove(first);
      newlyWaiting.push(...carryOut(first.value));
    }
  }

  return {
    attach(request: AttachRequest): Attached | Rejection {
      let session = sessions.get(request.sessionId);
      if (!session) {
        session = createSession(request.sessionId, request.addressHash);
        sessions.set(session.id, session);
      }
      const { position } = request;
      const living = session.log && position?.epoch === session.log.epoch;
      // The tab that lost the session comes back with what it last had: it has lost it still.
      if (living && request.generation < session.generation) return reject("taken-over");
      keepForNow(session);
      forgetBlocker(session);
      comesFrom(session, request.addressHash);
      const log = (session.log ??= new EventLog(newEpoch()));
      const recovery = position ? log.recovery(position) : "none";
      const wasPresent = session.streams.length > 0;
      if (recovery === "none" || recovery === "other-epoch") {
        // Another tab, or one that has been away too long: it starts anew, and alone.
        const { streams } = session;
        session.generation = Math.max(session.generation, request.generation) + 1;
        session.streams = [];
        for (const { wake } of streams) wake();
      }

      const streamId = String(++streams);
      session.streams.push({ id: streamId, wake: request.wake });
      if (!wasPresent) online += 1;
      // Read before `session` is told, so that no later event can push it out.
      const resumed = recovery === "whole";
      const missed = (resumed && position && log.after(position.offset)) || [];
      const after = log.last;
      const newlyWaiting = moves.arrive(session, wasPresent, recovery);
      return {
        stream: new OpenedStream(session, streamId, log.epoch, after),
        missed,
        recovered: resumed,
        newlyWaiting,
      };
    },

    detach({ sessionId, streamId }: Stream) {
      const session = sessions.get(sessionId);
      const index = session?.streams.findIndex(({ id }) => id === streamId) ?? -1;
      if (!session || index < 0) return;
      session.streams.splice(index, 1);
      if (session.streams.length > 0) return;
      online -= 1;
      moves.depart(session, now() + options.graceMs);
    },

    read(stream: Stream, after: number): LogEntry[] | "behind" | Rejection {
      const { session } = stream as OpenedStream;
      if (stream.generation < session.generation) return reject("taken-over");
      if (session.log?.epoch !== stream.epoch) return "behind";
      return session.log.after(after) ?? "behind";
    },

    status(caller: Caller) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return { status: "idle" as const };
      const status = moves.statusOf(session);
      return session.room ? { status, roomId: session.room.id } : { status };
    },

    enqueue(caller: Caller, asked?: Wishes) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return reject("not-subscribed");
      return once(session, caller, () =>
        moves.enqueue(session, asked && lobby.inKnownWords(asked)),
      );
    },

    updateRecordedResult(caller: Caller, status: Status) {
      const past = sessions.get(caller.sessionId)?.answers?.get(caller.mutationId ?? "");
      if (past) past.answer = { ...past.answer, status };
    },

    matchOptions(sessionId: string) {
      const session = sessions.get(sessionId);
      const ticket = session?.ticket;
      if (!ticket || session.streams.length === 0) return undefined;
      return { ticket, eligible: lobby.candidates(session, candidatesMax) };
    },

    pair(request: PairRequest) {
      const first = asSeen(request.impolite);
      const second = asSeen(request.polite);
      if (!first || !second || first === second || barred(first, second)) return false;
      moves.pair(first, second, request);
      return true;
    },

    send(caller: Caller, roomId: string, signal) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return reject("not-in-room");
      const answer = once<{ delivered: boolean }>(session, caller, () => {
        const { room } = session;
        if (room?.id !== roomId)
          return memberOf(session, roomId) ? { delivered: false } : reject("not-in-room");
        if (signal !== undefined) tellWorded(partnerOf(session, room), signal);
        return { delivered: true };
      });
      return isRejection(answer) ? answer : answer.delivered;
    },

    confirm(caller: Caller, roomId: string) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return reject("not-in-room");
      return once(session, caller, () => moves.confirm(session, roomId));
    },

    end(caller: Caller, request) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return { status: "idle", newlyWaiting: [], known: false };
      return once(session, caller, () => moves.end(session, request));
    },

    avoid(caller: Caller, roomId: string) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return reject("not-in-room");
      return once<{ partnerId: string }>(session, caller, () => {
        const met = metIn(session, roomId);
        if (!met) return reject("not-in-room");
        moves.avoid(session, met.partner, roomId);
        return { partnerId: met.partner.id };
      });
    },

    report(caller: Caller, roomId: string): Reported | Rejection {
      const session = called(caller);
      if (isRejection(session)) return session;
      const met = session && metIn(session, roomId);
      if (!session || !met) return reject("not-in-room");
      const parties = { reporter: reporterOf(session), reported: partyOf(met.partner) };
      const verdict = moderation.report(
        { roomId, ...parties, earned: met.votes },
        system.now(),
        now(),
      );
      return { ...verdict, reported: parties.reported, newlyWaiting: putOut(verdict.suspended) };
    },

    suspend(subject: Subject, until: number) {
      return { newlyWaiting: putOut([moderation.suspend(subject, until, system.now())]) };
    },

    lift(subject: Subject) {
      return moderation.lift(subject, system.now());
    },

    suspensions() {
      return moderation.list(system.now());
    },

    stats() {
      const waiting = { video: 0, audio: 0, text: 0 };
      for (const mode of modes) waiting[mode] = lobby.waiting(mode);
      return { online, waiting, rooms: { ...roomCount } };
    },

    available: () => true,

    now,

    onDeadline(listener) {
      ring = listener;
    },

    onEnded(listener) {
      tellEnded = listener;
    },

    sweep() {
      const newlyWaiting = [
        ...takeDue(graces, moves.lose),
        ...takeDue(cooldowns, forgive),
        ...takeDue(widenings.language, widen),
        ...takeDue(widenings.anybody, widen),
        ...takeDue(retentions.usual, letGo),
        ...takeDue(retentions.blockers, forget),
      ];
      const nextAt = Math.min(
        ...calendars.map((calendar) => calendar.firstAt ?? Number.POSITIVE_INFINITY),
      );
      alarmAt = nextAt;
      return Number.isFinite(nextAt) ? { newlyWaiting, nextAt } : { newlyWaiting };
    },

    close() {
      sessions.clear();
    },
  };
}
