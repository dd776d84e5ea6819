/** What peers cost that arrive: connecting, being paired, being there. */
import { cpuUsOf, openStage, pairAll, partAll, rssOf } from "../load.ts";
import { Rounds, type Trial } from "../trial.ts";

/** Until memory that goes back to the system has gone (milliseconds). */
const settleMs = 10_000;

export async function pairing(trial: Trial): Promise<void> {
  const plan = trial.isQuick
    ? { warmUps: 5, rounds: 15, peers: 500 }
    : { warmUps: 15, rounds: 15, peers: 2000 };
  const pairs = plan.peers / 2;
  const able = trial.contestants.filter(({ dialect }) => dialect.pairing !== "none");
  await trial.withStages(able, async (stages) => {
    // Where to arrive is to be paired, arriving is what is measured.
    const onArrival = ({ dialect }: (typeof able)[number]) => dialect.pairing === "on arrival";
    await trial.forEach(stages, async (stage) => {
      if (!onArrival(stage.contestant)) await stage.connect(plan.peers);
    });
    const [cpuUs, perS] = [new Rounds(), new Rounds()];
    await trial.inTurns(plan, stages, async (stage, isWarmUp) => {
      const { contestant } = stage;
      const arrives = onArrival(contestant);
      const before = cpuUsOf(stage.process.pid);
      const startedAt = performance.now();
      if (arrives) await stage.connect(plan.peers);
      await pairAll(stage);
      const tookMs = performance.now() - startedAt;
      const took = cpuUsOf(stage.process.pid) - before;
      await (arrives ? stage.disconnectAll() : partAll(stage));
      if (isWarmUp) return;
      cpuUs.add(contestant, took / pairs);
      perS.add(contestant, pairs / (tookMs / 1000));
    });
    trial.noteRounds("µs of CPU per pair, both told", cpuUs);
    trial.noteRounds("pairs per second, both told", perS);
    for (const contestant of able.filter(onArrival))
      trial.remark("µs of CPU per pair, both told", contestant, "with connecting");
  });
}

export async function newcomers(trial: Trial): Promise<void> {
  const plan = trial.isQuick
    ? { warmUps: 2, rounds: 3, peers: 500 }
    : { warmUps: 12, rounds: 7, peers: 1000 };
  await trial.withStages(trial.contestants, async (stages) => {
    const cpuUs = new Rounds();
    await trial.inTurns(plan, stages, async (stage, isWarmUp) => {
      const before = cpuUsOf(stage.process.pid);
      await stage.connect(plan.peers);
      const took = cpuUsOf(stage.process.pid) - before;
      await stage.disconnectAll();
      await Bun.sleep(200);
      if (!isWarmUp) cpuUs.add(stage.contestant, took / plan.peers);
    });
    trial.noteRounds("µs of CPU per new peer, until its first event", cpuUs);
  });
}

export async function memory(trial: Trial): Promise<void> {
  const sizes = trial.isQuick ? [1000, 2000] : [1000, 10_000];
  for (const contestant of trial.contestants)
    await trial.attempt(contestant, async () => {
      await using stage = await openStage(contestant, trial.isPinned);
      // What is there once, however many come, is nobody's.
      await stage.connect(50);
      await stage.disconnectAll();
      await Bun.sleep(settleMs);
      const before = rssOf(stage.process.pid);
      for (const count of sizes) {
        await stage.connect(count - stage.peers.length);
        await Bun.sleep(settleMs);
        const eachKiB = (rssOf(stage.process.pid) - before) / count / 1024;
        trial.note(`KiB per idle peer that pings, ${count} of them`, contestant, eachKiB);
      }
    });
}

export async function starting(trial: Trial): Promise<void> {
  const listeningMs = new Rounds();
  for (let n = 0; n < (trial.isQuick ? 3 : 7); n++)
    for (const contestant of trial.contestants)
      await trial.attempt(contestant, async () => {
        const startedAt = performance.now();
        await using _ = await openStage(contestant, trial.isPinned);
        listeningMs.add(contestant, performance.now() - startedAt);
      });
  trial.noteRounds("ms from start to listening", listeningMs);
}
