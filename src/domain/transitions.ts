/**
 * What each verb does to the sessions it concerns, as pure functions: from sessions as they are to a `Change`, which
 * says what becomes of them, which events are sent to whom, who avoids whom, and what the caller is answered. An engine
 * reads the sessions, calls one of these, and applies the change as a whole.
 *
 * `partner` is always the other member of the session's room; `undefined` without a room.
 */
import type { Facts, Mode } from "../protocol.ts";
import {
  avoid,
  changePartner,
  earnsVote,
  endRoom,
  enter,
  evictMember,
  finishChange,
  penalized,
  renewTicket,
  send,
  setTicket,
  startChange,
  takeIntent,
  type Change,
  type Entered,
  type Moved,
  type Surroundings,
} from "./change.ts";
import { lobbyOf, withLobby } from "./lobby.ts";
import { shownFacts, withClaims } from "./facts.ts";
import { isRejection, reject, type Rejection } from "./rejection.ts";
import { roomTable, type Ending } from "./room.ts";
import {
  askNoMore,
  knowsRoom,
  partnerIdOf,
  rejectPastPartner,
  roomTerms,
  statusOf,
  type PastRoom,
  type Room,
  type Session,
  type WarningEvent,
  type RoomProof,
} from "./session.ts";
import { afterEvidence } from "./conduct.ts";
import { hasLanes } from "./lanes.ts";
import { keepPartner, presentProof, type Confirmation, type Confirmed } from "./living-calls.ts";
import { proofFor } from "./room-proof.ts";
import { afterSuccess } from "./skip-penalty.ts";
import { standingOfferer } from "./standby.ts";
import { defaultWishes, type Wishes } from "./ticket.ts";

/**
 * Enters the lobby, or replaces the wishes of a session that waits already, which may put it into another lobby. In a room it changes
 * nothing but the lobby of the next one.
 */
export function enqueue(
  session: Session,
  asked: Wishes | undefined,
  around: Surroundings,
): Change<Moved> | Rejection {
  if (!session.present) return reject("not-subscribed");
  const draft = startChange(session, undefined);
  const { member, newlyWaiting } = draft;
  const limited = takeIntent(member, around);
  if (limited) return limited;
  member.presented = undefined;
  if (session.room) {
    if (asked && session.wishes && asked.lobby !== session.wishes.lobby)
      member.wishes = withLobby(session.wishes, asked.lobby);
    return finishChange(draft, { status: "paired", newlyWaiting });
  }
  const refused =
    around.suspended(session) ?? (session.ticket ? undefined : penalized(session, around.now));
  if (refused) return refused;
  const wishes = asked ?? session.wishes ?? defaultWishes;
  if (session.ticket && session.ticket.wishes.lobby === wishes.lobby) {
    member.wishes = wishes;
    const { since, queuedSince } = session.ticket;
    setTicket(member, { wishes, since, queuedSince }, around);
    newlyWaiting.push(session.id);
  } else enter(draft, member, { wishes, place: "kept" }, around);
  return finishChange(draft, { status: "waiting", newlyWaiting });
}

/** The time has come at which the ticket accepts more partners. */
export function relax(session: Session, around: Surroundings): Change<Entered> {
  const draft = startChange(session, undefined);
  renewTicket(draft.member, around);
  return finishChange(draft, { newlyWaiting: session.ticket ? [session.id] : [] });
}

/** From now on the session never meets `other` again, whom it met in this room. */
export function block(
  session: Session,
  other: Session,
  roomId: string,
  around: Surroundings,
): Change<{ partnerId: string }> | Rejection {
  const draft = startChange(session, other);
  const limited = takeIntent(draft.member, around);
  if (limited) return limited;
  rejectPastPartner(draft.member, roomId);
  // A ticket changes with whom it avoids: a match that was chosen before must fail.
  renewTicket(draft.member, around);
  renewTicket(changePartner(draft), around);
  const until = Number.POSITIVE_INFINITY;
  avoid(draft, session, other, until);
  return finishChange(draft, { partnerId: other.id });
}

export interface Pairing {
  roomId: string;
  relayOnly: boolean;
  sharedInterests: string[];
  /** Absent: that of the tickets. */
  mode?: Mode;
}

/**
 * Two sessions become the members of a room: two that wait, or that meet again (again.ts). The first one makes the offer, unless the other has
 * left one with its ticket (standby.ts).
 */
export function pair(
  one: Session,
  other: Session,
  { roomId, relayOnly, sharedInterests, mode }: Pairing,
  around: Surroundings,
): Change<boolean> {
  const draft = startChange(one, other);
  const since = around.now;
  const modeOfRoom = mode ?? one.ticket?.wishes.mode ?? defaultWishes.mode;
  const offerer = standingOfferer(one, other, modeOfRoom);
  const [impolite, polite] = offerer === other ? [other, one] : [one, other];
  const { dimensions } = around.options;
  const politeFacts = shownFacts((polite.ticket ?? polite).wishes?.facts, dimensions);
  const impoliteFacts = shownFacts((impolite.ticket ?? impolite).wishes?.facts, dimensions);
  const room: Room = {
    id: roomId,
    mode: modeOfRoom,
    lobby: lobbyOf(impolite),
    politeId: polite.id,
    impoliteId: impolite.id,
    relayOnly,
    sharedInterests,
    since,
    // There is nothing to connect in a room for text.
    state: modeOfRoom === "text" ? "connected" : "connecting",
    politeConnected: false,
    impoliteConnected: false,
    ...(politeFacts && { politeFacts }),
    ...(impoliteFacts && { impoliteFacts }),
  };
  const waitedSince = Math.min(impolite.ticket?.since ?? since, polite.ticket?.since ?? since);
  draft.room = { kind: "began", room, waitedMs: since - waitedSince };
  for (const session of [draft.member, changePartner(draft)]) {
    session.ticket = undefined;
    session.presented = undefined;
    session.room = room;
    askNoMore(session, partnerIdOf(session.id, room));
  }
  const termsOf = ({ id }: Session) =>
    roomTerms(id, room, around.options.seal?.(proofFor(id, room, around)) ?? "");
  const standing = offerer && ({ standing: true } as const);
  const toImpolite = { ...termsOf(impolite), polite: false, ...standing } as const;
  send(draft, impolite, { type: "create-offer", ...toImpolite });
  const toPolite = { ...termsOf(polite), polite: true } as const;
  send(draft, polite, { type: "wait-for-offer", ...toPolite }, offerer?.id);
  return finishChange(draft, true);
}

/**
 * The member confirms that media flows, which says nothing in a room for text. With the room's proof it also keeps the place of its absent
 * partner, or makes a lost room exist again: see living-calls.ts.
 * @param partner without a room the session that the proof names.
 */
export function confirm(
  session: Session,
  partner: Session | undefined,
  roomId: string,
  around: Surroundings,
  proof?: RoomProof,
): Change<Confirmed> | Rejection {
  const presented = proof && presentProof(session, partner, proof, around);
  if (presented) return presented;
  if (!knowsRoom(session, roomId)) return reject("not-in-room");
  const { now } = around;
  const draft = startChange(session, partner);
  const { room, skipPenalty } = session;
  if (room?.id !== roomId || room.mode === "text")
    return finishChange(draft, { status: statusOf(session) });
  const next = roomTable[room.state].connected;
  const isPolite = room.politeId === session.id;
  const updated: Room = {
    ...room,
    state: typeof next === "string" ? next : room.state,
    politeConnected: room.politeConnected || isPolite,
    impoliteConnected: room.impoliteConnected || !isPolite,
  };
  draft.member.room = updated;
  changePartner(draft).room = updated;
  if (skipPenalty) draft.member.skipPenalty = afterSuccess(skipPenalty);
  draft.room = { kind: "updated", room: updated };
  if (proof?.sessionId === session.id) keepPartner(draft, room, around);
  const { lobby, since } = room;
  const isRepeated = isPolite ? room.politeConnected : room.impoliteConnected;
  const confirmed: Confirmation = {
    partnerId: partnerIdOf(session.id, room),
    both: updated.politeConnected && updated.impoliteConnected,
    afterMs: now - since,
  };
  const result = { status: "paired", ...(!isRepeated && { confirmed }) } as const;
  if (room.state !== "connecting") return finishChange(draft, result);
  const connectedIn = lobby === undefined ? {} : { connectedIn: lobby };
  return finishChange(draft, { ...result, connectedAfterMs: now - since, ...connectedIn });
}

export interface Ended extends Moved {
  /** Whether the named room is the caller's, or was one of its last few. */
  known: boolean;
  /** Only where it has ended the room because the media path failed: how far that had come. */
  failedWhile?: Room["state"];
}

/** How a call is answered that entered the lobby and was paired at once: every verb that does so can be recorded as this. */
export const pairedAtOnce: Ended = { status: "paired", newlyWaiting: [], known: true };

/** How `end` answers a session that does not exist. */
export function endOfUnknown(ending: Ending): Ended | Rejection {
  if (ending === "skip") return reject("not-subscribed");
  return { status: "idle", newlyWaiting: [], known: false };
}

/** See `EndRequest` in engine/engine.ts. */
export interface EndRequestOfSession {
  ending: Ending;
  roomId?: string | undefined;
  claims?: Facts | undefined;
  lane?: number | undefined;
}

/**
 * Ends the member's room by the room's table. Changes nothing when `roomId` names another one; but `leave` also takes a
 * ticket out of the lobby, and `skip` of one who is idle enters it.
 */
export function end(
  session: Session,
  partner: Session | undefined,
  { ending, roomId, claims, lane }: EndRequestOfSession,
  around: Surroundings,
): Change<Ended> | Rejection {
  if (ending === "skip" && !session.present) return reject("not-subscribed");
  const wishes = restated(session.wishes, { claims, lane }, around);
  if (ending === "skip" && statusOf(session) === "idle") {
    const entered = enqueue(session, wishes, around);
    if (isRejection(entered)) return entered;
    return { ...entered, result: { ...entered.result, known: false } };
  }
  const { room } = session;
  const draft = startChange(session, partner);
  const { member, newlyWaiting } = draft;
  // A report or block has been counted by `block`, and leaving must always work.
  const isLimited = ending === "skip" || ending === "failed";
  const limited = isLimited ? takeIntent(member, around) : undefined;
  if (limited) return limited;
  if (ending === "leave") askNoMore(member);
  if (ending === "leave" || ending === "skip") member.presented = undefined;
  if (ending === "leave" && session.ticket) {
    member.ticket = undefined;
    member.queuedSince = undefined;
  }
  const known = roomId === undefined ? room !== undefined : knowsRoom(session, roomId);
  if (room && (roomId === undefined || room.id === roomId)) {
    const refused = isLimited ? penalized(session, around.now) : undefined;
    if (refused) return refused;
    if (wishes) member.wishes = wishes;
    endRoom(draft, room, ending, around);
    const result = { status: statusOf(member), newlyWaiting, known };
    if (ending === "failed") return finishChange(draft, { ...result, failedWhile: room.state });
  }
  return finishChange(draft, { status: statusOf(member), newlyWaiting, known });
}

/** The wishes that a session returns to the lobby with, with what the operator states of it now; `undefined` if that is nothing. */
function restated(
  last: Wishes = defaultWishes,
  { claims, lane }: Pick<EndRequestOfSession, "claims" | "lane">,
  { options: { dimensions } }: Surroundings,
): Wishes | undefined {
  if (claims === undefined && lane === undefined) return undefined;
  const { facts: before, ...wishes } = last;
  const facts = claims && dimensions ? withClaims(before, claims, dimensions.declared) : before;
  return { ...wishes, ...(facts && { facts }), ...(lane !== undefined && { lane }) };
}

/** A suspension takes effect. */
export function evict(
  session: Session,
  partner: Session | undefined,
  around: Surroundings,
): Change<Entered> {
  const draft = startChange(session, partner);
  evictMember(draft, around);
  return finishChange(draft, { newlyWaiting: draft.newlyWaiting });
}

/** A report of the session has counted. */
export function reproach(session: Session, { now, options }: Surroundings): Change<undefined> {
  const draft = startChange(session, undefined);
  if (hasLanes(options.relax)) draft.member.conduct = afterEvidence(session.conduct, "report", now);
  return finishChange(draft, undefined);
}

/** The session is told a warning: now, or when it comes back. */
export function warn(session: Session, warning: WarningEvent): Change<undefined> {
  const draft = startChange(session, undefined);
  if (session.present) send(draft, session, warning);
  else draft.member.warning = warning;
  return finishChange(draft, undefined);
}

/** Of a past room also the account, as the partner may be forgotten by now. */
export type Met = Pick<PastRoom, "partnerId" | "partnerAccount" | "votes">;

/** The other member of the session's present or recent room, and whether a report from that room counts. */
export function partnerIn(session: Session, roomId: string, around: Surroundings): Met | undefined {
  const { room } = session;
  if (room?.id !== roomId) return session.recentRooms.find((past) => past.roomId === roomId);
  return { partnerId: partnerIdOf(session.id, room), votes: earnsVote(room, around) };
}
