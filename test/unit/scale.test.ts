/** The calculation and the simulations of `test/bench/scale.ts`. */
import { expect, test } from "bun:test";
import { capacityOf, type Costs, type Load } from "../bench/scale/capacity.ts";
import { simulateLobby, type LobbyLoad } from "../bench/scale/lobby.ts";
import { simulateQueue } from "../bench/scale/redis-queue.ts";

const costs: Costs = {
  signalUs: { sameNode: { nodes: 50, redis: 10 }, acrossNodes: { nodes: 70, redis: 15 } },
  pairing: { nodeUs: 300, redisUs: 200 },
  bytes: {
    idle: { redis: 1000, node: 9000 },
    waiting: { redis: 3000, node: 10_000 },
    busy: { redis: 30_000, node: 100_000 },
  },
  attaching: { nodeUs: 600, redisUs: 100 },
  pingUs: 20,
  idleNodeUs: 5000,
};
const load: Load = {
  peers: 1_000_000,
  callS: 60,
  signalsPerCall: 30,
  signalBytes: 400,
  redisShare: 0.5,
  nodeShare: 0.5,
  peersPerShard: 40_000,
  socketS: 600,
  pingEveryS: 5,
  heartbeatsPerS: 1,
  heartbeatUs: 150,
};

test("a million peers with calls of a minute are 8,333 pairings and 250,000 signals a second", () => {
  const need = capacityOf(load, costs);
  expect(Math.round(need.pairingsPerS)).toBe(8333);
  expect(Math.round(need.signalsPerS)).toBe(250_000);
  expect(need.shards).toBe(25);
  // 250,000 × 70 µs + 8,333 × 300 µs, at half a core each; a few partners are on one node. Beside them 1,667 × 600 µs for those who
  // connect, 200,000 × 20 µs for pings, and 5 ms for each node.
  expect(need.nodeCores).toBeWithin(24.7, 25.3);
  expect(need.nodes).toBe(Math.ceil(need.nodeCores / 0.5));
  expect(need.first.share).toBeLessThanOrEqual(1);
  // Everybody is busy.
  expect(need.redisGiB).toBeCloseTo((1_000_000 * 30_000) / 2 ** 30);
  expect(need.nodeGiB).toBeCloseTo((1_000_000 * 100_000) / 2 ** 30);
  expect(need.shardGiB).toBeCloseTo(need.redisGiB / 25);
});

test("what is needed grows with the peers, and one of anything is enough for a few", () => {
  const few = capacityOf({ ...load, peers: 100 }, costs);
  expect(few).toMatchObject({ nodes: 1, shards: 1 });
  const twice = capacityOf({ ...load, peers: 2 * load.peers }, costs);
  const once = capacityOf(load, costs);
  expect(twice.redisCores / once.redisCores).toBeWithin(1.95, 2.2);
});

test("a script waits longer in a Redis that is busier, and not at all in one that is idle", () => {
  const queue = { nodes: 4, batchMs: 8, scriptsPerPairing: 4, seconds: 5, seed: 1 };
  const idle = simulateQueue({ ...queue, pairingsPerS: 1, signalsPerS: 1 }, costs);
  const busy = simulateQueue({ ...queue, pairingsPerS: 1000, signalsPerS: 30_000 }, costs);
  expect(idle.busy).toBeLessThan(0.01);
  // 1,000 × 200 µs + 30,000 × about 14 µs.
  expect(busy.busy).toBeWithin(0.58, 0.67);
  expect(busy.p99).toBeGreaterThan(idle.p99);
  expect(simulateQueue({ ...queue, pairingsPerS: 1000, signalsPerS: 30_000 }, costs)).toEqual(busy);
});

const day: LobbyLoad = {
  peers: 4000,
  quiet: 0.05,
  seconds: 300,
  callS: 20,
  staying: 0.8,
  modes: { video: 0.95, text: 0.049, audio: 0.001 },
  shards: 5,
  openAbove: 1000,
  closeBelow: 625,
  heartbeatS: 1,
  seekAfterS: 8,
  outage: undefined,
  seed: 1,
};

test("through a day of a lobby everybody is somewhere, shards open and close, and nobody waits who has somebody", () => {
  const report = simulateLobby(day);
  expect(report.born).toBe(report.gone + report.online);
  expect(report.openMost).toBeGreaterThanOrEqual(4);
  expect(report.openLast).toBeLessThanOrEqual(2);
  expect(report.largest).toBeLessThan(1.3 * day.openAbove);
  // Those who seek meet: the bound is a heartbeat after the seeking, if there is anybody.
  expect(report.waits["text"]?.longest).toBeLessThan(day.seekAfterS + 2);
  expect(simulateLobby(day)).toEqual(report);
});

test("while one Redis is gone the others pair as before", () => {
  const outage = { shard: 1, fromS: 140, toS: 170 };
  const [without, within] = [simulateLobby(day), simulateLobby({ ...day, outage })];
  expect(within.born).toBe(within.gone + within.online);
  expect(within.waits["video"]?.p99).toBeLessThan(2 * (without.waits["video"]?.p99 ?? 0) + 0.1);
  expect(within.pairings).toBeGreaterThan(0.8 * without.pairings);
});
