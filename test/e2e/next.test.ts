import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { couple, partnerOf, setStage, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

const COOLDOWN_MS = 2500;

let stage: Stage;
beforeAll(async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: String(COOLDOWN_MS) })));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

test("with three, Next brings one of the two to Carol, and never the two to each other", async () => {
  const [alice, bob] = await couple(stage);
  const carol = await stage.enter();
  await carol.start();
  await carol.until("waiting");
  await alice.next();
  await carol.until("connected");
  const met = await partnerOf(carol, [alice, bob]);
  const alone = met === alice ? bob : alice;
  await Promise.all([met.sees(), carol.sees()]);
  expect(await alone.state()).toBe("waiting");
});

test("who was skipped is told so in words", async () => {
  const [alice, bob] = await couple(stage);
  await alice.next();
  await bob.hears(/^The stranger moved on. Looking for someone else/);
  await alice.hears(/^Looking for someone/);
});

test("two who skipped meet again when the cooldown ends, and not before", async () => {
  const [alice, bob] = await couple(stage);
  await alice.say("only for the first time");
  await bob.reads("only for the first time");
  const skippedAt = performance.now();
  await alice.next();
  await Promise.all([alice.until("waiting"), bob.until("waiting")]);
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  const apartMs = performance.now() - skippedAt;
  expect(apartMs).toBeGreaterThanOrEqual(COOLDOWN_MS - 50);
  expect(apartMs).toBeLessThan(COOLDOWN_MS + 3000);
  // What was said to one stranger is none of the next one's business.
  expect(await bob.log()).not.toContain("only for the first time");
});

test("one press loses nobody: it asks, and is forgotten after a while", async () => {
  const [alice, bob] = await couple(stage);
  await alice.page.clock.install();
  await alice.by("next").click();
  await alice.hears(/^Press Next again to leave this stranger/);
  expect(await alice.by("next").innerText()).toContain("Really?");
  await alice.page.clock.runFor(4000);
  await alice.hears(/^You are connected/);
  expect(await alice.by("next").innerText()).not.toContain("Really?");
  expect([await alice.state(), await bob.state()]).toEqual(["connected", "connected"]);
});

test("the second press counts although the stranger has turned something off since the first", async () => {
  const [alice, bob] = await couple(stage);
  await alice.by("next").click();
  await alice.hears(/^Press Next again/);
  await bob.by("mic").click();
  await alice.page.locator("#muted-badge:not([hidden])").waitFor({ state: "attached" });
  // Still asked for, in the words that were there.
  expect(await alice.by("next").innerText()).toContain("Really?");
  await alice.hears(/^Press Next again/);
  await alice.by("next").click();
  await bob.hears(/^The stranger moved on/);
});

test("a first press does not count for the next stranger", async () => {
  const [alice, bob] = await couple(stage);
  const carol = await stage.enter();
  await carol.start();
  await carol.until("waiting");
  await alice.by("next").click();
  await alice.hears(/^Press Next again/);
  await bob.stop();
  await carol.until("connected");
  await alice.until("connected");
  expect(await alice.by("next").innerText()).not.toContain("Really?");
  await alice.by("next").click();
  await alice.hears(/^Press Next again/);
  expect(await carol.state()).toBe("connected");
});

test("Escape is Next, and Next while waiting changes nothing", async () => {
  const [alice, bob] = await couple(stage);
  await alice.page.keyboard.press("Escape");
  await alice.page.keyboard.press("Escape");
  await Promise.all([alice.until("waiting"), bob.until("waiting")]);
  const diary = await alice.diary();
  await alice.page.keyboard.press("Escape");
  // The place in the lobby is kept until the cooldown ends.
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  expect(await diary()).toEqual(["connecting", "connected"]);
});

test("the page can be used by keyboard alone", async () => {
  const bob = await stage.enter();
  await bob.start();
  const { page, ...alice } = await stage.enter();
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("data-testid"));
  for (let presses = 0; (await focused()) !== "start" && presses < 20; presses += 1) {
    await page.keyboard.press("Tab");
  }
  expect(await focused()).toBe("start");
  await page.keyboard.press("Enter");
  await alice.until("connected");
  // The pressed button is gone; the focus is not lost with it.
  expect(await focused()).toBe("next");
  for (let presses = 0; (await focused()) !== "chat-input" && presses < 20; presses += 1) {
    await page.keyboard.press("Shift+Tab");
  }
  await page.keyboard.type("by hand");
  await page.keyboard.press("Enter");
  await bob.reads("by hand");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await alice.until("waiting");
});

test("two browsers that cannot reach each other are told so, and both go on looking", async () => {
  const alice = await stage.enter();
  const bob = await stage.enter();
  for (const { page } of [alice, bob]) {
    // As a firewall would: whatever way the partner names, nothing is tried.
    await page.evaluate(() => {
      RTCPeerConnection.prototype.addIceCandidate = async () => {};
    });
    await page.clock.install();
  }
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connecting"), bob.until("connecting")]);
  for (const { page } of [alice, bob]) await page.clock.fastForward(19_000);
  expect([await alice.state(), await bob.state()]).toEqual(["connecting", "connecting"]);
  for (const { page } of [alice, bob]) await page.clock.fastForward(1000);
  const words = /You could not be connected to the stranger. Looking for someone else/;
  await Promise.all([alice.hears(words), bob.hears(words)]);
  const carol = await stage.enter();
  await carol.start();
  await carol.until(["connecting", "connected"]);
});

test("B13 as the README has it: two tabs of one developer meet again after Next, and nothing untrue is shown", async () => {
  // As `bun run start` runs it: no variable is set.
  await using developers = await setStage({ NODE_ENV: "development" });
  const alice = await developers.enter("/?fake=1");
  await alice.start();
  await alice.until("waiting");
  const bob = await developers.enter("/?fake=1");
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await alice.next();
  await Promise.all([alice.until("waiting"), bob.until("waiting")]);
  const cover = await alice.page.locator("#cover-text").innerText();
  expect(cover).toMatch(/^(One other person was|Nobody else was) waiting when you joined/);
  await Promise.all([alice.until("connected", 10_000), bob.until("connected", 10_000)]);
  expect(await developers.clear()).toEqual([]);
});
