import { describe, expect, test } from "bun:test";
import {
  carryOut,
  caseDecisionsOf,
  decisionsOf,
  warningOf,
} from "../../../src/domain/decisions.ts";
import { Moderation, type ModerationLimits, type Party } from "../../../src/domain/moderation.ts";
import type { ReportReason } from "../../../src/protocol.ts";

const hourMs = 3_600_000;
const limits: ModerationLimits = {
  windowMs: hourMs,
  sessionReporters: 3,
  addressReporters: 5,
  sessionSteps: [hourMs, 24 * hourMs, 168 * hourMs],
  addressSteps: [hourMs, 6 * hourMs],
  warns: true,
  decayMs: 720 * hourMs,
  recordsMax: 1000,
  voteAfterMs: 0,
  votesPerHour: 0,
};
const party = (sessionId: string): Party => ({
  sessionId,
  addressHash: Bun.hash(sessionId).toString(36).padStart(13, "0"),
});
const mallory = party("Mallory");
const session = { kind: "session", id: "Mallory" } as const;
const address = { kind: "address", id: mallory.addressHash ?? "" } as const;

let rooms = 0;
/** Three strangers report Mallory, each for a reason of their own. Returns the last one's verdict. */
function pile(
  state: Moderation,
  now: number,
  reasons: ReportReason[] = ["spam", "spam", "hate"],
  reported = mallory,
) {
  const verdicts = reasons.map((reason, n) => {
    rooms += 1;
    const [roomId, caseId] = [`room ${rooms}`, `case ${n}`];
    const reporter = party(`reporter ${rooms}`);
    return state.report({ roomId, reporter, reported, reason, caseId }, now);
  });
  return verdicts.at(-1) ?? { first: false, counted: false, suspended: [] };
}
const lengthsOf = ({ suspended }: ReturnType<typeof pile>) =>
  suspended.map(({ subject, since, until }) => [subject.kind, (until - since) / hourMs]);

describe("sanctions", () => {
  test("begin with a warning, and then last ever longer, up to the last step", () => {
    const state = new Moderation(limits);
    const warned = pile(state, 1000);
    expect(warned).toEqual({
      first: true,
      counted: true,
      suspended: [],
      warned: [{ subject: session, at: 1000, because: "spam", caseId: "case 2" }],
      cases: ["case 0", "case 1", "case 2"],
    });
    expect(state.refusalOf(mallory, 1000)).toBeUndefined();
    let now = 1000;
    const lengths = [1, 2, 3, 4].map(() => lengthsOf(pile(state, (now += 200 * hourMs))));
    // The warning has decayed by the last one, but three suspensions have not.
    expect(lengths).toEqual([
      [
        ["session", 1],
        ["address", 1],
      ],
      [
        ["session", 24],
        ["address", 6],
      ],
      [
        ["session", 168],
        ["address", 6],
      ],
      [
        ["session", 168],
        ["address", 6],
      ],
    ]);
  });

  test("begin with a suspension where warnings are switched off", () => {
    const state = new Moderation({ ...limits, warns: false });
    expect(lengthsOf(pile(state, 0))).toEqual([
      ["session", 1],
      ["address", 1],
    ]);
  });

  test("are forgotten after their decay, and never without one", () => {
    for (const [decayMs, expected] of [
      [100 * hourMs, []],
      [
        0,
        [
          ["session", 1],
          ["address", 1],
        ],
      ],
    ] as const) {
      const state = new Moderation({ ...limits, decayMs });
      expect(pile(state, 1).warned).toHaveLength(1);
      expect(lengthsOf(pile(state, 1 + 100 * hourMs))).toEqual(expected as never);
    }
  });

  test("take no further step while a suspension lasts: it is about what was before", () => {
    const state = new Moderation({ ...limits, warns: false, addressReporters: 0 });
    pile(state, 0);
    expect(lengthsOf(pile(state, 1000))).toContainEqual(["session", 1]);
    expect(lengthsOf(pile(state, 2 * hourMs))).toContainEqual(["session", 24]);
  });

  test("of an address begin with a warning as well, if its sessions are reported by many", () => {
    const state = new Moderation({ ...limits, sessionReporters: 0 });
    const { warned, suspended } = pile(state, 0, ["hate", "minor", "minor", "hate", "nudity"]);
    expect(warned).toMatchObject([{ subject: address, because: "hate" }]);
    expect(suspended).toEqual([]);
  });

  test("have the most frequent reason, and of several the one that was given last", () => {
    for (const [reasons, because] of [
      [["spam", "hate", "hate"], "hate"],
      [["hate", "minor", "spam"], "spam"],
      [["minor", "minor", "spam"], "minor"],
    ] as [ReportReason[], ReportReason][]) {
      const state = new Moderation(limits);
      expect(warningOf(pile(state, 0, reasons))).toMatchObject({ type: "warning", because });
    }
  });

  test("by an operator count as steps, and a lift takes all of them back", () => {
    const state = new Moderation(limits);
    state.suspend(session, hourMs, 0);
    expect(lengthsOf(pile(state, 2 * hourMs))[0]).toEqual(["session", 24]);
    expect(state.lift(session, 3 * hourMs)).toBe(true);
    expect(pile(state, 4 * hourMs).warned).toMatchObject([{ subject: session }]);
  });

  test("are refused with the reason, the case, and where to object", () => {
    const state = new Moderation({ ...limits, appeal: "https://appeal.example" });
    state.suspend(session, 5000, 0, { because: "minor", caseId: "a case" });
    expect(state.refusalOf(mallory, 0)).toEqual({
      rejected: true,
      reason: "suspended",
      until: 5000,
      because: "minor",
      caseId: "a case",
      appeal: "https://appeal.example",
    });
    // The one that ends last is told.
    state.suspend(address, 9000, 0);
    expect(state.refusalOf(mallory, 0)).toMatchObject({ until: 9000, because: "operator" });
    expect(state.refusalOf(mallory, 9000)).toBeUndefined();
  });

  test("follow from what was decided before, also if the reports of it are read again", () => {
    const whole = new Moderation(limits);
    const restored = new Moderation(limits);
    pile(whole, 1000);
    restored.recall(session, 1000);
    // The entries that are still there lead to the same again.
    rooms -= 3;
    expect(pile(restored, 1000).warned).toHaveLength(1);
    rooms += 3;
    const [later, same] = [whole, restored].map((state) => lengthsOf(pile(state, 2 * hourMs)));
    expect(later).toEqual(same);
    expect(later?.[0]).toEqual(["session", 1]);
    restored.recallLift(session);
    expect(pile(restored, 9 * hourMs).warned).toHaveLength(1);
  });
});

describe("records of decisions", () => {
  const report = (n: number, reported = mallory) =>
    ({
      kind: "report",
      at: n,
      roomId: `r${n}`,
      reason: "spam",
      caseId: `c${n}`,
      reporter: party(`voter ${n}`),
      reported,
    }) as const;

  test("say what was decided, by whom, when and why, and which reports it decides", () => {
    const state = new Moderation({ ...limits, warns: false });
    const records = [1, 2, 3].flatMap((n) => decisionsOf(report(n), carryOut(state, report(n))));
    const common = { at: 3, decision: "suspended", by: "reports", because: "spam", caseId: "c3" };
    const cases = ["c1", "c2", "c3"];
    expect(records).toEqual([
      { ...common, subject: session, until: 3 + hourMs, cases } as never,
      { ...common, subject: address, until: 3 + hourMs, cases } as never,
    ]);
    const lift = { kind: "lift", at: 4, subject: session, caseId: "c3", noteId: "T-1" } as const;
    expect(decisionsOf(lift, carryOut(state, lift))).toEqual([
      {
        at: 4,
        decision: "lifted",
        by: "operator",
        because: "operator",
        subject: session,
        caseId: "c3",
        cases: ["c3"],
        noteId: "T-1",
      },
    ]);
    // There is nothing left to lift.
    expect(decisionsOf(lift, carryOut(state, lift))).toEqual([]);
  });

  test("of an operator decide the reports that count against the subject at that moment", () => {
    const state = new Moderation(limits);
    for (const n of [1, 2]) carryOut(state, report(n));
    const suspend = { kind: "suspend", at: 5, subject: session, until: 9, caseId: "c7" } as const;
    const records = decisionsOf(suspend, carryOut(state, suspend));
    expect(records).toMatchObject([{ by: "operator", cases: ["c1", "c2", "c7"] }]);
    expect(Object.fromEntries(caseDecisionsOf(records))).toEqual({
      c1: "suspended",
      c2: "suspended",
      c7: "suspended",
    });
  });

  test("tell who reported nothing of a lift but that nothing is left of it", () => {
    const lifted = { at: 1, by: "operator", because: "operator", cases: ["c"] } as const;
    expect(caseDecisionsOf([{ ...lifted, decision: "lifted" }]).get("c")).toBe("none");
    expect(caseDecisionsOf([{ ...lifted, decision: "none" }]).get("c")).toBe("none");
  });

  test("an entry of a later version leads to nothing", () => {
    const later = { kind: "pardon", at: 1 } as never;
    expect(carryOut(new Moderation(limits), later)).toEqual({
      first: false,
      counted: false,
      suspended: [],
    });
  });
});
