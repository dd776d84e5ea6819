import { describe, expect, test } from "bun:test";
import { readCallStats, type CallCounters } from "../../../src/client/call-stats.ts";

const zero: CallCounters = {
  at: 0,
  sentBytes: 0,
  receivedBytes: 0,
  receivedPackets: 0,
  lostPackets: 0,
};

const report = (...entries: Record<string, unknown>[]) =>
  new Map(entries.map((entry) => [entry["id"], entry])) as unknown as RTCStatsReport;

const ends = (local: string, remote: string) => [
  { id: "l", type: "local-candidate", candidateType: local },
  { id: "r", type: "remote-candidate", candidateType: remote },
];
const pair = {
  id: "p",
  type: "candidate-pair",
  localCandidateId: "l",
  remoteCandidateId: "r",
  bytesSent: 125_000,
  bytesReceived: 250_000,
  currentRoundTripTime: 0.042,
};
const transport = { id: "t", type: "transport", selectedCandidatePairId: "p" };
const media = [
  { id: "c1", type: "codec", mimeType: "video/VP8" },
  { id: "c2", type: "codec", mimeType: "audio/opus" },
  {
    id: "v",
    type: "inbound-rtp",
    kind: "video",
    codecId: "c1",
    packetsReceived: 90,
    packetsLost: 10,
    frameWidth: 640,
    frameHeight: 480,
    framesPerSecond: 24,
  },
  { id: "a", type: "inbound-rtp", kind: "audio", codecId: "c2", packetsReceived: 100 },
];

describe("a call's figures", () => {
  test("are read from a report of Chromium", () => {
    const { reading } = readCallStats(
      report(...ends("host", "srflx"), pair, transport, ...media),
      zero,
      1000,
    );
    expect(reading).toEqual({
      path: "direct",
      roundTripMs: 42,
      sentBitsPerS: 1_000_000,
      receivedBitsPerS: 2_000_000,
      lossRatio: 0.05,
      codecs: { video: "VP8", audio: "opus" },
      picture: { width: 640, height: 480, framesPerS: 24 },
    });
  });

  test("are read from a report of Firefox: no transport, but a pair that is marked as selected", () => {
    const old = { ...pair, id: "old", nominated: false, state: "failed", bytesReceived: 1 };
    const own = { ...pair, nominated: true, state: "succeeded" };
    const { reading } = readCallStats(report(...ends("host", "host"), old, own), zero, 1000);
    expect(reading).toMatchObject({ path: "direct", receivedBitsPerS: 2_000_000 });
  });

  test.each([
    ["relay", "host"],
    ["host", "relay"],
  ])("call a path from %s to %s relayed", (local, remote) => {
    const { reading } = readCallStats(report(...ends(local, remote), pair, transport), zero, 1000);
    expect(reading.path).toBe("relayed");
  });

  test("are rates since the last look, and never negative", () => {
    const first = readCallStats(
      report(...ends("host", "host"), pair, transport, ...media),
      zero,
      1,
    );
    const later = { ...pair, bytesSent: 250_000 };
    const found = media.map((entry) => (entry.id === "v" ? { ...entry, packetsLost: 8 } : entry));
    const { reading } = readCallStats(
      report(...ends("host", "host"), later, transport, ...found),
      first.counters,
      2001,
    );
    expect(reading.sentBitsPerS).toBe(500_000);
    expect(reading.receivedBitsPerS).toBe(0);
    expect(reading.lossRatio).toBeUndefined();
  });

  test("of a call that has just begun are mostly absent", () => {
    const { reading } = readCallStats(report(), zero, 0);
    expect(reading).toEqual({ sentBitsPerS: 0, receivedBitsPerS: 0, codecs: {} });
  });
});
