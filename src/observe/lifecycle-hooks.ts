/**
 * The operator's hooks for lifecycle events. Nobody waits for one but the next event of the same room or peer, and not for long: what a
 * hook throws, or that it does not answer, is logged and counted, and goes no further.
 */
import type { LifecycleEvent, LifecycleType } from "../domain/lifecycle.ts";
import type { System } from "../system.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { createWarnOnce } from "./sparing-log.ts";
import { textOfError } from "./text-of-error.ts";

/** By the type of the event. What a hook returns is awaited, at most 10 s. */
export type LifecycleHooks = {
  readonly [Type in LifecycleType]?:
    ((event: Extract<LifecycleEvent, { type: Type }>) => unknown) | undefined;
};

export interface LifecycleHooksParts {
  on: LifecycleHooks;
  log: Pick<Log, "warn">;
  metrics: Pick<Metrics, "hookFailed">;
  system: Pick<System, "schedule" | "elapsed">;
}

/** A hook that has not answered by then is not awaited any longer (milliseconds). */
const answerMs = 10_000;
const minuteMs = 60_000;

/** Calls the hook for an event. What is returned resolves when it has answered, failed, or taken too long; it never rejects. */
export function createLifecycleHooks({
  on,
  log,
  metrics,
  system: { schedule, elapsed },
}: LifecycleHooksParts): (event: LifecycleEvent) => Promise<void> {
  const warnOnce = createWarnOnce(log, elapsed);

  function fail({ type, id }: LifecycleEvent, why: unknown): void {
    metrics.hookFailed(type);
    const minute = Math.floor(elapsed() / minuteMs);
    const stack = why instanceof Error ? why.stack : undefined;
    const fields = { event: id, why: textOfError(why), ...(stack !== undefined && { stack }) };
    warnOnce(`the hook "${type}" has failed`, String(minute), fields);
  }

  return async (event) => {
    const hook = on[event.type] as ((event: LifecycleEvent) => unknown) | undefined;
    if (!hook) return;
    const outcome = Promise.withResolvers<unknown>();
    const cancel = schedule(answerMs, () =>
      outcome.reject(`it has not answered within ${answerMs} ms`),
    );
    (async () => hook(event))().then(outcome.resolve, outcome.reject);
    try {
      await outcome.promise;
    } catch (error) {
      fail(event, error);
    } finally {
      cancel();
    }
  };
}
