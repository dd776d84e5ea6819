/**
 * A room's life as a table: its state × what happens to it → what becomes of it. A room begins in
 * `connecting`, turns `connected` when either browser says that media flows, and ends once.
 */
import type { EndReason } from "../protocol.ts";

export const roomStates = ["connecting", "connected"] as const;
export type RoomState = (typeof roomStates)[number];

/** What one of the two members does, or suffers (`lost`, `removed`). */
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

/** How a room ends, seen from the member it ends through; the partner always keeps its place. */
export interface Outcome {
  /** What the partner is told. */
  reason: EndReason;
  /** Whether the two then avoid each other for the cooldown. A block is a word of its own, and lasts. */
  cooldown: boolean;
  /** Whether the member waits again: always, never, or if its own `autoRejoin` says so. */
  rejoins: "always" | "never" | "if-wished";
  /** Whether it keeps the place that its first waiting gave it, or goes to the back. */
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

/** Either the state the room goes on in, or how it ends. */
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
    // Media did flow: who says otherwise now wants somebody else, and pays what that costs.
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
