import { jest } from "bun:test";
// What the client loads when it is needed: the first time that takes real time, afterwards a few microtasks.
import "../../../src/client/call-quality.ts";
import "../../../src/client/call-stats.ts";
import "../../../src/client/create-camera.ts";
import "../../../src/client/challenge-solver.ts";
import "../../../src/client/frame-sampler.ts";
import "../../../src/client/processed-camera.ts";
import "../../../src/client/rpc-http.ts";
import "../../../src/client/still.ts";

/** Runs all pending microtasks, including those that they create. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
}

/** Advances the virtual clock in small steps, so that timers started by other timers fire as well. */
export async function pass(ms: number): Promise<void> {
  await settle();
  for (let left = ms; left > 0; left -= 50) {
    jest.advanceTimersByTime(Math.min(50, left));
    await settle();
  }
}
