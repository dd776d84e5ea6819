/** Figures of a call in words. */
import type { CallStats } from "../client/call-stats.ts";
import { formatNumber, type Language } from "./language.ts";

/** The statistics of a call as rows. `firstFrameMs` is the time from the match to the first video frame shown. */
export function statsWords(
  figures: CallStats,
  firstFrameMs: number | undefined,
  language: Language,
): [name: string, value: string][] {
  const { path, roundTripMs, lossRatio, codecs, picture, matchMs, connectMs } = figures;
  const { stats } = language.strings;
  const number = (value: number, fractionDigits = 0) =>
    formatNumber(language, value, {
      minimumFractionDigits: fractionDigits,
      maximumFractionDigits: fractionDigits,
      useGrouping: false,
    });
  const none = "–";
  const rate = (bitsPerS: number) =>
    bitsPerS < 1e6 ? `${number(bitsPerS / 1e3)} kbit/s` : `${number(bitsPerS / 1e6, 1)} Mbit/s`;
  const seconds = (ms: number | undefined) =>
    ms === undefined ? none : `${number(ms / 1000, 2)} s`;
  return [
    [stats.path, path ? stats.paths[path] : none],
    [stats.roundTrip, roundTripMs === undefined ? none : `${number(roundTripMs)} ms`],
    [stats.receiving, rate(figures.receivedBitsPerS)],
    [stats.sending, rate(figures.sentBitsPerS)],
    [stats.loss, lossRatio === undefined ? none : `${number(100 * lossRatio, 1)} %`],
    [stats.codecs, [codecs.video, codecs.audio].filter(Boolean).join(", ") || none],
    [
      stats.video,
      picture ? `${picture.width} × ${picture.height}, ${number(picture.framesPerS)}/s` : none,
    ],
    [stats.match, seconds(matchMs)],
    [stats.connect, seconds(connectMs)],
    [stats.firstFrame, seconds(firstFrameMs)],
  ];
}
