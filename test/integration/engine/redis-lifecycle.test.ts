/** Lifecycle events in Redis are told at least once, whichever node, connection or Redis dies or sleeps meanwhile. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { lifecycleTypes, type LifecycleEvent } from "../../../src/domain/lifecycle.ts";
import { isRejection } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { LifecycleListener } from "../../../src/engine/engine.ts";
import { createKeys } from "../../../src/engine/redis/keys.ts";
import { createRedisEngine, type RedisEngine } from "../../../src/engine/redis/redis-engine.ts";
import type { RedisOptions } from "../../../src/engine/redis/redis-options.ts";
import type { ReportReason } from "../../../src/protocol.ts";
import { createSystem } from "../../../src/system.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { startRedis } from "../../support/redis.ts";
import { createTcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/until.ts";

setDefaultTimeout(30_000);

const redis = await startRedis();
afterAll(() => redis[Symbol.asyncDispose]());
const opened: RedisEngine[] = [];
let sites = 0;
let prefix = "";
afterEach(async () => {
  await Promise.all(opened.splice(0).map((engine) => engine.close()));
  prefix = "";
});

/** A node of this test's site, whose events `listener` is told. */
async function openNode(
  listener?: LifecycleListener,
  options: Partial<RedisOptions> = {},
  lifecycle = lifecycleTypes.slice(),
) {
  prefix ||= `site ${++sites}:`;
  const moderation = { ...engineOptions.moderation, voteAfterMs: 0 };
  const engine = createRedisEngine(
    createSystem(),
    { ...engineOptions, moderation, lifecycle },
    { locations: [redis.url], prefix, leaseMs: 600, clock: createSystem(), ...options },
  );
  const lost: number[] = [];
  opened.push(engine);
  await engine.opened();
  if (listener) engine.onLifecycle(listener, (count) => void lost.push(count));
  return { engine, lost };
}

/** One that notes what it was told. */
function notes() {
  const told: string[] = [];
  return { told, note: ({ id }: LifecycleEvent) => void told.push(idOf(id)) };
}

/** Without the counters and times in it. */
const idOf = (id: string) => id.split(":").slice(0, 2).join(":");

async function enter(engine: RedisEngine, sessionId: string) {
  const addressHash = `network of ${sessionId}`;
  const attached = await engine.attach({ sessionId, generation: 0, addressHash, wake() {} });
  if (isRejection(attached)) throw new Error(attached.reason);
  const caller = { sessionId, generation: attached.stream.generation };
  expect(await engine.enqueue(caller, defaultWishes)).toMatchObject({ status: "waiting" });
  return caller;
}

/** Two meet in a room and leave it. */
async function meet(engine: RedisEngine, roomId: string) {
  const one = await enter(engine, `one of ${roomId}`);
  const other = await enter(engine, `other of ${roomId}`);
  const [first, second] = [
    await engine.matchOptions(one.sessionId),
    await engine.matchOptions(other.sessionId),
  ];
  if (!first || !second) throw new Error("both must wait");
  const request = { roomId, relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...request, impolite: first.ticket, polite: second.ticket })).toBe(
    true,
  );
  for (const caller of [one, other]) await engine.end(caller, { ending: "leave" });
  return one;
}

const eventsOf = (roomId: string) => [
  `joined:one of ${roomId}`,
  `joined:other of ${roomId}`,
  `paired:${roomId}`,
  `ended:${roomId}`,
  // The other one, who returned to the lobby.
  `joined:other of ${roomId}`,
];
const streamLength = async () => Number(await redis.cli("xlen", createKeys(prefix).lifecycle()));
const isEmpty = async () => (await streamLength()) === 0;

test("each event is told on one node, soon, whichever node it happened on, and nothing stays", async () => {
  const { told, note } = notes();
  // A heartbeat would take ten seconds.
  const nodes = [
    await openNode(note, { leaseMs: 60_000 }),
    await openNode(note, { leaseMs: 60_000 }),
  ];
  await until("one of them has the lock", async () =>
    (await redis.cli("exists", createKeys(prefix).lifecycleReader())).startsWith("1"),
  );
  for (const [n, { engine }] of nodes.entries()) {
    told.splice(0);
    await meet(engine, `room ${n}`);
    await until("all is told", () => told.length >= 5, 3000);
    expect(told.toSorted()).toEqual(eventsOf(`room ${n}`).toSorted());
  }
  await until("the stream is empty", isEmpty);
});

test("nothing is written or read for a site that wants no events", async () => {
  const { told, note } = notes();
  const { engine } = await openNode(note, {}, []);
  await meet(engine, "room");
  await engine.report({ sessionId: "one of room", generation: 1 }, "room");
  const keys = createKeys(prefix);
  const found = (await redis.cli("--scan", "--pattern", `${prefix}*`)).split("\n");
  expect(found).toContain(keys.moderationLog());
  const ofEvents = [keys.lifecycle(), keys.untoldVerdicts(), keys.lifecycleReader()];
  for (const key of ofEvents) expect(found).not.toContain(key);
  expect(told).toEqual([]);
});

test("what a node did not get to tell before it died is told by another one, in order", async () => {
  await using wire = await createTcpProxy(new URL(redis.url));
  const dying = notes();
  const { engine: doomed } = await openNode(
    async (event) => {
      dying.note(event);
      if (event.type === "paired") await new Promise(() => {});
    },
    { locations: [wire.http.replace("http", "redis")] },
  );
  // It never answers: it is to die in the middle of this.
  opened.splice(opened.indexOf(doomed), 1);
  await meet(doomed, "room");
  await until("it has begun", () => dying.told.includes("paired:room"));
  wire.refuse(true);
  wire.cut();
  const { told, note } = notes();
  await openNode(note);
  await until("the other node tells what is left", () => told.includes("ended:room"));
  const ofRoom = told.filter((id) => id.endsWith(":room"));
  expect(ofRoom).toEqual(["paired:room", "ended:room"]);
  expect(dying.told).not.toContain("ended:room");
  await until("the stream is empty", isEmpty);
});

test("a node that was stopped for longer than its lease tells nothing more of what it had read", async () => {
  await using wire = await createTcpProxy(new URL(redis.url));
  const slow = notes();
  const answer = Promise.withResolvers<void>();
  const { engine } = await openNode(
    async (event) => {
      slow.note(event);
      if (event.type === "paired") await answer.promise;
    },
    { locations: [wire.http.replace("http", "redis")] },
  );
  await meet(engine, "room");
  await until("it has begun", () => slow.told.includes("paired:room"));
  wire.freeze();
  const { told, note } = notes();
  await openNode(note);
  await until("the other node has told all", () => told.includes("ended:room"));
  answer.resolve();
  // What it waits for now has been told by the other one; a whole lease later nothing may have begun.
  await Bun.sleep(700);
  expect(slow.told).not.toContain("ended:room");
  wire.thaw();
  await until("it is available again", () => engine.available());
  const { sessionId } = await meet(engine, "later");
  await until("events go on", () => told.includes("ended:later"));
  expect(slow.told).not.toContain("ended:room");
  expect(sessionId).toBe("one of later");
  await until("the stream is empty", isEmpty);
});

test("a node that leaves hands over at once, and tells only what it has begun", async () => {
  const leaving = notes();
  const answer = Promise.withResolvers<void>();
  const { engine } = await openNode(
    async (event) => {
      leaving.note(event);
      if (event.type === "paired") await answer.promise;
    },
    { leaseMs: 60_000 },
  );
  await meet(engine, "room");
  await until("it has begun", () => leaving.told.includes("paired:room"));
  const closing = engine.close();
  answer.resolve();
  await closing;
  expect(leaving.told).not.toContain("ended:room");
  const { told, note } = notes();
  await openNode(note, { leaseMs: 60_000 });
  await until("the next one tells the rest", () => told.includes("ended:room"), 2000);
  expect(told).not.toContain("paired:room");
});

test("events survive a Redis that dies, and are told when it is back", async () => {
  const { told, note } = notes();
  const { engine } = await openNode();
  await meet(engine, "room");
  // What Redis writes to its disk once a second.
  await redis.cli("bgrewriteaof");
  await until("it is on disk", async () =>
    /aof_rewrite_in_progress:0[\s\S]*aof_last_bgrewrite_status:ok/.test(
      await redis.cli("info", "persistence"),
    ),
  );
  expect(await streamLength()).toBe(5);
  await redis.kill();
  engine.onLifecycle(note);
  await redis.start();
  await until("all is told", () => told.length >= 5, 20_000);
  expect(told.toSorted()).toEqual(eventsOf("room").toSorted());
  await until("the stream is empty", isEmpty);
});

test("a Redis that was flushed takes what was not told with it, and later events are told", async () => {
  const { told, note } = notes();
  const { engine } = await openNode(note);
  await meet(engine, "before");
  await until("all is told", () => told.includes("ended:before"));
  await redis.cli("flushall");
  await until("the node has noticed", async () =>
    (await redis.cli("exists", createKeys(prefix).nodes())).startsWith("1"),
  );
  await until("it is available", () => engine.available());
  await meet(engine, "after");
  await until("later events are told", () => told.includes("ended:after"));
});

test("while memory is full nothing changes and nothing is told twice; it goes on when there is room", async () => {
  const { told, note } = notes();
  const { engine } = await openNode(note);
  await meet(engine, "before");
  await until("all is told", () => told.includes("ended:before") && isEmpty());
  await redis.cli("config", "set", "maxmemory", "1mb");
  const refused = await engine.enqueue({ sessionId: "one of before", generation: 1 });
  expect(refused).toMatchObject({ reason: "unavailable" });
  await redis.cli("config", "set", "maxmemory", "0");
  await until("it is available", () => engine.available());
  await meet(engine, "after");
  await until("later events are told", () => told.includes("ended:after"));
  expect(told.filter((id) => id === "ended:before")).toHaveLength(1);
});

test("past the bound the newest are lost, and their number is told", async () => {
  // Redis is busy with the script for a while.
  const { engine, lost } = await openNode(undefined, { leaseMs: 60_000, timeoutMs: 10_000 });
  const key = createKeys(prefix).lifecycle();
  const event = {
    type: "joined",
    id: "filler:",
    at: 1,
    peer: { sessionId: "nobody" },
    mode: "text",
  };
  const fill = "for _ = 1, 100000 do redis.call('XADD', KEYS[1], '*', 'event', ARGV[1]) end";
  await redis.cli("eval", fill, "1", key, JSON.stringify(event));
  await enter(engine, "alice");
  await enter(engine, "bob");
  expect(await streamLength()).toBe(100_000);
  await redis.cli("xtrim", key, "MAXLEN", "3");
  const { told, note } = notes();
  engine.onLifecycle(note, (count) => void lost.push(count));
  await until("what is left is told", () => told.length === 3);
  expect(lost).toEqual([2]);
  await enter(engine, "carol");
  await until("later ones are told", () => told.includes("joined:carol"));
  expect(lost).toEqual([2]);
});

test("a report is told although the node dies that has written it, and only once", async () => {
  const { engine } = await openNode();
  const reporter = await meet(engine, "room");
  const keys = createKeys(prefix);
  const entry = JSON.stringify({
    kind: "report",
    at: Date.now(),
    roomId: "room",
    reason: "spam",
    reporter: { sessionId: reporter.sessionId, addressHash: "network of one" },
    reported: { sessionId: "other of room", addressHash: "" },
  });
  // As append_decision.lua does; then the node is gone.
  const id = (await redis.cli("xadd", keys.moderationLog(), "*", "entry", entry)).trim();
  await redis.cli("sadd", keys.untoldVerdicts(), id);
  const listening = [notes(), notes()];
  for (const { note } of listening) await openNode(note);
  const all = () => listening.flatMap(({ told }) => told);
  const name = `reported:room`;
  await until("it is told", () => all().includes(name), 15_000);
  await until("nothing is left to tell", async () =>
    (await redis.cli("exists", keys.untoldVerdicts())).startsWith("0"),
  );
  // Two heartbeats later nobody has told it again.
  await Bun.sleep(250);
  expect(all().filter((one) => one === name)).toHaveLength(1);
});

describe("a report with evidence", () => {
  /** Notes each `reported` event that its process was told. */
  const reportsOf = () => {
    const told: LifecycleEvent[] = [];
    const note = (event: LifecycleEvent) => void (event.type === "reported" && told.push(event));
    return { told, note };
  };
  const filing = { caseId: "a case", isHeld: true };

  test("is told by the node that has it, whichever has the lock", async () => {
    const [first, second] = [reportsOf(), reportsOf()];
    const { engine: holder } = await openNode(first.note);
    await until("the first one has the lock", async () =>
      (await redis.cli("exists", createKeys(prefix).lifecycleReader())).startsWith("1"),
    );
    const { engine: other } = await openNode(second.note);
    await other.report(await meet(other, "room"), "room", "spam", filing);
    await until("it is told", () => second.told.length === 1, 5000);
    await until("the stream is empty", isEmpty);
    await holder.report(await meet(holder, "home"), "home", "spam", { ...filing, caseId: "two" });
    await until("that of the holder is told there", () => first.told.length === 1, 5000);
    await until("the stream is empty", isEmpty);
    expect([first.told.length, second.told.length]).toEqual([1, 1]);
  });

  test("is told once, although the node that asked for it dies meanwhile", async () => {
    await using wire = await createTcpProxy(new URL(redis.url));
    const locations = [wire.http.replace("http", "redis")];
    const { engine: doomed } = await openNode(() => {}, { locations });
    opened.splice(opened.indexOf(doomed), 1);
    await until("it has the lock", async () =>
      (await redis.cli("exists", createKeys(prefix).lifecycleReader())).startsWith("1"),
    );
    const told: string[] = [];
    const answer = Promise.withResolvers<void>();
    const { engine } = await openNode(async ({ type, id }) => {
      if (type !== "reported") return;
      told.push(id);
      await answer.promise;
    });
    const lock = () => redis.cli("get", createKeys(prefix).lifecycleReader());
    const before = await lock();
    await engine.report(await meet(engine, "room"), "room", "spam", filing);
    await until("the other node was asked", () => told.length === 1);
    wire.refuse(true);
    wire.cut();
    await until("the lock has gone over", async () => {
      const now = await lock();
      return now.trim() !== "" && now !== before;
    });
    answer.resolve();
    await until("the stream is empty", isEmpty);
    expect(told).toHaveLength(1);
  });

  test("is told by another node if the one that has it is gone, which says so", async () => {
    await using wire = await createTcpProxy(new URL(redis.url));
    const { told, note } = reportsOf();
    await openNode(note);
    await until("it has the lock", async () =>
      (await redis.cli("exists", createKeys(prefix).lifecycleReader())).startsWith("1"),
    );
    const locations = [wire.http.replace("http", "redis")];
    const { engine: doomed } = await openNode(() => new Promise<void>(() => {}), { locations });
    opened.splice(opened.indexOf(doomed), 1);
    await doomed.report(await meet(doomed, "room"), "room", "spam", filing);
    wire.refuse(true);
    wire.cut();
    await until("it is told", () => told.length === 1, 15_000);
    // By that the listener knows that there was something.
    expect(told[0]).toMatchObject({ caseId: "a case", heldBy: expect.any(String) });
    await until("the stream is empty", isEmpty);
  });
});

test("what was decided is recorded although the node dies that has written it, once and by any other", async () => {
  const { engine } = await openNode();
  const keys = createKeys(prefix);
  const subject = { kind: "session", id: "troll" };
  const entry = { kind: "suspend", at: Date.now(), subject, until: Date.now() + 60_000 };
  const append = (one: object) =>
    redis.cli("xadd", keys.moderationLog(), "*", "entry", JSON.stringify(one));
  await append({ ...entry, because: "hate", caseId: "one" });
  // A node that starts later finds it in the log.
  const { engine: later } = await openNode();
  await append({ kind: "lift", at: Date.now(), subject });
  const listed = async () => {
    const decisions = await later.decisions({ limit: 10 });
    return isRejection(decisions) ? [] : decisions;
  };
  await until("the first is recorded", async () => (await listed()).length >= 1);
  await engine.dismiss("another");
  await until("all are recorded", async () => (await listed()).length >= 3);
  expect((await listed()).map(({ decision, because }) => [decision, because])).toEqual([
    ["suspended", "hate"],
    ["lifted", "operator"],
    ["none", "operator"],
  ]);
  expect(await engine.caseAnswer("one")).toMatchObject({ decision: "suspended" });
});

test("a node that starts later takes the same next step as those that have seen all", async () => {
  const sanctions = { warns: true, sessionReporters: 1, sessionSteps: [1, 60_000, 3_600_000] };
  const moderation = { ...engineOptions.moderation, voteAfterMs: 0, ...sanctions };
  const open = async () => {
    prefix ||= `site ${++sites}:`;
    const { url } = redis;
    const options = { locations: [url], prefix, clock: createSystem() };
    const engine = createRedisEngine(createSystem(), { ...engineOptions, moderation }, options);
    opened.push(engine);
    await engine.opened();
    return engine;
  };
  const first = await open();
  const decisionOf = async (engine: RedisEngine, reason: ReportReason) => {
    const verdict = await engine.report(await meet(engine, "room"), "room", reason);
    if (isRejection(verdict)) throw new Error(verdict.reason);
    return verdict.decided[0]?.decision;
  };
  expect(await decisionOf(first, "spam")).toBe("warned");
  // The log is lost, as strangers' reports can push entries out of it; what was decided is not.
  await redis.cli("del", createKeys(prefix).moderationLog());
  expect(await decisionOf(await open(), "hate")).toBe("suspended");
});

test("an idle site costs one script for each heartbeat", async () => {
  await openNode(() => {}, { leaseMs: 1200 });
  const scriptsRun = async () =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.cli("info", "commandstats"))?.[1] ?? 0);
  await Bun.sleep(300);
  const before = await scriptsRun();
  const begunAt = performance.now();
  await Bun.sleep(2000);
  const heartbeats = (performance.now() - begunAt) / 200;
  // The heartbeat itself is one.
  expect(await scriptsRun()).toBeLessThan(before + 2 * (heartbeats + 2));
  expect(await scriptsRun()).toBeGreaterThan(before + heartbeats);
});
