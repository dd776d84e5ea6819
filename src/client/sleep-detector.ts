/** Detects that the machine has slept, as sockets may then look open and deliver nothing. */
import { browserTimers, type Timer, type Timers } from "./platform.ts";

/** Timers of a hidden page run once a minute at worst (Chromium's intensive throttling). */
const CHECK_EVERY_MS = 10_000;
const SLEPT_MS_MIN = 90_000;

/**
 * Calls `onResume` when the machine has slept. That leaves sockets that look open and deliver nothing.
 *
 * Browsers have no event for sleep, so this compares the wall clock between two runs of a timer. The monotonic clock may
 * stand still while the machine sleeps (W3C High Resolution Time).
 *
 * @returns a function that stops the detection.
 */
export function detectSleep(
  onResume: () => void,
  { setTimeout, clearTimeout }: Timers = browserTimers,
): () => void {
  let checkedAtMs = Date.now();
  let timer: Timer;
  const check = () => {
    const elapsedMs = Date.now() - checkedAtMs;
    checkedAtMs = Date.now();
    timer = setTimeout(check, CHECK_EVERY_MS);
    if (elapsedMs > SLEPT_MS_MIN) onResume();
  };
  check();
  return () => clearTimeout(timer);
}
