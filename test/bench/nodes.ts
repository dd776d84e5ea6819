/**
 * What many nodes cost: `bun test/bench/nodes.ts [signals per second] [--json=FILE]` (default 5000; Debian's redis-server is
 * needed). The file is for `test/bench/scale.ts --costs=FILE`. Where there are two cores or more, Redis has the last one to itself.
 *
 * CPU time of the servers and of Redis, as the operating system counts it, per relayed and acknowledged candidate at a steady
 * rate: on one node in memory, on one node with Redis, and across two nodes; and Socket.IO with validation across two nodes of
 * Node, by its adapters for Redis with pub/sub, which keeps nothing, and with streams; in turn in one run. Then pairings per
 * second against one Redis, with 1,000 and 100,000 tickets waiting. What a peer costs by being there, `memory.ts` measures.
 */
import { availableParallelism } from "node:os";
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
import { root } from "../support/root.ts";
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

/** Speaks the wire's own frames, so that the load costs little beside what is measured. */
interface Peer {
  readonly room: Promise<string>;
  /** Resolves when it is acknowledged. */
  signal(candidate: object, roomId: string): Promise<void>;
  close(): void;
}

async function connectRaw(origin: string, interest: string): Promise<Peer> {
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
  return {
    room: room.promise,
    signal: (candidate, roomId) =>
      call("mutation", "addIceCandidate", { roomId, candidate, id: mutationId(mutations++) }),
    close: () => socket.close(),
  };
}

async function connectSocketIo(origin: string, room: string): Promise<Peer> {
  const socket = new WebSocket(
    `${origin.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`,
  );
  const ready = Promise.withResolvers<void>();
  const answers = new Map<number, () => void>();
  let ids = 0;
  socket.onmessage = ({ data }) => {
    const text = String(data);
    if (text === "2") return socket.send("3");
    if (text.startsWith("0")) return socket.send("40");
    if (text.startsWith("40")) return ready.resolve();
    if (!text.startsWith("43")) return undefined;
    if (text.includes('"error"')) throw new Error(text);
    const id = Number(text.slice(2, text.indexOf("[")));
    answers.get(id)?.();
    return void answers.delete(id);
  };
  await ready.promise;
  function call(...message: [string, unknown]): Promise<void> {
    const id = ++ids;
    socket.send(`42${id}${JSON.stringify(message)}`);
    return new Promise((resolve) => answers.set(id, resolve));
  }
  await call("join", room);
  return {
    room: Promise.resolve(room),
    signal: (candidate, roomId) => call("add-ice-candidate", { roomId, candidate }),
    close: () => socket.close(),
  };
}

/** Gives each Redis the last core, and all else the others. Returns whether it could. */
function giveRedisACore(redis: readonly number[], others: readonly number[]): boolean {
  const last = availableParallelism() - 1;
  const pin = (cores: string, pid: number) =>
    Bun.spawnSync(["taskset", "-apc", cores, String(pid)]).success;
  return (
    last > 0 &&
    redis.every((pid) => pin(String(last), pid)) &&
    [...others, process.pid].every((pid) => pin(`0-${last - 1}`, pid))
  );
}

/** Two nodes of Socket.IO on a Redis of their own. */
async function startSocketIo(adapter: "pub-sub" | "streams") {
  const redis = await startRedis();
  const start = async () => {
    const script = "test/bench/contestants/socket-io-redis.mjs";
    const command = ["node", script, adapter, redis.url];
    const child = Bun.spawn(command, { cwd: root, stdout: "pipe", stderr: "inherit" });
    const { value } = await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    return { pid: child.pid, origin: (value ?? "").trim(), kill: () => child.kill() };
  };
  const nodes = [await start(), await start()] as const;
  return {
    redis,
    nodes,
    async [Symbol.asyncDispose]() {
      for (const node of nodes) node.kill();
      await redis[Symbol.asyncDispose]();
    },
  };
}

async function pairsOn(
  origins: readonly [string, string],
  connect: (origin: string, room: string) => Promise<Peer>,
) {
  const pairs = [];
  for (let n = 0; n < roomCount; n++) {
    const one = await connect(origins[0], `room ${n}`);
    const other = await connect(origins[1], `room ${n}`);
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
      acknowledged.push(peer.signal(candidate, roomId));
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
  await using pubSub = await startSocketIo("pub-sub");
  await using streams = await startSocketIo("streams");
  const ofSocketIo = (name: string, { nodes, redis }: typeof pubSub) => ({
    name: `Socket.IO, ${name}`,
    at: nodes.map(({ origin }) => origin),
    nodes: nodes.map(({ pid }) => pid),
    redis: redis.pid,
    connect: connectSocketIo,
  });
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
    ofSocketIo("pub/sub", pubSub),
    ofSocketIo("streams", streams),
  ].map((row) => ({ connect: connectRaw, ...row, server: [] as number[], store: [] as number[] }));
  const stores = rows.flatMap(({ redis = [] }) => redis);
  const isPinned = giveRedisACore(
    stores,
    rows.flatMap(({ nodes }) => nodes),
  );
  if (!isPinned) console.log("Redis has no core to itself");
  const rooms = [];
  for (const { at, connect } of rows) rooms.push(await pairsOn(at as [string, string], connect));
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
  let cost = { nodeUs: 0, redisUs: 0 };
  for (const waiting of [1000, 100_000]) {
    await using redis = await startRedis(["--appendonly", "no"]);
    const system = createSystem();
    const engine = createRedisEngine(system, engineOptions, {
      locations: [redis.url],
      clock: system,
    });
    await engine.opened();
    giveRedisACore([redis.pid], []);
    const policy = createFairPolicy({ patienceMs: 30_000, windowMs: 2000 });
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
    await inParallel(waiting, 64, async (n) => {
      await wait(await connect(system.id()), `waits for ${n}`);
    });
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
      `${String(waiting).padStart(9)} waiting: ${median(measured).toFixed(0).padStart(6)}   (${median(spent).toFixed(0)} µs of Redis' CPU each)`,
    );
    const [nodeUs, redisUs] = [spentHere, spent].map((of) => Math.round(median(of)));
    if (waiting === 1000) cost = { nodeUs: nodeUs ?? 0, redisUs: redisUs ?? 0 };
    await engine.close();
  }
  console.log(`ratio ${((figures[0] ?? 0) / (figures[1] ?? 1)).toFixed(2)}`);
  return cost;
}

const signalUs = await cpuPerSignal();
const pairing = await pairings();
if (json) await Bun.write(json, JSON.stringify({ signalUs, pairing }, undefined, 2));
process.exit(0);
