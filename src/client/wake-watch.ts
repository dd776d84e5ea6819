/** A page that nobody looks at has its timers run once a minute at worst (Chromium's intensive throttling). */
const LOOK_MS = 10_000;
const SLEPT_MS_MIN = 90_000;

/**
 * Calls `woke` when the machine has slept, or has a network again after having none. Both leave sockets
 * behind that look open and lead nowhere; no event of the platform's tells of a sleep, but the clock does.
 * Returns how to stop.
 */
export function watchForWaking(
  woke: () => void,
  page: Pick<EventTarget, "addEventListener" | "removeEventListener"> = globalThis,
): () => void {
  let seenAt = Date.now();
  const timer = setInterval(() => {
    const sleptMs = Date.now() - seenAt;
    seenAt = Date.now();
    if (sleptMs > SLEPT_MS_MIN) woke();
  }, LOOK_MS);
  page.addEventListener("online", woke);
  return () => {
    clearInterval(timer);
    page.removeEventListener("online", woke);
  };
}
