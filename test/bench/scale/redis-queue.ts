/** How long a script waits for those before it, in a Redis that carries out one at a time: a simulation on virtual time. */
import { seededRandom } from "../../support/virtual-system.ts";
import type { Costs } from "./capacity.ts";

export interface QueueLoad {
  nodes: number;
  pairingsPerS: number;
  signalsPerS: number;
  /** A node sends its signals so often at most (milliseconds). */
  batchMs: number;
  /** Scripts of a pairing: a join that waits, one that pairs and its pairing, an end. */
  scriptsPerPairing: number;
  seconds: number;
  seed: number;
}

export interface Waits {
  /** From the arrival of a script to its end (milliseconds), by quantile. */
  median: number;
  p99: number;
  longest: number;
  /** Share of the time that Redis is busy. */
  busy: number;
}

/** Quantile of values, which are sorted in place. */
export function quantile(values: number[], q: number): number {
  values.sort((a, b) => a - b);
  return values[Math.min(values.length - 1, Math.floor(q * values.length))] ?? 0;
}

export function simulateQueue(load: QueueLoad, { signalUs, pairing }: Costs): Waits {
  const random = seededRandom(load.seed);
  const exponential = (perS: number) => -Math.log(1 - random()) / perS;
  const arrivals: { at: number; us: number }[] = [];
  const same = 1 / load.nodes;
  const signalMean = same * signalUs.sameNode.redis + (1 - same) * signalUs.acrossNodes.redis;
  // Each node has batches of its own, out of step with the others.
  const perBatch = (load.signalsPerS / load.nodes) * (load.batchMs / 1000);
  for (let node = 0; node < load.nodes; node++) {
    const offset = (random() * load.batchMs) / 1000;
    for (let at = offset; at < load.seconds; at += load.batchMs / 1000) {
      let count = 0;
      for (let sum = exponential(1); sum < perBatch; sum += exponential(1)) count += 1;
      if (count > 0) arrivals.push({ at, us: count * signalMean });
    }
  }
  const scriptUs = pairing.redisUs / load.scriptsPerPairing;
  const scriptsPerS = load.pairingsPerS * load.scriptsPerPairing;
  for (let at = exponential(scriptsPerS); at < load.seconds; at += exponential(scriptsPerS))
    arrivals.push({ at, us: scriptUs });
  arrivals.sort((a, b) => a.at - b.at);
  const waits: number[] = [];
  let freeAt = 0;
  let busyS = 0;
  for (const { at, us } of arrivals) {
    freeAt = Math.max(freeAt, at) + us / 1e6;
    busyS += us / 1e6;
    waits.push((freeAt - at) * 1000);
  }
  return {
    median: quantile(waits, 0.5),
    p99: quantile(waits, 0.99),
    longest: quantile(waits, 1),
    busy: busyS / load.seconds,
  };
}
