import { expect, test } from "bun:test";
import { simulateDay } from "../support/simulation.ts";

const percentile = (sorted: number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

test("a day of a site: nobody rematched too soon, nobody passed over past all patience", async () => {
  const startedAt = performance.now();
  const day = await simulateDay({ seed: 2026, peers: 1500, hours: 24 });
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  console.log(
    [
      `  ${day.pairings} pairings, ${day.skips} skips (${day.refusedSkips} refused), ${day.drops} drops`,
      `  waits: p50 ${seconds(percentile(day.waits, 0.5))}, p90 ${seconds(percentile(day.waits, 0.9))}, p99 ${seconds(percentile(day.waits, 0.99))}`,
      `  shared an interest, where both named some: ${(100 * day.sharedInterestRate).toFixed(0)} %`,
      `  rematches within the cooldown: ${day.rematchesInCooldown}`,
      `  simulated in ${seconds(performance.now() - startedAt)}`,
    ].join("\n"),
  );
  expect(day.pairings).toBeGreaterThan(1000);
  expect(day.skips).toBeGreaterThan(200);
  expect(day.drops).toBeGreaterThan(50);
  expect(day.rematchesInCooldown).toBe(0);
  expect(day.passedOverPastPatience).toBe(0);
  expect(day.sharedInterestRate).toBeGreaterThan(0.15);
}, 120_000);
