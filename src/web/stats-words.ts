/** Figures of a call in words. */
import type { CallStats } from "../client/call-stats.ts";

/** The statistics of a call as rows. `firstFrameMs` is the time from the match to the first video frame shown. */
export function statsWords(
  stats: CallStats,
  firstFrameMs: number | undefined,
): [name: string, value: string][] {
  const { path, roundTripMs, lossRatio, codecs, picture, matchMs, connectMs } = stats;
  const none = "–";
  return [
    ["Path", path ?? none],
    ["Round trip", roundTripMs === undefined ? none : `${Math.round(roundTripMs)} ms`],
    ["Receiving", rate(stats.receivedBitsPerS)],
    ["Sending", rate(stats.sentBitsPerS)],
    ["Loss", lossRatio === undefined ? none : `${(100 * lossRatio).toFixed(1)} %`],
    ["Codecs", [codecs.video, codecs.audio].filter(Boolean).join(", ") || none],
    [
      "Video",
      picture ? `${picture.width} × ${picture.height}, ${Math.round(picture.framesPerS)}/s` : none,
    ],
    ["Time to match", seconds(matchMs)],
    ["Time to connect", seconds(connectMs)],
    ["Time to first frame", seconds(firstFrameMs)],
  ];
}

function rate(bitsPerS: number): string {
  const kilobits = bitsPerS / 1000;
  return kilobits < 1000
    ? `${Math.round(kilobits)} kbit/s`
    : `${(kilobits / 1000).toFixed(1)} Mbit/s`;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "–" : `${(ms / 1000).toFixed(2)} s`;
}
