/** What an operator is told of calls that failed. */
import { shortId } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Context } from "../rpc/context.ts";
import { isBug, reasonOf } from "../rpc/errors.ts";
import type { TokenRefusal } from "../rpc/session-token.ts";
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
  metrics: Pick<Metrics, "refused" | "joinRefused">;
  log: Log;
}): (failure: FailedCall) => void {
  return ({ error, path, ctx }) => {
    const reason = reasonOf(error);
    if (reason) {
      metrics.refused(reason);
      metrics.joinRefused(path, reason);
      const sessionId = ctx?.connection.caller?.sessionId;
      const sessions = sessionId === undefined ? {} : { sessions: [shortId(sessionId)] };
      log.debug("refused", { reason, path, ...sessions });
    } else if (isBug(error)) log.bug(error.cause ?? error, path ?? "unknown procedure");
  };
}

/** What to look at if many tokens are refused for a cause. A malformed one is a stranger's. */
const tokenCures = {
  signature:
    "give all nodes the same SESSION_SECRET, while it is rotated the old one behind the new one; `bun run doctor` compares them",
  expired: "if this is frequent, keep the clocks of all nodes by NTP",
};

/** Tokens of sessions that are not accepted are counted, and logged once a minute: their peers have lost their places without any error. */
export function createTokenFaults(
  log: Log,
  metrics: Pick<Metrics, "tokenRefused">,
  system: Pick<System, "elapsed">,
): (because: TokenRefusal) => void {
  const warnRarely = createWarnRarely(log, system);
  return (because) => {
    metrics.tokenRefused(because);
    if (because !== "malformed")
      warnRarely(`a session's token was refused: ${because}`, { cure: tokenCures[because] });
  };
}
