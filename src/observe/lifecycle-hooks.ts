/**
 * The operator's hooks for lifecycle events. Nobody waits for one but the next event of the same room or peer, and not for long: what a
 * hook throws, or that it does not answer, is logged and counted, and goes no further.
 */
import type { LifecycleEvent, LifecycleType } from "../domain/lifecycle.ts";
import type { System } from "../system.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { createWarnOnce } from "./sparing-log.ts";
import { placeOfError, textOfError } from "./text-of-error.ts";

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

class Unanswered extends Error {
  override readonly message = `it has not answered within ${answerMs} ms`;
}

/** What a hook for reports throws may quote a note or a message, as a parser's or a database's error does. */
const placeOf = (error: unknown) => ({
  why: error instanceof Unanswered ? error.message : placeOfError(error),
});

function wholeOf(error: unknown): { why: string; stack?: string } {
  if (error instanceof Unanswered) return { why: error.message };
  const stack = error instanceof Error ? error.stack : undefined;
  return { why: textOfError(error), ...(stack !== undefined && { stack }) };
}

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
    const fields = { event: id, ...(type === "reported" ? placeOf(why) : wholeOf(why)) };
    warnOnce(`the hook "${type}" has failed`, String(minute), fields);
  }

  return async (event) => {
    const hook = on[event.type] as ((event: LifecycleEvent) => unknown) | undefined;
    if (!hook) return;
    const outcome = Promise.withResolvers<unknown>();
    const cancel = schedule(answerMs, () => outcome.reject(new Unanswered()));
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
