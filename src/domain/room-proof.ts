/**
 * What a member of a room can prove of it by what it was sent: enough to make the room whole again, together with the proof of the other
 * member, on a server that has lost it. It is sealed before it is sent (signaling/room-proofs.ts), as it names both sessions.
 */
import type { Surroundings } from "./change.ts";
import { partnerIdOf, type Room, type RoomProof } from "./session.ts";

/** Longer than calls are (milliseconds); a member is sent another proof whenever it reconnects. */
const proofLifeMs = 24 * 3_600_000;

/** The proof for one of the two members. */
export function proofFor(
  sessionId: string,
  room: Room,
  { now, wallOffsetMs }: Pick<Surroundings, "now" | "wallOffsetMs">,
): RoomProof {
  const polite = room.politeId === sessionId;
  return {
    roomId: room.id,
    sessionId,
    partnerId: partnerIdOf(sessionId, room),
    polite,
    lobby: room.lobby,
    sharedInterests: room.sharedInterests,
    partnerFacts: polite ? room.impoliteFacts : room.politeFacts,
    since: room.since + wallOffsetMs,
    until: now + wallOffsetMs + proofLifeMs,
  };
}
