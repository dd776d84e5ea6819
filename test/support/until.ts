/**
 * Resolves once `holds` returns a truthy value. It is called every 10 ms, for conditions that no event announces. What it
 * throws counts as false, because what is waited for may not answer yet.
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
      if (await holds()) return;
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
