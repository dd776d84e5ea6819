/**
 * This server beside what else one would take: `bun test/bench/compare.ts [--quick] [--only=<phase>] [--contestants=<regular
 * expression>] [--rounds] [--json=<file>]` (Linux; Node for some; two cores). `--quick` has fewer and shorter rounds.
 *
 * Every server is a process pinned to a core of its own, the load another; CPU is the time that the scheduler gave the
 * server's threads, memory what is resident. Rounds are interleaved, so that a noisy moment spoils one round of everybody.
 * Figures are medians over the rounds. Ratios are what to look at: the rest depends on the machine.
 */
import { contestants as everybody, ours, type SignalKind } from "./contestants.ts";
import {
  cpuUsOf,
  median,
  openStage,
  pairAll,
  partAll,
  percentile,
  pinLoad,
  relay,
  rssOf,
  type Order,
  type Stage,
} from "./load.ts";

const isQuick = process.argv.includes("--quick");
const optionOf = (name: string) =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const only = optionOf("only") ?? "";
const chosen = new RegExp(optionOf("contestants") ?? "");
const jsonFile = optionOf("json");

/** `rooms`: of the relaying; `pairing`: peers that are paired in a round; `newcomers`: peers that connect in a round. */
const plan = isQuick
  ? { rounds: 3, seconds: 2, rooms: 100, peers: [1000, 2000], pairing: 500, newcomers: 500 }
  : { rounds: 7, seconds: 4, rooms: 250, peers: [1000, 10_000], pairing: 2000, newcomers: 1000 };
const starts = isQuick ? 3 : 7;
const crowdPeers = isQuick ? 2000 : 10_000;
/** Until memory that goes back to the system has gone (milliseconds). */
const settleMs = 15_000;

/** The rates are moderate: no server is near the limit of its core. */
const relayings: { what: string; kind: SignalKind; order: Order; perS: number }[] = [
  { what: "candidate, spread", kind: "candidate", order: "spread", perS: 5000 },
  { what: "candidate, bursts of 5", kind: "candidate", order: "bursts", perS: 5000 },
  { what: "candidate, neighbours", kind: "candidate", order: "neighbours", perS: 5000 },
  { what: "SDP of 6 KB, spread", kind: "sdp", order: "spread", perS: 2000 },
];

/** Figures by what they are of, then by contestant. */
type Figures = Record<string, Record<string, number>>;

interface Report {
  plan: typeof plan;
  isPinned: boolean;
  figures: Figures;
  /** All of a crowd join at once, here: until each is told (ms). */
  crowd?: { peers: number; p50Ms: number; p99Ms: number; maxMs: number };
}

const contestants = everybody.filter((one) => one === ours || chosen.test(one.name));
const isPinned = pinLoad();
if (!isPinned) console.log("taskset is missing: nothing is pinned, and the figures say less");
const figures: Figures = {};
const report: Report = { plan, isPinned, figures };

/** The rounds of one figure. */
class Rounds {
  readonly #values = new Map<string, number[]>();

  add(name: string, value: number): void {
    const values = this.#values.get(name) ?? [];
    values.push(value);
    this.#values.set(name, values);
  }

  note(what: string): void {
    for (const [name, values] of this.#values) (figures[what] ??= {})[name] = median(values);
    if (process.argv.includes("--rounds"))
      for (const [name, values] of this.#values)
        console.log(`  ${what}, ${name}: ${values.map((value) => value.toFixed(1)).join(" ")}`);
  }
}

async function withStages(work: (stages: Stage[]) => Promise<void>) {
  await using stack = new AsyncDisposableStack();
  const stages: Stage[] = [];
  for (const contestant of contestants)
    stages.push(stack.use(await openStage(contestant, isPinned)));
  await work(stages);
}

/** Each stage once per round, in alternating order, so that none always runs after the same one. */
async function inTurns(
  rounds: number,
  stages: readonly Stage[],
  turn: (stage: Stage, isWarmUp: boolean) => Promise<void>,
): Promise<void> {
  for (let n = -1; n < rounds; n++)
    for (const stage of n % 2 === 0 ? stages : stages.toReversed()) await turn(stage, n < 0);
}

const phases: Record<string, () => Promise<void>> = {
  async relaying() {
    await withStages(async (stages) => {
      for (const stage of stages) {
        await stage.connect(2 * plan.rooms);
        await pairAll(stage);
      }
      for (const { what, kind, order, perS } of relayings) {
        const [cpuUs, p50Ms, p99Ms] = [new Rounds(), new Rounds(), new Rounds()];
        await inTurns(plan.rounds, stages, async (stage, isWarmUp) => {
          const { name } = stage.contestant;
          const relayed = await relay(stage, kind, perS, plan.seconds, order);
          if (isWarmUp) return;
          cpuUs.add(name, relayed.cpuUs);
          p50Ms.add(name, median(relayed.latenciesMs));
          p99Ms.add(name, percentile(relayed.latenciesMs, 0.99));
        });
        cpuUs.note(`µs of CPU per signal: ${what}`);
        p50Ms.note(`ms from peer to peer, p50: ${what}`);
        p99Ms.note(`ms from peer to peer, p99: ${what}`);
      }
    });
  },

  async pairing() {
    await withStages(async (stages) => {
      for (const stage of stages) await stage.connect(plan.pairing);
      const [cpuUs, perS] = [new Rounds(), new Rounds()];
      const pairs = plan.pairing / 2;
      await inTurns(5 * plan.rounds, stages, async (stage, isWarmUp) => {
        const before = cpuUsOf(stage.process.pid);
        const tookMs = Math.max(...(await pairAll(stage)));
        const took = cpuUsOf(stage.process.pid) - before;
        await partAll(stage);
        if (isWarmUp) return;
        cpuUs.add(stage.contestant.name, took / pairs);
        perS.add(stage.contestant.name, pairs / (tookMs / 1000));
      });
      cpuUs.note("µs of CPU per pair, both told");
      perS.note("pairs per second, both told");
    });
  },

  async newcomers() {
    await withStages(async (stages) => {
      const cpuUs = new Rounds();
      await inTurns(plan.rounds, stages, async (stage, isWarmUp) => {
        const before = cpuUsOf(stage.process.pid);
        await stage.connect(plan.newcomers);
        const took = cpuUsOf(stage.process.pid) - before;
        await stage.disconnectAll();
        await Bun.sleep(200);
        if (!isWarmUp) cpuUs.add(stage.contestant.name, took / plan.newcomers);
      });
      cpuUs.note("µs of CPU per new peer, until its first event");
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
      for (const count of plan.peers) {
        await stage.connect(count - stage.peers.length);
        await Bun.sleep(settleMs);
        const eachKiB = (rssOf(stage.process.pid) - before) / count / 1024;
        (figures[`KiB per idle peer that pings, ${count} of them`] ??= {})[contestant.name] =
          eachKiB;
      }
    }
  },

  async starting() {
    const listeningMs = new Rounds();
    for (let n = 0; n < starts; n++)
      for (const contestant of contestants) {
        const startedAt = performance.now();
        await using _ = await openStage(contestant, isPinned);
        listeningMs.add(contestant.name, performance.now() - startedAt);
      }
    listeningMs.note("ms from start to listening");
  },

  async crowd() {
    await using stage = await openStage(ours, isPinned);
    await stage.connect(crowdPeers);
    const tookMs = await pairAll(stage);
    report.crowd = {
      peers: crowdPeers,
      p50Ms: median(tookMs),
      p99Ms: percentile(tookMs, 0.99),
      maxMs: Math.max(...tookMs),
    };
  },
};

for (const [name, phase] of Object.entries(phases)) {
  if (!name.includes(only)) continue;
  console.log(`${name} …`);
  await phase();
}

// One line for each contestant, as their names are long; after each figure ours as a ratio to it.
for (const [what, byName] of Object.entries(figures)) {
  console.log(`\n${what}`);
  const own = byName[ours.name] ?? Number.NaN;
  for (const [name, value] of Object.entries(byName))
    console.log(
      `  ${name.padEnd(46)}${value.toPrecision(3).padStart(10)}   (${(own / value).toFixed(2)})`,
    );
}
if (report.crowd) {
  const { peers, p50Ms, p99Ms, maxMs } = report.crowd;
  console.log(
    `\n${peers} peers joining at once: all paired; told after p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, last ${maxMs.toFixed(0)} ms`,
  );
}
if (jsonFile !== undefined) await Bun.write(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
process.exit(0);
