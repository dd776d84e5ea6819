/** Calls one of the operator's hooks and waits for its answer, for a limited time. The caller defines the answer for a hook that fails. */
import type { MaybePromise } from "../maybe-promise.ts";

export type HookName = "authenticate" | "admit" | "lane" | "message" | "isOperator";

export interface HookParts {
  schedule: (delayMs: number, task: () => void) => () => void;
  /** A number in [0, 1). */
  random: () => number;
  /** Told of each hook that threw, took too long or answered nonsense. Must not throw. */
  onHookFault: (hook: HookName, error: unknown) => void;
}

/** How long a hook that lets peers in may take (milliseconds). */
const hookMs = 2000;
/** Those whose hook failed try again after this (milliseconds), and up to as long again, so that they do not come all at once. */
const retryMs = 2000;

/**
 * @param failed makes the result for a hook that failed, with when to try again (milliseconds).
 * @param check turns the hook's answer into what is wanted of it, or throws.
 * @param withinMs how long the hook may take (milliseconds).
 */
export function callHook<Answer, Result, Failed>(
  name: HookName,
  hook: () => MaybePromise<Answer>,
  failed: (retryAfterMs: number) => Failed,
  { schedule, random, onHookFault }: HookParts,
  check: (answer: Answer) => Result,
  withinMs = hookMs,
): MaybePromise<Result | Failed> {
  const fail = (error: unknown): Failed => {
    onHookFault(name, error);
    return failed(Math.round(retryMs * (1 + random())));
  };
  try {
    const answer = hook();
    if (!isThenable(answer)) return check(answer);
    return new Promise((resolve) => {
      let isLate = false;
      const cancel = schedule(withinMs, () => {
        isLate = true;
        resolve(fail(new Error(`${name} did not answer within ${withinMs} ms`)));
      });
      Promise.resolve(answer)
        .then(check)
        .then(resolve, (error: unknown) => {
          if (!isLate) resolve(fail(error));
        })
        .finally(cancel);
    });
  } catch (error) {
    return fail(error);
  }
}

/** Also a promise of another implementation, as database clients return them. */
export const isThenable = <T>(value: MaybePromise<T>): value is Promise<T> =>
  typeof (value as { then?: unknown } | null)?.then === "function";
