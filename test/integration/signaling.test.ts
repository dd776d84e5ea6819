import { describe, expect, test } from "bun:test";
import { isRejection } from "../../src/domain/rejection.ts";
import { defaultWishes } from "../../src/domain/ticket.ts";
import type { Delivery } from "../../src/signaling/event-streams.ts";
import { everyEngine } from "../support/engines.ts";
import { override } from "../support/override.ts";
import { createWorld, type OpenEngine, type Peer, type WorldOptions } from "../support/world.ts";

const minuteMs = 60_000;

/** Alice and Bob in one room. */
async function pairOf(options?: WorldOptions) {
  const world = createWorld(options);
  const alice = await world.connect("Alice");
  const bob = await world.connect("Bob");
  await alice.join();
  await bob.join();
  return { ...world, alice, bob, roomId: alice.roomId() };
}

const reasonOf = (answer: unknown) => (isRejection(answer) ? answer.reason : answer);

for (const [where, open] of Object.entries(await everyEngine(7))) {
  describe(`signaling ${where}`, () => {
    describe("the defects of the systems it replaces", () => {
      test("one who leaves the lobby empties it for nobody else", async () => {
        const { connect } = createWorld({ open });
        const [alice, bob, carol, dave] = (await Promise.all(
          ["Alice", "Bob", "Carol", "Dave"].map((name) => connect(name)),
        )) as [Peer, Peer, Peer, Peer];
        // Four different modes' worth of waiting: nobody is paired with anybody yet.
        await alice.join({ interests: ["a"] });
        await bob.join({ interests: ["b"] });
        await carol.join({ interests: ["c"] });
        expect(await bob.leave()).toBe("idle");
        expect(await dave.join({ interests: ["c"] })).toBe("paired");
        expect(dave.roomId()).toBe(carol.roomId());
        const erin = await connect("Erin");
        expect(await erin.join({ interests: ["a"] })).toBe("paired");
        expect(erin.roomId()).toBe(alice.roomId());
      });

      test("the one who has waited longest is paired first, not the newest", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        await alice.join({ interests: ["jazz"] });
        await world.advance(5000);
        const bob = await world.connect("Bob");
        await bob.join({ interests: ["chess"] });
        await world.advance(100);
        const carol = await world.connect("Carol");
        await carol.join({ interests: ["jazz", "chess"] });
        expect(carol.roomId()).toBe(alice.roomId());
        expect(bob.types()).toEqual(["session", "lobby"]);
      });

      test("exactly one of the two is told to make the offer", async () => {
        const { alice, bob } = await pairOf({ open });
        const roles = [...alice.types(), ...bob.types()].filter((type) => type.includes("offer"));
        expect(roles.sort()).toEqual(["create-offer", "wait-for-offer"]);
        expect(alice.last("wait-for-offer")?.polite).toBe(true);
        expect(bob.last("create-offer")?.polite).toBe(false);
      });

      test("nobody outside a room can signal into it, and is told nothing about it", async () => {
        const { connect, signaling, alice, bob, roomId } = await pairOf({ open });
        const mallory = await connect("Mallory");
        const before = [...alice.types(), ...bob.types()];
        for (const room of [roomId, "1", "2", "no such room"])
          expect(
            reasonOf(
              await signaling.send(mallory.caller, { type: "offer", roomId: room, sdp: "v=0" }),
            ),
          ).toBe("not-in-room");
        expect([...alice.types(), ...bob.types()]).toEqual(before);
      });

      test("a partner who vanishes is noticed at once, and lost after the grace", async () => {
        const { advance, alice, bob, roomId, system } = await pairOf({ open });
        const droppedAt = system.now();
        await alice.drop();
        expect(bob.last("partner-reconnecting")).toEqual({
          type: "partner-reconnecting",
          roomId,
          deadline: droppedAt + 15_000,
        });
        await advance(14_999);
        expect(bob.types()).not.toContain("partner-disconnected");
        await advance(1);
        expect(bob.last("partner-disconnected")).toEqual({
          type: "partner-disconnected",
          roomId,
          reason: "lost",
        });
        expect(bob.types().at(-1)).toBe("lobby");
      });

      test("nobody is paired with himself in two tabs", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        expect(await alice.join()).toBe("waiting");
        await alice.comeBack({ lastEventId: undefined }); // the second tab, same token
        expect(await alice.join()).toBe("waiting");
        await world.advance(minuteMs);
        expect(alice.types()).not.toContain("create-offer");
        expect(alice.types()).not.toContain("wait-for-offer");
      });
    });

    describe("join", () => {
      test("pairs at once when somebody fitting waits", async () => {
        const { alice, bob } = await pairOf({ open });
        expect(alice.types()).toEqual(["session", "lobby", "wait-for-offer"]);
        expect(bob.types()).toEqual(["session", "lobby", "create-offer"]);
        expect(alice.roomId()).toBe(bob.roomId());
      });

      test("is refused without an open events stream", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        await alice.drop();
        expect(await alice.join()).toBe("not-subscribed");
        expect(await alice.skip()).toBe("not-subscribed");
      });

      test("again while waiting updates the wishes and keeps the place", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        await alice.join({ interests: ["chess"] });
        expect(await alice.join({ interests: ["jazz"] })).toBe("waiting");
        expect(alice.types()).toEqual(["session", "lobby"]);
        const bob = await world.connect("Bob");
        expect(await bob.join({ interests: ["jazz"] })).toBe("paired");
      });

      test("while paired changes nothing", async () => {
        const { alice, bob } = await pairOf({ open });
        const before = bob.types();
        expect(await alice.join({ mode: "text" })).toBe("paired");
        expect(bob.types()).toEqual(before);
      });

      test("never pairs across modes", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        const bob = await world.connect("Bob");
        await alice.join({ mode: "text" });
        expect(await bob.join({ mode: "video" })).toBe("waiting");
        await world.advance(10 * minuteMs);
        expect(bob.types()).toEqual(["session", "lobby"]);
      });

      test("with relayOnly is refused where there is no TURN server", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        expect(await alice.join({ relayOnly: true })).toBe("relay-unavailable");
        const relayed = createWorld({
          open,
          ice: { turnUrls: ["turn:turn.example"], turnSecret: "0123456789abcdef" },
        });
        const carol = await relayed.connect("Carol");
        const dave = await relayed.connect("Dave");
        await carol.join({ relayOnly: true });
        await dave.join();
        expect(dave.last("create-offer")).toMatchObject({ relayOnly: true });
        expect(carol.last("wait-for-offer")).toMatchObject({ relayOnly: true });
      });
    });

    describe("again", () => {
      test("undoes a skip once both have asked, and is written down", async () => {
        const { advance, logged, connect, signaling, alice, bob, roomId } = await pairOf({ open });
        expect(await alice.skip(roomId)).toBe("waiting");
        const told = bob.told.length;
        expect(await alice.again(roomId)).toBe("waiting");
        await advance(minuteMs);
        expect(bob.told.length).toBe(told);
        expect(await bob.again(roomId)).toBe("paired");
        const room = alice.roomId();
        expect(room).not.toBe(roomId);
        expect(bob.types(told)).toEqual(["create-offer"]);
        const sessions = ["Bob_", "Alic"];
        expect(logged).toContainEqual({
          what: "met again",
          fields: { room, sessions, mode: "video" },
        });
        const signal = { type: "offer", roomId: room, sdp: "v=0" } as const;
        expect(await signaling.send(bob.caller, signal)).toEqual({ delivered: true });
        // Nobody else has anything to do with it.
        const carol = await connect("Carol");
        expect(await carol.again(roomId)).toBe("not-in-room");
        expect(await carol.join()).toBe("waiting");
      });

      test("comes before whoever waits, when the room that one is in ends", async () => {
        const { advance, connect, signaling, alice, bob, roomId } = await pairOf({ open });
        await alice.skip(roomId);
        const carol = await connect("Carol");
        await carol.join();
        const other = carol.roomId();
        const [inRoom, waiting] = alice.roomId() === other ? [alice, bob] : [bob, alice];
        expect(await inRoom.again(roomId)).toBe("paired");
        expect(await waiting.again(roomId)).toBe("waiting");
        const dave = await connect("Dave");
        await dave.join({ interests: ["patience"] });
        expect((await signaling.failed(carol.caller, other)) as object).toEqual({
          status: "waiting",
        });
        await advance(0);
        expect(inRoom.roomId()).not.toBe(other);
        expect(waiting.roomId()).toBe(inRoom.roomId());
      });
    });

    describe("skip", () => {
      test("ends the room, and the two do not meet until the cooldown is over", async () => {
        const { advance, alice, bob, roomId } = await pairOf({ open });
        expect(await alice.skip(roomId)).toBe("waiting");
        expect(bob.last("partner-disconnected")?.reason).toBe("skipped");
        expect(bob.types().at(-1)).toBe("lobby");
        await advance(5 * minuteMs - 1);
        expect(bob.roomId()).toBe(roomId);
        // Only time passes, nobody does anything.
        await advance(1);
        expect(bob.roomId()).not.toBe(roomId);
        expect(alice.roomId()).toBe(bob.roomId());
      });

      test("finds somebody else meanwhile", async () => {
        const { connect, alice, bob, roomId } = await pairOf({ open });
        const carol = await connect("Carol");
        await carol.join();
        expect(await alice.skip(roomId)).toBe("waiting");
        // Bob keeps his place and so goes first.
        expect(carol.roomId()).toBe(bob.roomId());
      });

      test("naming another room changes nothing", async () => {
        const { alice, bob, roomId } = await pairOf({ open });
        expect(await alice.skip("another room")).toBe("paired");
        expect(bob.roomId()).toBe(roomId);
        expect(bob.types()).not.toContain("partner-disconnected");
      });

      test("while waiting changes nothing; while idle it joins with the last wishes", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        await alice.join({ mode: "text" });
        expect(await alice.skip()).toBe("waiting");
        await alice.leave();
        expect(await alice.skip()).toBe("waiting");
        const bob = await world.connect("Bob");
        expect(await bob.join({ mode: "text" })).toBe("paired");
      });

      test("by both at once ends the room once", async () => {
        const { alice, bob, roomId } = await pairOf({ open });
        await Promise.all([alice.skip(roomId), bob.skip(roomId)]);
        const ends = [...alice.types(), ...bob.types()].filter((t) => t === "partner-disconnected");
        expect(ends).toHaveLength(1);
      });

      test("with a cooldown of 0 lets the two meet again", async () => {
        const { alice, bob, roomId } = await pairOf({ open, skipCooldownMs: 0 });
        expect(await alice.skip(roomId)).toBe("paired");
        expect(alice.roomId()).toBe(bob.roomId());
        expect(alice.roomId()).not.toBe(roomId);
      });
    });

    describe("signals", () => {
      test("reach the partner, in order, and nobody else", async () => {
        const { system, connect, signaling, alice, bob, roomId } = await pairOf({ open });
        const carol = await connect("Carol");
        const from = alice.told.length;
        await signaling.send(bob.caller, { type: "offer", roomId, sdp: "offer" });
        for (const candidate of ["1", "2", ""])
          await signaling.send(bob.caller, {
            type: "add-ice-candidate",
            roomId,
            candidate: { candidate },
          });
        await signaling.send(alice.caller, { type: "answer", roomId, sdp: "answer" });
        await system.settled();
        expect(alice.told.slice(from).map(({ event }) => event)).toEqual([
          { type: "offer", roomId, sdp: "offer" },
          { type: "add-ice-candidate", roomId, candidate: { candidate: "1" } },
          { type: "add-ice-candidate", roomId, candidate: { candidate: "2" } },
          { type: "add-ice-candidate", roomId, candidate: { candidate: "" } },
        ]);
        expect(bob.types().at(-1)).toBe("answer");
        expect(carol.types()).toEqual(["session"]);
      });

      test("into a room that has just ended are a race, not a violation", async () => {
        const { signaling, alice, bob, roomId } = await pairOf({ open });
        await alice.leave();
        for (const peer of [alice, bob])
          expect(await signaling.send(peer.caller, { type: "offer", roomId, sdp: "late" })).toEqual(
            {
              delivered: false,
            },
          );
      });

      test("with the same id are done once and answered alike", async () => {
        const { system, signaling, alice, bob, roomId } = await pairOf({ open });
        const caller = { ...bob.caller, mutationId: "offer 1" };
        const signal = { type: "offer", roomId, sdp: "once" } as const;
        expect(await signaling.send(caller, signal)).toEqual({ delivered: true });
        expect(await signaling.send(caller, signal)).toEqual({ delivered: true });
        await system.settled();
        expect(alice.types().filter((type) => type === "offer")).toHaveLength(1);
      });
    });

    describe("a room of peers who hide their addresses", () => {
      const ice = { turnUrls: ["turn:turn.example"], turnSecret: "0123456789abcdef" };
      const typed = (type: string, rest = "") => ({
        candidate: `candidate:1 1 udp 1 203.0.113.7 5000 typ ${type}${rest}`,
        sdpMid: "0",
      });

      test("lets through what is relayed, without a word of where from, and drops the rest alike", async () => {
        const world = createWorld({ open, ice });
        const alice = await world.connect("Alice");
        const bob = await world.connect("Bob");
        await alice.join({ relayOnly: true });
        await bob.join();
        const roomId = alice.roomId();
        const send = (candidate: { candidate: string }) =>
          world.signaling.send(bob.caller, { type: "add-ice-candidate", roomId, candidate });
        const from = alice.told.length;
        for (const type of ["host", "srflx", "prflx"])
          expect(await send(typed(type))).toEqual({ delivered: true });
        expect(await send(typed("relay", " raddr 192.168.1.2 rport 4000"))).toEqual({
          delivered: true,
        });
        expect(await send({ candidate: "" })).toEqual({ delivered: true });
        await world.system.settled();
        const told = JSON.stringify(alice.told.slice(from));
        expect(alice.types(from)).toEqual(["add-ice-candidate", "add-ice-candidate"]);
        expect(told).toContain("typ relay");
        expect(told).not.toContain("192.168.1.2");

        const mallory = await world.connect("Mallory");
        const signal = { type: "add-ice-candidate", roomId, candidate: typed("host") } as const;
        expect(reasonOf(await world.signaling.send(mallory.caller, signal))).toBe("not-in-room");
        await bob.leave();
        expect(await send(typed("host"))).toEqual({ delivered: false });
      });
    });

    describe("intents with the same id", () => {
      test("are answered as the first time, though the world has moved on", async () => {
        const { signaling, connect, alice, bob, roomId } = await pairOf({ open });
        const caller = { ...alice.caller, mutationId: "skip 1" };
        expect(await signaling.skip(caller, roomId)).toEqual({ status: "waiting" });
        const carol = await connect("Carol");
        const dave = await connect("Dave");
        await carol.join();
        await dave.join();
        const [first, second] = [alice.roomId(), bob.roomId()];
        expect(await signaling.skip(caller, roomId)).toEqual({ status: "waiting" });
        expect([alice.roomId(), bob.roomId()]).toEqual([first, second]);
      });

      test("a join that paired says so again", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        const bob = await world.connect("Bob");
        await alice.join();
        const caller = { ...bob.caller, mutationId: "join 1" };
        const wishes = { ...defaultWishes, interests: [], languages: [] };
        expect(await world.signaling.join(caller, wishes)).toEqual({ status: "paired" });
        await bob.leave();
        expect(await world.signaling.join(caller, wishes)).toEqual({ status: "paired" });
        expect(await world.signaling.stats()).toMatchObject({ rooms: { video: 0 } });
      });
    });

    describe("leave", () => {
      test("is told to the partner, who waits again if it wished so", async () => {
        const { alice, bob } = await pairOf({ open });
        expect(await alice.leave()).toBe("idle");
        expect(bob.last("partner-disconnected")?.reason).toBe("left");
        expect(bob.types().at(-1)).toBe("lobby");
      });

      test("leaves a partner without autoRejoin idle", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        const bob = await world.connect("Bob");
        await alice.join({ autoRejoin: false });
        await bob.join();
        await bob.leave();
        expect(alice.types().at(-1)).toBe("partner-disconnected");
        expect(await alice.join()).toBe("waiting");
      });

      test("by one who waits nowhere is no error", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        expect(await alice.leave()).toBe("idle");
      });
    });

    describe("connected and failed", () => {
      test("a call that never came about ends for both, at the front, with the cooldown", async () => {
        const { system, advance, connect, signaling, alice, bob, roomId } = await pairOf({ open });
        expect(await signaling.failed(alice.caller, roomId)).toEqual({ status: "waiting" });
        await system.settled();
        expect(bob.last("partner-disconnected")?.reason).toBe("connect-failed");
        await advance(minuteMs);
        expect(alice.roomId()).toBe(roomId);
        const carol = await connect("Carol");
        await carol.join();
        expect([alice.roomId(), bob.roomId()]).toContain(carol.roomId());
      });

      test("after connected, failed counts as a skip", async () => {
        const { system, signaling, alice, bob, roomId } = await pairOf({ open });
        expect(await signaling.connected(bob.caller, roomId)).toEqual({ status: "paired" });
        await signaling.failed(alice.caller, roomId);
        await system.settled();
        expect(bob.last("partner-disconnected")?.reason).toBe("skipped");
      });

      test("about somebody else's room are refused", async () => {
        const { connect, signaling, roomId, bob } = await pairOf({ open });
        const mallory = await connect("Mallory");
        expect(reasonOf(await signaling.connected(mallory.caller, roomId))).toBe("not-in-room");
        expect(reasonOf(await signaling.failed(mallory.caller, roomId))).toBe("not-in-room");
        expect(bob.types()).not.toContain("partner-disconnected");
      });
    });

    describe("report and block", () => {
      for (const kind of ["report", "block"] as const) {
        test(`${kind} ends the room and the two never meet again`, async () => {
          const { system, advance, logged, signaling, alice, bob, roomId } = await pairOf({ open });
          expect(await signaling[kind](alice.caller, roomId)).toMatchObject({ accepted: true });
          await system.settled();
          expect(bob.last("partner-disconnected")?.reason).toBe("left");
          expect(logged.map(({ what }) => what)).toContain(`${kind}ed`);
          await advance(60 * minuteMs);
          expect(bob.roomId()).toBe(roomId);
          expect(alice.roomId()).toBe(roomId);
        });
      }

      test("work for one of the last rooms, and leave the current one alone", async () => {
        const { connect, signaling, alice, bob, roomId } = await pairOf({
          open,
          skipCooldownMs: 0,
        });
        await bob.leave();
        const carol = await connect("Carol");
        await carol.join();
        expect(carol.roomId()).toBe(alice.roomId());
        expect(await signaling.block(alice.caller, roomId)).toEqual({ accepted: true });
        expect(carol.types()).not.toContain("partner-disconnected");
        await carol.leave();
        expect(await bob.join()).toBe("waiting");
      });

      test("are refused for a room one was never in", async () => {
        const { connect, signaling, roomId } = await pairOf({ open });
        const mallory = await connect("Mallory");
        expect(reasonOf(await signaling.report(mallory.caller, roomId))).toBe("not-in-room");
      });
    });

    describe("sessions", () => {
      test("a drop shorter than the grace loses nothing", async () => {
        const { advance, signaling, alice, bob, roomId } = await pairOf({ open });
        await alice.drop();
        await signaling.send(bob.caller, { type: "offer", roomId, sdp: "while away" });
        await advance(10_000);
        const from = alice.told.length;
        await alice.comeBack();
        expect(alice.types(from)).toEqual(["offer", "session"]);
        expect(alice.last("session")).toMatchObject({
          resumed: true,
          state: { status: "paired", partner: "here", roomId, polite: true },
        });
        expect(bob.types().slice(-2)).toEqual(["partner-reconnecting", "partner-reconnected"]);
        await advance(minuteMs);
        expect(bob.types()).not.toContain("partner-disconnected");
      });

      test("a position that no log gave out gets resync with the state", async () => {
        const { alice, roomId } = await pairOf({ open });
        await alice.drop();
        const from = alice.told.length;
        await alice.comeBack({ lastEventId: "garbage" });
        expect(alice.types(from)).toEqual(["session", "resync"]);
        expect(alice.last("session")?.resumed).toBe(false);
        expect(alice.last("resync")?.state).toMatchObject({ status: "paired", roomId });
      });

      test("a ticket is held, not matched, while its owner is away", async () => {
        const world = createWorld({ open });
        const alice = await world.connect("Alice");
        await alice.join();
        await alice.drop();
        const bob = await world.connect("Bob");
        expect(await bob.join()).toBe("waiting");
        await alice.comeBack();
        expect(alice.roomId()).toBe(bob.roomId());
      });

      test("another tab takes the session over, and the first one's calls are refused", async () => {
        const { signaling, alice, bob, roomId } = await pairOf({ open });
        const firstTab = alice.caller;
        await alice.comeBack({ lastEventId: undefined });
        expect(alice.last("session")).toMatchObject({ resumed: false, state: { roomId } });
        expect(reasonOf(await signaling.leave(firstTab))).toBe("taken-over");
        expect(reasonOf(await signaling.send(firstTab, { type: "offer", roomId, sdp: "x" }))).toBe(
          "taken-over",
        );
        expect(bob.types()).toEqual(["session", "lobby", "create-offer"]);
      });

      test("the hand-over of one tab from socket to socket is noticed by nobody", async () => {
        const { advance, signaling, alice, bob, roomId } = await pairOf({ open });
        const before = bob.types();
        const { caller } = alice;
        const deliveries: Delivery[] = [];
        const stream = signaling.events({
          known: caller,
          newSessionId: "",
          graceMsMax: () => Number.POSITIVE_INFINITY,
          addressHash: "",
          lastEventId: alice.told.at(-1)?.id,
          onIdentified: () => {},
          deliver: (delivery) => deliveries.push(delivery),
        });
        await advance(0);
        expect(deliveries).toMatchObject([{ event: { type: "session", resumed: true } }]);
        await alice.drop();
        expect(reasonOf(await signaling.connected(caller, roomId))).toEqual({ status: "paired" });
        await advance(minuteMs);
        expect(bob.types()).toEqual(before);
        stream.close();
      });

      test("two who are both away are both lost, each told of nothing twice", async () => {
        const { advance, alice, bob, signaling } = await pairOf({ open });
        await alice.drop();
        await bob.drop();
        await advance(minuteMs);
        expect(await signaling.stats()).toEqual({
          online: 0,
          waiting: { video: 0, audio: 0, text: 0 },
          rooms: { video: 0, audio: 0, text: 0 },
        });
        await bob.comeBack();
        expect(bob.types().slice(-2)).toEqual(["session", "resync"]);
        expect(bob.last("resync")?.state).toEqual({ status: "idle" });
      });
    });

    test("a policy that throws strands nobody: it is asked again", async () => {
      let broken = true;
      const world = createWorld({
        open,
        tolerateBugs: true,
        policy: (_, candidates) => {
          if (broken) throw new Error("a bug of the operator's");
          return candidates[0];
        },
      });
      const alice = await world.connect("Alice");
      const bob = await world.connect("Bob");
      await alice.join();
      expect(await bob.join()).toBe("waiting");
      broken = false;
      await world.advance(1000);
      expect(alice.roomId()).toBe(bob.roomId());
    });

    test("an earlier deadline that rings during a sweep is kept", async () => {
      const held: (() => void)[] = [];
      let holding = false;
      const slow: OpenEngine = (system, options) => {
        const engine = open(system, options);
        return override(engine, {
          async sweep() {
            const answer = await engine.sweep();
            if (holding) await new Promise<void>((resolve) => held.push(resolve));
            return answer;
          },
        });
      };
      const { advance, alice, bob, connect } = await pairOf({ open: slow });
      // A deadline that is later than all that follows: the sweep will name it as the next.
      const [dave, erin] = [await connect("Dave"), await connect("Erin")];
      await dave.join({ mode: "text" });
      await erin.join({ mode: "text" });
      await dave.skip();
      // Carol's wish relaxes, and while that sweep's answer is on its way, Alice drops.
      const carol = await connect("Carol");
      await carol.join({ interests: ["jazz"] });
      holding = true;
      await advance(10_000);
      await alice.drop();
      holding = false;
      for (const release of held) release();
      await advance(15_000);
      expect(bob.last("partner-disconnected")?.reason).toBe("lost");
    });

    test("stats count who is online, waits, and is in a room", async () => {
      const { connect, signaling, alice } = await pairOf({ open });
      const carol = await connect("Carol");
      await carol.join({ mode: "text" });
      expect(await signaling.stats()).toEqual({
        online: 3,
        waiting: { video: 0, audio: 0, text: 1 },
        rooms: { video: 1, audio: 0, text: 0 },
      });
      await alice.drop();
      expect(await signaling.stats()).toMatchObject({ online: 2 });
    });

    test("TURN credentials go only to who is paired, and are made anew on resume", async () => {
      const ice = { turnUrls: ["turn:turn.example"], turnSecret: "0123456789abcdef" };
      const { advance, connect, signaling, alice } = await pairOf({ open, ice });
      const carol = await connect("Carol");
      const urls = async (caller: Peer["caller"] | undefined) => {
        const answer = await signaling.iceServers(caller, "an address");
        return isRejection(answer) ? [] : answer.iceServers.flatMap(({ urls }) => urls);
      };
      expect(await urls(carol.caller)).toEqual(["stun:stun.example"]);
      expect(await urls(undefined)).toEqual(["stun:stun.example"]);
      expect(await urls(alice.caller)).toEqual(["stun:stun.example", "turn:turn.example"]);
      await alice.drop();
      await advance(10_000);
      await alice.comeBack();
      const state = alice.last("session")?.state;
      const at = (ms: number): unknown =>
        expect.stringMatching(new RegExp(`^${Math.floor(ms / 1000) + 300}:[\\w-]{16}$`));
      expect(state).toMatchObject({ iceServers: [{}, { username: at(1_010_000) }] });
      expect(alice.last("wait-for-offer")).toMatchObject({
        iceServers: [{}, { username: at(1_000_000) }],
      });
    });
  });
}
