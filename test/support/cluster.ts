/** Several real nodes on one real Redis, and peers that come back on another node each time. */
import { startRedis, type Redis } from "./redis.ts";
import { startServer, type ServerProcess } from "./server-process.ts";

export interface Cluster extends AsyncDisposable {
  readonly redis: Redis;
  readonly nodes: ServerProcess[];
  /** One node after the other, each time it is asked; only those that `up` says. */
  readonly site: { ws: () => string };
  /** Where one node is. */
  at(index: number): { ws: string; http: string };
  /** Those that take new connections. */
  up: boolean[];
  /** Starts another process in place of one that has ended, with `env` beside the cluster's. */
  replace(index: number, env?: Record<string, string>): Promise<void>;
}

/** Without the limits that a flood of one address would meet. */
export const unlimited = {
  LIMIT_SIGNALS_PER_S: "0",
  LIMIT_INTENTS_PER_S: "0",
  LIMIT_SIGNAL_BYTES_PER_S: "0",
  LIMIT_SOCKETS_PER_ADDRESS: "0",
  LIMIT_HANDSHAKES_PER_MIN: "0",
  ALLOW_NO_ORIGIN: "true",
  LOG_LEVEL: "warn",
};

export async function startCluster(
  count: number,
  env: Record<string, string> = {},
  /** Where the nodes find Redis, if not at its own place. */
  urlOf: (redis: Redis) => string = ({ url }) => url,
  /** What only one of the nodes has, also in place of one that has ended. */
  ofNode: (index: number) => Record<string, string> = () => ({}),
  /** Where they find another Redis, if not that one. */
  redisEnv: (redis: Redis) => Record<string, string> = (redis) => ({ REDIS_URL: urlOf(redis) }),
): Promise<Cluster> {
  const redis = await startRedis();
  const start = (index: number, own: Record<string, string> = {}) =>
    startServer({
      ...unlimited,
      ...redisEnv(redis),
      SESSION_SECRET: "the same on every node",
      ...env,
      ...ofNode(index),
      ...own,
    });
  const nodes = await Promise.all(Array.from({ length: count }, (_, index) => start(index)));
  const up = nodes.map(() => true);
  let turn = 0;
  const wsOf = (node: ServerProcess | undefined) => (node?.origin ?? "").replace("http", "ws");
  return {
    redis,
    nodes,
    up,
    at: (index) => ({ ws: wsOf(nodes[index]), http: nodes[index]?.origin ?? "" }),
    site: {
      ws() {
        for (let tries = 0; tries < count; tries++)
          if (up[++turn % count]) return wsOf(nodes[turn % count]);
        throw new Error("no node is up");
      },
    },
    async replace(index, own) {
      nodes[index] = await start(index, own);
      up[index] = true;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node.kill()));
      await redis[Symbol.asyncDispose]();
    },
  };
}
