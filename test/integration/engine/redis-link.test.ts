/** The connections of a node, where the network or a failover plays tricks on them. */
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "bun:test";
import type { RedisFault } from "../../../src/engine/redis/faults.ts";
import { createRedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import type { RedisLocation } from "../../../src/engine/redis/location.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { startRedis } from "../../support/redis.ts";
import { createTcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/until.ts";

function openNode(location: RedisLocation) {
  const system = createSystem();
  const faults: RedisFault["kind"][] = [];
  const engine = createRedisEngine(system, engineOptions, {
    locations: [location],
    clock: system,
    timeoutMs: 300,
    onUnavailable: ({ kind }) => void faults.push(kind),
  });
  return { engine, faults, [Symbol.asyncDispose]: () => engine.close() };
}

test("two connections that lead to different masters are noticed, and both are made anew", async () => {
  await using first = await startRedis(["--appendonly", "no"]);
  await using second = await startRedis(["--appendonly", "no"]);
  await using name = await createTcpProxy(new URL(first.url));
  await using node = openNode(name.http.replace("http:", "redis:"));
  await node.engine.opened();
  // Whoever connects now finds the other one; commands go on to the first, which lives.
  name.retarget(new URL(second.url));
  await first.cli("client", "kill", "type", "pubsub");
  await until("nothing arrives", () => node.faults.includes("silent"), 5000);
  await until("it is available again", () => node.engine.available(), 5000);
  const connected = async (redis: typeof first) =>
    (await redis.cli("client", "list")).split("\n").filter((line) => /resp=3/.test(line)).length;
  await until("both lead to the second", async () => (await connected(second)) === 2, 5000);
  expect(await connected(first)).toBe(0);
}, 30_000);

test("a host that takes connections and never answers is given up, and said to be silent", async () => {
  let connections = 0;
  const server = createServer(() => void (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await using node = openNode(`redis://127.0.0.1:${port}`);
  await until("it is said", () => node.faults.length > 0, 5000);
  expect(node.faults).toEqual(["silent"]);
  const before = connections;
  await until("it is tried again", () => connections > before, 5000);
  server.close();
}, 20_000);
