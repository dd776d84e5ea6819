/** One lobby over three Redis: where sessions are born, how those meet who are in different shards, and what is lost with one of the Redis. */
import { expect, test } from "bun:test";
import { createRedisEngine, type RedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import type { RedisOptions } from "../../../src/engine/redis/redis-options.ts";
import {
  createKeys,
  defaultPrefix,
  layoutKey,
  versionedPrefix,
} from "../../../src/engine/redis/keys.ts";
import { startRedis, type Redis } from "../../support/redis.ts";
import { connectPeer, httpClient, startServer, type TestPeer } from "../../support/server.ts";
import { until } from "../../support/until.ts";

const keysOf = (shard: number) => createKeys(defaultPrefix, shard);
const seekAfterMs = 500;
/** Three shards are open as soon as somebody is there, and stay open. */
const alwaysOpen: Partial<RedisOptions> = { openAbove: 0, closeBelow: 0 };

async function startThree(use: AsyncDisposableStack): Promise<readonly [Redis, Redis, Redis]> {
  const start = async () => use.use(await startRedis());
  return [await start(), await start(), await start()];
}

/** A server of its own on all of them; it heartbeats five times a second. */
async function startNode(
  use: AsyncDisposableStack,
  all: readonly Redis[],
  options: Partial<RedisOptions> = {},
) {
  let engine: RedisEngine | undefined;
  const server = use.use(
    startServer({
      createEngine: (system, engineOptions) =>
        (engine = createRedisEngine(system, engineOptions, {
          locations: all.map(({ url }) => url),
          clock: system,
          leaseMs: 1200,
          seekAfterMs,
          ...options,
        })),
    }),
  );
  const opened = engine;
  if (!opened) throw new Error("a server has an engine");
  use.defer(() => opened.close());
  await until("the node is ready", () => opened.available());
  return { server, engine: opened };
}

const openShards = async ([first]: readonly Redis[]) =>
  Number(await first?.cli("get", keysOf(0).openShards()));

/** How many sessions with streams a shard has. */
const onlineIn = async (all: readonly Redis[], shard: number) =>
  Number(await all[shard]?.cli("scard", keysOf(shard).online()));

/** Connects peers until each shard has so many. */
async function connectEverywhere(
  use: AsyncDisposableStack,
  server: { ws: string },
  all: readonly Redis[],
  count: number,
): Promise<TestPeer[][]> {
  const countsOf = () => Promise.all([0, 1, 2].map((shard) => onlineIn(all, shard)));
  const sumOf = (counts: number[]) => counts.reduce((sum, online) => sum + online);
  let counts = await countsOf();
  /** Connects somebody, and waits until that one is counted. Returns where. */
  const connect = async (): Promise<[peer: TestPeer, shard: number]> => {
    const before = counts;
    const peer = use.use(await connectPeer(server));
    await until("a newcomer is counted", async () => {
      counts = await countsOf();
      return sumOf(counts) > sumOf(before);
    });
    return [peer, counts.findIndex((online, shard) => online > (before[shard] ?? 0))];
  };
  await connect();
  await until("three shards are open", async () => (await openShards(all)) === 3);
  const peers: TestPeer[][] = [[], [], []];
  while (peers.some((of) => of.length < count)) {
    const [peer, shard] = await connect();
    peers[shard]?.push(peer);
  }
  return peers;
}

/** The room that a peer was told of last, once it was told of one. */
async function roomOf(peer: TestPeer | undefined): Promise<string> {
  let roomId = "";
  await until("a peer is paired", () => {
    for (const { event } of peer?.told ?? [])
      if (event.type === "create-offer" || event.type === "wait-for-offer") roomId = event.roomId;
    return roomId !== "";
  });
  return roomId;
}

const join = (peer: TestPeer | undefined, mode: "video" | "audio" | "text" = "video") =>
  peer?.client.join.mutate({ mode, autoRejoin: true });

test("sessions are born in all open shards, and two who are alone in different ones meet within a bound", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  const { server } = await startNode(use, all, alwaysOpen);
  const [, ofOne, ofTwo] = await connectEverywhere(use, server, all, 2);
  const [alice, bob] = [ofOne?.[0], ofTwo?.[0]];
  if (!alice || !bob) throw new Error("somebody is born in each shard");
  expect(await join(alice)).toEqual({ status: "waiting" });
  expect(await join(bob)).toEqual({ status: "waiting" });
  const since = performance.now();
  const roomId = await roomOf(alice);
  // The bound: the ticket seeks at the first heartbeat after it has waited so long, and its stream is attached again.
  expect(performance.now() - since).toBeLessThan(seekAfterMs + 200 + 2000);
  await until("bob is in the same room", () =>
    bob.told.some(({ event }) => "roomId" in event && event.roomId === roomId),
  );
  expect(alice.types).toContain("resync");
  // Signals pass, and verbs over HTTP at another node find the session where it is now.
  expect(await alice.client.offer.mutate({ roomId, sdp: "v=0" })).toEqual({ delivered: true });
  expect(await bob.next("offer")).toMatchObject({ sdp: "v=0" });
  const other = await startNode(use, all, alwaysOpen);
  expect(await httpClient(other.server, alice.token).leave.mutate({})).toEqual({ status: "idle" });
  await bob.next("partner-disconnected");
  // Alice is idle and Bob waits again, who seeks in the first shard as soon as he has waited in vain.
  await until("one session is left in each of the two others", async () => {
    expect([await onlineIn(all, 1), await onlineIn(all, 2)]).toEqual([1, 1]);
    return true;
  });
}, 60_000);

test("a shard that closes loses nobody: who is in a room stays until it ends, and all others are found in what is open", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  await all[0].cli("set", keysOf(0).openShards(), "3");
  const first = await startNode(use, all, { closeBelow: 0, seekAfterMs: 60_000 });
  const [, , ofTwo] = await connectEverywhere(use, first.server, all, 4);
  const [alice, bob, carol, dave] = ofTwo ?? [];
  if (!alice || !bob || !carol || !dave) throw new Error("four are born in the third shard");
  // It may have taken some more until there were four in each.
  const counts = await Promise.all([0, 1, 2].map((shard) => onlineIn(all, shard)));
  const connected = counts.reduce((sum, online) => sum + online);
  await join(alice);
  expect(await join(bob)).toEqual({ status: "paired" });
  const roomId = await roomOf(bob);
  expect(await join(carol, "text")).toEqual({ status: "waiting" });
  // A second node that finds the lobby too empty for three shards.
  const second = await startNode(use, all, { seekAfterMs: 60_000 });
  await until("one shard is open", async () => (await openShards(all)) === 1);
  await until("only the room is left", async () => (await onlineIn(all, 2)) === 2);
  // What the room says still arrives.
  expect(await alice.client.offer.mutate({ roomId, sdp: "v=0" })).toEqual({ delivered: true });
  expect(await bob.next("offer")).toMatchObject({ sdp: "v=0" });
  // Carol waits where a newcomer is born, with the wishes that she had; Dave is idle, and joins like anybody.
  const erin = use.use(await connectPeer(second.server));
  await until(
    "erin and carol are paired",
    async () =>
      (await erin.client.join.mutate({ mode: "text" })).status === "paired" ||
      carol.types.includes("wait-for-offer") ||
      carol.types.includes("create-offer"),
  );
  expect(["waiting", "paired"]).toContain((await join(dave))?.status ?? "");
  await alice.client.leave.mutate({});
  await bob.client.leave.mutate({});
  await until(
    "the closed shards are empty",
    async () => (await onlineIn(all, 1)) + (await onlineIn(all, 2)) === 0,
  );
  // Whoever is on the way to another shard is counted in neither for a moment.
  await until("all of them and erin are online", async () => {
    const stats = await second.engine.stats();
    return "online" in stats && stats.online === connected + 1;
  });
}, 60_000);

test("one Redis is killed: the other shards do not notice, newcomers avoid it, and it comes back", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  const { server, engine } = await startNode(use, all, alwaysOpen);
  const peers = await connectEverywhere(use, server, all, 2);
  const rooms: { one: TestPeer; other: TestPeer; roomId: string }[] = [];
  for (const [one, other] of peers) {
    if (!one || !other) throw new Error("two are born in each shard");
    await join(one);
    expect(await join(other)).toEqual({ status: "paired" });
    const roomId = await roomOf(other);
    rooms.push({ one, other, roomId });
  }
  let said = 0;
  async function expectToReach({ one, other, roomId }: (typeof rooms)[number]) {
    const sdp = `v=${++said}`;
    expect(await one.client.offer.mutate({ roomId, sdp })).toEqual({ delivered: true });
    expect(await other.next("offer")).toMatchObject({ sdp });
  }
  for (const gone of [2, 0]) {
    await all[gone]?.kill();
    for (const [shard, room] of rooms.entries()) if (shard !== gone) await expectToReach(room);
    expect(engine.available()).toBe(true);
    const lost = rooms[gone];
    if (!lost) throw new Error("there is a room in each shard");
    const failed = await lost.one.client.offer
      .mutate({ roomId: lost.roomId, sdp: "v=0" })
      .catch((error: { data?: { reason?: string } }) => error.data?.reason);
    expect(failed).toBe("unavailable");
    for (let n = 0; n < 3; n++) use.use(await connectPeer(server));
    for (const [shard, room] of rooms.entries()) if (shard !== gone) await expectToReach(room);
    await all[gone]?.start();
    await until("somebody is born there again", async () => {
      use.use(await connectPeer(server));
      return (await onlineIn(all, gone)) > 0;
    });
    // The room is still there, and both are told how things are.
    await until("both have come back", () =>
      [lost.one, lost.other].every(({ types }) => types.includes("resync")),
    );
    await expectToReach(lost);
  }
}, 60_000);

test("each Redis carries its share, and knows only of its own sessions", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  const { server } = await startNode(use, all, alwaysOpen);
  const peers = await connectEverywhere(use, server, all, 6);
  const scripts = async (redis: Redis) =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.cli("info", "commandstats"))?.[1] ?? 0);
  for (const redis of all) await redis.cli("config", "resetstat");
  for (const of of peers)
    for (let n = 0; n + 1 < of.length; n += 2) {
      const [one, other] = [of[n], of[n + 1]];
      await join(one);
      expect(await join(other)).toEqual({ status: "paired" });
      const roomId = await roomOf(other);
      for (let signal = 0; signal < 20; signal++)
        expect(await one?.client.offer.mutate({ roomId, sdp: `v=${signal}` })).toEqual({
          delivered: true,
        });
    }
  const counts = await Promise.all(all.map(scripts));
  expect(Math.min(...counts)).toBeGreaterThan(40);
  expect(Math.max(...counts) / Math.min(...counts)).toBeLessThan(2);
  for (const [shard, redis] of all.entries()) {
    const keys = (await redis.cli("--scan")).split("\n").filter(Boolean);
    expect(keys.length).toBeGreaterThan(10);
    const own = versionedPrefix(defaultPrefix, shard);
    const others = keys.filter((key) => !key.startsWith(own) && key !== layoutKey(defaultPrefix));
    expect(others).toEqual([]);
  }
}, 60_000);
