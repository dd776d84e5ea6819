/** How many signals a core relays: the rate rises in steps until p99 from peer to peer is too long. */
import { pairAll, percentile, relay, type Relayed, type Stage } from "../load.ts";
import { Rounds, type Trial } from "../trial.ts";
import { warmUp } from "./relaying.ts";

const p99MsMax = 50;
const firstPerS = 5000;
/** Of a core: more than this and the rest of its time is but noise. */
const busy = 0.95;
/** Less than this of the rate that was asked for, and the load or the server can't keep it. */
const keptMin = 0.95;
const what = `candidates per second with p99 of at most ${p99MsMax} ms (more is better)`;

const isKept = (step: Relayed, perS: number) =>
  step.perS >= keptMin * perS && percentile(step.latenciesMs, 0.99) <= p99MsMax;

/** The last step that was kept, and the first that was not. A single bad moment ends nothing: each has a second try. */
async function climb(stage: Stage, from: number, growth: number, seconds: number) {
  let kept: Relayed | undefined;
  for (let perS = from; ; perS *= growth) {
    let step = await relay(stage, "candidate", perS, seconds, "spread");
    if (!isKept(step, perS)) step = await relay(stage, "candidate", perS, seconds, "spread");
    if (!isKept(step, perS)) return { kept, failed: step };
    kept = step;
  }
}

export async function saturation(trial: Trial): Promise<void> {
  const plan = trial.isQuick
    ? { rounds: 1, seconds: 1, growth: 1.5 }
    : { rounds: 3, seconds: 2, growth: 1.15 };
  await trial.withStages(trial.contestants, async (stages) => {
    await trial.forEach(stages, async (stage) => {
      await stage.connect(500);
      await pairAll(stage);
      await warmUp(stage, trial);
    });
    const rates = new Rounds();
    for (let round = 0; round < plan.rounds; round++)
      await trial.forEach(stages, async (stage) => {
        const { contestant } = stage;
        // Not all the way up again: a few steps below what was reached before.
        const before = Math.max(0, ...(rates.values.get(contestant) ?? []));
        const from = Math.max(firstPerS, before / plan.growth ** 4);
        const { kept, failed } = await climb(stage, from, plan.growth, plan.seconds);
        rates.add(contestant, kept?.perS ?? 0);
        if (failed.serverShare >= busy) return;
        // The server could have done more: the figure is a lower bound.
        const why =
          failed.loadShare > busy ? "the load generator saturates" : "neither core was full";
        trial.remark(what, contestant, `at least: ${why}`);
      });
    trial.noteRounds(what, rates);
  });
}
