/**
 * Signals on Redis, where a node appends to a partner's log by a name that may be out of date: delivered once per id, in order, to
 * the partner in that room alone, through whichever node.
 */
import { afterAll, afterEach, expect, test } from "bun:test";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Engine, Stream } from "../../../src/engine/engine.ts";
import type { RedisOptions } from "../../../src/engine/redis/redis-engine.ts";
import { limits } from "../../../src/protocol.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { alice, as, attachTo, bob, offer, pair, toldTo } from "../../support/signals.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const redis = await startRedis(["--appendonly", "no"]);
afterAll(() => redis[Symbol.asyncDispose]());
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});
let sites = 0;

/** Two nodes of one site. */
function twoNodes(first: Partial<RedisOptions> = {}): [Engine, Engine] {
  const prefix = `signals-${++sites}:`;
  const system = createVirtualSystem();
  const [one, other] = [first, {}].map((options) => {
    const engines = enginesOn(redis, { prefix, ...options });
    closers.push(engines.close);
    return engines.open(system, engineOptions);
  });
  if (!one || !other) throw new Error("there are two");
  return [one, other];
}

const attach = async (engine: Engine, sessionId: string, from?: Stream, after = 0) =>
  (await attachTo(engine, sessionId, { from, after })).stream;

test("the same id through two nodes is delivered once, with the same answer", async () => {
  const [first, second] = twoNodes();
  const ofAlice = await attach(first, "alice");
  const ofBob = await attach(first, "bob");
  await pair(first, "alice", "bob", "room");
  expect(await first.send(as(bob, "1"), "room", offer("1"))).toBe(true);
  expect(await first.send(as(bob, "2"), "room", offer("2"))).toBe(true);
  await attach(second, "bob", ofBob, 1);
  // A new one first: that opens the way for all that follow, and must not let an old one through.
  expect(await second.send(as(bob, "3"), "room", offer("3"))).toBe(true);
  expect(await second.send(as(bob, "1"), "room", offer("1"))).toBe(true);
  expect(await second.send(as(bob, "2"), "room", offer("2"))).toBe(true);
  // And back, where the old way is still known.
  expect(await first.send(as(bob, "3"), "room", offer("3"))).toBe(true);
  expect(await first.send(as(bob, "4"), "room", offer("4"))).toBe(true);
  expect(await second.send(as(bob, "4"), "room", offer("4"))).toBe(true);
  expect(await toldTo(first, ofAlice)).toEqual(["1", "2", "3", "4"]);
  // Also when the room is over.
  await first.end(alice, { ending: "leave" });
  expect(await second.send(as(bob, "2"), "room", offer("2"))).toBe(true);
  expect(await second.send(as(bob, "5"), "room", offer("5"))).toBe(false);
  expect(await toldTo(first, ofAlice)).toEqual(["1", "2", "3", "4"]);
});

test("a signal that waits on one node is not delivered again after it came through another", async () => {
  const [slow, second] = twoNodes({ batchMs: 300 });
  const ofAlice = await attach(slow, "alice");
  const ofBob = await attach(slow, "bob");
  await pair(slow, "alice", "bob", "room");
  expect(await slow.send(as(bob, "1"), "room", offer("1"))).toBe(true);
  const waiting = ["2", "3"].map((n) => slow.send(as(bob, n), "room", offer(n)));
  // Attached without a word to the other node, as after a connection that was cut.
  await attach(second, "bob", ofBob, 1);
  expect(await second.send(as(bob, "2"), "room", offer("2"))).toBe(true);
  expect(await Promise.all(waiting)).toEqual([true, true]);
  expect(await second.send(as(bob, "3"), "room", offer("3"))).toBe(true);
  expect(await toldTo(slow, ofAlice)).toEqual(["1", "2", "3"]);
});

test("after a take-over nothing comes from the tab that lost the session", async () => {
  const [first, second] = twoNodes();
  const ofAlice = await attach(first, "alice");
  await attach(first, "bob");
  await pair(first, "alice", "bob", "room");
  expect(await first.send(bob, "room", offer("1"))).toBe(true);
  const late = first.send(bob, "room", offer("2"));
  const { generation } = await attach(second, "bob");
  const before = await toldTo(first, ofAlice);
  expect(await late).toBe(true);
  expect(before).toEqual(["1", "2"]);
  expect(await first.send(bob, "room", offer("3"))).toMatchObject({ reason: "taken-over" });
  expect(await second.send({ ...bob, generation }, "room", offer("4"))).toBe(true);
  expect(await toldTo(first, ofAlice)).toEqual(["1", "2", "4"]);
});

test("no signal comes after the end of its room, nor into the next one of the same two", async () => {
  const [first, second] = twoNodes();
  const ofAlice = await attach(second, "alice");
  await attach(first, "bob");
  await pair(first, "alice", "bob", "room");
  expect(await first.send(bob, "room", offer("1"))).toBe(true);
  const flowing = ["2", "3", "4"].map((n) => first.send(as(bob, n), "room", offer(n)));
  const ended = second.end(alice, { ending: "leave" });
  const answers = await Promise.all(flowing);
  await ended;
  expect(await first.send(as(bob, "5"), "room", offer("5"))).toBe(false);
  const delivered = ["1", ...["2", "3", "4"].filter((_, index) => answers[index] === true)];
  expect(await toldTo(second, ofAlice)).toEqual(delivered);
  await pair(first, "alice", "bob", "another room");
  expect(await first.send(as(bob, "6"), "room", offer("6"))).toBe(false);
  expect(await first.send(bob, "another room", offer("7", "another room"))).toBe(true);
  expect(await first.send(bob, "no room of his", offer("8"))).toMatchObject({
    reason: "not-in-room",
  });
  expect(await toldTo(second, ofAlice)).toEqual([...delivered, "7"]);
});

test("an id that another peer has used for the same partner is another one, also in a room that is over", async () => {
  const [first, second] = twoNodes();
  const ofAlice = await attach(first, "alice");
  const ofBob = await attach(first, "bob");
  const { generation } = await attach(first, "carol");
  await pair(first, "alice", "bob", "room");
  await first.end(alice, { ending: "leave" });
  await pair(first, "alice", "carol", "room of carol");
  const carol = { sessionId: "carol", generation };
  const hers = offer("1", "room of carol");
  expect(await first.send(as(carol, "1"), "room of carol", hers)).toBe(true);
  // Bob has come from another node, which may have delivered it.
  await attach(second, "bob", ofBob, 1);
  expect(await second.send(as(bob, "1"), "room", offer("not delivered"))).toBe(false);
  expect(await toldTo(first, ofAlice)).toEqual(["1"]);
});

test("signals follow the partner from node to node, and to all its streams", async () => {
  const [first, second] = twoNodes();
  const here = await attach(first, "alice");
  await attach(first, "bob");
  await pair(first, "alice", "bob", "room");
  expect(await first.send(bob, "room", offer("1"))).toBe(true);
  const there = await attach(second, "alice", here, 1);
  expect(await first.send(bob, "room", offer("2"))).toBe(true);
  expect(await toldTo(first, here)).toEqual(["1", "2"]);
  expect(await toldTo(second, there, there.after)).toEqual(["2"]);
  await first.detach(here);
  expect(await first.send(bob, "room", offer("3"))).toBe(true);
  expect(await toldTo(second, there, there.after)).toEqual(["2", "3"]);
  // While she is away they are kept.
  await second.detach(there);
  expect(await first.send(bob, "room", offer("4"))).toBe(true);
  const back = await attach(second, "alice", here, here.after);
  expect(await first.send(bob, "room", offer("5"))).toBe(true);
  expect((await toldTo(second, back, back.after)).at(-1)).toBe("5");
});

test("more signals than a log holds: the newest are there, in order, and the way stays open", async () => {
  const [first] = twoNodes();
  const ofAlice = await attach(first, "alice");
  await attach(first, "bob");
  await pair(first, "alice", "bob", "room");
  const count = 2 * limits.logEventsMax;
  const all = Array.from({ length: count }, (_, n) => `${n}`);
  const answers = await Promise.all(all.map((n) => first.send(as(bob, n), "room", offer(n))));
  expect(answers.every((answer) => answer === true)).toBe(true);
  // An event of alice's own is somewhere before them.
  const last = ofAlice.after + 3 + count;
  const newest = await toldTo(first, ofAlice, last - 200);
  expect(newest).toEqual(all.slice(-newest.length));
  expect(newest.length).toBeGreaterThanOrEqual(199);
  expect(await first.read(ofAlice, 3)).toBe("overflow");
  expect(await first.send(as(bob, "last"), "room", offer("last"))).toBe(true);
  expect((await toldTo(first, ofAlice, last - 10)).at(-1)).toBe("last");
});

test("calls that one session makes in one turn are carried out in their order, signals among them", async () => {
  const [first] = twoNodes();
  const ofAlice = await attach(first, "alice");
  await attach(first, "bob");
  const wishes = { ...defaultWishes, autoRejoin: false };
  for (let n = 0; n < 50; n++) {
    const [joined, left] = await Promise.all([
      first.enqueue(as(bob, `join ${n}`), wishes),
      first.end(as(bob, `leave ${n}`), { ending: "leave" }),
    ]);
    expect([joined, left]).toMatchObject([{ status: "waiting" }, { status: "idle" }]);
  }
  await pair(first, "alice", "bob", "room");
  const [before, left, after] = await Promise.all([
    first.send(as(bob, "before"), "room", offer("before")),
    first.end(as(bob, "end"), { ending: "leave" }),
    first.send(as(bob, "after"), "room", offer("after")),
  ]);
  expect([before, after]).toEqual([true, false]);
  expect(left).toMatchObject({ status: "idle" });
  expect(await toldTo(first, ofAlice)).toEqual(["before", "end"]);
});
