/**
 * Signals on Redis while nodes and Redis itself die: a peer sends again, through another node, whatever was not answered, and each
 * signal is delivered once and in order.
 */
import { expect, test } from "bun:test";
import type { Engine, Stream } from "../../../src/engine/engine.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { enginesOn, startRedis, type Redis } from "../../support/redis.ts";
import { alice, as, attachTo, bob, numbers, offer, pair, toldIn } from "../../support/signals.ts";
import { createTcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/until.ts";
import { createVirtualSystem, seededRandom } from "../../support/virtual-system.ts";

let sites = 0;

/** Nodes of one site, each with a connection of its own to Redis. */
async function startSite(stack: AsyncDisposableStack, redis: Redis) {
  const prefix = `faults-${++sites}:`;
  const system = createVirtualSystem();
  return {
    async openNode() {
      const wire = stack.use(await createTcpProxy(new URL(redis.url)));
      const location = wire.http.replace("http:", "redis:");
      const engines = enginesOn({ url: location }, { prefix, timeoutMs: 800 });
      stack.defer(engines.close);
      const engine = engines.open(system, engineOptions);
      await until("the node is available", () => engine.available());
      return {
        engine,
        wire,
        /** Its streams stay open, as far as Redis knows. */
        async die() {
          wire.refuse(true);
          wire.cut();
          await engines.close();
        },
      };
    },
  };
}

/** Reads the events of one session, wherever its stream is. */
async function createReader(first: Engine, sessionId: string) {
  let engine = first;
  let { stream } = await attachTo(engine, sessionId);
  let { after } = stream;
  const told: string[] = [];
  return {
    told,
    get stream(): Stream {
      return stream;
    },
    async read() {
      const entries = await engine.read(stream, after);
      if (!Array.isArray(entries)) throw new Error(`not readable: ${JSON.stringify(entries)}`);
      after = entries.at(-1)?.offset ?? after;
      told.push(...toldIn(entries));
    },
    /** Attaches elsewhere, from the last event that was received. Returns whether nothing is missing. */
    async move(to: Engine): Promise<boolean> {
      engine = to;
      const attached = await attachTo(engine, sessionId, { from: stream, after });
      ({ stream } = attached);
      ({ after } = stream);
      told.push(...toldIn(attached.missed));
      return attached.recovered;
    },
  };
}

/** Sends in order without waiting for answers, in several scripts. Returns those that were answered `true`. */
async function sendAll(engine: Engine, ids: readonly string[], generation = 1) {
  const delivered = new Set<string>();
  const answers: Promise<unknown>[] = [];
  for (const [index, id] of ids.entries()) {
    // The tests' engines wait until they are available.
    if (!engine.available()) break;
    const answer = Promise.resolve(
      engine.send(as({ ...bob, generation }, id), "room", offer(id)),
    ).then((result) => {
      if (result === true) delivered.add(id);
      else expect(result).toMatchObject({ reason: "unavailable" });
    });
    answers.push(answer);
    if (index % 3 === 2) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await Promise.all(answers);
  return ids.filter((id) => delivered.has(id));
}

/** The newest entry of alice's log, as Redis has it. */
async function newestInLog(redis: Redis): Promise<string> {
  const key = (await redis.cli("--scan", "--pattern", "*:l:alice:*")).trim();
  return redis.cli("lindex", key, "-1");
}

for (const place of ["the same node", "another node"])
  test(`a node dies while signals flow to a partner on ${place}, again and again: none lost, none twice, none out of order`, async () => {
    await using stack = new AsyncDisposableStack();
    const redis = stack.use(await startRedis(["--appendonly", "no"]));
    const { openNode } = await startSite(stack, redis);
    const random = seededRandom(4);
    const isTogether = place === "the same node";
    let node = await openNode();
    const hers = await createReader(isTogether ? node.engine : (await openNode()).engine, "alice");
    const his = await createReader(node.engine, "bob");
    await pair(node.engine, "alice", "bob", "room");
    const sent: string[] = [];
    for (let round = 0; round < 12; round++) {
      const { engine, wire, die } = node;
      const next = (count: number) => numbers(sent.length + 1, sent.length + count);
      const send = (ids: string[]) => {
        sent.push(...ids);
        return sendAll(engine, ids);
      };
      const answered = next(Math.floor(random() * 8));
      expect(await send(answered)).toEqual(answered);
      // These are carried out, but not answered.
      wire.deafen();
      const carriedOut = next(1 + Math.floor(random() * 8));
      const unheard = send(carriedOut);
      const last = carriedOut.at(-1) ?? "";
      await until("they are in her log", async () =>
        (await newestInLog(redis)).includes(`"sdp":"${last}"`),
      );
      // And these do not get through.
      wire.freeze();
      const lost = next(1 + Math.floor(random() * 8));
      const unsent = send(lost);
      await die();
      expect([await unheard, await unsent]).toEqual([[], []]);
      node = await openNode();
      expect(await his.move(node.engine)).toBe(true);
      if (isTogether) expect(await hers.move(node.engine)).toBe(true);
      const again = [...carriedOut, ...lost];
      expect(await sendAll(node.engine, again)).toEqual(again);
      await hers.read();
      expect(hers.told).toEqual(sent);
    }
  }, 30_000);

test("signals of a node that was cut off reach Redis only after they came through another one: delivered once, both answers true", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis(["--appendonly", "no"]));
  const { openNode } = await startSite(stack, redis);
  const [slow, second] = [await openNode(), await openNode()];
  const hers = await createReader(second.engine, "alice");
  const his = await createReader(slow.engine, "bob");
  await pair(slow.engine, "alice", "bob", "room");
  // It knows where her log is, and appends to it without a check.
  expect(await sendAll(slow.engine, ["1"])).toEqual(["1"]);
  slow.wire.freeze();
  const held = sendAll(slow.engine, ["2", "3", "4"]);
  expect(await his.move(second.engine)).toBe(true);
  expect(await sendAll(second.engine, ["2", "3"])).toEqual(["2", "3"]);
  slow.wire.thaw();
  expect(await held).toEqual(["2", "3", "4"]);
  expect(await sendAll(second.engine, ["4", "5"])).toEqual(["4", "5"]);
  await hers.read();
  expect(hers.told).toEqual(numbers(1, 5));
});

test("the same ids through two nodes at once, in any order of the scripts: delivered once and in order, all answers true", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis(["--appendonly", "no"]));
  const { openNode } = await startSite(stack, redis);
  const nodes = [await openNode(), await openNode()] as const;
  const hers = await createReader(nodes[1].engine, "alice");
  const his = await createReader(nodes[0].engine, "bob");
  await attachTo(nodes[1].engine, "bob", { from: his.stream, after: his.stream.after });
  await pair(nodes[0].engine, "alice", "bob", "room");
  const random = seededRandom(5);
  for (let round = 0; round < 20; round++) {
    const ids = numbers(10 * round + 1, 10 * round + 10);
    const through = nodes.map(async ({ engine, wire }) => {
      wire.lag(Math.floor(random() * 4));
      return sendAll(engine, ids);
    });
    expect(await Promise.all(through)).toEqual([ids, ids]);
    await hers.read();
  }
  expect(hers.told).toEqual(numbers(1, 200));
});

test("signals of a tab reach Redis only after another tab has taken its session over: none is delivered, and the new ones are", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis(["--appendonly", "no"]));
  const { openNode } = await startSite(stack, redis);
  const [slow, second] = [await openNode(), await openNode()];
  const hers = await createReader(second.engine, "alice");
  await attachTo(slow.engine, "bob");
  await pair(slow.engine, "alice", "bob", "room");
  for (let generation = 1; generation <= 5; generation++) {
    const caller = { ...bob, generation };
    const name = `of tab ${generation}`;
    expect(await slow.engine.send(as(caller, name), "room", offer(name))).toBe(true);
    slow.wire.freeze();
    const late = ["late", "later"].map((id) =>
      slow.engine.send(as(caller, `${name} ${id}`), "room", offer("never")),
    );
    const { stream } = await attachTo(second.engine, "bob");
    expect(stream.generation).toBe(generation + 1);
    slow.wire.thaw();
    expect(await Promise.all(late)).toMatchObject([
      { reason: "taken-over" },
      { reason: "taken-over" },
    ]);
    // The session is taken over on the slow node again.
    await attachTo(slow.engine, "bob", { from: stream, after: stream.after });
  }
  await hers.read();
  expect(hers.told).toEqual([1, 2, 3, 4, 5].map((generation) => `of tab ${generation}`));
});

test("signals of a room reach Redis only when the same two are in another one: none is delivered there", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis(["--appendonly", "no"]));
  const { openNode } = await startSite(stack, redis);
  const [slow, second] = [await openNode(), await openNode()];
  const hers = await createReader(second.engine, "alice");
  await attachTo(slow.engine, "bob");
  for (let room = 1; room <= 5; room++) {
    const roomId = `room ${room}`;
    await pair(second.engine, "alice", "bob", roomId);
    expect(await slow.engine.send(as(bob, roomId), roomId, offer(roomId, roomId))).toBe(true);
    await hers.read();
    slow.wire.freeze();
    const late = ["late", "later"].map((id) =>
      slow.engine.send(as(bob, `${roomId} ${id}`), roomId, offer("never", roomId)),
    );
    await second.engine.end(alice, { ending: "leave" });
    await pair(second.engine, "alice", "bob", `${roomId}, the next`);
    slow.wire.thaw();
    expect(await Promise.all(late)).toEqual([false, false]);
    await second.engine.end(alice, { ending: "leave" });
    await hers.read();
  }
  expect(hers.told).toEqual([1, 2, 3, 4, 5].map((room) => `room ${room}`));
});

test("the first signals that a Redis ever relays are in order, though it does not know the script yet", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis(["--appendonly", "no"]));
  const { openNode } = await startSite(stack, redis);
  const { engine } = await openNode();
  const hers = await createReader(engine, "alice");
  await attachTo(engine, "bob");
  await pair(engine, "alice", "bob", "room");
  const all = numbers(1, 60);
  expect(await sendAll(engine, all)).toEqual(all);
  await hers.read();
  expect(hers.told).toEqual(all);
});

test("Redis is killed between signals and started again with what it had: none twice, none out of order, and none lost from then on", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const { openNode } = await startSite(stack, redis);
  const nodes = [await openNode(), await openNode()] as const;
  const [{ engine }, { engine: other }] = nodes;
  const hers = await createReader(engine, "alice");
  const his = await createReader(engine, "bob");
  // Her log has other events before those of the room.
  for (const roomId of ["a room before", "another one"]) {
    await pair(engine, "alice", "bob", roomId);
    await Promise.all([hers.read(), his.read()]);
    await engine.end(alice, { ending: "leave" });
  }
  await pair(engine, "alice", "bob", "room");
  expect(await sendAll(engine, numbers(1, 5))).toEqual(numbers(1, 5));
  await hers.read();
  // He hears of two more that they are carried out, and of two nothing.
  expect(await sendAll(engine, ["6", "7"])).toEqual(["6", "7"]);
  nodes[0].wire.deafen();
  const unheard = sendAll(engine, ["8", "9"]);
  await until("they are in her log", async () => (await newestInLog(redis)).includes(`"sdp":"9"`));
  await redis.kill();
  expect(await unheard).toEqual([]);
  await redis.start();
  await until("both nodes are available", () => engine.available() && other.available());
  // What acknowledged signals may be lost is not known: both are told how things are.
  expect(await hers.move(engine)).toBe(false);
  expect(await his.move(engine)).toBe(false);
  const { generation } = his.stream;
  const again = numbers(8, 30);
  expect(await sendAll(engine, again, generation)).toEqual(again);
  // Through another node once more.
  expect(await his.move(other)).toBe(true);
  expect(await sendAll(other, numbers(1, 40), generation)).toEqual(numbers(1, 40));
  await hers.read();
  // Of 8 and 9, which had been carried out, `resync` has told her in their place that something is missing.
  expect(hers.told).toEqual([...numbers(1, 5), ...numbers(10, 40)]);
}, 20_000);

test("a replica takes over between signals: none twice, none out of order, and none lost from then on", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis(["--repl-diskless-sync-delay", "0"]));
  const replica = stack.use(await startRedis(["--replicaof", "127.0.0.1", String(redis.port)]));
  await until("the replica follows", async () =>
    (await replica.cli("info", "replication")).includes("master_link_status:up"),
  );
  const { openNode } = await startSite(stack, redis);
  const { engine, wire } = await openNode();
  const hers = await createReader(engine, "alice");
  const his = await createReader(engine, "bob");
  await pair(engine, "alice", "bob", "room");
  expect(await sendAll(engine, numbers(1, 5))).toEqual(numbers(1, 5));
  await hers.read();
  wire.deafen();
  const unheard = sendAll(engine, ["6", "7"]);
  await until("they are on the replica", async () =>
    (await newestInLog(replica)).includes(`"sdp":"7"`),
  );
  await redis.kill();
  expect(await unheard).toEqual([]);
  await replica.cli("replicaof", "no", "one");
  wire.retarget(new URL(replica.url));
  await until("the node is available", () => engine.available());
  expect(await hers.move(engine)).toBe(false);
  expect(await his.move(engine)).toBe(false);
  const again = numbers(1, 40);
  expect(await sendAll(engine, again, his.stream.generation)).toEqual(again);
  await hers.read();
  expect(hers.told).toEqual([...numbers(1, 5), ...numbers(8, 40)]);
}, 20_000);

test("Redis forgets everything between signals: nothing of the old room comes into a new one", async () => {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis());
  const { openNode } = await startSite(stack, redis);
  const { engine } = await openNode();
  const hers = await createReader(engine, "alice");
  const his = await createReader(engine, "bob");
  await pair(engine, "alice", "bob", "room");
  expect(await sendAll(engine, numbers(1, 5))).toEqual(numbers(1, 5));
  await hers.read();
  await redis.kill();
  await redis.start({ forget: true });
  await until("the node is available", () => engine.available());
  const stale = { ...bob, generation: his.stream.generation };
  expect(await engine.send({ ...stale, streaming: true }, "room", offer("6"))).toMatchObject({
    reason: "unavailable",
  });
  expect(await hers.move(engine)).toBe(false);
  expect(await his.move(engine)).toBe(false);
  const caller = { ...bob, generation: his.stream.generation };
  expect(await engine.send(as(caller, "5"), "room", offer("5"))).toMatchObject({
    reason: "not-in-room",
  });
  await pair(engine, "alice", "bob", "next");
  expect(await engine.send(as(caller, "6"), "room", offer("6"))).toMatchObject({
    reason: "not-in-room",
  });
  expect(await engine.send(as(caller, "7"), "next", offer("7", "next"))).toBe(true);
  await hers.read();
  expect(hers.told).toEqual([...numbers(1, 5), "7"]);
}, 20_000);
