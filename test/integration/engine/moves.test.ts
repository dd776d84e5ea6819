/** Moves of sessions from shard to shard that are cut off between their steps: the session is whole in one of the two. */
import { afterAll, expect, test } from "bun:test";
import { isRejection } from "../../../src/domain/rejection.ts";
import { measured } from "../../../src/domain/standby.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import { Moves } from "../../../src/engine/redis/moves.ts";
import { Openings } from "../../../src/engine/redis/openings.ts";
import { scripts } from "../../../src/engine/redis/scripts.ts";
import { Shard } from "../../../src/engine/redis/shard.ts";
import type { Stats } from "../../../src/protocol.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions as options } from "../../support/engine-options.ts";
import { offerNamed } from "../../support/standby-contract.ts";
import { startRedis } from "../../support/redis.ts";

const redis = await startRedis(["--appendonly", "no"]);
afterAll(() => redis[Symbol.asyncDispose]());

const nobody: Stats = {
  online: 0,
  waiting: { video: 0, audio: 0, text: 0 },
  rooms: { video: 0, audio: 0, text: 0 },
};
let sites = 0;

/** Two shards on one Redis, as one node has them. */
async function twoShards() {
  const system = createSystem();
  const prefix = `site ${++sites}:`;
  const createShard = (shard: number) =>
    new Shard({
      shard,
      location: redis.url,
      prefix,
      about: "",
      load: () => "",
      onLoads() {},
      leaseMs: 60_000,
      timeoutMs: 5000,
      clock: system,
      options,
      batchMs: 0,
      suspended: () => undefined,
      elsewhere: () => nobody,
      onUnavailable() {},
      onActivating: async () => {},
      onAvailable() {},
      onHeartbeat: async () => {},
      onModeration() {},
      onDisconnect() {},
      onRoomEnded() {},
      onMetAgain() {},
      onUntold: async () => {},
      onTakeOver() {},
      onBug: console.error,
    });
  const [first, second] = [createShard(0), createShard(1)];
  const shards = [first, second];
  await Promise.all(shards.map(({ node }) => node.ready()));
  const openings = new Openings({ shards, openAbove: 1, closeBelow: 0 });
  const moves = new Moves({ shards, openings, options, seekAfterMs: 1 });
  return {
    first,
    second,
    moves,
    openings,
    async [Symbol.asyncDispose]() {
      for (const { node } of shards) node.close();
    },
  };
}

/** Its number, 1, is the shard of its birth. */
const alice = "alice_______________AB";
const wishes = { ...defaultWishes, interests: ["jazz"] };

async function attach(shard: Shard, sessionId: string, offset?: number, account?: string) {
  let woken = 0;
  const attached = await shard.attach({
    sessionId,
    account,
    generation: offset === undefined ? 0 : 1,
    addressHash: "",
    ...(offset !== undefined && { position: { epoch: "another", offset } }),
    wake: () => void woken++,
  });
  if (isRejection(attached)) throw new Error(attached.reason);
  return { ...attached, woken: () => woken };
}

const enter = async (shard: Shard, sessionId: string, generation: number) =>
  expect(
    await shard.enqueue({ sessionId, generation, mutationId: "join 1" }, wishes),
  ).toMatchObject({ status: "waiting" });

/** Whether somebody who waits in a shard is offered alice's ticket. */
async function isOffered(shard: Shard): Promise<boolean> {
  const bob = `bob ${Math.random()}`;
  const { stream } = await attach(shard, bob);
  await enter(shard, bob, stream.generation);
  const found = await shard.matchOptions(bob);
  await shard.end({ sessionId: bob, generation: stream.generation }, { ending: "leave" });
  return found?.eligible.some(({ sessionId }) => sessionId === alice) === true;
}

test("a session that is moved is counted in its lobby where it has come to, and nowhere else", async () => {
  await using site = await twoShards();
  const { first, second, moves, openings } = site;
  const { stream } = await attach(second, alice);
  const caller = { sessionId: alice, generation: stream.generation };
  await second.enqueue(caller, { ...wishes, lobby: "berlin" });
  const berlin = { online: 1, waiting: { video: 1, audio: 0, text: 0 }, rooms: nobody.rooms };
  expect((await second.counts()).lobbies).toEqual(new Map([["berlin", berlin]]));
  for (const shard of [0, 1]) await openings.refresh(shard);
  expect(openings.elsewhere(0, "berlin")).toEqual(berlin);
  expect(openings.elsewhere(0, undefined)).toEqual(nobody);
  expect(openings.elsewhere(1, "berlin")).toEqual(nobody);
  expect(await moves.move(alice, second, first)).toBe(true);
  expect(await second.counts()).toEqual({ ...nobody, lobbies: new Map() });
  expect(await first.counts()).toEqual({ ...nobody, lobbies: new Map() });
  await attach(first, alice, 1);
  expect((await first.counts()).lobbies).toEqual(new Map([["berlin", berlin]]));
  expect(await first.countsOf("berlin")).toEqual(berlin);
  expect(await first.countsOf(undefined)).toEqual(nobody);
});

test("a session that is moved waits where it has come to, as it was, and nowhere else", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const { stream, woken } = await attach(second, alice);
  await enter(second, alice, stream.generation);
  const before = (await second.matchOptions(alice))?.ticket;
  const wakings = woken();
  expect(await moves.move(alice, second, first)).toBe(true);
  expect(second.read(stream, 0)).toBe("detached");
  expect(woken()).toBeGreaterThan(wakings);
  expect(await isOffered(second)).toBe(false);
  expect(await second.counts()).toMatchObject({ waiting: { video: 0 } });
  expect(await moves.find(alice)).toBe(first);
  // Absent so far: nobody is offered a copy.
  expect(await isOffered(first)).toBe(false);
  const back = await attach(first, alice, 1);
  expect(back.recovered).toBe(false);
  expect(back.newlyWaiting).toEqual([alice]);
  const { ticket } = (await first.matchOptions(alice)) ?? {};
  expect(ticket).toMatchObject({
    wishes: before?.wishes as object,
    queuedSince: before?.queuedSince as number,
  });
  expect(await isOffered(first)).toBe(true);
  // It is known to wait though it has not entered the lobby here, and could seek elsewhere.
  expect(first.inboxes.waiting(first.now())).toContain(alice);
  // The same id has the same result, and is not carried out again.
  const { generation } = back.stream;
  await first.end({ sessionId: alice, generation }, { ending: "leave" });
  await enter(first, alice, generation);
  expect(await first.status({ sessionId: alice, generation })).toEqual({ status: "idle" });
});

test("a standing offer stays behind when its session is moved, and leaves nothing there", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const { stream } = await attach(second, alice);
  await enter(second, alice, stream.generation);
  const caller = { sessionId: alice, generation: stream.generation };
  expect(await second.standby(caller, offerNamed("alice"))).toEqual({ kept: true });
  const { keys } = second.node;
  const left = () =>
    Promise.all(
      [keys.standingOffer(alice), keys.standingBytes()].map((key) =>
        second.node.command("EXISTS", key),
      ),
    );
  expect(await left()).toEqual([1, 1]);
  expect(await moves.move(alice, second, first)).toBe(true);
  expect(await left()).toEqual([0, 0]);
  const { stream: anew } = await attach(first, alice, 1);
  const back = { sessionId: alice, generation: anew.generation };
  // It is taken for none, so that this replaces none.
  expect(await first.standby(back, offerNamed("anew"))).toEqual({ kept: true });
  expect(await first.node.command("HGET", first.node.keys.standingBytes(), "all")).toBe(
    String(measured(offerNamed("anew")).bytes),
  );
});

test("a move that is cut off before the session is replaced changes nothing for anybody", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const { stream } = await attach(second, alice);
  await enter(second, alice, stream.generation);
  const { run } = second.node;
  second.node.run = ((script: object, ...rest: [never, never]) => {
    if (script === scripts.depart) throw new Error("the process ends here");
    return run.call(second.node, script as never, ...rest);
  }) as typeof run;
  await expect(moves.move(alice, second, first)).rejects.toThrow("the process ends here");
  second.node.run = run;
  // Its stream is attached again, to where it is.
  expect(await moves.find(alice)).toBe(second);
  const back = await attach(second, alice, 1);
  expect(await isOffered(second)).toBe(true);
  expect(await isOffered(first)).toBe(false);
  expect(await first.counts()).toMatchObject({ waiting: { video: 0 } });
  // A later move does not stumble over the first one's copy.
  expect(await moves.move(alice, second, first)).toBe(true);
  const moved = await attach(first, alice, 1);
  expect(moved.stream.generation).toBeGreaterThan(back.stream.generation);
  expect(await isOffered(first)).toBe(true);
});

test("a move whose end was not heard of is found by whoever comes back", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const { stream } = await attach(second, alice);
  await enter(second, alice, stream.generation);
  const { run } = second.node;
  second.node.run = (async (script: object, ...rest: [never, never]) => {
    const reply = await run.call(second.node, script as never, ...rest);
    if (script === scripts.depart) throw new Error("no answer");
    return reply;
  }) as typeof run;
  await expect(moves.move(alice, second, first)).rejects.toThrow("no answer");
  second.node.run = run;
  expect(await moves.find(alice)).toBe(first);
  await attach(first, alice, 1);
  expect(await isOffered(first)).toBe(true);
  expect(await isOffered(second)).toBe(false);
});

test("a session that has changed while it was copied stays, and so does one in a room", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const { stream } = await attach(second, alice);
  await enter(second, alice, stream.generation);
  const { run } = first.node;
  first.node.run = (async (script: object, ...rest: [never, never]) => {
    const reply = await run.call(first.node, script as never, ...rest);
    // A call over HTTP, through another node.
    if (script === scripts.arrive)
      await second.end({ sessionId: alice, generation: 1 }, { ending: "leave" });
    return reply;
  }) as typeof run;
  expect(await moves.move(alice, second, first)).toBe(false);
  first.node.run = run;
  expect(await moves.find(alice)).toBe(second);
  expect(second.read(stream, 0)).toBeArray();
  const bob = "bob_________________AB";
  const ofBob = await attach(second, bob);
  for (const sessionId of [alice, bob])
    await second.enqueue({ sessionId, generation: ofBob.stream.generation }, wishes);
  const found = await second.matchOptions(bob);
  const [polite] = found?.eligible ?? [];
  if (!found || !polite) throw new Error("alice is on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await second.pair({ ...terms, impolite: found.ticket, polite })).toBe(true);
  expect(await moves.move(alice, second, first)).toBe(false);
});

test("whoever comes at the moment of a move is led to where the session has gone, and nothing begins anew", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const { stream } = await attach(second, alice);
  await enter(second, alice, stream.generation);
  const { run } = second.node;
  let moved: Promise<boolean> | undefined;
  second.node.run = (async (script: object, ...rest: [never, never]) => {
    const reply = await run.call(second.node, script as never, ...rest);
    // Between what a call has read and what it is about to do.
    if (script === scripts.readSessions) await (moved ??= moves.move(alice, second, first));
    return reply;
  }) as typeof run;
  const request = { sessionId: alice, generation: 1, addressHash: "", wake() {} };
  const attached = await moves.follow(alice, (shard) => shard.attach(request), false);
  expect(await moved).toBe(true);
  if (isRejection(attached)) throw new Error(attached.reason);
  expect(attached.newlyWaiting).toEqual([alice]);
  expect(first.inboxes.has(alice)).toBe(true);
  expect(await second.counts()).toMatchObject({ online: 0, waiting: { video: 0 } });
  expect(await isOffered(first)).toBe(true);
});

test("a call over HTTP that finds no session where it was moved from is made again where it is", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const { stream } = await attach(second, alice);
  await enter(second, alice, stream.generation);
  let calls = 0;
  const status = await moves.follow(
    alice,
    async (shard) => {
      // The first one has looked the session up, and comes too late; no stream of it is left on this node.
      if (calls++ === 0) await moves.move(alice, second, first);
      return shard.status({ sessionId: alice, generation: 9 });
    },
    false,
  );
  expect(calls).toBe(2);
  expect(status).toEqual({ status: "waiting" });
});

test("a session that is moved takes what its account has along, and adds it to what that has already", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  /** Two meet, and the first one skips or blocks the second one. */
  async function meet(shard: Shard, one: string, other: string, act: "skip" | "block") {
    const found = await shard.matchOptions(one);
    const polite = found?.eligible.find(({ sessionId }) => sessionId === other);
    if (!found || !polite) throw new Error(`${other} must be on offer to ${one}`);
    const roomId = `${one} and ${other}`;
    const terms = { roomId, relayOnly: false, sharedInterests: [] };
    expect(await shard.pair({ ...terms, impolite: found.ticket, polite })).toBe(true);
    const caller = { sessionId: one, generation: 1 };
    if (act === "block") await shard.block(caller, roomId, { partnerId: other, votes: false });
    await shard.end(caller, { ending: act });
    await shard.end({ sessionId: other, generation: 1 }, { ending: "leave" });
    return roomId;
  }
  const people: [Shard, string, string][] = [
    [second, alice, "alice"],
    [second, "bob 1", "bob"],
    [first, "alice 2", "alice"],
    [first, "carol 1", "carol"],
  ];
  for (const [shard, sessionId, account] of people) {
    await attach(shard, sessionId, undefined, account);
    await enter(shard, sessionId, 1);
  }
  const room = await meet(second, alice, "bob 1", "skip");
  await meet(first, "alice 2", "carol 1", "block");
  await first.end({ sessionId: "alice 2", generation: 1 }, { ending: "leave" });
  expect(await moves.move(alice, second, first)).toBe(true);
  const back = await attach(first, alice, 1, "alice");
  for (const [sessionId, account] of [
    ["bob 2", "bob"],
    ["carol 2", "carol"],
    ["dave 1", "dave"],
  ] as const) {
    await attach(first, sessionId, undefined, account);
    await enter(first, sessionId, 1);
  }
  const found = await first.matchOptions(alice);
  expect(found?.eligible.map(({ sessionId }) => sessionId)).toEqual(["dave 1"]);
  // What the account had here before is kept.
  const caller = { sessionId: alice, generation: back.stream.generation };
  expect(await first.metIn(caller, room)).toMatchObject({
    reporter: { account: "alice", roomCount: 1, roomsRejected: 1 },
  });
});

test("what a member of a past room has asked for lapses when it is moved, and counts again where both are", async () => {
  await using site = await twoShards();
  const { first, second, moves } = site;
  const bob = "bob_________________AB";
  const [ofAlice, ofBob] = [await attach(second, alice), await attach(second, bob)];
  for (const { stream } of [ofAlice, ofBob]) await enter(second, stream.sessionId, 1);
  const options = await second.matchOptions(bob);
  const [polite] = options?.eligible ?? [];
  if (!options || !polite) throw new Error("alice must be on offer");
  const room = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await second.pair({ ...room, impolite: options.ticket, polite })).toBe(true);
  await second.end({ sessionId: alice, generation: 1 }, { ending: "skip" });
  const waiting = { status: "waiting" };
  const ask = (shard: Shard, sessionId: string, generation: number) =>
    shard.again({ sessionId, generation }, "room", `${sessionId}${generation}`);
  expect(await ask(second, alice, 1)).toMatchObject(waiting);
  expect(await moves.move(alice, second, first)).toBe(true);
  // While only the copy is there, and once alice is.
  expect(await ask(second, bob, 1)).toMatchObject(waiting);
  const { stream } = await attach(first, alice, 1);
  const { generation } = stream;
  expect(await ask(first, alice, generation)).toMatchObject(waiting);
  expect(await second.status({ sessionId: bob, generation: 1 })).toEqual({ status: "waiting" });
  expect(await moves.move(bob, second, first)).toBe(true);
  expect(await first.status({ sessionId: alice, generation })).toEqual({ status: "waiting" });
  const back = await attach(first, bob, 1);
  expect(back.newlyWaiting).toEqual([]);
  const standing = await first.status({ sessionId: alice, generation });
  expect(standing).toMatchObject({ status: "paired" });
  const its = await first.status({ sessionId: bob, generation: back.stream.generation });
  expect(its).toEqual(standing);
});
