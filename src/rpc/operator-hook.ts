/** The operator's own check of who may use `/admin`, in place of a token or beside it. */
import { reject, type Rejection } from "../domain/rejection.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { callHook, type HookParts } from "./hook-call.ts";

/**
 * Whether whoever has sent a request is an operator, by its headers, with its cookies: the whole of `/admin` is then open to it. When it
 * throws, takes longer than 2 s or answers anything but a boolean, the request is refused as `unavailable` with `retryAfterMs`.
 */
export type IsOperator = (request: { readonly headers: Headers }) => MaybePromise<boolean>;

/** The same, never failing. */
export type AskOperator = (request: {
  readonly headers: Headers;
}) => MaybePromise<boolean | Rejection>;

export function createAskOperator(hook: IsOperator, parts: HookParts): AskOperator {
  const failed = (retryAfterMs: number) => reject("unavailable", { retryAfterMs });
  return ({ headers }) =>
    callHook(
      "isOperator",
      () => hook({ headers }),
      failed,
      parts,
      (answer: unknown) => {
        if (typeof answer === "boolean") return answer;
        // Never what it is: a cookie would be logged.
        throw new TypeError(`isOperator must return a boolean, not ${typeof answer}`);
      },
    );
}
