import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Moderation, type ModerationLimits, type Party } from "../../../src/domain/moderation.ts";

const limits: ModerationLimits = {
  windowMs: 100_000,
  sessionReporters: 3,
  addressReporters: 5,
  sessionSteps: [50_000],
  addressSteps: [10_000],
  warns: false,
  decayMs: 0,
  recordsMax: 1000,
  voteAfterMs: 5000,
  votesPerHour: 10,
};

/** An address in a network of its own for each name. */
const homeOf = (name: string) => Bun.hash(name).toString(36).padStart(13, "0");
/** Everybody lives at an address of their own, unless it is named. */
const party = (sessionId: string, addressHash = homeOf(sessionId)): Party => ({
  sessionId,
  addressHash,
});
const mallory = party("Mallory");
const session = (id: string) => ({ kind: "session", id }) as const;
const address = (id: string) => ({ kind: "address", id }) as const;

const moderation = (changed: Partial<ModerationLimits> = {}) =>
  new Moderation({ ...limits, ...changed });

/** Reports by each, in a room with Mallory of its own. */
function reports(by: Moderation, reporters: Party[], now = 0, reported = mallory) {
  return reporters.map((reporter) =>
    by.report({ roomId: `${reporter.sessionId}+${reported.sessionId}`, reporter, reported }, now),
  );
}
const people = (count: number, prefix = "peer") =>
  Array.from({ length: count }, (_, n) => party(`${prefix} ${n}`));

describe("reports", () => {
  test("by enough reporters suspend the session, and for a shorter time its address", () => {
    const state = moderation();
    const verdicts = reports(state, [party("Alice"), party("Bob"), party("Carol")], 1000);
    expect(verdicts.map(({ suspended }) => suspended)).toEqual([
      [],
      [],
      [
        {
          subject: session("Mallory"),
          since: 1000,
          until: 51_000,
          by: "reports",
          because: "other",
        },
        {
          subject: address(homeOf("Mallory")),
          since: 1000,
          until: 11_000,
          by: "reports",
          because: "other",
        },
      ],
    ]);
    expect(state.suspensionOf(mallory, 1000)?.until).toBe(51_000);
    expect(state.suspensionOf(mallory, 50_999)?.until).toBe(51_000);
    expect(state.suspensionOf(mallory, 51_000)?.until).toBeUndefined();

    const anew = party("Mallory anew", mallory.addressHash);
    expect(state.suspensionOf(anew, 10_999)?.until).toBe(11_000);
    expect(state.suspensionOf(anew, 11_000)?.until).toBeUndefined();
    expect(state.suspensionOf(party("Mallory", "elsewhere"), 20_000)?.until).toBe(51_000);
    expect(state.suspensionOf(party("Alice"), 1000)?.until).toBeUndefined();
  });

  test("A16 about sessions that were forgotten count against each session, and against no address", () => {
    for (const unknown of [undefined, ""]) {
      const state = moderation({ addressReporters: 3 });
      const forgotten = (sessionId: string): Party => ({ sessionId, addressHash: unknown });
      // Three such sessions, each reported by one peer: together they would suspend the address that all lack.
      for (const id of ["one", "two", "three"])
        reports(state, people(1, `reporter of ${id}`), 0, forgotten(id));
      expect(state.list(0)).toEqual([]);
      const [last] = reports(state, people(3), 0, forgotten("Mallory")).slice(-1);
      expect(last?.suspended.map(({ subject }) => subject)).toEqual([session("Mallory")]);
      expect(state.suspensionOf(forgotten("Mallory"), 0)?.until).toBe(50_000);
      expect(state.suspensionOf(forgotten("somebody else"), 0)?.until).toBeUndefined();
    }
  });

  test("A16 by reporters without an address do not count", () => {
    const state = moderation({ sessionReporters: 1 });
    const reporter: Party = { sessionId: "Alice", addressHash: undefined };
    expect(state.report({ roomId: "room", reporter, reported: mallory }, 0)).toEqual({
      first: true,
      counted: false,
      suspended: [],
    });
  });

  test("are one voice for each pairing", () => {
    const state = moderation();
    const report = { roomId: "room", reporter: party("Alice"), reported: mallory };
    expect(state.report(report, 0)).toEqual({ first: true, counted: true, suspended: [] });
    for (let n = 0; n < 100; n++)
      expect(state.report({ ...report, reporter: party("Alice", `proxy ${n}`) }, n)).toEqual({
        first: false,
        counted: false,
        suspended: [],
      });
    expect(state.suspensionOf(mallory, 100)?.until).toBeUndefined();
  });

  test("by both members of a room are a voice each", () => {
    const state = moderation();
    const [alice, bob] = [party("Alice"), party("Bob")];
    expect(state.report({ roomId: "room", reporter: alice, reported: bob }, 0).counted).toBe(true);
    expect(state.report({ roomId: "room", reporter: bob, reported: alice }, 0).counted).toBe(true);
  });

  test("from one address count once, from however many sessions and rooms", () => {
    const state = moderation();
    reports(
      state,
      Array.from({ length: 100 }, (_, n) => party(`tab ${n}`, "one home")),
    );
    expect(state.suspensionOf(mallory, 0)?.until).toBeUndefined();
    reports(state, people(2));
    expect(state.suspensionOf(mallory, 0)?.until).toBe(50_000);
  });

  test("count within the window alone", () => {
    const state = moderation();
    reports(state, people(2), 0);
    reports(state, people(1, "late"), 100_000);
    expect(state.suspensionOf(mallory, 100_000)?.until).toBeUndefined();
    reports(state, people(1, "later"), 100_001);
    expect(state.suspensionOf(mallory, 100_001)?.until).toBeUndefined();
    reports(state, people(1, "latest"), 199_999);
    expect(state.suspensionOf(mallory, 199_999)?.until).toBe(249_999);
  });

  test("against one address count together, whatever its sessions are called", () => {
    const state = moderation();
    const sessions = people(5, "Mallory").map(({ sessionId }) => party(sessionId, "lair"));
    const verdicts = sessions.flatMap((reported, n) =>
      reports(state, [party(`peer ${n}`)], 0, reported),
    );
    expect(verdicts.at(-1)?.suspended).toEqual([
      { subject: address("lair"), since: 0, until: 10_000, by: "reports", because: "other" },
    ]);
    expect(state.suspensionOf(party("Mallory anew", "lair"), 0)?.until).toBe(10_000);
  });

  test("begin to count anew after a suspension", () => {
    const state = moderation({ addressReporters: 0 });
    reports(state, people(3));
    reports(state, people(2, "other"), 60_000);
    expect(state.suspensionOf(mallory, 60_000)?.until).toBeUndefined();
    reports(state, people(1, "third"), 60_000);
    expect(state.suspensionOf(mallory, 60_000)?.until).toBe(110_000);
  });

  test("suspend nobody where that is switched off", () => {
    const state = moderation({ sessionReporters: 0, addressReporters: 0 });
    expect(reports(state, people(50)).every(({ counted }) => counted)).toBe(true);
    expect(state.list(0)).toEqual([]);
  });
});

describe("an operator", () => {
  test("suspends, lists and lifts", () => {
    const state = moderation();
    state.suspend(session("Mallory"), 9000, 0);
    state.suspend(address("lair"), 5000, 0);
    expect(state.list(0).map(({ subject, until, by }) => [subject.id, until, by])).toEqual([
      ["lair", 5000, "operator"],
      ["Mallory", 9000, "operator"],
    ]);
    expect(state.suspensionOf(party("Mallory", "lair"), 0)?.until).toBe(9000);
    expect(state.list(5000)).toHaveLength(1);
    expect(state.lift(session("Mallory"), 6000)).toBe(true);
    expect(state.lift(session("Mallory"), 6000)).toBe(false);
    expect(state.lift(address("lair"), 6000)).toBe(false);
    expect(state.list(6000)).toEqual([]);
    expect(state.suspensionOf(party("Mallory", "lair"), 6000)?.until).toBeUndefined();
  });

  test("has the last word: shorter than the reports', and longer", () => {
    const state = moderation();
    reports(state, people(3));
    state.suspend(session("Mallory"), 20_000, 0);
    expect(state.suspensionOf(mallory, 0)?.until).toBe(20_000);
    state.suspend(session("Mallory"), 1_000_000, 0);
    const [, , third] = reports(state, people(3, "other"), 10);
    expect(third?.suspended[0]).toMatchObject({ until: 1_000_000, by: "operator" });
    expect(state.suspensionOf(mallory, 10)?.until).toBe(1_000_000);
  });

  test("who lifts a suspension forgives what led to it", () => {
    const state = moderation();
    reports(state, people(2));
    expect(state.lift(session("Mallory"), 0)).toBe(false);
    reports(state, people(1, "third"));
    expect(state.suspensionOf(mallory, 0)?.until).toBeUndefined();
  });
});

describe("what is kept", () => {
  test("is bounded: the oldest voices and accused lapse", () => {
    const state = moderation({ recordsMax: 10 });
    reports(state, [party("Alice"), party("Bob")]);
    for (const reported of people(10, "accused")) reports(state, [party("Carol")], 0, reported);
    // Mallory's two reporters are forgotten, and so is that they had their say.
    expect(reports(state, [party("Alice")])[0]?.counted).toBe(true);
    reports(state, [party("Dave")]);
    expect(state.suspensionOf(mallory, 0)?.until).toBeUndefined();
  });

  test("is bounded: those suspensions lapse that end first", () => {
    const state = moderation({ recordsMax: 3 });
    for (const until of [50, 400, 300, 200, 500]) state.suspend(session(`${until}`), until, 100);
    expect(state.list(100).map(({ until }) => until)).toEqual([300, 400, 500]);
  });

  test("never suspends without enough distinct addresses, nor past the bounds", () => {
    const small = { ...limits, recordsMax: 20, sessionReporters: 3, addressReporters: 0 };
    const step = fc.record({
      room: fc.integer({ min: 0, max: 30 }),
      reporter: fc.integer({ min: 0, max: 8 }),
      home: fc.integer({ min: 0, max: 3 }),
      reported: fc.integer({ min: 0, max: 2 }),
      pauseMs: fc.integer({ min: 0, max: 40_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const state = new Moderation(small);
        const said: { reported: number; home: number; at: number }[] = [];
        let now = 0;
        for (const { room, reporter, home, reported, pauseMs } of steps) {
          now += pauseMs;
          const { counted, suspended } = state.report(
            {
              roomId: `${room}`,
              reporter: party(`${reporter}`, `${home}`),
              reported: party(`accused ${reported}`),
            },
            now,
          );
          if (counted) said.push({ reported, home, at: now });
          const homes = new Set(
            said
              .filter((one) => one.reported === reported && one.at > now - small.windowMs)
              .map((one) => one.home),
          );
          if (suspended.length > 0) expect(homes.size).toBeGreaterThanOrEqual(3);
          expect(state.list(now).length).toBeLessThanOrEqual(20);
        }
      }),
    );
  });

  test("does not grow in a flood", () => {
    const state = moderation({ recordsMax: 100 });
    const flood = () => {
      for (let n = 0; n < 50_000; n++)
        state.report(
          { roomId: `${n}`, reporter: party(`${n}`), reported: party(`accused ${n % 20_000}`) },
          n,
        );
    };
    flood();
    expect(state.list(0).length).toBeLessThanOrEqual(100);
  });
});

describe("A3 votes", () => {
  const from = (sessionId: string, network: string, host = sessionId): Party =>
    party(sessionId, network.padEnd(8, "-") + host);

  test("A3 of one network count as one, from however many of its addresses", () => {
    const state = moderation();
    reports(
      state,
      Array.from({ length: 5 }, (_, n) => from(`tab ${n}`, "one", `host ${n}`)),
    );
    reports(state, [from("Alice", "two")]);
    expect(state.suspensionOf(mallory, 0)?.until).toBeUndefined();
    reports(state, [from("Bob", "three")]);
    expect(state.suspensionOf(mallory, 0)?.until).toBe(50_000);
  });

  test("A3 of a session that has come from two networks are one with those of either", () => {
    const state = moderation();
    const both = { ...from("Alice", "mobile"), earlierNetworks: ["home----"] };
    reports(state, [from("Alice's tab", "home"), from("Alice's phone", "mobile")]);
    // Two so far; this one shows that they are one person.
    reports(state, [both, from("Bob", "two")]);
    expect(state.suspensionOf(mallory, 0)?.until).toBeUndefined();
    reports(state, [from("Carol", "three")]);
    expect(state.suspensionOf(mallory, 0)?.until).toBe(50_000);
  });

  test("A3 of one network are so many in an hour", () => {
    const state = moderation({ votesPerHour: 4 });
    const counted = (n: number, now: number) =>
      state.report(
        { roomId: `room ${n}`, reporter: from(`tab ${n}`, "one"), reported: party(`peer ${n}`) },
        now,
      ).counted;
    expect([0, 1, 2, 3, 4].map((n) => counted(n, 0))).toEqual([true, true, true, true, false]);
    expect(counted(5, 900_000)).toBe(true);
    expect(counted(6, 900_001)).toBe(false);
  });

  test("A3 are none from a room that earned none, or of one who is averse to all; they are news all the same", () => {
    const state = moderation({ sessionReporters: 1 });
    const report = { roomId: "room", reporter: party("Alice"), reported: mallory };
    const no = { first: true, counted: false, suspended: [] };
    expect(state.report({ ...report, earned: false }, 0)).toEqual(no);
    expect(state.report({ ...report, earned: true }, 0)).toMatchObject({ first: false });
    for (const [rooms, roomsRejected, counted] of [
      [2, 2, true],
      [3, 3, false],
      [4, 3, true],
      [100, 76, false],
      [100, 75, true],
    ] as const) {
      const reporter = {
        ...party(`peer ${rooms} ${roomsRejected}`),
        roomCount: rooms,
        roomsRejected,
      };
      const verdict = state.report({ roomId: "another", reporter, reported: party("Eve") }, 0);
      expect([rooms, roomsRejected, verdict.counted]).toEqual([rooms, roomsRejected, counted]);
    }
  });
});
