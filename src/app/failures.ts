/** What an operator is told of calls that failed. */
import { shortId } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Context } from "../rpc/context.ts";
import { isBug, reasonOf } from "../rpc/errors.ts";
import type { Failure } from "../trpc-ws/options.ts";

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
