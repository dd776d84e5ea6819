/**
 * What the verbs do to the sessions they concern, whatever keeps those: the moves between idle, waiting and
 * paired, told to everybody concerned. Each engine brings the sessions, and the keeping of them.
 */
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import {
  afterFailure,
  afterSkip,
  afterSuccess,
  isFrequent,
  penaltyRemainingMs,
  type SkipPenalty,
} from "../domain/skip-penalty";
import { outcomeOf, roomTable, type Ending, type RoomState } from "../domain/room.ts";
import { acceptanceAfter, defaultWishes, type Ticket, type Wishes } from "../domain/ticket.ts";
import { networkOf, type Party, type Reporter } from "../domain/moderation.ts";
import type { Recovery } from "../domain/event-log.ts";
import type { EndReason, LoggedEvent, Mode, PeerState, Status } from "../protocol.ts";
import type {
  Confirmed,
  Ended,
  EndRequest,
  EngineOptions,
  StatusChange,
  PairRequest,
  TicketVersion,
} from "./engine.ts";

const recentRoomsMax = 8;
/** Earlier networks of a session that are remembered. */
const networksMax = 3;

/** What the moves know of a session. */
export interface Member<M> {
  readonly id: string;
  /** Of the address it last came from; `undefined` until it comes back, if it had been forgotten. */
  addressHash: string | undefined;
  /** Counts take-overs: a caller that holds an older one has lost the session to another tab. */
  generation: number;
  /** Open streams. Present means: there is one. */
  readonly streams: readonly unknown[];
  ticket: Ticket | undefined;
  room: Room<M> | undefined;
  /** The last ones asked for; they outlive ticket and room. */
  wishes: Wishes | undefined;
  /** Epoch milliseconds of the first waiting, kept through rooms that ended through others. */
  place: number | undefined;
  /** The last rooms that ended. */
  recentRooms: Map<string, PastRoom> | undefined;
  /** Networks that it came from before the present one (see `networkOf`); the last few. */
  networksBefore: string[] | undefined;
  /** Rooms that it was in, and those whose other member it reported or blocked. */
  rooms: number;
  aversions: number;
  restraint: SkipPenalty | undefined;
  /** Until when (epoch milliseconds) an absent one is waited for. */
  readonly grace: { readonly at: number } | undefined;
  /** Epoch milliseconds at which it was lost; meaningful while nobody is there. */
  goneSince: number;
  revision: number;
}

/** What is remembered of a room that has ended, by one of its members. */
export interface PastRoom {
  partnerId: string;
  /** Whether a report from it counts: both said `connected`, or it lasted. */
  votes: boolean;
  /** Whether this member has reported or blocked the other one because of it. */
  averse: boolean;
}

export interface Room<M> {
  readonly id: string;
  readonly mode: Mode;
  readonly polite: M;
  readonly impolite: M;
  readonly relayOnly: boolean;
  readonly sharedInterests: string[];
  /** Epoch milliseconds. */
  readonly since: number;
  state: RoomState;
  /** Who has said that media flows. */
  politeConnected: boolean;
  impoliteConnected: boolean;
}

/** A room that has ended. */
export interface RoomEnd {
  roomId: string;
  /** The member through which it ended, and the other one. */
  sessionId: string;
  partnerId: string;
  /** What the partner was told. */
  reason: EndReason;
  /** What the member did or suffered. */
  ending: Ending;
  lastedMs: number;
}

/** How an engine keeps what the moves change. */
export interface Keeping<M> {
  /** The engine's clock. */
  now(): number;
  /** A time of that clock as peers are told it: epoch milliseconds of the wall clock. */
  told(at: number): number;
  /** Appends to the member's log, if it has one. */
  tell(member: M, event: LoggedEvent): void;
  /** Makes its ticket findable, and sets the deadline at which that widens (epoch milliseconds), if any. */
  stand(member: M, widens: { to: "language" | "anybody"; at: number } | undefined): void;
  /** Undoes `stand`; idempotent. */
  unstand(member: M): void;
  /** What a lobby event tells, the member included. */
  lobby(member: M, mode: Mode): { waiting: number; online: number; estimateMs?: number };
  began(room: Room<M>, waitedMs: number): void;
  ended(room: Room<M>, end: RoomEnd): void;
  /** `one` avoids `other` until then; a cooldown (not for ever) makes `one` look again when it is over. */
  avoid(one: M, other: M, until: number): void;
  /** Sets the deadline after which an absent member is lost; and takes it back. */
  await(member: M, until: number): void;
  awaitNoMore(member: M): void;
  /** Nobody waits for it any more: its log ends, and the rest is kept for a while; longer if it has blocked somebody. */
  release(member: M): void;
  suspended(member: M): Rejection | undefined;
}

export interface Moves<M> {
  statusOf(member: M): Status;
  /** `session`, and `resync` where the past can't be replayed, to one whose new stream is open already. */
  arrive(member: M, wasPresent: boolean, recovery: Recovery | "none"): string[];
  /** The last stream has closed; `until` (epoch milliseconds) it is waited for. */
  depart(member: M, until: number): void;
  /** Grace is over: the peer is lost. */
  lose(member: M): string[];
  enqueue(member: M, asked: Wishes | undefined): StatusChange | Rejection;
  /** A ticket's time has come to accept more. */
  widen(member: M): void;
  /** From now on, and for ever, `one` avoids `other`, whom it met in this room. */
  avoid(one: M, other: M, roomId: string): void;
  pair(first: M, second: M, request: PairRequest): void;
  confirm(member: M, roomId: string): Confirmed | Rejection;
  end(member: M, request: EndRequest): Ended | Rejection;
  /** A suspension takes effect: out of lobby and room. */
  putOut(member: M): string[];
  /** Who else was in a current or recent room, and whether a report from it counts. */
  metIn(member: M, roomId: string): Pick<PastRoom, "partnerId" | "votes"> | undefined;
}

const idle: PeerState<unknown> = { status: "idle" };

export function createMoves<M extends Member<M>>(
  keeping: Keeping<M>,
  options: EngineOptions,
): Moves<M> {
  const { now, tell } = keeping;

  function statusOf(member: M): Status {
    if (member.room) return "paired";
    return member.ticket ? "waiting" : "idle";
  }

  function stateOf(member: M): PeerState<unknown> {
    const { room, ticket } = member;
    if (!room) return ticket ? { status: "waiting", since: keeping.told(ticket.since) } : idle;
    const { grace } = partnerOf(member, room);
    const terms = termsFor(member, room);
    if (!grace) return { status: "paired", partner: "here", ...terms };
    return {
      status: "paired",
      partner: "reconnecting",
      deadline: keeping.told(grace.at),
      ...terms,
    };
  }

  // -------------------------------------------------------------------------------------------
  // Lobby

  function stand(member: M) {
    const { ticket } = member;
    if (!ticket || member.streams.length === 0) return;
    const { sessionId, wishes, since, queuedSince } = ticket;
    const { accepts, widensAfterMs } = acceptanceAfter(wishes, now() - since, options.relax);
    member.ticket = { sessionId, wishes, since, queuedSince, accepts, revision: ++member.revision };
    const to = widensAfterMs === options.relax.languageAfterMs ? "language" : "anybody";
    keeping.stand(
      member,
      widensAfterMs === undefined ? undefined : { to, at: ticket.since + widensAfterMs },
    );
  }

  function discard(member: M) {
    keeping.unstand(member);
    member.ticket = undefined;
  }

  function enter(member: M, wishes: Wishes, place: "kept" | "new") {
    const since = now();
    if (place === "new" || member.place === undefined) member.place = since;
    member.ticket = {
      sessionId: member.id,
      wishes,
      since,
      queuedSince: member.place,
      accepts: "interest",
      revision: ++member.revision,
    };
    stand(member);
    tell(member, { type: "lobby", ...keeping.lobby(member, wishes.mode) });
  }

  /** `rate-limited` for one whose skipping is to cost it time just now. */
  function restrained(member: M): Rejection | undefined {
    const retryAfterMs = penaltyRemainingMs(member.restraint, now());
    return retryAfterMs > 0 ? reject("rate-limited", { retryAfterMs }) : undefined;
  }

  // -------------------------------------------------------------------------------------------
  // Rooms

  /** What an ending comes to: a call that fails again and again is a skip by another name. */
  function judge(member: M, room: Room<M>, ending: Ending): Ending {
    if (ending !== "failed" || room.state !== "connecting") return ending;
    const { penalty, tolerated } = afterFailure(member.restraint, now());
    member.restraint = penalty;
    return tolerated ? ending : "skip";
  }

  /** Ends a room through one of its members, and answers whose tickets entered the lobby. */
  function endThrough(member: M, room: Room<M>, ending: Ending): string[] {
    const outcome = outcomeOf(room.state, judge(member, room, ending));
    const partner = partnerOf(member, room);

    const lastedMs = now() - room.since;
    const averse = ending === "report" || ending === "block";
    keeping.ended(room, {
      roomId: room.id,
      sessionId: member.id,
      partnerId: partner.id,
      reason: outcome.reason,
      ending,
      lastedMs,
    });
    const votes = earnsVote(room);
    for (const [one, other] of [
      [member, partner],
      [partner, member],
    ] as const) {
      one.room = undefined;
      one.rooms += 1;
      const past = { partnerId: other.id, votes, averse: averse && one === member };
      one.recentRooms = remember(one.recentRooms, room.id, past, recentRoomsMax);
    }
    if (averse) member.aversions += 1;
    // Whoever gets rid of a partner pays for it, by whatever word.
    if (outcome.reason === "skipped" || ending === "leave" || averse)
      member.restraint = afterSkip(member.restraint, now(), options.skipping);
    const frequent = averse && isFrequent(member.restraint);
    if (outcome.cooldown && options.skipCooldownMs > 0)
      keeping.avoid(member, partner, now() + options.skipCooldownMs);

    tell(partner, { type: "partner-disconnected", roomId: room.id, reason: outcome.reason });
    const newlyWaiting: string[] = [];
    if (partner.wishes?.autoRejoin && !keeping.suspended(partner)) {
      enter(partner, partner.wishes, "kept");
      newlyWaiting.push(partner.id);
    }
    const rejoins =
      outcome.rejoins === "always" ||
      (outcome.rejoins === "if-wished" && member.wishes?.autoRejoin === true);
    // To report or block always ends the room; what it costs is to wait before the next one.
    const delayed = averse && restrained(member) !== undefined;
    if (rejoins && member.wishes && !delayed && !keeping.suspended(member)) {
      enter(member, member.wishes, frequent ? "new" : outcome.place);
      newlyWaiting.push(member.id);
    } else {
      member.place = undefined;
      if (delayed && rejoins) tell(member, { type: "resync", state: idle });
    }
    return newlyWaiting;
  }

  /** Reports count from a room in which media flowed for both, or that lasted; not from one that was just made. */
  function earnsVote(room: Room<M>): boolean {
    if (room.mode !== "text" && room.politeConnected && room.impoliteConnected) return true;
    return now() - room.since >= options.moderation.voteAfterMs;
  }

  function putOut(member: M): string[] {
    if (statusOf(member) === "idle") return [];
    discard(member);
    const newlyWaiting = member.room ? endThrough(member, member.room, "removed") : [];
    tell(member, { type: "resync", state: idle });
    return newlyWaiting;
  }

  return {
    statusOf,
    putOut,

    widen(member) {
      keeping.unstand(member);
      stand(member);
    },

    avoid(one, other, roomId) {
      const past = one.recentRooms?.get(roomId);
      if (past && !past.averse) {
        past.averse = true;
        one.aversions += 1;
      }
      // A ticket changes with whom it avoids; nor may an index be changed under its feet.
      const standing = [one, other].filter(({ ticket }) => ticket);
      for (const member of standing) keeping.unstand(member);
      keeping.avoid(one, other, Number.POSITIVE_INFINITY);
      for (const member of standing) stand(member);
    },

    arrive(member, wasPresent, recovery) {
      if (!wasPresent) {
        const wasAway = member.grace !== undefined;
        keeping.awaitNoMore(member);
        stand(member);
        if (wasAway && member.room)
          tell(partnerOf(member, member.room), {
            type: "partner-reconnected",
            roomId: member.room.id,
          });
      }
      const newlyWaiting = keeping.suspended(member) ? putOut(member) : [];
      const resumed = recovery === "whole";
      tell(member, { type: "session", resumed, state: stateOf(member) });
      if (!resumed && recovery !== "none") tell(member, { type: "resync", state: stateOf(member) });
      return member.ticket ? [...newlyWaiting, member.id] : newlyWaiting;
    },

    depart(member, until) {
      keeping.await(member, until);
      if (member.ticket) {
        keeping.unstand(member);
        member.ticket = { ...member.ticket, revision: ++member.revision };
      }
      if (member.room)
        tell(partnerOf(member, member.room), {
          type: "partner-reconnecting",
          roomId: member.room.id,
          deadline: keeping.told(until),
        });
    },

    lose(member) {
      keeping.awaitNoMore(member);
      member.goneSince = now();
      keeping.release(member);
      const newlyWaiting = member.room ? endThrough(member, member.room, "lost") : [];
      discard(member);
      member.place = undefined;
      return newlyWaiting;
    },

    enqueue(member, asked) {
      if (member.streams.length === 0) return reject("not-subscribed");
      const wishes = asked ?? member.wishes ?? defaultWishes;
      if (member.room) return { status: statusOf(member), newlyWaiting: [] };
      const refused = keeping.suspended(member) ?? (member.ticket ? undefined : restrained(member));
      if (refused) return refused;
      member.wishes = wishes;
      if (member.ticket) {
        keeping.unstand(member);
        member.ticket = { ...member.ticket, wishes };
        stand(member);
      } else enter(member, wishes, "kept");
      return { status: "waiting", newlyWaiting: [member.id] };
    },

    pair(impolite, polite, { roomId, relayOnly, sharedInterests }) {
      const since = now();
      const room: Room<M> = {
        id: roomId,
        mode: impolite.ticket?.wishes.mode ?? defaultWishes.mode,
        impolite,
        polite,
        relayOnly,
        sharedInterests,
        since,
        state: "connecting",
        politeConnected: false,
        impoliteConnected: false,
      };
      const waitedSince = Math.min(impolite.ticket?.since ?? since, polite.ticket?.since ?? since);
      keeping.began(room, since - waitedSince);
      for (const member of [impolite, polite]) {
        discard(member);
        member.room = room;
      }
      tell(impolite, { type: "create-offer", ...termsFor(impolite, room), polite: false });
      tell(polite, { type: "wait-for-offer", ...termsFor(polite, room), polite: true });
    },

    confirm(member, roomId) {
      if (!memberOf(member, roomId)) return reject("not-in-room");
      const { room } = member;
      if (room?.id !== roomId) return { status: statusOf(member) };
      if (member.restraint) member.restraint = afterSuccess(member.restraint);
      if (room.polite === member) room.politeConnected = true;
      else room.impoliteConnected = true;
      const isFirst = room.state === "connecting";
      const state = roomTable[room.state].connected;
      if (typeof state === "string") room.state = state;
      const status = "paired";
      return isFirst ? { status, connectedAfterMs: now() - room.since } : { status };
    },

    end(member, { ending, roomId }) {
      if (ending === "skip" && member.streams.length === 0) return reject("not-subscribed");
      const { room } = member;
      if (ending === "leave" && member.ticket) {
        discard(member);
        member.place = undefined;
      }
      const known = roomId === undefined ? !!room : memberOf(member, roomId);
      if (!room || (roomId !== undefined && room.id !== roomId))
        return { status: statusOf(member), newlyWaiting: [], known };
      const refused = ending === "skip" || ending === "failed" ? restrained(member) : undefined;
      if (refused) return refused;
      const newlyWaiting = endThrough(member, room, ending);
      return { status: statusOf(member), newlyWaiting, known };
    },

    metIn(member, roomId) {
      const { room } = member;
      if (room?.id === roomId)
        return { partnerId: partnerOf(member, room).id, votes: earnsVote(room) };
      return member.recentRooms?.get(roomId);
    },
  };
}

export function partnerOf<M>(member: M, room: Room<M>): M {
  return room.polite === member ? room.impolite : room.polite;
}

/** Whether the room is the member's, or was one of its last few. */
export function memberOf<M>(member: Member<M>, roomId: string): boolean {
  return member.room?.id === roomId || member.recentRooms?.has(roomId) === true;
}

/** Whether the ticket is still as it was seen. */
export function isAsSeen<M>(member: Member<M> | undefined, seen: TicketVersion): boolean {
  return member?.ticket?.revision === seen.revision;
}

export const partyOf = <M>({ id, addressHash }: Member<M>): Party => ({
  sessionId: id,
  addressHash,
});

/** The member as one who reports: with every network that it is known to have come from, and its record. */
export const reporterOf = <M>(member: Member<M>): Reporter => ({
  ...partyOf(member),
  ...(member.networksBefore && { networksBefore: member.networksBefore }),
  rooms: member.rooms,
  aversions: member.aversions,
});

/** Notes that the session comes from this address now. */
export function comesFrom<M>(member: Member<M>, addressHash: string): void {
  const before = member.addressHash && networkOf(member.addressHash);
  const network = networkOf(addressHash);
  member.addressHash = addressHash;
  if (before === undefined || before === network) return;
  const others = (member.networksBefore ?? []).filter((one) => one !== before && one !== network);
  member.networksBefore = [...others, before].slice(-networksMax);
}

/** An answer as it is recorded under its mutation's id: without the news that only the first one brings. */
export function recorded<Answer extends object>(answer: Answer | Rejection): Answer | undefined {
  if (isRejection(answer)) return undefined;
  const { connectedAfterMs: _, ...kept } = answer as Answer & Partial<Confirmed>;
  return kept as Answer;
}

function termsFor<M>(member: M, room: Room<M>) {
  return {
    roomId: room.id,
    polite: room.polite === member,
    relayOnly: room.relayOnly,
    sharedInterests: room.sharedInterests,
    mode: room.mode,
  };
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
