/** The operator's `admit` hook: asked before a peer enters the lobby by `join`. */
import type { PeerContext } from "./identity.ts";
import { reject, type Rejection } from "../domain/rejection.ts";
import type { Want } from "../domain/facts.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { FactsDeclaration, FactsOf } from "../protocol/declaration.ts";
import type { Signaling } from "../signaling/signaling.ts";
import { checkChallenge } from "./challenge.ts";
import { isRefusal } from "./errors.ts";
import { callHook, type HookParts } from "./hook-call.ts";

/** What a peer asks for, as it has sent it; with what the operator states of it. */
export type AskedWishes = Parameters<Signaling["join"]>[1] & {
  lobby?: string | undefined;
  /** Of a challenge that the operator has made, as the peer has sent it: at most 4096 bytes, and not to be trusted. */
  solution?: string | undefined;
  /** The version of the rules that the peer says it has agreed to. */
  agreed?: string | undefined;
};

/** The same as the hook sees it, typed by the declaration of facts. */
export interface JoinWishes<Declared extends FactsDeclaration = FactsDeclaration> extends Omit<
  AskedWishes,
  "facts" | "wants"
> {
  /** What is stated of it, by itself and by the operator; absent: nothing. */
  readonly facts?: FactsOf<Declared> | undefined;
  /** What it wants of its partner; absent: nothing. */
  readonly wants?: readonly (Want & { readonly of: keyof Declared })[] | undefined;
  /** In which it would wait, if it is let in; absent: `main`. */
  readonly lobby?: string | undefined;
}

/** A peer that asks to be let in. */
export interface JoiningPeer extends PeerContext {
  readonly session: string;
}

/**
 * `true`, or `refuse(…)` or `challenge(…)` with what the peer is told. When it throws, takes longer than 2 s or answers anything else, the peer is
 * refused as `unavailable` with `retryAfterMs`.
 */
export type AdmitHook<Declared extends FactsDeclaration = FactsDeclaration> = (
  peer: JoiningPeer,
  wishes: JoinWishes<Declared>,
) => MaybePromise<true | Rejection>;

/** The same, never failing. */
export type Admit = (peer: JoiningPeer, wishes: AskedWishes) => MaybePromise<true | Rejection>;

export function createAdmit(hook: AdmitHook, parts: HookParts): Admit {
  const failed = (retryAfterMs: number) => reject("unavailable", { retryAfterMs });
  return (peer, wishes) => callHook("admit", () => hook(peer, wishes), failed, parts, check);
}

function check(answer: unknown): true | Rejection {
  if (answer === true) return answer;
  if (isRefusal(answer)) {
    if (answer.reason === "challenge") checkChallenge(answer.challenge);
    return answer;
  }
  throw new TypeError(`admit must return true, refuse(…) or challenge(…), not ${String(answer)}`);
}
