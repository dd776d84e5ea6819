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
  // A page withdraws the question for the second press after 4 s. Without that timer it stays while it is checked; and whoever types does so all
  // the time.
  for (const one of [alice, bob])
    await one.page.evaluate(() => {
      const real = window.setTimeout.bind(window);
      const withoutThat = (callback: () => void, ms: number) =>
        ms === 4000 ? 0 : real(callback, ms);
      Object.assign(window, { setTimeout: withoutThat });
    });
  await bob.by("chat-input").pressSequentially("And");
  await bob.by("chat-input").evaluate((input) => {
    setInterval(() => input.dispatchEvent(new Event("input")), 1000);
  });
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
  await bob.by("cam").click();
  await bob.by("mic").click();
  await page.locator("#muted-badge:not([hidden])").waitFor();
  await check("a stranger who sends nothing");
  await bob.by("cam").click();
  await alice.by("chat-toggle").click();
  await check("the chat put away");
  await alice.by("chat-toggle").click();
  await alice.by("next").click();
  await check("asked for the second press");
  expect(await alice.by("next").getAttribute("data-armed")).toBe("");
  bob.network.refuse(true);
  bob.network.cut();
  await alice.until("reconnecting");
  await check("reconnecting");
  await alice.stop();
  await check("after Stop");
  expect(found).toEqual(Object.fromEntries(Object.keys(found).map((state) => [state, []])));
  expect(await stage.clear()).toEqual([]);
});

test("the page has no violations while one looks at oneself before the start, and in voice, text and another language", async () => {
  await using stage = await setStage();
  const [alice, bob] = [await stage.enter("/", { locale: "ja-JP" }), await stage.enter()];
  await alice.page.evaluate(axe.source);
  await alice.by("preview").click();
  await alice.sees(5, "local-video");
  expect(await violations(alice.page)).toEqual([]);
  for (const mode of ["audio", "text"]) {
    for (const { page } of [alice, bob]) await page.locator(`#modes [value=${mode}]`).check();
    await Promise.all([alice.start(), bob.start()]);
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    expect([mode, await violations(alice.page)]).toEqual([mode, []]);
    for (const one of [alice, bob]) await one.stop();
  }
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
