import { expect, test } from "bun:test";
import { meets, type Stated } from "../../src/domain/facts.ts";
import { simulateDay, type Wait } from "../support/simulation.ts";

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

test("a busy evening of people with facts and wants: no hard want is passed over", async () => {
  const startedAt = performance.now();
  const day = await simulateDay({ seed: 19, peers: 1200, hours: 1, withFacts: true });
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const rows = classesOf(day.factWaits).map(([name, waits]) => {
    const times = waits.map(({ ms }) => ms).sort((a, b) => a - b);
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => percentile(times, share));
    const unpaired = waits.filter(({ isPaired }) => !isPaired).length / waits.length;
    return { name, count: times.length, p50, p90, p99, unpaired };
  });
  const byChance = metByChance(day.factWaits.map(({ stated }) => stated));
  const worst = rows.toSorted((a, b) => (b.p90 ?? 0) - (a.p90 ?? 0))[0];
  console.log(
    [
      `  ${day.pairings} pairings; soft wants met: ${((100 * day.softWantsMet) / day.softWants).toFixed(0)} %, by chance: ${(100 * byChance).toFixed(0)} %`,
      ...rows.map(
        ({ name, count, p50 = 0, p90 = 0, p99 = 0, unpaired }) =>
          `  ${name.padEnd(28)}${String(count).padStart(6)} waits: p50 ${seconds(p50)}, p90 ${seconds(p90)}, p99 ${seconds(p99)}; gave up: ${(100 * unpaired).toFixed(1)} %`,
      ),
      `  served worst: ${worst?.name}`,
      `  simulated in ${seconds(performance.now() - startedAt)}`,
    ].join("\n"),
  );
  expect(day.pairings).toBeGreaterThan(4000);
  expect(day.againstHardWants).toBe(0);
  expect(day.rematchesInCooldown).toBe(0);
  expect(day.passedOverPastPatience).toBe(0);
  expect(day.softWantsMet / day.softWants).toBeGreaterThan(1.25 * byChance);
}, 120_000);

/** The share of soft wants that the next one in the list meets. */
function metByChance(all: readonly Stated[]): number {
  const met = all.flatMap(({ wants = [] }, n) =>
    wants
      .filter(({ softAfterMs }) => softAfterMs !== undefined)
      .map((want) => Number(meets(all[(n + 1) % all.length]?.facts, want))),
  );
  return met.reduce((sum, one) => sum + one, 0) / met.length;
}

/** By region, by age, and by what they want. */
function classesOf(waits: readonly Wait[]): [name: string, waits: Wait[]][] {
  const classes = new Map<string, Wait[]>();
  for (const wait of waits) {
    const { facts = {}, wants = [] } = wait.stated;
    const { age } = facts;
    const decade =
      typeof age === "number" ? `${Math.min(60, 10 * Math.floor(age / 10))}s` : "unstated";
    const hard = wants.filter(({ softAfterMs }) => softAfterMs === undefined).length;
    const kind =
      hard > 1
        ? "several hard wants"
        : hard === 1
          ? "one hard want"
          : wants.length > 0
            ? "soft wants"
            : "nothing";
    for (const name of [`region: ${String(facts["region"])}`, `age: ${decade}`, `wants: ${kind}`])
      classes.set(name, [...(classes.get(name) ?? []), wait]);
  }
  return [...classes].sort(([a], [b]) => a.localeCompare(b));
}
