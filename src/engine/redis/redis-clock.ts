/**
 * The clock of Redis, as a node knows it: all nodes go by it, whatever their own clocks show. Between two looks it goes
 * on with this machine's monotonic clock.
 */
import type { System } from "../../system.ts";

export interface RedisClock {
  /** Epoch milliseconds. Never less than before. */
  now(): number;
  /** Looks at the clock of Redis. Rejects when that can't be asked. */
  sync(): Promise<void>;
}

/**
 * By how much one look corrects the clock (milliseconds). The first look sets it; then a clock of Redis that is set, or
 * another Redis after a failover, is followed a little at a time, so that no deadline comes early or late by a jump.
 */
const correctionMsMax = 50;

/** @param time asks Redis for TIME: seconds and microseconds. */
export function createRedisClock(
  { now: wall, elapsed }: Pick<System, "now" | "elapsed">,
  time: () => Promise<unknown>,
): RedisClock {
  /** What it shows beyond the monotonic clock; the wall clock's until Redis was asked, and nothing is done before. */
  let offset = wall() - elapsed();
  let isSet = false;
  let latest = 0;

  return {
    now: () => (latest = Math.max(latest, Math.floor(offset + elapsed()))),
    async sync() {
      const askedAt = elapsed();
      const [seconds, micros] = (await time()) as [string, string];
      const answeredAt = elapsed();
      // It was read somewhere between question and answer.
      const shown = Number(seconds) * 1000 + Number(micros) / 1000;
      const error = (answeredAt - askedAt) / 2;
      const difference = shown - (askedAt + answeredAt) / 2 - offset;
      if (!isSet) {
        isSet = true;
        offset += difference;
        latest = 0;
      } else if (Math.abs(difference) > error)
        offset += Math.max(-correctionMsMax, Math.min(difference, correctionMsMax));
    },
  };
}
