/** CPU of a text beside that of a candidate of about its size, in the same rooms of one server: a text should cost no more. */
import { ours } from "../contestants.ts";
import { pairAll, relay } from "../load.ts";
import { Rounds, type Trial } from "../trial.ts";
import { warmUp } from "./relaying.ts";

const perS = 5000;
const kinds = ["candidate", "text"] as const;

export async function words(trial: Trial): Promise<void> {
  const plan = trial.isQuick
    ? { warmUps: 1, rounds: 4, seconds: 2, rooms: 100 }
    : { warmUps: 1, rounds: 8, seconds: 2, rooms: 250 };
  await trial.withStages(
    [ours],
    async (stages) => {
      const cpuUs = { candidate: new Rounds(), text: new Rounds() };
      await trial.forEach(stages, async (stage) => {
        await stage.connect(2 * plan.rooms);
        await pairAll(stage);
        await warmUp(stage, trial);
        await relay(stage, "text", 10_000, trial.isQuick ? 1 : 10, "spread");
      });
      await trial.inTurns(plan, stages, async (stage, isWarmUp) => {
        for (const kind of kinds) {
          const relayed = await relay(stage, kind, perS, plan.seconds, "spread");
          if (!isWarmUp) cpuUs[kind].add(stage.contestant, relayed.cpuUs);
        }
      });
      for (const kind of kinds)
        trial.noteRounds(`µs of CPU per ${kind} where words go through the server`, cpuUs[kind]);
    },
    () => ({ CHAT: "server" }),
  );
}
