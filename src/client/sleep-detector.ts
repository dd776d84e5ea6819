/** Detects that the machine has slept or is online again, as sockets may then look open and deliver nothing. */

/** Timers of a hidden page run once a minute at worst (Chromium's intensive throttling). */
const CHECK_EVERY_MS = 10_000;
const SLEPT_MS_MIN = 90_000;

/**
 * Calls `onResume` when the machine has slept, or is online again. Both leave sockets that look open and deliver nothing.
 *
 * Browsers have no event for sleep, so this compares the wall clock between two runs of a timer. The monotonic clock may
 * stand still while the machine sleeps (W3C High Resolution Time).
 *
 * @returns a function that stops the detection.
 */
export function detectSleep(
  onResume: () => void,
  page: Pick<EventTarget, "addEventListener" | "removeEventListener"> = globalThis,
): () => void {
  let checkedAtMs = Date.now();
  const timer = setInterval(() => {
    const elapsedMs = Date.now() - checkedAtMs;
    checkedAtMs = Date.now();
    if (elapsedMs > SLEPT_MS_MIN) onResume();
  }, CHECK_EVERY_MS);
  page.addEventListener("online", onResume);
  return () => {
    clearInterval(timer);
    page.removeEventListener("online", onResume);
  };
}
