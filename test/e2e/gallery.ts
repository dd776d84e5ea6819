/**
 * Takes a picture of the page in each of its states, in five sizes, light and dark, into a folder: `bun test/e2e/gallery.ts [folder] [state…]`.
 * They are for people to look at; accessibility.test.ts checks the same states.
 */
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Guest } from "./stage.ts";
import { journeys, travel } from "./states.ts";

const sizes = [
  [360, 640],
  [390, 844],
  [844, 390],
  [768, 1024],
  [1440, 900],
] as const;

const [folder = await mkdtemp(join(tmpdir(), "peer-stream-gallery-")), ...wanted] =
  process.argv.slice(2);
await mkdir(folder, { recursive: true });

async function take({ page }: Guest, state: string): Promise<void> {
  if (wanted.length > 0 && !wanted.includes(state)) return;
  for (const [width, height] of sizes) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      const path = join(folder, `${state}-${width}x${height}-${colorScheme}.png`);
      await page.screenshot({ path });
    }
  }
}

for (const journey of Object.values(journeys)) await travel(journey, take);
console.log(folder);
