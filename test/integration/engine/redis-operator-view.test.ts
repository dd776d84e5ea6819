/** An operator's view of several nodes and shards: what any node shows is that of all. */
import { afterAll, expect, test } from "bun:test";
import { isRejection, type Rejection } from "../../../src/domain/rejection.ts";
import { createKeys } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { lobbyVerbs } from "../../support/lobby-contract.ts";
import { noteOf } from "../../support/operator-view-contract.ts";
import { startRedis } from "../../support/redis.ts";

const redis = await startRedis(["--appendonly", "no"]);
afterAll(() => redis[Symbol.asyncDispose]());

function settled<T>(answer: T | Rejection): T {
  if (isRejection(answer)) throw new Error(`refused: ${answer.reason}`);
  return answer;
}

/** The last two characters of an id name its shard. */
const id = (name: string, shard: number) => `${name.padEnd(20, "_")}A${"AB"[shard]}`;

async function openSite(use: AsyncDisposableStack, prefix: string) {
  const other = use.use(await startRedis(["--appendonly", "no"]));
  await redis.cli("set", createKeys(prefix).openShards(), "2");
  const system = createSystem();
  const open = async () => {
    const engine = createRedisEngine(system, engineOptions, {
      locations: [redis.url, other.url],
      prefix,
      clock: system,
      // Both are open, and nobody is moved.
      openAbove: 0,
      closeBelow: 0,
      seekAfterMs: 60_000,
    });
    use.defer(() => engine.close());
    await engine.caughtUp();
    return { engine, ...lobbyVerbs(engine) };
  };
  return { other, nodes: [await open(), await open()] as const };
}

test("reports, sessions and rooms of all nodes and shards are those of each node", async () => {
  await using use = new AsyncDisposableStack();
  const prefix = "two nodes:";
  const { other, nodes } = await openSite(use, prefix);
  const [first, second] = nodes;
  await first.engine.operator.note(noteOf("one"));
  await second.engine.operator.note(noteOf("two"));
  await first.enter(id("AnnA1", 0));
  const ann = await first.enter(id("AnnA2", 1));
  const bob = await second.enter(id("AnnA3", 1));
  await second.pair(ann, bob, "in the second shard");
  for (const { engine } of nodes) {
    expect(settled(await engine.operator.noted()).map(({ roomId }) => roomId)).toEqual([
      "two",
      "one",
    ]);
    const found = settled(await engine.operator.find("AnnA", 10));
    // Those of a shard are in no order.
    const rooms = found.sessions.map((one) => [one.id.slice(0, 5), one.roomId] as const);
    expect(rooms.sort(([a = ""], [b = ""]) => a.localeCompare(b))).toEqual([
      ["AnnA1", undefined],
      ["AnnA2", "in the second shard"],
      ["AnnA3", "in the second shard"],
    ]);
    expect(settled(await engine.operator.find("AnnA", 2))).toMatchObject({ more: true });
  }
  // By a node that has no stream of either.
  expect(settled(await first.engine.operator.endRoom("in the second shard")).ended).toBe(true);
  expect(await second.counts()).toMatchObject({ rooms: 0, waiting: 3 });
  // The keys of the notes are in the first shard, and expire.
  const ttl = Number(await redis.cli("ttl", createKeys(prefix).notedReports()));
  expect(ttl).toBeGreaterThan(600_000);
  expect((await other.cli("exists", createKeys(prefix, 1).notedReports())).trim()).toBe("0");
}, 20_000);

test("more sessions than one look of Redis reads are all looked at, each once", async () => {
  await using use = new AsyncDisposableStack();
  const prefix = "many sessions:";
  const { nodes } = await openSite(use, prefix);
  const [{ engine, attach }] = nodes;
  const online = createKeys(prefix).online();
  await attach(id("AnnA", 0));
  // Those of whom nothing else is known are like those that have just gone.
  for (let group = 0; group < 5; group++)
    await redis.cli("sadd", online, ...Array.from({ length: 1000 }, (_, n) => `x${group}-${n}`));
  const { sessions, more } = settled(await engine.operator.find("AnnA", 10));
  expect([sessions.length, more]).toEqual([1, false]);
}, 20_000);

test("while Redis is away it is unavailable, at once", async () => {
  await using use = new AsyncDisposableStack();
  const own = use.use(await startRedis(["--appendonly", "no"]));
  const system = createSystem();
  const engine = createRedisEngine(system, engineOptions, {
    locations: [own.url],
    clock: system,
    timeoutMs: 300,
  });
  use.defer(() => engine.close());
  await engine.caughtUp();
  await own.kill();
  const { operator } = engine;
  const unavailable = { reason: "unavailable" };
  expect(await operator.note(noteOf("room"))).toMatchObject(unavailable);
  expect(await operator.noted()).toMatchObject(unavailable);
  expect(await operator.find("AnnA", 10)).toMatchObject(unavailable);
  expect(await operator.endRoom("room")).toMatchObject(unavailable);
}, 20_000);
