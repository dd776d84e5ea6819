/** What is left in Redis when everybody has gone: nothing but what is meant to last, and what expires within a quarter of an hour. */
import { expect, test } from "bun:test";
import { lifecycleTypes } from "../../../src/domain/lifecycle.ts";
import { isRejection } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Engine, Stream } from "../../../src/engine/engine.ts";
import { createKeys, layoutKey, type Keys } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { createSystem, steadyClock } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { dimensions } from "../../support/facts-contract.ts";
import { enginesOn, startRedis, type Redis } from "../../support/redis.ts";
import { offerNamed } from "../../support/standby-contract.ts";
import { until } from "../../support/until.ts";
import { createVirtualSystem, type VirtualSystem } from "../../support/virtual-system.ts";

const quarterHourMs = 15 * 60_000;
const tokenLifeMs = 7 * 24 * 3_600_000;

/** How long a key may be there after everybody has gone (milliseconds); `lasts` with what bounds it; a channel is no key. */
const lives = {
  session: quarterHourMs,
  accountSessions: 0,
  log: quarterHourMs,
  results: quarterHourMs,
  avoidances: quarterHourMs,
  standingOffer: 0,
  standingBytes: 0,
  rooms: 0,
  online: 0,
  lobby: 0,
  lobbyCounts: 0,
  term: 0,
  places: 0,
  takenPlaces: 0,
  factBits: 0,
  termPlaces: 0,
  fitting: 0,
  due: 0,
  node: quarterHourMs,
  // The node that was the last one; it is removed by the next.
  nodes: "lasts",
  // One entry for each node, without those that are gone.
  loads: "lasts",
  nodeSessions: 0,
  takeOverLock: quarterHourMs,
  sockets: quarterHourMs,
  handshakes: quarterHourMs,
  // About 100,000 entries.
  moderationLog: "lasts",
  // A week after the last report.
  notedReports: tokenLifeMs,
  untoldVerdicts: 0,
  // Empty, with the id of the last one.
  lifecycle: "lasts",
  lifecycleLost: 0,
  lifecycleReader: quarterHourMs,
  // As many as are kept of suspensions.
  suspensions: "lasts",
  // As long as the operator has set, and so many.
  decisions: "lasts",
  cases: "lasts",
  // With the sessions that they name: as many as `BlockLimits` says.
  blockers: tokenLifeMs,
  blockersAt: tokenLifeMs,
  moved: tokenLifeMs,
  // The longest CHALLENGE_PASS_MS.
  mark: 86_400_000,
  // One for each secret.
  addressKeys: "lasts",
  // A number each.
  openShards: "lasts",
  dataEpoch: "lasts",
  history: "lasts",
  nodeChannel: "channel",
  allNodes: "channel",
} as const satisfies Record<keyof Keys, number | "lasts" | "channel">;

async function attach(engine: Engine, sessionId: string, account?: string): Promise<Stream> {
  const addressHash = `network of ${sessionId}`;
  const attached = await engine.attach({
    sessionId,
    account,
    generation: 0,
    addressHash,
    wake() {},
  });
  if (isRejection(attached)) throw new Error(attached.reason);
  return attached.stream;
}

/** Two sessions in a room, each with a stream on an engine of its own, and a signal that nobody has read. */
async function meet(roomId: string, one: [Engine, string], other: [Engine, string]) {
  const wishes = { ...defaultWishes, interests: [roomId] };
  for (const [engine, sessionId] of [one, other]) {
    await attach(engine, sessionId);
    await engine.enqueue({ sessionId, generation: 1 }, wishes);
  }
  const [engine, sessionId] = other;
  const found = await engine.matchOptions(sessionId);
  const polite = found?.eligible.find((ticket) => ticket.sessionId === one[1]);
  if (!found || !polite) throw new Error(`${one[1]} must be on offer`);
  const terms = { roomId, relayOnly: false, sharedInterests: [roomId] };
  expect(await engine.pair({ ...terms, impolite: found.ticket, polite })).toBe(true);
  const caller = { sessionId, generation: 1, mutationId: "signal" };
  expect(await engine.send(caller, roomId, '{"type":"offer"}')).toBe(true);
}

/** A node dies with sessions in every state, the first sockets that it has admitted, and nothing said. */
async function nodeThatDies(redis: Redis, system: VirtualSystem, prefix: string, other: Engine) {
  const doomed = createRedisEngine(system, engineOptions, {
    locations: [redis.url],
    prefix,
    deadlineClock: steadyClock(system),
    leaseMs: 3000,
    clock: createSystem(),
  });
  await doomed.opened();
  await meet("across both", [doomed, "dies with a partner elsewhere"], [other, "stays"]);
  await meet("on one", [doomed, "dies with its partner"], [doomed, "dies as well"]);
  await attach(doomed, "has streams on both");
  await attach(other, "has streams on both");
  await doomed.detach(await attach(doomed, "is absent already"));
  await attach(doomed, "waits", "account of the dead");
  const wishes = { ...defaultWishes, lobby: "rome" };
  const waiting = { sessionId: "waits", generation: 1 };
  await doomed.enqueue(waiting, wishes);
  expect(await doomed.standby(waiting, offerNamed("waits"))).toEqual({ kept: true });
  expect(await doomed.addresses.admit("an address", 60, 5)).toMatchObject({ kind: "admitted" });
  await doomed.close();
  const keys = createKeys(prefix);
  await until("the other node has taken over", async () => {
    const nodes = (await redis.cli("zrange", keys.nodes(), "0", "-1")).trim().split("\n");
    const held = (await redis.cli("--scan", "--pattern", keys.nodeSessions("*"))).trim();
    return nodes.length === 1 && held === keys.nodeSessions(nodes[0] ?? "");
  });
}

test("when everybody has gone nothing stays in Redis but what is meant to last", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const prefix = "leftovers:";
  const engines = enginesOn(redis, { prefix, secrets: ["a secret"], leaseMs: 6000 });
  const system = createVirtualSystem();
  const engine = engines.open(system, {
    ...engineOptions,
    moderation: { ...engineOptions.moderation, voteAfterMs: 0 },
    lifecycle: lifecycleTypes,
    dimensions,
  });
  let told = 0;
  engine.onLifecycle(() => void (told += 1));
  const streams: Stream[] = [];
  const modes = ["video", "audio", "text"] as const;
  const count = 24;
  for (let n = 0; n < count; n++) {
    const sessionId = `peer ${n}`;
    // Half of them have an account, each with several sessions.
    const stream = await attach(engine, sessionId, n % 4 < 2 ? `account ${n % 8}` : undefined);
    streams.push(stream);
    const mode = modes[n % 3] ?? "video";
    const lobby = mode === "text" ? { lobby: "berlin" } : {};
    const facts = { age: 20 + n, topics: ["jazz"], adult: n % 2 > 0 };
    const wants = [{ of: "age", from: 19 }];
    const interests = [`interest ${n % 4}`, "jazz"];
    const wishes = { ...defaultWishes, mode, interests, facts, wants, ...lobby };
    const caller = { sessionId, generation: 1, mutationId: "join" };
    await engine.enqueue(caller, wishes);
    await engine.standby(caller, offerNamed(sessionId));
    const found = await engine.matchOptions(sessionId);
    const [polite] = found?.eligible ?? [];
    if (!found || !polite) continue;
    const roomId = `room ${n}`;
    const terms = { roomId, relayOnly: false, sharedInterests: [] };
    expect(await engine.pair({ ...terms, impolite: found.ticket, polite, caller })).toBe(true);
    for (let signal = 0; signal < 30; signal++)
      await engine.send({ ...caller, mutationId: `${signal}` }, roomId, '{"type":"offer"}');
    await engine.confirm(caller, roomId);
    await engine.confirm({ ...caller, sessionId: polite.sessionId }, roomId);
    const verb = n % 5;
    const anew = { ...caller, mutationId: "verb" };
    if (verb === 0) await engine.end(anew, { ending: "skip" });
    if (verb === 1) await engine.report(anew, roomId);
    if (verb === 2) {
      expect(await engine.avoid(anew, roomId)).toEqual({ partnerId: polite.sessionId });
      await engine.end({ ...caller, mutationId: "block" }, { ending: "block" });
    }
    if (verb === 3) await engine.detach(stream);
  }
  // Who accept anybody, but fit nobody.
  for (let n = 0; n < 6; n++) {
    const sessionId = `picky ${n}`;
    streams.push(await attach(engine, sessionId));
    const facts = { age: 20 + n, topics: ["jazz"], country: `country ${n}` };
    const wants = [
      { of: "age", from: 99, softAfterMs: 100_000 },
      { of: n % 2 > 0 ? "country" : "topics", in: ["rock"] },
    ];
    await engine.enqueue({ sessionId, generation: 1 }, { ...defaultWishes, facts, wants });
    const caller = { sessionId, generation: 1 };
    expect(await engine.standby(caller, offerNamed(sessionId))).toEqual({ kept: true });
  }
  const { factBits, termPlaces, places, takenPlaces } = createKeys(prefix);
  for (const pattern of [factBits("*", "*"), termPlaces("*", "fact", "*"), places("*")])
    expect((await redis.cli("--scan", "--pattern", pattern)).trim()).not.toBe("");
  expect((await redis.cli("--scan", "--pattern", takenPlaces("*"))).trim()).not.toBe("");
  await engine.suspend({ kind: "session", id: "peer 1" }, system.now() + 3_600_000);
  await engine.send({ sessionId: "nobody", generation: 1, mutationId: "1" }, "room", "{}");
  await engine.status({ sessionId: "nobody", generation: 1 });
  await engine.end({ sessionId: "nobody", generation: 1 }, { ending: "leave" });
  await nodeThatDies(redis, system, prefix, engine);
  for (const stream of streams) await engine.detach(stream);
  for (const sessionId of ["stays", "has streams on both"])
    await engine.detach(await attach(engine, sessionId));
  for (let minute = 0; minute < 15; minute++) {
    await system.advance(60_000);
    await engine.sweep();
  }
  const keys = createKeys(prefix);
  expect(told).toBeGreaterThan(count);
  await until("all events are told and removed", async () =>
    (await redis.cli("xlen", keys.lifecycle())).startsWith("0"),
  );
  const parts = (pattern: string) => pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const patterns = Object.entries(lives).map(([name, life]) => {
    const key = keys[name as keyof Keys] as (...args: string[]) => string;
    const any = parts(key("ANY", "ANY", "ANY")).replaceAll("ANY", ".*");
    return { name, life, pattern: new RegExp(`^${any}$`) };
  });
  const found = (await redis.cli("--scan")).split("\n").filter(Boolean);
  // What blocks somebody is kept, whichever of its keys it is.
  const blockers = (await redis.cli("zrange", keys.blockers(), "0", "-1")).split("\n");
  expect(blockers.some((id) => id.startsWith("@"))).toBe(true);
  for (const key of found) {
    const leftMs = Number(await redis.cli("pttl", key));
    if (key === layoutKey(prefix)) {
      expect(leftMs).toBeGreaterThan(0);
      continue;
    }
    const known = patterns.filter(({ pattern }) => pattern.test(key));
    expect(`${key}: ${known.map(({ name }) => name).join()}`).toMatch(/: \w+$/);
    const [{ name, life } = { name: "", life: 0 }] = known;
    if (life === "lasts") continue;
    const isBlockers = blockers.some((id) => [keys.session(id), keys.avoidances(id)].includes(key));
    const most = isBlockers ? tokenLifeMs : Number(life);
    expect(`${name} ${key} ${leftMs >= 0 && leftMs <= most ? "expires" : `has ${leftMs} ms`}`).toBe(
      `${name} ${key} expires`,
    );
  }
  expect(found.length).toBeGreaterThan(10);
  await engines.close();
}, 30_000);

test("a session that never goes keeps the results of its last mutations, and of two minutes", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const prefix = "busy:";
  const system = createVirtualSystem();
  const engines = enginesOn(redis, { prefix });
  const engine = engines.open(system, engineOptions);
  await attach(engine, "alice");
  const verb = async (n: number) => {
    const caller = { sessionId: "alice", generation: 1, mutationId: `mutation ${n}` };
    if (n % 2 === 0) return engine.enqueue(caller, defaultWishes);
    return engine.end(caller, { ending: "leave" });
  };
  const results = async () => Number(await redis.cli("hlen", createKeys(prefix).results("alice")));
  for (let n = 0; n < 200; n++) {
    await verb(n);
    await system.advance(10_000);
  }
  // Twelve of two minutes, and up to sixteen until the next ones are forgotten.
  expect(await results()).toBeWithin(12, 29);
  for (let n = 200; n < 800; n++) await verb(n);
  expect(await results()).toBeWithin(256, 273);
  // The last ones are there: nothing is done again.
  expect(await verb(799)).toMatchObject({ status: "idle" });
  expect(await verb(544)).toMatchObject({ status: "waiting" });
  expect(await engine.status({ sessionId: "alice", generation: 1 })).toEqual({ status: "idle" });
  await engines.close();
});
