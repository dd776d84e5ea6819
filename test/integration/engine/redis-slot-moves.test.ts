/** When data at another master of a cluster is taken for moved as a whole, and when for what a failover has left of it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { replicationIdOf, SlotMoves } from "../../../src/engine/redis/slot-moves.ts";
import { createSystem } from "../../../src/system.ts";
import type { Redis } from "../../support/redis.ts";
import { startRedisCluster, type RedisCluster } from "../../support/redis-cluster.ts";
import { until } from "../../support/until.ts";

let cluster: RedisCluster;
beforeAll(async () => void (cluster = await startRedisCluster()));
afterAll(() => cluster[Symbol.asyncDispose]());

const infoOf = async (redis: Redis) =>
  (await redis.cli("info", "server")) + (await redis.cli("info", "replication"));

/** As a node that was last told `agoMs` ago that the first master has everything. */
async function knowing(agoMs: number) {
  const [first, second] = cluster.masters as [Redis, Redis];
  const system = createSystem();
  let ahead = 0;
  const clock = { ...system, elapsed: () => system.elapsed() + ahead };
  const moves = new SlotMoves({ timeoutMs: 1000, clock });
  const replicationId = replicationIdOf(await infoOf(first));
  moves.wasWholeAt(first.url, replicationId);
  ahead = agoMs;
  return { first, moves, replicationId, info: await infoOf(second) };
}

const uptimeOf = (info: string) => Number(/uptime_in_seconds:(\d+)/.exec(info)?.[1]);

test("moved: both masters have run all the while, and neither has taken the place of another one", async () => {
  await until("the masters have run for two seconds", async () => {
    const uptimes = await Promise.all(cluster.masters.map(infoOf));
    return uptimes.every((info) => uptimeOf(info) >= 2);
  });
  const { moves, replicationId, info } = await knowing(0);
  expect(replicationId).toMatch(/^[0-9a-f]{40}$/);
  expect(await moves.movedFrom(info)).toBe(replicationId);
});

test("not moved: it is where it was", async () => {
  const { moves, first } = await knowing(0);
  expect(await moves.movedFrom(await infoOf(first))).toBe("");
});

test("not known to be moved: a node that has never seen the data before", async () => {
  const { info } = await knowing(0);
  const moves = new SlotMoves({ timeoutMs: 1000, clock: createSystem() });
  expect(await moves.movedFrom(info)).toBe("");
});

test("not certain: the master that has it now may have restarted since", async () => {
  const { moves, info } = await knowing(3_600_000);
  expect(await moves.movedFrom(info)).toBe("");
});

test("not certain: the master that has it now was a replica once", async () => {
  const { moves, info } = await knowing(0);
  const promoted = info.replace(/master_replid2:0{40}/, `master_replid2:${"a1".repeat(20)}`);
  expect(promoted).not.toBe(info);
  expect(await moves.movedFrom(promoted)).toBe("");
});

test("not certain: the master that had it has restarted, or is gone", async () => {
  const { moves, first, info } = await knowing(0);
  await first.kill();
  expect(await moves.movedFrom(info)).toBe("");
  await first.start();
  await until("it is back in the cluster", async () =>
    (await first.cli("cluster", "info")).includes("cluster_state:ok"),
  );
  expect(await moves.movedFrom(info)).toBe("");
}, 20_000);
