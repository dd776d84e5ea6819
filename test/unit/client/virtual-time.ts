import { jest } from "bun:test";

/** Lets everything that waits for nothing but its turn run to the end. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
}

/** Moves the virtual clock on, in steps small enough that what one timer starts is seen by the next. */
export async function pass(ms: number): Promise<void> {
  await settle();
  for (let left = ms; left > 0; left -= 50) {
    jest.advanceTimersByTime(Math.min(50, left));
    await settle();
  }
}
