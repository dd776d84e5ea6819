/**
 * What every engine must keep, tried through its port alone. An engine's own test is a call of this.
 */
import { describe, expect, test } from "bun:test";
import type { LogEntry } from "../../src/domain/event-log.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import { defaultWishes, type Wishes } from "../../src/domain/ticket.ts";
import type { Caller, Engine, EngineOptions, Stream } from "../../src/engine/engine.ts";
import type { RoomEnd } from "../../src/domain/session.ts";
import type { Ended } from "../../src/domain/transitions.ts";
import { lifecycleTypes, type LifecycleEvent } from "../../src/domain/lifecycle.ts";
import { limits, type LoggedEvent } from "../../src/protocol.ts";
import type { OpenEngine } from "./world.ts";
import { describeAccounts } from "./account-contract.ts";
import { describeMeetings } from "./again-contract.ts";
import { describeLivingCalls } from "./living-contract.ts";
import { describeLobbies } from "./lobby-contract.ts";
import { describeSanctions } from "./sanction-contract.ts";
import { describeOperatorView } from "./operator-view-contract.ts";
import { describeShownFacts } from "./shown-facts-contract.ts";
import { describeStandby } from "./standby-contract.ts";
import { until } from "./until.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import { engineOptions } from "./engine-options.ts";

interface Attached extends Caller {
  stream: Stream;
  missed: LogEntry[];
  waiting: boolean;
}

export function describeEngine(name: string, open: OpenEngine) {
  function setUp(options: Partial<EngineOptions> = {}) {
    const system = createVirtualSystem();
    const alarms: number[] = [];
    const engine = open(system, {
      ...engineOptions,
      ...options,
    });
    engine.onDeadline((at) => void alarms.push(at));
    const ended: RoomEnd[] = [];
    engine.onEnded((end) => void ended.push(end));
    return { system, engine, alarms, ended, ...verbs(engine) };
  }

  function verbs(engine: Engine) {
    const generations = new Map<string, number>();
    async function attach(
      sessionId: string,
      position?: Stream["after"] | string,
      generation = generations.get(sessionId) ?? 0,
    ) {
      const epochAndOffset = typeof position === "string" ? position.split(":") : undefined;
      const attached = await engine.attach({
        sessionId,
        generation,
        addressHash: `address of ${sessionId}`,
        position: epochAndOffset && {
          epoch: epochAndOffset[0] ?? "",
          offset: Number(epochAndOffset[1]),
        },
        wake: () => {},
      });
      if (isRejection(attached)) throw new Error(attached.reason);
      const { stream, missed, newlyWaiting } = attached;
      generations.set(sessionId, stream.generation);
      return {
        sessionId,
        generation: stream.generation,
        stream,
        missed,
        waiting: newlyWaiting.includes(sessionId),
      };
    }
    async function enter(sessionId: string, wishes: Partial<Wishes> = {}) {
      const peer = await attach(sessionId);
      await engine.enqueue(peer, { ...defaultWishes, ...wishes });
      return peer;
    }
    /** Pairs two tickets as they are now. */
    async function pair(first: Caller, second: Caller, roomId = "room") {
      const one = await engine.matchOptions(first.sessionId);
      const two = await engine.matchOptions(second.sessionId);
      if (!one || !two) throw new Error("both must wait");
      return engine.pair({
        roomId,
        impolite: one.ticket,
        polite: two.ticket,
        relayOnly: false,
        sharedInterests: [],
      });
    }
    async function roomOfTwo() {
      const alice = await enter("alice");
      const bob = await enter("bob");
      expect(await pair(alice, bob)).toBe(true);
      return { alice, bob };
    }
    /** What its log has after an offset; all that it has if none is given. */
    async function entriesOf({ stream }: Attached, after?: number): Promise<LogEntry[]> {
      for (let from = after ?? 0; from < 1000; from++) {
        const entries = await engine.read(stream, from);
        if (Array.isArray(entries)) return entries;
        if (entries !== "overflow" || after !== undefined) break;
      }
      throw new Error("unreadable");
    }
    const events = async (peer: Attached, after?: number) =>
      (await entriesOf(peer, after)).map(({ json }): LoggedEvent => JSON.parse(json));
    const types = async (peer: Attached, after?: number) =>
      (await events(peer, after)).map(({ type }) => type);
    const candidatesOf = async (sessionId: string) =>
      (await engine.matchOptions(sessionId))?.eligible.map((ticket) => ticket.sessionId);
    async function stats() {
      const now = await engine.stats();
      if (isRejection(now)) throw new Error(now.reason);
      return now;
    }
    return { attach, enter, pair, roomOfTwo, entriesOf, events, types, candidatesOf, stats };
  }

  const offer = (roomId: string, sdp = "v=0") => JSON.stringify({ type: "offer", roomId, sdp });

  describe(`the contract of engines: ${name}`, () => {
    describe("tickets", () => {
      test("are offered to each other oldest first, within their mode only", async () => {
        const { system, enter, candidatesOf } = setUp();
        for (const peer of ["ann", "bob", "cem"]) {
          await enter(peer);
          await system.advance(1000);
        }
        await enter("dan", { mode: "text" });
        expect(await candidatesOf("cem")).toEqual(["ann", "bob"]);
        expect(await candidatesOf("dan")).toEqual([]);
      });

      test("are bounded in what is offered, however many wait", async () => {
        const { enter, candidatesOf } = setUp();
        for (let n = 0; n < 200; n++) await enter(`peer ${n}`);
        const offered = (await candidatesOf("peer 199")) ?? [];
        expect(offered.length).toBeGreaterThan(0);
        expect(offered.length).toBeLessThan(50);
      });

      test("read on past those who avoid each other until one fits", async () => {
        const { engine, enter, pair, candidatesOf } = setUp();
        await enter("alice");
        for (let n = 0; n < 40; n++) {
          const other = await enter(`other ${n}`);
          expect(await pair({ sessionId: "alice", generation: 1 }, other, `room ${n}`)).toBe(true);
          await engine.end({ sessionId: "alice", generation: 1 }, { ending: "skip" });
        }
        await enter("new one");
        expect(await candidatesOf("alice")).toEqual(["new one"]);
      });

      test("with interests are offered only by them, until they relax step by step", async () => {
        const { system, engine, enter, candidatesOf } = setUp();
        await enter("alice", { interests: ["jazz"], languages: ["en"] });
        await enter("bob", { interests: ["jazz", "chess"] });
        await enter("carol", { interests: ["go"], languages: ["en"] });
        await enter("dave");
        expect(await candidatesOf("alice")).toEqual(["bob"]);
        expect(await candidatesOf("dave")).toEqual([]);
        await system.advance(5000);
        expect((await engine.sweep()).newlyWaiting.sort()).toEqual(["alice", "carol"]);
        expect((await candidatesOf("alice"))?.sort()).toEqual(["bob", "carol"]);
        await system.advance(5000);
        expect((await engine.sweep()).newlyWaiting.sort()).toEqual(["alice", "bob", "carol"]);
        expect((await candidatesOf("dave"))?.sort()).toEqual(["alice", "bob", "carol"]);
      });

      test("are not offered while their owner is away, and are again when it is back", async () => {
        const { engine, attach, enter, candidatesOf } = setUp();
        const alice = await enter("alice");
        await enter("bob");
        await engine.detach(alice.stream);
        expect(await candidatesOf("bob")).toEqual([]);
        expect(await candidatesOf("alice")).toBeUndefined();
        const back = await attach("alice", `${alice.stream.epoch}:1`);
        expect(back.waiting).toBe(true);
        expect(await candidatesOf("bob")).toEqual(["alice"]);
      });

      test("leave with `leave`, and nobody else's goes with them", async () => {
        const { engine, enter, candidatesOf } = setUp();
        const alice = await enter("alice");
        await enter("bob");
        await enter("carol");
        expect(await engine.end(alice, { ending: "leave" })).toMatchObject({ status: "idle" });
        expect(await candidatesOf("carol")).toEqual(["bob"]);
        expect(await candidatesOf("alice")).toBeUndefined();
      });
    });

    describe("pair", () => {
      test("makes one room of two tickets and tells each its role", async () => {
        const { engine, roomOfTwo, types } = setUp();
        const { alice, bob } = await roomOfTwo();
        expect(await types(alice)).toEqual(["session", "lobby", "create-offer"]);
        expect(await types(bob)).toEqual(["session", "lobby", "wait-for-offer"]);
        expect(await engine.status(alice)).toEqual({ status: "paired", roomId: "room" });
        expect(await engine.stats()).toMatchObject({ waiting: { video: 0 }, rooms: { video: 1 } });
      });

      const spoilers: [string, (engine: Engine, bob: Attached, carol: Attached) => unknown][] = [
        ["left", (engine, bob) => engine.end(bob, { ending: "leave" })],
        ["went away", (engine, bob) => engine.detach(bob.stream)],
        [
          "changed its wishes",
          (engine, bob) => engine.enqueue(bob, { ...defaultWishes, interests: ["chess"] }),
        ],
      ];
      for (const [what, spoil] of spoilers) {
        test(`does nothing when one of them ${what} since it was seen`, async () => {
          const { engine, enter, types } = setUp();
          const alice = await enter("alice");
          const bob = await enter("bob");
          const carol = await enter("carol");
          const seen = await engine.matchOptions("alice");
          const ticket = seen?.eligible.find(({ sessionId }) => sessionId === "bob");
          if (!seen || !ticket) throw new Error("bob must be on offer");
          await spoil(engine, bob, carol);
          const request = { roomId: "room", relayOnly: false, sharedInterests: [] };
          expect(await engine.pair({ ...request, impolite: seen.ticket, polite: ticket })).toBe(
            false,
          );
          expect(await types(alice)).toEqual(["session", "lobby"]);
          expect(await engine.status(alice)).toEqual({ status: "waiting" });
        });
      }

      test("never pairs a ticket with itself, or two who avoid each other", async () => {
        const { engine, enter, pair, roomOfTwo } = setUp();
        const carol = await enter("carol");
        const { ticket } = (await engine.matchOptions("carol")) ?? {};
        if (!ticket) throw new Error("carol waits");
        const request = { relayOnly: false, sharedInterests: [] };
        expect(
          await engine.pair({ ...request, roomId: "self", impolite: ticket, polite: ticket }),
        ).toBe(false);
        await engine.end(carol, { ending: "leave" });
        const { alice, bob } = await roomOfTwo();
        await engine.end(alice, { ending: "skip" });
        expect(await pair(alice, bob, "again")).toBe(false);
      });

      test("lets only one of two who want the same ticket have it", async () => {
        const { engine, enter } = setUp();
        await enter("alice");
        await enter("bob");
        await enter("carol");
        const ofBob = await engine.matchOptions("bob");
        const ofCarol = await engine.matchOptions("carol");
        const alice = ofBob?.eligible.find(({ sessionId }) => sessionId === "alice");
        if (!ofBob || !ofCarol || !alice) throw new Error("alice must be on offer");
        const request = { relayOnly: false, sharedInterests: [], polite: alice };
        const won = await Promise.all([
          engine.pair({ ...request, roomId: "1", impolite: ofBob.ticket }),
          engine.pair({ ...request, roomId: "2", impolite: ofCarol.ticket }),
        ]);
        expect(won.filter(Boolean)).toHaveLength(1);
      });
    });

    describe("signals", () => {
      test("reach the other member in the order they were sent", async () => {
        const { engine, roomOfTwo, events } = setUp();
        const { alice, bob } = await roomOfTwo();
        await Promise.all(
          Array.from({ length: 100 }, (_, n) => engine.send(alice, "room", offer("room", `${n}`))),
        );
        const offers = (await events(bob)).filter((event) => event.type === "offer");
        expect(offers).toHaveLength(100);
        expect((await events(alice)).filter((event) => event.type === "offer")).toEqual([]);
      });

      test("into an ended room are not delivered; into any other they are refused", async () => {
        const { engine, enter, roomOfTwo } = setUp();
        const { alice } = await roomOfTwo();
        const carol = await enter("carol");
        await engine.end(alice, { ending: "leave" });
        expect(await engine.send(alice, "room", offer("room"))).toBe(false);
        for (const roomId of ["room", "unknown"])
          expect(await engine.send(carol, roomId, offer(roomId))).toMatchObject({
            reason: "not-in-room",
          });
      });
    });

    describe("rooms", () => {
      test("end once, whoever and however many end them", async () => {
        const { engine, ended, roomOfTwo, types, stats } = setUp();
        const { alice, bob } = await roomOfTwo();
        await Promise.all([
          engine.end(alice, { ending: "skip", roomId: "room" }),
          engine.end(bob, { ending: "leave", roomId: "room" }),
          engine.end(alice, { ending: "failed", roomId: "room" }),
        ]);
        expect(ended).toMatchObject([{ roomId: "room" }]);
        const told = [...(await types(alice)), ...(await types(bob))];
        expect(told.filter((type) => type === "partner-disconnected")).toHaveLength(1);
        expect((await stats()).rooms.video).toBe(0);
      });

      test("ended through another keep the place; ended by oneself they give it up", async () => {
        const { system, engine, roomOfTwo } = setUp();
        const startedAt = system.now();
        const { alice } = await roomOfTwo();
        await system.advance(60_000);
        await engine.end(alice, { ending: "skip" });
        expect((await engine.matchOptions("alice"))?.ticket.queuedSince).toBe(startedAt + 60_000);
        expect((await engine.matchOptions("bob"))?.ticket.queuedSince).toBe(startedAt);
      });

      test("are avoided by one session only up to its cap, the newest of them", async () => {
        const { engine, enter, pair, candidatesOf } = setUp({ avoidsMax: 20 });
        const alice = await enter("alice");
        for (let n = 0; n < 100; n++) {
          const other = await enter(`other ${n}`);
          expect(await pair(alice, other, `room ${n}`)).toBe(true);
          await engine.end(alice, { ending: "skip" });
          await engine.end(other, { ending: "leave" });
        }
        await enter("other 79");
        expect(await candidatesOf("alice")).toEqual(["other 79"]);
        for (let n = 80; n < 100; n++) await enter(`other ${n}`);
        expect(await candidatesOf("alice")).toEqual(["other 79"]);
      });

      /** So long that every session without a connection is forgotten that need not be kept. */
      async function passTime({ system, engine }: ReturnType<typeof setUp>, ms = 3_600_000) {
        // Each sweep may set a later deadline for a session.
        for (let sweeps = 0; sweeps < 3; sweeps++) {
          await system.advance(ms / 3);
          await engine.sweep();
        }
      }

      test("A2 stay blocked though the blocked one is already forgotten, whose token lives", async () => {
        const world = setUp();
        const { engine, attach, enter, roomOfTwo, candidatesOf } = world;
        const { alice, bob } = await roomOfTwo();
        await engine.end(bob, { ending: "leave" });
        await engine.detach(bob.stream);
        await passTime(world);
        // Bob is forgotten by now; Alice remembers the room.
        expect(await engine.avoid(alice, "room")).toEqual({ partnerId: "bob" });
        await passTime(world);
        await attach("bob");
        await engine.enqueue({ sessionId: "bob", generation: 99 }, defaultWishes);
        expect(await candidatesOf("alice")).toEqual([]);
        await enter("carol");
        expect(await candidatesOf("alice")).toEqual(["carol"]);
      });

      test.each(["alice", "bob", "both"] as const)(
        "A2 stay blocked though %s was away for nearly as long as a token lives",
        async (away) => {
          const world = setUp();
          const { engine, enter, attach, roomOfTwo, candidatesOf } = world;
          const { alice, bob } = await roomOfTwo();
          await engine.avoid(alice, "room");
          await engine.end(alice, { ending: "block" });
          const gone = [alice, bob].filter(
            ({ sessionId }) => away === "both" || away === sessionId,
          );
          for (const { stream } of gone) await engine.detach(stream);
          await passTime(world);
          await passTime(world, 6.9 * 86_400_000);
          for (const { sessionId } of gone) await attach(sessionId);
          for (const peer of ["alice", "bob"])
            await engine.enqueue({ sessionId: peer, generation: 99 }, defaultWishes);
          expect(await candidatesOf("alice")).toEqual([]);
          expect(await candidatesOf("bob")).toEqual([]);
          await enter("carol");
          expect(await candidatesOf("alice")).toEqual(["carol"]);
        },
      );

      test("A7 blocking or reporting in a row costs what skipping costs, and keeps no place", async () => {
        const { system, engine, enter, pair, types } = setUp({
          skipping: { burst: 4, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 },
        });
        const bot = await enter("bot");
        const startedAt = system.now();
        const places: (number | undefined)[] = [];
        for (let n = 0; n < 6; n++) {
          await system.advance(100);
          const other = await enter(`other ${n}`);
          expect(await pair(bot, other, `room ${n}`)).toBe(true);
          const ending = n % 2 === 0 ? "block" : "report";
          // Never refused: nobody has to stay with a stranger.
          expect(isRejection(await engine.end(bot, { ending, roomId: `room ${n}` }))).toBe(false);
          expect(await engine.status(other)).toMatchObject({ status: "waiting" });
          places.push((await engine.matchOptions("bot"))?.ticket.queuedSince);
          await engine.end(other, { ending: "leave" });
          if (places.at(-1) === undefined) break;
        }
        // The first two keep the place, the next two go to the back, and then there is a wait before the next.
        expect(places).toEqual([startedAt, startedAt, startedAt + 300, startedAt + 400, undefined]);
        expect((await types(bot)).at(-1)).toBe("resync");
        expect(await engine.enqueue(bot)).toMatchObject({
          reason: "rate-limited",
          retryAfterMs: 1000,
        });
        await system.advance(1000);
        expect(await engine.enqueue(bot)).toMatchObject({ status: "waiting" });
      });

      test("D10 are told once when they end, with how, in whatever way", async () => {
        const world = setUp({ graceMs: 5000 });
        const { system, engine, ended, enter, pair } = world;
        const alice = await enter("alice");
        const ways = {
          skip: () => engine.end(alice, { ending: "skip" }),
          leave: () => engine.end(alice, { ending: "leave" }),
          failed: () => engine.end(alice, { ending: "failed", roomId: "failed" }),
          report: () => engine.end(alice, { ending: "report", roomId: "report" }),
          block: () => engine.end(alice, { ending: "block", roomId: "block" }),
          "removed by id": () =>
            engine.suspend({ kind: "session", id: "peer of removed by id" }, 2e12),
          "removed by address": () =>
            engine.suspend({ kind: "address", id: "address of peer of removed by address" }, 2e12),
          lost: async () => {
            await system.advance(5000);
            await engine.sweep();
          },
        };
        for (const [name, act] of Object.entries(ways)) {
          await engine.enqueue(alice);
          const other = await enter(`peer of ${name}`);
          expect(await pair(alice, other, name)).toBe(true);
          await system.advance(20);
          if (name === "lost") await engine.detach(other.stream);
          await act();
          await engine.end(other, { ending: "leave" });
        }
        expect(ended.map(({ roomId, reason, ending }) => [roomId, reason, ending])).toEqual([
          ["skip", "skipped", "skip"],
          ["leave", "left", "leave"],
          ["failed", "connect-failed", "failed"],
          ["report", "left", "report"],
          ["block", "left", "block"],
          ["removed by id", "removed", "removed"],
          ["removed by address", "removed", "removed"],
          ["lost", "lost", "lost"],
        ]);
        expect(ended.every(({ lastedMs }) => lastedMs >= 20)).toBe(true);
      });

      test("cost a skipper time past the burst, and whoever it skips nothing", async () => {
        const { system, engine, enter, pair } = setUp({
          skipping: { burst: 2, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 },
        });
        const alice = await enter("alice");
        const skips: unknown[] = [];
        for (let n = 0; n < 4; n++) {
          const other = await enter(`other ${n}`);
          await pair(alice, other, `room ${n}`);
          skips.push(await engine.end(alice, { ending: "skip" }));
          await engine.end(other, { ending: "leave" });
          expect(await engine.enqueue(other)).toMatchObject({ status: "waiting" });
          await engine.end(other, { ending: "leave" });
        }
        expect(skips.slice(0, 3).every((answer) => !isRejection(answer))).toBe(true);
        expect(skips[3]).toMatchObject({ reason: "rate-limited", retryAfterMs: 1000 });
        // Leaving is free, but no way around.
        expect(await engine.end(alice, { ending: "leave" })).toMatchObject({ status: "idle" });
        expect(await engine.enqueue(alice)).toMatchObject({ reason: "rate-limited" });
        await system.advance(60_000);
        expect(await engine.enqueue(alice)).toMatchObject({ status: "waiting" });
      });

      test("are avoided for as long as the session lives once blocked", async () => {
        const { system, engine, roomOfTwo, candidatesOf } = setUp();
        const { alice } = await roomOfTwo();
        expect(await engine.avoid(alice, "room")).toEqual({ partnerId: "bob" });
        await engine.end(alice, { ending: "block" });
        await system.advance(3_600_000);
        await engine.sweep();
        expect(await candidatesOf("bob")).toEqual([]);
        expect(await engine.avoid(alice, "unknown")).toMatchObject({ reason: "not-in-room" });
      });
    });

    describe("deadlines", () => {
      test("ring the alarm before they are due, and are claimed once", async () => {
        const { system, engine, alarms, roomOfTwo, types } = setUp();
        const { alice, bob } = await roomOfTwo();
        await engine.detach(alice.stream);
        expect(Math.min(...alarms)).toBe(system.now() + 15_000);
        await system.advance(14_999);
        expect((await engine.sweep()).newlyWaiting).toEqual([]);
        await system.advance(1);
        const sweeps = await Promise.all([engine.sweep(), engine.sweep()]);
        expect(sweeps.flatMap(({ newlyWaiting }) => newlyWaiting)).toEqual(["bob"]);
        expect((await types(bob)).slice(-2)).toEqual(["partner-disconnected", "lobby"]);
      });

      test("of a cooldown make two who wait for nobody else look again", async () => {
        const { system, engine, roomOfTwo, candidatesOf } = setUp();
        const { alice } = await roomOfTwo();
        await engine.end(alice, { ending: "skip" });
        expect(await candidatesOf("bob")).toEqual([]);
        await system.advance(300_000);
        expect((await engine.sweep()).newlyWaiting).toEqual(["alice"]);
        expect(await candidatesOf("alice")).toEqual(["bob"]);
      });

      test("leave nothing behind of a session that never comes back", async () => {
        const { system, engine, enter } = setUp();
        const alice = await enter("alice");
        await engine.detach(alice.stream);
        await system.advance(15_000);
        await engine.sweep();
        expect(await engine.stats()).toMatchObject({ online: 0, waiting: { video: 0 } });
        await system.advance(3_600_000);
        await engine.sweep();
        expect(await engine.status(alice)).toEqual({ status: "idle" });
        expect((await engine.sweep()).nextAt).toBeUndefined();
      });
    });

    describe("A5 a wall clock that is set forward or back", () => {
      const steps = [-3_600_000, -60_000, 60_000, 86_400_000];

      test.each(steps)("A5 by %d ms ends no grace early or late", async (step) => {
        const { system, engine, ended, roomOfTwo, events } = setUp({ graceMs: 15_000 });
        const { alice, bob } = await roomOfTwo();
        await engine.detach(bob.stream);
        await system.advance(7000);
        system.stepWallClock(step);
        await system.advance(7900);
        await engine.sweep();
        expect(ended).toEqual([]);
        await system.advance(200);
        await engine.sweep();
        expect(ended).toMatchObject([{ reason: "lost", lastedMs: 15_100 }]);
        expect((await events(alice)).map(({ type }) => type)).toContain("partner-disconnected");
      });

      test.each(steps)("A5 by %d ms ends no cooldown and no waiting for a skip", async (step) => {
        const { system, engine, roomOfTwo, enter, pair, candidatesOf } = setUp({
          skipCooldownMs: 60_000,
          skipping: { burst: 1, forgetMs: 30_000, delayMs: 10_000, delayMsMax: 10_000 },
        });
        const { alice } = await roomOfTwo();
        await engine.end(alice, { ending: "skip" });
        const carol = await enter("carol");
        await pair(alice, carol, "another");
        await engine.end(alice, { ending: "skip" });
        await engine.end(alice, { ending: "leave" });
        system.stepWallClock(step);
        await system.advance(9000);
        expect(await engine.enqueue(alice)).toMatchObject({ reason: "rate-limited" });
        await system.advance(1000);
        await engine.sweep();
        expect(await engine.enqueue(alice)).toMatchObject({ status: "waiting" });
        expect(await candidatesOf("alice")).toEqual([]);
        await system.advance(50_001);
        await engine.sweep();
        expect((await candidatesOf("alice"))?.sort()).toEqual(["bob", "carol"]);
      });

      test.each(steps)("A5 by %d ms keeps and forgets answers in their time", async (step) => {
        const { system, engine, enter } = setUp();
        const alice = { ...(await enter("alice")), mutationId: "one" };
        await engine.end(alice, { ending: "leave" });
        await engine.enqueue({ ...alice, mutationId: undefined });
        system.stepWallClock(step);
        await system.advance(119_000);
        await engine.end(alice, { ending: "leave" });
        expect(await engine.status(alice)).toMatchObject({ status: "waiting" });
        await system.advance(2000);
        await engine.end(alice, { ending: "leave" });
        expect(await engine.status(alice)).toMatchObject({ status: "idle" });
      });
    });

    describe("A3 a report counts", () => {
      async function reportedIn(
        before: (world: ReturnType<typeof setUp> & { alice: Caller; bob: Caller }) => unknown,
      ) {
        const world = setUp();
        const { alice, bob } = await world.roomOfTwo();
        await before({ ...world, alice, bob });
        const reported = await world.engine.report(alice, "room");
        if (isRejection(reported)) throw new Error(reported.reason);
        return reported;
      }

      test.each([
        ["at once", false, () => {}],
        ["after 4.9 s", false, ({ system }) => system.advance(4900)],
        ["after 5 s", true, ({ system }) => system.advance(5000)],
        [
          "when the reporter said connected",
          false,
          ({ engine, alice }) => engine.confirm(alice, "room"),
        ],
        [
          "when the other one said connected",
          false,
          ({ engine, bob }) => engine.confirm(bob, "room"),
        ],
        [
          "when both said connected",
          true,
          async ({ engine, alice, bob }) => {
            await engine.confirm(alice, "room");
            await engine.confirm(bob, "room");
          },
        ],
        [
          "afterwards, of a room that lasted",
          true,
          async ({ engine, system, bob }) => {
            await system.advance(5000);
            await engine.end(bob, { ending: "leave" });
          },
        ],
        [
          "afterwards, of a room that did not last",
          false,
          async ({ engine, system, bob }) => {
            await engine.end(bob, { ending: "leave" });
            await system.advance(5000);
          },
        ],
      ] satisfies [string, boolean, Parameters<typeof reportedIn>[0]][])(
        "A3 %s: %p",
        async (_, counted, before) => {
          expect(await reportedIn(before)).toMatchObject({ first: true, counted, suspended: [] });
        },
      );

      test("A3 never by one who turns against everybody it meets", async () => {
        const { system, engine, enter, pair } = setUp();
        const alice = await enter("alice");
        const counted: boolean[] = [];
        for (let n = 0; n < 8; n++) {
          const other = await enter(`other ${n}`);
          await pair(alice, other, `room ${n}`);
          await system.advance(5000);
          // By the third one and later, one in two is only left.
          if (n <= 3 || n === 7) {
            const reported = await engine.report(alice, `room ${n}`);
            if (isRejection(reported)) throw new Error(reported.reason);
            counted.push(reported.counted);
            await engine.end(alice, { ending: "report", roomId: `room ${n}` });
          } else await engine.end(alice, { ending: "leave" });
          await engine.end(other, { ending: "leave" });
          await engine.enqueue(alice);
        }
        // Three are believed, the fourth is not; after others that were only left, the next one is.
        expect(counted).toEqual([true, true, true, false, true]);
      });
    });

    describe("recovery", () => {
      /** A session that was told `count` signals after its room began, and has no stream any more. */
      async function away(count: number) {
        const world = setUp({ graceMs: 60_000 });
        const { alice, bob } = await world.roomOfTwo();
        const base = (await world.events(bob)).length;
        await world.engine.detach(bob.stream);
        for (let n = 0; n < count; n++)
          await world.engine.send(alice, "room", offer("room", `${n}`));
        const at = (offset: number) => `${bob.stream.epoch}:${offset}`;
        const last = base + count;
        const comeBack = async (position: string) => {
          const back = await world.attach("bob", position, bob.generation);
          const missed = back.missed.map(({ json }): LoggedEvent => JSON.parse(json));
          const events = [...missed, ...(await world.events(back, back.stream.after))];
          return { back, events, types: events.map(({ type }) => type) };
        };
        return { ...world, alice, bob, base, last, at, comeBack };
      }
      const sdps = (events: LoggedEvent[]) =>
        events.flatMap((event) => (event.type === "offer" ? [event.sdp] : []));

      test("nothing missed: only the session event", async () => {
        const { at, base, comeBack } = await away(0);
        const { events, types } = await comeBack(at(base));
        expect(types).toEqual(["session"]);
        expect(events[0]).toMatchObject({ resumed: true, state: { status: "paired" } });
      });

      test("some missed: exactly those, in order, then the session event", async () => {
        const { at, base, comeBack } = await away(5);
        const { events } = await comeBack(at(base + 2));
        expect(sdps(events)).toEqual(["2", "3", "4"]);
        expect(events.at(-1)).toMatchObject({ type: "session", resumed: true });
      });

      test("exactly the log's length missed: all of them", async () => {
        const { at, base, last, comeBack } = await away(limits.logEventsMax);
        expect(last - base).toBe(limits.logEventsMax);
        const { events } = await comeBack(at(base));
        expect(sdps(events)).toEqual(Array.from({ length: limits.logEventsMax }, (_, n) => `${n}`));
        expect(events.at(-1)).toMatchObject({ type: "session", resumed: true });
      });

      test("one more than the log: resync, never a part of them", async () => {
        const { at, base, comeBack } = await away(limits.logEventsMax + 1);
        const { events, types } = await comeBack(at(base));
        expect(types).toEqual(["session", "resync"]);
        expect(events[0]).toMatchObject({ resumed: false });
        expect(events[1]).toMatchObject({ state: { status: "paired", roomId: "room" } });
      });

      test("more bytes than the log holds: resync", async () => {
        const { engine, alice, at, base, comeBack } = await away(0);
        const sdp = "x".repeat(limits.sdpBytesMax);
        const count = limits.logBytesMax / limits.sdpBytesMax + 1;
        for (let n = 0; n < count; n++) await engine.send(alice, "room", offer("room", sdp));
        expect((await comeBack(at(base))).types).toEqual(["session", "resync"]);
      });

      /** Two who meet three times; he has read nothing since the first room began. Where each room began for him, and the last event. */
      async function threeRooms() {
        const world = setUp({ skipCooldownMs: 0 });
        const { engine, enter, pair, attach, entriesOf } = world;
        const alice = await enter("alice");
        const bob = await enter("bob");
        const begun: number[] = [];
        const meet = async (roomId: string) => {
          expect(await pair(alice, bob, roomId)).toBe(true);
          begun.push((await entriesOf(bob)).at(-1)?.offset ?? 0);
          for (let n = 0; n < 5; n++) await engine.send(alice, roomId, offer(roomId, `${n}`));
        };
        const at = (offset: number) => `${bob.stream.epoch}:${offset}`;
        const comeBack = async (offset: number) => {
          const { missed, stream } = await attach("bob", at(offset), bob.generation);
          const [session] = (await engine.read(stream, stream.after)) as LogEntry[];
          const { resumed } = JSON.parse(session?.json ?? "{}");
          return { resumed, offsets: missed.map((entry) => entry.offset), after: stream.after };
        };
        return { ...world, alice, bob, begun, meet, comeBack };
      }
      const upTo = (from: number, last: number) =>
        Array.from({ length: last - from }, (_, n) => from + n + 1);

      test("the end of a room and the next room missed: all of it", async () => {
        const { engine, alice, begun, meet, comeBack } = await threeRooms();
        for (const roomId of ["first", "second"]) {
          await meet(roomId);
          if (roomId === "first") await engine.end(alice, { ending: "skip" });
        }
        const [first = 0] = begun;
        const { resumed, offsets, after } = await comeBack(first);
        expect(resumed).toBe(true);
        expect(offsets).toEqual(upTo(first, after));
        // Five signals of each room, the end of the first, the lobby, and how the second began.
        expect(offsets).toHaveLength(5 + 2 + 1 + 5);
      });

      test("more than two rooms missed: resync, never a part of them; and the last two are there, whole", async () => {
        const { engine, alice, bob, begun, meet, comeBack } = await threeRooms();
        for (const roomId of ["first", "second", "third"]) {
          await meet(roomId);
          if (roomId !== "third") await engine.end(alice, { ending: "skip" });
        }
        const [first = 0, second = 0] = begun;
        expect(await engine.read(bob.stream, first)).toBe("overflow");
        expect(await engine.read(bob.stream, second - 2)).toBe("overflow");
        expect(await engine.read(bob.stream, second - 1)).toHaveLength(1 + 5 + 2 + 1 + 5);
        for (const position of [0, first, first + 5, second - 2])
          expect(await comeBack(position)).toMatchObject({ resumed: false, offsets: [] });
        for (const position of [second - 1, second, second + 7]) {
          const { resumed, offsets, after } = await comeBack(position);
          expect(resumed).toBe(true);
          expect(offsets).toEqual(upTo(position, after));
        }
      });

      test("in the lobby the log has the last room, however it ended and whoever joins again", async () => {
        const { engine, alice, bob, begun, meet, comeBack } = await threeRooms();
        await meet("first");
        await engine.end(alice, { ending: "leave" });
        await engine.enqueue(alice);
        await meet("second");
        await engine.end(bob, { ending: "leave" });
        const [first = 0, second = 0] = begun;
        // He has left, and was told of nothing since.
        expect(await comeBack(first)).toMatchObject({ resumed: true });
        for (let n = 0; n < 3; n++) {
          await engine.enqueue(bob);
          expect(await comeBack(second - 2)).toMatchObject({ resumed: false });
          const { resumed, offsets, after } = await comeBack(second - 1);
          expect(resumed).toBe(true);
          expect(offsets).toEqual(upTo(second - 1, after));
          await engine.end(bob, { ending: "leave" });
        }
      });

      test("a log that began anew is whole again, whatever its session had before", async () => {
        const { system, engine, alice, bob, meet, attach, pair } = await threeRooms();
        for (const roomId of ["first", "second"]) {
          await meet(roomId);
          await engine.end(alice, { ending: "skip" });
        }
        await engine.detach(bob.stream);
        await system.advance(engineOptions.graceMs);
        await engine.sweep();
        const back = await attach("bob", undefined, bob.generation);
        const position = `${back.stream.epoch}:${back.stream.after}`;
        await engine.enqueue(back);
        expect(await pair(alice, back, "third")).toBe(true);
        expect(await engine.send(alice, "third", offer("third"))).toBe(true);
        const { missed } = await attach("bob", position, back.generation);
        expect(missed.map(({ json }) => JSON.parse(json).type)).toEqual([
          "session",
          "lobby",
          "wait-for-offer",
          "offer",
        ]);
      });

      test("a position from the future: resync", async () => {
        const { at, last, comeBack } = await away(3);
        expect((await comeBack(at(last + 1))).types).toEqual(["session", "resync"]);
      });

      test("the living epoch, but an older generation: the tab that lost the session has lost it still", async () => {
        const { engine, attach, at, base, bob, stats } = await away(1);
        await attach("bob");
        const answer = await engine.attach({
          sessionId: "bob",
          generation: bob.generation,
          addressHash: "",
          position: { epoch: bob.stream.epoch, offset: base },
          wake: () => {},
        });
        expect(answer).toMatchObject({ reason: "taken-over" });
        expect(at(base)).toStartWith(bob.stream.epoch);
        expect((await stats()).online).toBe(2);
      });

      test("another epoch, or another session's position: resync, and the old streams end", async () => {
        const { engine, alice, bob, comeBack } = await away(3);
        const { types, back } = await comeBack(`${alice.stream.epoch}:1`);
        expect(types).toEqual(["session", "resync"]);
        expect(back.generation).toBe(bob.generation + 1);
        expect(await engine.send(bob, "room", offer("room"))).toMatchObject({
          reason: "taken-over",
        });
      });

      test("no position at all: a new stream with the state, nothing replayed", async () => {
        const { attach, events } = await away(3);
        const back = await attach("bob");
        expect(await events(back, back.stream.after)).toMatchObject([
          { type: "session", resumed: false, state: { status: "paired" } },
        ]);
      });

      test("an empty log of a session nobody knows: resync, idle", async () => {
        const { attach, events } = setUp();
        const back = await attach("nobody", "elsewhere:7", 3);
        expect(await events(back, back.stream.after)).toMatchObject([
          { type: "session", resumed: false, state: { status: "idle" } },
          { type: "resync", state: { status: "idle" } },
        ]);
        expect(back.generation).toBe(4);
      });

      test("a log that ended with the grace: resync, idle", async () => {
        const { system, engine, at, last, comeBack } = await away(3);
        await system.advance(60_000);
        await engine.sweep();
        const { events, types } = await comeBack(at(last));
        expect(types).toEqual(["session", "resync"]);
        expect(events[1]).toMatchObject({ state: { status: "idle" } });
      });
    });

    test("how far a room had come that failed, and where one has connected, is news for the first answer alone", async () => {
      const { engine, enter, pair } = setUp();
      const wishes = { lobby: "berlin" };
      for (const roomId of ["connecting", "connected"] as const) {
        const ann = await enter(`ann ${roomId}`, wishes);
        const bob = await enter(`bob ${roomId}`, wishes);
        expect(await pair(ann, bob, roomId)).toBe(true);
        if (roomId === "connected")
          for (const expected of [
            {
              connectedIn: "berlin",
              connectedAfterMs: 0,
              confirmed: { partnerId: bob.sessionId, both: false, afterMs: 0 },
            },
            {},
          ])
            expect(await engine.confirm({ ...ann, mutationId: "confirm" }, roomId)).toEqual({
              status: "paired",
              ...expected,
            });
        const failing = { ...ann, mutationId: `fail ${roomId}` };
        for (const expected of [roomId, undefined]) {
          const ended = await engine.end(failing, { ending: "failed", roomId });
          expect(ended).toHaveProperty("known", true);
          expect((ended as Ended).failedWhile).toBe(expected);
        }
        expect(await engine.end(bob, { ending: "failed", roomId })).not.toHaveProperty(
          "failedWhile",
        );
        for (const peer of [ann, bob]) await engine.end(peer, { ending: "leave" });
      }
    });

    test("the same mutation again is answered as the first time, whatever has happened since", async () => {
      const { engine, ended, enter, roomOfTwo } = setUp();
      const { alice, bob } = await roomOfTwo();
      const as = (caller: Caller, mutationId: string) => ({ ...caller, mutationId });
      const tries = [
        () => engine.send(as(bob, "offer"), "room", offer("room")),
        () => engine.confirm(as(bob, "connected"), "room"),
        () => engine.avoid(as(bob, "avoid"), "room"),
        () => engine.end(as(bob, "skip"), { ending: "skip", roomId: "room" }),
      ];
      const first: unknown[] = [];
      for (const act of tries) first.push(await act());
      await engine.detach(bob.stream);
      for (let n = 0; n < 20; n++) await enter(`somebody ${n}`);
      const again: unknown[] = [];
      for (const act of tries) again.push(await act());
      // How long it took to connect is news for the first answer alone.
      const told = (answer: unknown) => {
        if (typeof answer !== "object") return answer;
        return Object.fromEntries(
          Object.entries({ ...answer }).filter(
            ([name]) => name !== "connectedAfterMs" && name !== "confirmed",
          ),
        );
      };
      expect(again).toEqual(first.map(told));
      expect(ended).toHaveLength(1);
      expect(await engine.status(alice)).toEqual({ status: "waiting" });
    });

    test("the messages of a room are known to each member, also those that were sent under the id of a mutation", async () => {
      const { engine, roomOfTwo } = setUp();
      const { alice, bob } = await roomOfTwo();
      const said = (text: string, at: number) =>
        JSON.stringify({ type: "message", roomId: "room", text, at });
      await engine.send({ ...alice, mutationId: "one" }, "room", said("Hello", 1));
      await engine.send({ ...bob, mutationId: "one" }, "room", said("Hello, Alice", 2));
      await engine.send(bob, "room", said("Without an id", 3));
      const fromAlice = [{ text: "Hello", at: 1 }];
      const fromBob = [
        { text: "Hello, Alice", at: 2 },
        { text: "Without an id", at: 3 },
      ];
      const known = { received: fromBob, sent: fromAlice };
      expect(await engine.messagesIn(alice, "room")).toEqual(known);
      expect(await engine.messagesIn(bob, "room")).toEqual({ received: fromAlice, sent: fromBob });
    });

    test("a suspended address is put out also when its peer comes back paired, and enters no more", async () => {
      const { engine, attach, roomOfTwo, types } = setUp();
      const { alice, bob } = await roomOfTwo();
      await engine.suspend({ kind: "address", id: "address of bob" }, 2_000_000_000_000);
      expect((await types(alice)).slice(-2)).toEqual(["partner-disconnected", "lobby"]);
      expect(await engine.status(bob)).toEqual({ status: "idle" });
      await engine.detach(bob.stream);
      await attach("bob", `${bob.stream.epoch}:1`);
      expect(await engine.enqueue(bob)).toMatchObject({ reason: "suspended" });
      expect(await engine.lift({ kind: "address", id: "address of bob" })).toBe(true);
      expect(await engine.enqueue(bob)).toMatchObject({ status: "waiting" });
    });

    describe("lifecycle events", () => {
      function listening(options: Partial<EngineOptions> = {}) {
        const site = setUp({ lifecycle: lifecycleTypes, ...options });
        const told: LifecycleEvent[] = [];
        site.engine.onLifecycle((event) => void told.push(event));
        /** What was told since it was called last; a suspension of nobody comes after all of it. */
        async function toldByNow(): Promise<LifecycleEvent[]> {
          const subject = { kind: "session", id: `nobody ${marks++}` } as const;
          await site.engine.suspend(subject, site.system.now() + 1000);
          const isMark = (event: LifecycleEvent) =>
            event.type === "suspended" && event.subject.id === subject.id;
          await until("what has happened is told", async () => {
            await site.system.settled();
            return told.some(isMark);
          });
          return told.splice(0).filter((event) => !isMark(event));
        }
        return { ...site, told, toldByNow };
      }
      let marks = 0;
      const [ofAlice, ofBob] = [{ sessionId: "alice" }, { sessionId: "bob" }];
      const briefly = (events: LifecycleEvent[]) =>
        events.map((event) =>
          event.type === "joined" ? `${event.peer.sessionId} joined` : event.type,
        );

      test("tell of a call from its joins to its end, each once and with an id of its own", async () => {
        const { system, engine, roomOfTwo, toldByNow } = listening();
        const { alice, bob } = await roomOfTwo();
        const at = system.now();
        const peers = [ofAlice, ofBob];
        const room = { roomId: "room", mode: "video", peers };
        const joins = await toldByNow();
        const ids = joins.map(({ id }) => id);
        expect(joins).toEqual([
          { type: "joined", id: expect.any(String), at, peer: ofAlice, mode: "video" },
          { type: "joined", id: expect.any(String), at, peer: ofBob, mode: "video" },
          { type: "paired", id: "paired:room", at, ...room },
        ] as LifecycleEvent[]);
        await system.advance(700);
        await engine.confirm(bob, "room");
        await engine.confirm(alice, "room");
        await system.advance(300);
        await engine.end(alice, { ending: "skip", roomId: "room" });
        await engine.end(bob, { ending: "leave", roomId: "room" });
        const later = await toldByNow();
        expect(later).toEqual([
          {
            type: "connected",
            id: "connected:room",
            at: at + 700,
            ...room,
            peers: [ofBob, ofAlice],
            afterMs: 700,
          },
          {
            type: "ended",
            id: "ended:room",
            at: at + 1000,
            ...room,
            reason: "skipped",
            by: "skip",
            lastedMs: 1000,
            connected: true,
          },
          { type: "joined", id: expect.any(String), at: at + 1000, peer: ofBob, mode: "video" },
          { type: "joined", id: expect.any(String), at: at + 1000, peer: ofAlice, mode: "video" },
        ] as LifecycleEvent[]);
        expect(new Set([...ids, ...later.map(({ id }) => id)]).size).toBe(7);
      });

      test("tell of each entry into the lobby, and of nothing that is none", async () => {
        const { engine, attach, enter, toldByNow } = listening();
        const bob = await enter("bob");
        expect(briefly(await toldByNow())).toEqual(["bob joined"]);
        // Other wishes; a second tab; a drop and a return: the ticket stays.
        await engine.enqueue(bob, { ...defaultWishes, mode: "text" });
        await engine.detach(bob.stream);
        const back = await attach("bob");
        expect(await toldByNow()).toEqual([]);
        await engine.end(back, { ending: "leave" });
        expect(await toldByNow()).toEqual([]);
        await engine.end(back, { ending: "skip" });
        await engine.end(back, { ending: "leave" });
        await engine.enqueue({ ...back, mutationId: "join" });
        await engine.enqueue({ ...back, mutationId: "join" });
        expect(briefly(await toldByNow())).toEqual(["bob joined", "bob joined"]);
      });

      test("tell how each room ended, and through whom", async () => {
        const { system, engine, roomOfTwo, toldByNow } = listening();
        for (const ending of ["skip", "leave", "failed", "report", "block"] as const) {
          const site = listening();
          const { bob } = await site.roomOfTwo();
          await site.toldByNow();
          await site.engine.end(bob, { ending, roomId: "room" });
          const [ended] = await site.toldByNow();
          expect(ended).toMatchObject({ type: "ended", by: ending, peers: [ofBob, ofAlice] });
          await site.engine.close();
        }
        const { alice } = await roomOfTwo();
        await toldByNow();
        await engine.detach(alice.stream);
        await system.advance(engineOptions.graceMs);
        await engine.sweep();
        expect(await toldByNow()).toMatchObject([
          { type: "ended", reason: "lost", by: "lost", peers: [ofAlice, ofBob], connected: false },
          { type: "joined", peer: ofBob },
        ]);
      });

      test("tell of reports, and of suspensions and what they end", async () => {
        const { moderation } = engineOptions;
        const { system, engine, roomOfTwo, attach, toldByNow } = listening({
          moderation: { ...moderation, voteAfterMs: 0, sessionReporters: 1 },
        });
        const { alice, bob } = await roomOfTwo();
        await toldByNow();
        await engine.report(alice, "room", "nudity");
        await engine.report(alice, "room", "spam");
        const at = system.now();
        const until = at + (moderation.sessionSteps[0] ?? 0);
        const subject = { kind: "session", id: "bob" };
        const events = await toldByNow();
        const [reported] = events;
        expect(reported).toEqual({
          type: "reported",
          id: "reported:room:alice",
          at,
          roomId: "room",
          reason: "nudity",
          reporter: ofAlice,
          reported: ofBob,
          counted: true,
          suspended: expect.arrayContaining([{ ...subject, until }]),
        } as LifecycleEvent);
        const id = `suspended:session:bob:${at}:${until}`;
        expect(events).toContainEqual({
          type: "suspended",
          id,
          at,
          subject: { kind: "session", id: "bob" },
          until,
          by: "reports",
          because: "nudity",
        });
        expect(events).toContainEqual(
          expect.objectContaining({ type: "ended", by: "removed", peers: [ofBob, ofAlice] }),
        );
        await system.advance(1);
        expect(await engine.lift({ kind: "session", id: "bob" })).toBe(true);
        expect(await engine.lift({ kind: "session", id: "bob" })).toBe(false);
        expect(await toldByNow()).toEqual([
          {
            type: "lifted",
            id: `lifted:session:bob:${at + 1}`,
            at: at + 1,
            subject: { kind: "session", id: "bob" },
            by: "operator",
          },
        ]);
        await engine.report(bob, "room", "other");
        await attach("carol");
        expect((await toldByNow()).map(({ id }) => id.split(":1000")[0]).toSorted()).toEqual([
          "reported:room:bob",
          "suspended:address:address of alice",
          "suspended:session:alice",
        ]);
      });

      test("name the accounts of those who have one", async () => {
        const { engine, system, pair, enter, toldByNow } = listening();
        const [wake, addressHash] = [() => {}, "address of alice"];
        await engine.attach({
          sessionId: "alice",
          account: "42",
          generation: 0,
          addressHash,
          wake,
        });
        const alice = { sessionId: "alice", generation: 1 };
        await engine.enqueue(alice, defaultWishes);
        await pair(alice, await enter("bob"));
        const named = { ...ofAlice, account: "42" };
        expect(await toldByNow()).toMatchObject([
          { type: "joined", peer: named },
          { type: "joined", peer: ofBob },
          { type: "paired", peers: [named, ofBob] },
        ]);
        await engine.report(alice, "room");
        const subject = { kind: "account", id: "42" } as const;
        await engine.suspend(subject, system.now() + 1000);
        const later = await toldByNow();
        expect(later).toContainEqual(
          expect.objectContaining({ type: "reported", reporter: named }),
        );
        expect(later).toContainEqual(
          expect.objectContaining({ type: "suspended", subject, by: "operator" }),
        );
        expect(later).toContainEqual(
          expect.objectContaining({ type: "ended", by: "removed", peers: [named, ofBob] }),
        );
      });

      test("tell of a report that counts for nothing, too", async () => {
        const { engine, roomOfTwo, toldByNow } = listening();
        const { alice } = await roomOfTwo();
        await toldByNow();
        await engine.report(alice, "room");
        expect(await toldByNow()).toMatchObject([
          { type: "reported", reason: "other", counted: false, suspended: [] },
        ]);
      });

      test("tell of two who meet again as of any pair, after the end of the room that one was in", async () => {
        const { engine, enter, pair, roomOfTwo, toldByNow } = listening();
        const { alice, bob } = await roomOfTwo();
        await engine.end(alice, { ending: "skip" });
        await pair(alice, await enter("carol"), "other");
        await engine.again(alice, "room", "x");
        await engine.again(bob, "room", "y");
        await toldByNow();
        await engine.end(alice, { ending: "skip" });
        const told = await toldByNow();
        expect(briefly(told)).toEqual(["ended", "carol joined", "alice joined", "paired"]);
        expect(told.at(-1)).toMatchObject({ roomId: "x", mode: "video", peers: [ofAlice, ofBob] });
      });

      test("that concern the same room or peer are told in order and one at a time, while others go on", async () => {
        const { system, engine, enter, pair } = setUp({ lifecycle: ["paired", "ended"] });
        const told: string[] = [];
        const releases = new Map<string, () => void>();
        const waiting = engine.onLifecycle(async ({ id }) => {
          told.push(id);
          if (id === "paired:slow") await new Promise<void>((resolve) => releases.set(id, resolve));
        });
        for (const roomId of ["slow", "quick"]) {
          const [one, other] = [await enter(`one ${roomId}`), await enter(`other ${roomId}`)];
          await pair(one, other, roomId);
          await engine.end(one, { ending: "leave" });
          await engine.end(other, { ending: "leave" });
        }
        const isTold = (id: string) => async () => {
          await system.settled();
          return told.includes(id);
        };
        await until("the other room's end is told", isTold("ended:quick"));
        expect(told).not.toContain("ended:slow");
        const areWaiting = (count: number) => async () => {
          await system.advance(100);
          return waiting() === count;
        };
        await until("two wait: one that is being told, and one behind it", areWaiting(2));
        releases.get("paired:slow")?.();
        await until("the room's end is told", isTold("ended:slow"));
        await until("none waits", areWaiting(0));
        expect(told.toSorted()).toEqual([
          "ended:quick",
          "ended:slow",
          "paired:quick",
          "paired:slow",
        ]);
      });

      test("are told after the verb, which waits for no listener and does not notice its faults", async () => {
        const { system, engine, enter } = setUp({ lifecycle: ["joined"] });
        let isWithin = false;
        const told: [string, boolean][] = [];
        const answer = Promise.withResolvers<void>();
        engine.onLifecycle((event) => {
          told.push([event.id.split(":")[1] ?? "", isWithin]);
          if (told.length === 1) throw new Error("a listener's own");
          if (told.length === 2) return Promise.reject(new Error("a listener's own"));
          return told.length === 3 ? answer.promise : undefined;
        });
        for (const name of ["ann", "bob", "cem", "dan"]) {
          isWithin = true;
          const entering = enter(name);
          isWithin = false;
          await entering;
        }
        await until("all are told", async () => {
          await system.settled();
          return told.length === 4;
        });
        answer.resolve();
        expect(told).toEqual(["ann", "bob", "cem", "dan"].map((name) => [name, false]));
      });

      test("are only those that are wanted", async () => {
        const { engine, roomOfTwo, told, toldByNow } = listening({
          lifecycle: ["ended", "suspended"],
        });
        const { alice } = await roomOfTwo();
        await engine.confirm(alice, "room");
        await engine.report(alice, "room");
        await engine.end(alice, { ending: "leave" });
        expect(briefly(await toldByNow())).toEqual(["ended"]);
        expect(told).toEqual([]);
      });
    });

    test("a reader that falls behind the log is told so, and delays nobody", async () => {
      const { engine, roomOfTwo } = setUp();
      const { alice, bob } = await roomOfTwo();
      for (let n = 0; n <= limits.logEventsMax; n++)
        expect(await engine.send(alice, "room", offer("room", `${n}`))).toBe(true);
      expect(await engine.read(bob.stream, 3)).toBe("overflow");
      expect(await engine.read(bob.stream, 4)).toHaveLength(limits.logEventsMax);
    });

    test("a taken-over stream reads nothing more", async () => {
      const { engine, attach, stats } = setUp();
      const first = await attach("alice");
      await attach("alice");
      expect(await engine.read(first.stream, 0)).toMatchObject({ reason: "taken-over" });
      await engine.detach(first.stream);
      expect((await stats()).online).toBe(1);
    });
  });

  describeAccounts(name, open);
  describeLobbies(name, open);
  describeOperatorView(name, open);
  describeShownFacts(name, open);
  describeMeetings(name, open);
  describeStandby(name, open);
  describeLivingCalls(name, open);
  describeSanctions(name, open);
}
