/**
 * Statistics of a call, from `RTCPeerConnection.getStats()` (W3C Identifiers for WebRTC's Statistics API). What a browser
 * does not report is absent.
 */
export interface CallStats {
  roomId: string;
  /** `relayed` if the selected candidate of either side is that of a TURN server. */
  path?: "direct" | "relayed";
  /** Round-trip time to the partner, in milliseconds. */
  roundTripMs?: number;
  /** Bits per second since the previous reading, or since the call began. */
  sentBitsPerS: number;
  receivedBitsPerS: number;
  /** Packet loss of the partner's media since the previous reading: 0 to 1. */
  lossRatio?: number;
  /** The share of the partner's sound that was made up since the previous reading, as packets were missing or late: 0 to 1. */
  concealedRatio?: number;
  /** The share of the time since the previous reading for which the partner's picture stood still: 0 to 1. */
  frozenRatio?: number;
  /** Bits per second that the line takes, while it is too slow for the video that this peer sends. */
  availableBitsPerS?: number;
  /** The codecs of the partner's media, such as `opus` and `VP8`. */
  codecs: { audio?: string; video?: string };
  /** The partner's video as it is received. */
  picture?: { width: number; height: number; framesPerS: number };
  /** Messages of the partner over the data channel that were dropped, as they were more than is taken. */
  droppedMessages?: number;
  /** Milliseconds from the start of the search to the pairing, and from the pairing to the first connection. */
  matchMs: number;
  connectMs?: number;
}

/** Counter values at one moment, in milliseconds of a monotonic clock. Rates are the difference of two readings. */
export interface CallCounters {
  at: number;
  sentBytes: number;
  receivedBytes: number;
  receivedPackets: number;
  lostPackets: number;
  samples: number;
  concealedSamples: number;
  frozenS: number;
}

/** The counters of a call that begins at this time. */
export function zeroCounters(at: number): CallCounters {
  return {
    at,
    sentBytes: 0,
    receivedBytes: 0,
    receivedPackets: 0,
    lostPackets: 0,
    samples: 0,
    concealedSamples: 0,
    frozenS: 0,
  };
}

export type CallReading = Omit<CallStats, "roomId" | "matchMs" | "connectMs">;

/**
 * Evaluates a report.
 *
 * @param before - the counters of the previous reading.
 * @param at - the current time, in milliseconds of the same clock.
 */
export function readCallStats(
  report: RTCStatsReport,
  before: CallCounters,
  at: number,
): { reading: CallReading; counters: CallCounters } {
  const entries: Entry[] = [];
  report.forEach((entry: Entry) => entries.push(entry));
  const byId = (id: unknown) => entries.find((entry) => entry["id"] === id);
  const of = (type: string) => entries.filter((entry) => entry["type"] === type);

  const transport = of("transport")[0];
  const pair =
    byId(transport?.["selectedCandidatePairId"]) ??
    // Firefox reports no transport, but marks the selected pair.
    of("candidate-pair").find(
      ({ selected, nominated, state }) =>
        selected === true || (nominated === true && state === "succeeded"),
    );
  const ends = [byId(pair?.["localCandidateId"]), byId(pair?.["remoteCandidateId"])];
  const inbound = of("inbound-rtp");
  const counters: CallCounters = {
    at,
    sentBytes: number(pair?.["bytesSent"]) ?? sum(of("outbound-rtp"), "bytesSent"),
    receivedBytes: number(pair?.["bytesReceived"]) ?? sum(inbound, "bytesReceived"),
    receivedPackets: sum(inbound, "packetsReceived"),
    lostPackets: sum(inbound, "packetsLost"),
    samples: sum(inbound, "totalSamplesReceived"),
    // In silence, as with `dtx`, nothing is missing.
    concealedSamples: sum(inbound, "concealedSamples") - sum(inbound, "silentConcealedSamples"),
    frozenS: sum(inbound, "totalFreezesDuration"),
  };
  const isLimited = of("outbound-rtp").some(
    (entry) => entry["qualityLimitationReason"] === "bandwidth",
  );
  const available = isLimited ? number(pair?.["availableOutgoingBitrate"]) : undefined;

  const elapsedS = Math.max(0.001, (at - before.at) / 1000);
  const perS = (now: number, then: number) => Math.max(0, ((now - then) * 8) / elapsedS);
  // A late packet is subtracted again, so that the count of lost packets may decrease.
  const lost = Math.max(0, counters.lostPackets - before.lostPackets);
  const packets = lost + counters.receivedPackets - before.receivedPackets;
  const samples = counters.samples - before.samples;
  const share = (part: number, all: number) => Math.min(1, Math.max(0, part / all));
  const roundTripS = number(pair?.["currentRoundTripTime"]);
  const codec = (kind: string) => {
    const mime = byId(inbound.find((entry) => entry["kind"] === kind)?.["codecId"])?.["mimeType"];
    return typeof mime === "string" ? mime.split("/")[1] : undefined;
  };
  const [audio, video] = [codec("audio"), codec("video")];
  const picture = inbound.find(({ kind, frameWidth }) => kind === "video" && frameWidth);

  return {
    counters,
    reading: {
      ...(pair && {
        path: ends.some((end) => end?.["candidateType"] === "relay") ? "relayed" : "direct",
      }),
      ...(roundTripS !== undefined && { roundTripMs: roundTripS * 1000 }),
      sentBitsPerS: perS(counters.sentBytes, before.sentBytes),
      receivedBitsPerS: perS(counters.receivedBytes, before.receivedBytes),
      ...(packets > 0 && { lossRatio: lost / packets }),
      ...(samples > 0 && {
        concealedRatio: share(counters.concealedSamples - before.concealedSamples, samples),
      }),
      ...(inbound.some((entry) => "totalFreezesDuration" in entry) && {
        frozenRatio: share(counters.frozenS - before.frozenS, elapsedS),
      }),
      ...(available !== undefined && { availableBitsPerS: available }),
      codecs: { ...(audio && { audio }), ...(video && { video }) },
      ...(picture && {
        picture: {
          width: number(picture["frameWidth"]) ?? 0,
          height: number(picture["frameHeight"]) ?? 0,
          framesPerS: number(picture["framesPerSecond"]) ?? 0,
        },
      }),
    },
  };
}

/** How loud both sides are, from 0 to 1 (W3C Identifiers for WebRTC's Statistics, `audioLevel`). What a browser does not report is absent. */
export interface Levels {
  mine?: number;
  partner?: number;
}

export function readLevels(report: RTCStatsReport): Levels {
  const levels: Levels = {};
  report.forEach((entry: Entry) => {
    const level = entry["kind"] === "audio" ? number(entry["audioLevel"]) : undefined;
    if (level === undefined) return;
    if (entry["type"] === "media-source") levels.mine = level;
    if (entry["type"] === "inbound-rtp") levels.partner = level;
  });
  return levels;
}

type Entry = Record<string, unknown>;

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function sum(entries: Entry[], key: string): number {
  return entries.reduce((total, entry) => total + (number(entry[key]) ?? 0), 0);
}
