/** What every engine must keep of standing offers: who gets one, which one, how often, and when none is left. */
import { describe, expect, test } from "bun:test";
import { measured } from "../../src/domain/standby.ts";
import { defaultWishes, type Wishes } from "../../src/domain/ticket.ts";
import type { Caller, EngineOptions, Stream } from "../../src/engine/engine.ts";
import { limits, type LoggedEvent, type StandingOffer } from "../../src/protocol.ts";
import { accountVerbs } from "./account-contract.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

/** An offer that can be told from others; with `bytes`, of so many as JSON: a description within its own bound, and candidates. */
export function offerNamed(name: string, bytes?: number): StandingOffer {
  const candidates = [{ candidate: `candidate:1 1 udp 1 192.0.2.7 9 typ host`, sdpMid: "0" }];
  const offer = { sdp: `v=0\r\ns=${name} ÄÖ\r\nm=audio 9 RTP/AVP 0\r\n`, candidates };
  if (bytes === undefined) return offer;
  const large = { candidate: "candidate:".padEnd(limits.candidateBytesMax, "x"), sdpMid: "0" };
  while (bytes - measured(offer).bytes > 30_000) candidates.push(large);
  return { ...offer, sdp: offer.sdp + "x".repeat(bytes - measured(offer).bytes) };
}

const withVideo: StandingOffer = {
  sdp: "v=0\r\nm=audio 9 RTP/AVP 0\r\nm=video 9 RTP/AVP 96\r\na=sendrecv\r\n",
  candidates: [],
};

type Begun = Extract<LoggedEvent, { type: "create-offer" | "wait-for-offer" }>;

export function describeStandby(name: string, open: OpenEngine) {
  function setUp(options: Partial<EngineOptions> = {}) {
    const system = createVirtualSystem();
    const engine = open(system, { ...engineOptions, skipCooldownMs: 0, ...options });
    const verbs = accountVerbs(engine);
    const { settled } = verbs;
    const standBy = async (caller: Caller, offer: StandingOffer | null, id?: string) =>
      settled(
        await engine.standby(id === undefined ? caller : { ...caller, mutationId: id }, offer),
      );

    /** The events that the log of a stream still has of those since it was opened. */
    async function sentTo(stream: Stream) {
      for (let after = stream.after; after < stream.after + 1000; after++) {
        const entries = await engine.read(stream, after);
        if (Array.isArray(entries))
          return entries.map(({ json }) => JSON.parse(json) as LoggedEvent);
      }
      throw new Error("its log must be readable");
    }
    async function lastRoomOf({ stream }: { stream: Stream }): Promise<Begun> {
      const events = await sentTo(stream);
      const begun = events.findLast(
        (event): event is Begun => event.type === "create-offer" || event.type === "wait-for-offer",
      );
      if (!begun) throw new Error("it must have been paired");
      return begun;
    }
    /** Whether the peer has a standing offer, by what a stranger gets that is paired with it. */
    async function offerOf(caller: Caller, wishes: Partial<Wishes> = {}) {
      const stranger = await verbs.enter(`stranger of ${caller.sessionId}`, undefined, wishes);
      expect(await verbs.pair(stranger, caller)).toBe(true);
      const begun = await lastRoomOf(stranger);
      return begun.type === "wait-for-offer" ? begun.offer : undefined;
    }
    return { system, engine, standBy, sentTo, lastRoomOf, offerOf, ...verbs };
  }

  describe(`standing offers: ${name}`, () => {
    describe("who is paired with one that has left an offer", () => {
      for (const chosen of ["the one with the offer", "the newcomer"] as const)
        test(`gets it, and is polite, whom the matcher had make the offer: ${chosen}`, async () => {
          const { enter, standBy, pair, lastRoomOf } = setUp();
          const alice = await enter("alice");
          expect(await standBy(alice, offerNamed("alice"))).toEqual({ kept: true });
          const bob = await enter("bob");
          const [one, other] = chosen === "the newcomer" ? [bob, alice] : [alice, bob];
          expect(await pair(one, other, "room")).toBe(true);
          const toAlice = await lastRoomOf(alice);
          const toBob = await lastRoomOf(bob);
          expect(toAlice).toMatchObject({ type: "create-offer", polite: false, standing: true });
          expect(toAlice).not.toContainKey("offer");
          expect(toBob).toMatchObject({ type: "wait-for-offer", polite: true });
          expect(toBob).toMatchObject({ roomId: "room", offer: offerNamed("alice") });
          expect(toBob).not.toContainKey("standing");
        });

      test("gets none if that is taken back, and then all is as without", async () => {
        const { enter, standBy, pair, lastRoomOf } = setUp();
        const alice = await enter("alice");
        await standBy(alice, offerNamed("alice"));
        expect(await standBy(alice, null)).toEqual({ kept: false });
        const bob = await enter("bob");
        expect(await pair(bob, alice)).toBe(true);
        const toBob = await lastRoomOf(bob);
        const toAlice = await lastRoomOf(alice);
        expect(toBob).toMatchObject({ type: "create-offer", polite: false });
        expect(toAlice).toMatchObject({ type: "wait-for-offer", polite: true });
        for (const event of [toBob, toAlice]) {
          expect(event).not.toContainKey("offer");
          expect(event).not.toContainKey("standing");
        }
      });

      test("gets the last one that it has left, once", async () => {
        const { engine, enter, standBy, pair, offerOf, lastRoomOf } = setUp();
        const alice = await enter("alice");
        for (const offer of ["one", "two", "three"]) await standBy(alice, offerNamed(offer));
        expect(await offerOf(alice)).toEqual(offerNamed("three"));
        // It skips, and has left none with its new ticket.
        await engine.end(alice, { ending: "skip" });
        const bob = await enter("bob");
        expect(await pair(bob, alice)).toBe(true);
        expect(await lastRoomOf(bob)).not.toContainKey("standing");
        expect(await lastRoomOf(alice)).not.toContainKey("offer");
      });

      for (const first of ["alice", "bob"])
        test(`gets that of the one that has waited for longer, if both have one: ${first}`, async () => {
          const { system, enter, standBy, pair, lastRoomOf } = setUp();
          const names = first === "alice" ? ["alice", "bob"] : ["bob", "alice"];
          const peers = new Map<string, Awaited<ReturnType<typeof enter>>>();
          for (const one of names) {
            peers.set(one, await enter(one));
            await system.advance(1000);
          }
          const [alice, bob] = [peers.get("alice"), peers.get("bob")];
          const [longer, shorter] = names.map((one) => peers.get(one));
          if (!alice || !bob || !longer || !shorter) throw new Error("both have entered");
          // The order in which they leave them does not matter.
          await standBy(bob, offerNamed("bob"));
          await standBy(alice, offerNamed("alice"));
          expect(await pair(alice, bob)).toBe(true);
          expect(await lastRoomOf(longer)).toMatchObject({ type: "create-offer", standing: true });
          const toShorter = await lastRoomOf(shorter);
          expect(toShorter).toMatchObject({ type: "wait-for-offer", offer: offerNamed(first) });
        });
    });

    test("a state has neither the offer nor that it stood, but a replay has what was sent", async () => {
      const { engine, enter, standBy, pair, settled, sentTo } = setUp();
      const alice = await enter("alice");
      await standBy(alice, offerNamed("alice"));
      const bob = await enter("bob");
      expect(await pair(bob, alice)).toBe(true);
      for (const tab of [alice, bob]) {
        const { sessionId, generation, stream } = tab;
        await engine.detach(stream);
        const request = { sessionId, generation, addressHash: `of ${sessionId}`, wake() {} };
        const back = settled(
          await engine.attach({
            ...request,
            position: { epoch: stream.epoch, offset: stream.after },
          }),
        );
        expect(back.recovered).toBe(true);
        const replayed = back.missed.map(({ json }) => JSON.parse(json) as LoggedEvent);
        const begun = replayed.find(({ type }) => type.endsWith("-offer"));
        if (tab === alice) expect(begun).toMatchObject({ type: "create-offer", standing: true });
        else expect(begun).toMatchObject({ type: "wait-for-offer", offer: offerNamed("alice") });
        const [session] = await sentTo(back.stream);
        expect(session).toMatchObject({ type: "session", state: { status: "paired" } });
        expect(session).not.toHaveProperty("state.offer");
        expect(session).not.toHaveProperty("state.standing");
      }
    });

    describe("is not kept", () => {
      const offer = offerNamed("alice");
      test("for a session that does not exist, is idle, is in a room, or is absent", async () => {
        const { engine, attach, enter, pair, standBy } = setUp();
        expect(await standBy({ sessionId: "nobody", generation: 1 }, offer)).toEqual({
          kept: false,
        });
        const idle = await attach("idle", undefined);
        expect(await standBy(idle, offer)).toEqual({ kept: false });
        const [alice, bob] = [await enter("alice"), await enter("bob")];
        await engine.detach(bob.stream);
        expect(await standBy(bob, offer)).toEqual({ kept: false });
        const carol = await enter("carol");
        expect(await pair(alice, carol)).toBe(true);
        expect(await standBy(alice, offer)).toEqual({ kept: false });
        expect(await standBy(alice, null)).toEqual({ kept: false });
      });

      test("for one that waits for text", async () => {
        const { enter, standBy, offerOf } = setUp();
        const alice = await enter("alice", undefined, { mode: "text" });
        expect(await standBy(alice, offer)).toEqual({ kept: false });
        expect(await standBy(alice, withVideo)).toEqual({ kept: false });
        expect(await offerOf(alice, { mode: "text" })).toBeUndefined();
      });

      test("for another tab that has lost the session", async () => {
        const { engine, enter, attach } = setUp();
        const lost = await enter("alice");
        const tab = await attach("alice", undefined);
        expect(tab.generation).toBeGreaterThan(lost.generation);
        expect(await engine.standby(lost, offer)).toMatchObject({ reason: "taken-over" });
      });
    });

    test("one with video is refused where only audio is waited for, and the one before stays", async () => {
      const { engine, enter, standBy, offerOf } = setUp();
      const alice = await enter("alice", undefined, { mode: "audio" });
      await standBy(alice, offerNamed("alice"));
      expect(await engine.standby(alice, withVideo)).toMatchObject({ reason: "wrong-mode" });
      const stopped = { ...withVideo, sdp: withVideo.sdp.replace("video 9", "video 0") };
      expect(await offerOf(alice, { mode: "audio" })).toEqual(offerNamed("alice"));
      const bob = await enter("bob", undefined, { mode: "audio" });
      expect(await standBy(bob, stopped)).toEqual({ kept: true });
      const carol = await enter("carol", undefined, { mode: "video" });
      expect(await standBy(carol, withVideo)).toEqual({ kept: true });
    });

    test("is not used where only the partner hides its address", async () => {
      const { engine, enter, standBy, offerOf } = setUp();
      for (const [own, partners, isUsed] of [
        [false, true, false],
        [true, true, true],
        [true, false, true],
      ] as const) {
        const name = `alice ${own} ${partners}`;
        const alice = await enter(name, undefined, { relayOnly: own });
        expect(await standBy(alice, offerNamed(name))).toEqual({ kept: true });
        const offer = await offerOf(alice, { relayOnly: partners });
        expect(offer).toEqual(isUsed ? offerNamed(name) : undefined);
        await engine.end(alice, { ending: "leave" });
      }
    });

    type World = ReturnType<typeof setUp>;
    type Tab = Awaited<ReturnType<World["enter"]>>;
    const back = async ({ engine, settled }: World, { sessionId, generation, stream }: Tab) => {
      const position = { epoch: stream.epoch, offset: stream.after };
      const addressHash = "another address";
      settled(await engine.attach({ sessionId, generation, position, addressHash, wake() {} }));
    };
    const losses: Record<string, (world: World, tab: Tab) => Promise<unknown>> = {
      "it leaves and joins again": async ({ engine }, tab) => {
        await engine.end(tab, { ending: "leave" });
        await engine.enqueue(tab);
      },
      "it comes to wait for another mode, also if it changes back": async ({ engine }, tab) => {
        await engine.enqueue(tab, { ...defaultWishes, mode: "audio" });
        await engine.enqueue(tab, defaultWishes);
      },
      "it comes to hide its address": ({ engine }, tab) =>
        Promise.resolve(engine.enqueue(tab, { ...defaultWishes, relayOnly: true })),
      "it is absent, also if it comes back": async (world, tab) => {
        await world.engine.detach(tab.stream);
        await back(world, tab);
      },
      "another tab takes it over": ({ attach }, { sessionId }) => attach(sessionId, undefined),
      "it is suspended, also if that is lifted": async ({ engine }, tab) => {
        const subject = { kind: "session", id: tab.sessionId } as const;
        await engine.suspend(subject, engine.now() + 60_000);
        await engine.lift(subject);
        await engine.enqueue(tab);
      },
      "its grace expires": async ({ system, engine, attach }, tab) => {
        await engine.detach(tab.stream);
        await system.advance(engineOptions.graceMs + 1);
        await engine.sweep();
        const { sessionId } = tab;
        await engine.enqueue(await attach(sessionId, undefined));
      },
    };
    for (const [loss, happens] of Object.entries(losses))
      test(`is dropped when ${loss}`, async () => {
        const world = setUp();
        const alice = await world.enter("alice");
        expect(await world.standBy(alice, offerNamed("alice"))).toEqual({ kept: true });
        await happens(world, alice);
        expect(await world.offerOf(alice)).toBeUndefined();
      });

    const keeping: Record<string, (world: World, tab: Tab) => Promise<unknown>> = {
      "other interests": ({ engine }, tab) =>
        Promise.resolve(engine.enqueue(tab, { ...defaultWishes, languages: ["de"] })),
      "another lobby, and back": async ({ engine }, tab) => {
        await engine.enqueue(tab, { ...defaultWishes, lobby: "other" });
        await engine.enqueue(tab, defaultWishes);
      },
      "a further stream of its own tab": back,
      "nothing but time": async ({ system, engine }) => {
        await system.advance(engineOptions.relax.anybodyAfterMs + 1);
        await engine.sweep();
      },
    };
    for (const [what, happens] of Object.entries(keeping))
      test(`stays through ${what}`, async () => {
        const world = setUp();
        const alice = await world.enter("alice", undefined, { languages: ["en"] });
        await world.standBy(alice, offerNamed("alice"));
        await happens(world, alice);
        await world.system.advance(engineOptions.relax.anybodyAfterMs + 1);
        await world.engine.sweep();
        expect(await world.offerOf(alice)).toEqual(offerNamed("alice"));
      });

    test("a call is carried out once by its id: repeated later it is answered the same, and brings nothing back", async () => {
      const { engine, enter, standBy, offerOf } = setUp();
      const alice = await enter("alice");
      expect(await standBy(alice, offerNamed("one"), "1")).toEqual({ kept: true });
      expect(await standBy(alice, offerNamed("two"), "2")).toEqual({ kept: true });
      expect(await standBy(alice, offerNamed("one"), "1")).toEqual({ kept: true });
      expect(await standBy(alice, null, "1")).toEqual({ kept: true });
      expect(await offerOf(alice)).toEqual(offerNamed("two"));
      await engine.end(alice, { ending: "leave" });
      await engine.enqueue(alice);
      expect(await standBy(alice, offerNamed("two"), "2")).toEqual({ kept: true });
      const bob = await enter("bob");
      expect(await offerOf(bob)).toBeUndefined();
      await engine.end({ sessionId: "stranger of bob", generation: 1 }, { ending: "leave" });
      expect(await offerOf(alice)).toBeUndefined();
    });

    describe("the bytes that are kept are bounded", () => {
      const kilobyte = (of: string) => offerNamed(of, 1000);
      const full = { kept: false, full: true } as const;
      test("of an address: one more is not kept, nor the one before, until another one is gone", async () => {
        const { engine, enter, standBy, offerOf } = setUp({
          standby: { bytesMax: 0, bytesPerAddressMax: 3000 },
        });
        const network = "network~ address";
        const peers: Tab[] = [];
        for (let n = 0; n < 6; n++) peers.push(await enter(`peer ${n}`, undefined, { network }));
        const [one, two, three, four] = peers;
        if (!one || !two || !three || !four) throw new Error("there are six");
        for (const { sessionId, ...peer } of [one, two, three])
          expect(await standBy({ sessionId, ...peer }, kilobyte(sessionId))).toEqual({
            kept: true,
          });
        expect(await standBy(four, kilobyte("four"))).toEqual(full);
        expect(await standBy(four, offerNamed("four"))).toEqual(full);
        // Replaced, it counts once.
        expect(await standBy(one, kilobyte("again"))).toEqual({ kept: true });
        expect(await standBy(one, offerNamed("more", 1001))).toEqual(full);
        expect(await offerOf(one)).toBeUndefined();
        // Another address has its own bound, and the one that was not kept left room.
        const other = await enter("other");
        expect(await standBy(other, kilobyte("other"))).toEqual({ kept: true });
        expect(await standBy(four, kilobyte("four"))).toEqual({ kept: true });
        expect(await offerOf(two)).toEqual(kilobyte("peer 1"));
        await engine.end(three, { ending: "leave" });
        for (const peer of peers.slice(4))
          expect(await standBy(peer, kilobyte("last"))).toEqual({ kept: true });
      });

      test("of all addresses together, whoever calls at the same time", async () => {
        const { enter, standBy, engine } = setUp({
          standby: { bytesMax: 5000, bytesPerAddressMax: 0 },
        });
        const peers: Tab[] = [];
        for (let n = 0; n < 20; n++) peers.push(await enter(`peer ${n}`));
        const left = await Promise.all(
          peers.map((peer) => standBy(peer, kilobyte(peer.sessionId))),
        );
        expect(left.filter(({ kept }) => kept)).toHaveLength(5);
        await Promise.all(peers.map((peer) => engine.detach(peer.stream)));
        const more: Tab[] = [];
        for (let n = 0; n < 6; n++) more.push(await enter(`later ${n}`));
        for (const [n, peer] of more.entries())
          expect(await standBy(peer, kilobyte("later"))).toEqual(n < 5 ? { kept: true } : full);
      });

      test("0: there is no bound", async () => {
        const { enter, standBy } = setUp({ standby: { bytesMax: 0, bytesPerAddressMax: 0 } });
        for (let n = 0; n < 8; n++) {
          const peer = await enter(`peer ${n}`, undefined, { network: "network~ address" });
          expect(await standBy(peer, offerNamed("large", 40_960))).toEqual({ kept: true });
        }
      });
    });

    for (const signals of [6, 7])
      test(`counts in the bound of the log: 40 KiB and ${signals} signals of 32 KiB are ${signals < 7 ? "" : "not "}replayed`, async () => {
        const { engine, enter, standBy, pair, settled } = setUp();
        const alice = await enter("alice");
        await standBy(alice, offerNamed("alice", 40_960));
        const bob = await enter("bob");
        expect(await pair(bob, alice, "room")).toBe(true);
        await engine.detach(bob.stream);
        const signal = (n: number) =>
          JSON.stringify({ type: "offer", roomId: "room", sdp: `${n}`.padEnd(32_000, "x") });
        for (let n = 0; n < signals; n++)
          expect(await engine.send(alice, "room", signal(n))).toBe(true);
        const { sessionId, generation, stream } = bob;
        const position = { epoch: stream.epoch, offset: stream.after };
        const addressHash = "address of bob";
        const request = { sessionId, generation, position, addressHash, wake() {} };
        expect(settled(await engine.attach(request)).recovered).toBe(signals < 7);
      });

    describe("two who meet again", () => {
      for (const mode of ["video", "audio"] as const)
        test(`use one of an offer that was left in their room's mode, not in another one: ${mode}`, async () => {
          const { engine, enter, standBy, pair, settled, lastRoomOf } = setUp();
          const [alice, bob] = [await enter("alice"), await enter("bob")];
          expect(await pair(alice, bob, "room")).toBe(true);
          await engine.end(alice, { ending: "leave", roomId: "room" });
          await engine.end(bob, { ending: "leave" });
          settled(await engine.enqueue(bob, { ...defaultWishes, mode }));
          expect(await standBy(bob, offerNamed("bob"))).toEqual({ kept: true });
          settled(await engine.again(alice, "room", "id of alice"));
          expect(settled(await engine.again(bob, "room", "id of bob"))).toMatchObject({
            status: "paired",
          });
          const [toAlice, toBob] = [await lastRoomOf(alice), await lastRoomOf(bob)];
          if (mode === "video") {
            expect(toAlice).toMatchObject({ type: "wait-for-offer", offer: offerNamed("bob") });
            expect(toBob).toMatchObject({ type: "create-offer", standing: true });
          } else {
            expect(toAlice).not.toContainKey("offer");
            expect(toBob).not.toContainKey("standing");
          }
        });
    });
  });
}
