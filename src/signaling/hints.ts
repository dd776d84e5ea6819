/**
 * Hints: what a classifier in a peer's own browser says of its camera. The latest one of each member of a room is kept for as long as
 * its partner can report it, and goes into that report. Nothing else is done because of one: whoever changes the client can send any.
 */
import { isRejection, type Rejection } from "../domain/rejection.ts";
import type { Marks } from "../engine/marks.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { Hint } from "../protocol.ts";

/** A room is reported while it lasts, when there are further hints, or soon after its end (milliseconds). */
const hintLifeMs = 300_000;

/** The latest hints of the two members, if they have sent any. */
export interface RoomHints {
  reporter?: Hint;
  reported?: Hint;
}

export interface Hints {
  take(sessionId: string, roomId: string, hint: Hint): MaybePromise<Rejection | undefined>;
  /** For a report. A storage that is away has none. */
  of(roomId: string, reporterId: string, reportedId: string): Promise<RoomHints | undefined>;
}

export function createHints(marks: Marks): Hints {
  const nameOf = (roomId: string, sessionId: string) => `hint ${roomId} ${sessionId}`;
  const read = async (roomId: string, sessionId: string): Promise<Hint | undefined> => {
    const text = await marks.get(nameOf(roomId, sessionId));
    return text === undefined || isRejection(text) ? undefined : (JSON.parse(text) as Hint);
  };
  return {
    take: (sessionId, roomId, { label, score }) =>
      marks.set(nameOf(roomId, sessionId), JSON.stringify({ label, score }), hintLifeMs),
    async of(roomId, reporterId, reportedId) {
      const [reporter, reported] = await Promise.all([
        read(roomId, reporterId),
        read(roomId, reportedId),
      ]);
      if (!reporter && !reported) return undefined;
      return { ...(reporter && { reporter }), ...(reported && { reported }) };
    },
  };
}
