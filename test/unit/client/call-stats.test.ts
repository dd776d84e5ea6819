import { describe, expect, test } from "bun:test";
import { readCallStats, readLevels, zeroCounters } from "../../../src/client/call-stats.ts";

const zero = zeroCounters(0);

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

  test("say what share of the sound was made up and for how long the picture stood still, since the last look", () => {
    const sound = (samples: number, concealed: number, silent: number) => ({
      id: "a",
      type: "inbound-rtp",
      kind: "audio",
      totalSamplesReceived: samples,
      concealedSamples: concealed,
      silentConcealedSamples: silent,
    });
    const picture = (totalFreezesDuration: number) => ({
      id: "v",
      type: "inbound-rtp",
      kind: "video",
      totalFreezesDuration,
    });
    const first = readCallStats(report(sound(48_000, 4800, 0), picture(0.5)), zero, 1000);
    expect(first.reading).toMatchObject({ concealedRatio: 0.1, frozenRatio: 0.5 });
    // Silence that a sender has left out is no gap.
    const next = report(sound(144_000, 54_720, 48_000), picture(0.7));
    const { reading } = readCallStats(next, first.counters, 3000);
    expect(reading.concealedRatio).toBeCloseTo(0.02);
    expect(reading.frozenRatio).toBeCloseTo(0.1);
  });

  test("have the rate of the line only while that limits the video that is sent", () => {
    const line = { ...pair, availableOutgoingBitrate: 200_000 };
    const sent = (reason: string) => {
      const video = { id: "o", type: "outbound-rtp", qualityLimitationReason: reason };
      return readCallStats(report(line, transport, video), zero, 1000).reading;
    };
    expect(sent("bandwidth").availableBitsPerS).toBe(200_000);
    expect(sent("none")).not.toHaveProperty("availableBitsPerS");
  });

  test("of a call that has just begun are mostly absent", () => {
    const { reading } = readCallStats(report(), zero, 0);
    expect(reading).toEqual({ sentBitsPerS: 0, receivedBitsPerS: 0, codecs: {} });
  });
});

describe("levels", () => {
  test("are those of the sound of both sides; what is not reported is absent", () => {
    const mine = { id: "m", type: "media-source", kind: "audio", audioLevel: 0.25 };
    const partner = { id: "a", type: "inbound-rtp", kind: "audio", audioLevel: 0.5 };
    const video = { id: "v", type: "media-source", kind: "video" };
    expect(readLevels(report(mine, partner, video))).toEqual({ mine: 0.25, partner: 0.5 });
    expect(readLevels(report(partner))).toEqual({ partner: 0.5 });
    expect(readLevels(report(video))).toEqual({});
  });
});
