/**
 * This server beside what else one would take: `bun test/bench/compare.ts [--quick] [--only=<phase>] [--contestants=<regular
 * expression>] [--rounds] [--json=<file>]` (Linux; Node for some, gcc for one; two cores). `--quick` has fewer and shorter
 * rounds.
 *
 * The servers are processes pinned to one core, where one works at a time, and the load is pinned to another; CPU is the time that
 * the scheduler gave a server's threads, memory what is resident. Rounds are interleaved, so that a noisy moment spoils one round of everybody.
 * Figures are medians over the rounds. Ratios are what to look at: the rest depends on the machine. Whoever loses a signal,
 * or delivers one twice, has failed; the others go on, and the exit code is 1.
 */
import { cpus, release } from "node:os";
import { contestants, ours } from "./contestants.ts";
import { median, openStage, pairAll, percentile, pinLoad } from "./load.ts";
import { memory, newcomers, pairing, starting } from "./phases/arriving.ts";
import { cut } from "./phases/cut.ts";
import { pings } from "./phases/pings.ts";
import { relaying } from "./phases/relaying.ts";
import { rooms } from "./phases/rooms.ts";
import { saturation } from "./phases/saturation.ts";
import { words } from "./phases/words.ts";
import { Trial } from "./trial.ts";

const optionOf = (name: string) =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const only = optionOf("only") ?? "";
const chosen = new RegExp(optionOf("contestants") ?? "");
const jsonFile = optionOf("json");
const isQuick = process.argv.includes("--quick");

const versionOf = (command: string) =>
  Bun.which(command) === null
    ? "none"
    : Bun.spawnSync([command, "--version"]).stdout.toString().trim();
const machine = `${cpus().length} × ${cpus()[0]?.model.trim() || "unknown CPU"}, Linux ${release()}, Bun ${Bun.version}, Node ${versionOf("node")}`;
console.log(machine);
const isPinned = pinLoad();
if (!isPinned) console.log("taskset is missing: nothing is pinned, and the figures say less");

const trial = new Trial(
  contestants.filter((one) => one === ours || chosen.test(one.name)),
  { isQuick, isPinned, printsRounds: process.argv.includes("--rounds") },
);

// An interruption is an exit like any other: with it the servers end, and what was built goes.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => process.exit(130));
process.on("exit", () => trial[Symbol.dispose]());

/** All of a crowd join at once, here: until each is told (ms). */
let crowd: { peers: number; p50Ms: number; p99Ms: number; maxMs: number } | undefined;

const phases: Record<string, (trial: Trial) => Promise<void>> = {
  relaying,
  words,
  saturation,
  rooms,
  pairing,
  newcomers,
  cut,
  pings,
  memory,
  starting,
  crowd: () =>
    trial.attempt(ours, async () => {
      const peers = isQuick ? 2000 : 10_000;
      await using stage = await openStage(ours, isPinned);
      await stage.connect(peers);
      const tookMs = await pairAll(stage);
      const [p50Ms, p99Ms] = [median(tookMs), percentile(tookMs, 0.99)];
      crowd = { peers, p50Ms, p99Ms, maxMs: Math.max(...tookMs) };
    }),
};

trial.build();
for (const [name, phase] of Object.entries(phases)) {
  if (!name.includes(only)) continue;
  trial.begin(name);
  await phase(trial);
}

// One line for each contestant, as their names are long; after each figure ours as a ratio to it.
const { figures, remarks, failures } = trial;
for (const [what, byName] of Object.entries(figures)) {
  console.log(`\n${what}`);
  const own = byName[ours.name] ?? Number.NaN;
  for (const [name, value] of Object.entries(byName)) {
    const remark = remarks[what]?.[name];
    console.log(
      `  ${name.padEnd(46)}${value.toPrecision(3).padStart(10)}   (${(own / value).toFixed(2)})${remark ? ` ${remark}` : ""}`,
    );
  }
}
if (crowd) {
  const { peers, p50Ms, p99Ms, maxMs } = crowd;
  console.log(
    `\n${peers} peers joining at once: all paired; told after p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, last ${maxMs.toFixed(0)} ms`,
  );
}
if (failures.length > 0) console.log(`\n${failures.join("\n")}`);
if (jsonFile !== undefined) {
  const report = { machine, isQuick, isPinned, figures, remarks, failures, crowd };
  await Bun.write(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
}
process.exit(failures.length > 0 ? 1 : 0);
