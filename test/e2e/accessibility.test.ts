/** The page in each of its states and at each size, checked by axe-core: WCAG 2.2 up to AA, and its best practices. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Page } from "playwright-core";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { setStage } from "./stage.ts";

setDefaultTimeout(60_000);

const looks = [375, 1280].flatMap((width) =>
  (["light", "dark"] as const).map((colorScheme) => ({ width, colorScheme })),
);

/** Something of each kind, and a list that has to be scrolled. */
const declared: FactsDeclaration = {
  region: { kind: "one", of: ["eu", "us"], shown: true },
  topics: { kind: "set", of: Array.from({ length: 30 }, (_, n) => `topic ${n}`), shown: true },
  age: { kind: "range", from: 18, to: 99 },
  smoker: { kind: "flag" },
};

/** Each rule that is violated in one of the looks, with the elements that violate it. */
async function violations(page: Page): Promise<string[]> {
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

test("the page has no violations, in any state and at any size", async () => {
  const facts = join(await mkdtemp(join(tmpdir(), "peer-stream-facts-")), "facts.json");
  await Bun.write(facts, JSON.stringify(declared));
  await using stage = await setStage({ FACTS_FILE: facts, LOBBIES: "jazz" });
  const alice = await stage.enter("/?fake=1");
  const bob = await stage.enter("/?fake=1");
  const { page } = alice;
  await page.evaluate(axe.source);
  const found: Record<string, string[]> = {};
  const check = async (state: string) => void (found[state] = await violations(page));
  await check("idle");
  await alice.by("settings-open").click();
  const wants = alice.by("wants");
  await wants.waitFor();
  await alice.by("facts").getByLabel("Region").selectOption("eu");
  await check("settings");
  await wants.getByRole("group", { name: "Region" }).getByLabel("Eu").check();
  await wants.getByLabel("From").fill("40");
  await wants.getByLabel("To", { exact: true }).fill("30");
  await page.keyboard.press("Tab");
  await wants.getByRole("group", { name: "Age" }).scrollIntoViewIfNeeded();
  await check("settings with something invalid");
  await page.keyboard.press("Escape");
  await bob.by("settings-open").click();
  await bob.by("facts").getByLabel("Region").selectOption("eu");
  await bob.by("settings-close").click();
  for (const { page } of [alice, bob])
    await page.getByLabel("What would you like to talk about?").fill("chess");
  await alice.start();
  await alice.until("waiting");
  await check("waiting");
  await bob.start();
  await alice.until("connected");
  await alice.sees();
  await alice.say("Hello!");
  await bob.say("Hello yourself!");
  await alice.reads("Hello yourself!");
  // A page withdraws its own typing indicator after a pause of 3 s, the partner's after 6 s, and the question for the second
  // press after 4 s. Without these timers all of them stay while they are checked.
  for (const one of [alice, bob])
    await one.page.evaluate(() => {
      const real = window.setTimeout.bind(window);
      const withoutThose = (callback: () => void, ms: number) =>
        [3000, 4000, 6000].includes(ms) ? 0 : real(callback, ms);
      Object.assign(window, { setTimeout: withoutThose });
    });
  await bob.by("chat-input").pressSequentially("And");
  await alice.by("typing").waitFor();
  await alice.press("stats-toggle");
  expect(await alice.by("partner-facts").innerText()).toBe("Region: Eu");
  await check("in a call");
  expect(await alice.by("typing").isVisible()).toBe(true);
  await alice.by("report-open").click();
  await alice.by("report-picture").waitFor();
  await page.getByText("Show these messages").click();
  await check("reporting");
  await page.keyboard.press("Escape");
  await alice.by("next").click();
  await check("asked for the second press");
  expect(await alice.by("next").getAttribute("data-armed")).toBe("");
  expect(found).toEqual(Object.fromEntries(Object.keys(found).map((state) => [state, []])));
  expect(await stage.clear()).toEqual([]);
});

test("the page has no violations where the camera is denied, and before it is asked for", async () => {
  await using stage = await setStage({}, { camera: "denied" });
  const alice = await stage.enter();
  await alice.page.evaluate(axe.source);
  expect(await violations(alice.page)).toEqual([]);
  await alice.start();
  await alice.by("camera-error").waitFor();
  expect(await violations(alice.page)).toEqual([]);
  expect(await stage.clear()).toEqual([]);
});
