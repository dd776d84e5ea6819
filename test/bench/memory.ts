/**
 * What it costs that a peer is there, in Redis and in its node: `bun test/bench/memory.ts [--peers=1000 --calls=8 --signals=30 --json=FILE]` (Debian's
 * redis-server is needed). The file is for `test/bench/scale.ts --costs=FILE`, beside that of `nodes.ts`.
 *
 * Peers on one node connect, wait, and then call: each time with somebody else, with the frames of the browser client, an SDP of 6 KB each
 * way and candidates for the rest of the signals. After 1, 2, 4, … calls their bytes in Redis are printed, in total (`used_memory`) and by
 * kind of key; and those of the node, which is what its resident memory has grown by. The calls follow each other without a pause,
 * so that nothing of them is too old to be kept. CPU is printed of a peer that connects, of a ping, and of a node to which nothing happens.
 */
import { parseArgs } from "node:util";
import { createKeys, defaultPrefix } from "../../src/engine/redis/keys.ts";
import { unlimited } from "../support/cluster.ts";
import { startRedis } from "../support/redis.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";
import { initOf, roomIdIn, sdpOf } from "./dialects/signals.ts";
import * as frames from "./frames.ts";
import { cpuUsOf, rssOf } from "./load.ts";

const { values: flags } = parseArgs({
  options: {
    peers: { type: "string", default: "1000" },
    calls: { type: "string", default: "8" },
    signals: { type: "string", default: "30" },
    json: { type: "string" },
  },
});
const [peerCount, callsMax, signalCount] = [flags.peers, flags.calls, flags.signals].map(
  Number,
) as [number, number, number];
if (!(peerCount >= 2 && peerCount % 2 === 0 && callsMax >= 1 && signalCount >= 2))
  throw new Error("--peers is even, --calls at least 1, --signals at least 2");
/** Until memory that goes back to the system has gone (milliseconds). */
const settleMs = 40_000;

/** Couples that call at a time: a node has thousands of peers, but they do not all call at once. */
const abreast = 25;
const patienceMs = 30_000;

function fail(why: string): never {
  console.error(why);
  process.exit(1);
}

let mutations = 0;
const newId = () => frames.mutationId(mutations++);

class Peer {
  readonly #socket: WebSocket;
  readonly #open: Promise<void>;
  #calls = 0;
  answered = 0;
  pongs = 0;
  signals = 0;
  roomId = "";
  isImpolite = false;

  constructor(origin: string) {
    const socket = new WebSocket(`${origin.replace("http", "ws")}/trpc?connectionParams=1`);
    this.#socket = socket;
    const opened = Promise.withResolvers<void>();
    this.#open = opened.promise;
    socket.onopen = () => {
      socket.send(frames.connectionParams());
      socket.send(frames.events(0));
    };
    socket.onclose = ({ code }) => fail(`a peer was cut off: ${code}`);
    socket.onmessage = ({ data }) => {
      const text = String(data);
      if (text === "PING") return socket.send("PONG");
      if (text === "PONG") return void (this.pongs += 1);
      if (text.includes('"error"')) return fail(text);
      if (!text.startsWith('{"id":0,'))
        return void (this.answered += text.split('"result"').length - 1);
      if (text.includes('"type":"session"')) opened.resolve();
      if (/"type":"(offer|answer|add-ice-candidate)"/.test(text)) this.signals += 1;
      else if (/"type":"(create-offer|wait-for-offer)"/.test(text)) {
        this.roomId = roomIdIn(text);
        this.isImpolite = text.includes('"create-offer"');
      }
      return undefined;
    };
  }

  get opened() {
    return this.#open;
  }

  get isAnswered() {
    return this.answered === this.#calls;
  }

  ping(): void {
    this.#socket.send(frames.ping);
  }

  send(...calls: ((callId: number) => string)[]): void {
    this.#socket.send(frames.frameOf(calls.map((call) => call(++this.#calls))));
  }

  join(interest: string): void {
    const wishes = { interests: [interest], languages: ["en-US"], mode: "video" };
    const rest = { relayOnly: false, autoRejoin: true };
    this.send((id) => frames.join(id, { ...wishes, ...rest }, newId()));
  }

  /** Sends a description, and candidates by five, as a browser gathers them. */
  signal(count: number): void {
    const { roomId } = this;
    const path = this.isImpolite ? "offer" : "answer";
    this.send((id) => frames.description(id, path, roomId, sdpOf(mutations), newId()));
    for (let left = count - 1; left > 0; left -= 5)
      this.send(
        ...Array.from(
          { length: Math.min(5, left) },
          () => (id: number) => frames.candidate(id, roomId, initOf(mutations), newId()),
        ),
      );
  }

  close(): void {
    this.#socket.onclose = null;
    this.#socket.close();
  }
}

/** Whom each one meets in a round, so that nobody meets anybody twice: one stays, the others move around a table. */
function couplesOf(peers: readonly Peer[], round: number): [Peer, Peer][] {
  const [first, ...others] = peers;
  const turned = [first, ...others.map((_, n) => others[(n + round) % others.length])] as Peer[];
  return Array.from({ length: peers.length / 2 }, (_, n) => [
    turned[n] as Peer,
    turned[peers.length - 1 - n] as Peer,
  ]);
}

const redis = await startRedis(["--appendonly", "no"]);
process.on("exit", () => {
  if (redis.isRunning) process.kill(redis.pid, "SIGKILL");
});
const server = await startServer({
  ...unlimited,
  REDIS_URL: redis.url,
  SKIP_BURST: "0",
  // Only those of one couple meet.
  RELAX_AFTER_MS: "3600000",
  // As `bun run start` has it.
  MIMALLOC_PURGE_DELAY: "10000",
  MIMALLOC_PURGE_HOLES_MIN_INTERVAL: "10000",
});

const kinds = { session: "s:", log: "l:", results: "a:", avoided: "v:" };
const prefixOfKeys = createKeys(defaultPrefix).session("").slice(0, -kinds.session.length);

/** Bytes of all keys of a kind. */
async function bytesOf(kind: string): Promise<number> {
  const script = `local sum = 0
    for _, key in ipairs(redis.call('KEYS', ARGV[1])) do sum = sum + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) end
    return sum`;
  const pattern = `${prefixOfKeys.replaceAll(/[[\]*?\\]/g, "\\$&")}${kind}*`;
  return Number((await redis.cli("eval", script, "0", pattern)).trim());
}
const usedMemory = async () =>
  Number(/^used_memory:(\d+)/m.exec(await redis.cli("info", "memory"))?.[1]);

interface Weight {
  redis: number;
  node: number;
}
let empty: Weight = { redis: 0, node: 0 };

/** Of each peer, beside what is there without any. */
async function weigh(name: string, withNode: boolean): Promise<Weight> {
  await Bun.sleep(withNode ? settleMs : 500);
  const redisBytes = ((await usedMemory()) - empty.redis) / peerCount;
  const nodeBytes = withNode ? (rssOf(server.pid) - empty.node) / peerCount : Number.NaN;
  const each: number[] = [];
  for (const kind of Object.values(kinds)) each.push((await bytesOf(kind)) / peerCount);
  const cells = [redisBytes, ...each, nodeBytes].map((bytes) =>
    (Number.isNaN(bytes) ? "" : bytes.toFixed(0)).padStart(9),
  );
  console.log(`${name.padEnd(18)}${cells.join("")}`);
  return { redis: Math.round(redisBytes), node: Math.round(nodeBytes) };
}

async function connect(count: number): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (let n = 0; n < count; n += 100) {
    const some = Array.from({ length: Math.min(100, count - n) }, () => new Peer(server.origin));
    await Promise.all(some.map(({ opened }) => opened));
    peers.push(...some);
  }
  return peers;
}

let round = 0;
const allAnswered = (peers: readonly Peer[]) =>
  until("all is answered", () => peers.every(({ isAnswered }) => isAnswered), patienceMs);

/** Everybody meets somebody, a few at a time; at the end they are in a call, in which media flows. */
async function meet(peers: readonly Peer[]): Promise<void> {
  round += 1;
  const couples = couplesOf(peers, round);
  for (let n = 0; n < couples.length; n += abreast) {
    const some = couples.slice(n, n + abreast);
    const callers = some.flat();
    for (const peer of callers) peer.roomId = "";
    for (const [index, couple] of some.entries())
      for (const peer of couple) peer.join(`round ${round} couple ${n + index}`);
    await until("all are paired", () => callers.every(({ roomId }) => roomId !== ""), patienceMs);
    const signals = () => callers.reduce((sum, peer) => sum + peer.signals, 0);
    const due = signals() + some.length * signalCount;
    for (const [one, other] of some) {
      one.signal(Math.ceil(signalCount / 2));
      other.signal(Math.floor(signalCount / 2));
    }
    await until("all signals have come", () => signals() === due, patienceMs);
    for (const peer of callers) peer.send((id) => frames.connected(id, peer.roomId, newId()));
    await allAnswered(callers);
  }
}

/** One of each couple skips: all are in the lobby again. */
async function part(peers: readonly Peer[]): Promise<void> {
  const couples = couplesOf(peers, round);
  for (let n = 0; n < couples.length; n += abreast) {
    const some = couples.slice(n, n + abreast);
    for (const [one] of some) one.send((id) => frames.skip(id, one.roomId, newId()));
    await allAnswered(some.flat());
  }
}

// What is there once, however many come, is nobody's.
const first = await connect(50);
for (let n = 0; n < 20; n++) {
  await meet(first);
  await part(first);
}
for (const peer of first) peer.close();
await redis.cli("config", "resetstat");
await Bun.sleep(settleMs);
// Those who have gone are kept for some minutes.
await redis.cli(
  "eval",
  "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end",
  "0",
  `${prefixOfKeys}[slav]:*`,
);
empty = { redis: await usedMemory(), node: rssOf(server.pid) };

console.log(`\nbytes of each of ${peerCount} peers; calls of ${signalCount} signals`);
console.log(
  `${"".padEnd(18)}${["Redis", ...Object.keys(kinds), "node"].map((name) => name.padStart(9)).join("")}`,
);
const spent = () => ({ node: cpuUsOf(server.pid), redis: cpuUsOf(redis.pid) });
const atFirst = spent();
const peers = await connect(peerCount);
const afterwards = spent();
const attaching = {
  nodeUs: Math.round((afterwards.node - atFirst.node) / peerCount),
  redisUs: Math.round((afterwards.redis - atFirst.redis) / peerCount),
};
const idle = await weigh("idle", true);

/** Microseconds of the node's CPU while each peer pings `each` times, and for how many seconds that takes. */
async function pinging(each: number): Promise<{ us: number; seconds: number }> {
  const seconds = 5;
  const before = spent().node;
  const startedAt = performance.now();
  const total = each * peerCount;
  for (let n = 0, share = 0; share < 1; await Bun.sleep(1)) {
    share = Math.min(1, (performance.now() - startedAt) / 1000 / seconds);
    for (; n < share * total; n++) peers[n % peerCount]?.ping();
  }
  return { us: spent().node - before, seconds };
}
/** In five seconds: as many pings a second as a node has of 30,000 peers. */
const pingsEach = Math.round(30_000 / peerCount);
await pinging(pingsEach);
const [quiet, loud] = [await pinging(0), await pinging(pingsEach)];
const pings = () => peers.reduce((sum, { pongs }) => sum + pongs, 0);
await until("all pings are answered", () => pings() === 2 * pingsEach * peerCount);
const pingUs = Number(((loud.us - quiet.us) / (pingsEach * peerCount)).toFixed(1));
const idleNodeUs = Math.round(quiet.us / quiet.seconds);
for (const [n, peer] of peers.entries()) {
  peer.join(`waits ${n}`);
  if (n % 50 === 49) await allAnswered(peers);
}
await allAnswered(peers);
const waiting = await weigh("waiting", true);
let busy = waiting;
for (let calls = 1; calls <= callsMax; calls++) {
  if (calls > 1) await part(peers);
  await meet(peers);
  const isLast = calls === callsMax;
  if (Number.isInteger(Math.log2(calls)) || isLast) busy = await weigh(`in call ${calls}`, isLast);
}
await part(peers);
await weigh("waiting after it", false);
for (const [n, peer] of peers.entries()) {
  peer.send((id) => frames.leave(id, newId()));
  if (n % 50 === 49) await allAnswered(peers);
}
await allAnswered(peers);
await weigh("idle after it", false);
console.log(
  `\nµs of CPU: of a peer that connects ${attaching.nodeUs} of its node and ${attaching.redisUs} of Redis; of a ping and its answer ` +
    `${pingUs} of the node; of a second in which nothing happens ${idleNodeUs} of the node`,
);
if (flags.json)
  await Bun.write(
    flags.json,
    JSON.stringify({ bytes: { idle, waiting, busy }, attaching, pingUs, idleNodeUs }, undefined, 2),
  );
for (const peer of peers) peer.close();
await server.kill();
await redis[Symbol.asyncDispose]();
process.exit(0);
