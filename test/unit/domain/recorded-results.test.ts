import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { resultKeptMs, resultsMax } from "../../../src/domain/recorded-result.ts";
import { RecordedResults } from "../../../src/domain/recorded-results.ts";

test("the last results are found, the latest of an id, and older ones are dropped", () => {
  const results = new RecordedResults();
  const count = 3 * resultsMax;
  for (let n = 0; n < count; n++) results.set(`id ${n}`, { n }, 0);
  for (let n = count - resultsMax; n < count; n++) expect(results.get(`id ${n}`, 1)).toEqual({ n });
  const found = Array.from({ length: count }, (_, n) => results.get(`id ${n}`, 1)).filter(Boolean);
  expect(found.length).toBeLessThanOrEqual(2 * resultsMax);

  results.set(`id ${count - 1}`, { n: "again" }, 2);
  expect(results.get(`id ${count - 1}`, 3)).toEqual({ n: "again" });
});

test("a result is kept for its time, and not longer", () => {
  const results = new RecordedResults();
  results.set("id", { status: "waiting" }, 1000);
  expect(results.get("id", 1000 + resultKeptMs - 1)).toEqual({ status: "waiting" });
  expect(results.get("id", 1000 + resultKeptMs)).toBeUndefined();
  // What is recorded later makes no other one last longer.
  results.set("another id", { status: "idle" }, 1000 + resultKeptMs);
  expect(results.get("id", 1000 + resultKeptMs)).toBeUndefined();
});

test("what is too old takes no memory, however few come", () => {
  const heapSize = () => {
    Bun.gc(true);
    return heapStats().heapSize;
  };
  const before = heapSize();
  const bytes = 100_000;
  const sessions = Array.from({ length: 10 }, () => new RecordedResults());
  const everyMs = resultKeptMs / 4;
  for (let n = 0; n < 200; n++)
    for (const [index, results] of sessions.entries())
      results.set(`id ${n}`, { text: `${n} ${index}`.padEnd(bytes, "x") }, n * everyMs);
  // Those of the last time, and of the one before.
  expect(heapSize() - before).toBeLessThan(sessions.length * 10 * bytes);
  for (const results of sessions)
    for (const n of [197, 198, 199]) expect(results.get(`id ${n}`, 199 * everyMs)).toBeDefined();
});
