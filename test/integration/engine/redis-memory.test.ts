/** Redis has no memory left: each change is refused as a whole and carried out later, and what has begun is completed. */
import { afterAll, expect, test } from "bun:test";
import { isRejection, reject } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Stream } from "../../../src/engine/engine.ts";
import { absentKey, createKeys, layoutKey } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine, type RedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { scripts } from "../../../src/engine/redis/scripts.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { startRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

const redis = await startRedis(["--appendonly", "no", "--maxmemory-policy", "noeviction"]);
afterAll(() => redis[Symbol.asyncDispose]());
const prefix = "memory:";
const keys = createKeys(prefix);
const options = {
  ...engineOptions,
  // Each report is a vote: one that is none writes nothing.
  moderation: { ...engineOptions.moderation, voteAfterMs: 0 },
};
const alice = { sessionId: "alice", generation: 1 };
const signal = JSON.stringify({ type: "offer", roomId: "room", sdp: "v=0" });

const limitMemory = (bytes: number) =>
  redis.cli("config", "set", "maxmemory", String(Math.round(bytes)));

async function usedMemory(): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.cli("info", "memory"))?.[1]);
}

/** Every key with a digest of its value, but those of the nodes themselves, which renew their leases. */
async function contents(): Promise<string> {
  const text = `local all = {}
    for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = key .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) end
    table.sort(all)
    return all`;
  const own = [keys.nodes(), keys.node(""), layoutKey(prefix)];
  const lines = (await redis.cli("eval", text, "0")).split("\n");
  return lines.filter((line) => !own.some((key) => line.startsWith(key))).join("\n");
}

async function openEngine(): Promise<RedisEngine> {
  const system = createSystem();
  const engine = createRedisEngine(system, options, {
    locations: [redis.url],
    prefix,
    clock: system,
    // Nothing of a node may be due meanwhile.
    leaseMs: 600_000,
  });
  await engine.opened();
  return engine;
}

async function attach(engine: RedisEngine, sessionId: string): Promise<Stream> {
  const request = { sessionId, generation: 0, addressHash: "an address", wake() {} };
  const attached = await engine.attach(request);
  if (isRejection(attached)) throw new Error(attached.reason);
  return attached.stream;
}

/** In an order in which each one changes something, once there is room again. */
const verbs: Record<string, (engine: RedisEngine) => unknown> = {
  confirm: (engine) => engine.confirm(alice, "room"),
  send: (engine) => engine.send({ ...alice, mutationId: "offer" }, "room", signal),
  report: (engine) => engine.report({ ...alice, mutationId: "report" }, "room"),
  avoid: (engine) => engine.avoid({ ...alice, mutationId: "avoid" }, "room"),
  end: (engine) => engine.end({ ...alice, mutationId: "end" }, { ending: "leave" }),
  enqueue: (engine) => engine.enqueue({ ...alice, mutationId: "join" }, defaultWishes),
  attach: (engine) =>
    engine.attach({ sessionId: "carol", generation: 0, addressHash: "", wake() {} }),
  suspend: (engine) => engine.suspend({ kind: "session", id: "dave" }, Date.now() + 1e6),
  lift: (engine) => engine.lift({ kind: "session", id: "dave" }),
};

test("each change is refused by name while memory is full, changes no key, and is carried out when there is room", async () => {
  const engine = await openEngine();
  await attach(engine, "alice");
  const ofBob = await attach(engine, "bob");
  const leaver = await openEngine();
  const ofErin = await attach(leaver, "erin");
  for (const sessionId of ["alice", "bob"])
    await engine.enqueue({ sessionId, generation: 1 }, defaultWishes);
  const found = await engine.matchOptions("bob");
  const [polite] = found?.eligible ?? [];
  if (!found || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: found.ticket, polite })).toBe(true);

  const atPairing = await engine.read(ofBob, ofBob.after);
  const paired = Array.isArray(atPairing) ? atPairing.at(-1)?.offset : undefined;
  if (paired === undefined) throw new Error("bob must have been told");

  // One node for each: once refused, a node asks Redis no more until it is available again.
  const asking = await Promise.all(
    Object.entries(verbs).map(async ([name, verb]) => ({ name, verb, node: await openEngine() })),
  );
  const reading = await openEngine();
  const before = await contents();
  expect(before).toContain(keys.session("alice"));
  await limitMemory(1024 ** 2);
  // What only reads goes on, on a node that has not been refused anything.
  expect(await reading.status(alice)).toMatchObject({ status: "paired", roomId: "room" });
  expect(await reading.stats()).toMatchObject({ online: 3, rooms: { video: 1 } });
  for (const { name, verb, node } of asking) {
    expect([name, node.available()]).toEqual([name, true]);
    const refusal = await verb(node);
    expect([name, refusal]).toEqual([name, reject("unavailable", { retryAfterMs: 1000 })]);
    expect([name, node.available()]).toEqual([name, false]);
  }
  await leaver.detach(ofErin);
  expect(await contents()).toBe(before);

  await limitMemory(0);
  for (const { name, verb, node } of asking) {
    await until(`the node that was refused ${name} is back`, () => node.available());
    const outcome = await verb(node);
    expect([name, isRejection(outcome)]).toEqual([name, false]);
  }
  // Closed while it could not be written.
  await until("erin is absent", async () => (await redis.cli("scard", keys.online())) === "3\n");
  const entries = await engine.read(ofBob, paired);
  const told = Array.isArray(entries)
    ? entries.map(({ json }) => (JSON.parse(json) as { type: string }).type)
    : [];
  expect(told.filter((type) => type === "offer")).toEqual(["offer"]);
  expect(told.filter((type) => type === "partner-disconnected")).toHaveLength(1);
  for (const { node } of [...asking, { node: engine }, { node: leaver }, { node: reading }])
    await node.close();
}, 30_000);

test("a script that has begun to write is completed, though memory runs out meanwhile", async () => {
  // With the flags of the scripts that write.
  const [head] = scripts.commit.text.split("\n");
  const fill = (name: string) =>
    `${head}
     for n = 1, 200 do redis.call('SET', '${name}' .. n, string.rep('x', 10000)) end
     return 'completed'`;
  const run = (name: string) =>
    redis.cli("eval", fill(name), "1", absentKey(prefix), prefix, "node");
  const limit = (await usedMemory()) + 500_000;
  await limitMemory(limit);
  expect(await run("first:")).toBe("completed\n");
  expect(await usedMemory()).toBeGreaterThan(limit);
  expect(await redis.cli("exists", "first:200")).toBe("1\n");
  // The next one is not begun.
  expect(await run("second:")).toContain("OOM");
  expect(await redis.cli("keys", "second:*")).toBe("\n");
  await limitMemory(0);
  await redis.cli("flushall");
}, 20_000);
