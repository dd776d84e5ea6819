/** A real Redis Cluster on free ports of this machine, whose slots can be moved and whose masters can be killed. */
import type { RedisLocation } from "../../src/engine/redis/location.ts";
import { freePort } from "./ports.ts";
import { startRedis, type Redis } from "./redis.ts";
import { until } from "./until.ts";

const slots = 16_384;

export interface RedisCluster extends AsyncDisposable {
  readonly location: RedisLocation;
  /** As `REDIS_URL` has it. */
  readonly urls: string;
  readonly masters: readonly Redis[];
  readonly replicas: readonly Redis[];
  /** The master that serves a key's slot, by the word of one that lives. */
  ownerOf(key: string): Promise<Redis>;
  /**
   * Moves the slot of a key to another master, as `redis-cli --cluster reshard` does.
   * @param halfway called when about half of the keys have been moved.
   */
  moveSlot(key: string, to: Redis, halfway?: () => Promise<void>): Promise<void>;
}

/** Starts three masters, or more, each with a replica if so asked. */
export async function startRedisCluster({
  masterCount = 3,
  replicated = false,
  settings = [] as string[],
} = {}): Promise<RedisCluster> {
  const stack = new AsyncDisposableStack();
  const startNode = async () => {
    const busPort = await freePort();
    const own = `--cluster-enabled yes --cluster-node-timeout 1000 --cluster-port ${busPort} --repl-diskless-sync-delay 0`;
    const redis = stack.use(await startRedis([...own.split(" "), ...settings]));
    return { redis, busPort, id: (await redis.cli("cluster", "myid")).trim() };
  };
  const startNodes = (count: number) =>
    Promise.all(Array.from({ length: count }, async () => startNode()));
  const masters = await startNodes(masterCount);
  const replicas = await startNodes(replicated ? masterCount : 0);
  const all = [...masters, ...replicas];
  const [first] = masters;
  if (!first) throw new Error("a cluster has masters");

  for (const [index, { redis }] of masters.entries()) {
    const [begin, end] = [index, index + 1].map((n) => Math.floor((n * slots) / masterCount));
    await redis.cli("cluster", "addslotsrange", String(begin), String(Number(end) - 1));
    // Or two of them could claim the same epoch, and settle that while the test runs.
    await redis.cli("cluster", "set-config-epoch", String(index + 1));
  }
  for (const { redis } of all.slice(1))
    await redis.cli(
      ..."cluster meet 127.0.0.1".split(" "),
      String(first.redis.port),
      String(first.busPort),
    );
  const stateOf = (redis: Redis) => redis.cli("cluster", "info");
  const isWhole = async ({ redis }: { redis: Redis }) => {
    const state = await stateOf(redis);
    return state.includes("cluster_state:ok") && state.includes(`known_nodes:${all.length}\r`);
  };
  const isWholeEverywhere = async () => (await Promise.all(all.map(isWhole))).every(Boolean);
  await until("the nodes are one cluster", isWholeEverywhere, 20_000);
  for (const [index, { redis }] of replicas.entries()) {
    const id = masters[index]?.id ?? "";
    await redis.cli("cluster", "replicate", id);
    await until("the replica has loaded the data", async () =>
      (await redis.cli("info", "replication")).includes("master_link_status:up"),
    );
  }

  /** Of a node that lives: the ids of the masters by the first of their slots. */
  async function ownerOf(key: string): Promise<Redis> {
    for (const { redis } of all) {
      if (!redis.isRunning) continue;
      const slot = Number(await redis.cli("cluster", "keyslot", key));
      for (const line of (await redis.cli("cluster", "nodes")).split("\n")) {
        const [id, , flags = "", , , , , , ...ranges] = line.split(" ");
        const serves = ranges.some((range) => {
          const [begin = "", end = begin] = range.split("-");
          return Number(begin) <= slot && slot <= Number(end);
        });
        const owner = all.find((one) => one.id === id);
        if (serves && owner && flags.includes("master")) return owner.redis;
      }
    }
    throw new Error(`nobody serves the slot of ${key}`);
  }

  return {
    location: { kind: "cluster", seeds: masters.map(({ redis }) => redis.url) },
    urls: masters.map(({ redis }) => redis.url).join(","),
    masters: masters.map(({ redis }) => redis),
    replicas: replicas.map(({ redis }) => redis),
    ownerOf,
    async moveSlot(key, to, halfway = async () => {}) {
      const from = await ownerOf(key);
      const slot = (await from.cli("cluster", "keyslot", key)).trim();
      const idOf = (redis: Redis) => all.find((one) => one.redis === redis)?.id ?? "";
      await to.cli("cluster", "setslot", slot, "importing", idOf(from));
      await from.cli("cluster", "setslot", slot, "migrating", idOf(to));
      const keysLeft = async (max: number) =>
        (await from.cli("cluster", "getkeysinslot", slot, String(max))).split("\n").filter(Boolean);
      const move = async (keys: string[]) => {
        const target = ["127.0.0.1", String(to.port), "", "0", "5000", "KEYS"];
        if (keys.length > 0) await from.cli("migrate", ...target, ...keys);
      };
      const count = Number(await from.cli("cluster", "countkeysinslot", slot));
      await move(await keysLeft(Math.ceil(count / 2)));
      await halfway();
      for (let keys = await keysLeft(1000); keys.length > 0; keys = await keysLeft(1000))
        await move(keys);
      for (const redis of [to, from]) await redis.cli("cluster", "setslot", slot, "node", idOf(to));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
