/**
 * The life of a room as a table: state × input → next state or ending. A room begins in `connecting`, becomes `connected` when
 * either browser confirms that media flows, and ends once.
 */
import type { EndReason } from "../protocol.ts";

export const roomStates = ["connecting", "connected"] as const;
export type RoomState = (typeof roomStates)[number];

/** What one of the two members does, or what happens to it (`lost`, `removed`). */
export const roomInputs = [
  "connected",
  "failed",
  "skip",
  "leave",
  "report",
  "block",
  "lost",
  "removed",
] as const;
export type RoomInput = (typeof roomInputs)[number];

/** The inputs that end a room. */
export type Ending = Exclude<RoomInput, "connected">;

/** How a room ends, seen from the member through which it ends. The partner always keeps its place in the queue. */
export interface Outcome {
  /** What the partner is sent. */
  reason: EndReason;
  /** Whether the two then avoid each other for the cooldown. A block is separate, and permanent. */
  cooldown: boolean;
  /** Whether the member returns to the lobby: always, never, or by its own `autoRejoin`. */
  rejoins: "always" | "never" | "if-wished";
  /** Whether it keeps its place in the queue, or goes to the end. */
  place: "kept" | "new";
}

const skipped: Outcome = { reason: "skipped", cooldown: true, rejoins: "always", place: "new" };
const left: Outcome = { reason: "left", cooldown: false, rejoins: "never", place: "new" };
const reported: Outcome = { reason: "left", cooldown: false, rejoins: "if-wished", place: "kept" };
const lost: Outcome = { reason: "lost", cooldown: false, rejoins: "never", place: "new" };
const removed: Outcome = { reason: "removed", cooldown: false, rejoins: "never", place: "new" };
const connectFailed: Outcome = {
  reason: "connect-failed",
  cooldown: true,
  rejoins: "always",
  place: "kept",
};

/** Either the next state, or how the room ends. */
export const roomTable: Readonly<Record<RoomState, Record<RoomInput, RoomState | Outcome>>> = {
  connecting: {
    connected: "connected",
    failed: connectFailed,
    skip: skipped,
    leave: left,
    report: reported,
    block: reported,
    lost,
    removed,
  },
  connected: {
    connected: "connected",
    // Media did flow: a member that reports a failure now wants another partner, and that counts as a skip.
    failed: skipped,
    skip: skipped,
    leave: left,
    report: reported,
    block: reported,
    lost,
    removed,
  },
};

/** How `ending` ends a room that is in `state`. */
export function outcomeOf(state: RoomState, ending: Ending): Outcome {
  const outcome = roomTable[state][ending];
  if (typeof outcome === "string") throw new Error(`${ending} must end a ${state} room`);
  return outcome;
}
