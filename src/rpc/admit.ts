/** The operator's `admit` hook: asked before a peer enters the lobby by `join`. */
import { reject, type Rejection } from "../domain/rejection.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { Signaling } from "../signaling/signaling.ts";
import type { PeerContext } from "./context.ts";
import { isRefusal } from "./errors.ts";
import { callHook, type HookParts } from "./hook-call.ts";

/** What a peer asks for, as it has sent it. */
export type JoinWishes = Parameters<Signaling["join"]>[1] & {
  /** In which it would wait, if it is let in; absent: `main`. */
  lobby?: string | undefined;
};

/** A peer that asks to be let in. */
export interface JoiningPeer extends PeerContext {
  readonly session: string;
}

/**
 * `true`, or `refuse(…)` with what the peer is told. When it throws, takes longer than 2 s or answers anything else, the peer is
 * refused as `unavailable` with `retryAfterMs`.
 */
export type AdmitHook = (peer: JoiningPeer, wishes: JoinWishes) => MaybePromise<true | Rejection>;

/** The same, never failing. */
export type Admit = (peer: JoiningPeer, wishes: JoinWishes) => MaybePromise<true | Rejection>;

export function createAdmit(hook: AdmitHook, parts: HookParts): Admit {
  const failed = (retryAfterMs: number) => reject("unavailable", { retryAfterMs });
  return (peer, wishes) => callHook("admit", () => hook(peer, wishes), failed, parts, check);
}

function check(answer: unknown): true | Rejection {
  if (answer === true || isRefusal(answer)) return answer;
  throw new TypeError(`admit must return true or refuse(…), not ${String(answer)}`);
}
