import { afterEach, beforeEach, expect, jest, setSystemTime, test } from "bun:test";
import { detectSleep } from "../../../src/client/sleep-detector.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test("a sleep and a network that is back are noticed; a page that runs on is left alone", () => {
  const page = new EventTarget();
  let wakings = 0;
  const stop = detectSleep(() => (wakings += 1), page);
  jest.advanceTimersByTime(600_000);
  expect(wakings).toBe(0);
  // While the machine sleeps the clock goes on and the timers do not.
  setSystemTime(Date.now() + 120_000);
  jest.advanceTimersByTime(10_000);
  expect(wakings).toBe(1);
  page.dispatchEvent(new Event("online"));
  expect(wakings).toBe(2);
  stop();
  page.dispatchEvent(new Event("online"));
  expect(wakings).toBe(2);
  expect(jest.getTimerCount()).toBe(0);
});
