import { expect, test } from "bun:test";
import { manners, simulateLanes, type LanesDay } from "../support/lanes-day.ts";

const percentile = (sorted: number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const percent = (count: number, of: number) => `${((100 * count) / of).toFixed(0)} %`;

function describeDay(laneAfterMs: number, day: LanesDay): string[] {
  const { waits, rooms, withBad, inBadLane } = day;
  return [
    `  ${laneAfterMs === 0 ? "without lanes" : `LANE_AFTER_MS=${laneAfterMs}`}: ${day.reportsCounted} reports counted, ${day.suspended} suspensions`,
    ...manners.map((one) => {
      const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) =>
        seconds(percentile(waits[one], share)),
      );
      const met = percent(withBad[one], rooms[one]);
      return `    ${one.padEnd(5)}waits: p50 ${p50}, p90 ${p90}, p99 ${p99}; partners who behave badly: ${met}; paired in the lane for that: ${percent(inBadLane[one], rooms[one])}`;
    }),
  ];
}

/** One of seven behaves badly. On a quiet site they are hardly kept apart, as too few wait at a time. */
const badShare = 0.15;

for (const { site, bounds, fewerBad, ...options } of [
  { site: "busy", seed: 19, peers: 300, hours: 0.75, bounds: [10_000, 20_000], fewerBad: 0.75 },
  { site: "quiet", seed: 19, peers: 100, hours: 2, bounds: [10_000], fewerBad: 1.1 },
])
  test(`lanes on a ${site} site: the good meet fewer who behave badly, and usual waits grow by no more than the bound`, async () => {
    const without = await simulateLanes({ ...options, badShare, laneAfterMs: 0 });
    const days: [number, LanesDay][] = [[0, without]];
    for (const laneAfterMs of bounds)
      days.push([laneAfterMs, await simulateLanes({ ...options, badShare, laneAfterMs })]);
    console.log(
      [
        `  ${site}: ${without.present.toFixed(0)} peers at a time`,
        ...days.flatMap(([laneAfterMs, day]) => describeDay(laneAfterMs, day)),
      ].join("\n"),
    );
    const badFor = ({ withBad, rooms }: LanesDay, one: "good" | "bad") => withBad[one] / rooms[one];
    expect(without.rooms.good).toBeGreaterThan(2000);
    expect(without.inBadLane).toEqual({ good: 0, bad: 0 });
    for (const [laneAfterMs, day] of days.slice(1)) {
      expect(badFor(day, "good")).toBeLessThan(fewerBad * badFor(without, "good"));
      expect(badFor(day, "bad")).toBeGreaterThan(badFor(without, "bad"));
      expect(day.inBadLane.bad / day.rooms.bad).toBeGreaterThan(0.1);
      expect(day.inBadLane.good / day.rooms.good).toBeLessThan(0.03);
      for (const one of manners)
        for (const share of [0.5, 0.9])
          expect(percentile(day.waits[one], share)).toBeLessThan(
            percentile(without.waits[one], share) + laneAfterMs + 1000,
          );
    }
  }, 60_000);
