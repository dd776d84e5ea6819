/** The scenario files of `test/integration/scenarios`, played on every engine. */
import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import { everyEngine } from "../support/engines.ts";
import { parseScenario, playScenario } from "../support/scenario.ts";

const folder = join(import.meta.dir, "scenarios");
const engines = await everyEngine(11);

for (const file of [...new Glob("*.txt").scanSync(folder)].sort()) {
  const scenario = parseScenario(await Bun.file(join(folder, file)).text());
  describe(scenario.title, () => {
    for (const [name, open] of Object.entries(engines))
      test(name, async () => {
        expect(scenario.acts.some(({ told }) => told.length > 0)).toBe(true);
        expect(await playScenario(scenario, open)).toEqual([]);
      });
  });
}
