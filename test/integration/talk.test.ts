/** What two members of a room tell each other through the server besides signals, on each engine: nothing lost, twice or out of order. */
import { describe, expect, test } from "bun:test";
import { isRejection } from "../../src/domain/rejection.ts";
import { limits, type Mode } from "../../src/protocol.ts";
import { everyEngine } from "../support/engines.ts";
import { createWorld, type Peer, type WorldOptions } from "../support/world.ts";

const json = JSON.stringify;
const reasonOf = (answer: unknown) => (isRejection(answer) ? answer.reason : answer);

/** Alice and Bob in one room. */
async function pairOf({ mode = "text", ...options }: WorldOptions & { mode?: Mode } = {}) {
  const world = createWorld(options);
  const alice = await world.connect("Alice");
  const bob = await world.connect("Bob");
  await alice.join({ mode });
  await bob.join({ mode });
  const { talk } = world.signaling;
  const roomId = alice.roomId();
  const say = async (who: Peer, text: string, mutationId?: string) => {
    const answer = await talk.say({ ...who.caller, mutationId }, roomId, json(text));
    await world.system.settled();
    return answer;
  };
  return { ...world, talk, alice, bob, roomId, say };
}

const textsOf = (peer: Peer) =>
  peer.told.flatMap(({ event }) => (event.type === "message" ? event.text : []));
const talkOf = (peer: Peer) =>
  peer.told.flatMap(({ event }) => {
    if (event.type === "message") return event.text;
    return event.type === "typing" ? `typing ${event.typing}` : [];
  });

for (const [where, open] of Object.entries(await everyEngine(11))) {
  describe(`words through the server: ${where}`, () => {
    test("reach the partner, with the time, and nobody else", async () => {
      const { alice, bob, connect, roomId, say, system } = await pairOf({ open });
      const carol = await connect("Carol");
      const dave = await connect("Dave");
      await carol.join({ mode: "text" });
      await dave.join({ mode: "text" });
      const at = system.now();
      expect(await say(alice, "Hello, <b>Bob</b>\u202e!")).toEqual({ delivered: true });
      expect(bob.last("message")).toEqual({
        type: "message",
        roomId,
        text: "Hello, <b>Bob</b>\u202e!",
        at,
      });
      for (const other of [alice, carol, dave]) expect(textsOf(other)).toEqual([]);
      expect(reasonOf(await say(carol, "Hi"))).toBe("not-in-room");
      expect(textsOf(bob)).toHaveLength(1);
    });

    test("come in their order, with what is told of typing between them", async () => {
      const { alice, bob, roomId, system, talk } = await pairOf({ open });
      const calls: unknown[] = [];
      const expected: string[] = [];
      // Random delays let calls overtake each other that do not wait for the ones before.
      const made = (call: unknown) => (where.includes("delays") ? call : void calls.push(call));
      for (let n = 0; n < 40; n++) {
        await made(talk.typing(alice.caller, roomId, n % 3 > 0));
        await made(talk.say({ ...alice.caller, mutationId: `${n}` }, roomId, json(`text ${n}`)));
        expected.push(`typing ${n % 3 > 0}`, `text ${n}`);
      }
      await Promise.all(calls);
      await system.settled();
      expect(talkOf(bob)).toEqual(expected);
    });

    test("are delivered once per id, and answered alike", async () => {
      const { alice, bob, say } = await pairOf({ open });
      for (let n = 0; n < 3; n++)
        expect(await say(alice, "once", "an id")).toEqual({ delivered: true });
      await alice.drop();
      await alice.comeBack();
      expect(await say(alice, "once", "an id")).toEqual({ delivered: true });
      expect(await say(alice, "twice", "another id")).toEqual({ delivered: true });
      expect(textsOf(bob)).toEqual(["once", "twice"]);
    });

    test("wait for a partner whose connection has dropped, and come once, in order", async () => {
      const { alice, bob, say } = await pairOf({ open });
      await say(alice, "0");
      for (let n = 1; n <= 12; n++) {
        if (n % 4 === 1) await bob.drop();
        await say(alice, String(n));
        await say(bob, String(n));
        if (n % 4 === 3) await bob.comeBack();
      }
      await bob.comeBack();
      expect(textsOf(bob)).toEqual(Array.from({ length: 13 }, (_, n) => String(n)));
      expect(textsOf(alice)).toEqual(Array.from({ length: 12 }, (_, n) => String(n + 1)));
      expect([...alice.types(), ...bob.types()]).not.toContain("resync");
    });

    test("of one who missed more than is kept are gone, and the room is told whole", async () => {
      const { alice, bob, roomId, say } = await pairOf({ open });
      await bob.drop();
      for (let n = 0; n < limits.logEventsMax + 1; n++) await say(alice, String(n));
      const before = bob.told.length;
      await bob.comeBack();
      expect(bob.types(before)).toEqual(["session", "resync"]);
      expect(bob.last("resync")?.state).toMatchObject({ status: "paired", roomId, chat: "server" });
      await say(alice, "back");
      expect(textsOf(bob).at(-1)).toBe("back");
    });

    test("are not delivered once the room is over, also none that is said at that moment", async () => {
      const { alice, bob, roomId, say, talk } = await pairOf({ open });
      await say(alice, "before");
      await Promise.all([bob.leave(), say(alice, "meanwhile", "a")]);
      expect(await say(alice, "after", "b")).toEqual({ delivered: false });
      expect(await say(bob, "after")).toEqual({ delivered: false });
      expect(await talk.typing(alice.caller, roomId, true)).toEqual({ delivered: false });
      const media = { audio: false, video: false };
      expect(await talk.media(alice.caller, roomId, media)).toEqual({ delivered: false });
      expect(textsOf(bob).slice(0, 1)).toEqual(["before"]);
      expect(textsOf(bob)).not.toContain("after");
      expect(textsOf(alice)).toEqual([]);
    });

    test("are refused where they are not the server's, and from outside", async () => {
      const { alice, connect, roomId, say, talk } = await pairOf({ open, mode: "video" });
      expect(alice.last("wait-for-offer")).toMatchObject({ chat: "direct" });
      expect(reasonOf(await say(alice, "Hello"))).toBe("wrong-mode");
      expect(reasonOf(await talk.typing(alice.caller, roomId, true))).toBe("wrong-mode");
      const mallory = await connect("Mallory");
      const media = { audio: false, video: false };
      expect(reasonOf(await talk.media(mallory.caller, roomId, media))).toBe("not-in-room");
      const other = await pairOf({ open, mode: "text" });
      const { caller } = await other.connect("Mallory");
      for (const answer of [
        other.talk.say(caller, other.roomId, json("Hi")),
        other.talk.typing(caller, other.roomId, true),
        other.talk.media(caller, other.roomId, media),
      ])
        expect(reasonOf(await answer)).toBe("not-in-room");
    });

    test.each(["video", "audio"] as const)("in a room for %s, if so set", async (mode) => {
      const { alice, bob, roomId, say } = await pairOf({ open, mode, chat: "server" });
      expect(bob.last("create-offer")).toMatchObject({ roomId, mode, chat: "server" });
      expect(await say(alice, "Hello")).toEqual({ delivered: true });
      expect(textsOf(bob)).toEqual(["Hello"]);
    });
  });

  describe(`what each sends: ${where}`, () => {
    test("is told the partner, once for each change, and whoever comes back", async () => {
      const { alice, bob, roomId, system, talk } = await pairOf({ open, mode: "video" });
      const all = { audio: true, video: true };
      expect(alice.last("wait-for-offer")).toMatchObject({ media: all });
      expect(bob.last("create-offer")).toMatchObject({ media: all });
      const muted = { audio: false, video: true };
      for (let n = 0; n < 2; n++)
        expect(await talk.media(alice.caller, roomId, muted)).toEqual({ delivered: true });
      await talk.media({ ...alice.caller, mutationId: "id" }, roomId, all);
      await talk.media({ ...alice.caller, mutationId: "id" }, roomId, all);
      await talk.media(alice.caller, roomId, muted);
      await system.settled();
      expect(
        bob.told.flatMap(({ event }) => (event.type === "partner-media" ? event : [])),
      ).toEqual([muted, all, muted].map((media) => ({ type: "partner-media", roomId, ...media })));
      await bob.drop();
      await bob.comeBack();
      expect(bob.last("session")?.state).toMatchObject({ status: "paired", roomId, media: muted });
      await alice.comeBack({ lastEventId: "another:1" });
      expect(alice.last("resync")?.state).toMatchObject({ status: "paired", roomId, media: all });
    });

    test("is what the mode has", async () => {
      const { alice, roomId, talk } = await pairOf({ open, mode: "audio" });
      expect(alice.last("wait-for-offer")).toMatchObject({ media: { audio: true, video: false } });
      const both = { audio: true, video: true };
      expect(reasonOf(await talk.media(alice.caller, roomId, both))).toBe("wrong-mode");
      const text = await pairOf({ open });
      expect(text.bob.last("create-offer")).toMatchObject({
        media: { audio: false, video: false },
      });
    });
  });

  describe(`a room for text: ${where}`, () => {
    test("needs no TURN, counts as connected at once, and can't fail", async () => {
      const world = createWorld({ open });
      const alice = await world.connect("Alice");
      const bob = await world.connect("Bob");
      expect(await alice.join({ mode: "video", relayOnly: true })).toBe("relay-unavailable");
      expect(await alice.join({ mode: "text", relayOnly: true })).toBe("waiting");
      expect(await bob.join({ mode: "text" })).toBe("paired");
      const roomId = bob.roomId();
      for (const offered of [alice.last("wait-for-offer"), bob.last("create-offer")])
        expect(offered).toMatchObject({ mode: "text", chat: "server", iceServers: [] });
      expect(await world.signaling.iceServers(bob.caller, "")).toEqual({ iceServers: [] });
      expect(await world.signaling.connected(bob.caller, roomId)).toEqual({ status: "paired" });
      expect(reasonOf(await world.signaling.failed(bob.caller, roomId))).toBe("wrong-mode");
      await bob.drop();
      await bob.comeBack({ lastEventId: "another:1" });
      expect(bob.last("resync")?.state).toMatchObject({ status: "paired", iceServers: [] });
      await world.signaling.connected(alice.caller, roomId);
      await world.signaling.connected(bob.caller, roomId);
      // Votes still have to wait until it has lasted.
      await world.signaling.report(bob.caller, roomId, { reason: "spam" });
      expect(world.logged.find(({ what }) => what === "reported")?.fields).toMatchObject({
        counted: false,
      });
      expect(world.logged.find(({ what }) => what === "ended")?.fields).toMatchObject({
        reason: "left",
      });
    });

    test("takes no signal, as a signal or serialized", async () => {
      const { alice, bob, roomId, signaling } = await pairOf({ open });
      const before = bob.told.length;
      const candidate = { candidate: "candidate:1" };
      for (const signal of [
        { type: "offer", roomId, sdp: "v=0" },
        { type: "answer", roomId, sdp: "v=0" },
        { type: "add-ice-candidate", roomId, candidate },
      ] as const) {
        expect(reasonOf(await signaling.send(alice.caller, signal))).toBe("wrong-mode");
        const { type } = signal;
        const relayed = signaling.relay(alice.caller, { type, roomId, json: json(signal) });
        expect(reasonOf(await relayed)).toBe("wrong-mode");
      }
      expect(bob.told.length).toBe(before);
    });
  });
}
