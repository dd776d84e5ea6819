/** What every engine must keep of sanctions: a warning is told once, a suspension says why, and what was decided is recorded. */
import { describe, expect, test } from "bun:test";
import type { DecisionsRequest } from "../../src/domain/decisions.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import type { Caller, Engine, EngineOptions, Stream } from "../../src/engine/engine.ts";
import type { LoggedEvent, ReportReason } from "../../src/protocol.ts";
import { accountVerbs } from "./account-contract.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

interface Tab extends Caller {
  stream: Stream;
}

const hourMs = 3_600_000;
const moderation = {
  ...engineOptions.moderation,
  sessionReporters: 2,
  voteAfterMs: 0,
  votesPerHour: 0,
  sessionSteps: [hourMs, 24 * hourMs],
  addressSteps: [hourMs],
  warns: true,
  decayMs: 0,
  appeal: "https://example.com/appeal",
};

function sanctionVerbs(engine: Engine) {
  const verbs = accountVerbs(engine);
  let meetings = 0;
  async function eventsOf({ stream }: Tab): Promise<LoggedEvent[]> {
    for (let after = 0; after < 1000; after++) {
      const entries = await engine.read(stream, after);
      if (Array.isArray(entries)) return entries.map(({ json }) => JSON.parse(json));
      if (entries !== "overflow") break;
    }
    throw new Error("unreadable");
  }
  const warningsOf = async (tab: Tab) =>
    (await eventsOf(tab)).filter(({ type }) => type === "warning");
  /** A stranger meets this one, and is ready to report. */
  async function meet(tab: Tab) {
    meetings += 1;
    await engine.end(tab, { ending: "leave" });
    const roomId = `room ${meetings}`;
    const network = `network${meetings}`.slice(-8);
    const stranger = await verbs.enter(`stranger ${meetings}`, undefined, { network });
    expect(verbs.settled(await engine.enqueue(tab)).status).toBe("waiting");
    expect(await verbs.pair(tab, stranger, roomId)).toBe(true);
    const caseId = `case ${meetings}`;
    const report = async (reason: ReportReason = "spam") => {
      const reported = verbs.settled(await engine.report(stranger, roomId, reason, { caseId }));
      await engine.end(stranger, { ending: "leave" });
      return reported;
    };
    return { roomId, stranger, caseId, report };
  }
  /** Two strangers report it, which is enough. */
  async function pile(tab: Tab, reason: ReportReason = "spam") {
    const one = await meet(tab);
    await one.report(reason);
    const other = await meet(tab);
    return { cases: [one.caseId, other.caseId], ...(await other.report(reason)) };
  }
  const decisions = async (request: Partial<DecisionsRequest> = {}) => {
    const list = await engine.decisions({ limit: 1000, ...request });
    if (isRejection(list)) throw new Error(list.reason);
    return list;
  };
  return { ...verbs, eventsOf, warningsOf, meet, pile, decisions };
}

export function describeSanctions(name: string, open: OpenEngine) {
  function setUp(options: Partial<EngineOptions> = {}) {
    const system = createVirtualSystem();
    const engine = open(system, { ...engineOptions, moderation, ...options });
    return { system, engine, ...sanctionVerbs(engine) };
  }

  describe(`sanctions: ${name}`, () => {
    test("enough reports warn first, once, and suspend ever longer then", async () => {
      const { engine, system, enter, pile, warningsOf, eventsOf, decisions } = setUp();
      const troll = await enter("troll");
      await engine.end(troll, { ending: "leave" });
      const warned = await pile(troll, "hate");
      expect(warned.suspended).toEqual([]);
      expect(warned.decided).toMatchObject([{ decision: "warned", because: "hate" }]);
      const caseId = warned.cases[1] ?? "";
      expect(await warningsOf(troll)).toEqual([{ type: "warning", because: "hate", caseId }]);
      await system.advance(1);
      const suspended = await pile(troll, "minor");
      expect(suspended.suspended).toHaveLength(2);
      const until = system.now() + hourMs;
      const notice = {
        until,
        because: "minor",
        caseId: suspended.cases[1],
        appeal: "https://example.com/appeal",
      };
      expect((await eventsOf(troll)).at(-1)).toEqual({
        type: "resync",
        state: { status: "idle" },
        suspended: notice,
      } as LoggedEvent);
      expect(await engine.enqueue(troll)).toMatchObject({ reason: "suspended", ...notice });
      await system.advance(hourMs);
      expect((await pile(troll)).suspended).toContainEqual(
        expect.objectContaining({ until: system.now() + 24 * hourMs, because: "spam" }),
      );
      const kinds = (await decisions()).map(({ decision }) => decision);
      expect(kinds.filter((kind) => kind === "warned")).toHaveLength(1);
    });

    test("a warning is told to one who is away when it comes back, and then no more", async () => {
      const { engine, enter, attach, meet, warningsOf, eventsOf } = setUp();
      const troll = await enter("troll");
      await engine.end(troll, { ending: "leave" });
      const one = await meet(troll);
      const other = await meet(troll);
      await engine.detach(troll.stream);
      await one.report();
      await other.report("nudity");
      // Another tab: it has no position from which events could be replayed.
      const back = await attach("troll", undefined);
      const caseId = other.caseId;
      const types = (await eventsOf(back)).map(({ type }) => type);
      expect(types.at(-1)).toBe("warning");
      expect(await warningsOf(back)).toEqual([{ type: "warning", because: "nudity", caseId }]);
      const { length } = await eventsOf(back);
      const again = await attach("troll", undefined);
      expect(await warningsOf(again)).toHaveLength(1);
      expect(await eventsOf(again)).toHaveLength(length + 1);
    });

    test("a warning of an account is told in one of its sessions", async () => {
      const { engine, enter, attach, meet, warningsOf } = setUp();
      const troll = await enter("troll", "mallory");
      await engine.end(troll, { ending: "leave" });
      const one = await meet(troll);
      const other = await meet(troll);
      await engine.detach(troll.stream);
      await one.report();
      expect((await other.report()).decided).toMatchObject([
        { decision: "warned", subject: { kind: "account", id: "mallory" } },
      ]);
      const told = [await attach("another tab", "mallory"), await attach("third tab", "mallory")];
      const counts = await Promise.all(told.map(async (tab) => (await warningsOf(tab)).length));
      expect(counts).toEqual([1, 0]);
    });

    test("what was decided is exported, the oldest first, page by page and since a time", async () => {
      const { engine, system, enter, pile, decisions } = setUp();
      const troll = await enter("troll");
      await engine.end(troll, { ending: "leave" });
      const { cases } = await pile(troll);
      const begun = system.now();
      const subject = { kind: "session", id: "troll" } as const;
      await system.advance(10);
      await engine.suspend(subject, begun + hourMs, { because: "minor", noteId: "note 7" });
      await system.advance(10);
      expect(await engine.lift(subject)).toBe(true);
      expect(await engine.lift(subject)).toBe(false);
      await engine.dismiss("a case of nothing", { noteId: "note 8" });
      const all = await decisions();
      const records = all.map((exported) => {
        const { id: _, ...record } = exported;
        return record;
      });
      expect(records).toEqual([
        {
          at: begun,
          decision: "warned",
          by: "reports",
          because: "spam",
          subject,
          caseId: cases[1],
          cases,
        } as never,
        {
          at: begun + 10,
          decision: "suspended",
          by: "operator",
          because: "minor",
          subject,
          until: begun + hourMs,
          noteId: "note 7",
        },
        { at: begun + 20, decision: "lifted", by: "operator", because: "operator", subject },
        {
          at: begun + 20,
          decision: "none",
          by: "operator",
          because: "operator",
          caseId: "a case of nothing",
          cases: ["a case of nothing"],
          noteId: "note 8",
        },
      ]);
      expect(new Set(all.map(({ id }) => id)).size).toBe(4);
      expect(await decisions({ since: begun + 10 })).toEqual(all.slice(1));
      expect(await decisions({ limit: 2 })).toEqual(all.slice(0, 2));
      expect(await decisions({ after: all[1]?.id })).toEqual(all.slice(2));
      expect(await decisions({ since: begun + 20, after: all[0]?.id, limit: 1 })).toEqual(
        all.slice(2, 3),
      );
      expect(await decisions({ after: all[3]?.id })).toEqual([]);
    });

    test("two decisions of one report are exported one by one as well", async () => {
      const { engine, enter, pile, decisions } = setUp({
        moderation: { ...moderation, warns: false },
      });
      const troll = await enter("troll");
      await engine.end(troll, { ending: "leave" });
      await pile(troll);
      const all = await decisions();
      expect(all.map(({ subject }) => subject?.kind)).toEqual(["session", "address"]);
      const [first] = await decisions({ limit: 1 });
      expect(await decisions({ after: first?.id })).toEqual(all.slice(1));
    });

    test("decisions are kept for as long as the operator has set", async () => {
      const { engine, system, decisions } = setUp({ decisionsKeepMs: 1000 });
      await engine.dismiss("early");
      await system.advance(600);
      await engine.dismiss("late");
      expect((await decisions()).map(({ caseId }) => caseId)).toEqual(["early", "late"]);
      await system.advance(600);
      expect((await decisions()).map(({ caseId }) => caseId)).toEqual(["late"]);
      expect(await engine.caseAnswer("early")).toEqual({});
      expect(await engine.caseAnswer("late")).toMatchObject({ decision: "none" });
    });

    test("a case tells what was decided: by reports, by an operator, or that nothing was", async () => {
      const { engine, system, enter, meet, pile } = setUp();
      const troll = await enter("troll");
      await engine.end(troll, { ending: "leave" });
      const { cases } = await pile(troll);
      for (const caseId of cases)
        expect(await engine.caseAnswer(caseId)).toEqual({ decision: "warned", at: system.now() });
      const third = await meet(troll);
      await third.report();
      expect(await engine.caseAnswer(third.caseId)).toEqual({});
      expect(await engine.caseAnswer("there is none")).toEqual({});
      await system.advance(5);
      // The report that counts against it at this moment is decided by this.
      const subject = { kind: "session", id: "troll" } as const;
      await engine.suspend(subject, system.now() + hourMs);
      const suspended = { decision: "suspended", at: system.now() } as const;
      expect(await engine.caseAnswer(third.caseId)).toEqual(suspended);
      await engine.dismiss(cases[0] ?? "");
      expect(await engine.caseAnswer(cases[0] ?? "")).toMatchObject({ decision: "none" });
      await engine.suspend(subject, system.now() + hourMs, { caseId: cases[0] });
      expect(await engine.caseAnswer(cases[0] ?? "")).toEqual(suspended);
    });

    test("messages of a room are found in the logs of those who were sent them, also after its end", async () => {
      const { engine, enter, attach, meet } = setUp();
      const bob = await enter("bob");
      await engine.end(bob, { ending: "leave" });
      const { roomId, stranger } = await meet(bob);
      const say = (from: Caller, text: string, at: number) =>
        engine.send(from, roomId, JSON.stringify({ type: "message", roomId, text, at }));
      await say(bob, "hello", 5);
      await say(stranger, "hi", 6);
      await say(bob, "bye", 7);
      const expected = {
        received: [
          { text: "hello", at: 5 },
          { text: "bye", at: 7 },
        ],
        sent: [{ text: "hi", at: 6 }],
      };
      expect(await engine.messagesIn(stranger, roomId)).toEqual(expected);
      await engine.end(bob, { ending: "leave" });
      expect(await engine.messagesIn(stranger, roomId)).toEqual(expected);
      const outsider = await attach("outsider", undefined);
      expect(await engine.messagesIn(outsider, roomId)).toMatchObject({ reason: "not-in-room" });
      const gone = { sessionId: "nobody", generation: 1 };
      expect(await engine.messagesIn(gone, roomId)).toMatchObject({ reason: "not-in-room" });
    });
  });
}
