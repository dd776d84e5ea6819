import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  afterEvidence,
  evidenceOf,
  laneByConduct,
  type Conduct,
  type Evidence,
} from "../../../src/domain/conduct.ts";
import { root } from "../../support/root.ts";
import type { Ending } from "../../../src/domain/room.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The record after these observations, each so long after the one before. */
function recordOf(evidence: readonly Evidence[], eachMs = 1000, from?: Conduct) {
  let conduct = from;
  let now = from?.at ?? 1_000_000;
  for (const one of evidence) conduct = afterEvidence(conduct, one, (now += eachMs));
  return { conduct, now, lane: laneByConduct(conduct, now) };
}

const times = (count: number, one: Evidence) => Array<Evidence>(count).fill(one);

describe("a record of conduct", () => {
  test("does not exist of one who has done nothing, or nothing but talk", () => {
    expect(laneByConduct(undefined, 0)).toBe(0);
    expect(recordOf(times(5, "conversation")).conduct).toBeUndefined();
  });

  test("is bad after about ten quick skips in a row, and not before", () => {
    expect(recordOf(times(9, "quick-skip")).lane).toBe(0);
    expect(recordOf(times(10, "quick-skip"), 0).lane).toBe(1);
    expect(recordOf(times(11, "quick-skip")).lane).toBe(1);
  });

  test("is not bad after one report, and is after a second one soon after, but not hours later", () => {
    expect(recordOf(times(1, "report")).lane).toBe(0);
    expect(recordOf(times(2, "report"), 15 * minuteMs).lane).toBe(1);
    expect(recordOf(times(2, "report"), 2 * hourMs).lane).toBe(0);
  });

  test("stays good however much one skips who also talks", () => {
    const evening = Array.from({ length: 50 }, (): Evidence[] => [
      "quick-skip",
      "quick-skip",
      "quick-skip",
      "conversation",
    ]);
    expect(recordOf(evening.flat(), 20_000)).toMatchObject({ conduct: undefined, lane: 0 });
  });

  test("halves in an hour", () => {
    const { conduct, now } = recordOf(times(19, "quick-skip"), 0);
    expect(conduct?.points).toBe(19);
    expect(laneByConduct(conduct, now + 0.9 * hourMs)).toBe(1);
    expect(laneByConduct(conduct, now + hourMs)).toBe(0);
    expect(afterEvidence(conduct, "quick-skip", now + hourMs)?.points).toBe(10.5);
  });

  test("is bounded: two hours after the worst conduct it is good again", () => {
    const { conduct, now } = recordOf([...times(500, "quick-skip"), ...times(50, "report")]);
    expect(laneByConduct(conduct, now + 1.99 * hourMs)).toBe(1);
    expect(laneByConduct(conduct, now + 2.01 * hourMs)).toBe(0);
  });

  test("gets better by conversations, never below nothing", () => {
    const bad = recordOf(times(12, "quick-skip"), 0);
    expect(bad.lane).toBe(1);
    expect(recordOf(times(2, "conversation"), 0, bad.conduct).lane).toBe(0);
    const better = recordOf(times(100, "conversation"), 0, bad.conduct);
    expect(better.conduct).toBeUndefined();
    expect(recordOf(times(10, "quick-skip"), 0, better.conduct).lane).toBe(1);
  });

  test("is not fooled by a clock that seems to go back", () => {
    const { conduct, now } = recordOf(times(8, "quick-skip"), 0);
    expect(afterEvidence(conduct, "quick-skip", now - hourMs)?.points).toBe(9);
  });
});

test("the document states what each observation weighs, and from how many points on the record is bad", async () => {
  const text = await Bun.file(join(root, "src/app/README.md")).text();
  const lanes = text.split("\n## Lanes\n")[1]?.split("\n## ")[0] ?? "";
  const weights = [...lanes.matchAll(/\| ([+−]\d+) +\|$/gm)].map(([, weight = ""]) =>
    Number(weight.replace("−", "-")),
  );
  const weightOf = (one: Evidence) =>
    (afterEvidence({ points: 20, at: 0 }, one, 0)?.points ?? 0) - 20;
  expect(weights).toEqual((["quick-skip", "report", "conversation"] as const).map(weightOf));
  const [, bad, max] =
    /From (\d+) points on [^]*?more than (\d+) or fewer than 0/.exec(lanes) ?? [];
  expect(laneByConduct({ points: Number(bad) - 0.001, at: 0 }, 0)).toBe(0);
  expect(laneByConduct({ points: Number(bad), at: 0 }, 0)).toBe(1);
  expect(recordOf(times(500, "report"), 0).conduct?.points).toBe(Number(max));
});

describe("the end of a room", () => {
  const end = (ending: Ending, lastedMs: number, reason: "skipped" | "left" | "lost" = "skipped") =>
    evidenceOf({ reason, ending, lastedMs });

  test("within five seconds is a quick skip of the one who ends it, by skipping or leaving", () => {
    expect(end("skip", 4999)).toEqual({ member: "quick-skip" });
    expect(end("leave", 10, "left")).toEqual({ member: "quick-skip" });
    // Media flowed, and it wants another partner.
    expect(end("failed", 4000)).toEqual({ member: "quick-skip" });
    expect(end("skip", 5000)).toEqual({});
  });

  test("after a minute is that of a conversation, to the credit of both", () => {
    const both = { member: "conversation", partner: "conversation" } as const;
    for (const [ending, reason] of [
      ["skip", "skipped"],
      ["leave", "left"],
      ["lost", "lost"],
    ] as const) {
      expect(end(ending, 60_000, reason)).toEqual(both);
      expect(end(ending, 59_999, reason)).toEqual({});
    }
  });

  test("says nothing where somebody was lost, the call failed, or was reported, blocked or suspended", () => {
    expect(end("lost", 100, "lost")).toEqual({});
    for (const lastedMs of [100, 100_000]) {
      expect(evidenceOf({ reason: "connect-failed", ending: "failed", lastedMs })).toEqual({});
      expect(evidenceOf({ reason: "left", ending: "report", lastedMs })).toEqual({});
      expect(evidenceOf({ reason: "left", ending: "block", lastedMs })).toEqual({});
      expect(evidenceOf({ reason: "removed", ending: "removed", lastedMs })).toEqual({});
    }
  });
});
