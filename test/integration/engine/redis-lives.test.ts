/** Redis has been started again: the logs of before begin anew, and what is sent until then is not lost in them. */
import { expect, test } from "bun:test";
import { isRejection, reject } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Stream } from "../../../src/engine/engine.ts";
import { createRedisEngine, type RedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { startRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

async function attach(engine: RedisEngine, sessionId: string, from?: Stream): Promise<Stream> {
  const attached = await engine.attach({
    sessionId,
    generation: from?.generation ?? 0,
    addressHash: "",
    ...(from && { position: { epoch: from.epoch, offset: from.after } }),
    wake() {},
  });
  if (isRejection(attached)) throw new Error(attached.reason);
  return attached.stream;
}

const offer = (sdp: string) => JSON.stringify({ type: "offer", roomId: "room", sdp });

test("a signal to a partner that has not been attached since is refused until it is, and then delivered once", async () => {
  await using redis = await startRedis();
  const open = async () => {
    const system = createSystem();
    const engine = createRedisEngine(system, engineOptions, {
      locations: [redis.url],
      clock: system,
    });
    await engine.opened();
    return engine;
  };
  const [first, second] = [await open(), await open()];
  const alice = await attach(first, "alice");
  const bob = await attach(second, "bob");
  for (const [engine, sessionId] of [
    [first, "alice"],
    [second, "bob"],
  ] as const)
    await engine.enqueue({ sessionId, generation: 1 }, defaultWishes);
  const found = await second.matchOptions("bob");
  const [polite] = found?.eligible ?? [];
  if (!found || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await second.pair({ ...terms, impolite: found.ticket, polite })).toBe(true);
  const send = (generation: number, sdp: string) =>
    first.send({ sessionId: "alice", generation, mutationId: sdp }, "room", offer(sdp));
  expect(await send(1, "before")).toBe(true);

  await redis.kill();
  await until("both have noticed", () => !first.available() && !second.available());
  await redis.start();
  await until("both are back", () => first.available() && second.available());
  const { generation } = await attach(first, "alice", alice);
  expect(await send(generation, "after")).toEqual(reject("unavailable", { retryAfterMs: 1000 }));
  const back = await attach(second, "bob", bob);
  expect(await send(generation, "after")).toBe(true);
  expect(await send(generation, "after")).toBe(true);
  expect(await send(generation, "last")).toBe(true);
  const told: (string | undefined)[] = [];
  let { after } = back;
  await until("bob is told of the last one", async () => {
    const entries = await second.read(back, after);
    if (!Array.isArray(entries)) throw new Error(`not readable: ${JSON.stringify(entries)}`);
    for (const { json } of entries) told.push((JSON.parse(json) as { sdp?: string }).sdp);
    after += entries.length;
    return told.includes("last");
  });
  expect(told.filter((sdp) => sdp !== undefined)).toEqual(["after", "last"]);
  for (const engine of [first, second]) await engine.close();
}, 30_000);
