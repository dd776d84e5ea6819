/**
 * The price of skipping too often, paid by the one who skips: time. Skips fill a leaky bucket. When it is full each further one
 * delays the next, twice as long as the one before. Failed calls have a bucket of their own: a peer whose calls fail again and
 * again is treated as one who skips.
 */
export interface SkipLimits {
  /** Skips in a row that cost nothing; 0: skipping never costs anything. */
  burst: number;
  /** After this long (milliseconds) one skip is forgotten. */
  forgetMs: number;
  /** The first delay past the burst (milliseconds), and the longest it grows to. */
  delayMs: number;
  delayMsMax: number;
}

/** One session's record. */
export interface SkipPenalty {
  skips: Bucket;
  failures: Bucket;
  /** Epoch milliseconds before which it may not skip or join. */
  until: number;
}

interface Bucket {
  level: number;
  /** Epoch milliseconds at which it stood at that level. */
  at: number;
}

/** Failed calls in short order that are believed. */
const failuresTolerated = 3;
const failureForgetMs = 60_000;

const empty: SkipPenalty = { skips: { level: 0, at: 0 }, failures: { level: 0, at: 0 }, until: 0 };

function fill({ level, at }: Bucket, now: number, forgetMs: number): Bucket {
  return { level: Math.max(0, level - (now - at) / forgetMs) + 1, at: now };
}

/** The record after one more skip. */
export function afterSkip(
  penalty: SkipPenalty = empty,
  now: number,
  limits: SkipLimits,
): SkipPenalty {
  if (limits.burst === 0) return penalty;
  const skips = fill(penalty.skips, now, limits.forgetMs);
  const excess = Math.ceil(skips.level - limits.burst);
  if (excess <= 0) return { ...penalty, skips };
  const delayMs = Math.min(limits.delayMs * 2 ** (excess - 1), limits.delayMsMax);
  return { ...penalty, skips, until: now + delayMs };
}

/** Skips not yet forgotten past which they count as frequent. */
const frequentLevel = 2;

/** Whether the last skip came soon after others. */
export function isFrequent(penalty: SkipPenalty | undefined): boolean {
  return (penalty?.skips.level ?? 0) > frequentLevel;
}

/** The record after one more call that never came about, and whether that is still believed. */
export function afterFailure(
  penalty: SkipPenalty = empty,
  now: number,
): { penalty: SkipPenalty; tolerated: boolean } {
  const failures = fill(penalty.failures, now, failureForgetMs);
  return { penalty: { ...penalty, failures }, tolerated: failures.level <= failuresTolerated };
}

/** The record after a call that did come about. */
export function afterSuccess(penalty: SkipPenalty): SkipPenalty {
  return { ...penalty, failures: empty.failures };
}

/** Milliseconds before it may skip or join again; 0: at once. */
export function penaltyRemainingMs(penalty: SkipPenalty | undefined, now: number): number {
  return Math.max(0, (penalty?.until ?? 0) - now);
}
