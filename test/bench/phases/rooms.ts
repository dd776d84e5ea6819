/** Whether a signal costs more where there are more rooms. */
import { readFileSync } from "node:fs";
import { bare, ours, socketIoOnBun } from "../contestants.ts";
import { median, openStage, pairAll, relay } from "../load.ts";
import type { Trial } from "../trial.ts";
import { warmUp } from "./relaying.ts";

const perS = 5000;
/** Half as long as Bun's server lets a socket be idle, which is all that Socket.IO's engine can ask of it. */
const seldomMs = 120_000;
/** Of the files that a process may open, ours keeps so many for other things than peers. */
const spareFiles = 1024;

/** One server's peers are limited by the files of either process, and by the ports of this address. */
function peersMax(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const files = Number(/Max open files\s+(\d+)/.exec(limits)?.[1]);
  const range = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const [from = 0, to = 0] = range.split(/\s+/).map(Number);
  return Math.min(files - spareFiles, to - from);
}

export async function rooms(trial: Trial): Promise<void> {
  const plan = trial.isQuick
    ? { rounds: 2, seconds: 2, sizes: [500] }
    : { rounds: 5, seconds: 4, sizes: [500, 3500, 9400] };
  const sizes = plan.sizes.filter((size) => {
    const fits = 2 * size <= peersMax();
    if (!fits) console.log(`  ${size} rooms are left out: the limits allow ${peersMax()} peers`);
    return fits;
  });
  // One after the other, since the files do not suffice for the peers of all.
  for (const contestant of trial.contestants.filter((one) =>
    [bare, ours, socketIoOnBun].includes(one),
  ))
    await trial.attempt(contestant, async () => {
      const calm = contestant.pingingEvery?.(seldomMs) ?? {};
      await using stage = await openStage(contestant, trial.isPinned, calm);
      for (const size of sizes) {
        await stage.connect(2 * size - stage.peers.length);
        await pairAll(stage);
        if (size === sizes[0]) await warmUp(stage, trial);
        // More rooms have more pings, which are no part of a signal. A peer that sends signals needs none.
        for (const peer of stage.peers) peer.stopPings();
        const cpuUs: number[] = [];
        for (let round = 0; round <= plan.rounds; round++) {
          const relayed = await relay(stage, "candidate", perS, plan.seconds, "spread");
          if (round > 0) cpuUs.push(relayed.cpuUs);
        }
        for (const peer of stage.peers) peer.startPings();
        trial.note(`µs of CPU per signal, in ${size} rooms`, contestant, median(cpuUs));
      }
    });
}
