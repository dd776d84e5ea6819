/**
 * What a member of a room can prove of it by what it was sent: enough to make the room whole again, together with the proof of the other
 * member, on a server that has lost it. It is sealed before it is sent (signaling/room-proofs.ts), as it names both sessions.
 */
import type { Facts } from "../protocol.ts";
import type { Surroundings } from "./change.ts";
import { partnerIdOf, type Room } from "./session.ts";

/** Longer than calls are (milliseconds); a member is sent another proof whenever it reconnects. */
const proofLifeMs = 24 * 3_600_000;

export interface RoomProof {
  readonly roomId: string;
  /** The member that was sent it: nobody else can present it. */
  readonly sessionId: string;
  readonly partnerId: string;
  readonly polite: boolean;
  /** Of the room. */
  readonly lobby?: string | undefined;
  readonly sharedInterests: readonly string[];
  /** What this member was told of its partner. */
  readonly partnerFacts?: Facts | undefined;
  /** When the room began, and when the proof expires: epoch milliseconds of the wall clock, as it outlives the process. */
  readonly since: number;
  readonly until: number;
}

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
