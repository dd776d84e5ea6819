/**
 * Resolves once `holds` does, which is asked every few milliseconds: for what no event announces.
 * @throws after `withinMs`, with what was waited for.
 */
export async function until(
  what: string,
  holds: () => unknown | Promise<unknown>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline)
      throw new Error(`within ${withinMs} ms it did not come about: ${what}`);
    await Bun.sleep(10);
  }
}
