/** What every engine must keep of accounts: what holds for one session of an account holds for all, also for later ones. */
import { describe, expect, test } from "bun:test";
import type { Suspension } from "../../src/domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../../src/domain/rejection.ts";
import { defaultWishes, type Wishes } from "../../src/domain/ticket.ts";
import type { Caller, Engine, EngineOptions, Stream } from "../../src/engine/engine.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

interface Tab extends Caller {
  stream: Stream;
}

/** The verbs of peers that have accounts, on any engine. */
export function accountVerbs(engine: Engine) {
  const settled = <T>(answer: T | Rejection): T => {
    if (isRejection(answer)) throw new Error(`refused: ${answer.reason}`);
    return answer;
  };
  /** @param network of the address; each session has one of its own by default. */
  async function attach(
    sessionId: string,
    account: string | undefined,
    network = `${sessionId.replaceAll(" ", "-").padEnd(8, "~")} address`,
  ): Promise<Tab> {
    const request = { sessionId, account, generation: 0, addressHash: network, wake() {} };
    const { stream } = settled(await engine.attach(request));
    return { sessionId, generation: stream.generation, stream };
  }
  async function enter(
    sessionId: string,
    account?: string,
    { network, ...wishes }: Partial<Wishes> & { network?: string | undefined } = {},
  ) {
    const tab = await attach(sessionId, account, network);
    settled(await engine.enqueue(tab, { ...defaultWishes, ...wishes }));
    return tab;
  }
  const ticketOf = async ({ sessionId }: Caller) => {
    const options = await engine.matchOptions(sessionId);
    if (!options) throw new Error(`${sessionId} must wait`);
    return options.ticket;
  };
  async function pair(one: Caller, other: Caller, roomId = `${one.sessionId}+${other.sessionId}`) {
    const [impolite, polite] = [await ticketOf(one), await ticketOf(other)];
    return engine.pair({ roomId, impolite, polite, relayOnly: false, sharedInterests: [] });
  }
  const candidatesOf = async ({ sessionId }: Caller) =>
    (await engine.matchOptions(sessionId))?.eligible.map((ticket) => ticket.sessionId).sort();
  const leave = (caller: Caller) => engine.end(caller, { ending: "leave" });
  const statusOf = async (caller: Caller) => settled(await engine.status(caller)).status;
  return { attach, enter, ticketOf, pair, candidatesOf, leave, statusOf, settled };
}

export function describeAccounts(name: string, open: OpenEngine) {
  function setUp(options: Partial<EngineOptions> = {}) {
    const system = createVirtualSystem();
    const engine = open(system, { ...engineOptions, ...options });
    return { system, engine, ...accountVerbs(engine) };
  }
  type World = ReturnType<typeof setUp>;

  /** Sweeps now and then, as each sweep may set a later deadline. */
  async function passTime({ system, engine }: World, ms: number) {
    for (let sweeps = 0; sweeps < 3; sweeps++) {
      await system.advance(ms / 3);
      await engine.sweep();
    }
  }

  describe(`accounts: ${name}`, () => {
    describe("two sessions of one account", () => {
      test("are never offered to each other, and never paired, also when each was seen alone", async () => {
        const { enter, pair, candidatesOf } = setUp();
        const tabs = await Promise.all(
          Array.from({ length: 10 }, (_, n) => enter(`tab ${n}`, "ann")),
        );
        for (const tab of tabs) expect(await candidatesOf(tab)).toEqual([]);
        const [one, two] = tabs;
        if (!one || !two) throw new Error("there are ten tabs");
        expect(await pair(one, two)).toBe(false);
        // Each of them is there for anybody else.
        const stranger = await enter("stranger", "bob");
        expect(await candidatesOf(two)).toEqual(["stranger"]);
        expect(await pair(two, stranger)).toBe(true);
      });

      test("are each paired with others, in rooms of their own", async () => {
        const { enter, pair, statusOf } = setUp();
        for (const n of [1, 2, 3]) {
          const tab = await enter(`tab ${n}`, "ann");
          const other = await enter(`other ${n}`, n === 3 ? undefined : "bob");
          expect(await pair(tab, other)).toBe(true);
          expect([await statusOf(tab), await statusOf(other)]).toEqual(["paired", "paired"]);
        }
      });

      test("leave others to be found behind any number of them", async () => {
        const { enter, candidatesOf } = setUp();
        for (let n = 0; n < 70; n++) await enter(`tab ${n}`, "ann");
        await enter("stranger");
        const last = await enter("last tab", "ann");
        expect(await candidatesOf(last)).toEqual(["stranger"]);
      });
    });

    test("a name with any characters is one account, and not that of a session with this id", async () => {
      const { engine, enter, pair, candidatesOf } = setUp();
      const names = ["ann", " ann", "ann\n", "Ünï 💬", "a".repeat(128), "@ann", "{0}", "*"];
      for (const account of names) {
        const [one, two] = [
          await enter(`1 ${account}`, account),
          await enter(`2 ${account}`, account),
        ];
        expect(await candidatesOf(two)).toEqual([]);
        const other = await enter("ann");
        expect(await pair(one, other)).toBe(true);
        await engine.avoid(one, `1 ${account}+ann`);
        await engine.end(one, { ending: "block" });
        for (const { stream } of [one, two]) await engine.detach(stream);
        await engine.end(other, { ending: "leave" });
        await engine.suspend({ kind: "account", id: account }, 2e12);
        expect(await engine.enqueue(other)).toMatchObject({ status: "waiting" });
        await engine.end(other, { ending: "leave" });
      }
    });

    describe("a block", () => {
      const sides = [
        ["both have accounts", "ann", "bob"],
        ["only who blocks has one", "ann", undefined],
        ["only who is blocked has one", undefined, "bob"],
      ] as const;

      test.each(sides)(
        "holds for all other sessions of both, waiting or later: %s",
        async (_, ann, bob) => {
          const { engine, enter, pair, candidatesOf } = setUp();
          const one = await enter("a1", ann);
          const other = await enter("b1", bob);
          // Those without an account have one session only.
          const a2 = ann === undefined ? undefined : await enter("a2", ann);
          const b2 = bob === undefined ? undefined : await enter("b2", bob);
          expect(await pair(one, other, "room")).toBe(true);
          if (a2 && b2) expect(await candidatesOf(a2)).toEqual(["b2"]);
          expect(await engine.avoid(one, "room")).toEqual({ partnerId: "b1" });
          await engine.end(one, { ending: "block" });
          await engine.enqueue(one);
          await engine.enqueue(other);
          const a3 = ann === undefined ? undefined : await enter("a3", ann);
          const b3 = bob === undefined ? undefined : await enter("b3", bob);
          const [ofAnn, ofBob] = [
            [one, a2, a3],
            [other, b2, b3],
          ].map((all) => all.filter((tab) => tab !== undefined));
          for (const a of ofAnn ?? [])
            for (const b of ofBob ?? []) {
              expect(await candidatesOf(a)).toEqual([]);
              expect(await candidatesOf(b)).toEqual([]);
              expect(await pair(a, b)).toBe(false);
              expect(await pair(b, a)).toBe(false);
            }
          const stranger = await enter("stranger", "carol");
          expect(await candidatesOf(stranger)).not.toEqual([]);
        },
      );

      test("undoes a match of two other tabs that was chosen before it", async () => {
        const { engine, enter, pair, ticketOf } = setUp();
        const [a1, b1] = [await enter("a1", "ann"), await enter("b1", "bob")];
        expect(await pair(a1, b1, "room")).toBe(true);
        const [a2, b2] = [await enter("a2", "ann"), await enter("b2", "bob")];
        const found = await engine.matchOptions("a2");
        const polite = found?.eligible.find(({ sessionId }) => sessionId === "b2");
        if (!polite) throw new Error("b2 must be on offer");
        await engine.avoid(a1, "room");
        const request = { roomId: "second", impolite: await ticketOf(a2), polite };
        expect(await engine.pair({ ...request, relayOnly: false, sharedInterests: [] })).toBe(
          false,
        );
        expect(await engine.status(b2)).toEqual({ status: "waiting" });
      });

      test.each(["ann", "bob", "both"])(
        "holds for new sessions though %s was away for nearly as long as a token lives",
        async (away) => {
          const world = setUp();
          const { engine, enter, pair, candidatesOf } = world;
          const [a1, b1] = [await enter("a1", "ann"), await enter("b1", "bob")];
          expect(await pair(a1, b1, "room")).toBe(true);
          await engine.avoid(a1, "room");
          await engine.end(a1, { ending: "block" });
          for (const [account, { stream }] of [
            ["ann", a1],
            ["bob", b1],
          ] as const)
            if (away === account || away === "both") await engine.detach(stream);
          await passTime(world, 3_600_000);
          await passTime(world, 6.9 * 86_400_000);
          const a2 = await enter("a2", "ann");
          const b2 = await enter("b2", "bob");
          expect(await candidatesOf(a2)).toEqual([]);
          expect(await pair(a2, b2)).toBe(false);
        },
      );

      test("of one who is forgotten by now holds for that account's later sessions", async () => {
        const world = setUp();
        const { engine, enter, pair, candidatesOf, leave } = world;
        const [a1, b1] = [await enter("a1", "ann"), await enter("b1", "bob")];
        expect(await pair(a1, b1, "room")).toBe(true);
        await leave(b1);
        await engine.detach(b1.stream);
        await passTime(world, 3_600_000);
        expect(await engine.avoid(a1, "room")).toEqual({ partnerId: "b1" });
        const b2 = await enter("b2", "bob");
        expect(await candidatesOf(b2)).toEqual([]);
        expect(await candidatesOf(a1)).toEqual([]);
      });

      test("is kept past the bound of blockers as long as a session of the account is there", async () => {
        const world = setUp({ blocks: { blockersMax: 2, blockersPerAddressMax: 0 } });
        const { engine, enter, attach, pair, candidatesOf } = world;
        const [a1, b1] = [await enter("a1", "ann"), await enter("b1", "bob")];
        const a2 = await attach("a2", "ann");
        expect(await pair(a1, b1, "room")).toBe(true);
        await engine.avoid(a1, "room");
        await engine.end(a1, { ending: "block" });
        await engine.detach(a1.stream);
        for (let n = 0; n < 4; n++) {
          const [one, other] = [await enter(`one ${n}`, `one ${n}`), await enter(`other ${n}`)];
          expect(await pair(one, other, `room ${n}`)).toBe(true);
          await engine.avoid(one, `room ${n}`);
          for (const { stream } of [one, other]) await engine.detach(stream);
        }
        await passTime(world, 3_600_000);
        await engine.enqueue(a2);
        await engine.enqueue(b1);
        expect(await candidatesOf(a2)).toEqual([]);
        // Of those that went the last two are kept.
        await engine.end(a2, { ending: "leave" });
        await engine.end(b1, { ending: "leave" });
      });
    });

    describe("a cooldown", () => {
      test("holds for the other sessions of both, ends for all, and they look again", async () => {
        const { system, engine, enter, pair, candidatesOf, leave } = setUp();
        const [a1, b1] = [await enter("a1", "ann"), await enter("b1", "bob")];
        expect(await pair(a1, b1, "room")).toBe(true);
        await engine.end(a1, { ending: "skip" });
        for (const tab of [a1, b1]) {
          await leave(tab);
          await engine.detach(tab.stream);
        }
        const [a2, b2] = [await enter("a2", "ann"), await enter("b2", "bob")];
        expect(await candidatesOf(a2)).toEqual([]);
        expect(await candidatesOf(b2)).toEqual([]);
        expect(await pair(b2, a2)).toBe(false);
        await system.advance(299_000);
        await engine.sweep();
        expect(await candidatesOf(a2)).toEqual([]);
        await system.advance(1000);
        expect((await engine.sweep()).newlyWaiting).toContain("a2");
        expect(await candidatesOf(a2)).toEqual(["b2"]);
        expect(await pair(a2, b2)).toBe(true);
      });
    });

    describe("skipping", () => {
      const skipping = { burst: 2, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 };

      test("in turn in ten tabs costs what it costs in one", async () => {
        const { system, engine, enter, attach, pair, leave } = setUp({ skipping });
        const answers: unknown[] = [];
        for (let n = 0; n < 4; n++) {
          const tab = await attach(`tab ${n}`, "ann");
          const entered = await engine.enqueue(tab, defaultWishes);
          if (isRejection(entered)) {
            answers.push(entered);
            continue;
          }
          const other = await enter(`other ${n}`);
          expect(await pair(tab, other)).toBe(true);
          answers.push(await engine.end(tab, { ending: "skip" }));
          await leave(tab);
          await leave(other);
        }
        expect(answers.slice(0, 3).every((answer) => !isRejection(answer))).toBe(true);
        const refused = { reason: "rate-limited", retryAfterMs: 1000 };
        expect(answers[3]).toMatchObject(refused);
        // It is the account that waits: every tab does, and none beside.
        expect(await engine.enqueue(await attach("tab 0", "ann"))).toMatchObject(refused);
        expect(await engine.enqueue(await attach("tab", "bob"))).toMatchObject({
          status: "waiting",
        });
        expect(await engine.enqueue(await attach("one", undefined))).toMatchObject({
          status: "waiting",
        });
        await system.advance(1000);
        expect(await engine.enqueue(await attach("tab 9", "ann"))).toMatchObject({
          status: "waiting",
        });
      });

      test("in rooms of two tabs at once is added up, whichever call comes first", async () => {
        const { engine, enter, pair } = setUp({ skipping: { ...skipping, burst: 1 } });
        const tabs: Tab[] = [];
        for (const n of [0, 1, 2]) {
          const tab = await enter(`tab ${n}`, "ann");
          expect(await pair(tab, await enter(`other ${n}`))).toBe(true);
          tabs.push(tab);
        }
        const skips = await Promise.all(tabs.map((tab) => engine.end(tab, { ending: "skip" })));
        expect(skips.filter((answer) => isRejection(answer))).toHaveLength(1);
      });

      test("of a session that is gone still counts in the next one", async () => {
        const { engine, enter, attach, pair, leave } = setUp({
          skipping: { ...skipping, burst: 1 },
        });
        for (const n of [0, 1]) {
          const tab = await enter(`tab ${n}`, "ann");
          const other = await enter(`other ${n}`);
          expect(await pair(tab, other)).toBe(true);
          await engine.end(tab, { ending: "skip" });
          await leave(tab);
          await engine.detach(tab.stream);
        }
        expect(await engine.enqueue(await attach("tab 2", "ann"), defaultWishes)).toMatchObject({
          reason: "rate-limited",
        });
      });

      test("failed calls that are believed are those of all sessions together", async () => {
        const { engine, enter, pair, leave } = setUp({ skipping });
        const reasons: (string | undefined)[] = [];
        engine.onEnded(({ reason, ending }) => void (ending === "failed" && reasons.push(reason)));
        for (let n = 0; n < 4; n++) {
          const [tab, other] = [await enter(`tab ${n}`, "ann"), await enter(`other ${n}`)];
          expect(await pair(tab, other, `room ${n}`)).toBe(true);
          await engine.end(tab, { ending: "failed", roomId: `room ${n}` });
          await leave(tab);
          await leave(other);
        }
        expect(reasons).toEqual([...Array<string>(3).fill("connect-failed"), "skipped"]);
      });
    });

    describe("intents", () => {
      const intents = { perS: 2, burst: 3 };
      const refused = (retryAfterMs: number) => reject("rate-limited", { retryAfterMs });

      test("in turn in ten tabs are as many as in one, and the time to wait is exact", async () => {
        const { system, engine, attach } = setUp({ intents });
        const join = async (n: number) => engine.enqueue(await attach(`tab ${n}`, "ann"));
        for (const n of [0, 1, 2]) expect(await join(n)).toMatchObject({ status: "waiting" });
        for (const n of [3, 4, 5, 6, 7, 8, 9]) expect(await join(n)).toEqual(refused(500));
        // Those that were refused count for nothing.
        await system.advance(499);
        expect(await join(4)).toEqual(refused(1));
        await system.advance(1);
        expect(await join(5)).toMatchObject({ status: "waiting" });
        expect(await join(6)).toEqual(refused(500));
      });

      test("of one account disturb neither another one nor those who have none", async () => {
        const { engine, attach } = setUp({ intents: { perS: 2, burst: 1 } });
        const ann = await attach("tab 1", "ann");
        expect(await engine.enqueue(ann)).toMatchObject({ status: "waiting" });
        expect(await engine.enqueue(await attach("tab 2", "ann"))).toEqual(refused(500));
        expect(await engine.enqueue(await attach("bob", "bob"))).toMatchObject({
          status: "waiting",
        });
        // Sessions without an account are limited by whoever calls the engine.
        const nobody = await attach("nobody", undefined);
        for (let n = 0; n < 5; n++)
          expect(await engine.enqueue(nobody)).toMatchObject({ status: "waiting" });
      });

      test("at one moment in all tabs are no more than those in turn", async () => {
        const { engine, attach } = setUp({ intents });
        const tabs: Tab[] = [];
        for (let n = 0; n < 10; n++) tabs.push(await attach(`tab ${n}`, "ann"));
        const answers = await Promise.all(tabs.map((tab) => engine.enqueue(tab)));
        expect(answers.filter((answer) => !isRejection(answer))).toHaveLength(3);
      });

      test("are joins, skips, failures, blocks and wishes to meet again, each once; not to leave, to confirm or to be paired", async () => {
        const { system, engine, enter, attach, pair, leave } = setUp({
          intents: { perS: 1, burst: 1 },
        });
        const tab = await attach("tab", "ann");
        /** One of ann's intents, of which each is the only one in its second. */
        async function isOnlyOne(intent: () => unknown) {
          await system.advance(1000);
          expect(isRejection(await intent())).toBe(false);
          expect(await engine.enqueue(await attach("other tab", "ann"))).toEqual(refused(1000));
        }
        async function meet(roomId: string) {
          const other = await enter(roomId);
          await isOnlyOne(async () => engine.enqueue(tab, defaultWishes));
          expect(await pair(tab, other, roomId)).toBe(true);
          expect(isRejection(await engine.confirm(tab, roomId))).toBe(false);
        }
        await meet("first");
        await isOnlyOne(async () => engine.enqueue(tab));
        await isOnlyOne(async () => engine.end(tab, { ending: "skip" }));
        expect(isRejection(await leave(tab))).toBe(false);
        await isOnlyOne(async () => engine.end(tab, { ending: "skip" }));
        expect(isRejection(await leave(tab))).toBe(false);
        await meet("second");
        await isOnlyOne(async () => engine.end(tab, { ending: "failed", roomId: "second" }));
        expect(isRejection(await leave(tab))).toBe(false);
        await isOnlyOne(async () => engine.again(tab, "second", "another room"));
        expect(isRejection(await leave(tab))).toBe(false);
        await meet("third");
        // A report or block is several verbs.
        await isOnlyOne(async () => engine.avoid(tab, "third"));
        expect(isRejection(await engine.report(tab, "third"))).toBe(false);
        expect(isRejection(await engine.end(tab, { ending: "block", roomId: "third" }))).toBe(
          false,
        );
      });

      test("past the rate change nothing", async () => {
        const { system, engine, enter, attach, pair, statusOf } = setUp({
          intents: { perS: 1, burst: 1 },
        });
        const [tab, other] = [await enter("tab", "ann"), await enter("other", "bob")];
        expect(await pair(tab, other, "room")).toBe(true);
        for (const ending of ["skip", "failed"] as const)
          expect(await engine.end(tab, { ending, roomId: "room" })).toEqual(refused(1000));
        expect(await engine.avoid(tab, "room")).toEqual(refused(1000));
        expect(await statusOf(other)).toBe("paired");
        // The partner, who is told nothing of it, has intents of its own.
        await system.advance(1000);
        expect(await engine.enqueue(await attach("tab 2", "ann"))).toMatchObject({
          status: "waiting",
        });
        expect(await engine.end(other, { ending: "skip" })).toMatchObject({ known: true });
      });

      test("that are repeated by id have their result, and are counted once", async () => {
        const { engine, attach } = setUp({ intents });
        const tab = { ...(await attach("tab", "ann")), mutationId: "join 1" };
        for (let n = 0; n < 5; n++)
          expect(await engine.enqueue(tab)).toMatchObject({ status: "waiting" });
        for (const id of ["2", "3"])
          expect(await engine.enqueue({ ...tab, mutationId: id })).toMatchObject({
            status: "waiting",
          });
        expect(await engine.enqueue({ ...tab, mutationId: "4" })).toEqual(refused(500));
        expect(await engine.enqueue(tab)).toMatchObject({ status: "waiting" });
      });

      test("of a session that is gone still count in the next one", async () => {
        const { engine, attach } = setUp({ intents });
        for (const n of [0, 1, 2]) {
          const tab = await attach(`tab ${n}`, "ann");
          expect(await engine.enqueue(tab)).toMatchObject({ status: "waiting" });
          await engine.detach(tab.stream);
        }
        expect(await engine.enqueue(await attach("tab 3", "ann"))).toEqual(refused(500));
      });
    });

    describe("a suspension of an account", () => {
      const until = 2e12;

      test("puts out all its sessions at once, and keeps out new ones until it is lifted", async () => {
        const { engine, enter, attach, pair, statusOf, settled } = setUp();
        const paired = await enter("tab 1", "ann");
        const partner = await enter("partner", "bob");
        expect(await pair(paired, partner)).toBe(true);
        const waiting = await enter("tab 2", "ann");
        const away = await enter("tab 3", "ann");
        await engine.detach(away.stream);
        const namesake = await enter("ann");
        const put = settled(await engine.suspend({ kind: "account", id: "ann" }, until));
        expect(put.newlyWaiting).toEqual(["partner"]);
        for (const tab of [paired, waiting]) {
          expect(await statusOf(tab)).toBe("idle");
          expect(await engine.enqueue(tab)).toMatchObject({ reason: "suspended", until });
        }
        expect(await statusOf(await attach("tab 3", "ann"))).toBe("idle");
        expect(await engine.enqueue(await attach("tab 4", "ann"))).toMatchObject({
          reason: "suspended",
        });
        expect(await statusOf(namesake)).toBe("waiting");
        expect(settled(await engine.suspensions())).toMatchObject([
          { subject: { kind: "account", id: "ann" }, until, by: "operator" },
        ]);
        expect(await engine.lift({ kind: "account", id: "ann" })).toBe(true);
        expect(await engine.lift({ kind: "account", id: "ann" })).toBe(false);
        for (const tab of [paired, waiting])
          expect(await engine.enqueue(tab)).toMatchObject({ status: "waiting" });
      });
    });

    describe("reports", () => {
      /** One reports the other in a room of theirs that has lasted long enough. */
      async function report(
        { system, engine, pair, leave, settled }: World,
        reporter: Tab,
        reported: Tab,
        roomId = `${reporter.sessionId}+${reported.sessionId}`,
      ) {
        await engine.enqueue(reporter, defaultWishes);
        await engine.enqueue(reported, defaultWishes);
        expect(await pair(reporter, reported, roomId)).toBe(true);
        await system.advance(5000);
        const answer = settled(await engine.report(reporter, roomId));
        for (const tab of [reporter, reported]) await leave(tab);
        return answer;
      }
      const subjects = (suspended: readonly Suspension[]) =>
        suspended.map(({ subject }) => subject);

      test("against several sessions of one account add up, and suspend the account and the address", async () => {
        const world = setUp();
        const { engine, attach } = world;
        const answers = [];
        for (const n of [1, 2, 3])
          answers.push(
            await report(
              world,
              await attach(`reporter ${n}`, undefined, `network${n}`),
              await attach(`tab ${n}`, "ann"),
            ),
          );
        expect(answers.map(({ counted }) => counted)).toEqual([true, true, true]);
        expect(answers.slice(0, 2).flatMap(({ suspended }) => suspended)).toEqual([]);
        expect(answers[2]?.reported).toMatchObject({ sessionId: "tab 3", account: "ann" });
        expect(subjects(answers[2]?.suspended ?? [])).toEqual([
          { kind: "account", id: "ann" },
          { kind: "address", id: "tab-3~~~ address" },
        ]);
        expect(await engine.enqueue(await attach("tab 1", "ann"))).toMatchObject({
          reason: "suspended",
        });
        expect(await engine.enqueue(await attach("tab 4", "ann"))).toMatchObject({
          reason: "suspended",
        });
      });

      test("of one account are those of one person, from however many sessions and networks", async () => {
        const world = setUp();
        const { attach } = world;
        const bob = await attach("bob", undefined);
        const suspended: Suspension[] = [];
        for (const n of [1, 2, 3, 4]) {
          // As many networks as are remembered, so that this report has none in common with the one before.
          for (const m of [1, 2]) await attach(`tab ${n}${m}`, "ann", `netof-${n}${m}`);
          const tab = await attach(`tab ${n}`, "ann", `netof-${n}0`);
          suspended.push(...(await report(world, tab, bob)).suspended);
        }
        expect(suspended).toEqual([]);
        // Two other persons make three.
        for (const n of [5, 6])
          suspended.push(
            ...(await report(world, await attach(`tab ${n}`, `other ${n}`, `network${n}`), bob))
              .suspended,
          );
        expect(subjects(suspended)).toContainEqual({ kind: "session", id: "bob" });
      });

      test("of one account are one with those of others in networks where it was in other sessions", async () => {
        const world = setUp({ moderation: { ...engineOptions.moderation, sessionReporters: 2 } });
        const { attach } = world;
        const bob = await attach("bob", undefined);
        await attach("tab 1", "ann", "netof--1");
        const ann = await attach("tab 2", "ann", "netof--2");
        const neighbour = await attach("neighbour", "carol", "netof--1");
        expect((await report(world, ann, bob)).suspended).toEqual([]);
        expect((await report(world, neighbour, bob)).suspended).toEqual([]);
        const stranger = await attach("stranger", "dave", "netof--3");
        expect(subjects((await report(world, stranger, bob)).suspended)).toContainEqual({
          kind: "session",
          id: "bob",
        });
      });

      test("of one account are so many in an hour, over its sessions and networks", async () => {
        const world = setUp({ moderation: { ...engineOptions.moderation, votesPerHour: 2 } });
        const { attach } = world;
        const counted: boolean[] = [];
        for (const n of [1, 2, 3])
          counted.push(
            (
              await report(
                world,
                await attach(`tab ${n}`, "ann", `network${n}`),
                await attach(`bob ${n}`, undefined),
              )
            ).counted,
          );
        expect(counted).toEqual([true, true, false]);
      });

      test("of an account that turns against everybody it meets count no more, in no session", async () => {
        const world = setUp();
        const { engine, attach, enter, pair, leave, settled, system } = world;
        const counted: boolean[] = [];
        for (let n = 0; n < 5; n++) {
          const tab = await enter(`tab ${n}`, "ann");
          const other = await enter(`other ${n}`);
          expect(await pair(tab, other, `room ${n}`)).toBe(true);
          await system.advance(5000);
          counted.push(settled(await engine.report(tab, `room ${n}`)).counted);
          await engine.end(tab, { ending: "report", roomId: `room ${n}` });
          await leave(tab);
          await leave(other);
        }
        expect(counted).toEqual([true, true, true, false, false]);
        // Others are believed as before.
        const calm = await attach("tab", "carol");
        expect((await report(world, calm, await attach("other", undefined))).counted).toBe(true);
      });

      test("about a session that is forgotten by now suspend its account", async () => {
        const world = setUp({
          moderation: { ...engineOptions.moderation, sessionReporters: 1 },
        });
        const { system, engine, enter, pair, leave, settled } = world;
        const [ann, bob] = [await enter("tab", "ann"), await enter("bob", "bob")];
        expect(await pair(ann, bob, "room")).toBe(true);
        await system.advance(5000);
        await leave(bob);
        await engine.detach(bob.stream);
        await passTime(world, 3_600_000);
        const { suspended } = settled(await engine.report(ann, "room"));
        expect(subjects(suspended)).toContainEqual({ kind: "account", id: "bob" });
      });
    });

    test("a session is never attached with another account than its own", async () => {
      const { engine, attach, enter } = setUp();
      await enter("tab", "ann");
      await enter("nobody");
      for (const [sessionId, account] of [
        ["tab", "bob"],
        ["tab", undefined],
        ["nobody", "ann"],
      ] as const)
        expect(
          await (async () => attach(sessionId, account))().catch((error: Error) => error.message),
        ).toContain("another account");
      expect(await engine.stats()).toMatchObject({ online: 2, waiting: { video: 2 } });
    });
  });
}
