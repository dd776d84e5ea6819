import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { takeToken, type Rate, type TokenBucket } from "../../../src/domain/token-bucket.ts";

const epoch = 1_800_000_000_000;

/** How many of `count` attempts, one every `everyMs`, get a token. */
function taken(rate: Rate, count: number, everyMs: number, bucket: TokenBucket = { fullAt: 0 }) {
  return Array.from({ length: count }, (_, n) =>
    takeToken(bucket, rate, epoch + n * everyMs),
  ).filter((waitMs) => waitMs === 0).length;
}

describe("a bucket of tokens", () => {
  const rate = { perS: 30, burst: 100 };

  test("gives its burst at once, then tells when there is another", () => {
    const bucket = { fullAt: 0 };
    expect(taken(rate, 150, 0, bucket)).toBe(100);
    expect(takeToken(bucket, rate, epoch)).toBe(34);
    expect(takeToken(bucket, rate, epoch + 33)).toBe(1);
    expect(takeToken(bucket, rate, epoch + 34)).toBe(0);
    expect(takeToken(bucket, rate, epoch + 34)).toBe(33);
  });

  test("gives its rate for ever to who keeps to it", () => {
    expect(taken(rate, 10_000, 34)).toBe(10_000);
  });

  test("gives burst and rate, and no more, to who does not", () => {
    expect(taken(rate, 60_000, 1)).toBe(100 + 30 * 60 - 1);
  });

  test("is full again after a rest, and never fuller", () => {
    const bucket = { fullAt: 0 };
    taken(rate, 100, 0, bucket);
    expect(bucket.fullAt).toBeLessThanOrEqual(epoch + 3334);
    const later = { fullAt: bucket.fullAt - 86_400_000 };
    expect(taken(rate, 200, 0, later)).toBe(100);
  });

  test("is no limit at a rate of 0", () => {
    expect(taken({ perS: 0, burst: 1 }, 1000, 0)).toBe(1000);
  });

  test("has a token exactly when it said so, and not a millisecond before", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 10_000, noNaN: true }),
        fc.integer({ min: 1, max: 1000 }),
        fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 50 }),
        (perS, burst, pauses) => {
          const [bucket, limit] = [{ fullAt: 0 }, { perS, burst }];
          let now = epoch;
          for (const pauseMs of pauses) {
            now += pauseMs;
            const waitMs = takeToken(bucket, limit, now);
            if (waitMs === 0) continue;
            expect(takeToken({ ...bucket }, limit, now + waitMs - 1)).toBe(1);
            expect(takeToken({ ...bucket }, limit, now + waitMs)).toBe(0);
          }
        },
      ),
    );
  });
});
