/** What every engine must keep of calls that outlive the signaling: the place of an absent partner, and rooms that were lost. */
import type { RoomProof } from "../../src/domain/session.ts";
import { describe, expect, test } from "bun:test";
import type { LifecycleEvent } from "../../src/domain/lifecycle.ts";
import { roomIdFor } from "../../src/domain/room-id.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import type { Caller, Engine, EngineOptions, Stream } from "../../src/engine/engine.ts";
import type { LoggedEvent, Mode } from "../../src/protocol.ts";
import { accountVerbs } from "./account-contract.ts";
import { engineOptions } from "./engine-options.ts";
import { until } from "./until.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

interface Tab extends Caller {
  stream: Stream;
}

const graceMs = engineOptions.graceMs;
const callKeepMs = 60_000;

export function describeLivingCalls(name: string, open: OpenEngine) {
  function setUp(options: Partial<EngineOptions> = {}) {
    const system = createVirtualSystem();
    const told: LifecycleEvent[] = [];
    const engine: Engine = open(system, {
      ...engineOptions,
      callKeepMs,
      // What it is sealed by is tried elsewhere.
      seal: (proof) => JSON.stringify(proof),
      lifecycle: ["paired", "connected", "ended"],
      ...options,
    });
    engine.onLifecycle((event) => void told.push(event));
    const verbs = accountVerbs(engine);
    async function eventsOf({ stream }: Tab): Promise<LoggedEvent[]> {
      for (let after = 0; after < 1000; after++) {
        const entries = await engine.read(stream, after);
        if (Array.isArray(entries)) return entries.map(({ json }) => JSON.parse(json));
        if (entries !== "overflow") break;
      }
      throw new Error("unreadable");
    }
    const lastOf = async (tab: Tab) => (await eventsOf(tab)).at(-1);
    async function comeBack(tab: Tab, offset: number): Promise<Tab> {
      const { sessionId, generation, stream } = tab;
      const position = { epoch: stream.epoch, offset };
      const addressHash = `${sessionId} address`;
      const request = { sessionId, generation, addressHash, position, wake() {} };
      const back = verbs.settled(await engine.attach(request)).stream;
      return { ...tab, generation: back.generation, stream: back };
    }
    async function present(caller: Caller, proof: RoomProof): Promise<string> {
      const answer = await engine.confirm(caller, proof.roomId, proof);
      return isRejection(answer) ? answer.reason : answer.status;
    }
    async function pass(ms: number) {
      await system.advance(ms);
      await engine.sweep();
    }
    return { system, engine, told, ...verbs, eventsOf, lastOf, comeBack, present, pass };
  }

  /** The proof that a member was sent last. */
  function proofIn(events: readonly LoggedEvent[]): RoomProof {
    const sealed = events.flatMap((event) => {
      if ("proof" in event) return [event.proof];
      return "state" in event && "proof" in event.state ? [event.state.proof] : [];
    });
    const last = sealed.at(-1);
    if (last === undefined) throw new Error("no proof was sent");
    return JSON.parse(last) as RoomProof;
  }

  /** A call of two, to whom media flows. */
  async function call(
    options: Partial<EngineOptions> = {},
    { mode = "video", account }: { mode?: Mode; account?: string } = {},
  ) {
    const world = setUp(options);
    const { engine, enter, pair, eventsOf } = world;
    const alice = await enter("alice", account, { mode, autoRejoin: false });
    const bob = await enter("bob", undefined, { mode });
    const room = roomIdFor({ relayOnly: false, mode, chat: "direct" }, "first");
    expect(await pair(alice, bob, room)).toBe(true);
    for (const one of [alice, bob]) await engine.confirm(one, room);
    const proofs = {
      alice: proofIn(await eventsOf(alice)),
      bob: proofIn(await eventsOf(bob)),
    };
    return { ...world, alice, bob, room, proofs };
  }

  /** Both were away for longer than the grace, and are back. */
  async function lost(options: Partial<EngineOptions> = {}, account?: string) {
    const world = await call(options, account === undefined ? {} : { account });
    const { engine, pass, comeBack, statusOf } = world;
    await engine.detach(world.alice.stream);
    await engine.detach(world.bob.stream);
    await pass(graceMs);
    const back = (tab: Tab) =>
      account !== undefined && tab.sessionId === "alice"
        ? world.attach("alice", account)
        : comeBack(tab, 0);
    const [alice, bob] = [await back(world.alice), await back(world.bob)];
    for (const one of [alice, bob]) expect(await statusOf(one)).toBe("idle");
    return { ...world, alice, bob };
  }

  describe(`living calls: ${name}`, () => {
    describe("the place of an absent partner", () => {
      test("is kept for longer than the grace once the other one says that media flows", async () => {
        const { engine, alice, bob, proofs, present, pass, lastOf, statusOf, comeBack } =
          await call();
        await engine.detach(alice.stream);
        const first = await lastOf(bob);
        expect(first).toMatchObject({ type: "partner-reconnecting", roomId: proofs.bob.roomId });
        expect(await present(bob, proofs.bob)).toBe("paired");
        const extended = await lastOf(bob);
        const deadline = Number((first as { deadline: number }).deadline) + callKeepMs - graceMs;
        expect(extended).toEqual({
          type: "partner-reconnecting",
          roomId: proofs.bob.roomId,
          deadline,
        });
        await pass(callKeepMs - 1);
        expect(await statusOf(bob)).toBe("paired");
        const back = await comeBack(alice, 3);
        expect(await statusOf(back)).toBe("paired");
        expect(await lastOf(bob)).toMatchObject({ type: "partner-reconnected" });
      });

      test("is given up after that, and told as lost", async () => {
        const { engine, alice, bob, proofs, present, pass, eventsOf, statusOf } = await call();
        await engine.detach(alice.stream);
        await present(bob, proofs.bob);
        await pass(callKeepMs - 1);
        expect(await statusOf(bob)).toBe("paired");
        await pass(1);
        const ends = (await eventsOf(bob)).filter(({ type }) => type === "partner-disconnected");
        expect(ends).toMatchObject([{ reason: "lost" }]);
      });

      test("is extended once: saying it again changes nothing, and tells nothing", async () => {
        const { engine, alice, bob, proofs, present, pass, eventsOf } = await call();
        await engine.detach(alice.stream);
        await present(bob, proofs.bob);
        const told = (await eventsOf(bob)).length;
        await pass(20_000);
        expect(await present(bob, proofs.bob)).toBe("paired");
        expect((await eventsOf(bob)).length).toBe(told);
      });

      test("ends with the grace without a proof, or where calls are not kept", async () => {
        const plain = await call();
        await plain.engine.detach(plain.alice.stream);
        await plain.engine.confirm(plain.bob, plain.room);
        await plain.pass(graceMs);
        expect(await plain.statusOf(plain.bob)).toBe("waiting");

        const off = await call({ callKeepMs: 0 });
        await off.engine.detach(off.alice.stream);
        await off.present(off.bob, off.proofs.bob);
        await off.pass(graceMs);
        expect(await off.statusOf(off.bob)).toBe("waiting");
      });

      test("ends with the grace by the absent partner's own proof", async () => {
        const { engine, alice, bob, proofs, present, pass, statusOf } = await call();
        await engine.detach(alice.stream);
        expect(await present(bob, proofs.alice)).toBe("paired");
        await pass(graceMs);
        expect(await statusOf(bob)).not.toBe("paired");
      });

      test("is not kept past the time at which it must authenticate anew", async () => {
        const { engine, alice, bob, proofs, present, pass, statusOf } = await call();
        await engine.detach(alice.stream, 20_000);
        await present(bob, proofs.bob);
        await pass(19_999);
        expect(await statusOf(bob)).toBe("paired");
        await pass(1);
        expect(await statusOf(bob)).toBe("waiting");
      });

      test("holds nobody who wants to go: both can skip, and leave", async () => {
        const { engine, alice, bob, proofs, present, lastOf, statusOf, comeBack } = await call();
        await engine.detach(alice.stream);
        await present(bob, proofs.bob);
        await engine.end(bob, { ending: "skip" });
        expect(await statusOf(bob)).toBe("waiting");
        const back = await comeBack(alice, 3);
        expect(await statusOf(back)).toBe("idle");
        expect(await lastOf(back)).toMatchObject({ type: "session", state: { status: "idle" } });
      });
    });

    describe("a lost room", () => {
      test("exists again once both have presented it, as it was", async () => {
        const { engine, alice, bob, room, proofs, present, eventsOf, statusOf } = await lost();
        expect(await present(alice, proofs.alice)).toBe("idle");
        expect(await statusOf(alice)).toBe("idle");
        expect(await present(bob, proofs.bob)).toBe("paired");
        for (const one of [alice, bob]) {
          expect(await engine.status(one)).toEqual({ status: "paired", roomId: room });
          const told = (await eventsOf(one)).at(-1);
          expect(told).toMatchObject({
            type: "resync",
            state: { status: "paired", partner: "here", roomId: room, mode: "video" },
          });
        }
        const roleOf = async (tab: Tab) => {
          const told = (await eventsOf(tab)).at(-1);
          return told?.type === "resync" && told.state.status === "paired" && told.state.polite;
        };
        expect([await roleOf(alice), await roleOf(bob)]).toEqual([
          proofs.alice.polite,
          proofs.bob.polite,
        ]);
        expect(await engine.stats()).toMatchObject({ rooms: { video: 1 } });
        const offer = JSON.stringify({ type: "offer", roomId: room, sdp: "v=0" });
        expect(await engine.send(alice, room, offer)).toBe(true);
        expect((await eventsOf(bob)).at(-1)).toMatchObject({ type: "offer" });
      });

      test("ends as any other, whoever ends it, and can be lost and exist again once more", async () => {
        const { engine, alice, bob, room, proofs, present, pass, comeBack, eventsOf, statusOf } =
          await lost();
        await present(bob, proofs.bob);
        await present(alice, proofs.alice);
        await engine.detach(alice.stream);
        await engine.detach(bob.stream);
        await pass(graceMs);
        const [ann, ben] = [await comeBack(alice, 0), await comeBack(bob, 0)];
        await present(ann, proofs.alice);
        expect(await present(ben, proofs.bob)).toBe("paired");
        await engine.end(ben, { ending: "skip", roomId: room });
        expect((await eventsOf(ann)).at(-1)).toMatchObject({
          type: "partner-disconnected",
          reason: "skipped",
        });
        expect([await statusOf(ann), await statusOf(ben)]).toEqual(["idle", "waiting"]);
        expect(await engine.stats()).toMatchObject({ rooms: { video: 0 } });
      });

      test("exists again on a server that knows nothing of it, with its terms", async () => {
        const before = await call();
        await before.engine.detach(before.alice.stream);
        const { engine, attach, present, eventsOf, statusOf } = setUp();
        const [alice, bob] = [
          await attach("alice", undefined),
          await attach("bob", undefined),
        ] as const;
        const { room } = before;
        const facts = { region: "eu" };
        const proofs = {
          alice: { ...before.proofs.alice, sharedInterests: ["jazz"], partnerFacts: facts },
          bob: { ...before.proofs.bob, sharedInterests: ["jazz"] },
        };
        expect(await present(bob, proofs.bob)).toBe("idle");
        expect(await present(alice, proofs.alice)).toBe("paired");
        const terms = { roomId: room, sharedInterests: ["jazz"], relayOnly: false };
        expect((await eventsOf(alice)).at(-1)).toMatchObject({
          type: "resync",
          state: { ...terms, partnerFacts: facts },
        });
        expect((await eventsOf(bob)).at(-1)).toMatchObject({
          type: "resync",
          state: { ...terms, partnerFacts: {} },
        });
        // It has lost their wishes, too, and can put nobody back into the lobby: whoever expects that joins.
        await engine.end(alice, { ending: "skip" });
        for (const one of [alice, bob]) {
          expect(await statusOf(one)).toBe("idle");
          expect((await eventsOf(one)).at(-1)).toEqual({
            type: "resync",
            state: { status: "idle" },
          });
        }
      });

      test("exists again also while the first one has just dropped, within its grace", async () => {
        const { engine, alice, bob, proofs, present, lastOf } = await lost();
        await present(alice, proofs.alice);
        await engine.detach(alice.stream);
        expect(await present(bob, proofs.bob)).toBe("paired");
        expect(await lastOf(bob)).toMatchObject({
          type: "resync",
          state: { status: "paired", partner: "reconnecting" },
        });
      });

      test("is told to the operator: that it is connected again, and each of its ends once", async () => {
        const { engine, alice, bob, proofs, present, told, room } = await lost();
        await present(alice, proofs.alice);
        await present(bob, proofs.bob);
        await engine.end(bob, { ending: "leave" });
        const types = () => told.map(({ type }) => type);
        const all = ["paired", "connected", "ended", "connected", "ended"];
        await until("five events are told", () => told.length >= all.length, 5000);
        expect(types()).toEqual(all as never);
        expect(new Set(told.map(({ id }) => id)).size).toBe(all.length);
        expect(told.every((event) => "roomId" in event && event.roomId === room)).toBe(true);
      });
    });

    describe("whoever has presented a proof alone", () => {
      test("is out of the lobby, and meets nobody until it takes that back", async () => {
        const { engine, alice, bob, proofs, present, enter, candidatesOf, statusOf } = await lost();
        await engine.enqueue(alice);
        expect(await statusOf(alice)).toBe("waiting");
        expect(await present(alice, proofs.alice)).toBe("idle");
        const carol = await enter("carol");
        expect(await candidatesOf(carol)).toEqual([]);
        await engine.enqueue(alice);
        expect(await candidatesOf(carol)).toEqual(["alice"]);
        expect(await present(bob, proofs.bob)).toBe("idle");
      });

      for (const takingBack of ["join", "skip", "leave", "the end of its grace"] as const)
        test(`has taken it back by ${takingBack}`, async () => {
          const { engine, alice, bob, room, proofs, present, pass } = await lost();
          await present(alice, proofs.alice);
          if (takingBack === "join") await engine.enqueue(alice);
          else if (takingBack === "skip") await engine.end(alice, { ending: "skip" });
          else if (takingBack === "leave") await engine.end(alice, { ending: "leave" });
          else {
            await engine.detach(alice.stream);
            await pass(graceMs);
          }
          expect(await present(bob, proofs.bob)).toBe("idle");
          expect(await engine.status(bob)).not.toHaveProperty("roomId", room);
        });

      test("presents it twice for nothing, and is itself not both of the two", async () => {
        const { alice, proofs, present } = await lost();
        expect(await present(alice, proofs.alice)).toBe("idle");
        expect(await present(alice, proofs.alice)).toBe("idle");
        // As nobody could have it: the same member in the other role.
        const forged = { ...proofs.alice, polite: !proofs.alice.polite, partnerId: "alice" };
        expect(await present(alice, forged)).toBe("idle");
      });
    });

    describe("a proof is worth nothing", () => {
      /** Neither gets the room back, whatever each presents. */
      async function expectWorthless(
        { engine, alice, bob, proofs, present }: Awaited<ReturnType<typeof lost>>,
        answer: "idle" | "waiting",
      ) {
        await present(alice, proofs.alice);
        expect(await present(bob, proofs.bob)).toBe(answer);
        await present(alice, proofs.alice);
        for (const one of [alice, bob])
          expect(await engine.status(one)).not.toHaveProperty("roomId");
      }

      for (const ending of ["skip", "leave", "failed", "report", "block"] as const)
        test(`after ${ending}, whoever presents it`, async () => {
          const world = await call({ skipCooldownMs: 0 });
          await world.engine.end(world.alice, { ending, roomId: world.room });
          await world.engine.end(world.alice, { ending: "leave" });
          await world.engine.end(world.bob, { ending: "leave" });
          await expectWorthless(world, "idle");
        });

      test("after a block in that room, even when it was lost before", async () => {
        const world = await lost();
        const blocked = await world.engine.avoid(world.bob, world.room);
        expect(blocked).toMatchObject({ partnerId: "alice" });
        await expectWorthless(world, "idle");
      });

      test("after a block by another session of the account", async () => {
        const world = await lost({}, "ann");
        const { engine, enter, pair } = world;
        const tab = await enter("another tab", "ann");
        await engine.enqueue(world.bob);
        expect(await pair(tab, world.bob, "another room")).toBe(true);
        expect(await engine.avoid(tab, "another room")).toMatchObject({ partnerId: "bob" });
        await engine.end(tab, { ending: "block", roomId: "another room" });
        await engine.end(world.bob, { ending: "leave" });
        await expectWorthless(world, "idle");
      });

      test("after an operator has ended the room", async () => {
        const world = await call();
        await world.engine.operator.endRoom(world.room);
        await world.engine.end(world.bob, { ending: "leave" });
        await expectWorthless(world, "idle");
      });

      test("while either is suspended", async () => {
        const world = await lost();
        const { engine, alice, bob, proofs, present, system } = world;
        const subject = { kind: "session", id: "alice" } as const;
        await present(alice, proofs.alice);
        await engine.suspend(subject, system.now() + 60_000);
        expect(await present(bob, proofs.bob)).toBe("idle");
        expect(await present(alice, proofs.alice)).toBe("suspended");
        await engine.lift(subject);
        await present(bob, proofs.bob);
        expect(await present(alice, proofs.alice)).toBe("paired");
      });

      test("when it has expired, is another session's, or of a room for text", async () => {
        const { system, alice, bob, room, proofs, present } = await lost();
        const expired = { ...proofs.alice, until: system.now() };
        expect(await present(alice, expired)).toBe("idle");
        // As if stolen. Bob knows the room, so he is answered where that leaves him.
        expect(await present(bob, proofs.alice)).toBe("idle");
        expect(await present(alice, proofs.alice)).toBe("idle");
        const text = roomIdFor({ relayOnly: false, mode: "text", chat: "server" }, "first");
        expect(await present(alice, { ...proofs.alice, roomId: text })).toBe("not-in-room");
        const other = { ...proofs.bob, roomId: `${room}-other` };
        expect(await present(bob, other)).toBe("idle");
        expect(await present(bob, proofs.bob)).toBe("paired");
      });

      test("where calls are not kept: it is answered as without one", async () => {
        const { alice, proofs, present } = await lost({ callKeepMs: 0 });
        expect(await present(alice, proofs.alice)).toBe("idle");
        const { attach, ...fresh } = setUp({ callKeepMs: 0 });
        const stranger = await attach("alice", undefined);
        expect(await fresh.present(stranger, proofs.alice)).toBe("not-in-room");
      });

      test("without an open stream, or in another room", async () => {
        const { engine, alice, bob, proofs, present, enter, pair, statusOf } = await lost();
        const carol = await enter("carol");
        await engine.enqueue(alice);
        expect(await pair(alice, carol, "another")).toBe(true);
        expect(await present(alice, proofs.alice)).toBe("paired");
        expect(await engine.status(alice)).toEqual({ status: "paired", roomId: "another" });
        await engine.detach(bob.stream);
        expect(await present(bob, proofs.bob)).toBe("not-subscribed");
        expect(await statusOf(carol)).toBe("paired");
      });
    });
  });
}
