/**
 * Two who were in a room meet again: each has asked for it within five minutes of the room's end, and both are free, which is present and
 * in no room. Until both have asked neither learns of the other's wish, so asking changes nothing but the session's own memory of that room.
 *
 * The wish of one is over when it leaves, when its grace expires, when the two meet in any other way, and once either has rejected the
 * other in that room. An engine looks after each change of a session whether a meeting has become possible by it (`mayMeetBy`), and pairs
 * the two in the same step, before anybody else can: unless a block stands between them, which is the engine's knowledge. A cooldown does not.
 */
import { limits } from "../protocol.ts";
import {
  finishChange,
  startChange,
  takeIntent,
  type Change,
  type Moved,
  type Surroundings,
} from "./change.ts";
import { sharedInterests } from "./matchmaker.ts";
import { reject, type Rejection } from "./rejection.ts";
import { readRoomId, roomIdFor } from "./room-id.ts";
import { statusOf, type PastRoom, type Session } from "./session.ts";
import { defaultWishes } from "./ticket.ts";
import { pair } from "./transitions.ts";

/**
 * The session asks to meet the other member of an ended room again. `not-in-room` for any other room, and later than `limits.againMs` after its
 * end; `not-subscribed` without an open stream; `suspended`; `rate-limited` past the rate of the account.
 * @param id unguessable: that of the room in which they would meet is made of it.
 */
export function askAgain(
  session: Session,
  roomId: string,
  id: string,
  around: Surroundings,
): Change<Moved> | Rejection {
  const past = session.recentRooms.find((one) => one.roomId === roomId);
  if (!past || !isRecent(past, around.now)) return reject("not-in-room");
  if (!session.present) return reject("not-subscribed");
  const refused = around.suspended(session);
  if (refused) return refused;
  const draft = startChange(session, undefined);
  const limited = takeIntent(draft.member, around);
  if (limited) return limited;
  draft.member.presented = undefined;
  draft.member.recentRooms = session.recentRooms.map((one) =>
    one === past ? { ...past, again: id } : one,
  );
  return finishChange(draft, { status: statusOf(session), newlyWaiting: [] });
}

/** Whether a session may meet somebody again by having changed like this, and could not before. */
export function mayMeetBy(before: Session, after: Session): boolean {
  if (!isFree(after) || !after.recentRooms.some(({ again }) => again !== undefined)) return false;
  const isElsewhere = before.wishes?.lobby !== after.wishes?.lobby;
  return !isFree(before) || isElsewhere || before.recentRooms !== after.recentRooms;
}

/** The ended rooms whose other member the session would meet again now; the latest first. */
export function awaitedRooms(session: Session, now: number): PastRoom[] {
  if (!isFree(session)) return [];
  return session.recentRooms
    .filter((past) => past.again !== undefined && !past.rejected && isRecent(past, now))
    .reverse();
}

/**
 * The two meet again, if the other one wants that too, is free, and is in the same lobby. The session makes the offer.
 * @param past one of its `awaitedRooms`, with that other member.
 */
export function meetAgain(
  session: Session,
  other: Session,
  past: PastRoom,
  around: Surroundings,
): Change<boolean> | undefined {
  const isAwaited = awaitedRooms(other, around.now).some(({ roomId }) => roomId === past.roomId);
  if (!isAwaited || around.suspended(session) || around.suspended(other)) return undefined;
  const { wishes = defaultWishes } = session;
  const { wishes: others = defaultWishes } = other;
  if (wishes.lobby !== others.lobby) return undefined;
  const before = readRoomId(past.roomId);
  // Where every room is relay-only, the one before was.
  const relayOnly = before.relayOnly || wishes.relayOnly || others.relayOnly;
  const change = pair(
    session,
    other,
    {
      roomId: roomIdFor({ ...before, relayOnly }, past.again ?? ""),
      relayOnly,
      sharedInterests: sharedInterests({ wishes }, { wishes: others }),
      mode: before.mode,
    },
    around,
  );
  const { room } = change;
  return room ? { ...change, room: { kind: "began", room: room.room } } : change;
}

/** The result of a verb after some of the sessions concerned have met others again in the same step. */
export function resultAfterMeeting<Result>(
  result: Result,
  callerId: string | undefined,
  met: ReadonlySet<string>,
): Result {
  if (met.size === 0) return result;
  const { status, newlyWaiting } = result as Partial<Moved>;
  if (!status && !newlyWaiting) return result;
  return {
    ...result,
    ...(newlyWaiting && { newlyWaiting: newlyWaiting.filter((id) => !met.has(id)) }),
    ...(status && callerId !== undefined && met.has(callerId) && { status: "paired" }),
  };
}

const isFree = ({ present, room }: Session) => present && !room;

/** Never of a room that was stored without the time of its end. */
const isRecent = ({ endedAt }: PastRoom, now: number) => now < endedAt + limits.againMs;
