/** A System on virtual time, with seeded randomness: the same run every time, in no real time at all. */
import type { System } from "../../src/system.ts";

export interface VirtualSystem extends System {
  /** Lets `ms` milliseconds pass: runs what is due, in order, and lets everything settle in between. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock forward (or back, if negative) by `ms`. No time passes: nothing becomes due by it. */
  stepWallClock(ms: number): void;
  /** Lets everything settle that has been set going: promises, and whatever `settleBy` has added to that. */
  settled(): Promise<void>;
  /** From now on settling is this, say because an engine is at the other end of a connection. */
  settleBy(settle: () => Promise<void>): void;
}

/** A small seeded generator (mulberry32), so that a failing run can be had again. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Lets every promise that can settle do so. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Not what the wall clock begins with, so that a test notices when one is taken for the other. */
const elapsedAtStartMs = 1000;

export function createVirtualSystem(seed = 1, startAt = 1_000_000): VirtualSystem {
  let elapsed = elapsedAtStartMs;
  /** What the wall clock shows beyond the monotonic one. */
  let wallOffset = startAt - elapsedAtStartMs;
  let ids = 0;
  const random = seededRandom(seed);
  let settle = settled;
  /** In the order in which they are due; what is due at once goes in the order it was asked for. */
  const tasks: { at: number; task: () => void }[] = [];

  function indexAfter(at: number): number {
    let low = 0;
    let high = tasks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((tasks[middle]?.at ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    now: () => elapsed + wallOffset,
    elapsed: () => elapsed,
    random,
    id: () => `id${String(++ids).padStart(20, "0")}`,
    defer: (task) => void Promise.resolve().then(task),
    schedule(delayMs, task) {
      const entry = { at: elapsed + delayMs, task };
      tasks.splice(indexAfter(entry.at), 0, entry);
      return () => {
        const index = tasks.indexOf(entry);
        if (index >= 0) tasks.splice(index, 1);
      };
    },
    stepWallClock(ms) {
      wallOffset += ms;
    },
    settled: () => settle(),
    settleBy(other) {
      settle = other;
    },
    async advance(ms) {
      const until = elapsed + ms;
      await settle();
      for (;;) {
        const due = tasks[0];
        if (!due || due.at > until) break;
        tasks.shift();
        elapsed = Math.max(elapsed, due.at);
        due.task();
        await settle();
      }
      elapsed = until;
      await settle();
    },
  };
}
