import { afterEach, beforeEach, expect, jest, setSystemTime, test } from "bun:test";
import { detectSleep } from "../../../src/client/sleep-detector.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test("detects sleep and a network that is online again, and nothing on a page that runs all the time", () => {
  const page = new EventTarget();
  let resumes = 0;
  const stop = detectSleep(() => (resumes += 1), page);
  jest.advanceTimersByTime(600_000);
  expect(resumes).toBe(0);
  // While the machine sleeps the wall clock advances and timers do not fire.
  setSystemTime(Date.now() + 120_000);
  jest.advanceTimersByTime(10_000);
  expect(resumes).toBe(1);
  page.dispatchEvent(new Event("online"));
  expect(resumes).toBe(2);
  stop();
  page.dispatchEvent(new Event("online"));
  expect(resumes).toBe(2);
  expect(jest.getTimerCount()).toBe(0);
});

test("a page that was frozen resumes, and so does one in another kind of network", () => {
  const page = new EventTarget();
  const network = Object.assign(new EventTarget(), { type: "wifi" });
  let resumes = 0;
  const stop = detectSleep(() => (resumes += 1), page, network);
  page.dispatchEvent(new Event("resume"));
  expect(resumes).toBe(1);
  // The same network, which is slower now.
  network.dispatchEvent(new Event("change"));
  expect(resumes).toBe(1);
  network.type = "cellular";
  network.dispatchEvent(new Event("change"));
  network.dispatchEvent(new Event("change"));
  expect(resumes).toBe(2);
  stop();
  network.type = "wifi";
  for (const [target, type] of [
    [network, "change"],
    [page, "resume"],
  ] as const)
    target.dispatchEvent(new Event(type));
  expect(resumes).toBe(2);
});
