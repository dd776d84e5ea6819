/** The engine that keeps everything in this process: the default, for one node. Synchronous throughout. */
import { EventLog, type LogEntry } from "../domain/event-log.ts";
import { Moderation, type Party, type Subject, type Suspension } from "../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import { RecentWaits } from "../domain/recent-waits.ts";
import { afterFailure, afterSkip, afterSuccess, restrainedForMs } from "../domain/restraint.ts";
import { outcomeOf, roomTable, type Ending } from "../domain/room.ts";
import { acceptanceAfter, defaultWishes, type Wishes } from "../domain/ticket.ts";
import {
  modes,
  type EndReason,
  type LoggedEvent,
  type Mode,
  type PeerState,
  type Status,
} from "../protocol.ts";
import type { System } from "../system.ts";
import type {
  Attached,
  AttachRequest,
  Caller,
  Confirmed,
  Ended,
  EndRequest,
  Engine,
  EngineOptions,
  Moved,
  PairRequest,
  Reported,
  Seen,
  Stream,
} from "./engine.ts";
import { barred, createAvoidance } from "./memory/avoidance.ts";
import { Calendar } from "./memory/calendar.ts";
import { createLobby } from "./memory/lobby.ts";
import { createSession, partnerOf, remember, type Room, type Session } from "./memory/sessions.ts";

/** Tickets offered to the policy from each place where a ticket looks. */
const candidatesMax = 4;
const recentRoomsMax = 8;
const answersMax = 256;
const answersKeptMs = 120_000;
/** How long a session without a connection is remembered at least, so that cooldowns and blocks hold. */
const retentionMsMin = 600_000;
/** How long somebody who is blocked is remembered: as long as a token lives that is not used. */
const blockedRetentionMs = 7 * 24 * 60 * 60 * 1000;

type Undressed = PeerState<unknown>;

/** `one`'s avoiding of `other`, and when it is over. */
interface Cooldown {
  one: Session;
  other: Session;
  until: number;
}

const idle: Undressed = { status: "idle" };

export function createMemoryEngine(system: System, options: EngineOptions): Engine {
  const sessions = new Map<string, Session>();
  const lobby = createLobby<Session>();
  const moderation = new Moderation(options.moderation);
  const avoidance = createAvoidance<Session>(options.avoidsMax);
  const roomCount: Record<Mode, number> = { video: 0, audio: 0, text: 0 };
  const waits = {
    video: new RecentWaits(),
    audio: new RecentWaits(),
    text: new RecentWaits(),
  };
  let online = 0;
  let streams = 0;
  /** Rooms that the current sweep ended because a member was lost. */
  let lost = 0;

  // Deadlines. Each calendar holds one kind, all of one duration, so that additions come in order.
  const graces = new Calendar<Session>(1);
  const cooldowns = new Calendar<Cooldown>(1);
  const widenings = {
    language: new Calendar<Session>(1),
    anybody: new Calendar<Session>(1),
  };
  const retentions = { usual: new Calendar<Session>(1), blocked: new Calendar<Session>(1) };
  const calendars = [
    graces,
    cooldowns,
    widenings.language,
    widenings.anybody,
    ...Object.values(retentions),
  ];
  let alarmAt = Number.POSITIVE_INFINITY;
  let ring: (at: number) => void = () => {};

  const retentionMs = Math.max(retentionMsMin, options.skipCooldownMs);

  /** Tells the lives of one session's log apart, and nothing else: it need not be unguessable. */
  const newEpoch = () => Math.floor(system.random() * 2 ** 52).toString(36);

  function setAlarm(at: number) {
    if (at >= alarmAt) return;
    alarmAt = at;
    ring(at);
  }

  // -------------------------------------------------------------------------------------------
  // Sessions

  /** The session a caller means, if it still holds its claim. */
  function called(caller: Caller): Session | Rejection | undefined {
    const session = sessions.get(caller.sessionId);
    if (session && caller.claim < session.claim) return reject("taken-over");
    return session;
  }

  /**
   * Does `act` once per mutation id, whatever has become of the world since: the same id again gets the
   * recorded answer, without the news that only the first one brings.
   */
  function once<Answer extends object>(
    session: Session,
    { mutationId }: Caller,
    act: () => Answer | Rejection,
  ): Answer | Rejection {
    if (mutationId === undefined) return act();
    const past = session.answers?.get(mutationId);
    if (past && past.at + answersKeptMs > system.now()) return past.answer as Answer;
    const answer = act();
    if (isRejection(answer)) return answer;
    const { ended: _, connectedAfterMs: __, ...recorded } = answer as Answer & Partial<News>;
    const record = { at: system.now(), answer: recorded };
    session.answers = remember(session.answers, mutationId, record, answersMax);
    return answer;
  }

  function tell(session: Session, event: LoggedEvent) {
    if (!session.log) return;
    session.log.append(event);
    for (const { wake } of session.streams) wake();
  }

  function statusOf(session: Session): Status {
    if (session.room) return "paired";
    return session.ticket ? "waiting" : "idle";
  }

  function stateOf(session: Session): Undressed {
    const { room, ticket } = session;
    if (!room) return ticket ? { status: "waiting", since: ticket.since } : idle;
    const partner = partnerOf(session, room);
    const terms = termsFor(session, room);
    if (partner.grace)
      return {
        status: "paired",
        partner: "reconnecting",
        deadline: partner.grace.at,
        ...terms,
      };
    return { status: "paired", partner: "here", ...terms };
  }

  function keepForNow(session: Session) {
    session.retention?.calendar.remove(session.retention.entry);
    session.retention = undefined;
  }

  // -------------------------------------------------------------------------------------------
  // Lobby

  function unhold(session: Session) {
    const { ticket } = session;
    if (!ticket || session.streams.length === 0) return;
    const now = system.now();
    const { accepts, widensAfterMs } = acceptanceAfter(
      ticket.wishes,
      now - ticket.since,
      options.relax,
    );
    session.ticket = { ...ticket, accepts, revision: ++session.revision };
    lobby.add(session);
    if (widensAfterMs !== undefined) {
      const calendar = widensAfterMs === options.relax.languageAfterMs ? "language" : "anybody";
      const at = ticket.since + widensAfterMs;
      session.widening = { calendar, entry: widenings[calendar].add(at, session) };
      setAlarm(at);
    }
  }

  /** Takes a ticket out of the index: its owner is absent, or it is about to change. */
  function hold(session: Session) {
    lobby.remove(session);
    if (session.widening) widenings[session.widening.calendar].remove(session.widening.entry);
    session.widening = undefined;
  }

  function discard(session: Session) {
    hold(session);
    session.ticket = undefined;
  }

  function enter(session: Session, wishes: Wishes, place: "kept" | "new") {
    const now = system.now();
    if (place === "new" || session.place === undefined) session.place = now;
    session.ticket = {
      sessionId: session.id,
      wishes,
      since: now,
      place: session.place,
      accepts: "interest",
      revision: ++session.revision,
    };
    unhold(session);
    const estimateMs = waits[wishes.mode].estimate(now);
    const lobbyEvent = { type: "lobby", waiting: lobby.waiting(wishes.mode), online } as const;
    tell(session, estimateMs === undefined ? lobbyEvent : { ...lobbyEvent, estimateMs });
  }

  function asSeen({ sessionId, revision }: Seen): Session | undefined {
    const session = sessions.get(sessionId);
    return session?.ticket?.revision === revision ? session : undefined;
  }

  // -------------------------------------------------------------------------------------------
  // Rooms

  function termsFor(session: Session, room: Room) {
    return {
      roomId: room.id,
      polite: room.polite === session,
      relayOnly: room.relayOnly,
      sharedInterests: room.sharedInterests,
    };
  }

  /** `rate-limited` for one whose skipping is to cost it time just now. */
  function restrained(session: Session): Rejection | undefined {
    const retryAfterMs = restrainedForMs(session.restraint, system.now());
    return retryAfterMs > 0 ? reject("rate-limited", { retryAfterMs }) : undefined;
  }

  function suspended(session: Session): Rejection | undefined {
    const until = moderation.suspendedUntil(partyOf(session), system.now());
    return until === undefined ? undefined : reject("suspended", { until });
  }

  /** Puts everybody out to whom a suspension applies. Answers whose tickets entered the lobby by that. */
  function putOut(suspensions: readonly Suspension[]): string[] {
    const entered: string[] = [];
    for (const { subject } of suspensions) {
      for (const session of suspectsOf(subject)) entered.push(...putOutOne(session));
    }
    return entered;
  }

  function putOutOne(session: Session): string[] {
    if (statusOf(session) === "idle") return [];
    discard(session);
    const entered = session.room ? endThrough(session, session.room, "removed").entered : [];
    tell(session, { type: "resync", state: idle });
    return entered;
  }

  function suspectsOf({ kind, id }: Subject): Session[] {
    if (kind === "session") return [sessions.get(id) ?? []].flat();
    return [...sessions.values()].filter(({ addressHash }) => addressHash === id);
  }

  /** Who else was in a current or recent room of the session. */
  function metIn(session: Session, roomId: string): Session | undefined {
    if (session.room?.id === roomId) return partnerOf(session, session.room);
    const partnerId = session.recentRooms?.get(roomId);
    return partnerId === undefined ? undefined : (sessions.get(partnerId) ?? revive(partnerId));
  }

  /** Keeps a session again that was forgotten: its token still lives, and so must a word about it. */
  function revive(id: string): Session {
    const session = createSession(id, "");
    sessions.set(id, session);
    session.goneSince = system.now();
    keepUntil(session, retentions.usual, session.goneSince + retentionMs);
    return session;
  }

  function keepUntil(session: Session, calendar: Calendar<Session>, at: number) {
    session.retention = { calendar, entry: calendar.add(at, session) };
    setAlarm(at);
  }

  /** What an ending comes to: a call that fails again and again is a skip by another name. */
  function judge(session: Session, room: Room, ending: Ending): Ending {
    if (ending !== "failed" || room.state !== "connecting") return ending;
    const { restraint, believed } = afterFailure(session.restraint, system.now());
    session.restraint = restraint;
    return believed ? ending : "skip";
  }

  /** Ends a room through one of its members, and answers whose tickets entered the lobby. */
  function endThrough(
    session: Session,
    room: Room,
    ending: Ending,
  ): { entered: string[]; reason: EndReason } {
    const outcome = outcomeOf(room.state, judge(session, room, ending));
    const partner = partnerOf(session, room);
    const now = system.now();

    roomCount[room.mode] -= 1;
    for (const [member, other] of [
      [session, partner],
      [partner, session],
    ] as const) {
      member.room = undefined;
      member.recentRooms = remember(member.recentRooms, room.id, other.id, recentRoomsMax);
    }
    if (outcome.reason === "skipped" || ending === "leave")
      session.restraint = afterSkip(session.restraint, now, options.skipping);
    if (outcome.cooldown && options.skipCooldownMs > 0) {
      const until = now + options.skipCooldownMs;
      avoidance.avoid(session, partner, until);
      cooldowns.add(until, { one: session, other: partner, until });
      setAlarm(until);
    }

    tell(partner, { type: "partner-disconnected", roomId: room.id, reason: outcome.reason });
    const entered: string[] = [];
    if (partner.wishes?.autoRejoin && !suspended(partner)) {
      enter(partner, partner.wishes, "kept");
      entered.push(partner.id);
    }
    const rejoins =
      outcome.rejoins === "always" ||
      (outcome.rejoins === "if-wished" && session.wishes?.autoRejoin === true);
    if (rejoins && session.wishes && !suspended(session)) {
      enter(session, session.wishes, outcome.place);
      entered.push(session.id);
    } else {
      session.place = undefined;
    }
    return { entered, reason: outcome.reason };
  }

  // -------------------------------------------------------------------------------------------
  // What is due

  /** Grace is over: the peer is lost. */
  function lose(session: Session): string[] {
    session.grace = undefined;
    session.log = undefined;
    if (session.room) lost += 1;
    const entered = session.room ? endThrough(session, session.room, "lost").entered : [];
    discard(session);
    session.place = undefined;
    session.goneSince = system.now();
    keepUntil(session, retentions.usual, session.goneSince + retentionMs);
    return entered;
  }

  /** One avoidance has run out: if both wait, they may meet now, and nothing else will tell them. */
  function forgive({ one, other, until }: Cooldown): string[] {
    return avoidance.forgive(one, other, until) && one.ticket && other.ticket ? [one.id] : [];
  }

  function widen(session: Session): string[] {
    session.widening = undefined;
    if (!session.ticket) return [];
    hold(session);
    unhold(session);
    return [session.id];
  }

  /** Lets go of a session that has been gone for long; later if somebody has blocked it. */
  function letGo(session: Session): string[] {
    if (!avoidance.isBlocked(session)) return forget(session);
    keepUntil(session, retentions.blocked, session.goneSince + blockedRetentionMs);
    return [];
  }

  function forget(session: Session): string[] {
    avoidance.forget(session);
    sessions.delete(session.id);
    return [];
  }

  function takeDue<T>(calendar: Calendar<T>, carryOut: (value: T) => string[]): string[] {
    const entered: string[] = [];
    for (;;) {
      const { first } = calendar;
      if (!first || (calendar.firstAt ?? 0) > system.now()) return entered;
      calendar.remove(first);
      entered.push(...carryOut(first.value));
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
      if (living && request.claim < session.claim) return reject("taken-over");
      keepForNow(session);
      session.addressHash = request.addressHash;
      const log = (session.log ??= new EventLog(newEpoch()));
      const recovery = position ? log.recovery(position) : "other-epoch";
      const wasPresent = session.streams.length > 0;
      if (recovery === "other-epoch") {
        // Another tab, or one that has been away too long: it starts anew, and alone.
        const { streams } = session;
        session.claim = Math.max(session.claim, request.claim) + 1;
        session.streams = [];
        for (const { wake } of streams) wake();
      }

      const streamId = String(++streams);
      session.streams.push({ id: streamId, wake: request.wake });
      if (!wasPresent) {
        online += 1;
        if (session.grace) graces.remove(session.grace.entry);
        const wasAway = session.grace !== undefined;
        session.grace = undefined;
        unhold(session);
        if (wasAway && session.room)
          tell(partnerOf(session, session.room), {
            type: "partner-reconnected",
            roomId: session.room.id,
          });
      }

      const entered = suspended(session) ? putOutOne(session) : [];
      const resumed = recovery === "whole";
      const after = log.last;
      const missed = (resumed && position && log.after(position.offset)) || [];
      tell(session, { type: "session", resumed, state: stateOf(session) });
      if (position && !resumed) tell(session, { type: "resync", state: stateOf(session) });
      return {
        stream: { sessionId: session.id, claim: session.claim, streamId, epoch: log.epoch, after },
        missed,
        recovered: resumed,
        entered: session.ticket ? [...entered, session.id] : entered,
      };
    },

    detach({ sessionId, streamId }: Stream) {
      const session = sessions.get(sessionId);
      const index = session?.streams.findIndex(({ id }) => id === streamId) ?? -1;
      if (!session || index < 0) return;
      session.streams.splice(index, 1);
      if (session.streams.length > 0) return;
      online -= 1;
      const at = system.now() + options.graceMs;
      session.grace = { at, entry: graces.add(at, session) };
      setAlarm(at);
      if (session.ticket) {
        hold(session);
        session.ticket = { ...session.ticket, revision: ++session.revision };
      }
      if (session.room)
        tell(partnerOf(session, session.room), {
          type: "partner-reconnecting",
          roomId: session.room.id,
          deadline: at,
        });
    },

    read(stream: Stream, after: number): LogEntry[] | "behind" | Rejection {
      const session = sessions.get(stream.sessionId);
      if (session && stream.claim < session.claim) return reject("taken-over");
      if (session?.log?.epoch !== stream.epoch) return "behind";
      return session.log.after(after) ?? "behind";
    },

    status(caller: Caller) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return { status: "idle" as const };
      const status = statusOf(session);
      return session.room ? { status, roomId: session.room.id } : { status };
    },

    enqueue(caller: Caller, asked?: Wishes): Moved | Rejection {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return reject("not-subscribed");
      return once<Moved>(session, caller, () => {
        if (session.streams.length === 0) return reject("not-subscribed");
        const wishes = asked ? lobby.inKnownWords(asked) : (session.wishes ?? defaultWishes);
        if (session.room) return { status: statusOf(session), entered: [] };
        const refused = suspended(session) ?? (session.ticket ? undefined : restrained(session));
        if (refused) return refused;
        session.wishes = wishes;
        if (!session.ticket) enter(session, wishes, "kept");
        else {
          hold(session);
          session.ticket = { ...session.ticket, wishes };
          unhold(session);
        }
        return { status: "waiting", entered: [session.id] };
      });
    },

    amend(caller: Caller, status: Status) {
      const past = sessions.get(caller.sessionId)?.answers?.get(caller.mutationId ?? "");
      if (past) past.answer = { ...past.answer, status };
    },

    candidates(sessionId: string) {
      const session = sessions.get(sessionId);
      const ticket = session?.ticket;
      if (!ticket || session.streams.length === 0) return undefined;
      return { ticket, candidates: lobby.candidates(session, candidatesMax) };
    },

    pair({ roomId, impolite, polite, relayOnly, sharedInterests }: PairRequest) {
      const first = asSeen(impolite);
      const second = asSeen(polite);
      if (!first || !second || first === second) return false;
      if (barred(first, second)) return false;
      const now = system.now();

      const room: Room = {
        id: roomId,
        mode: first.ticket?.wishes.mode ?? defaultWishes.mode,
        impolite: first,
        polite: second,
        relayOnly,
        sharedInterests,
        since: now,
        state: "connecting",
      };
      roomCount[room.mode] += 1;
      const waitedSince = Math.min(first.ticket?.since ?? now, second.ticket?.since ?? now);
      waits[room.mode].note(now - waitedSince, now);
      for (const member of [first, second]) {
        discard(member);
        member.room = room;
      }
      const terms = termsFor(first, room);
      tell(first, { type: "create-offer", ...terms, polite: false });
      tell(second, { type: "wait-for-offer", ...terms, polite: true });
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
        if (signal) tell(partnerOf(session, room), signal);
        return { delivered: true };
      });
      return isRejection(answer) ? answer : answer.delivered;
    },

    confirm(caller: Caller, roomId: string) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return reject("not-in-room");
      return once<Confirmed>(session, caller, () => {
        if (!memberOf(session, roomId)) return reject("not-in-room");
        const { room } = session;
        if (room?.id !== roomId) return { status: statusOf(session) };
        if (session.restraint) session.restraint = afterSuccess(session.restraint);
        const isFirst = room.state === "connecting";
        const state = roomTable[room.state].connected;
        if (typeof state === "string") room.state = state;
        const status = "paired";
        return isFirst ? { status, connectedAfterMs: system.now() - room.since } : { status };
      });
    },

    end(caller: Caller, { ending, roomId }: EndRequest): Ended | Rejection {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return { status: "idle", entered: [], known: false };
      return once<Ended>(session, caller, () => {
        if (ending === "skip" && session.streams.length === 0) return reject("not-subscribed");
        const { room } = session;
        if (ending === "leave" && session.ticket) {
          discard(session);
          session.place = undefined;
        }
        const known = roomId === undefined ? !!room : memberOf(session, roomId);
        if (!room || (roomId !== undefined && room.id !== roomId))
          return { status: statusOf(session), entered: [], known };
        const refused = ending === "skip" || ending === "failed" ? restrained(session) : undefined;
        if (refused) return refused;
        const partner = partnerOf(session, room);
        const { entered, reason } = endThrough(session, room, ending);
        return {
          status: statusOf(session),
          entered,
          known,
          ended: {
            roomId: room.id,
            lastedMs: system.now() - room.since,
            partnerId: partner.id,
            reason,
          },
        };
      });
    },

    avoid(caller: Caller, roomId: string) {
      const session = called(caller);
      if (isRejection(session)) return session;
      if (!session) return reject("not-in-room");
      return once<{ partnerId: string }>(session, caller, () => {
        const partner = metIn(session, roomId);
        if (!partner) return reject("not-in-room");
        // Their numbers must not change while they stand in the lobby.
        const standing = [session, partner].filter((one) => one.standing);
        for (const one of standing) hold(one);
        avoidance.avoid(session, partner, Number.POSITIVE_INFINITY);
        for (const one of standing) unhold(one);
        return { partnerId: partner.id };
      });
    },

    report(caller: Caller, roomId: string): Reported | Rejection {
      const session = called(caller);
      if (isRejection(session)) return session;
      const partner = session && metIn(session, roomId);
      if (!session || !partner) return reject("not-in-room");
      const parties = { reporter: partyOf(session), reported: partyOf(partner) };
      const verdict = moderation.report({ roomId, ...parties }, system.now());
      return { ...verdict, reported: parties.reported, entered: putOut(verdict.suspended) };
    },

    suspend(subject: Subject, until: number) {
      return { entered: putOut([moderation.suspend(subject, until, system.now())]) };
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

    onAlarm(listener) {
      ring = listener;
    },

    sweep() {
      lost = 0;
      const entered = [
        ...takeDue(graces, lose),
        ...takeDue(cooldowns, forgive),
        ...takeDue(widenings.language, widen),
        ...takeDue(widenings.anybody, widen),
        ...takeDue(retentions.usual, letGo),
        ...takeDue(retentions.blocked, forget),
      ];
      const nextAt = Math.min(
        ...calendars.map((calendar) => calendar.firstAt ?? Number.POSITIVE_INFINITY),
      );
      alarmAt = nextAt;
      return Number.isFinite(nextAt) ? { entered, lost, nextAt } : { entered, lost };
    },

    close() {
      sessions.clear();
    },
  };
}

/** What only the first answer to a mutation tells. */
type News = Pick<Ended, "ended"> & Pick<Confirmed, "connectedAfterMs">;

const partyOf = ({ id, addressHash }: Session): Party => ({ sessionId: id, addressHash });

/** Whether the room is the session's, or was one of its last few. */
function memberOf(session: Session, roomId: string): boolean {
  return session.room?.id === roomId || session.recentRooms?.has(roomId) === true;
}
