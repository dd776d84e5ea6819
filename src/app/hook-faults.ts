/** What an operator is told of faults in what the operator's own code answers: rarely, as peers can cause them as often as they like. */
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createWarnOnce } from "../observe/sparing-log.ts";
import { placeOfError, textOfError } from "../observe/text-of-error.ts";
import type { HookName } from "../rpc/hook-call.ts";
import type { System } from "../system.ts";
import { createWarnRarely } from "./capacity.ts";

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
export function createHookFaults(
  log: Log,
  metrics: Pick<Metrics, "hookFailed">,
  { elapsed }: Pick<System, "elapsed">,
) {
  const warnRarely = createWarnRarely(log, { elapsed });
  return (hook: HookName, error: unknown) => {
    metrics.hookFailed(hook);
    // What the hook for texts throws may quote one, and a parser's error quotes what it was given, such as a token.
    const mayQuote = hook === "message" || error instanceof SyntaxError;
    const text = mayQuote ? placeOfError(error) : textOfError(error);
    warnRarely(`the hook ${hook} failed`, { error: text });
  };
}
