/** The quality of a call in one word. */
import type { Quality } from "./state.ts";
import type { CallReading } from "./call-stats.ts";
import type { Timers } from "./platform.ts";
import { repeat } from "./repeat.ts";

const words = ["good", "fair", "poor"] as const;

/** A reading is `fair` from the first figure on and `poor` from the second one on, whichever of these is the worst. */
const steps: readonly [name: keyof CallReading, fair: number, poor: number][] = [
  ["lossRatio", 0.03, 0.1],
  ["roundTripMs", 250, 500],
  ["concealedRatio", 0.02, 0.08],
  ["frozenRatio", 0.05, 0.2],
];
/** Likewise, but less is worse (bits per second). */
const availableBitsPerS = [250_000, 100_000] as const;

/** Milliseconds between two readings. */
const EVERY_MS = 3000;

/** What a watch of a call's quality is made of. */
export interface QualityParts {
  /** The figures since the last reading. */
  read(): Promise<CallReading | undefined>;
  /** The word has changed. */
  report(quality: Quality): void;
  /** Nothing is read while the page is hidden. */
  isHidden(): boolean;
  timers: Timers;
}

/** Watches from now on until `ended` is aborted. */
export function watchQuality(
  { read, report, isHidden, timers }: QualityParts,
  ended: AbortSignal,
): void {
  const judge = createJudge();
  let last: Quality | undefined;
  const stop = repeat(timers, EVERY_MS, async () => {
    const reading = isHidden() ? undefined : await read().catch(() => undefined);
    // Nothing has been measured without a round trip.
    if (reading?.roundTripMs === undefined || ended.aborted) return;
    const quality = judge(reading);
    if (quality !== last) report((last = quality));
  });
  ended.addEventListener("abort", stop);
}

/** Judges readings in turn. The word gets worse after two in a row that are worse, and better after three that are better. */
export function createJudge(): (reading: CallReading) => Quality {
  let shown: number | undefined;
  let recent: number[] = [];
  return (reading) => {
    const grade = gradeOf(reading);
    shown ??= grade;
    recent = [...recent.slice(-2), grade];
    const better = Math.min(...recent.slice(-2));
    if (better > shown) shown = better;
    else if (recent.length === 3) shown = Math.min(shown, Math.max(...recent));
    return words[shown] ?? "poor";
  };
}

/** 0 for `good` to 2 for `poor`. */
function gradeOf(reading: CallReading): number {
  const grades = steps.map(([name, fair, poor]) => {
    const value = Number(reading[name] ?? 0);
    return Number(value >= fair) + Number(value >= poor);
  });
  const { availableBitsPerS: bits = Infinity } = reading;
  return Math.max(...grades, availableBitsPerS.filter((limit) => bits < limit).length);
}
