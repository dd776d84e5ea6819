/**
 * What many nodes cost: `bun test/bench/nodes.ts [signals per second] [--json=FILE]` (default 5000; Debian's redis-server is
 * needed). The file is for `test/bench/scale.ts --costs=FILE`.
 *
 * CPU time of the servers and of Redis, as the operating system counts it, per relayed and acknowledged candidate at a steady
 * rate: on one node in memory, on one node with Redis, and across two nodes, in turn in one run. Then pairings per
 * second against one Redis, with 1,000 and 100,000 tickets waiting; and what a waiting peer weighs in Redis.
 */
import { defaultWishes } from "../../src/domain/ticket.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import { createFairPolicy } from "../../src/domain/matchmaker.ts";
import type { Caller } from "../../src/engine/engine.ts";
import { createRedisEngine } from "../../src/engine/redis/redis-engine.ts";
import { createSystem } from "../../src/system.ts";
import { startCluster, unlimited } from "../support/cluster.ts";
import { engineOptions } from "../support/engine-options.ts";
import { startRedis } from "../support/redis.ts";
import { startServer } from "../support/server-process.ts";
import { mutationId } from "./frames.ts";
import { cpuUsOf } from "./load.ts";

const [rate, ...unknown] = process.argv
  .slice(2)
  .filter((argument) => !argument.startsWith("--json="));
const json = process.argv.find((argument) => argument.startsWith("--json="))?.slice(7);
const signalsPerS = Number(rate ?? 5000);
if (unknown.length > 0 || !(signalsPerS > 0))
  throw new Error(`not understood: ${process.argv.slice(2)}`);
const roundS = 4;
const rounds = 5;
const roomCount = 250;

const median = (values: number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** A peer that speaks the wire's own frames, so that the load costs little beside what is measured. */
async function connectRaw(origin: string, interest: string) {
  const socket = new WebSocket(`${origin.replace("http", "ws")}/trpc`);
  const room = Promise.withResolvers<string>();
  const answers = new Map<number, (value?: unknown) => void>();
  let ids = 0;
  socket.onmessage = ({ data }) => {
    const text = String(data);
    if (text === "PING") return socket.send("PONG");
    if (text.includes('"add-ice-candidate"')) return undefined;
    const { id, result } = JSON.parse(text);
    answers.get(id)?.();
    const event = result?.data?.data;
    if (event?.type === "create-offer" || event?.type === "wait-for-offer")
      room.resolve(event.roomId);
    return undefined;
  };
  await new Promise((resolve) => (socket.onopen = resolve));
  function call(method: string, path: string, input: object): Promise<void> {
    const id = ++ids;
    socket.send(JSON.stringify({ id, method, params: { path, input } }));
    return new Promise((resolve) => answers.set(id, resolve)).then(() => void answers.delete(id));
  }
  await call("subscription", "events", {});
  await call("mutation", "join", { interests: [interest] });
  return { room: room.promise, call, close: () => socket.close() };
}

async function pairsOn(origins: [string, string]) {
  const pairs = [];
  for (let n = 0; n < roomCount; n++) {
    const one = await connectRaw(origins[0], `room ${n}`);
    const other = await connectRaw(origins[1], `room ${n}`);
    pairs.push({ one, other, roomId: await one.room });
  }
  return pairs;
}

const candidate = {
  candidate: `candidate:1 1 udp 2113937151 192.168.1.7 54321 typ host ${"x".repeat(90)}`,
  sdpMid: "0",
};

/** All members of all rooms send in turn, at a steady rate, with ids as the client does. Resolves when all is acknowledged. */
async function relay(pairs: Awaited<ReturnType<typeof pairsOn>>) {
  const total = signalsPerS * roundS;
  const acknowledged: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let n = 0; n < total; await Bun.sleep(1)) {
    const due = Math.min(total, ((performance.now() - startedAt) / 1000) * signalsPerS);
    for (; n < due; n++) {
      const { one, other, roomId } = pairs[n % pairs.length] as (typeof pairs)[number];
      const peer = Math.floor(n / pairs.length) % 2 === 0 ? one : other;
      const input = { roomId, candidate, id: mutationId(mutations++) };
      acknowledged.push(peer.call("mutation", "addIceCandidate", input));
    }
  }
  await Promise.all(acknowledged);
  return total;
}
let mutations = 0;

async function cpuPerSignal() {
  await using memory = await startServer(unlimited);
  await using single = await startCluster(1);
  await using double = await startCluster(2);
  const [one, other] = [double.at(0).http, double.at(1).http] as const;
  const alone = single.at(0).http;
  const rows = [
    { name: "one node, in memory", at: [memory.origin, memory.origin], nodes: [memory.pid] },
    {
      name: "one node, with Redis",
      at: [alone, alone],
      nodes: single.nodes.map(({ pid }) => pid),
      redis: single.redis.pid,
    },
    {
      name: "across two nodes",
      at: [one, other],
      nodes: double.nodes.map(({ pid }) => pid),
      redis: double.redis.pid,
    },
  ].map((row) => ({ ...row, server: [] as number[], store: [] as number[] }));
  const rooms = [];
  for (const { at } of rows) rooms.push(await pairsOn(at as [string, string]));
  // So long that the code is compiled for good.
  for (let n = 0; n < 3; n++) for (const pairs of rooms) await relay(pairs);
  for (let round = 0; round < rounds; round++) {
    for (const [index, row] of rows.entries()) {
      const spent = () => ({
        nodes: row.nodes.reduce((sum, pid) => sum + cpuUsOf(pid), 0),
        redis: row.redis === undefined ? 0 : cpuUsOf(row.redis),
      });
      const before = spent();
      const signals = await relay(rooms[index] ?? []);
      const after = spent();
      row.server.push((after.nodes - before.nodes) / signals);
      row.store.push((after.redis - before.redis) / signals);
    }
  }
  const base = median(rows[0]?.server ?? []);
  console.log(
    `\nµs of CPU per relayed and acknowledged candidate (${signalsPerS} a second, median of ${rounds} rounds)`,
  );
  console.log(`${"".padEnd(24)}${["nodes", "ratio", "Redis"].map((c) => c.padStart(9)).join("")}`);
  for (const { name, server, store } of rows)
    console.log(
      name.padEnd(24) +
        [median(server).toFixed(1), (median(server) / base).toFixed(2), median(store).toFixed(1)]
          .map((c) => c.padStart(9))
          .join(""),
    );
  for (const pairs of rooms)
    for (const pair of pairs) for (const peer of [pair.one, pair.other]) peer.close();
  const [, together, apart] = rows.map(({ server, store }) => ({
    nodes: Number(median(server).toFixed(1)),
    redis: Number(median(store).toFixed(1)),
  }));
  return { sameNode: together, acrossNodes: apart };
}

async function pairings() {
  console.log("\npairings per second against one Redis, by tickets waiting");
  const figures: number[] = [];
  let cost = { nodeUs: 0, redisUs: 0, waitingBytes: 0 };
  for (const waiting of [1000, 100_000]) {
    await using redis = await startRedis(["--appendonly", "no"]);
    const system = createSystem();
    const engine = createRedisEngine(system, engineOptions, {
      locations: [redis.url],
      clock: system,
    });
    await engine.opened();
    const policy = createFairPolicy({ patienceMs: 30_000, windowMs: 2000 });
    const usedMemory = async () =>
      Number(/used_memory:(\d+)/.exec(await redis.cli("info", "memory"))?.[1]);
    const connect = async (sessionId: string): Promise<Caller> => {
      const attached = await engine.attach({
        sessionId,
        generation: 0,
        addressHash: "",
        wake() {},
      });
      if (isRejection(attached)) throw new Error(attached.reason);
      return { sessionId, generation: attached.stream.generation };
    };
    const wait = (caller: Caller, interest: string) =>
      engine.enqueue(caller, { ...defaultWishes, autoRejoin: false, interests: [interest] });
    const inParallel = async (
      count: number,
      lanes: number,
      act: (n: number) => Promise<unknown>,
    ) => {
      let next = 0;
      await Promise.all(
        Array.from({ length: lanes }, async () => {
          while (next < count) await act(next++);
        }),
      );
    };
    const before = await usedMemory();
    await inParallel(waiting, 64, async (n) => {
      await wait(await connect(system.id()), `waits for ${n}`);
    });
    const bytes = ((await usedMemory()) - before) / waiting;
    const couples = await Promise.all(
      Array.from({ length: 64 }, async () => [
        await connect(system.id()),
        await connect(system.id()),
      ]),
    );
    const measured: number[] = [];
    const spent: number[] = [];
    const spentHere: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const count = 2000;
      const startedAt = performance.now();
      const before = cpuUsOf(redis.pid);
      const beforeHere = process.cpuUsage();
      let lane = 0;
      await inParallel(count, couples.length, async (n) => {
        const [one, other] = couples[lane++ % couples.length] as [Caller, Caller];
        const interest = `couple ${one.sessionId}`;
        void n;
        await wait(one, interest);
        await wait(other, interest);
        const offer = await engine.matchOptions(other.sessionId, true);
        const chosen =
          offer &&
          policy(offer.ticket, offer.eligible, { now: system.now(), random: system.random });
        if (!offer || !chosen) return;
        await engine.pair({
          roomId: system.id(),
          impolite: offer.ticket,
          polite: chosen,
          relayOnly: false,
          sharedInterests: [interest],
        });
        await engine.end(one, { ending: "leave" });
      });
      measured.push(count / ((performance.now() - startedAt) / 1000));
      spent.push((cpuUsOf(redis.pid) - before) / count);
      const { user, system: kernel } = process.cpuUsage(beforeHere);
      spentHere.push((user + kernel) / count);
    }
    figures.push(median(measured));
    console.log(
      `${String(waiting).padStart(9)} waiting: ${median(measured).toFixed(0).padStart(6)}   (${median(spent).toFixed(0)} µs of Redis' CPU each; ${bytes.toFixed(0)} bytes in Redis for each that waits)`,
    );
    const [nodeUs, redisUs] = [spentHere, spent].map((of) => Math.round(median(of)));
    if (waiting === 1000)
      cost = { nodeUs: nodeUs ?? 0, redisUs: redisUs ?? 0, waitingBytes: Math.round(bytes) };
    await engine.close();
  }
  console.log(`ratio ${((figures[0] ?? 0) / (figures[1] ?? 1)).toFixed(2)}`);
  return cost;
}

const signalUs = await cpuPerSignal();
const { waitingBytes, ...pairing } = await pairings();
if (json) await Bun.write(json, JSON.stringify({ signalUs, pairing, waitingBytes }, undefined, 2));
process.exit(0);
