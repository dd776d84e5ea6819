/** Whether each member of a room sends audio and video. Each says so itself; its partner is told, and a peer that reconnects as well. */
import type { Media } from "../protocol.ts";
import { changePartner, finishChange, send, startChange, type Change } from "./change.ts";
import { reject, type Rejection } from "./rejection.ts";
import { knowsRoom, mediaIn, type Room, type Session } from "./session.ts";

/**
 * The member says what it sends from now on, of what the room's mode allows. Not delivered once the room is over; `not-in-room` for one that
 * never was the session's.
 */
export function setMedia(
  session: Session,
  partner: Session | undefined,
  roomId: string,
  { audio, video }: Media,
): Change<{ delivered: boolean }> | Rejection {
  if (!knowsRoom(session, roomId)) return reject("not-in-room");
  const draft = startChange(session, partner);
  const { room } = session;
  if (room?.id !== roomId) return finishChange(draft, { delivered: false });
  const member = room.politeId === session.id ? "politeMedia" : "impoliteMedia";
  const known = room[member] ?? mediaIn(room.mode);
  if (known.audio === audio && known.video === video)
    return finishChange(draft, { delivered: true });
  const updated: Room = { ...room, [member]: { audio, video } };
  draft.member.room = updated;
  const other = changePartner(draft);
  other.room = updated;
  draft.room = { kind: "updated", room: updated };
  send(draft, other, { type: "partner-media", roomId, audio, video });
  return finishChange(draft, { delivered: true });
}
