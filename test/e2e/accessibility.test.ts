/** The page in each of its states and at each size, checked by axe-core: WCAG 2.2 up to AA, and its best practices. */
import { expect, setDefaultTimeout, test } from "bun:test";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { journeys, travel } from "./states.ts";

setDefaultTimeout(90_000);

/** Each state is looked at in both sizes and both colour schemes, and the next one in them the other way round. */
const looks = [
  [
    { width: 375, colorScheme: "light" },
    { width: 1280, colorScheme: "dark" },
  ],
  [
    { width: 375, colorScheme: "dark" },
    { width: 1280, colorScheme: "light" },
  ],
] as const;

type Look = (typeof looks)[number][number];

/** Each rule that is violated in one of the looks, with the elements that violate it. */
async function violations(page: Page, looks: readonly Look[]): Promise<string[]> {
  await page.evaluate(axe.source);
  const found: string[] = [];
  for (const { width, colorScheme } of looks) {
    await page.setViewportSize({ width, height: width < 900 ? 667 : 800 });
    await page.emulateMedia({ colorScheme });
    const broken = await page.evaluate(async () => {
      const { axe: own } = window as unknown as { axe: typeof axe };
      const { violations } = await own.run();
      const rules = violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`,
      );
      const { scrollWidth } = document.documentElement;
      if (scrollWidth > innerWidth) rules.push(`the page is ${scrollWidth} px wide`);
      return rules;
    });
    found.push(...broken.map((rule) => `${width} px, ${colorScheme}: ${rule}`));
  }
  return found;
}

let visits = 0;
for (const [name, journey] of Object.entries(journeys))
  test(`the page has no violations: ${name}`, async () => {
    const found: Record<string, string[]> = {};
    const complaints = await travel(journey, async ({ page, state, by }, visited) => {
      const before = await state();
      found[visited] = await violations(page, looks[visits++ % 2] ?? []);
      // Otherwise another state than this one was checked.
      expect([visited, await state()]).toEqual([visited, before]);
      if (visited === "second-press") expect(await by("next").getAttribute("data-armed")).toBe("");
    });
    expect(found).toEqual(Object.fromEntries(Object.keys(found).map((state) => [state, []])));
    expect(complaints).toEqual([]);
  });
