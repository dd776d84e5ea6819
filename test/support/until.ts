/**
 * Resolves once `holds` returns a truthy value. It is called every 10 ms, for conditions that no event announces. What it
 * throws counts as false, because what is waited for may not answer yet; so does an answer that never comes.
 *
 * @throws after `withinMs` (milliseconds), with what was waited for and the last error of `holds`.
 */
export async function until(
  what: string,
  holds: () => unknown | Promise<unknown>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  let cause: unknown;
  for (;;) {
    try {
      const leftMs = Math.max(0, deadline - performance.now());
      if (await answerWithin(leftMs, holds())) return;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) {
      const because = cause === undefined ? "" : ` (${String(cause)})`;
      throw new Error(`not within ${withinMs} ms: ${what}${because}`, { cause });
    }
    await Bun.sleep(10);
  }
}

/** The answer, or an error after `ms` without one. */
export async function answerWithin<T>(ms: number, answer: T | Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("no answer")), ms);
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}
