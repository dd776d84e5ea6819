/**
 * How a session or account behaves, as the engine has seen it: points that bad conduct adds and conversations take away, and that fade.
 * A record is one number and a time, and there is none of somebody who has no points.
 */
import type { EndReason } from "../protocol.ts";
import type { Ending } from "./room.ts";

export interface Conduct {
  /** From 0 to `pointsMax`. */
  readonly points: number;
  /** When it had so many (epoch milliseconds of the engine's clock). */
  readonly at: number;
}

/** What was seen. */
export type Evidence = "quick-skip" | "report" | "conversation";

/**
 * Ten quick skips without a conversation in between make the other lane, as anybody skips some; so do two reports, if the second one comes within
 * a quarter of an hour of the first, as a single one may be malice. A conversation outweighs three quick skips: somebody who looks for a
 * while and then talks stays at 0, also where many others skip.
 */
const weights: Readonly<Record<Evidence, number>> = {
  "quick-skip": 1,
  report: 6,
  conversation: -3,
};
const threshold = 10;

/** Points halve in the time for which a report counts by default (see `ModerationLimits`). */
const halfLifeMs = 3_600_000;

/** Four times the threshold: two half-lives after it has stopped, any conduct is forgiven. */
const pointsMax = 4 * threshold;

/** A room that ends sooner was ended at first sight. */
const quickMs = 5000;

/** A room that has lasted so long was a conversation. */
const conversationMs = 60_000;

function pointsAt({ points, at }: Conduct, now: number): number {
  return points * 2 ** (-Math.max(0, now - at) / halfLifeMs);
}

/** The record after one more observation. To the thousandth, as it is stored. */
export function afterEvidence(
  conduct: Conduct | undefined,
  evidence: Evidence,
  now: number,
): Conduct | undefined {
  const before = conduct ? pointsAt(conduct, now) : 0;
  const points = Math.min(pointsMax, Math.max(0, before + weights[evidence]));
  const rounded = Math.round(points * 1000) / 1000;
  return rounded > 0 ? { points: rounded, at: now } : undefined;
}

/** The lane by conduct alone: 0, or 1 for bad conduct. */
export function laneByConduct(conduct: Conduct | undefined, now: number): 0 | 1 {
  return conduct !== undefined && pointsAt(conduct, now) >= threshold ? 1 : 0;
}

/**
 * What the end of a room says of the member through which it ended, and of the other one. Leaving counts as skipping: it is the same to the
 * partner. A room that somebody ended by a report or block, or that moderation ended, speaks for nobody.
 */
export function evidenceOf({
  reason,
  ending,
  lastedMs,
}: {
  reason: EndReason;
  ending: Ending;
  lastedMs: number;
}): { member?: Evidence; partner?: Evidence } {
  if (ending === "report" || ending === "block" || ending === "removed") return {};
  if (reason === "connect-failed") return {};
  if (lastedMs >= conversationMs) return { member: "conversation", partner: "conversation" };
  const isQuickSkip = lastedMs < quickMs && (reason === "skipped" || ending === "leave");
  return isQuickSkip ? { member: "quick-skip" } : {};
}
