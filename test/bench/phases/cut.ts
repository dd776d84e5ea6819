/** A network that is lost for a moment: all sockets are cut at once, and everybody comes back and resumes. */
import { afterwardsMs, cpuUsOf, pairAll, type Stage } from "../load.ts";
import { Rounds, type Trial } from "../trial.ts";

/**
 * Cuts everybody off. Each comes back at once, and then sends its partner a signal, whether that is back or not.
 *
 * @returns how long it took until everybody was back and had the partner's signal (ms).
 * @throws if one has not resumed its session, or a signal is lost, doubled, or told to another.
 */
async function cutAll(stage: Stage): Promise<number> {
  const { peers } = stage;
  const arrived = new Uint8Array(peers.length);
  const acknowledged = new Uint8Array(peers.length);
  const done = Promise.withResolvers<void>();
  // It may fail while some are not back.
  done.promise.catch(() => {});
  let left = stage.contestant.dialect.acknowledges ? 2 * peers.length : peers.length;
  const countOff = (seen: Uint8Array, n: number) => {
    if (seen[n] !== 0) done.reject(new Error(`signal ${n} came twice, or was never sent`));
    seen[n] = 1;
    left -= 1;
    if (left === 0) done.resolve();
  };
  for (const [index, peer] of peers.entries())
    peer.tally = {
      ...peer.tally,
      paired: () => done.reject(new Error("a peer was paired anew")),
      signal(n) {
        if (n === index || peers[n]?.client.roomId !== peer.client.roomId)
          done.reject(new Error(`signal ${n} came to another than the partner`));
        countOff(arrived, n);
      },
      taken: (n) => countOff(acknowledged, n),
    };
  const startedAt = performance.now();
  for (const peer of peers) peer.cut();
  const returning = peers.map(async (peer, index) => {
    if (!(await peer.connect())) throw new Error("a session was not resumed");
    peer.signal("candidate", [index]);
  });
  const whole = Promise.all([...returning, done.promise]);
  await stage.within(whole, () => `${left} signals or answers are missing after the cut`);
  const tookMs = performance.now() - startedAt;
  await Bun.sleep(afterwardsMs);
  await done.promise;
  if (left !== 0) throw new Error("a signal came twice");
  return tookMs;
}

export async function cut(trial: Trial): Promise<void> {
  const plan = trial.isQuick ? { rounds: 3, peers: 200 } : { rounds: 7, peers: 1000 };
  await trial.withStages(
    trial.contestants.filter(({ resuming }) => resuming !== undefined),
    async (stages) => {
      await trial.forEach(stages, async (stage) => {
        await stage.connect(plan.peers);
        await pairAll(stage);
      });
      const [wholeMs, cpuUs] = [new Rounds(), new Rounds()];
      await trial.inTurns({ warmUps: 1, ...plan }, stages, async (stage, isWarmUp) => {
        const before = cpuUsOf(stage.process.pid);
        const tookMs = await cutAll(stage);
        const us = (cpuUsOf(stage.process.pid) - before) / plan.peers;
        if (isWarmUp) return;
        wholeMs.add(stage.contestant, tookMs);
        cpuUs.add(stage.contestant, us);
      });
      trial.noteRounds(
        `ms until ${plan.peers} peers that were cut off are back and whole`,
        wholeMs,
      );
      trial.noteRounds("µs of CPU per peer that returns", cpuUs);
    },
    ({ resuming }) => resuming,
  );
}
