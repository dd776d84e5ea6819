import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { couple, setStage, somebody, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

let stage: Stage;
beforeAll(
  async () => void (stage = await setStage({ SKIP_COOLDOWN_MS: "1000", GRACE_MS: "8000" })),
);
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

test("Alice and Bob press Start, see each other, and talk", async () => {
  const [alice, bob] = await couple(stage);
  await Promise.all([alice.sees(), bob.sees(), alice.sees(5, "local-video")]);
  await alice.say("Hello <b>Bob</b>!");
  await bob.reads("Hello <b>Bob</b>!");
  await bob.say("Hello Alice!");
  await alice.reads("Hello Alice!");
  expect(await alice.log()).toContain("Hello <b>Bob</b>!");
  expect(await alice.by("online").innerText()).toContain("2 online");
});

test("interests that both named are shown to both", async () => {
  const alice = await stage.enter();
  const bob = await stage.enter();
  await alice.page.getByLabel("What would you like to talk about?").fill("Chess, jazz");
  await bob.page.getByLabel("What would you like to talk about?").fill("cooking, chess");
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  for (const one of [alice, bob]) {
    expect(await one.page.getByLabel("Interests you share").innerText()).toMatch(/^chess$/i);
  }
});

test("a closed page is told to the partner at once, who goes on looking", async () => {
  const [alice, bob] = await couple(stage);
  await bob.page.close();
  await alice.hears(/^The stranger left. Looking for someone else/);
  expect(await alice.state()).toBe("waiting");
});

test("a browser that crashes is told to the partner after the grace, who goes on looking", async () => {
  const [alice, bob] = await couple(stage);
  const devtools = await bob.page.context().newCDPSession(bob.page);
  // Crashes the page; the command itself can't be answered any more.
  void devtools.send("Page.crash").catch(() => {});
  // The grace of 8 s, and 5 s for what else it takes.
  await alice.until("waiting", 13_000);
  expect(await alice.status()).toContain("Looking for someone else");
});

test("a reload in a call ends with both connected again", async () => {
  const [alice, bob] = await couple(stage);
  await bob.page.reload();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  await bob.say("Here I am again");
  await alice.reads("Here I am again");
});

test("Stop leaves the partner to somebody else, and Start comes back", async () => {
  const [alice, bob] = await couple(stage);
  await alice.stop();
  await alice.until("idle");
  await bob.hears(/left.*Looking for someone else/);
  expect(await alice.by("start").isVisible()).toBe(true);
  await alice.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await alice.sees();
});

test("Stop while waiting leaves the lobby: nobody meets Alice then", async () => {
  const alice = await stage.enter();
  await alice.start();
  await alice.until("waiting");
  await alice.stop();
  await alice.until("idle");
  const [bob, carol] = await Promise.all([stage.enter(), stage.enter()]);
  await bob.start();
  await carol.start();
  // Alice would have been the first choice of either.
  await Promise.all([bob.until("connected"), carol.until("connected")]);
  expect(await alice.state()).toBe("idle");
});

test("without a picture to show, one can still watch and talk", async () => {
  const alice = await stage.enter();
  await alice.start();
  await alice.by("cam").click();
  expect(await alice.by("cam").getAttribute("aria-pressed")).toBe("true");
  const bob = await stage.enter();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await alice.sees();
  // The camera that was closed is opened in the same call.
  await alice.by("cam").click();
  await Promise.all([bob.sees(), alice.sees(5, "local-video")]);
  expect(await alice.state()).toBe("connected");
});

test("a copy of the tab takes the session over, says so in the first, and never meets itself", async () => {
  const [alice, bob] = await couple(stage);
  const opened = alice.page.context().waitForEvent("page");
  // With an opener, as when a tab is duplicated, the session's storage is copied.
  await alice.page.evaluate(() => void window.open(location.href));
  const copy = somebody(await opened, "the copy");
  await bob.stop();
  await alice.until("waiting");
  await copy.start();
  await alice.hears(/This chat is open in another tab/);
  await copy.until("waiting");
  expect(await alice.state()).toBe("idle");
  await bob.start();
  await Promise.all([copy.until("connected"), bob.until("connected")]);
});
