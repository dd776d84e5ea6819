/** What is wrong with Redis, as far as its replies or the connection show, and what to do about it. */
import { layoutVersion } from "./keys.ts";

export interface RedisFault {
  kind:
    | "login"
    | "permission"
    | "database"
    | "cluster"
    | "moved"
    | "resharding"
    | "cluster-down"
    | "sentinel"
    | "replica"
    | "layout"
    | "memory"
    | "disk"
    | "loading"
    | "silent"
    | "offline"
    | "unreachable";
  message: string;
  /** Whether it may pass without anybody changing the configuration. */
  heals: boolean;
  /** Whether another connection, for which the name is resolved again, may lead to a Redis without it. */
  elsewhere: boolean;
  cure: string;
}

type Entry = Omit<RedisFault, "message"> & { pattern: RegExp };

/** Error replies begin with a word in capitals, for most of these (RESP, simple errors). */
const replies: readonly Entry[] = [
  {
    kind: "login",
    pattern: /^(WRONGPASS|NOAUTH)|invalid password|without any password|AUTH failed/i,
    heals: false,
    elsewhere: false,
    cure: "check the user and password in REDIS_URL",
  },
  {
    kind: "permission",
    pattern: /NOPERM|user executing the script/,
    heals: false,
    elsewhere: false,
    cure: "grant this user what `ACL SETUSER` in src/app/README.md grants, with REDIS_PREFIX in place of its prefix",
  },
  {
    kind: "database",
    pattern: /DB index|SELECT is not allowed/i,
    heals: false,
    elsewhere: false,
    cure: "check the database number in REDIS_URL against Redis' setting `databases`",
  },
  {
    kind: "cluster",
    pattern: /cluster support disabled/,
    heals: false,
    elsewhere: false,
    cure: "take REDIS_CLUSTER away, or let REDIS_URL name nodes of a cluster",
  },
  {
    kind: "moved",
    pattern: /^MOVED\b/,
    heals: true,
    elsewhere: true,
    cure: "none is needed: the nodes look for the master that has the keys now",
  },
  {
    // Nothing was executed: the script's key that never exists may be one that has been moved already.
    kind: "resharding",
    pattern: /^(ASK|TRYAGAIN)\b/,
    heals: true,
    elsewhere: false,
    cure: "none is needed: the keys are being moved to another master of the cluster",
  },
  {
    kind: "cluster-down",
    pattern: /^CLUSTERDOWN\b/,
    heals: true,
    elsewhere: true,
    cure: "see CLUSTER NODES: a master is gone, and no replica has taken over yet",
  },
  {
    kind: "sentinel",
    pattern: /Sentinels know no master/,
    heals: false,
    elsewhere: false,
    cure: "let REDIS_URL have the name in place of the host that sentinel.conf has after `sentinel monitor`",
  },
  {
    kind: "replica",
    pattern: /READONLY|MASTERDOWN|NOREPLICAS|is a replica/,
    heals: true,
    elsewhere: true,
    cure: "if this is no failover: let REDIS_URL name the master, or a name that always leads to it",
  },
  {
    kind: "memory",
    pattern: /^OOM\b|OOM command/,
    heals: true,
    elsewhere: false,
    cure: "raise maxmemory, or find out what fills it",
  },
  {
    kind: "disk",
    pattern: /MISCONF/,
    heals: true,
    elsewhere: false,
    cure: "see Redis' log: it can't save to its disk",
  },
  {
    kind: "loading",
    pattern: /^(LOADING|BUSY)\b/,
    heals: true,
    elsewhere: false,
    cure: "wait until it is ready",
  },
];

/** The fault that an error reply or message names; `undefined` for any other reply, which is a bug here. */
export function namedFault(message: string): RedisFault | undefined {
  const entry = replies.find(({ pattern }) => pattern.test(message));
  if (!entry) return undefined;
  const { pattern: _, ...fault } = entry;
  return { ...fault, message };
}

/** The same of an error that came from the connection or a time limit, if no reply explains it. */
export function faultOf(error: unknown): RedisFault {
  const message = error instanceof Error ? error.message : String(error);
  // Where nothing arrives, the two connections may lead to different masters.
  const isSilent = /no answer in time|do not arrive/.test(message);
  // Redis' client has not connected yet, or is connecting again.
  const isOffline = /client is (offline|closed)/i.test(message);
  return (
    namedFault(message) ?? {
      kind: isSilent ? "silent" : isOffline ? "offline" : "unreachable",
      message,
      heals: true,
      elsewhere: isSilent,
      cure: isSilent
        ? "check that Redis can be reached, and that neither it nor its machine is overloaded: redis-cli --latency, SLOWLOG GET"
        : "check REDIS_URL (and REDIS_SENTINELS), and that Redis runs and can be reached",
    }
  );
}

/** The URL of one Redis leads to a node of a cluster. */
export const clusterFault: RedisFault = {
  kind: "cluster",
  message: "this Redis is a node of a cluster",
  heals: false,
  elsewhere: false,
  cure: "set REDIS_CLUSTER=true",
};

/** Nodes of another release hold this Redis. @param found the version of the layout that they use. */
export function layoutFault(found: string): RedisFault {
  return {
    kind: "layout",
    message: `nodes with version ${found} of the data's layout are running; this release has version ${layoutVersion}`,
    heals: false,
    elsewhere: false,
    cure: "stop all nodes of the other release before this one starts, or use another REDIS_PREFIX, database or Redis",
  };
}
