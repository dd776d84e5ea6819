/** The clock that all nodes share, as one of them knows it, when Redis is set or another one takes over. */
import { expect, test } from "bun:test";
import { createRedisClock } from "../../../src/engine/redis/redis-clock.ts";

/** A clock whose Redis answers at once, and is ahead of this machine by what `set` says (milliseconds). */
function clockOf(aheadMs: number) {
  let elapsed = 1000;
  let ahead = aheadMs;
  const wall = 5_000_000;
  const system = { now: () => wall + elapsed, elapsed: () => elapsed };
  const time = async () => {
    const at = system.now() + ahead;
    return [String(Math.floor(at / 1000)), String((at % 1000) * 1000)];
  };
  const clock = createRedisClock(system, time);
  return {
    ...clock,
    aheadOfMachine: () => clock.now() - system.now(),
    set: (ms: number) => void (ahead = ms),
    pass: (ms: number) => void (elapsed += ms),
  };
}

test("the first look sets it, however wrong the clock of this machine is", async () => {
  for (const aheadMs of [-30_000, 0, 30_000]) {
    const clock = clockOf(aheadMs);
    await clock.sync();
    expect(clock.aheadOfMachine()).toBe(aheadMs);
  }
});

test("a clock of Redis that jumps is followed by 50 ms for each look until it is reached", async () => {
  for (const jumpMs of [-30_000, 30_000]) {
    const clock = clockOf(0);
    await clock.sync();
    clock.set(jumpMs);
    for (let look = 1; look <= 600; look++) {
      const before = clock.now();
      clock.pass(1000);
      await clock.sync();
      expect(clock.aheadOfMachine()).toBe(look * Math.sign(jumpMs) * 50);
      expect(clock.now() - before).toBe(1000 + Math.sign(jumpMs) * 50);
    }
    clock.pass(1000);
    await clock.sync();
    expect(clock.aheadOfMachine()).toBe(jumpMs);
  }
});

test("it never goes back, also when it is corrected between two readings", async () => {
  const clock = clockOf(0);
  await clock.sync();
  const before = clock.now();
  clock.set(-30_000);
  await clock.sync();
  clock.pass(20);
  expect(clock.now()).toBe(before);
  clock.pass(40);
  expect(clock.now()).toBe(before + 10);
});
