/** An operator ends a room. */
import {
  avoid,
  changePartner,
  endRoom,
  enter,
  finishChange,
  send,
  startChange,
  type Change,
  type Entered,
  type Surroundings,
} from "./change.ts";
import type { Session } from "./session.ts";

/**
 * Both members are told `partner-disconnected` with the reason `removed`, and return to the lobby if they wish to. They avoid each other for
 * the cooldown, or they would be paired again at once. `undefined` if the session is not in this room.
 */
export function closeRoom(
  session: Session,
  partner: Session | undefined,
  roomId: string,
  around: Surroundings,
): Change<Entered> | undefined {
  const { room } = session;
  if (room?.id !== roomId || !partner) return undefined;
  const draft = startChange(session, partner);
  const { member, newlyWaiting } = draft;
  const { now, options } = around;
  endRoom(draft, room, "removed", around);
  if (options.skipCooldownMs > 0)
    avoid(draft, member, changePartner(draft), now + options.skipCooldownMs);
  send(draft, member, { type: "partner-disconnected", roomId, reason: "removed" });
  const { wishes } = member;
  if (wishes?.autoRejoin && !around.suspended(member))
    enter(draft, member, { wishes, place: "new" }, around);
  return finishChange(draft, { newlyWaiting });
}
