/** What the console tells of this process, and of the other nodes. */
import type { NodeLoads } from "../engine/node-loads.ts";
import type { Log } from "../observe/log.ts";
import type { AdminContext } from "../rpc/admin.ts";
import type { System } from "../system.ts";

export interface NodeStateParts {
  nodeName?: string | undefined;
  isDraining: () => boolean;
  loads?: NodeLoads | undefined;
  log: Pick<Log, "level">;
  system: Pick<System, "elapsed">;
}

/** Of this package. */
export const packageVersion = () => (require("../../package.json") as { version: string }).version;

/** The process begins now. */
export function nodeStateOf({
  nodeName = "this node",
  isDraining,
  loads,
  log,
  system: { elapsed },
}: NodeStateParts): Pick<AdminContext, "node" | "nodes"> {
  const begunAt = elapsed();
  return {
    node: () => ({
      name: nodeName,
      version: packageVersion(),
      draining: isDraining(),
      uptimeMs: Math.round(elapsed() - begunAt),
      logLevel: log.level,
    }),
    nodes() {
      const known = loads?.list();
      return (
        known &&
        [known.own, ...known.others].map(({ name, peers, draining }) => ({ name, peers, draining }))
      );
    },
  };
}
