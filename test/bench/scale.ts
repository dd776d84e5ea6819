/**
 * What a lobby of any size needs, and what fails first: `bun test/bench/scale.ts [--peers=1000000 --call-seconds=60 …]`.
 *
 * A table of nodes, Redis processes, cores, memory and network, calculated from what a signal and a pairing cost; how long a script
 * waits in Redis, simulated; and a day of a lobby of several shards, simulated: who waits how long, which shards are open, what an outage of
 * one Redis does. The costs are those that `bun test/bench/nodes.ts --json=FILE` and `memory.ts --json=FILE` have measured where you are
 * (`--costs=FILE,FILE`); what is in neither is of one run on two shared cores of a small virtual machine.
 */
import { capacityOf, type Costs, type Load } from "./scale/capacity.ts";
import { simulateLobby } from "./scale/lobby.ts";
import { simulateQueue } from "./scale/redis-queue.ts";

const flags = new Map(
  process.argv.slice(2).map((argument) => {
    const [, name = "", value = ""] = /^--([\w-]+)=(.+)$/.exec(argument) ?? [];
    if (name === "") throw new Error(`not understood: ${argument}; write --name=value`);
    return [name, value] as const;
  }),
);
const number = (name: string, otherwise: number) => {
  const value = Number(flags.get(name) ?? otherwise);
  flags.delete(name);
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0`);
  return value;
};

const files = flags.get("costs")?.split(",") ?? [];
flags.delete("costs");
let costs: Costs = (await import("./scale/costs.json")).default;
for (const file of files)
  costs = { ...costs, ...((await Bun.file(file).json()) as Partial<Costs>) };
const peers = number("peers", 1_000_000);
const load: Load = {
  peers,
  callS: number("call-seconds", 60),
  signalsPerCall: number("signals-per-call", 30),
  signalBytes: number("signal-bytes", 400),
  redisShare: number("redis-share", 0.5),
  nodeShare: number("node-share", 0.5),
  peersPerShard: number("peers-per-shard", 40_000),
  socketS: number("socket-seconds", 600),
  pingEveryS: number("ping-seconds", 5),
  heartbeatsPerS: 1,
  heartbeatUs: number("heartbeat-us", 150),
};
const batchMs = number("batch-ms", 8);
const daySeconds = number("day-seconds", 600);
const dayPeers = number("day-peers", 200_000);
const seed = number("seed", 1);
if (flags.size > 0) throw new Error(`not known: --${[...flags.keys()].join(", --")}`);

const round = (value: number, digits = 0) =>
  value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
const kb = (bytes: number) => round(bytes / 1000, 1);
const print = (rows: string[][]) => {
  const [head = [], ...body] = rows;
  const lines = [head, head.map(() => "---"), ...body].map((row) => `| ${row.join(" | ")} |`);
  console.log(`${lines.join("\n")}\n`);
};

console.log(
  `Costs: a signal ${costs.signalUs.acrossNodes.nodes} µs of nodes and ${costs.signalUs.acrossNodes.redis} µs of Redis across nodes, ` +
    `${costs.signalUs.sameNode.nodes} and ${costs.signalUs.sameNode.redis} µs on one; a pairing ${costs.pairing.nodeUs} and ${costs.pairing.redisUs} µs; ` +
    `a peer that connects ${costs.attaching.nodeUs} and ${costs.attaching.redisUs} µs, once in ${round(load.socketS)} s; a ping ${costs.pingUs} µs of its node, every ${round(load.pingEveryS)} s; ` +
    `a node ${round(costs.idleNodeUs)} µs a second. Memory: ${Object.entries(costs.bytes)
      .map(
        ([name, { redis, node }]) =>
          `${name} ${kb(redis)} KB in Redis and ${kb(node)} KB in the node`,
      )
      .join("; ")}. All peers are counted as busy.\n`,
);
const rows = [
  [
    "peers",
    "pairings/s",
    "signals/s",
    "nodes",
    "Redis",
    "node cores",
    "Redis cores",
    "node GiB",
    "Redis GiB",
    "peers Gbit/s",
    "Redis Gbit/s",
    "a script in Redis: median, 99 % (ms)",
    "first at its limit",
  ],
];
for (const share of [0.05, 0.1, 0.25, 0.5, 1, 2]) {
  const need = capacityOf({ ...load, peers: share * peers }, costs);
  const { nodes, shards, pairingsPerS, signalsPerS } = need;
  const queue = simulateQueue(
    {
      nodes,
      pairingsPerS: pairingsPerS / shards,
      signalsPerS: signalsPerS / shards,
      batchMs,
      scriptsPerPairing: 4,
      seconds: 20,
      seed,
    },
    costs,
  );
  rows.push([
    round(share * peers),
    round(pairingsPerS),
    round(signalsPerS),
    round(nodes),
    round(shards),
    round(need.nodeCores, 1),
    round(need.redisCores, 1),
    round(need.nodeGiB, 1),
    round(need.redisGiB, 1),
    round(need.peerGbit, 2),
    round(need.redisGbit, 2),
    `${round(queue.median, 2)}, ${round(queue.p99, 2)}`,
    `${need.first.what} (${round(100 * need.first.share)} %)`,
  ]);
}
print(rows);
console.log(
  `A shard of ${round(load.peersPerShard)} busy peers takes ${round(capacityOf(load, costs).shardGiB, 1)} GiB of Redis.\n`,
);

const day = {
  peers: dayPeers,
  quiet: 0.05,
  seconds: daySeconds,
  callS: load.callS,
  staying: 0.8,
  modes: { video: 0.95, text: 0.0498, audio: 0.0002 },
  shards: Math.ceil(dayPeers / load.peersPerShard) + 1,
  openAbove: load.peersPerShard,
  closeBelow: 0.625 * load.peersPerShard,
  heartbeatS: 1,
  seekAfterS: 8,
  outage: undefined,
  seed,
};
const shard = 1;
const outage = { shard, fromS: 0.45 * daySeconds, toS: 0.45 * daySeconds + 30 };
console.log(
  `A day of ${daySeconds} s, from ${round(day.quiet * dayPeers)} peers to ${round(dayPeers)} and back; audio is wanted by one in 5,000:\n`,
);
const days = [
  [
    "",
    "open: most, in the end",
    "largest shard",
    "moves",
    "in closed shards in the end",
    "wait for video: median, 99 %, longest (s)",
    "for text",
    "for audio",
  ],
];
for (const [name, of] of [
  ["undisturbed", undefined],
  ["one Redis gone for 30 s at the peak, as the others see it", outage],
] as const) {
  const report = simulateLobby({ ...day, outage: of });
  const waits = (mode: string) => {
    const { median = 0, p99 = 0, longest = 0 } = report.waits[mode] ?? {};
    return [median, p99, longest].map((value) => round(value, 2)).join(", ");
  };
  days.push([
    name,
    `${report.openMost}, ${report.openLast}`,
    round(report.largest),
    round(report.moves),
    round(report.inClosed),
    waits("video"),
    waits("text"),
    waits("audio"),
  ]);
}
print(days);
