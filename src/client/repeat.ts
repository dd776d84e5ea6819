/** Repeats what takes its time. */

/** Calls `action` every `everyMs` until the returned function is called, but not while the previous call is not done. */
export function repeat(everyMs: number, action: () => Promise<void>): () => void {
  let isBusy = false;
  const timer = setInterval(async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      await action();
    } finally {
      isBusy = false;
    }
  }, everyMs);
  return () => clearInterval(timer);
}
