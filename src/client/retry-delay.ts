const DELAY_MS_MIN = 200;
const DELAY_MS_MAX = 10_000;

/**
 * Milliseconds to wait before a reconnect: full jitter over an exponentially growing range, 200 ms to
 * 10 s. Never 0, not even the first time: after a restart of the server everybody comes back at once,
 * and only chance spreads them out. (Exponential Backoff and Jitter, AWS Architecture Blog, 2015.)
 *
 * @param attempt - how many attempts have failed so far, from 0.
 * @param random - a number in [0, 1).
 */
export function retryDelayMs(attempt: number, random: number): number {
  const ceilingMs = Math.min(DELAY_MS_MAX, 1000 * 2 ** Math.min(attempt, 10));
  return Math.round(DELAY_MS_MIN + random * (ceilingMs - DELAY_MS_MIN));
}
