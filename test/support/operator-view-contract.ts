/** What every engine must offer to an operator's console: the newest reports, sessions by their first letters, and the end of a room. */
import { describe, expect, test } from "bun:test";
import { isRejection, type Rejection } from "../../src/domain/rejection.ts";
import { defaultWishes } from "../../src/domain/ticket.ts";
import type { Engine, Stream } from "../../src/engine/engine.ts";
import { notedReportsMax, type NotedReport } from "../../src/engine/operator-view.ts";
import type { LoggedEvent } from "../../src/protocol.ts";
import { engineOptions } from "./engine-options.ts";
import { lobbyVerbs } from "./lobby-contract.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

function settled<T>(answer: T | Rejection): T {
  if (isRejection(answer)) throw new Error(`refused: ${answer.reason}`);
  return answer;
}

export const noteOf = (roomId: string): NotedReport => ({
  at: 1_790_000_000_000,
  roomId,
  reason: "harassment",
  counted: true,
  reported: { sessionId: "troll", addressHash: "address", account: "42" },
  caseId: "case 7",
});

export function describeOperatorView(name: string, open: OpenEngine) {
  function setUp() {
    const engine = open(createVirtualSystem(), engineOptions);
    const { operator } = engine;
    return {
      engine,
      ...lobbyVerbs(engine),
      note: async (report: NotedReport) => settled(await operator.note(report)),
      noted: async () => settled(await operator.noted()),
      find: async (letters: string, max = 10) => settled(await operator.find(letters, max)),
      endRoom: async (roomId: string) => settled(await operator.endRoom(roomId)),
    };
  }

  /** What a peer was told in and after its last room. */
  async function toldTo(engine: Engine, stream: Stream): Promise<LoggedEvent[]> {
    for (let from = 0; from < 20; from++) {
      const entries = settled(await engine.read(stream, from));
      if (Array.isArray(entries)) return entries.map(({ json }): LoggedEvent => JSON.parse(json));
    }
    throw new Error("unreadable");
  }

  describe(`an operator's view: ${name}`, () => {
    test("has the newest reports as they were noted, the newest first, and no more than the bound", async () => {
      const { attach, note, noted } = setUp();
      await attach("somebody");
      expect(await noted()).toEqual([]);
      for (let n = 0; n <= notedReportsMax; n++) await note(noteOf(`room ${n}`));
      const notes = await noted();
      expect(notes).toHaveLength(notedReportsMax);
      expect(notes[0]).toEqual(noteOf(`room ${notedReportsMax}`));
      expect(notes.at(-1)).toEqual(noteOf("room 1"));
    });

    test("finds sessions by their first letters: who they are, what they do and where, but not those that are absent", async () => {
      const { engine, attach, enter, pair, find } = setUp();
      await pair(await enter("AnnA-1"), await enter("AnnA_2"), "their room");
      await enter("AnnA3", "berlin");
      const request = { sessionId: "AnnA4", account: "42", generation: 0, addressHash: "a" };
      settled(await engine.attach({ ...request, wake() {} }));
      await engine.detach((await attach("AnnA5")).stream);
      for (const other of ["annA6", "Ann-7", "xAnnA", "AnnB"]) await attach(other);
      const { sessions, more } = await find("AnnA");
      expect(more).toBe(false);
      expect(sessions.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
        { id: "AnnA-1", account: undefined, status: "paired", roomId: "their room", lobby: "main" },
        { id: "AnnA3", account: undefined, status: "waiting", roomId: undefined, lobby: "berlin" },
        { id: "AnnA4", account: "42", status: "idle", roomId: undefined, lobby: "main" },
        { id: "AnnA_2", account: undefined, status: "paired", roomId: "their room", lobby: "main" },
      ]);
      expect((await find("AnnA_")).sessions.map(({ id }) => id)).toEqual(["AnnA_2"]);
      // No pattern: these letters stand for themselves.
      for (const pattern of ["Ann?", "Ann*", "[A]nn", "Ann."])
        expect(await find(pattern)).toEqual({ sessions: [], more: false });
    });

    test("says that there are more than it was asked for", async () => {
      const { attach, find } = setUp();
      for (let n = 0; n < 3; n++) await attach(`many${n}`);
      expect((await find("many", 3)).more).toBe(false);
      const { sessions, more } = await find("many", 2);
      expect([sessions.length, more]).toEqual([2, true]);
    });

    test("ends a room: both are told, wait again if they wish to, and are not paired with each other", async () => {
      const { engine, enter, pair, endRoom, candidatesOf, counts } = setUp();
      const ended: object[] = [];
      engine.onEnded((end) => void ended.push(end));
      const [ann, bob] = [await enter("ann"), await enter("bob", undefined, { autoRejoin: false })];
      await pair(ann, bob, "room");
      expect(await endRoom("another")).toEqual({ ended: false, newlyWaiting: [] });
      expect(await counts()).toMatchObject({ rooms: 1 });
      expect(await endRoom("room")).toEqual({ ended: true, newlyWaiting: ["ann"] });
      expect(ended).toMatchObject([{ roomId: "room", reason: "removed", ending: "removed" }]);
      for (const { stream } of [ann, bob])
        expect(await toldTo(engine, stream)).toContainEqual({
          type: "partner-disconnected",
          roomId: "room",
          reason: "removed",
        });
      expect(settled(await engine.status(ann)).status).toBe("waiting");
      expect(settled(await engine.status(bob)).status).toBe("idle");
      settled(await engine.enqueue(bob, defaultWishes));
      expect(await candidatesOf(bob)).toEqual([]);
      expect(await endRoom("room")).toEqual({ ended: false, newlyWaiting: [] });
    });

    test("ends a room of which one member is absent", async () => {
      const { engine, enter, pair, endRoom } = setUp();
      const [ann, bob] = [await enter("ann"), await enter("bob")];
      await pair(ann, bob, "room");
      await engine.detach(ann.stream);
      expect(await endRoom("room")).toMatchObject({ ended: true });
      expect(settled(await engine.status(ann)).roomId).toBeUndefined();
      expect(settled(await engine.status(bob)).roomId).toBeUndefined();
    });
  });
}
