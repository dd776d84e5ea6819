/** Two who meet again, on two nodes that race. */
import { afterAll, expect, test } from "bun:test";
import type { LoggedEvent } from "../../../src/protocol.ts";
import type { Caller, Engine, Stream } from "../../../src/engine/engine.ts";
import { createRedisEngine, type RedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import { createSystem } from "../../../src/system.ts";
import { accountVerbs } from "../../support/account-contract.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { startRedis } from "../../support/redis.ts";

const rounds = 60;
const system = createSystem();
const redis = await startRedis(["--appendonly", "no"]);
afterAll(() => redis[Symbol.asyncDispose]());

async function startNode(use: AsyncDisposableStack, prefix: string) {
  const [locations, clock] = [[redis.url], system];
  const options = { locations, prefix, clock, leaseMs: 60_000, timeoutMs: 5000 };
  const engine = createRedisEngine(system, engineOptions, options);
  use.defer(() => engine.close());
  await engine.opened();
  const met: string[] = [];
  engine.onMetAgain(({ id }) => void met.push(id));
  return { engine, met, ...accountVerbs(engine) };
}

let sites = 0;

async function twoNodes(use: AsyncDisposableStack) {
  const prefix = `again-${++sites}:`;
  const one = await startNode(use, prefix);
  const other = await startNode(use, prefix);
  return { one, other, meetings: () => one.met.length + other.met.length };
}

type Node = Awaited<ReturnType<typeof startNode>>;
interface Tab extends Caller {
  stream: Stream;
}

const ask = (engine: Engine, caller: Caller, roomId: string) =>
  engine.again(caller, roomId, system.id());

/** Alice at the first node has skipped Bob at the other one. */
async function skipped(one: Node, other: Node, n: number): Promise<[alice: Tab, bob: Tab]> {
  const alice = await one.enter(`alice ${n}`);
  const bob = await other.enter(`bob ${n}`);
  expect(await one.pair(alice, bob, `room ${n}`)).toBe(true);
  await one.engine.end(alice, { ending: "skip" });
  return [alice, bob];
}

const roomIdOf = async (engine: Engine, caller: Caller) => {
  const standing = await engine.status(caller);
  if ("rejected" in standing) throw new Error(standing.reason);
  return standing.roomId;
};

/** What a tab was told of the room, at its node. */
async function toldOf(engine: Engine, { stream }: Tab, roomId: string): Promise<string[]> {
  await (engine as RedisEngine).caughtUp();
  let entries = await engine.read(stream, 0);
  // Events of earlier rooms are dropped.
  for (let after = 1; entries === "overflow" && after < 100; after++)
    entries = await engine.read(stream, after);
  if (!Array.isArray(entries)) throw new Error("the log must be readable");
  const events = entries.map(({ json }): LoggedEvent => JSON.parse(json));
  return events.flatMap((event) =>
    "roomId" in event && event.roomId === roomId ? [event.type] : [],
  );
}

test("two who ask at the same moment, on two nodes, meet in one room, each told once", async () => {
  await using use = new AsyncDisposableStack();
  const { one, other, meetings } = await twoNodes(use);
  for (let n = 0; n < rounds; n++) {
    const [alice, bob] = await skipped(one, other, n);
    const answers = await Promise.all([
      ask(one.engine, alice, `room ${n}`),
      ask(other.engine, bob, `room ${n}`),
    ]);
    const statuses = answers.map((answer) => ("status" in answer ? answer.status : answer.reason));
    expect(statuses.sort()).toEqual(["paired", "waiting"]);
    const roomId = (await roomIdOf(one.engine, alice)) ?? "none";
    expect(await roomIdOf(other.engine, bob)).toBe(roomId);
    const told = [
      ...(await toldOf(one.engine, alice, roomId)),
      ...(await toldOf(other.engine, bob, roomId)),
    ];
    expect(told.sort()).toEqual(["create-offer", "wait-for-offer"]);
    await one.leave(alice);
    await other.leave(bob);
  }
  expect(meetings()).toBe(rounds);
});

test("who comes free at one node is never to be had by anybody else, at any node", async () => {
  await using use = new AsyncDisposableStack();
  const { one, other, meetings } = await twoNodes(use);
  const dave = await other.enter("dave");
  for (let n = 0; n < rounds; n++) {
    const [alice, bob] = await skipped(one, other, n);
    const carol = await one.enter(`carol ${n}`);
    expect(await one.pair(alice, carol, `other ${n}`)).toBe(true);
    await ask(one.engine, alice, `room ${n}`);
    await other.leave(bob);
    await ask(other.engine, bob, `room ${n}`);
    let isOver = false;
    const offered: string[] = [];
    const looking = async () => {
      while (!isOver) offered.push(...((await other.candidatesOf(dave)) ?? []));
    };
    // Either one of that room's members ends it, or both at once.
    const ending = async () => {
      const ends = [one.engine.end(alice, { ending: "skip", roomId: `other ${n}` })];
      if (n % 2 === 1) ends.push(one.engine.end(carol, { ending: "leave" }));
      await Promise.all(ends);
      isOver = true;
    };
    await Promise.all([ending(), looking()]);
    expect(offered).not.toContain(`alice ${n}`);
    const roomId = await roomIdOf(one.engine, alice);
    expect(roomId).toBeString();
    expect(await roomIdOf(other.engine, bob)).toBe(roomId);
    for (const [node, tab] of [
      [one, alice],
      [other, bob],
      [one, carol],
    ] as const)
      await node.leave(tab);
  }
  expect(meetings()).toBe(rounds);
});

test("of one who asks while the other is taken, or takes another, both are in one room at most", async () => {
  await using use = new AsyncDisposableStack();
  const { one, other } = await twoNodes(use);
  let taken = 0;
  for (let n = 0; n < rounds; n++) {
    const [alice, bob] = await skipped(one, other, n);
    const carol = await other.enter(`carol ${n}`);
    await ask(one.engine, alice, `room ${n}`);
    const [impolite, polite] = [await other.ticketOf(alice), await other.ticketOf(carol)];
    const room = { relayOnly: false, sharedInterests: [] };
    // Some rounds earlier or later, so that each of the two is first now and then.
    const pairing = async () => {
      for (let looks = n % 5; looks > 0; looks--) await roomIdOf(other.engine, carol);
      return other.engine.pair({ ...room, impolite, polite, roomId: `other ${n}` });
    };
    const [isTaken, asked] = await Promise.all([pairing(), ask(other.engine, bob, `room ${n}`)]);
    const answer = "status" in asked ? asked.status : asked.reason;
    expect({ isTaken, answer }).toEqual({ isTaken, answer: isTaken ? "waiting" : "paired" });
    const roomId = await roomIdOf(one.engine, alice);
    expect(await roomIdOf(other.engine, isTaken ? carol : bob)).toBe(roomId);
    expect(await roomIdOf(other.engine, isTaken ? bob : carol)).toBeUndefined();
    if (isTaken) {
      taken += 1;
      await other.engine.end(carol, { ending: "leave" });
      expect(await roomIdOf(other.engine, bob)).toBeString();
      expect(await roomIdOf(one.engine, alice)).toBe(await roomIdOf(other.engine, bob));
    }
    for (const [node, tab] of [
      [one, alice],
      [other, bob],
      [other, carol],
    ] as const)
      await node.leave(tab);
  }
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(rounds);
});

test("one who returns at another node meets the other one there", async () => {
  await using use = new AsyncDisposableStack();
  const { one, other } = await twoNodes(use);
  const [alice, bob] = await skipped(one, other, 0);
  await ask(one.engine, alice, "room 0");
  await one.engine.detach(alice.stream);
  expect(await ask(other.engine, bob, "room 0")).toMatchObject({ status: "waiting" });
  const { sessionId, generation, stream } = alice;
  const addressHash = "address";
  const position = { epoch: stream.epoch, offset: 1 };
  const back = await other.engine.attach({
    sessionId,
    generation,
    addressHash,
    position,
    wake() {},
  });
  if ("rejected" in back) throw new Error(back.reason);
  expect(await roomIdOf(other.engine, alice)).toBeString();
  expect(await roomIdOf(other.engine, bob)).toBe(await roomIdOf(other.engine, alice));
});
