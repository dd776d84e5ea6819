import { describe, expect, test } from "bun:test";
import { WaitEstimator } from "../../../src/domain/wait-estimate.ts";

describe("the estimate of a wait", () => {
  test("is absent while there is nothing to base it on", () => {
    const waits = new WaitEstimator();
    expect(waits.estimate(0)).toBeUndefined();
    waits.record(1000, 0);
    waits.record(1000, 0);
    expect(waits.estimate(2000)).toBeUndefined();
    waits.record(9000, 0);
    expect(waits.estimate(4000)).toBe(1000);
  });

  test("is the median of the recent ones", () => {
    const waits = new WaitEstimator();
    for (let n = 0; n < 1000; n++) waits.record(50_000, n);
    for (const waitedMs of [...Array(32).fill(1000), 2000, ...Array(31).fill(90_000)])
      waits.record(waitedMs, 2000);
    expect(waits.estimate(2000)).toBe(2000);
  });

  test("forgets what is old", () => {
    const waits = new WaitEstimator();
    for (let n = 0; n < 10; n++) waits.record(1000, 0);
    expect(waits.estimate(600_000)).toBe(1000);
    expect(waits.estimate(601_001)).toBeUndefined();
  });
});
