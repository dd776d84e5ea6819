/** What holds for an account on several nodes, after restarts, and in a lobby on three Redis. */
import { expect, test } from "bun:test";
import type { Caller, EngineOptions } from "../../../src/engine/engine.ts";
import { createRedisEngine, type RedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import type { RedisOptions } from "../../../src/engine/redis/redis-options.ts";
import { createKeys, defaultPrefix } from "../../../src/engine/redis/keys.ts";
import { birthShardOf, withShard } from "../../../src/engine/redis/shard-ids.ts";
import { createSystem } from "../../../src/system.ts";
import { accountVerbs } from "../../support/account-contract.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { enginesOn, startRedis, type Redis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const system = createSystem();

/** A node on these Redis. */
async function startNode(
  use: AsyncDisposableStack,
  redis: readonly Redis[],
  options: Partial<EngineOptions> = {},
  more: Partial<RedisOptions> = {},
) {
  const engine = createRedisEngine(
    system,
    { ...engineOptions, ...options },
    {
      locations: redis.map(({ url }) => url),
      clock: system,
      leaseMs: 1200,
      seekAfterMs: 60_000,
      closeBelow: 0,
      ...more,
    },
  );
  use.defer(() => engine.close());
  await engine.opened();
  return { engine, ...accountVerbs(engine) };
}

/** Three Redis, each with an open shard. */
async function startThree(use: AsyncDisposableStack): Promise<readonly [Redis, Redis, Redis]> {
  const start = async () => use.use(await startRedis());
  const all = [await start(), await start(), await start()] as const;
  await all[0].cli("set", createKeys(defaultPrefix).openShards(), "3");
  return all;
}

/** The id of a session that is born in this shard. */
const idIn = (shard: number) => withShard(system.id(), shard);

async function allAvailable({ engine }: { engine: RedisEngine }) {
  await until("all shards answer", async () => {
    for (const shard of [0, 1, 2]) {
      const standing = await engine.status({ sessionId: idIn(shard), generation: 1 });
      if ("rejected" in standing) return false;
    }
    return true;
  });
}

test("blocks, cooldowns, penalties and bans of an account hold on another node, and after all of it was started again", async () => {
  await using use = new AsyncDisposableStack();
  const redis = use.use(await startRedis(["--appendfsync", "always"]));
  const skipping = { burst: 2, forgetMs: 3_600_000, delayMs: 600_000, delayMsMax: 600_000 };
  const one = await startNode(use, [redis], { skipping });
  const other = await startNode(use, [redis], { skipping });
  const [ann, bob] = [await one.enter("ann 1", "ann"), await other.enter("bob 1", "bob")];
  expect(await one.pair(ann, bob, "first")).toBe(true);
  expect(await one.engine.avoid(ann, "first")).toEqual({ partnerId: "bob 1" });
  await one.engine.end(ann, { ending: "block" });
  await one.leave(ann);
  // Another tab at the other node, and another partner.
  const [tab, carol] = [await other.enter("ann 2", "ann"), await one.enter("carol 1", "carol")];
  await other.leave(bob);
  expect(await other.candidatesOf(tab)).toEqual(["carol 1"]);
  expect(await other.pair(tab, carol, "second")).toBe(true);
  await other.engine.end(tab, { ending: "skip" });
  for (const them of [tab, carol]) await other.leave(them);
  for (const [n, node] of [one, other, one].entries()) {
    const erin = await node.enter(`erin ${n}`, "erin");
    expect(await node.pair(erin, await one.enter(`other ${n}`), `room ${n}`)).toBe(true);
    await node.leave(erin);
    await one.leave({ sessionId: `other ${n}`, generation: 1 });
  }
  const dave = await other.enter("dave 1", "dave");
  await one.engine.suspend({ kind: "account", id: "dave" }, Date.now() + 3_600_000);
  await until("dave is put out at the other node", async () => {
    return (await other.statusOf(dave)) === "idle";
  });
  const refusals = async (node: typeof one, when: string) => {
    for (const [account, reason] of [
      ["erin", "rate-limited"],
      ["dave", "suspended"],
    ] as const) {
      const caller = await node.attach(`${account} ${when}`, account);
      expect(await node.engine.enqueue(caller)).toMatchObject({ reason });
    }
  };
  await refusals(one, "at the first node");
  await refusals(other, "at the other node");
  for (const { engine } of [one, other]) await engine.close();
  await redis.kill();
  await redis.start();

  const later = await startNode(use, [redis], { skipping });
  await refusals(later, "later");
  const tabs = [];
  for (const account of ["ann", "bob", "carol"])
    tabs.push(await later.enter(`${account} later`, account));
  const [annLater, bobLater, carolLater] = tabs;
  if (!annLater || !bobLater || !carolLater) throw new Error("all three have entered");
  expect(await later.candidatesOf(annLater)).toEqual([]);
  expect(await later.candidatesOf(bobLater)).toEqual(["carol later"]);
  expect(await later.pair(bobLater, annLater)).toBe(false);
  expect(await later.pair(annLater, carolLater)).toBe(false);
}, 30_000);

test("the sessions of an account are born in one shard, and only when that is gone in another", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  const node = await startNode(use, all);
  const { engine } = node;
  await allAvailable(node);
  const homeOf = (account: string) => birthShardOf(engine.newSessionId(system.id(), account), 3);
  const accounts = Array.from({ length: 300 }, (_, n) => `account ${n}`);
  const homes = accounts.map(homeOf);
  for (const [n, account] of accounts.entries()) expect(homeOf(account)).toBe(homes[n] ?? -1);
  for (const shard of [0, 1, 2]) {
    const count = homes.filter((home) => home === shard).length;
    expect(count).toBeGreaterThan(60);
    expect(count).toBeLessThan(140);
  }
  // Without the third Redis, where its accounts are born elsewhere; the others stay where they are.
  await all[2].kill();
  await until("the third shard is gone", () => accounts.every((account) => homeOf(account) < 2));
  for (const [n, account] of accounts.entries()) {
    const home = homes[n] ?? -1;
    if (home < 2) expect(homeOf(account)).toBe(home);
  }
}, 30_000);

test("a block by an account holds in all shards, once each of them has it", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  const node = await startNode(use, all);
  await allAvailable(node);
  const { engine, enter, leave, pair, candidatesOf, settled } = node;
  const holdsIn = async (shard: number) => {
    const [ann, bob] = [await enter(idIn(shard), "ann"), await enter(idIn(shard), "bob")];
    const found = [...((await candidatesOf(ann)) ?? []), ...((await candidatesOf(bob)) ?? [])];
    const isPaired = await pair(bob, ann);
    for (const them of [ann, bob]) {
      await leave(them);
      await engine.detach(them.stream);
    }
    return found.length === 0 && !isPaired;
  };
  const [ann, bob] = [await enter(idIn(1), "ann"), await enter(idIn(1), "bob")];
  expect(await pair(ann, bob, "room")).toBe(true);
  await all[2].kill();
  const block = () => engine.avoid({ ...ann, mutationId: "block" }, "room");
  expect(await block()).toMatchObject({ reason: "unavailable" });
  await engine.end(ann, { ending: "block" });
  await leave(bob);
  expect(await holdsIn(0)).toBe(true);
  expect(await holdsIn(1)).toBe(true);
  await all[2].start();
  await allAvailable(node);
  // The same call again, which was carried out already where the two met.
  expect(settled(await block())).toEqual({ partnerId: bob.sessionId });
  expect(await holdsIn(2)).toBe(true);
  // Others do not notice.
  const [one, other] = [await enter(idIn(2), "ann"), await enter(idIn(2), "carol")];
  expect(await candidatesOf(one)).toEqual([other.sessionId]);
}, 30_000);

test("a ban of an account puts out its sessions in all shards and at all nodes", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  const [one, other] = [await startNode(use, all), await startNode(use, all)];
  for (const node of [one, other]) await allAvailable(node);
  const tabs: Caller[] = [];
  for (const node of [one, other])
    for (const shard of [0, 1, 2]) tabs.push(await node.enter(idIn(shard), "ann"));
  const partner = await one.enter(idIn(2), "bob");
  const [, , paired] = tabs;
  if (!paired) throw new Error("there is a tab in the third shard");
  expect(await one.pair(paired, partner)).toBe(true);
  const lastsUntil = Date.now() + 3_600_000;
  expect(await other.engine.suspend({ kind: "account", id: "ann" }, lastsUntil)).toMatchObject({});
  await until("all tabs are idle, and the partner waits", async () => {
    for (const tab of tabs) if ((await one.statusOf(tab)) !== "idle") return false;
    return (await one.statusOf(partner)) === "waiting";
  });
  for (const node of [one, other])
    expect(await node.engine.enqueue(await node.attach(idIn(1), "ann"))).toMatchObject({
      reason: "suspended",
    });
}, 30_000);

test("a block in one shard undoes a match in another one that was chosen before it", async () => {
  await using use = new AsyncDisposableStack();
  const all = await startThree(use);
  const node = await startNode(use, all);
  await allAvailable(node);
  const { engine, enter, pair } = node;
  const [ann, bob] = [await enter(idIn(1), "ann"), await enter(idIn(1), "bob")];
  expect(await pair(ann, bob, "room")).toBe(true);
  const [tab] = [await enter(idIn(2), "ann"), await enter(idIn(2), "bob")];
  const found = await engine.matchOptions(tab.sessionId);
  const [polite] = found?.eligible ?? [];
  if (!found || !polite) throw new Error("bob must be on offer in the third shard");
  expect(await engine.avoid(ann, "room")).toEqual({ partnerId: bob.sessionId });
  const request = { roomId: "second", impolite: found.ticket, polite, relayOnly: false };
  expect(await engine.pair({ ...request, sharedInterests: [] })).toBe(false);
}, 30_000);

test("what an account has expires only once none of its sessions has a stream", async () => {
  await using redis = await startRedis();
  const prefix = "site:";
  const engines = enginesOn(redis, { prefix });
  const time = createVirtualSystem();
  const engine = engines.open(time, engineOptions);
  const { enter, attach, pair } = accountVerbs(engine);
  const [one, bob] = [await enter("ann 1", "ann"), await enter("bob 1", "bob")];
  const other = await attach("ann 2", "ann");
  expect(await pair(one, bob, "room")).toBe(true);
  await engine.end(one, { ending: "skip" });
  const keys = createKeys(prefix);
  const lives = async () => {
    const ofAnn = [keys.session("@ann"), keys.avoidances("@ann")];
    return Promise.all(ofAnn.map(async (key) => Number(await redis.cli("ttl", key))));
  };
  const endGrace = async () => {
    await time.advance(engineOptions.graceMs);
    await engine.sweep();
  };
  await engine.detach(one.stream);
  await endGrace();
  expect(await lives()).toEqual([-1, -1]);
  await engine.detach(other.stream);
  await endGrace();
  for (const life of await lives()) {
    expect(life).toBeGreaterThan(590);
    expect(life).toBeLessThan(601);
  }
  await attach("ann 3", "ann");
  expect(await lives()).toEqual([-1, -1]);
  await engines.close();
}, 30_000);
