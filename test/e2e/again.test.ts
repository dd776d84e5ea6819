/** "Meet again" on the page, in Chromium. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { couple, partnerOf, setStage, type Somebody, type Stage } from "./stage.ts";

setDefaultTimeout(60_000);

let stage: Stage;
// The cooldown is the default, five minutes: nobody meets the same one in any other way here.
beforeAll(async () => void (stage = await setStage()));
afterEach(async () => expect(await stage.clear()).toEqual([]));
afterAll(() => stage[Symbol.asyncDispose]());

const isOffered = ({ by }: Somebody) => by("again").isVisible();

test("two who have parted by one press too many meet again, once both have asked", async () => {
  const [alice, bob] = await couple(stage);
  expect([await isOffered(alice), await isOffered(bob)]).toEqual([false, false]);
  await alice.next();
  await Promise.all([alice.until("waiting"), bob.until("waiting")]);
  expect([await isOffered(alice), await isOffered(bob)]).toEqual([true, true]);
  const before = await bob.status();
  await alice.by("again").click();
  await alice.reads("You asked to meet this stranger again.");
  expect([await isOffered(alice), await isOffered(bob)]).toEqual([false, true]);
  // Bob can't tell.
  expect(await bob.status()).toBe(before);
  expect(await bob.log()).not.toContain("asked");
  expect([await alice.state(), await bob.state()]).toEqual(["waiting", "waiting"]);
  await bob.by("again").click();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  expect([await isOffered(alice), await isOffered(bob)]).toEqual([false, false]);
});

test("it is offered for five minutes, and to nobody whose stranger has left or was reported", async () => {
  const [alice, bob] = await couple(stage);
  await alice.page.clock.install();
  await alice.next();
  await Promise.all([alice.until("waiting"), bob.until("waiting")]);
  await alice.page.clock.fastForward(299_000);
  expect(await isOffered(alice)).toBe(true);
  // By keyboard: the focus is not lost with the button.
  await alice.by("again").focus();
  await alice.page.clock.fastForward(1000);
  expect(await isOffered(alice)).toBe(false);
  const focused = alice.page.evaluate(() => document.activeElement?.getAttribute("data-testid"));
  expect(await focused).toBe("next");
  const carol = await stage.enter();
  await carol.start();
  await carol.until("connected");
  const reported = await partnerOf(carol, [alice, bob]);
  // Carol is to wait afterwards.
  await (reported === alice ? bob : alice).stop();
  await carol.by("report-open").click();
  await carol.page.locator("#report-reasons button").first().click();
  await carol.until("waiting");
  expect(await isOffered(carol)).toBe(false);
  await reported.hears(/^The stranger left/);
  expect(await isOffered(reported)).toBe(false);
});
