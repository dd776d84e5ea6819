import { expect, test } from "bun:test";
import { watchExpiry } from "../../../src/app/expiry.ts";

/** A clock that is moved by hand, with timers as short as real ones are at most. */
function createClock(longestMs: number) {
  let now = 0;
  const timers = new Set<{ at: number; task: () => void }>();
  return {
    system: {
      now: () => now,
      random: () => 0,
      schedule(delayMs: number, task: () => void) {
        const timer = { at: now + Math.min(delayMs, longestMs), task };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
    },
    advanceTo(at: number) {
      for (;;) {
        const next = [...timers].filter((timer) => timer.at <= at).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        timers.delete(next);
        now = next.at;
        next.task();
      }
      now = at;
    },
    get timers() {
      return timers.size;
    },
  };
}

const dayMs = 86_400_000;

function watch(expiresAt: number) {
  const clock = createClock(24 * dayMs);
  const done: string[] = [];
  const socket = {
    open: true,
    send: (text: string) => void done.push(text),
    close: (code: number) => void done.push(String(code)),
  };
  const cancel = watchExpiry({ socket, expiresAt, system: clock.system });
  return { clock, done, cancel };
}

test.each([
  ["an hour", 3_600_000],
  ["sixty days, which is longer than a timer can be", 60 * dayMs],
])(
  "a client is asked to reconnect a minute before, and has to go at the end: %s",
  (_, expiresAt) => {
    const { clock, done } = watch(expiresAt);
    clock.advanceTo(expiresAt - 60_001);
    expect(done).toEqual([]);
    clock.advanceTo(expiresAt - 60_000);
    expect(done).toEqual(['{"id":null,"method":"reconnect"}']);
    clock.advanceTo(expiresAt - 1);
    expect(done).toHaveLength(1);
    clock.advanceTo(expiresAt);
    expect(done.at(-1)).toBe("4003");
  },
);

test("nothing is left of a socket that has closed", () => {
  const { clock, done, cancel } = watch(60 * dayMs);
  clock.advanceTo(30 * dayMs);
  cancel();
  expect(clock.timers).toBe(0);
  clock.advanceTo(90 * dayMs);
  expect(done).toEqual([]);
});
