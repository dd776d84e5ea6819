/**
 * A call that lives outlives the signaling: a member that is here keeps the place of its absent partner, and a room that was lost (its
 * server has restarted, or both were away for too long) exists again once both members have presented its proof.
 *
 * A proof undoes no decision. A room that ended in any other way than by a loss stays ended for as long as either session remembers it, a
 * block or a suspension keeps the two apart, and as each member has to present its own proof, whoever has left is not brought back.
 */
import {
  changePartner,
  finishChange,
  send,
  startChange,
  type Change,
  type ChangeDraft,
  type Surroundings,
} from "./change.ts";
import type { Status } from "../protocol.ts";
import { stateOf } from "./presence.ts";
import { reject, type Rejection } from "./rejection.ts";
import { readRoomId } from "./room-id.ts";
import { askNoMore, type Room, type Session, type RoomProof } from "./session.ts";

export interface Confirmation {
  partnerId: string;
  /** Whether the partner has confirmed it as well. */
  both: boolean;
  /** Milliseconds since the room began. */
  afterMs: number;
}

/** What `connected` comes to. */
export interface Confirmed {
  status: Status;
  /** Only with the first confirmation in this room: milliseconds since it began. */
  connectedAfterMs?: number;
  /** With that: the room's lobby, but for the one that is always there. */
  connectedIn?: string;
  /** Only with the first confirmation of this member. */
  confirmed?: Confirmation;
  /** The room was lost, and exists again by this. */
  restored?: true;
}

/** Media flows, so the absent partner's room and place are kept for as long as they can be. */
export function keepPartner(
  draft: ChangeDraft,
  { id: roomId }: Room,
  { wallOffsetMs }: Surroundings,
): void {
  const { graceUntil, keepUntil } = draft.partnerBefore ?? {};
  if (graceUntil === undefined || keepUntil === undefined || keepUntil <= graceUntil) return;
  changePartner(draft).graceUntil = keepUntil;
  const deadline = keepUntil + wallOffsetMs;
  send(draft, draft.member, { type: "partner-reconnecting", roomId, deadline });
}

/**
 * The session presents the proof of a room that it is not in. Until its partner has done so it is idle, and meets nobody: a `join`, `skip`,
 * `leave` or `again` takes it back, and so does the end of its grace. `undefined` where a proof is worth nothing: it has expired, or the
 * room has ended for good. `not-subscribed` without an open stream; `suspended`.
 * @param other the session that the proof names as the partner, unless it is unknown or a block stands between the two.
 */
export function presentProof(
  session: Session,
  other: Session | undefined,
  proof: RoomProof,
  around: Surroundings,
): Change<Confirmed> | Rejection | undefined {
  if (session.room || !isWorth(session, proof, around)) return undefined;
  if (!session.present) return reject("not-subscribed");
  const refused = around.suspended(session);
  if (refused) return refused;
  const draft = startChange(session, other);
  const { member } = draft;
  member.ticket = undefined;
  member.queuedSince = undefined;
  member.presented = proof;
  askNoMore(member);
  const others = other && matching(other, proof, around);
  if (!others) return finishChange(draft, { status: "idle" });

  const [polite, impolite] = proof.polite ? [proof, others] : [others, proof];
  const room: Room = {
    id: proof.roomId,
    mode: readRoomId(proof.roomId).mode,
    lobby: proof.lobby,
    politeId: polite.sessionId,
    impoliteId: impolite.sessionId,
    relayOnly: readRoomId(proof.roomId).relayOnly,
    sharedInterests: proof.sharedInterests,
    since: Math.min(around.now, proof.since - around.wallOffsetMs),
    // Each of them presents it because media flows.
    state: "connected",
    politeConnected: true,
    impoliteConnected: true,
    restoredAt: around.now,
    ...(impolite.partnerFacts && { politeFacts: impolite.partnerFacts }),
    ...(polite.partnerFacts && { impoliteFacts: polite.partnerFacts }),
  };
  const partner = changePartner(draft);
  for (const one of [member, partner]) {
    one.room = room;
    one.presented = undefined;
    one.recentRooms = one.recentRooms.filter(({ roomId }) => roomId !== room.id);
  }
  draft.room = { kind: "restored", room };
  send(draft, member, { type: "resync", state: stateOf(member, partner, around) });
  send(draft, partner, { type: "resync", state: stateOf(partner, member, around) });
  return finishChange(draft, { status: "paired", restored: true });
}

/** The proof that the other member has presented of the same room, if the two can be in it. */
function matching(other: Session, proof: RoomProof, around: Surroundings): RoomProof | undefined {
  const { presented, present, graceUntil, room } = other;
  if (!presented || room || (!present && graceUntil === undefined)) return undefined;
  const { roomId, partnerId, polite } = presented;
  const isSameRoom = roomId === proof.roomId && partnerId === proof.sessionId;
  if (!isSameRoom || polite === proof.polite) return undefined;
  return isWorth(other, presented, around) && !around.suspended(other) ? presented : undefined;
}

function isWorth(
  { id, recentRooms }: Session,
  { roomId, sessionId, until }: RoomProof,
  { now, wallOffsetMs, options }: Surroundings,
): boolean {
  // There is no media that could flow in a room for text.
  if (options.callKeepMs === 0 || readRoomId(roomId).mode === "text") return false;
  if (sessionId !== id || now + wallOffsetMs >= until) return false;
  const past = recentRooms.find((one) => one.roomId === roomId);
  return !past || past.lost === true;
}
