import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import {
  EventLog,
  formatPosition,
  parsePosition,
  readLogText,
  recoveryOf,
  toLogText,
  type Lack,
} from "../../../src/domain/event-log.ts";
import { limits, type LoggedEvent } from "../../../src/protocol.ts";

const signal = (sdp: string) => JSON.stringify({ type: "offer", roomId: "room", sdp });

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

  test("holds on to nothing that it has dropped", () => {
    const bytesHeld = () => {
      Bun.gc(true);
      return heapStats().heapSize;
    };
    const before = bytesHeld();
    const logs = Array.from({ length: 50 }, () => new EventLog("epoch"));
    for (const log of logs)
      for (let n = 0; n < 200; n++) log.append(signal(`${n}`.padEnd(6000, "x")));
    expect(bytesHeld() - before).toBeLessThan(1.5 * logs.length * limits.logBytesMax);
    for (const log of logs) expect(log.last).toBe(200);
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
    const room = { roomId: "room", relayOnly: false, sharedInterests: [], mode: "video" as const };
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
