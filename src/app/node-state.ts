/** What the console tells of this process. */
import type { Log } from "../observe/log.ts";
import type { NodeState } from "../rpc/admin.ts";
import type { System } from "../system.ts";

export const packageVersion = () => (require("../../package.json") as { version: string }).version;

export interface NodeStateParts {
  nodeName?: string;
  isDraining: () => boolean;
  log: Pick<Log, "level">;
  system: Pick<System, "elapsed">;
}

/** The process begins now. */
export function nodeStateOf({
  nodeName = "this node",
  isDraining,
  log,
  system: { elapsed },
}: NodeStateParts): () => NodeState {
  const begunAt = elapsed();
  return () => ({
    name: nodeName,
    version: packageVersion(),
    draining: isDraining(),
    uptimeMs: Math.round(elapsed() - begunAt),
    logLevel: log.level,
  });
}
