/** Calls in Firefox, and between Firefox and Chromium. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Page } from "puppeteer-core";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { launchFirefox, type Firefox } from "../support/firefox.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { somebody } from "./stage.ts";

setDefaultTimeout(90_000);

const stack = new AsyncDisposableStack();
let server: ServerProcess;
let firefox: Firefox;
let chromium: TestBrowser;
beforeAll(async () => {
  // Each session solves a proof of work first.
  server = stack.use(await startServer({ SKIP_COOLDOWN_MS: "0", CHALLENGE: "on" }));
  firefox = stack.use(await launchFirefox());
  chromium = stack.use(await launchBrowser({ whole: true }));
});
afterAll(() => stack.disposeAsync());

const byId = (id: string) => `[data-testid=${id}]`;

/** A person in front of Firefox. */
function foxOf(page: Page) {
  return {
    page,
    press: (id: string) => page.click(byId(id)),
    until: (state: string) =>
      page.waitForSelector(`${byId("status")}[data-state=${state}]`, { timeout: 20_000 }),
    /** Waits for that many more painted frames. (Of a call Firefox counts no others.) */
    async sees(count = 5, id = "remote-video"): Promise<void> {
      const painted = (video: Element) =>
        (video as HTMLVideoElement & { mozPaintedFrames: number }).mozPaintedFrames;
      const least = count + (await page.$eval(byId(id), painted));
      await page.waitForFunction(
        (selector, wanted) => {
          const video = document.querySelector(selector);
          return video !== null && Reflect.get(video, "mozPaintedFrames") >= wanted;
        },
        { timeout: 20_000, polling: 100 },
        byId(id),
        least,
      );
    },
    async say(text: string): Promise<void> {
      await page.type(byId("chat-input"), text);
      await page.click(byId("chat-send"));
    },
    reads: (text: string) =>
      page.waitForFunction(
        (selector, words) => document.querySelector(selector)?.textContent?.includes(words),
        { timeout: 10_000, polling: 100 },
        byId("chat-log"),
        text,
      ),
    forgets: (text: string) =>
      page.waitForFunction(
        (selector, words) => !document.querySelector(selector)?.textContent?.includes(words),
        { timeout: 20_000, polling: 100 },
        byId("chat-log"),
        text,
      ),
    read: (id: string) => page.$eval(byId(id), ({ textContent }) => textContent ?? ""),
  };
}

const fox = async () => {
  const page = await firefox.open(server.origin);
  // In a small window most of the tools are behind a button.
  await page.setViewport({ width: 1280, height: 800 });
  return foxOf(page);
};

test("two Firefoxes see each other and talk, and know how their call fares", async () => {
  const [alice, bob] = [await fox(), await fox()];
  await alice.press("start");
  await bob.press("start");
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees(), alice.sees(5, "local-video")]);
  await alice.say("from fox to fox");
  await bob.reads("from fox to fox");
  await alice.press("stats-toggle");
  await alice.page.waitForFunction(
    (selector) =>
      /Pathdirect.*\d bit\/s|Pathdirect.*bit\/s/.test(
        document.querySelector(selector)?.textContent ?? "",
      ),
    { timeout: 10_000, polling: 100 },
    byId("stats"),
  );
  expect(await alice.read("stats")).toMatch(/Round trip\d+ ms/);
  await alice.press("stop");
  await bob.until("waiting");
  await bob.press("stop");
  for (const { page } of [alice, bob]) await page.close();
  expect(firefox.complaints).toEqual([]);
});

for (const foxFirst of [true, false])
  test(`Firefox and Chromium in one call, ${foxFirst ? "Firefox" : "Chromium"} being there first`, async () => {
    const alice = await fox();
    const bob = somebody(await chromium.open(server.origin), "Bob");
    const starts = [() => alice.press("start"), () => bob.start()];
    const first = foxFirst ? alice.until("waiting") : bob.until("waiting");
    if (!foxFirst) starts.reverse();
    await starts[0]?.();
    await first;
    await starts[1]?.();
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await Promise.all([alice.sees(), bob.sees()]);
    await alice.say("hello from Firefox");
    await bob.reads("hello from Firefox");
    await bob.say("hello from Chromium");
    await alice.reads("hello from Chromium");
    await bob.next();
    // They meet again at once, in a new call with the roles as they fall; the old words are gone.
    await Promise.all([alice.forgets("hello from Chromium"), bob.forgets("hello from Chromium")]);
    await Promise.all([alice.until("connected"), bob.until("connected")]);
    await Promise.all([alice.sees(), bob.sees()]);
    await alice.press("stop");
    await alice.page.close();
    expect(await chromium.clear()).toEqual([]);
    expect(firefox.complaints).toEqual([]);
  });
