/** Detects that the machine has slept, is online again or in another network, as sockets may then look open and deliver nothing. */

/** Timers of a hidden page run once a minute at worst (Chromium's intensive throttling). */
const CHECK_EVERY_MS = 10_000;
const SLEPT_MS_MIN = 90_000;

/** `navigator.connection` (WICG Network Information): `change` also comes when an estimate of its speed changes. */
interface NetworkInformation extends Pick<EventTarget, "addEventListener" | "removeEventListener"> {
  readonly type?: string;
}

/**
 * Calls `onResume` when the machine has slept, is online again, has gone from one kind of network to another, or the page was frozen (WICG
 * Page Lifecycle). All leave sockets that look open and deliver nothing.
 *
 * Browsers have no event for sleep, so this compares the wall clock between two runs of a timer. The monotonic clock may
 * stand still while the machine sleeps (W3C High Resolution Time).
 *
 * @returns a function that stops the detection.
 */
export function detectSleep(
  onResume: () => void,
  page: Pick<EventTarget, "addEventListener" | "removeEventListener"> = globalThis,
  network = (globalThis.navigator as { connection?: NetworkInformation } | undefined)?.connection,
): () => void {
  let type = network?.type;
  const onChange = () => {
    if (network?.type === type) return;
    type = network?.type;
    onResume();
  };
  let checkedAtMs = Date.now();
  const timer = setInterval(() => {
    const elapsedMs = Date.now() - checkedAtMs;
    checkedAtMs = Date.now();
    if (elapsedMs > SLEPT_MS_MIN) onResume();
  }, CHECK_EVERY_MS);
  page.addEventListener("online", onResume);
  // It is the document that is told, which need not bubble.
  page.addEventListener("resume", onResume, true);
  network?.addEventListener("change", onChange);
  return () => {
    clearInterval(timer);
    page.removeEventListener("online", onResume);
    page.removeEventListener("resume", onResume, true);
    network?.removeEventListener("change", onChange);
  };
}
