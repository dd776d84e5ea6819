import { afterEach, beforeEach, expect, jest, setSystemTime, test } from "bun:test";
import { detectSleep } from "../../../src/client/sleep-detector.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test("detects sleep, and nothing on a page that runs all the time", () => {
  let resumes = 0;
  const stop = detectSleep(() => (resumes += 1));
  jest.advanceTimersByTime(600_000);
  expect(resumes).toBe(0);
  // While the machine sleeps the wall clock advances and timers do not fire.
  setSystemTime(Date.now() + 120_000);
  jest.advanceTimersByTime(10_000);
  expect(resumes).toBe(1);
  stop();
  expect(jest.getTimerCount()).toBe(0);
});
