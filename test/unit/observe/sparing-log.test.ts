import { expect, test } from "bun:test";
import { createLog, type LogLevel } from "../../../src/observe/log.ts";
import { createSparingLog, createWarnOnce } from "../../../src/observe/sparing-log.ts";

function sparing(level: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  let now = 5000;
  const inner = createLog(level, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const elapsed = () => now;
  return {
    lines,
    log: createSparingLog(inner, elapsed),
    elapsed,
    pass: (ms: number) => void (now += ms),
    take: () => lines.splice(0),
  };
}

test("of each kind one line a second is written, and the next one says how many were left out", () => {
  const { log, pass, take } = sparing("debug");
  for (let n = 0; n < 5; n++) log.warn("a new kind", { n });
  log.debug("another one");
  expect(take()).toMatchObject([{ msg: "a new kind", n: 0 }, { msg: "another one" }]);
  pass(999);
  log.warn("a new kind", { n: 5 });
  expect(take()).toEqual([]);
  pass(1);
  log.warn("a new kind", { n: 6 });
  expect(take()).toMatchObject([{ n: 6, unlogged: 5 }]);
  pass(1000);
  log.warn("a new kind", { n: 7 });
  const [last] = take();
  expect(last).not.toContainKey("unlogged");
  expect(log.dropped?.()).toEqual({ rate: 5 });
});

test("bugs are limited by the place, refusals by reason, faults of Redis by shard", () => {
  const { log, take } = sparing("debug");
  for (let n = 0; n < 3; n++) {
    log.bug(new Error("broken"), "here");
    log.bug(new Error("broken"), "there");
    log.debug("refused", { reason: "rate-limited" });
    log.debug("refused", { reason: "bad-input" });
    log.warn("Redis is unavailable", { shard: 0 });
    log.warn("Redis is unavailable", { shard: 1 });
  }
  expect(take()).toHaveLength(6);
});

test("what is below the level is neither written nor counted", () => {
  const { log, take } = sparing("warn");
  for (let n = 0; n < 3; n++) log.info("a kind");
  expect(take()).toEqual([]);
  expect(log.dropped?.()).toEqual({ rate: 0 });
});

test("what happens to rooms is written whole at debug; above it sixty at once, then one a second", () => {
  const { log, pass, take } = sparing("info");
  const flood = () => {
    for (let n = 0; n < 100; n++) log.info("paired", { room: String(n) });
  };
  flood();
  expect(take()).toHaveLength(60);
  for (let s = 0; s < 10; s++) {
    pass(1000);
    flood();
  }
  expect(take()).toHaveLength(10);
  log.level = "debug";
  flood();
  expect(take()).toHaveLength(100);
});

test("what an operator does is never left out", () => {
  const { log, take } = sparing("info");
  for (let n = 0; n < 100; n++) log.info("lifted", { id: String(n) });
  expect(take()).toHaveLength(100);
});

test("distinct cases are logged once each, never two within a second, and a burst of twenty gives way to one a minute", () => {
  const { log, elapsed, pass, take } = sparing("info");
  const warnOnce = createWarnOnce(log, elapsed);
  warnOnce("an origin was refused", "a", { origin: "a" });
  warnOnce("an origin was refused", "a", { origin: "a" });
  warnOnce("an origin was refused", "b", { origin: "b" });
  expect(take()).toMatchObject([{ origin: "a" }]);
  pass(1000);
  warnOnce("an origin was refused", "b", { origin: "b" });
  expect(take()).toMatchObject([{ origin: "b", unlogged: 1 }]);
  let written = 0;
  for (let n = 0; n < 3600; n++) {
    pass(1000);
    warnOnce("an origin was refused", String(n), {});
    written += take().length;
  }
  expect(written).toBeGreaterThan(60);
  expect(written).toBeLessThan(81);
  // Repeated cases are not left out: they have been logged.
  expect(log.dropped?.().rate).toBe(1 + 3600 - written);
});
