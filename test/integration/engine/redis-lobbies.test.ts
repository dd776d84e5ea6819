/** Lobbies in Redis: what is kept of them, and how nodes and shards count together. */
import { afterAll, expect, test } from "bun:test";
import { createKeys } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { lobbyVerbs } from "../../support/lobby-contract.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const redis = await startRedis(["--appendonly", "no"]);
afterAll(() => redis[Symbol.asyncDispose]());

test("a lobby that nobody is in has no key in Redis, and no part of one", async () => {
  const prefix = "vacant:";
  const engines = enginesOn(redis, { prefix });
  const system = createVirtualSystem();
  const engine = engines.open(system, engineOptions);
  const { attach, enter, pair, end } = lobbyVerbs(engine);
  const { lobbyCounts, term } = createKeys(prefix);
  const names = () => redis.cli("--scan", "--pattern", `${prefix}*`);
  const [ann, bob] = [await enter("ann", "berlin"), await enter("bob", "berlin")];
  const idle = await attach("idle", "berlin");
  const lost = await enter("lost", "berlin", { mode: "audio", interests: ["jazz"] });
  for (const key of [lobbyCounts(), term("audio", "interest", "berlin\njazz")])
    expect(await names()).toContain(key);
  await pair(ann, bob);
  await end(ann, "skip");
  for (const { stream } of [ann, bob, idle, lost]) await engine.detach(stream);
  // Those of the sessions are there, as they could come back.
  expect(await names()).toContain("s:ann");
  expect(await names()).not.toMatch(/berlin|lobbies/);
  await engines.close();
});

test("a site with one lobby has no counts by lobby", async () => {
  const prefix = "one lobby:";
  const engines = enginesOn(redis, { prefix });
  const { attach, enter, pair, end } = lobbyVerbs(
    engines.open(createVirtualSystem(), engineOptions),
  );
  await attach("idle");
  await pair(await enter("ann"), await enter("bob"));
  await end(await enter("cem"), "skip");
  expect((await redis.cli("exists", createKeys(prefix).lobbyCounts())).trim()).toBe("0");
  await engines.close();
});

test("nodes and shards count a lobby together", async () => {
  await using use = new AsyncDisposableStack();
  const other = use.use(await startRedis(["--appendonly", "no"]));
  const system = createSystem();
  await redis.cli("set", createKeys("two shards:").openShards(), "2");
  const open = async () => {
    const engine = createRedisEngine(system, engineOptions, {
      locations: [redis.url, other.url],
      prefix: "two shards:",
      clock: system,
      leaseMs: 1200,
      // Both are open, and nobody is moved.
      openAbove: 0,
      closeBelow: 0,
      seekAfterMs: 60_000,
    });
    use.defer(() => engine.close());
    // Both shards are available.
    await engine.caughtUp();
    return lobbyVerbs(engine);
  };
  const [first, second] = [await open(), await open()];
  // The last two characters of an id name its shard.
  const id = (name: string, shard: number) => `${name.padEnd(20, "_")}A${"AB"[shard]}`;
  await first.enter(id("ann", 0), "berlin");
  await second.enter(id("bob", 1), "berlin");
  await first.enter(id("cem", 1), "berlin");
  await second.enter(id("dan", 0));
  const both = [first, second] as const;
  for (const at of both) {
    expect(await at.counts("berlin")).toEqual({ online: 3, waiting: 3, rooms: 0 });
    expect(await at.counts()).toEqual({ online: 1, waiting: 1, rooms: 0 });
    expect(await at.all()).toEqual({ online: 4, waiting: 4, rooms: 0 });
    expect(await at.lobbies()).toEqual(["berlin"]);
  }
  // What a peer is told is at most one heartbeat old for the other shard.
  const eve = await second.attach(id("eve", 0));
  await until("eve is told of all of them", async () => {
    await second.join(eve);
    await second.join(eve, { lobby: "berlin" });
    const told = await second.lastLobby(eve);
    return told?.type === "lobby" && told.waiting === 4 && told.online === 4;
  });
  await second.join(eve);
  expect(await second.lastLobby(eve)).toMatchObject({ waiting: 2, online: 2 });
}, 20_000);
