/**
 * Resolves once `holds` returns a truthy value. It is called every 10 ms, for conditions that no event announces.
 * @throws after `withinMs` (milliseconds), with what was waited for.
 */
export async function until(
  what: string,
  holds: () => unknown | Promise<unknown>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await Bun.sleep(10);
  }
}
