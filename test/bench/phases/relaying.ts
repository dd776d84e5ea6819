/** CPU and time of signals at a rate that is moderate: no server is near the limit of its core. */
import type { SignalKind } from "../dialects/dialect.ts";
import { median, pairAll, percentile, relay, type Order, type Stage } from "../load.ts";
import { Rounds, type Trial } from "../trial.ts";

const relayings: { what: string; kind: SignalKind; order: Order; perS: number }[] = [
  { what: "candidate, spread", kind: "candidate", order: "spread", perS: 5000 },
  { what: "candidate, bursts of 5", kind: "candidate", order: "bursts", perS: 5000 },
  { what: "candidate, neighbours", kind: "candidate", order: "neighbours", perS: 5000 },
  { what: "SDP of 6 KB, spread", kind: "sdp", order: "spread", perS: 2000 },
];

/** So many signals that the code of a relay is compiled for good, of both kinds. */
export async function warmUp(stage: Stage, { isQuick }: Trial): Promise<void> {
  const seconds = isQuick ? 1 : 10;
  await relay(stage, "candidate", 10_000, seconds, "spread");
  await relay(stage, "sdp", 2000, isQuick ? 1 : 5, "spread");
}

export async function relaying(trial: Trial): Promise<void> {
  const plan = trial.isQuick
    ? { warmUps: 1, rounds: 3, seconds: 2, rooms: 100 }
    : { warmUps: 1, rounds: 5, seconds: 2, rooms: 250 };
  await trial.withStages(trial.contestants, async (stages) => {
    await trial.forEach(stages, async (stage) => {
      await stage.connect(2 * plan.rooms);
      await pairAll(stage);
      await warmUp(stage, trial);
    });
    for (const { what, kind, order, perS } of relayings) {
      const [cpuUs, p50Ms, p99Ms] = [new Rounds(), new Rounds(), new Rounds()];
      await trial.inTurns(plan, stages, async (stage, isWarmUp) => {
        const { contestant } = stage;
        const relayed = await relay(stage, kind, perS, plan.seconds, order);
        if (isWarmUp) return;
        cpuUs.add(contestant, relayed.cpuUs);
        p50Ms.add(contestant, median(relayed.latenciesMs));
        p99Ms.add(contestant, percentile(relayed.latenciesMs, 0.99));
      });
      trial.noteRounds(`µs of CPU per signal: ${what}`, cpuUs);
      trial.noteRounds(`ms from peer to peer, p50: ${what}`, p50Ms);
      trial.noteRounds(`ms from peer to peer, p99: ${what}`, p99Ms);
    }
  });
}
