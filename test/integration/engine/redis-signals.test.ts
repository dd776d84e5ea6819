/**
 * Signals on Redis, where a node appends to a partner's log by a name that may be out of date: delivered once per id, in order, to
 * the partner in that room alone, through whichever node.
 */
import { afterAll, afterEach, expect, test } from "bun:test";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Caller, Engine, Stream } from "../../../src/engine/engine.ts";
import type { RedisOptions } from "../../../src/engine/redis/redis-options.ts";
import { limits } from "../../../src/protocol.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import {
  alice,
  as,
  attachTo,
  bob,
  numbers,
  offer,
  pair,
  toldIn,
  toldTo,
} from "../../support/signals.ts";
import {
  createVirtualSystem,
  seededRandom,
  type VirtualSystem,
} from "../../support/virtual-system.ts";

const redis = await startRedis(["--appendonly", "no"]);
afterAll(() => redis[Symbol.asyncDispose]());
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});
let sites = 0;

/** Two nodes of one site, and their clock. */
function twoNodes(first: Partial<RedisOptions> = {}): [Engine, Engine, VirtualSystem] {
  const prefix = `signals-${++sites}:`;
  const system = createVirtualSystem();
  const [one, other] = [first, {}].map((options) => {
    const engines = enginesOn(redis, { prefix, ...options });
    closers.push(engines.close);
    return engines.open(system, engineOptions);
  });
  if (!one || !other) throw new Error("there are two");
  return [one, other, system];
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

test("a signal of a past room, sent again through another node, is found for as long as the partner's log has that room", async () => {
  const [first, second] = twoNodes();
  const ofAlice = await attach(first, "alice");
  const ofBob = await attach(first, "bob");
  await attach(first, "carol");
  await pair(first, "alice", "bob", "room");
  const send = (engine: Engine, id: string) => engine.send(as(bob, id), "room", offer(id));
  for (const id of ["1", "2", "3"]) expect(await send(first, id)).toBe(true);
  await attach(second, "bob", ofBob, ofBob.after);
  await first.end(alice, { ending: "leave" });
  expect(await send(second, "1")).toBe(true);
  await pair(first, "alice", "carol", "room of carol");
  await first.end(alice, { ending: "leave" });
  expect(await send(second, "2")).toBe(true);
  await first.enqueue(alice);
  // Whether it was delivered is no longer known. It is not delivered now, and neither is one that was not sent before.
  expect(await send(second, "3")).toBe(false);
  expect(await send(second, "4")).toBe(false);
  expect(await toldTo(first, ofAlice)).toEqual([]);
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

for (const place of ["one node", "two nodes"])
  test(`a session with two streams on ${place} receives all in order on both, and sends through both`, async () => {
    const [first, second] = twoNodes();
    const at = place === "one node" ? first : second;
    const hers = await attach(first, "alice");
    const his = await attach(first, "bob");
    await pair(first, "alice", "bob", "room");
    const hersToo = await attach(at, "alice", hers, hers.after);
    await attach(at, "bob", his, his.after);
    for (let round = 0; round < 10; round++) {
      const ids = numbers(6 * round + 1, 6 * round + 6);
      const answers: unknown[] = [];
      for (const [index, id] of ids.entries()) {
        // In order: the next one goes the other way once this one is answered. Its last one goes both ways at once.
        const through = index % 2 === 0 ? first : at;
        if (index < 5) answers.push(await through.send(as(bob, id), "room", offer(id)));
        else
          answers.push(
            ...(await Promise.all(
              [first, at].map((engine) => engine.send(as(bob, id), "room", offer(id))),
            )),
          );
      }
      expect(answers).toEqual(Array.from({ length: 7 }, () => true));
      const all = numbers(1, 6 * round + 6);
      expect(await toldTo(first, hers, hers.after)).toEqual(all);
      expect(await toldTo(at, hersToo, hers.after + 1)).toEqual(all);
    }
  });

const endings: Record<string, (hers: Caller, near: Engine, room: string) => Promise<unknown>> = {
  skip: async (hers, near, roomId) => near.end(hers, { ending: "skip", roomId }),
  leave: async (hers, near) => near.end(hers, { ending: "leave" }),
  failed: async (hers, near, roomId) => near.end(hers, { ending: "failed", roomId }),
  async block(hers, near, roomId) {
    await near.avoid(hers, roomId);
    await near.end(hers, { ending: "block", roomId });
  },
  async report(hers, near, roomId) {
    await near.report(hers, roomId);
    await near.end(hers, { ending: "report", roomId });
  },
  suspension: async ({ sessionId: id }, near) =>
    near.suspend({ kind: "session", id }, Number.MAX_SAFE_INTEGER),
};

for (const [name, end] of Object.entries(endings))
  test(`${name}, while signals flow both ways through two nodes: nothing comes after the end, and true was answered for what came`, async () => {
    const [first, second] = twoNodes();
    const random = seededRandom(7);
    const tally = { delivered: 0, refused: 0 };
    for (let round = 0; round < 12; round++) {
      const roomId = `room ${round}`;
      const [she, he] = [`alice ${round}`, `bob ${round}`].map((sessionId) => ({
        sessionId,
        generation: 1,
      })) as [Caller, Caller];
      const hers = await attach(second, she.sessionId);
      const his = await attach(first, he.sessionId);
      await pair(first, she.sessionId, he.sessionId, roomId);
      let hasEnded = false;
      /** Sends, with a few on their way at a time, until some time after the room is over. Returns the answers. */
      const flow = async (from: Caller, through: Engine) => {
        const sent: unknown[] = [];
        for (let left = 8; left > 0; left -= hasEnded ? 1 : 0) {
          const id = String(sent.length + 1);
          sent.push(through.send(as(from, id), roomId, offer(id, roomId)));
          await sent.at(-6);
        }
        return Promise.all(sent);
      };
      const flowing = Promise.all([flow(she, second), flow(he, first)]);
      for (let turn = Math.floor(random() * 10); turn > 0; turn--)
        await new Promise<void>((resolve) => setImmediate(resolve));
      await end(she, random() < 0.5 ? second : first, roomId);
      hasEnded = true;
      // Whoever knows that it has ended has received all that will come.
      const toHer = await toldTo(second, hers, hers.after);
      const toHim = await toldTo(first, his, his.after);
      const [byHer, byHim] = await flowing;
      for (const [from, answers, told] of [
        [she, byHer, toHim],
        [he, byHim, toHer],
      ] as const) {
        const ids = numbers(1, answers.length);
        const delivered = ids.filter((_, index) => answers[index] === true);
        expect(told.filter((what) => what !== "end")).toEqual(delivered);
        expect(answers).toEqual(ids.map((id) => delivered.includes(id)));
        tally.delivered += delivered.length;
        tally.refused += ids.length - delivered.length;
        // The same ids again, through the node that has not seen them: the same answers.
        const other = from === she ? first : second;
        for (const [index, id] of ids.entries())
          expect(await other.send(as(from, id), roomId, offer(id, roomId))).toBe(
            answers[index] as boolean,
          );
      }
      expect(toHim.at(-1)).toBe("end");
      expect(await toldTo(second, hers, hers.after)).toEqual(toHer);
      expect(await toldTo(first, his, his.after)).toEqual(toHim);
      for (const caller of [she, he]) await first.end(caller, { ending: "leave" });
    }
    // Else the end came before all of them, or after.
    expect(tally.delivered).toBeGreaterThan(20);
    expect(tally.refused).toBeGreaterThan(20);
  });

test("the grace of a partner expires while signals flow: kept until then, refused from then on, and none is there when it returns", async () => {
  const [first, second, system] = twoNodes();
  const hers = await attach(second, "alice");
  const his = await attach(first, "bob");
  await pair(first, "alice", "bob", "room");
  await second.detach(hers);
  const send = (id: string) => first.send(as(bob, id), "room", offer(id));
  expect(await Promise.all(numbers(1, 5).map(send))).toEqual([true, true, true, true, true]);
  await system.advance(engineOptions.graceMs + 1);
  const flowing = numbers(6, 9).map(send);
  const swept = Promise.all([first.sweep(), second.sweep()]);
  const late = numbers(10, 13).map(send);
  await swept;
  // Each of them came before the end or after it, in order.
  const answers = await Promise.all([...flowing, ...late]);
  expect(answers).toEqual(answers.toSorted((a, b) => Number(b) - Number(a)));
  expect(await send("14")).toBe(false);
  expect(await toldTo(first, his, his.after)).toEqual(["end"]);
  const back = await attachTo(second, "alice", { from: hers, after: hers.after });
  expect(back.recovered).toBe(false);
  expect(await toldTo(second, back.stream, back.stream.after)).toEqual([]);
  await pair(first, "alice", "bob", "next");
  expect(await send("15")).toBe(false);
  expect(await first.send(as(bob, "16"), "next", offer("16", "next"))).toBe(true);
  expect(await toldTo(second, back.stream, back.stream.after)).toEqual(["16"]);
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

for (const [what, count, bytes, isWhole] of [
  ["as many as the log holds", limits.logEventsMax, 1, true],
  ["one more than the log holds", limits.logEventsMax + 1, 1, false],
  ["nearly the bytes that the log holds", 60, 4096, true],
  ["more bytes than the log holds", 66, 4096, false],
] as const)
  test(`${what}, in bursts through two nodes to a partner who is away: ${isWhole ? "all are replayed" : "`resync`, and never a part"}`, async () => {
    const [first, second] = twoNodes();
    const hers = await attach(second, "alice");
    const his = await attach(first, "bob");
    await attach(second, "bob", his, his.after);
    await pair(first, "alice", "bob", "room");
    const { length } = (await second.read(hers, hers.after)) as unknown[];
    await second.detach(hers);
    const ids = numbers(1, count);
    const text = (id: string) => id.padEnd(bytes, "x");
    for (let from = 0; from < count; from += 10) {
      const through = (from / 10) % 2 === 0 ? first : second;
      const burst = ids.slice(from, from + 10);
      const answers = burst.map((id) => through.send(as(bob, id), "room", offer(text(id))));
      expect(await Promise.all(answers)).toEqual(burst.map(() => true));
    }
    const after = hers.after + length;
    const back = await attachTo(second, "alice", { from: hers, after });
    expect(back.recovered).toBe(isWhole);
    expect(toldIn(back.missed)).toEqual(isWhole ? ids.map(text) : []);
    // The way is open, also where old entries were dropped.
    for (const [id, through] of [
      ["next", first],
      ["last", second],
    ] as const)
      expect(await through.send(as(bob, id), "room", offer(id))).toBe(true);
    expect(await toldTo(second, back.stream, back.stream.after)).toEqual(["next", "last"]);
  });

test("a reader on another node that falls behind the log is told so, and what follows is there", async () => {
  const [first, second] = twoNodes();
  const hers = await attach(second, "alice");
  await attach(first, "bob");
  await pair(first, "alice", "bob", "room");
  const { length } = (await second.read(hers, hers.after)) as unknown[];
  const begin = hers.after + length;
  const ids = numbers(1, limits.logEventsMax + 1);
  for (const id of ids) expect(await first.send(as(bob, id), "room", offer(id))).toBe(true);
  expect(await second.read(hers, begin)).toBe("overflow");
  expect(await toldTo(second, hers, begin + 1)).toEqual(ids.slice(1));
});

for (const place of ["the same node", "another node"])
  test(`old entries are dropped while more signals are on their way to a reader on ${place}: it misses none that is in time`, async () => {
    const [first, second] = twoNodes();
    const at = place === "the same node" ? first : second;
    const hers = await attach(at, "alice");
    await attach(first, "bob");
    await pair(first, "alice", "bob", "room");
    // From here on the way to her log is known.
    expect(await first.send(as(bob, "1"), "room", offer("1"))).toBe(true);
    const told: string[] = [];
    let { after } = hers;
    const read = async () => {
      const entries = await at.read(hers, after);
      if (!Array.isArray(entries)) throw new Error(`not readable: ${JSON.stringify(entries)}`);
      after = entries.at(-1)?.offset ?? after;
      told.push(...toldIn(entries));
    };
    let sent = 1;
    for (let round = 0; round < 10; round++) {
      const answers: unknown[] = [];
      for (const id of numbers(sent + 1, sent + 100)) {
        answers.push(first.send(as(bob, id), "room", offer(id)));
        if (Number(id) % 10 === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      }
      sent += 100;
      expect(await Promise.all(answers)).toEqual(answers.map(() => true));
      await read();
    }
    expect(told).toEqual(numbers(1, sent));
  });

for (const [place, isHere, isStale] of [
  ["on the node of its stream", true, false],
  ["on a node without a stream of it, which has to read the session first", false, false],
  ["on a node that knows it as it was before its partner left", true, true],
] as const)
  test(`calls that one session makes in one turn ${place} are carried out in their order, signals among them`, async () => {
    const [first, second] = twoNodes();
    const ofAlice = await attach(second, "alice");
    await attach(isHere ? first : second, "bob");
    const wishes = { ...defaultWishes, autoRejoin: false };
    for (let n = 0; n < 50; n++) {
      const roomId = `room ${n}`;
      if (isStale) {
        await pair(first, "alice", "bob", roomId);
        await second.end(alice, { ending: "leave" });
      }
      // A call without an id changes nothing in Redis if it finds nothing to change.
      const call = (name: string) => (n % 2 === 0 ? bob : as(bob, `${name} ${n}`));
      const [joined, left] = await Promise.all([
        first.enqueue(call("join"), wishes),
        first.end(call("leave"), { ending: "leave" }),
      ]);
      expect([joined, left]).toMatchObject([{ status: "waiting" }, { status: "idle" }]);
      expect(await first.status(bob)).toEqual({ status: "idle" });
    }
    await pair(first, "alice", "bob", "room");
    const [before, left, after] = await Promise.all([
      first.send(as(bob, "before"), "room", offer("before")),
      first.end(as(bob, "end"), { ending: "leave" }),
      first.send(as(bob, "after"), "room", offer("after")),
    ]);
    expect([before, after]).toEqual([true, false]);
    expect(left).toMatchObject({ status: "idle" });
    expect(await toldTo(second, ofAlice)).toEqual(["before", "end"]);
  });
