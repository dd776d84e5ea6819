/** What an operator is told of calls, hooks and claims that failed. */
import { shortId } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createWarnOnce } from "../observe/sparing-log.ts";
import { placeOfError, textOfError } from "../observe/text-of-error.ts";
import type { Context } from "../rpc/context.ts";
import { isBug, reasonOf } from "../rpc/errors.ts";
import type { HookName } from "../rpc/hook-call.ts";
import type { System } from "../system.ts";
import type { Failure } from "../trpc-ws/options.ts";
import { createWarnRarely } from "./capacity.ts";

/** Over HTTP a failure has no context. */
type FailedCall = Pick<Failure, "error" | "path"> & Partial<Pick<Failure<Context>, "ctx">>;

/** Refusals are counted, and logged at `debug`; bugs are logged with their stack. */
export function createOnError({
  metrics,
  log,
}: {
  metrics: Pick<Metrics, "refused">;
  log: Log;
}): (failure: FailedCall) => void {
  return ({ error, path, ctx }) => {
    const reason = reasonOf(error);
    if (reason) {
      metrics.refused(reason);
      const sessionId = ctx?.connection.caller?.sessionId;
      const sessions = sessionId === undefined ? {} : { sessions: [shortId(sessionId)] };
      log.debug("refused", { reason, path, ...sessions });
    } else if (isBug(error)) log.bug(error.cause ?? error, path ?? "unknown procedure");
  };
}

/** Logs once for each dimension that what is known of a peer is no value of it, as peers join as often as they like. */
export function createClaimFaults(log: Log, { elapsed }: Pick<System, "elapsed">) {
  const warnOnce = createWarnOnce(log, elapsed);
  return (dimension: string) =>
    warnOnce("a fact from authenticate or a token is no value of its dimension", dimension, {
      dimension,
      effect: "it counts as not stated",
    });
}

/** Logs each hook's faults at most once a minute, as peers can cause them as often as they like. */
export function createHookFaults(log: Log, metrics: Metrics, { elapsed }: Pick<System, "elapsed">) {
  const warnRarely = createWarnRarely(log, { elapsed });
  return (hook: HookName, error: unknown) => {
    metrics.hookFailed(hook);
    // What the hook for texts throws may quote one, as a parser's error does.
    const text = hook === "message" ? placeOfError(error) : textOfError(error);
    warnRarely(`the hook ${hook} failed`, { error: text });
  };
}
