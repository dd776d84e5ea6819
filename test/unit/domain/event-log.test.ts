import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  EventLog,
  formatPosition,
  parsePosition,
  readLogText,
  recoveryOf,
  stageOf,
  toLogText,
  type Lack,
} from "../../../src/domain/event-log.ts";
import { limits, type LoggedEvent } from "../../../src/protocol.ts";

const signal = (sdp: string) => JSON.stringify({ type: "offer", roomId: "room", sdp });

const room = {
  roomId: "room",
  relayOnly: false,
  sharedInterests: [],
  mode: "video" as const,
  chat: "direct" as const,
  media: { audio: true, video: true },
  partnerFacts: {},
  proof: "proof",
};

describe("the event log", () => {
  test("numbers events from 1 and replays what comes after an offset", () => {
    const log = new EventLog("epoch");
    expect([log.append(signal("a")), log.append(signal("b")), log.append(signal("c"))]).toEqual([
      1, 2, 3,
    ]);
    expect(log.after(1)).toEqual([
      { offset: 2, json: signal("b"), lacks: undefined },
      { offset: 3, json: signal("c"), lacks: undefined },
    ]);
    expect(log.after(3)).toEqual([]);
  });

  test("drops the oldest events past its bound, and never replays a part", () => {
    const log = new EventLog("epoch");
    for (let n = 0; n < limits.logEventsMax * 3 + 7; n++) log.append(signal(`${n}`));
    const oldestKept = log.last - limits.logEventsMax;
    expect(log.after(oldestKept - 1)).toBeUndefined();
    expect(log.after(oldestKept)).toHaveLength(limits.logEventsMax);
    expect(recoveryOf({ epoch: "epoch", offset: oldestKept - 1 }, log.extent)).toBe("too-old");
    expect(recoveryOf({ epoch: "epoch", offset: oldestKept }, log.extent)).toBe("whole");
  });

  test("is bounded in bytes too", () => {
    const log = new EventLog("epoch");
    for (let n = 0; n < 40; n++) log.append(signal("x".repeat(limits.sdpBytesMax)));
    const kept = log.after(log.last - 7);
    expect(kept).toHaveLength(7);
    expect(log.after(log.last - 8)).toBeUndefined();
  });

  const bytesHeld = () => {
    Bun.gc(true);
    return heapStats().heapSize;
  };

  test("holds on to nothing that it has dropped", () => {
    const before = bytesHeld();
    const logs = Array.from({ length: 50 }, () => new EventLog("epoch"));
    for (const log of logs)
      for (let n = 0; n < 200; n++) log.append(signal(`${n}`.padEnd(6000, "x")));
    expect(bytesHeld() - before).toBeLessThan(1.5 * logs.length * limits.logBytesMax);
    for (const log of logs) expect(log.last).toBe(200);
  });

  const lobby = toLogText({ type: "lobby", waiting: 1, online: 2 });
  const began = toLogText({ type: "create-offer", ...room, polite: false });
  const append = (log: EventLog, text: string) => log.append(text, stageOf(text));

  test("holds the latest room and the one before, however many there were", () => {
    const before = bytesHeld();
    const logs = Array.from({ length: 50 }, () => new EventLog("epoch"));
    const sdp = "x".repeat(6000);
    for (const log of logs)
      for (let n = 0; n < 20; n++) {
        append(log, lobby);
        append(log, began);
        for (let m = 0; m < 5; m++) append(log, signal(`${n} ${m} ${sdp}`));
      }
    expect(bytesHeld() - before).toBeLessThan(1.5 * logs.length * 2 * 5 * sdp.length);
  });

  test("whatever is appended: all after a position or nothing, and all of two rooms within the bounds", () => {
    const texts = { lobby, room: began, signal: signal("a"), large: signal("x".repeat(9000)) };
    const some = (kind: keyof typeof texts, count: number) =>
      Array.from({ length: count }, () => kind);
    const steps = fc.array(
      fc.oneof(
        fc.constantFrom(...(Object.keys(texts) as (keyof typeof texts)[])).map((kind) => [kind]),
        fc.nat(150).map((count) => some("signal", count)),
        fc.nat(25).map((count) => some("large", count)),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (groups) => {
        const log = new EventLog("epoch");
        const all: string[] = [];
        let droppedMost = 0;
        for (const kind of groups.flat()) {
          all.push(texts[kind]);
          append(log, texts[kind]);
          if (kind === "lobby") droppedMost = Math.max(droppedMost, all.lastIndexOf(began));
          while (
            all.length - droppedMost > limits.logEventsMax ||
            all.slice(droppedMost).join("").length > limits.logBytesMax
          )
            droppedMost += 1;
        }
        expect(log.extent).toEqual({ epoch: "epoch", last: all.length, dropped: droppedMost });
        for (let after = Math.max(0, droppedMost - 2); after <= all.length; after++) {
          const entries = log.after(after);
          const isWhole = recoveryOf({ epoch: "epoch", offset: after }, log.extent) === "whole";
          expect(entries !== undefined).toBe(isWhole);
          expect(isWhole).toBe(after >= droppedMost);
          const expected = all
            .slice(after)
            .map((text, index) => readLogText(after + index + 1, text));
          if (isWhole) expect(entries).toEqual(expected);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("tells an unknown epoch and a position from the future", () => {
    const log = new EventLog("epoch");
    log.append(signal("a"));
    expect(recoveryOf({ epoch: "other", offset: 1 }, log.extent)).toBe("other-epoch");
    expect(recoveryOf({ epoch: "epoch", offset: 2 }, log.extent)).toBe("future");
    expect(recoveryOf({ epoch: "epoch", offset: 0 }, log.extent)).toBe("whole");
  });
});

describe("the text of an event", () => {
  test("says whether something is added to it when it is sent", () => {
    const cases: [LoggedEvent, Lack | undefined][] = [
      [{ type: "resync", state: { status: "idle" } }, "state"],
      [{ type: "session", resumed: true, state: { status: "waiting", since: 1 } }, "state"],
      [{ type: "create-offer", ...room, polite: false }, "iceServers"],
      [{ type: "wait-for-offer", ...room, polite: true }, "iceServers"],
      [{ type: "lobby", waiting: 1, online: 2 }, undefined],
    ];
    for (const [event, lacks] of cases)
      expect(readLogText(7, toLogText(event))).toEqual({
        offset: 7,
        json: JSON.stringify(event),
        lacks,
      });
    expect(readLogText(1, signal("a"))).toEqual({ offset: 1, json: signal("a"), lacks: undefined });
  });
});

describe("positions", () => {
  test("are read back as they were written", () => {
    expect(parsePosition(formatPosition("aZ_-9", 42))).toEqual({ epoch: "aZ_-9", offset: 42 });
  });

  for (const id of [
    "",
    "a",
    "a:",
    ":1",
    "a:-1",
    "a:1.5",
    "a:01",
    "a:1e3",
    "a b:1",
    "a:1:2",
    `a:${"9".repeat(16)}`,
  ])
    test(`${JSON.stringify(id)} is none`, () => {
      expect(parsePosition(id)).toBeUndefined();
    });
});
