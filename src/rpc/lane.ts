/** The operator's `lane` hook: asked before a peer enters the lobby by `join`, once it is admitted. */
import { isLane, lanesMax } from "../domain/lanes.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { JoiningPeer } from "./admit.ts";
import { callHook, type HookParts } from "./hook-call.ts";

/**
 * The number of a peer's lane, from 0 to 7; `undefined` leaves it to the peer's conduct. So do throwing, taking longer than 2 s, and any
 * other answer. The peer is told nothing of it.
 */
export type LaneHook = (peer: JoiningPeer) => MaybePromise<number | undefined>;

/** The same, never failing. */
export type AskLane = (peer: JoiningPeer) => MaybePromise<number | undefined>;

export function createAskLane(hook: LaneHook, parts: HookParts): AskLane {
  return (peer) =>
    callHook(
      "lane",
      () => hook(peer),
      () => undefined,
      parts,
      check,
    );
}

function check(answer: unknown): number | undefined {
  if (answer === undefined || isLane(answer)) return answer;
  throw new TypeError(
    `lane must return a whole number from 0 to ${lanesMax - 1} or undefined, not ${String(answer)}`,
  );
}
