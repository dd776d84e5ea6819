/** How long to wait before the next try: exponential, with jitter. */

const DELAY_MS_MIN = 200;
const DELAY_MS_MAX = 10_000;

/**
 * Milliseconds to wait before a reconnect: full jitter over an exponentially growing range, 200 ms to 10 s. (Exponential
 * Backoff and Jitter, AWS Architecture Blog, 2015.)
 *
 * Even the first delay is random and never 0: when a server restarts all its clients reconnect at once, and only jitter
 * distributes them.
 *
 * @param attempt - the number of failed attempts so far, from 0.
 * @param random - a number in [0, 1).
 */
export function retryDelayMs(attempt: number, random: number): number {
  const ceilingMs = Math.min(DELAY_MS_MAX, 1000 * 2 ** Math.min(attempt, 10));
  return Math.round(DELAY_MS_MIN + random * (ceilingMs - DELAY_MS_MIN));
}
