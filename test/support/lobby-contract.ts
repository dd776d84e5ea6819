/** What every engine must keep of lobbies: only peers of one meet, and each has counts and an estimate of its own. */
import { describe, expect, test } from "bun:test";
import { isRejection, type Rejection } from "../../src/domain/rejection.ts";
import { defaultWishes, type Wishes } from "../../src/domain/ticket.ts";
import type { Caller, Engine, Stream } from "../../src/engine/engine.ts";
import type { LoggedEvent } from "../../src/protocol.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

interface Peer extends Caller {
  stream: Stream;
}

/** The verbs of peers in lobbies, on any engine. */
export function lobbyVerbs(engine: Engine) {
  const settled = <T>(answer: T | Rejection): T => {
    if (isRejection(answer)) throw new Error(`refused: ${answer.reason}`);
    return answer;
  };
  /**
   * @param lobby that the operator puts the peer into.
   * @param lobbies in which it may be without that.
   */
  async function attach(sessionId: string, lobby?: string, lobbies?: string[]): Promise<Peer> {
    const addressHash = `${sessionId.padEnd(8, "~")} address`;
    const request = { sessionId, lobby, lobbies, generation: 0, addressHash, wake() {} };
    const { stream } = settled(await engine.attach(request));
    return { sessionId, generation: stream.generation, stream };
  }
  const join = async (peer: Peer, wishes: Partial<Wishes> = {}) =>
    settled(await engine.enqueue(peer, { ...defaultWishes, ...wishes })).status;
  /** Enters the lobby; without a name that one which is always there. */
  async function enter(sessionId: string, lobby?: string, wishes: Partial<Wishes> = {}) {
    const peer = await attach(sessionId);
    await join(peer, lobby === undefined ? wishes : { ...wishes, lobby });
    return peer;
  }
  const ticketOf = async ({ sessionId }: Caller) => {
    const options = await engine.matchOptions(sessionId);
    if (!options) throw new Error(`${sessionId} must wait`);
    return options.ticket;
  };
  async function pair(one: Caller, other: Caller, roomId = `${one.sessionId}+${other.sessionId}`) {
    const [impolite, polite] = [await ticketOf(one), await ticketOf(other)];
    const terms = { roomId, relayOnly: false, sharedInterests: [] };
    expect(await engine.pair({ ...terms, impolite, polite })).toBe(true);
  }
  const candidatesOf = async ({ sessionId }: Caller) =>
    (await engine.matchOptions(sessionId))?.eligible.map((ticket) => ticket.sessionId).sort();
  /** The last `lobby` event that a peer was sent. */
  async function lastLobby({ stream }: Peer) {
    // What came before the last room may be dropped.
    for (let from = 0; from < 100; from++) {
      const entries = settled(await engine.read(stream, from));
      if (!Array.isArray(entries)) continue;
      const events = entries.map(({ json }): LoggedEvent => JSON.parse(json));
      return events.findLast(({ type }) => type === "lobby");
    }
    throw new Error("unreadable");
  }
  const end = async (caller: Caller, ending: "skip" | "leave") =>
    settled(await engine.end(caller, { ending })).status;
  /** Sessions online, tickets, and rooms for video. */
  async function counts(lobby?: string) {
    const { online, waiting, rooms } = settled(await engine.statsOf(lobby));
    return { online, waiting: waiting.video, rooms: rooms.video };
  }
  const lobbies = async () => [...settled(await engine.stats()).lobbies.keys()].sort();
  const all = async () => {
    const { online, waiting, rooms } = settled(await engine.stats());
    return { online, waiting: waiting.video, rooms: rooms.video };
  };
  return {
    attach,
    join,
    enter,
    ticketOf,
    pair,
    candidatesOf,
    lastLobby,
    end,
    counts,
    lobbies,
    all,
  };
}

export function describeLobbies(name: string, open: OpenEngine) {
  function setUp() {
    const system = createVirtualSystem();
    const engine = open(system, { ...engineOptions, skipCooldownMs: 0 });
    return { system, engine, ...lobbyVerbs(engine) };
  }

  describe(`lobbies: ${name}`, () => {
    test("nobody is offered a ticket of another lobby, whatever the two wish for", async () => {
      const { enter, candidatesOf, system, engine } = setUp();
      const words = { interests: ["jazz"], languages: ["en"] };
      const peers = [];
      for (const lobby of [undefined, "berlin", "rome"])
        for (const n of [1, 2]) peers.push(await enter(`${lobby ?? "main"} ${n}`, lobby, words));
      const expected = ["main", "berlin", "rome"].flatMap((one) => [[`${one} 2`], [`${one} 1`]]);
      expect(await Promise.all(peers.map(candidatesOf))).toEqual(expected);
      // When they accept anybody, they still do not accept these.
      await system.advance(20_000);
      await engine.sweep();
      await engine.sweep();
      expect(await Promise.all(peers.map(candidatesOf))).toEqual(expected);
    });

    test("who enters a lobby is told the counts of that lobby, and so are those who ask for them", async () => {
      const { enter, lastLobby, pair, counts, lobbies, all } = setUp();
      const ann = await enter("ann", "berlin");
      expect(await lastLobby(ann)).toEqual({ type: "lobby", waiting: 1, online: 1 });
      const bob = await enter("bob");
      expect(await lastLobby(bob)).toEqual({ type: "lobby", waiting: 1, online: 1 });
      const cem = await enter("cem", "berlin", { mode: "text" });
      expect(await lastLobby(cem)).toEqual({ type: "lobby", waiting: 1, online: 2 });
      const dan = await enter("dan", "berlin");
      expect(await lastLobby(dan)).toEqual({ type: "lobby", waiting: 2, online: 3 });
      await pair(ann, dan);
      const eve = await enter("eve", "berlin");
      expect(await lastLobby(eve)).toEqual({ type: "lobby", waiting: 1, online: 4 });
      expect(await counts("berlin")).toEqual({ online: 4, waiting: 1, rooms: 1 });
      expect(await counts()).toEqual({ online: 1, waiting: 1, rooms: 0 });
      expect(await counts("rome")).toEqual({ online: 0, waiting: 0, rooms: 0 });
      expect(await all()).toEqual({ online: 5, waiting: 2, rooms: 1 });
      expect(await lobbies()).toEqual(["berlin"]);
    });

    test("who waits and joins another lobby waits there, with its place, and is told the counts there", async () => {
      const { engine, system, enter, join, candidatesOf, ticketOf, lastLobby, counts } = setUp();
      const ann = await enter("ann", "berlin");
      const { queuedSince } = await ticketOf(ann);
      const [bob, cem] = [await enter("bob", "berlin"), await enter("cem", "rome")];
      await system.advance(1000);
      expect(await join(ann, { lobby: "rome" })).toBe("waiting");
      expect(await lastLobby(ann)).toEqual({ type: "lobby", waiting: 2, online: 2 });
      expect([await candidatesOf(ann), await candidatesOf(bob)]).toEqual([["cem"], []]);
      expect(await ticketOf(ann)).toMatchObject({ queuedSince, wishes: { lobby: "rome" } });
      expect(await counts("berlin")).toEqual({ online: 1, waiting: 1, rooms: 0 });
      expect(await counts("rome")).toEqual({ online: 2, waiting: 2, rooms: 0 });
      // Without a name it is the lobby that is always there.
      expect(await join(cem)).toBe("waiting");
      expect(await lastLobby(cem)).toEqual({ type: "lobby", waiting: 1, online: 1 });
      expect(await counts()).toEqual({ online: 1, waiting: 1, rooms: 0 });
      // Without any wishes it stays where it is.
      await engine.enqueue(ann);
      expect(await ticketOf(ann)).toMatchObject({ wishes: { lobby: "rome" } });
    });

    test("a skip and the end of a room lead back to the same lobby", async () => {
      const { enter, pair, end, ticketOf, counts, lastLobby } = setUp();
      const [ann, bob] = [await enter("ann", "berlin"), await enter("bob", "berlin")];
      await enter("cem");
      await pair(ann, bob);
      expect(await end(ann, "skip")).toBe("waiting");
      for (const peer of [ann, bob])
        expect(await ticketOf(peer)).toMatchObject({ wishes: { lobby: "berlin" } });
      expect(await lastLobby(bob)).toMatchObject({ waiting: 1, online: 2 });
      expect(await lastLobby(ann)).toMatchObject({ waiting: 2, online: 2 });
      await end(ann, "leave");
      expect(await counts("berlin")).toEqual({ online: 2, waiting: 1, rooms: 0 });
      expect(await end(ann, "skip")).toBe("waiting");
      expect(await ticketOf(ann)).toMatchObject({ wishes: { lobby: "berlin" } });
    });

    test("who joins another lobby in a room stays in the room, and is in that lobby after it", async () => {
      const { enter, join, pair, end, ticketOf, counts } = setUp();
      const [ann, bob] = [await enter("ann", "berlin"), await enter("bob", "berlin")];
      await pair(ann, bob);
      expect(await join(ann, { lobby: "rome", interests: ["not listened to"] })).toBe("paired");
      expect(await counts("berlin")).toEqual({ online: 1, waiting: 0, rooms: 1 });
      expect(await counts("rome")).toEqual({ online: 1, waiting: 0, rooms: 0 });
      await end(bob, "leave");
      expect((await ticketOf(ann)).wishes).toEqual({ ...defaultWishes, lobby: "rome" });
      expect(await counts("berlin")).toEqual({ online: 1, waiting: 0, rooms: 0 });
      expect(await counts("rome")).toEqual({ online: 1, waiting: 1, rooms: 0 });
    });

    test("who is attached with a lobby is online there before any join, and enters it by a skip", async () => {
      const { engine, attach, end, ticketOf, counts, lobbies } = setUp();
      const ann = await attach("ann", "berlin");
      expect(await counts("berlin")).toEqual({ online: 1, waiting: 0, rooms: 0 });
      expect(await counts()).toEqual({ online: 0, waiting: 0, rooms: 0 });
      expect(await end(ann, "skip")).toBe("waiting");
      expect((await ticketOf(ann)).wishes).toEqual({ ...defaultWishes, lobby: "berlin" });
      await end(ann, "leave");
      // Later it is put elsewhere.
      const back = await attach("ann", "main");
      expect(await counts("berlin")).toEqual({ online: 0, waiting: 0, rooms: 0 });
      expect(await counts()).toEqual({ online: 1, waiting: 0, rooms: 0 });
      expect(await end(back, "skip")).toBe("waiting");
      expect((await ticketOf(back)).wishes).toEqual(defaultWishes);
      await engine.detach(back.stream);
      expect(await lobbies()).toEqual([]);
    });

    test("who waits and is attached with another lobby meets nobody in the former one, and waits in the other", async () => {
      const { attach, join, enter, candidatesOf, counts, pair } = setUp();
      const ann = await attach("ann", "berlin");
      await join(ann, { lobby: "berlin" });
      const bob = await enter("bob", "berlin");
      const cid = await enter("cid", "rome");
      const back = await attach("ann", "rome");
      expect(await candidatesOf(back)).toEqual(["cid"]);
      expect(await candidatesOf(bob)).toEqual([]);
      expect(await counts("berlin")).toEqual({ online: 1, waiting: 1, rooms: 0 });
      expect(await counts("rome")).toEqual({ online: 2, waiting: 2, rooms: 0 });
      await pair(back, cid);
      expect(await counts("rome")).toEqual({ online: 2, waiting: 0, rooms: 1 });
    });

    test("who is attached without a lobby stays in one that it may choose, and leaves any other for main", async () => {
      const { attach, end, ticketOf, candidatesOf, counts } = setUp();
      const choosable = ["main", "berlin"];
      const [ann, bob] = [await attach("ann", "berlin"), await attach("bob", "acme")];
      for (const peer of [ann, bob]) expect(await end(peer, "skip")).toBe("waiting");
      const eve = await attach("eve", "acme");
      expect(await end(eve, "skip")).toBe("waiting");
      expect(await candidatesOf(eve)).toEqual(["bob"]);
      await attach("ann", undefined, choosable);
      await attach("bob", undefined, choosable);
      expect((await ticketOf(ann)).wishes.lobby).toBe("berlin");
      expect((await ticketOf(bob)).wishes.lobby).toBeUndefined();
      expect(await candidatesOf(eve)).toEqual([]);
      expect(await counts("acme")).toEqual({ online: 1, waiting: 1, rooms: 0 });
    });

    test("the wait is estimated by lobby", async () => {
      const { system, enter, pair, lastLobby } = setUp();
      for (const [lobby, waitMs] of [["berlin", 4000] as const, [undefined, 2000] as const])
        for (let n = 0; n < 3; n++) {
          const one = await enter(`${lobby} one ${n}`, lobby, { interests: [`${n}`] });
          await system.advance(waitMs);
          await pair(one, await enter(`${lobby} two ${n}`, lobby, { interests: [`${n}`] }));
        }
      await system.advance(2000);
      const estimateIn = async (lobby?: string) =>
        lastLobby(await enter(`asks for ${lobby}`, lobby));
      expect(await estimateIn("berlin")).toMatchObject({ estimateMs: 4000 });
      expect(await estimateIn()).toMatchObject({ estimateMs: 2000 });
      expect(await estimateIn("rome")).not.toContainKey("estimateMs");
    });

    test("a name with any characters is one lobby", async () => {
      const { enter, candidatesOf, lastLobby, counts, lobbies } = setUp();
      const names = [
        "a b",
        "%d %s %",
        "__proto__",
        "constructor",
        "{0}",
        "*",
        "Ünï 💬",
        "#video 1 1",
      ];
      for (const lobby of names) {
        const one = await enter(`${lobby} one`, lobby);
        const two = await enter(`${lobby} two`, lobby);
        expect(await lastLobby(two)).toEqual({ type: "lobby", waiting: 2, online: 2 });
        expect(await candidatesOf(one)).toEqual([`${lobby} two`]);
        expect(await counts(lobby)).toEqual({ online: 2, waiting: 2, rooms: 0 });
      }
      expect(await lobbies()).toEqual(names.sort());
      expect(await counts()).toEqual({ online: 0, waiting: 0, rooms: 0 });
    });

    test("nothing is counted of a lobby that nobody is in any more, however they went", async () => {
      const { system, engine, attach, enter, join, pair, lobbies, counts, all } = setUp();
      const lost = await enter("lost", "berlin");
      const partner = await enter("partner", "berlin");
      await pair(lost, partner);
      const waits = await enter("waits", "rome");
      const moves = await enter("moves", "oslo");
      const suspended = await enter("suspended", "paris");
      await attach("idle", "cairo");
      expect(await lobbies()).toEqual(["berlin", "cairo", "oslo", "paris", "rome"]);
      await join(moves);
      await engine.detach(waits.stream);
      await engine.suspend({ kind: "session", id: "suspended" }, system.now() + 1000);
      expect(await counts("paris")).toEqual({ online: 1, waiting: 0, rooms: 0 });
      await engine.detach(suspended.stream);
      await engine.detach((await attach("idle")).stream);
      // A room is there until its members are lost.
      await engine.detach(lost.stream);
      await engine.detach(partner.stream);
      expect(await counts("berlin")).toEqual({ online: 0, waiting: 0, rooms: 1 });
      expect(await lobbies()).toEqual(["berlin"]);
      await system.advance(engineOptions.graceMs);
      await engine.sweep();
      expect(await lobbies()).toEqual([]);
      expect(await all()).toEqual({ online: 1, waiting: 1, rooms: 0 });
      expect(await counts()).toEqual({ online: 1, waiting: 1, rooms: 0 });
    });
  });
}
