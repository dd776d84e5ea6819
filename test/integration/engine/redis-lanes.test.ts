/** Lanes in Redis: the contract, and what is stored. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { laneName } from "../../../src/domain/lanes.ts";
import { createKeys, defaultPrefix } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { withShard } from "../../../src/engine/redis/shard-ids.ts";
import { createSystem } from "../../../src/system.ts";
import { accountVerbs } from "../../support/account-contract.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { describeLaneMeetings, describeLanes, laneOptions } from "../../support/lane-contract.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const redis = await startRedis(["--appendonly", "no"]);
const engines = enginesOn(redis);
afterEach(() => engines.close());
afterAll(() => redis[Symbol.asyncDispose]());

describeLanes("in Redis", engines.open);
describeLaneMeetings("in Redis", engines.open);

/** The keys that have a record of conduct. */
async function keysWithConduct(): Promise<string[]> {
  const keys = (await redis.cli("--scan")).split("\n");
  const found: string[] = [];
  for (const key of keys)
    if ((await redis.cli("type", key)).trim() === "hash")
      if ((await redis.cli("hget", key, "conduct")).trim() !== "") found.push(key);
  return found;
}

test("conduct is stored only where there are lanes: once for an account, and not of somebody who did nothing", async () => {
  await redis.cli("flushall");
  for (const [options, stored] of [
    [engineOptions, []],
    [laneOptions, ["@ann", "cem"]],
  ] as const) {
    const engine = engines.open(createVirtualSystem(), { ...options, skipCooldownMs: 0 });
    const { enter, pair } = accountVerbs(engine);
    const [ann, bob, cem] = [await enter("tab", "ann"), await enter("bob"), await enter("cem")];
    for (const [n, peer] of [ann, cem, ann].entries()) {
      expect(await pair(peer, bob, `room ${n}`)).toBe(true);
      await engine.end(peer, { ending: "skip" });
    }
    const keys = await keysWithConduct();
    expect(keys.map((key) => key.split(":").at(-1)).sort()).toEqual([...stored]);
  }
});

test("reports count for a peer on another node, and in another shard than that of the reports", async () => {
  await using use = new AsyncDisposableStack();
  const shards = [use.use(await startRedis()), use.use(await startRedis())] as const;
  await shards[0].cli("set", createKeys(defaultPrefix).openShards(), "2");
  const system = createSystem();
  const moderation = { ...laneOptions.moderation, voteAfterMs: 0 };
  const startNode = async () => {
    const engine = createRedisEngine(
      system,
      { ...laneOptions, moderation },
      { locations: shards.map(({ url }) => url), clock: system, closeBelow: 0 },
    );
    use.defer(() => engine.close());
    await engine.opened();
    return { engine, ...accountVerbs(engine) };
  };
  const [one, other] = [await startNode(), await startNode()];
  const newId = () => withShard(system.id(), 1);
  const answers = async (node: typeof one) =>
    !("rejected" in (await node.engine.status({ sessionId: newId(), generation: 1 })));
  for (const node of [one, other]) await until("the second shard answers", () => answers(node));
  const peer = await other.enter(newId());
  for (const n of [1, 2]) {
    const reporter = await one.enter(newId());
    expect(await one.pair(reporter, peer, `room ${n}`)).toBe(true);
    expect(await one.engine.report(reporter, `room ${n}`)).toMatchObject({ counted: true });
    await one.engine.end(reporter, { ending: "report", roomId: `room ${n}` });
    const { wishes } = await other.ticketOf(peer);
    expect(wishes.facts?.[laneName]).toBe(n === 1 ? "0" : "1");
  }
});
