/** Facts and wants in Redis: the contract, many who wait, nodes with different declarations, and peers in different shards. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { createDimensions } from "../../../src/domain/facts.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import { createLobby } from "../../../src/app/peer-stream.ts";
import type { Caller } from "../../../src/engine/engine.ts";
import { createKeys, defaultPrefix } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { withShard } from "../../../src/engine/redis/shard-ids.ts";
import type { Facts, PeerEvent } from "../../../src/protocol.ts";
import type { Want } from "../../../src/domain/facts.ts";
import { createSystem } from "../../../src/system.ts";
import { accountVerbs } from "../../support/account-contract.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { everyEngine } from "../../support/engines.ts";
import { describeFacts, dimensions } from "../../support/facts-contract.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

// Some tests take a thousand round trips and more.
setDefaultTimeout(40_000);

const { "in Redis": open } = await everyEngine(1);
if (!open) throw new Error("there must be an engine in Redis");

describeFacts("in Redis", open);

test("places are given in turn, and taken again: those who were queued first are found first, wherever they are", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const prefix = "places:";
  const engines = enginesOn(redis, { prefix });
  const system = createVirtualSystem();
  const engine = engines.open(system, { ...engineOptions, dimensions });
  const { enter, leave } = accountVerbs(engine);
  const adult = { facts: { adult: true }, wants: [{ of: "gender", in: ["other"] }] };
  const misfit = { facts: { gender: "man" }, wants: [{ of: "gender", in: ["woman"] }] };
  const misfits: Caller[] = [];
  for (let n = 0; n < 40; n++) misfits.push(await enter(`misfit ${n}`, undefined, misfit));
  // More than there are places before they are taken again.
  for (let n = 0; n < 920; n++)
    await engine.enqueue(misfits[n % 40] as Caller, { ...defaultWishes, ...misfit });
  const waiting: Caller[] = [];
  for (let n = 0; n < 160; n++) {
    await system.advance(1000);
    waiting.push(await enter(`fits ${n}`, undefined, adult));
  }
  const picky = { facts: { gender: "other" }, wants: [{ of: "adult", is: true }] };
  await enter("picky", undefined, picky);
  const offered = async () =>
    (await engine.matchOptions("picky"))?.eligible.map(({ sessionId }) => sessionId);
  expect(await offered()).toEqual(["fits 0", "fits 1", "fits 2", "fits 3"]);
  // Some before and some after the turn.
  const taken = await redis.cli(
    "bitcount",
    createKeys(prefix).takenPlaces(`${dimensions.layout}:video:`),
  );
  expect(Number(taken)).toBe(201);
  for (const one of waiting.slice(0, 140)) await leave(one);
  expect(await offered()).toEqual(["fits 140", "fits 141", "fits 142", "fits 143"]);
  await engines.close();
});

test("a look reads a bounded number of those whom only their exact values tell from others, under however many terms", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis, { prefix: "bounded:" });
  const system = createVirtualSystem();
  const topics = Array.from({ length: 40 }, (_, n) => `topic ${n}`);
  const declared = createDimensions({ topics: { kind: "set", of: topics } });
  const { enter } = accountVerbs(engines.open(system, { ...engineOptions, dimensions: declared }));
  // Each in half of the terms, and no two alike.
  for (let n = 0; n < 400; n++)
    await enter(`states many, and wants what nobody states ${n}`, undefined, {
      facts: { topics: topics.slice(0, 32).filter((_, m) => (m * (n + 1)) % 31 < 15) },
      wants: [{ of: "topics", in: ["topic 39"] }],
    });
  await redis.cli("config", "resetstat");
  await enter("looks under many", undefined, {
    facts: { topics: topics.slice(0, 16) },
    wants: [{ of: "topics", in: topics.slice(16, 32) }],
  });
  const stats = await redis.cli("info", "commandstats");
  const reads = Number(/cmdstat_hmget:calls=(\d+)/.exec(stats)?.[1]);
  await engines.close();
  expect(reads).toBeGreaterThan(0);
  expect(reads).toBeLessThan(400);
}, 30_000);

test("nodes to which different dimensions are declared pair nobody against a hard want that either knows", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis, { prefix: "deploy:" });
  const system = createVirtualSystem();
  const declared = createDimensions({
    adult: { kind: "flag" },
    // As many bits, but of other values.
    region: { kind: "one", of: ["asia", "eu", "us"] },
    pets: { kind: "set", of: ["cat", "dog"] },
  });
  const [before, after, without] = [dimensions, declared, undefined].map((one) =>
    accountVerbs(engines.open(system, { ...engineOptions, dimensions: one })),
  );
  if (!before || !after || !without) throw new Error("there are three");
  const inEurope: Want = { of: "region", in: ["eu"] };
  const old = await before.enter("old", undefined, {
    facts: { region: "us", age: 30 },
    wants: [inEurope],
  });
  const candidates = async (facts: Facts, wants: Want[] = []) => {
    const id = `new ${JSON.stringify([facts, wants])}`;
    const caller = await after.enter(id, undefined, { facts, wants });
    const found = await after.candidatesOf(caller);
    const fromTheOther = (await before.candidatesOf(old))?.includes(id);
    await after.leave(caller);
    return [found, fromTheOther];
  };
  const [yes, no] = [
    [["old"], true],
    [[], false],
  ];
  expect(await candidates({ region: "eu" })).toEqual(yes);
  expect(await candidates({ region: "us" })).toEqual(no);
  expect(await candidates({ region: "eu" }, [{ of: "region", in: ["us"] }])).toEqual(yes);
  expect(await candidates({ region: "eu" }, [{ of: "region", in: ["asia"] }])).toEqual(no);
  expect(await candidates({ region: "eu" }, [{ of: "pets", in: ["cat"] }])).toEqual(no);
  expect(await candidates({ region: "eu" }, [{ of: "age", from: 30 }])).toEqual(yes);
  expect(await candidates({ region: "eu" }, [{ of: "age", from: 31 }])).toEqual(no);
  // A dimension that has become one of another kind.
  expect(await candidates({ region: "eu" }, [{ of: "age", in: ["30 to 40"] }])).toEqual(no);
  expect(await candidates({ region: "eu" }, [{ of: "age", is: true }])).toEqual(no);
  // Behind many that do not fit only those of the same declaration are found; each has places of its own.
  const misfit = { facts: { adult: false }, wants: [{ of: "adult", is: false }] };
  for (let n = 0; n < 60; n++)
    await (n % 2 > 0 ? before : after).enter(`misfit ${n}`, undefined, misfit);
  const isAdult = { facts: { adult: true }, wants: [{ of: "adult", is: true }] };
  await before.enter("rare before", undefined, isAdult);
  await after.enter("rare after", undefined, isAdult);
  const found = [];
  for (const node of [before, after])
    found.push(await node.candidatesOf(await node.enter("picky", undefined, isAdult)));
  expect(found).toEqual([["rare before"], ["rare after"]]);
  for (let n = 0; n < 60; n++) await without.leave({ sessionId: `misfit ${n}`, generation: 1 });
  for (const sessionId of ["rare before", "rare after", "picky"])
    await without.leave({ sessionId, generation: 2 });
  // What has been listed by one is taken from the lists by another one.
  await without.leave(old);
  expect((await redis.cli("--scan", "--pattern", "deploy:*}:f*")).trim()).toBe("");
  await engines.close();
});

/** A node on three Redis, each with an open shard, and peers of it that are born where one likes. */
async function startShards(use: AsyncDisposableStack, seekAfterMs: number) {
  const start = async () => use.use(await startRedis(["--appendonly", "no"]));
  const all = [await start(), await start(), await start()] as const;
  await all[0].cli("set", createKeys(defaultPrefix).openShards(), "3");
  const system = createSystem();
  const options = { locations: all.map(({ url }) => url), clock: system, leaseMs: 1200 };
  const engine = createRedisEngine(
    system,
    { ...engineOptions, dimensions },
    { ...options, seekAfterMs, closeBelow: 0 },
  );
  use.defer(() => engine.close());
  await engine.opened();
  await until("all shards answer", async () => {
    for (const shard of [0, 1, 2]) {
      const caller = { sessionId: withShard(system.id(), shard), generation: 1 };
      if ("rejected" in (await engine.status(caller))) return false;
    }
    return true;
  });
  const log = { debug() {}, info() {}, warn() {}, error() {}, bug: console.error };
  const ice = { stunUrls: [], turnUrls: [], turnTtlS: 300 };
  const { signaling } = createLobby({ engine, system, log, ice });
  /** Enters the lobby. Returns the rooms that it is told of. */
  async function enter(shard: number, facts: Facts, wants: readonly Want[]) {
    const rooms: string[] = [];
    const known = Promise.withResolvers<Caller>();
    const stream = signaling.events({
      known: undefined,
      newSessionId: withShard(system.id(), shard),
      graceMsMax: () => Number.POSITIVE_INFINITY,
      addressHash: "",
      account: undefined,
      lastEventId: undefined,
      onIdentified: known.resolve,
      deliver(delivery) {
        if (!("id" in delivery)) return;
        const event: PeerEvent<unknown> =
          "json" in delivery ? JSON.parse(delivery.json) : delivery.event;
        if (event.type === "create-offer" || event.type === "wait-for-offer")
          rooms.push(event.roomId);
      },
    });
    use.defer(() => stream.close());
    const asked = { ...defaultWishes, interests: [], languages: [], facts, wants };
    const answer = await signaling.join(await known.promise, asked);
    expect(answer).toEqual({ status: "waiting" });
    return rooms;
  }
  return { engine, enter };
}

const heartbeatMs = 200;
const moveMs = 3000;

test("two who fit nobody in their own shards meet within the bound, though these are full of others who wait", async () => {
  await using use = new AsyncDisposableStack();
  const seekAfterMs = 500;
  const { enter } = await startShards(use, seekAfterMs);
  const others: string[][] = [];
  for (let n = 0; n < 80; n++)
    others.push(await enter(1 + (n % 2), { gender: "man" }, [{ of: "gender", in: ["woman"] }]));
  const alice = await enter(1, { gender: "other" }, [{ of: "adult", is: true }]);
  const bob = await enter(2, { adult: true }, [{ of: "gender", in: ["other"] }]);
  const since = performance.now();
  await until("they meet", () => alice.length > 0 && bob.length > 0);
  expect(performance.now() - since).toBeLessThan(seekAfterMs + 2 * heartbeatMs + moveMs);
  expect(alice).toEqual(bob);
  expect(others.flat()).toEqual([]);
}, 60_000);

test("who accepts others in time accepts them also when it has been moved to another shard meanwhile", async () => {
  await using use = new AsyncDisposableStack();
  const { enter } = await startShards(use, 300);
  const softAfterMs = 2500;
  const alice = await enter(1, {}, [{ of: "adult", is: true, softAfterMs }]);
  const since = performance.now();
  const bob = await enter(2, { adult: false }, [{ of: "age", from: 30, softAfterMs: 1000 }]);
  await until("they meet", () => alice.length > 0 && bob.length > 0);
  expect(performance.now() - since).toBeWithin(softAfterMs - 100, softAfterMs + moveMs);
  expect(alice).toEqual(bob);
}, 60_000);
