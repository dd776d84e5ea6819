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
  };

  const elapsedS = Math.max(0.001, (at - before.at) / 1000);
  const perS = (now: number, then: number) => Math.max(0, ((now - then) * 8) / elapsedS);
  // A late packet is subtracted again, so that the count of lost packets may decrease.
  const lost = Math.max(0, counters.lostPackets - before.lostPackets);
  const packets = lost + counters.receivedPackets - before.receivedPackets;
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

type Entry = Record<string, unknown>;

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function sum(entries: Entry[], key: string): number {
  return entries.reduce((total, entry) => total + (number(entry[key]) ?? 0), 0);
}
