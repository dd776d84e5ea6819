import { expect, test } from "bun:test";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import { isRejection } from "../../../src/domain/rejection.ts";
import { createLobby } from "../../../src/app/peer-stream.ts";
import type { Policy } from "../../../src/domain/matchmaker.ts";
import type { Caller, Engine, Stream } from "../../../src/engine/engine.ts";
import { createRedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import type { RedisOptions } from "../../../src/engine/redis/redis-options.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { everyEngine } from "../../support/engines.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { createTcpProxy } from "../../support/tcp-proxy.ts";
import { createVirtualSystem, type VirtualSystem } from "../../support/virtual-system.ts";
import { dimensions } from "../../support/facts-contract.ts";
import { describeEngine } from "../../support/engine-contract.ts";
import { expectForgottenToBeAttributed } from "../../support/forgotten.ts";
import { describeProperties } from "../../support/engine-properties.ts";
import { offerNamed } from "../../support/standby-contract.ts";
import { until } from "../../support/until.ts";

/** A history takes a thousand round trips and more. */
const runs = Number(process.env["REDIS_HISTORIES"] ?? 150);

const { "in Redis": open } = await everyEngine(1);
if (!open) throw new Error("there must be an engine in Redis");

describeEngine("in Redis", open);
describeProperties("in Redis", open, runs);

/** The members of the room `room`, who do not rejoin. Returns their streams. */
async function pairAliceAndBob(engine: Engine): Promise<Stream[]> {
  const streams: Stream[] = [];
  for (const sessionId of ["alice", "bob"]) {
    const attached = await engine.attach({ sessionId, generation: 0, addressHash: "", wake() {} });
    if (isRejection(attached)) throw new Error(attached.reason);
    streams.push(attached.stream);
    const wishes = { ...defaultWishes, autoRejoin: false };
    await engine.enqueue({ sessionId, generation: 1 }, wishes);
  }
  const offer = await engine.matchOptions("bob");
  const [polite] = offer?.eligible ?? [];
  if (!offer || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: offer.ticket, polite })).toBe(true);
  return streams;
}

test("a signal is one round trip to Redis, its acknowledgement and its way to the partner included", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  const engine = engines.open(createVirtualSystem(), engineOptions);
  const [ofAlice] = await pairAliceAndBob(engine);
  const callsOf = async (command: string) =>
    Number(
      new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(
        await redis.cli("info", "commandstats"),
      )?.[1] ?? 0,
    );
  const signal = JSON.stringify({ type: "offer", roomId: "room", sdp: "v=0" });
  const send = async () =>
    isRejection(await engine.send({ sessionId: "bob", generation: 1 }, "room", signal));
  // The first one brings the script along.
  expect(await send()).toBe(false);
  await redis.cli("config", "resetstat");
  for (let n = 0; n < 50; n++) expect(await send()).toBe(false);
  const told = ofAlice && (await engine.read(ofAlice, 0));
  if (!Array.isArray(told)) throw new Error("alice must be able to read");
  expect(told.filter(({ json }) => json === signal)).toHaveLength(51);
  expect(await callsOf("evalsha")).toBe(50);
  expect(await callsOf("eval")).toBe(0);
  await engines.close();
});

test("signals of a few milliseconds are one script, in order, and no later call overtakes them", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis, { batchMs: 50 });
  const engine = engines.open(createVirtualSystem(), engineOptions);
  const [ofAlice] = await pairAliceAndBob(engine);
  const bob = { sessionId: "bob", generation: 1 };
  const sdpOf = (n: number) => JSON.stringify({ type: "offer", roomId: "room", sdp: `${n}` });
  const send = (n: number, room = "room") =>
    engine.send({ ...bob, mutationId: `offer ${n}` }, room, sdpOf(n));
  expect(await send(0)).toBe(true);
  await redis.cli("config", "resetstat");
  const numbers = Array.from({ length: 150 }, (_, n) => n + 1);
  const [outcomes, elsewhere, again] = await Promise.all([
    Promise.all(numbers.map((n) => send(n))),
    send(1000, "another room"),
    send(1),
  ]);
  expect(outcomes).toEqual(numbers.map(() => true));
  expect(elsewhere).toMatchObject({ reason: "not-in-room" });
  expect(again).toBe(true);
  const stats = await redis.cli("info", "commandstats");
  // Two scripts for 152 signals, as one holds 128; and a look whether the other room is a past one.
  expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])).toBe(3);
  const [, left] = await Promise.all([send(151), engine.end(bob, { ending: "leave" })]);
  expect(left).toMatchObject({ status: "idle" });
  const told = ofAlice && (await engine.read(ofAlice, 0));
  if (!Array.isArray(told)) throw new Error("alice must be able to read");
  const texts = told.map(({ json }) => json);
  expect(texts.filter((text) => text.includes('"sdp"'))).toEqual([0, ...numbers, 151].map(sdpOf));
  expect(texts.at(-1)).toContain("partner-disconnected");
  await engines.close();
});

test.each([
  ["of anonymous peers", { accountOf: () => undefined, declared: undefined }],
  [
    "of accounts, whose intents are counted in them",
    { accountOf: (sessionId: string) => `account of ${sessionId}`, declared: undefined },
  ],
  ["of peers with facts and wants", { accountOf: () => undefined, declared: dimensions }],
] as const)(
  "a join that waits takes one round to Redis, one that pairs two, a skip one: %s",
  async (_, { accountOf, declared }) => {
    await using redis = await startRedis(["--appendonly", "no"]);
    const engines = enginesOn(redis);
    const system = createVirtualSystem();
    const engine = engines.open(system, {
      ...engineOptions,
      intents: { perS: 1, burst: 5 },
      dimensions: declared,
    });
    const log = { debug() {}, info() {}, warn() {}, error() {}, bug: console.error };
    const ice = { stunUrls: [], turnUrls: [], turnTtlS: 300 };
    const { signaling } = createLobby({ engine, system, log, ice });
    const callers: Caller[] = [];
    for (const sessionId of ["alice", "bob", "carol", "dave"]) {
      const account = accountOf(sessionId);
      const request = { sessionId, account, generation: 0, addressHash: "", wake() {} };
      const attached = await engine.attach(request);
      if (isRejection(attached)) throw new Error(attached.reason);
      callers.push({ sessionId, generation: attached.stream.generation });
    }
    const [alice, bob, carol, dave] = callers as [Caller, Caller, Caller, Caller];
    let mutations = 0;
    /** How many scripts a call runs one after the other. */
    async function roundsOf(caller: Caller, status: string, call: "join" | "skip") {
      await redis.cli("config", "resetstat");
      const as = { ...caller, mutationId: `id ${mutations++}` };
      const stated = {
        facts: { adult: true, topics: ["jazz"] },
        wants: [{ of: "adult", is: true }],
      };
      const wishes = { ...defaultWishes, interests: [], languages: [], ...(declared && stated) };
      const make = () => (call === "join" ? signaling.join(as, wishes) : signaling.skip(as));
      const answered = await make();
      const stats = await redis.cli("info", "commandstats");
      expect(answered).toEqual({ status } as never);
      // The same call again says the same: a result is recorded in the step in which two are paired.
      expect(await make()).toEqual(answered);
      const calls = (command: string) =>
        Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
      return calls("evalsha") + calls("eval");
    }
    // The first ones bring the scripts along.
    await roundsOf(alice, "waiting", "join");
    await roundsOf(bob, "paired", "join");
    expect(await roundsOf(carol, "waiting", "join")).toBe(1);
    expect(await roundsOf(dave, "paired", "join")).toBe(2);
    // Both look for another partner, and find none.
    expect(await roundsOf(dave, "waiting", "skip")).toBe(1);
    await engines.close();
  },
);

test("a standing offer is one round, is read by no look, and a pairing that has one takes no further round", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  const system = createVirtualSystem();
  const engine = engines.open(system, { ...engineOptions, skipCooldownMs: 0 });
  const log = { debug() {}, info() {}, warn() {}, error() {}, bug: console.error };
  const ice = { stunUrls: [], turnUrls: [], turnTtlS: 300 };
  // Whoever is chosen, several were on offer.
  const policy: Policy = (_, eligible) => (eligible.length < 3 ? undefined : eligible[0]);
  const { signaling } = createLobby({ engine, system, policy, log, ice });
  const wishes = { ...defaultWishes, interests: [], languages: [] };
  const stats = async () => {
    const text = await redis.cli("info", "commandstats");
    const calls = (command: string) =>
      Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(text)?.[1] ?? 0);
    return { rounds: calls("evalsha") + calls("eval"), offersRead: calls("get") };
  };
  for (const loaded of [false, true])
    for (let n = 0; n < 4; n++) {
      const sessionId = `${loaded} ${n}`;
      const attached = await engine.attach({
        sessionId,
        generation: 0,
        addressHash: "",
        wake() {},
      });
      if (isRejection(attached)) throw new Error(attached.reason);
      const caller = { sessionId, generation: attached.stream.generation };
      await redis.cli("config", "resetstat");
      const status = n < 3 ? "waiting" : "paired";
      expect(await signaling.join(caller, wishes)).toEqual({ status });
      // The first ones bring the scripts along.
      if (loaded)
        expect(await stats()).toEqual({ rounds: n < 3 ? 1 : 2, offersRead: n < 3 ? 0 : 1 });
      await redis.cli("config", "resetstat");
      const offer = offerNamed(sessionId, 40_960);
      const kept = n < 3;
      expect(await signaling.standby(caller, offer)).toEqual({ kept });
      if (loaded) expect(await stats()).toEqual({ rounds: 1, offersRead: 0 });
      if (n === 3 && !loaded)
        for (let other = 0; other < 4; other++)
          await engine.end({ sessionId: `${loaded} ${other}`, generation: 1 }, { ending: "leave" });
    }
  await engines.close();
});

test("A16 a report about a session that was forgotten counts against that session, and against no address", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  await expectForgottenToBeAttributed(engines.open, async () => {
    // What its expiry does: that goes by Redis' own clock.
    const keys = (await redis.cli("keys", "*s:bob")).split("\n").filter(Boolean);
    expect(keys).not.toBeEmpty();
    await redis.cli("del", ...keys);
  });
  await engines.close();
});

/** Two sessions of one address that meet, one of which blocks the other, and both go for good. */
async function blockAndGo(
  engine: Engine,
  system: VirtualSystem,
  [one, other]: [string, string],
  addressHash: string,
) {
  const streams: Stream[] = [];
  for (const sessionId of [one, other]) {
    const attached = await engine.attach({ sessionId, generation: 0, addressHash, wake() {} });
    if (isRejection(attached)) throw new Error(attached.reason);
    streams.push(attached.stream);
    await engine.enqueue({ sessionId, generation: 1 }, defaultWishes);
  }
  const offer = await engine.matchOptions(other);
  const [polite] = offer?.eligible ?? [];
  if (!offer || !polite) throw new Error("they must be on offer to each other");
  const terms = { roomId: `of ${one}`, relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: offer.ticket, polite })).toBe(true);
  await engine.avoid({ sessionId: one, generation: 1 }, `of ${one}`);
  await engine.end({ sessionId: one, generation: 1 }, { ending: "block" });
  for (const sessionId of [one, other])
    await engine.end({ sessionId, generation: 1 }, { ending: "leave" });
  for (const stream of streams) await engine.detach(stream);
  await system.advance(engineOptions.graceMs + 1000);
  await engine.sweep();
}

test("A2, A12 a block is kept in Redis as long as a token lives, within bounds by number and by address", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  const system = createVirtualSystem();
  const blocks = { blockersMax: 4, blockersPerAddressMax: 2 };
  const engine = engines.open(system, { ...engineOptions, blocks });
  const dayS = 86_400;
  const lifeS = async (sessionId: string) => {
    const keys = (await redis.cli("keys", `*:[sv]:${sessionId}`)).split("\n").filter(Boolean);
    return Promise.all(keys.map(async (key) => Number(await redis.cli("ttl", key))));
  };
  const isKept = async (sessionId: string) =>
    (await lifeS(sessionId)).every((seconds) => seconds > 6.9 * dayS);

  await blockAndGo(engine, system, ["alice", "bob"], "a household");
  expect(await lifeS("alice")).toHaveLength(2);
  expect(await isKept("alice")).toBe(true);
  // Whoever was only blocked is remembered as any other: the word is the blocker's.
  expect(Math.max(...(await lifeS("bob")))).toBeLessThanOrEqual(600);

  for (const n of [0, 1, 2])
    await blockAndGo(engine, system, [`flood ${n}`, `x ${n}`], "a flooder");
  expect(await Promise.all([0, 1, 2].map((n) => isKept(`flood ${n}`)))).toEqual([
    false,
    true,
    true,
  ]);
  expect(await isKept("alice")).toBe(true);
  for (const n of [0, 1]) await blockAndGo(engine, system, [`anybody ${n}`, `y ${n}`], `home ${n}`);
  expect(await isKept("anybody 1")).toBe(true);
  expect(await isKept("alice")).toBe(false);
  await engines.close();
});

test("A9 votes that do not count are not written, and those that do push no suspension out for a new node", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis, { prefix: "one-site:" });
  const system = createVirtualSystem();
  const engine = engines.open(system, engineOptions);
  const until = system.now() + 86_400_000;
  await engine.suspend({ kind: "session", id: "mallory" }, until);
  await engine.suspend({ kind: "session", id: "lifted" }, until);
  expect(await engine.lift({ kind: "session", id: "lifted" })).toBe(true);
  await engine.suspend({ kind: "session", id: "over" }, system.now() + 1);

  for (const sessionId of ["alice", "bob"]) {
    const address = `${sessionId}'s home`;
    await engine.attach({ sessionId, generation: 0, addressHash: address, wake() {} });
    await engine.enqueue({ sessionId, generation: 1 }, defaultWishes);
  }
  const offer = await engine.matchOptions("bob");
  const [polite] = offer?.eligible ?? [];
  if (!offer || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  await engine.pair({ ...terms, impolite: offer.ticket, polite });
  const words = async () => Number(await redis.cli("xlen", "one-site:2:{0}:mod"));
  const before = await words();
  const report = () => engine.report({ sessionId: "alice", generation: 1 }, "room");
  expect(await report()).toMatchObject({ first: true, counted: false });
  expect(await words()).toBe(before);
  await system.advance(5000);
  for (let n = 0; n < 20; n++) expect(await report()).toMatchObject({ first: false });
  expect(await words()).toBe(before);

  // As if a flood of votes had pushed all older words out.
  await redis.cli("xtrim", "one-site:2:{0}:mod", "maxlen", "0");
  const another = engines.open(system, engineOptions);
  // Asks Redis, so it waits until the node is there.
  await another.stats();
  const known = await another.suspensions();
  if (isRejection(known)) throw new Error(known.reason);
  expect(known.map(({ subject, by }) => [subject.id, by])).toEqual([["mallory", "operator"]]);
  expect(await redis.cli("hkeys", "one-site:2:{0}:suspended")).toBe("session mallory\n");
  await engines.close();
});

/** A node of its own in real time, with its line to Redis. */
async function nodeBehind(line: { http: string }, options: Partial<RedisOptions> = {}) {
  const system = createSystem();
  const engine = createRedisEngine(system, engineOptions, {
    locations: [line.http.replace("http:", "redis:")],
    clock: system,
    timeoutMs: 300,
    leaseMs: 1200,
    ...options,
  });
  await engine.opened();
  return engine;
}

test("A4, D14 the sockets of an address are those that are open, whatever was lost on the way to Redis", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  await using line = await createTcpProxy(new URL(redis.url));
  const engine = await nodeBehind(line);
  const another = await nodeBehind({ http: redis.url });
  const max = 12;
  const admit = (on = engine) => on.addresses.admit("an address", 0, max);
  const counts = async () =>
    (
      await redis.cli(
        "eval",
        "local t = {} for _, k in ipairs(redis.call('keys', '*sockets:*')) do for _, v in ipairs(redis.call('hvals', k)) do t[#t + 1] = v end end return table.concat(t, ' ')",
        "0",
      )
    ).trim();
  const held: { release: () => void }[] = [];
  const take = async (count: number, on = engine) => {
    for (let n = 0; n < count; n++) {
      const admitted = await admit(on);
      if (admitted.kind !== "admitted") throw new Error(`refused: ${admitted.kind}`);
      held.push(admitted);
    }
  };

  for (let times = 0; times < 2; times++) {
    await take(max);
    expect(await admit()).toEqual({ kind: "crowded" });
    expect(await admit(another)).toEqual({ kind: "crowded" });
    line.refuse(true);
    line.cut();
    await until("the node knows that Redis is away", () => !engine.available());
    // All close while nobody can be told.
    for (const { release } of held.splice(0)) release();
    // One opens: whom nobody can count is let in, and is counted when Redis is back.
    await take(1);
    line.refuse(false);
    await until("Redis is back", () => engine.available());
    await until("the counts are right", async () => (await counts()) === "1");
    await take(max - 1, another);
    expect(await admit()).toEqual({ kind: "crowded" });
    for (const { release } of held.splice(0)) release();
    await until("nothing is open", async () => (await counts()) === "");
    // Where nothing is open nothing is kept.
    expect(await redis.cli("keys", "*sockets:*")).toBe("\n");
  }

  // An answer that never comes: nobody knows whether it was counted.
  line.freeze();
  const lost = await admit();
  if (lost.kind !== "admitted") throw new Error("it must be let in");
  lost.release();
  line.thaw();
  await until("Redis is back", () => engine.available());
  await until("nothing is open", async () => (await counts()) === "");

  // Redis forgets everything; what is open is counted again.
  await take(5);
  await redis.cli("flushall");
  const leases = async () =>
    (await redis.cli("eval", "return #redis.call('keys', '*:node:*')", "0")).trim();
  // Until then a node lets everybody in, as it can't count.
  await until(
    "both nodes have registered again",
    async () => (await leases()) === "2" && engine.available() && another.available(),
  );
  await until("the counts are back", async () => (await counts()) === "5");
  await take(max - 5);
  expect(await admit(another)).toEqual({ kind: "crowded" });
  await engine.close();
  // What a node leaves that dies counts for nobody once its lease has ended.
  await until("the lease has ended", async () => (await admit(another)).kind === "admitted");
  await another.close();
}, 60_000);

test("two who avoid each other for a while look again when that is over, also if the node has died that awaited it", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const skipCooldownMs = 2500;
  const open = async () => {
    const engine = createRedisEngine(
      createSystem(),
      { ...engineOptions, skipCooldownMs },
      { locations: [redis.url], clock: createSystem(), leaseMs: 1200 },
    );
    await engine.opened();
    return engine;
  };
  const [first, second] = [await open(), await open()];
  for (const sessionId of ["alice", "bob"]) {
    await second.attach({ sessionId, generation: 0, addressHash: "", wake() {} });
    await second.enqueue({ sessionId, generation: 1 }, defaultWishes);
  }
  const found = await second.matchOptions("bob");
  const [polite] = found?.eligible ?? [];
  if (!found || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await second.pair({ ...terms, impolite: found.ticket, polite })).toBe(true);
  // As over HTTP: the node that ends the room has neither's stream.
  await first.end({ sessionId: "alice", generation: 1 }, { ending: "skip" });
  const over = second.now() + skipCooldownMs;
  await first.close();
  expect((await second.matchOptions("alice"))?.eligible).toEqual([]);
  await until("they look again", async () => {
    const { newlyWaiting } = await second.sweep();
    return second.now() >= over && newlyWaiting.includes("alice");
  });
  expect((await second.matchOptions("alice"))?.eligible).toHaveLength(1);
  await second.close();
}, 30_000);

test("whom one node disconnects, each node is told to disconnect, whatever the account is called", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis, { prefix: "one-site:" });
  const system = createVirtualSystem();
  const nodes = [engines.open(system, engineOptions), engines.open(system, engineOptions)];
  const told: unknown[] = [];
  for (const [index, node] of nodes.entries()) {
    await until(`node ${index} is available`, () => node.available());
    node.onDisconnect((subject) => void told.push([index, subject]));
  }
  const subject = { kind: "account", id: "of two\nlines, and ünïcode" } as const;
  expect(await nodes[0]?.disconnect(subject)).toBeUndefined();
  await until("both are told", () => told.length >= 2);
  expect(told.toSorted()).toEqual([
    [0, subject],
    [1, subject],
  ]);
}, 20_000);
