/** What a visitor of the page meets before the first search, in Chromium: proofs of work, which it does not notice, and rules. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { until } from "../support/until.ts";
import { setStage, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

const stages: Stage[] = [];
afterEach(async () => {
  for (const stage of stages.splice(0)) {
    try {
      expect(await stage.clear()).toEqual([]);
    } finally {
      await stage[Symbol.asyncDispose]();
    }
  }
});

async function enterStage(...settings: Parameters<typeof setStage>): Promise<Stage> {
  const stage = await setStage(...settings);
  stages.push(stage);
  return stage;
}

/** Counts the frames that the page draws, from now on. */
async function countFrames(page: Page): Promise<() => Promise<number>> {
  const count = await page.evaluateHandle(() => {
    const counted = { frames: 0 };
    const next = () => {
      counted.frames += 1;
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
    return counted;
  });
  return async () => (await count.jsonValue()).frames;
}

test("a proof of work is solved in a worker, and then there is a call", async () => {
  // Some seconds at most.
  const stage = await enterStage({ CHALLENGE: "on", CHALLENGE_DIFFICULTY: "1000" });
  const [alice, bob] = await Promise.all([stage.enter("/?fake=1"), stage.enter("/?fake=1")]);
  const solving = alice.page.waitForEvent("worker");
  await alice.start();
  await solving;
  await until("it is solved", () => alice.page.workers().length === 0, 40_000);
  await bob.start();
  await Promise.all([alice.until("connected", 40_000), bob.until("connected", 40_000)]);
  // Not again, for the next one.
  await alice.next();
  await alice.until("waiting");
  await alice.page.reload();
  await alice.start();
  await alice.until("waiting");
  await alice.page.waitForFunction(() =>
    document.querySelector("#cover-text")?.textContent?.includes("waiting when you joined"),
  );
  expect(alice.page.workers()).toEqual([]);
});

test("the page goes on drawing meanwhile, and it is given up when the visitor stops", async () => {
  // About a minute. A solution may be found at once by chance: then another visitor gets another challenge.
  const stage = await enterStage({ CHALLENGE: "on", CHALLENGE_DIFFICULTY: "100000" });
  const drawsMeanwhile = async () => {
    const alice = await stage.enter("/?fake=1");
    await alice.by("local-video").and(alice.page.locator("[data-synthetic=true]")).waitFor();
    const frames = await countFrames(alice.page);
    const solving = alice.page.waitForEvent("worker");
    await alice.start();
    const worker = await solving;
    const atTheBeginning = await frames();
    let isGone = false;
    await until("the page draws while the worker solves", async () => {
      isGone = !alice.page.workers().includes(worker);
      return isGone || (await frames()) > atTheBeginning + 10;
    });
    return isGone ? undefined : alice;
  };
  const alice = (await drawsMeanwhile()) ?? (await drawsMeanwhile()) ?? (await drawsMeanwhile());
  if (!alice)
    throw new Error("three times the worker was gone before the page had drawn ten frames");
  expect(await alice.state()).toBe("waiting");
  await alice.stop();
  await until("the worker is gone", () => alice.page.workers().length === 0);
  await alice.until("idle");
});

test("without workers it is solved on the page's own thread, which goes on drawing", async () => {
  const script = () => {
    const random = Math.random.bind(Math);
    Math.random = () => random() / 1e4;
    Reflect.deleteProperty(globalThis, "Worker");
  };
  const stage = await enterStage({ CHALLENGE: "on", CHALLENGE_DIFFICULTY: "500" }, { script });
  const [alice, bob] = await Promise.all([stage.enter("/?fake=1"), stage.enter("/?fake=1")]);
  const frames = await countFrames(alice.page);
  await alice.start();
  await alice.until("waiting");
  const atTheBeginning = await frames();
  await bob.start();
  await Promise.all([alice.until("connected", 40_000), bob.until("connected", 40_000)]);
  expect(await frames()).toBeGreaterThan(atTheBeginning + 10);
});

const rules = {
  RULES_VERSION: "2026-11",
  RULES_TEXT: "Be kind.\nShow <b>nobody</b> else.",
  RULES_URL: "https://rules.example/",
  RULES_REQUIRED: "true",
};

test("rules are shown before the first search, agreed to once, and again when they change", async () => {
  const stage = await enterStage(rules);
  const alice = await stage.enter("/?fake=1");
  const { page, by } = alice;
  await alice.start();
  await by("rules").waitFor();
  expect(await by("rules").innerText()).toContain("Be kind.\nShow <b>nobody</b> else.");
  const link = page.getByRole("link", { name: "Read the rules" });
  expect(await link.getAttribute("href")).toBe("https://rules.example/");
  await page.evaluate(axe.source);
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    const broken = await page.evaluate(async () => {
      const { violations } = await (window as unknown as { axe: typeof axe }).axe.run();
      return violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
    });
    expect(broken).toEqual([]);
  }
  // By keyboard alone: declined by Escape, which leaves all as it was.
  await page.keyboard.press("Escape");
  await alice.hears(/once you have agreed to the rules/);
  expect(await alice.state()).toBe("idle");
  await alice.start();
  // Without the age it is not sent.
  await by("rules-agree").click();
  expect(await by("rules").isVisible()).toBe(true);
  await page.getByLabel("I am at least 18 years old.").check();
  await by("rules-agree").click();
  await alice.until("waiting");
  await page.reload();
  await alice.start();
  await alice.until("waiting");
  expect(await by("rules").isVisible()).toBe(false);
  await alice.stop();
  // The page is still open when the rules change.
  await stage.stopServer();
  await stage.startServer({ RULES_VERSION: "2026-12", RULES_TEXT: "Be kinder.", RULES_AGE: "0" });
  await alice.start();
  await by("rules").waitFor();
  expect(await by("rules").innerText()).toContain("Be kinder.");
  expect(await by("rules-age").isVisible()).toBe(false);
  await by("rules-agree").click();
  await alice.until("waiting");
  const bob = await stage.enter("/?fake=1");
  await bob.start();
  await bob.by("rules-agree").click();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
});
