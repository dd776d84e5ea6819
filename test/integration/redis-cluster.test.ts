/** Nodes on a Redis Cluster whose slots move and whose masters die, under load. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { absentKey, defaultPrefix } from "../../src/engine/redis/keys.ts";
import { startRedis, untilReplicated } from "../support/redis.ts";
import { startServer } from "../support/server-process.ts";
import { startRedisCluster, type RedisCluster } from "../support/redis-cluster.ts";
import { expectAllSignals, expectBothToldOfTheirRoom, startLoad } from "../support/redis-load.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

/** Of the part of the lobby that all sessions are in. */
const key = absentKey(defaultPrefix);
const envOf = ({ urls }: RedisCluster) => ({
  REDIS_URL: urls,
  REDIS_CLUSTER: "true",
  REDIS_SHARDS: "1",
});

async function anotherThan(cluster: RedisCluster, owner: unknown) {
  const another = cluster.masters.find((master) => master !== owner && master.isRunning);
  if (!another) throw new Error("there is no other master");
  return another;
}

describe("a slot that moves to another master under load", () => {
  test("quickly, there and back: nothing is lost, nothing is done twice, and nobody is sent a resync", async () => {
    await using cluster = await startRedisCluster();
    await using load = await startLoad(envOf(cluster));
    await load.goesOn(10_000);
    const first = await cluster.ownerOf(key);
    const second = await anotherThan(cluster, first);
    for (const to of [second, first]) {
      const before = load.refusals;
      await cluster.moveSlot(key, to, () =>
        until(
          "calls are refused while half of the keys are moved, and both nodes have said why",
          () =>
            load.refusals > before &&
            load.nodes.every(({ output }) => output.includes('"fault":"resharding"')),
        ),
      );
      expect(await cluster.ownerOf(key)).toBe(to);
      await load.goesOn(5000);
      // Who has lost its keys has not been written to since.
      expect(await (to === first ? second : first).cli("dbsize")).toBe("0\n");
    }
    await load.stop();
    expect(load.wrongs).toEqual([]);
    await expectAllSignals(load);
    for (const peer of [load.alice, load.bob]) {
      expect(peer.types).not.toContain("resync");
      expect(peer.types).not.toContain("partner-disconnected");
      expect(peer.errors).toEqual([]);
    }
    for (const { output } of load.nodes) {
      expect(output).toContain('"fault":"resharding"');
      expect(output).not.toContain('"level":60');
      expect(output).not.toMatch(/bug/);
    }
  });

  test("for longer than every lease: the nodes begin anew, and nothing is lost", async () => {
    await using cluster = await startRedisCluster();
    await using load = await startLoad(envOf(cluster));
    await load.goesOn(10_000);
    const to = await anotherThan(cluster, await cluster.ownerOf(key));
    await cluster.moveSlot(key, to, () => Bun.sleep(7000));
    await load.goesOn(10_000);
    await load.stop();
    expect(load.wrongs).toEqual([]);
    await expectAllSignals(load);
    for (const peer of [load.alice, load.bob]) {
      expect(peer.types).not.toContain("partner-disconnected");
      expect(peer.errors).toEqual([]);
    }
  });
});

describe("a master that has the lobby", () => {
  test("and dies under load: its replica takes over, everybody is told where they stand, and all goes on", async () => {
    await using cluster = await startRedisCluster({ replicated: true });
    await using load = await startLoad(envOf(cluster), true);
    await load.goesOn(10_000);
    const owner = await cluster.ownerOf(key);
    const replica = cluster.replicas[cluster.masters.indexOf(owner)];
    if (!replica) throw new Error("each master has a replica");
    // Or the room could be among what is lost.
    await untilReplicated(owner, replica);
    await owner.kill();
    const killedAt = performance.now();
    await until(
      "another one has the slot",
      async () => (await cluster.ownerOf(key)) !== owner,
      20_000,
    );
    const promotedAt = performance.now();
    await until("both nodes are ready", () => load.areReady());
    console.log(
      `  promoted ${Math.round(promotedAt - killedAt)} ms after the kill, ready ${Math.round(performance.now() - promotedAt)} ms later`,
    );
    expect(performance.now() - promotedAt).toBeLessThan(5000);
    await expectBothToldOfTheirRoom(load);
    await load.goesOn(10_000);
    await load.stop();
    expect(load.wrongs).toEqual([]);
    for (const peer of [load.alice, load.bob]) {
      expect(peer.types).not.toContain("partner-disconnected");
      expect(peer.errors).toEqual([]);
    }
  });

  test("and is replaced by hand, with nothing to lose (CLUSTER FAILOVER): the same", async () => {
    await using cluster = await startRedisCluster({ replicated: true });
    await using load = await startLoad(envOf(cluster), true);
    await load.goesOn(10_000);
    const owner = await cluster.ownerOf(key);
    const replica = cluster.replicas[cluster.masters.indexOf(owner)];
    await replica?.cli("cluster", "failover");
    await until("the replica has the slot", async () => (await cluster.ownerOf(key)) === replica);
    await until("both nodes are ready", () => load.areReady(), 5000);
    await expectBothToldOfTheirRoom(load);
    await load.goesOn(10_000);
    await load.stop();
    expect(load.wrongs).toEqual([]);
  });
});

test("a node that takes a cluster for one Redis, or one Redis for a cluster, or finds slots without a master, says so", async () => {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startRedisCluster({ masterCount: 1 }));
  const redis = stack.use(await startRedis());
  const halved = stack.use(await startRedisCluster({ masterCount: 1 }));
  await halved.masters[0]?.cli("cluster", "delslotsrange", "0", "8191");
  const cases: [env: Record<string, string>, fault: string, level: number][] = [
    [{ REDIS_URL: cluster.urls }, "cluster", 50],
    [{ REDIS_URL: redis.url, REDIS_CLUSTER: "true" }, "cluster", 50],
    [envOf(halved), "cluster-down", 40],
  ];
  await Promise.all(
    cases.map(async ([env, fault, level]) => {
      const common = { SESSION_SECRET: "the same secret on every node" };
      const server = stack.use(await startServer({ ...common, ...env }, undefined, false));
      await until(`${fault}: it says why`, () => server.output.includes('"fault"'));
      const line = server.output.split("\n").find((text) => text.includes('"fault"')) ?? "";
      expect(JSON.parse(line)).toMatchObject({ fault, level, cure: expect.any(String) });
      expect((await fetch(`${server.origin}/readyz`)).status).toBe(503);
    }),
  );
});
