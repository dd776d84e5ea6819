/** What every engine must keep of two who meet again: they do once both have asked, and until then nobody can tell who has. */
import { describe, expect, test } from "bun:test";
import { roomIdFor } from "../../src/domain/room-id.ts";
import type { Room } from "../../src/domain/session.ts";
import type { Caller, Engine, EngineOptions, Stream } from "../../src/engine/engine.ts";
import { limits, type LoggedEvent, type Mode } from "../../src/protocol.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import { accountVerbs } from "./account-contract.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

interface Tab extends Caller {
  stream: Stream;
}

/** The verbs of peers who meet again, on any engine. */
function meetingVerbs(engine: Engine) {
  const verbs = accountVerbs(engine);
  let asked = 0;
  const again = (caller: Caller, roomId: string) => engine.again(caller, roomId, `id${++asked}`);
  const answerOf = async (asking: ReturnType<Engine["again"]>) => {
    const answer = await asking;
    return isRejection(answer) ? answer.reason : answer.status;
  };
  async function eventsOf({ stream }: Tab): Promise<LoggedEvent[]> {
    for (let after = 0; after < 1000; after++) {
      const entries = await engine.read(stream, after);
      if (Array.isArray(entries)) return entries.map(({ json }) => JSON.parse(json));
      if (entries !== "overflow") break;
    }
    throw new Error("unreadable");
  }
  const lastOf = async (tab: Tab) => (await eventsOf(tab)).at(-1);
  /** The room of two, if they are in one. */
  async function roomOf(one: Caller, other: Caller): Promise<string | undefined> {
    const [a, b] = [await engine.status(one), await engine.status(other)];
    if (isRejection(a) || isRejection(b)) throw new Error("both must be there");
    return a.roomId !== undefined && a.roomId === b.roomId ? a.roomId : undefined;
  }
  /** It returns within its grace. */
  async function comeBack(tab: Tab, offset: number): Promise<Tab> {
    const { sessionId, generation, stream } = tab;
    const position = { epoch: stream.epoch, offset };
    const addressHash = `${sessionId} address`;
    const request = { sessionId, generation, addressHash, position, wake() {} };
    return { ...tab, stream: verbs.settled(await engine.attach(request)).stream };
  }
  return { ...verbs, again, answerOf, eventsOf, lastOf, roomOf, comeBack };
}

export function describeMeetings(name: string, open: OpenEngine) {
  function setUp(options: Partial<EngineOptions> = {}) {
    const system = createVirtualSystem();
    const engine = open(system, { ...engineOptions, ...options });
    const met: Room[] = [];
    engine.onMetAgain((room) => void met.push(room));
    return { system, engine, met, ...meetingVerbs(engine) };
  }

  /** Alice has skipped Bob, and both wait: they avoid each other, by which no policy would pair them. */
  async function skipped(options: Partial<EngineOptions> = {}, mode: Mode = "video") {
    const world = setUp(options);
    const { engine, enter, pair } = world;
    const [alice, bob] = [
      await enter("alice", undefined, { mode }),
      await enter("bob", undefined, { mode }),
    ];
    const room = roomIdFor({ relayOnly: false, mode, chat: "direct" }, "first");
    expect(await pair(alice, bob, room)).toBe(true);
    await engine.end(alice, { ending: "skip", roomId: room });
    return { ...world, alice, bob, room };
  }

  describe(`meeting again: ${name}`, () => {
    test("two who both ask are paired at once, in spite of their cooldown, in a room as any other", async () => {
      const { engine, met, alice, bob, room, again, answerOf, lastOf, roomOf, candidatesOf } =
        await skipped();
      expect(await candidatesOf(alice)).toEqual([]);
      expect(await answerOf(again(alice, room))).toBe("waiting");
      expect(met).toEqual([]);
      expect(await answerOf(again(bob, room))).toBe("paired");
      const next = await roomOf(alice, bob);
      expect(next).toBeString();
      expect(next).not.toBe(room);
      const terms = {
        roomId: next,
        relayOnly: false,
        sharedInterests: [],
        mode: "video",
        chat: "direct",
        media: { audio: true, video: true },
        partnerFacts: {},
        proof: "",
      };
      expect(await lastOf(bob)).toEqual({ type: "create-offer", polite: false, ...terms } as never);
      expect(await lastOf(alice)).toEqual({
        type: "wait-for-offer",
        polite: true,
        ...terms,
      } as never);
      expect(met).toMatchObject([{ id: next, mode: "video" }]);
      expect(await engine.stats()).toMatchObject({ waiting: { video: 0 }, rooms: { video: 1 } });
      expect(await engine.end(alice, { ending: "leave" })).toMatchObject({ status: "idle" });
      expect(await lastOf(bob)).toMatchObject({ type: "lobby" });
      expect(await engine.stats()).toMatchObject({ waiting: { video: 1 }, rooms: { video: 0 } });
    });

    test("two who are idle are paired as well as two who wait", async () => {
      const { engine, enter, pair, again, answerOf, roomOf } = setUp();
      const wishes = { autoRejoin: false, interests: ["jazz"] };
      const [alice, bob] = [
        await enter("alice", undefined, wishes),
        await enter("bob", undefined, wishes),
      ];
      await pair(alice, bob, "room");
      await engine.end(alice, { ending: "leave" });
      expect(await answerOf(again(alice, "room"))).toBe("idle");
      expect(await answerOf(again(bob, "room"))).toBe("paired");
      expect(await roomOf(alice, bob)).toBeString();
    });

    describe("one who asks alone", () => {
      type World = Awaited<ReturnType<typeof skipped>>;
      const others: [string, (world: World) => unknown][] = [
        ["has not asked", () => {}],
        ["has left", ({ engine, bob }) => engine.end(bob, { ending: "leave" })],
        [
          "has asked and left",
          async ({ engine, bob, room, again }) => {
            await again(bob, room);
            await engine.end(bob, { ending: "leave" });
          },
        ],
        [
          "has asked and is in another room",
          async ({ enter, pair, bob, room, again }) => {
            await pair(bob, await enter("carol"));
            await again(bob, room);
          },
        ],
        [
          "has asked and is away",
          async ({ engine, bob, room, again }) => {
            await again(bob, room);
            await engine.detach(bob.stream);
          },
        ],
        [
          "is gone",
          async ({ engine, system, bob }) => {
            await engine.detach(bob.stream);
            await system.advance(engineOptions.graceMs);
            await engine.sweep();
          },
        ],
        [
          "has asked and is suspended",
          async ({ engine, bob, room, again }) => {
            await again(bob, room);
            await engine.suspend({ kind: "session", id: bob.sessionId }, 2e12);
          },
        ],
        [
          "has asked and blocked it",
          async ({ engine, bob, room, again }) => {
            await again(bob, room);
            await engine.avoid(bob, room);
          },
        ],
      ];
      test.each(others)(
        "is answered the same and told nothing: the other one %s",
        async (_, make) => {
          const world = await skipped();
          const { engine, alice, room, again, eventsOf } = world;
          await make(world);
          const before = await eventsOf(alice);
          expect(await again(alice, room)).toEqual({ status: "waiting", newlyWaiting: [] });
          expect(await engine.status(alice)).toEqual({ status: "waiting" });
          expect(await eventsOf(alice)).toEqual(before);
          expect(world.met).toEqual([]);
        },
      );

      test("tells the other one nothing, nor anybody else, and keeps its place", async () => {
        const { engine, enter, alice, bob, room, again, eventsOf, candidatesOf } = await skipped();
        const dave = await enter("dave");
        const before = await eventsOf(bob);
        const { ticket } = (await engine.matchOptions("alice")) ?? {};
        await again(alice, room);
        expect(await eventsOf(bob)).toEqual(before);
        expect(await engine.status(bob)).toEqual({ status: "waiting" });
        expect((await engine.matchOptions("alice"))?.ticket).toMatchObject({
          since: ticket?.since ?? 0,
          queuedSince: ticket?.queuedSince ?? 0,
        });
        expect(await candidatesOf(dave)).toEqual(["alice", "bob"]);
        expect(await candidatesOf(bob)).toEqual(["dave"]);
      });
    });

    describe("one who is in another room when the second one asks", () => {
      test("meets the other one when that room ends, before anybody who waits", async () => {
        const {
          engine,
          met,
          enter,
          pair,
          alice,
          bob,
          room,
          again,
          answerOf,
          roomOf,
          candidatesOf,
        } = await skipped();
        const carol = await enter("carol");
        await pair(alice, carol, "other");
        await enter("dave");
        expect(await answerOf(again(alice, room))).toBe("paired");
        expect(await answerOf(again(bob, room))).toBe("waiting");
        expect(met).toEqual([]);
        const skip = { ...alice, mutationId: "skip 1" };
        const ended = { status: "paired", newlyWaiting: ["carol"], known: true };
        expect(await engine.end(skip, { ending: "skip" })).toEqual(ended as never);
        const next = await roomOf(alice, bob);
        expect(next).toBeString();
        expect(next).not.toBe("other");
        expect(await candidatesOf(carol)).toEqual(["dave"]);
        // The same call again has the same result.
        expect(await engine.end(skip, { ending: "skip" })).toMatchObject({ status: "paired" });
        expect(await roomOf(alice, bob)).toBe(next);
        expect(met).toHaveLength(1);
      });

      test("does so also if its partner ends that room, leaves by losing its connection, or is suspended", async () => {
        for (const ending of ["leave", "lost", "removed"] as const) {
          const { engine, system, enter, pair, alice, bob, room, again, roomOf } = await skipped();
          const carol = await enter("carol");
          await pair(alice, carol, "other");
          await again(bob, room);
          await again(alice, room);
          if (ending === "leave") await engine.end(carol, { ending });
          if (ending === "removed") await engine.suspend({ kind: "session", id: "carol" }, 2e12);
          if (ending === "lost") {
            await engine.detach(carol.stream);
            await system.advance(engineOptions.graceMs);
            await engine.sweep();
          }
          expect({ ending, room: await roomOf(alice, bob) }).toEqual({
            ending,
            room: expect.any(String),
          });
        }
      });

      test("may be both, and both of a room that ends may meet others", async () => {
        const { engine, met, enter, pair, again, roomOf } = setUp();
        const [alice, bob] = [await enter("alice"), await enter("bob")];
        const [carol, dave] = [await enter("carol"), await enter("dave")];
        await pair(alice, bob, "ab");
        await pair(carol, dave, "cd");
        await engine.end(alice, { ending: "skip" });
        await engine.end(carol, { ending: "skip" });
        await pair(alice, carol, "ac");
        await pair(bob, dave, "bd");
        for (const tab of [alice, bob]) await again(tab, "ab");
        for (const tab of [carol, dave]) await again(tab, "cd");
        await engine.end(alice, { ending: "skip" });
        expect(met).toEqual([]);
        expect(await engine.stats()).toMatchObject({ waiting: { video: 2 }, rooms: { video: 1 } });
        await engine.end(bob, { ending: "skip" });
        expect(await roomOf(alice, bob)).toBeString();
        expect(await roomOf(carol, dave)).toBeString();
        expect(met).toHaveLength(2);
        expect(await engine.stats()).toMatchObject({ waiting: { video: 0 }, rooms: { video: 2 } });
      });
    });

    describe("the wish lapses", () => {
      test("five minutes after the room's end, not before", async () => {
        const { system, engine, alice, bob, room, again, answerOf, roomOf } = await skipped();
        await system.advance(limits.againMs - 1);
        await engine.sweep();
        expect(await answerOf(again(alice, room))).toBe("waiting");
        await system.advance(1);
        expect(await answerOf(again(bob, room))).toBe("not-in-room");
        expect(await roomOf(alice, bob)).toBeUndefined();
      });

      test("while its owner, or the other one, is in another room", async () => {
        const { system, engine, enter, pair, alice, bob, room, again, roomOf } = await skipped();
        await pair(alice, await enter("carol"), "other");
        await again(alice, room);
        await again(bob, room);
        await system.advance(limits.againMs);
        await engine.end(alice, { ending: "skip" });
        expect(await roomOf(alice, bob)).toBeUndefined();
      });

      test("with `leave`, and can be asked for anew", async () => {
        const { engine, alice, bob, room, again, answerOf, roomOf } = await skipped();
        await again(alice, room);
        await engine.end(alice, { ending: "leave" });
        expect(await answerOf(again(bob, room))).toBe("waiting");
        expect(await roomOf(alice, bob)).toBeUndefined();
        expect(await answerOf(again(alice, room))).toBe("paired");
      });

      test("once the two have met, by it or in any other way", async () => {
        const { engine, enter, pair, again, answerOf, roomOf } = setUp({ skipCooldownMs: 0 });
        const [alice, bob] = [await enter("alice"), await enter("bob")];
        await pair(alice, bob, "first");
        await engine.end(alice, { ending: "skip" });
        await again(alice, "first");
        await pair(alice, bob, "second");
        await engine.end(alice, { ending: "skip" });
        expect(await answerOf(again(bob, "first"))).toBe("waiting");
        expect(await answerOf(again(alice, "first"))).toBe("paired");
        await engine.end(alice, { ending: "skip" });
        expect(await roomOf(alice, bob)).toBeUndefined();
        expect(await answerOf(again(alice, "first"))).toBe("waiting");
      });
    });

    describe("of one who is away", () => {
      test("it is kept during its grace: it meets the other one when it comes back", async () => {
        const { engine, alice, bob, room, again, answerOf, eventsOf, lastOf, roomOf, comeBack } =
          await skipped();
        await again(alice, room);
        const { length } = await eventsOf(alice);
        await engine.detach(alice.stream);
        expect(await answerOf(again(bob, room))).toBe("waiting");
        const back = await comeBack(alice, length);
        expect(await roomOf(back, bob)).toBeString();
        const told = (await eventsOf(back)).slice(length);
        expect(told.map(({ type }) => type)).toEqual(["session", "create-offer"]);
        expect(told[0]).toMatchObject({ resumed: true, state: { status: "waiting" } });
        expect(await lastOf(bob)).toMatchObject({ type: "wait-for-offer" });
      });

      test("it ends with the grace, and can be asked for anew", async () => {
        const { engine, system, attach, alice, bob, room, again, answerOf, roomOf } =
          await skipped();
        await again(alice, room);
        await engine.detach(alice.stream);
        await again(bob, room);
        await system.advance(engineOptions.graceMs);
        await engine.sweep();
        const back = await attach("alice", undefined);
        expect(await roomOf(back, bob)).toBeUndefined();
        expect(await answerOf(again(back, room))).toBe("paired");
      });

      test("also one whose loss has ended the room", async () => {
        const { engine, system, enter, pair, attach, again, answerOf, roomOf } = setUp();
        const [alice, bob] = [await enter("alice"), await enter("bob")];
        await pair(alice, bob, "room");
        await engine.detach(alice.stream);
        await system.advance(engineOptions.graceMs);
        await engine.sweep();
        expect(await answerOf(again(bob, "room"))).toBe("waiting");
        const back = await attach("alice", undefined);
        expect(await answerOf(again(back, "room"))).toBe("paired");
        expect(await roomOf(back, bob)).toBeString();
      });
    });

    describe("nobody meets again", () => {
      test.each(["report", "block"] as const)(
        "after a %s in that room, whoever asks",
        async (ending) => {
          const { engine, enter, pair, again, roomOf } = setUp();
          const [alice, bob] = [await enter("alice"), await enter("bob")];
          await pair(alice, bob, "room");
          await engine.avoid(bob, "room");
          await engine.end(bob, { ending });
          for (const tab of [alice, bob, alice]) await again(tab, "room");
          expect(await roomOf(alice, bob)).toBeUndefined();
        },
      );

      test("after a block that came later, of either, between asking and meeting", async () => {
        for (const blocker of ["alice", "bob"]) {
          const { engine, enter, pair, alice, bob, room, again, roomOf } = await skipped();
          await pair(alice, await enter("carol"), "other");
          await again(alice, room);
          await again(bob, room);
          await engine.avoid(blocker === "alice" ? alice : bob, room);
          await engine.end(alice, { ending: "skip" });
          expect({ blocker, room: await roomOf(alice, bob) }).toEqual({ blocker, room: undefined });
        }
      });

      test("after a block between others of their sessions", async () => {
        const { engine, met, enter, pair, leave, again, answerOf, statusOf } = setUp();
        const [ann, bob] = [await enter("a1", "ann"), await enter("b1", "bob")];
        await pair(ann, bob, "room");
        await engine.end(ann, { ending: "leave" });
        await leave(bob);
        const [other, its] = [await enter("a2", "ann"), await enter("b2", "bob")];
        await pair(other, its, "other");
        await again(ann, "room");
        await engine.avoid(its, "other");
        expect(await answerOf(again(bob, "room"))).toBe("idle");
        expect(await statusOf(ann)).toBe("idle");
        expect(met).toEqual([]);
      });

      test("while one is suspended, who can't ask either", async () => {
        const { engine, met, alice, bob, room, again, answerOf } = await skipped();
        await again(alice, room);
        await engine.suspend({ kind: "session", id: "alice" }, 2e12);
        expect(await again(alice, room)).toMatchObject({ reason: "suspended", until: 2e12 });
        expect(await answerOf(again(bob, room))).toBe("waiting");
        expect(met).toEqual([]);
      });

      test("across lobbies, as the two are in them by then", async () => {
        const { engine, enter, pair, again, answerOf, roomOf } = setUp();
        const wishes = { mode: "video", interests: [], languages: [], relayOnly: false } as const;
        const [alice, bob] = [
          await enter("alice", undefined, { lobby: "a" }),
          await enter("bob", undefined, { lobby: "a" }),
        ];
        await pair(alice, bob, "room");
        await engine.end(alice, { ending: "skip" });
        await engine.enqueue(bob, { ...wishes, autoRejoin: true, lobby: "b" });
        await again(alice, "room");
        expect(await answerOf(again(bob, "room"))).toBe("waiting");
        expect(await roomOf(alice, bob)).toBeUndefined();
        await engine.enqueue(alice, { ...wishes, autoRejoin: true, lobby: "b" });
        expect(await answerOf(again(alice, "room"))).toBe("paired");
      });
    });

    test("a room that is not the caller's, or has not ended, is refused, whether it exists or not", async () => {
      const { enter, pair, attach, engine, alice, bob, room, again, answerOf } = await skipped();
      const [carol, dave] = [await enter("carol"), await enter("dave")];
      await pair(carol, dave, "theirs");
      for (const id of ["theirs", "nobody's"])
        expect(await answerOf(again(alice, id))).toBe("not-in-room");
      expect(await answerOf(again(carol, "theirs"))).toBe("not-in-room");
      expect(await answerOf(again(carol, room))).toBe("not-in-room");
      const stranger = { sessionId: "stranger", generation: 0 };
      expect(await answerOf(again(stranger, room))).toBe("not-in-room");
      await engine.detach(bob.stream);
      expect(await answerOf(again(bob, room))).toBe("not-subscribed");
      await attach("alice", undefined);
      expect(await answerOf(again(alice, room))).toBe("taken-over");
    });

    test("the room has the mode of the one before, whatever the two wait for, and is relay-only if either wants that", async () => {
      const { engine, met, alice, bob, room, again, lastOf } = await skipped({}, "text");
      const wishes = { mode: "video", languages: [], autoRejoin: true } as const;
      const interests = ["go", "jazz"];
      await engine.enqueue(alice, { ...wishes, interests, relayOnly: true });
      await engine.enqueue(bob, { ...wishes, interests: ["jazz"], relayOnly: false });
      await again(alice, room);
      await again(bob, room);
      const terms = { mode: "text", relayOnly: true, sharedInterests: ["jazz"] };
      expect(await lastOf(bob)).toMatchObject({ type: "create-offer", ...terms });
      expect(met).toMatchObject([terms]);
      expect(met[0]?.id).toStartWith(roomIdFor(terms as never, ""));
      expect(await engine.stats()).toMatchObject({
        waiting: { video: 0, text: 0 },
        rooms: { text: 1 },
      });
    });

    test("the same call again changes nothing, and has the same result", async () => {
      const { engine, met, alice, bob, room, again, lastOf } = await skipped();
      const first = { ...alice, mutationId: "again 1" };
      expect(await again(first, room)).toMatchObject({ status: "waiting" });
      const second = { ...bob, mutationId: "again 1" };
      expect(await again(second, room)).toMatchObject({ status: "paired" });
      const told = await lastOf(bob);
      expect(await again(first, room)).toMatchObject({ status: "waiting" });
      expect(await again(second, room)).toMatchObject({ status: "paired" });
      expect(await lastOf(bob)).toEqual(told as never);
      expect(met).toHaveLength(1);
      await engine.end(alice, { ending: "skip" });
      expect(await again(first, room)).toMatchObject({ status: "waiting" });
      expect(await again({ ...bob, mutationId: "again 2" }, room)).toMatchObject({
        status: "waiting",
      });
      expect(met).toHaveLength(1);
    });

    test("nobody has to wait for it who has skipped too often, and it costs nothing", async () => {
      const skipping = { burst: 1, forgetMs: 3000, delayMs: 10_000, delayMsMax: 30_000 };
      const { engine, alice, bob, room, again, answerOf, enter, pair } = await skipped({
        skipping,
      });
      await pair(alice, await enter("carol"), "other");
      await engine.end(alice, { ending: "skip" });
      await engine.end(alice, { ending: "leave" });
      expect(await engine.enqueue(alice)).toMatchObject({ reason: "rate-limited" });
      await again(bob, room);
      expect(await answerOf(again(alice, room))).toBe("paired");
      expect(await engine.end(bob, { ending: "skip" })).toMatchObject({ status: "waiting" });
    });
  });
}
