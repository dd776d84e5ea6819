/** The decision when and how many peers are asked to reconnect, on virtual time with nodes that exist only as numbers. */
import { describe, expect, test } from "bun:test";
import {
  level,
  noteAsked,
  notLevelling,
  rankOf,
  activityOf,
  type Levelling,
  type Loads,
} from "../../../src/domain/levelling.ts";
import { newSession, type Session } from "../../../src/domain/session.ts";

const limits = { perMinute: 60, sustainedMs: 10_000 };

/** Nodes with so many peers each, of which the first decides; `choose` says where one that is asked reconnects. */
function simulate(
  peers: number[],
  choose: (n: number) => number,
  given: { seconds: number; perMinute?: number; nodes?: (second: number) => string },
) {
  const { seconds, perMinute = 60, nodes = () => "a,b" } = given;
  let state: Levelling = notLevelling;
  let settled = { gone: 0, cameBack: 0 };
  let chosen = 0;
  const askedAt: number[] = [];
  const changes: string[] = [];
  for (let second = 0; second < seconds; second += 1) {
    const [own = 0, ...others] = peers;
    const loads: Loads = {
      now: 1000 * second,
      own,
      others,
      nodes: nodes(second),
      pending: 0,
      ...settled,
    };
    const { next, ask, changed } = level(state, loads, { ...limits, perMinute });
    if (changed) changes.push(`${second}: ${changed}`);
    state = noteAsked(next, loads.now, ask);
    settled = { gone: ask, cameBack: 0 };
    for (let n = 0; n < ask; n += 1) {
      askedAt.push(loads.now);
      const to = choose(chosen++);
      peers[0] = (peers[0] ?? 0) - 1;
      peers[to] = (peers[to] ?? 0) + 1;
      if (to === 0) settled.cameBack += 1;
    }
  }
  const inAMinuteMax = Math.max(
    0,
    ...askedAt.map((from) => askedAt.filter((at) => at >= from && at < from + 60_000).length),
  );
  return { peers, asked: askedAt.length, firstAt: askedAt[0], inAMinuteMax, changes };
}

describe("levelling", () => {
  test("after a deploy ends with nodes that are nearly level, and never exceeds the bound", () => {
    for (const perMinute of [1, 7, 60, 90, 600, 6000]) {
      const run = simulate([992, 8], () => 1, { seconds: 3600, perMinute });
      expect(run.inAMinuteMax).toBeLessThanOrEqual(perMinute);
      if (perMinute >= 60) expect(run.peers[0]).toBeWithin(500, 524);
    }
    const slow = simulate([992, 8], () => 1, { seconds: 610, perMinute: 7 });
    expect(slow.asked).toBeWithin(60, 71);
  });

  test("sends nobody to a node that ends and begins again all the time", () => {
    const restarts = simulate([992, 0], () => 1, {
      seconds: 600,
      nodes: (second) => `a,${Math.floor(second / 8)}`,
    });
    expect(restarts.asked).toBe(0);
    // While peers are being asked one more node begins: it is looked at as long as the others were.
    const { changes } = simulate([992, 8], () => 1, {
      seconds: 60,
      nodes: (second) => (second < 30 ? "a,b" : "a,b,c"),
    });
    expect(changes).toEqual(["10: begun", "30: level", "40: begun"]);
  });

  test("waits until there are clearly more for a while, as a deploy may be under way", () => {
    const { firstAt, changes } = simulate([40, 2], () => 1, { seconds: 60 });
    expect(firstAt).toBe(10_000);
    expect(changes[0]).toBe("10: begun");
    const brief: Levelling = level(notLevelling, loadsOf(40, [2], 0), limits).next;
    const interrupted = level(brief, loadsOf(20, [22], 9000), limits).next;
    expect(level(interrupted, loadsOf(40, [2], 10_000), limits).ask).toBe(0);
  });

  test("with a proxy that chooses by turns it gets there as well", () => {
    const { peers, changes } = simulate([40, 2], (n) => n % 2, { seconds: 120 });
    expect(peers[0]).toBeLessThanOrEqual(26);
    expect(changes.map((change) => change.split(": ")[1])).toEqual(["begun", "level"]);
  });

  test("does nothing about what chance does, nor about a few", () => {
    for (const [own, others] of [
      [12, [4]],
      [540, [460]],
      [10_500, [9500]],
      [1, [0]],
      [30, [29, 31]],
      [5, [40]],
    ] as const)
      expect({ own, ...simulate([own, ...others], () => 1, { seconds: 60 }) }).toMatchObject({
        own,
        asked: 0,
      });
  });

  test("is only done among several nodes", () => {
    expect(simulate([1000], () => 0, { seconds: 60 }).asked).toBe(0);
  });

  test("once begun, continues below the threshold at which it begins: it does not start again and again", () => {
    const { changes, peers } = simulate([40, 2], () => 1, { seconds: 3600 });
    expect(changes.map((change) => change.split(": ")[1])).toEqual(["begun", "level"]);
    expect(peers[0]).toBeLessThanOrEqual(26);
  });

  test("stops where all come back, says so once, and tries again among other nodes", () => {
    const nodes = (second: number) => (second < 1800 ? "a,b" : "a,c");
    const { asked, changes } = simulate([992, 8], () => 0, { seconds: 3600, nodes });
    expect(changes).toEqual(["10: begun", "18: useless", "1810: begun", "1818: useless"]);
    expect(asked).toBe(16);
  });

  test("does not take those on their way for peers that stay", () => {
    const begun = level(notLevelling, loadsOf(40, [2], 0), limits).next;
    const one = level(begun, loadsOf(40, [2], 10_000), { ...limits, perMinute: 6000 });
    expect(one.ask).toBe(15);
    const later = { ...loadsOf(40, [2], 11_000), pending: 15 };
    expect(level(noteAsked(one.next, 10_000, 15), later, { ...limits, perMinute: 6000 }).ask).toBe(
      0,
    );
  });
});

const loadsOf = (own: number, others: number[], now: number): Loads => ({
  now,
  own,
  others,
  nodes: "a,b",
  pending: 0,
  gone: 0,
  cameBack: 0,
});

test("who is about to be connected with a partner is left alone, and so is who is absent", () => {
  const session: Session = { ...newSession("a", undefined), present: true };
  const room = (state: "connecting" | "connected") => ({ ...session, room: { state } as never });
  expect(activityOf(session)).toBe("idle");
  expect(activityOf({ ...session, ticket: {} as never })).toBe("waiting");
  expect(activityOf(room("connected"))).toBe("connected");
  expect(activityOf(room("connecting"))).toBeUndefined();
  expect(activityOf({ ...session, present: false })).toBeUndefined();
  expect(activityOf(undefined)).toBeUndefined();
  const ranked = (["waiting", "idle", "connected"] as const).toSorted(
    (a, b) => rankOf(a) - rankOf(b),
  );
  expect(ranked).toEqual(["idle", "connected", "waiting"]);
});
