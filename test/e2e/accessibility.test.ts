/** The page in each of its states, looked at by axe-core: WCAG 2.2 up to AA, and its best practices. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { setStage, somebody, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

/** Each rule that is broken, with what breaks it. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { axe: own } = window as unknown as { axe: typeof axe };
    const { violations } = await own.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}

const looks = [
  { name: "on a phone, light", viewport: { width: 375, height: 667 }, colorScheme: "light" },
  { name: "on a phone, dark", viewport: { width: 375, height: 667 }, colorScheme: "dark" },
  { name: "on a desk, light", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { name: "on a desk, dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
] as const;

describe("nothing is in anybody's way", () => {
  let stage: Stage;
  beforeAll(async () => void (stage = await setStage()));
  afterEach(async () => expect(await stage.clear()).toEqual([]));
  afterAll(() => stage[Symbol.asyncDispose]());

  for (const { name, ...look } of looks)
    test(name, async () => {
      const alice = await stage.enter("/?fake=1", { ...look, reducedMotion: "reduce" });
      const { page } = alice;
      const found: Record<string, string[]> = {};
      const seen = async (state: string) => void (found[state] = await violations(page));
      await seen("idle");
      await alice.by("settings-open").click();
      await seen("settings");
      await alice.by("settings-close").click();
      await page.getByLabel("What would you like to talk about?").fill("chess");
      await alice.start();
      await alice.until("waiting");
      await seen("waiting");
      const bob = await stage.enter("/?fake=1");
      await bob.page.getByLabel("What would you like to talk about?").fill("chess");
      await bob.start();
      await alice.until("connected");
      await alice.sees();
      await alice.say("Hello!");
      await bob.say("Hello yourself!");
      await alice.reads("Hello yourself!");
      await bob.by("chat-input").pressSequentially("And");
      await alice.by("typing").waitFor();
      await alice.by("stats-toggle").click();
      await seen("in a call");
      await alice.by("report-open").click();
      await seen("reporting");
      await page.keyboard.press("Escape");
      await alice.by("next").click();
      await seen("asked for the second press");
      expect(found).toEqual(Object.fromEntries(Object.keys(found).map((state) => [state, []])));
      // Nothing sticks out to the side, so nothing has to be scrolled for.
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wide).toBeLessThanOrEqual(0);
    });
});

test("nor where the camera is denied, and before it is asked for", async () => {
  await using stage = await setStage({}, { camera: "denied" });
  for (const { viewport, colorScheme } of looks) {
    const alice = somebody((await stage.enter("/", { viewport, colorScheme })).page);
    expect(await violations(alice.page)).toEqual([]);
    await alice.start();
    await alice.by("camera-error").waitFor();
    expect(await violations(alice.page)).toEqual([]);
  }
  expect(await stage.clear()).toEqual([]);
});
