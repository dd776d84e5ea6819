/** Lanes in Redis: the contract, and what is stored. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { accountVerbs } from "../../support/account-contract.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { describeLaneMeetings, describeLanes, laneOptions } from "../../support/lane-contract.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
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
