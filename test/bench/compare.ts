/**
 * This server beside what else one would take: `bun test/bench/compare.ts [--quick] [--only=<phase>] [--json=<file>]`
 * (Linux; Node for Socket.IO; two cores). About a quarter of an hour; `--quick` has fewer and shorter rounds.
 *
 * Every server is a process pinned to a core of its own, the load another; CPU and memory are what the operating
 * system says of the server's process. Rounds are interleaved, so that a noisy moment spoils one round of everybody.
 * Figures are medians over the rounds (means, where the kernel's clock is coarse). Ratios are what to look at: the
 * rest depends on the machine.
 */
import { contestants, ours, type SignalKind } from "./contestants.ts";
import {
  median,
  openStage,
  pairAll,
  partAll,
  percentile,
  pinLoad,
  relay,
  rssOf,
  cpuUsOf,
  type Stage,
} from "./load.ts";

const isQuick = process.argv.includes("--quick");
const optionOf = (name: string) =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const only = optionOf("only") ?? "";
const jsonFile = optionOf("json");

const plan = isQuick
  ? {
      rounds: 3,
      seconds: 2,
      rooms: 50,
      peers: [1000, 2000],
      pairing: 500,
      pairings: 10,
      starts: 3,
      crowd: 2000,
    }
  : {
      rounds: 7,
      seconds: 4,
      rooms: 100,
      peers: [1000, 10_000],
      pairing: 2000,
      pairings: 21,
      starts: 7,
      crowd: 10_000,
    };
/** Rounds of pairing that are not counted: a server that has just started is busy with itself. */
const pairingsWarmUp = 10;
/** Until memory that goes back to the system has gone (milliseconds). */
const settleMs = 15_000;
/** Moderate: the slowest of them is at a third of its core. */
const perS: Record<SignalKind, number> = { candidate: 5000, sdp: 2000 };

interface Figures {
  /** Microseconds of the server's CPU for each relayed (and acknowledged) signal. */
  candidateCpuUs: number;
  sdpCpuUs: number;
  candidateP50Ms: number;
  candidateP99Ms: number;
  sdpP50Ms: number;
  sdpP99Ms: number;
  /** Resident memory for each idle connected peer. */
  fewPeersKiB: number;
  manyPeersKiB: number;
  pairsPerS: number;
  pairCpuUs: number;
  listeningMs: number;
}

interface Report {
  plan: typeof plan;
  perS: typeof perS;
  isPinned: boolean;
  figures: Record<string, Partial<Figures>>;
  /** All of a crowd join at once, here: until each is told (ms). */
  crowd?: { peers: number; p50Ms: number; p99Ms: number; maxMs: number };
}

const isPinned = pinLoad();
if (!isPinned) console.log("taskset is missing: nothing is pinned, and the figures say less");
const figures: Record<string, Partial<Figures>> = Object.fromEntries(
  contestants.map(({ name }) => [name, {}]),
);
const report: Report = { plan, perS, isPinned, figures };

const note = (name: string, found: Partial<Figures>) =>
  void Object.assign(figures[name] ?? {}, found);

async function withStages(work: (stages: Stage[]) => Promise<void>) {
  await using stack = new AsyncDisposableStack();
  const stages: Stage[] = [];
  for (const contestant of contestants)
    stages.push(stack.use(await openStage(contestant, isPinned)));
  await work(stages);
}

const phases: Record<string, () => Promise<void>> = {
  async relaying() {
    await withStages(async (stages) => {
      for (const stage of stages) {
        await stage.connect(2 * plan.rooms);
        await pairAll(stage);
      }
      const seen = new Map(stages.map((stage) => [stage, { candidate: round(), sdp: round() }]));
      // The first round warms up.
      for (let n = 0; n <= plan.rounds; n++)
        for (const [stage, rounds] of seen)
          for (const kind of ["candidate", "sdp"] as const) {
            const { cpuUs, latenciesMs } = await relay(stage, kind, perS[kind], plan.seconds);
            if (n === 0) continue;
            rounds[kind].cpuUs.push(cpuUs);
            rounds[kind].p50Ms.push(median(latenciesMs));
            rounds[kind].p99Ms.push(percentile(latenciesMs, 0.99));
          }
      for (const [{ contestant }, { candidate, sdp }] of seen)
        note(contestant.name, {
          candidateCpuUs: median(candidate.cpuUs),
          sdpCpuUs: median(sdp.cpuUs),
          candidateP50Ms: median(candidate.p50Ms),
          candidateP99Ms: median(candidate.p99Ms),
          sdpP50Ms: median(sdp.p50Ms),
          sdpP99Ms: median(sdp.p99Ms),
        });
    });
  },

  async pairing() {
    await withStages(async (stages) => {
      for (const stage of stages) await stage.connect(plan.pairing);
      const seen = new Map(
        stages.map((stage) => [stage, { perS: [] as number[], cpuUs: [] as number[] }]),
      );
      for (let n = -pairingsWarmUp; n < plan.pairings; n++)
        for (const [stage, rounds] of seen) {
          const cpuBefore = cpuUsOf(stage.process.pid);
          const tookMs = Math.max(...(await pairAll(stage)));
          const pairs = plan.pairing / 2;
          const cpuUs = (cpuUsOf(stage.process.pid) - cpuBefore) / pairs;
          await partAll(stage);
          if (n < 0) continue;
          rounds.perS.push(pairs / (tookMs / 1000));
          rounds.cpuUs.push(cpuUs);
        }
      for (const [{ contestant }, rounds] of seen)
        note(contestant.name, { pairsPerS: median(rounds.perS), pairCpuUs: mean(rounds.cpuUs) });
    });
  },

  async memory() {
    for (const contestant of contestants) {
      await using stage = await openStage(contestant, isPinned);
      // What is there once, however many come, is nobody's.
      await stage.connect(50);
      await stage.disconnectAll();
      await Bun.sleep(settleMs);
      const before = rssOf(stage.process.pid);
      const eachKiB: number[] = [];
      for (const count of plan.peers) {
        await stage.connect(count - stage.peers.length);
        await Bun.sleep(settleMs);
        eachKiB.push((rssOf(stage.process.pid) - before) / count / 1024);
      }
      const [fewPeersKiB = Number.NaN, manyPeersKiB = Number.NaN] = eachKiB;
      note(contestant.name, { fewPeersKiB, manyPeersKiB });
    }
  },

  async starting() {
    const seen = contestants.map(() => [] as number[]);
    for (let n = 0; n < plan.starts; n++)
      for (const [index, contestant] of contestants.entries()) {
        const startedAt = performance.now();
        await using _ = await openStage(contestant, isPinned);
        seen[index]?.push(performance.now() - startedAt);
      }
    for (const [index, { name }] of contestants.entries())
      note(name, { listeningMs: median(seen[index] ?? []) });
  },

  async crowd() {
    await using stage = await openStage(ours, isPinned);
    await stage.connect(plan.crowd);
    const tookMs = await pairAll(stage);
    report.crowd = {
      peers: plan.crowd,
      p50Ms: median(tookMs),
      p99Ms: percentile(tookMs, 0.99),
      maxMs: Math.max(...tookMs),
    };
  },
};

/** Of rounds that each last a few ticks of the kernel's clock. */
function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function round() {
  return { cpuUs: [] as number[], p50Ms: [] as number[], p99Ms: [] as number[] };
}

const rows: [what: string, key: keyof Figures, digits: number][] = [
  ["µs of CPU per signal, candidate of 150 bytes", "candidateCpuUs", 1],
  ["µs of CPU per signal, SDP of 6 KB", "sdpCpuUs", 1],
  ["ms from peer to peer, candidate, p50", "candidateP50Ms", 2],
  ["ms from peer to peer, candidate, p99", "candidateP99Ms", 2],
  ["ms from peer to peer, SDP, p50", "sdpP50Ms", 2],
  ["ms from peer to peer, SDP, p99", "sdpP99Ms", 2],
  [`KiB per idle peer, ${plan.peers[0]} of them`, "fewPeersKiB", 1],
  [`KiB per idle peer, ${plan.peers[1]} of them`, "manyPeersKiB", 1],
  ["pairs per second, both told", "pairsPerS", 0],
  ["µs of CPU per pair", "pairCpuUs", 0],
  ["ms from start to listening", "listeningMs", 0],
];

for (const [name, phase] of Object.entries(phases)) {
  if (!name.includes(only)) continue;
  console.log(`${name} …`);
  await phase();
}

const names = contestants.map(({ name }) => name);
const cell = (text: string) => text.padStart(18);
console.log(`\n${"".padEnd(46)}${names.map((name) => cell(name.slice(0, 17))).join("")}`);
for (const [what, key, digits] of rows) {
  const base = figures[ours.name]?.[key];
  if (base === undefined) continue;
  const values = names.map((name) => figures[name]?.[key] ?? Number.NaN);
  console.log(`${what.padEnd(46)}${values.map((value) => cell(value.toFixed(digits))).join("")}`);
  const ratios = values.map((value) => cell(`(${(base / value).toFixed(2)})`));
  console.log(`${"  ours as a ratio to it".padEnd(46)}${ratios.join("")}`);
}
if (report.crowd) {
  const { peers, p50Ms, p99Ms, maxMs } = report.crowd;
  console.log(
    `\n${peers} peers joining at once: all paired; told after p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, last ${maxMs.toFixed(0)} ms`,
  );
}
if (jsonFile !== undefined) await Bun.write(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
process.exit(0);
