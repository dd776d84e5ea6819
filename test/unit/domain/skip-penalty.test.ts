import { describe, expect, test } from "bun:test";
import {
  afterFailure,
  afterSkip,
  afterSuccess,
  penaltyRemainingMs,
  type SkipPenalty,
} from "../../../src/domain/skip-penalty.ts";

const limits = { burst: 3, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 };

/** The delay after each of `count` skips in a row, each made as soon as it is allowed. */
function delays(count: number): number[] {
  let restraint: SkipPenalty | undefined;
  let now = 0;
  return Array.from({ length: count }, () => {
    restraint = afterSkip(restraint, now, limits);
    const waitMs = penaltyRemainingMs(restraint, now);
    now += waitMs;
    return waitMs;
  });
}

describe("skipping", () => {
  test("costs nothing in the burst, then time that grows to a bound", () => {
    const [first, second, third, ...rest] = delays(40);
    expect([first, second, third]).toEqual([0, 0, 0]);
    expect(rest[0]).toBe(1000);
    expect(Math.max(...rest)).toBeGreaterThan(1000);
    expect(Math.max(...rest)).toBeLessThanOrEqual(30_000);
  });

  test("is forgotten with time", () => {
    let restraint: SkipPenalty | undefined;
    for (let n = 0; n < 10; n++) restraint = afterSkip(restraint, 0, limits);
    expect(penaltyRemainingMs(restraint, 0)).toBe(30_000);
    const later = afterSkip(restraint, 60_000, limits);
    expect(penaltyRemainingMs(later, 60_000)).toBe(0);
  });

  test("is free with a burst of 0", () => {
    let restraint: SkipPenalty | undefined;
    for (let n = 0; n < 100; n++) restraint = afterSkip(restraint, 0, { ...limits, burst: 0 });
    expect(penaltyRemainingMs(restraint, 0)).toBe(0);
  });
});

describe("failed calls", () => {
  test("are believed a few times, and again after one that came about or after a while", () => {
    let restraint: SkipPenalty | undefined;
    const fail = (now: number) => {
      const failure = afterFailure(restraint, now);
      restraint = failure.penalty;
      return failure.tolerated;
    };
    expect([fail(0), fail(1000), fail(2000), fail(3000)]).toEqual([true, true, true, false]);
    if (restraint) restraint = afterSuccess(restraint);
    expect(fail(4000)).toBe(true);
    expect([fail(5000), fail(6000), fail(7000)]).toEqual([true, true, false]);
    expect(fail(400_000)).toBe(true);
  });
});
