/** What peers say is in Redis only as long as it is kept for resuming: in the logs of the present room and of the one before. */
import { expect, test } from "bun:test";
import { lifecycleTypes } from "../../../src/domain/lifecycle.ts";
import { enginesOn, startRedis, type Redis } from "../../support/redis.ts";
import { createWorld, type Peer } from "../../support/world.ts";

const canary = "CANARY";

/** Reads a key whole, by its type. */
const reads: Readonly<Record<string, (key: string) => string[]>> = {
  string: (key) => ["get", key],
  hash: (key) => ["hgetall", key],
  list: (key) => ["lrange", key, "0", "-1"],
  set: (key) => ["smembers", key],
  zset: (key) => ["zrange", key, "0", "-1"],
  stream: (key) => ["xrange", key, "-", "+"],
};

/** The keys that have something of the canary in their names or values, and how many there are in all. */
async function search(redis: Redis): Promise<{ found: string[]; keys: number }> {
  const keys = (await redis.cli("--scan")).split("\n").filter(Boolean);
  const found: string[] = [];
  for (const key of keys) {
    const type = (await redis.cli("type", key)).trim();
    // It may have expired meanwhile.
    if (type === "none") continue;
    const read = reads[type];
    if (!read) throw new Error(`a key of type ${type}`);
    if (`${key} ${await redis.cli(...read(key))}`.includes(canary)) found.push(key);
  }
  return { found, keys: keys.length };
}

test("no word is in any key of Redis once the logs of its room are gone, nor ever in a log line", async () => {
  await using redis = await startRedis(["--appendonly", "no"]);
  const engines = enginesOn(redis);
  const { signaling, connect, logged, system } = createWorld({
    open: (clock, options) => engines.open(clock, { ...options, lifecycle: lifecycleTypes }),
  });
  const alice = await connect("Alice", "account of Alice");
  const bob = await connect("Bob");
  const meet = async () => {
    await alice.join({ mode: "text", autoRejoin: false });
    await bob.join({ mode: "text", autoRejoin: false });
    return alice.roomId();
  };
  const say = async (who: Peer, roomId: string, text: string, mutationId: string) =>
    await signaling.talk.say({ ...who.caller, mutationId }, roomId, JSON.stringify(text));
  const roomId = await meet();
  expect(await say(alice, roomId, `${canary} to Bob`, "a")).toEqual({ delivered: true });
  expect(await say(bob, roomId, `${canary} to Alice`, "a")).toEqual({ delivered: true });
  await signaling.talk.media(alice.caller, roomId, { audio: false, video: false });
  expect((await search(redis)).found).toHaveLength(2);
  await alice.leave();
  expect(await say(alice, roomId, `${canary} too late`, "b")).toEqual({ delivered: false });

  // Two rooms later.
  for (let n = 0; n < 2; n++) {
    await meet();
    await alice.leave();
  }
  await meet();
  const { found, keys } = await search(redis);
  expect(found).toEqual([]);
  expect(keys).toBeGreaterThan(4);

  // Its log ends with the session's grace, whatever was said last.
  const last = alice.roomId();
  await say(alice, last, `${canary} at last`, "c");
  expect((await search(redis)).found).toHaveLength(1);
  await alice.drop();
  await bob.drop();
  await system.advance(60_000);
  expect((await search(redis)).found).toEqual([]);
  expect(JSON.stringify(logged)).not.toContain(canary);
  expect(JSON.stringify(logged)).toContain("ended");
  await engines.close();
});
