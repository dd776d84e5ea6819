/**
 * How soon a stranger is seen, with standing offers and without: `bun test/bench/first-picture.ts`, with `--pairings=30` and
 * `--delays=25,50` unless they are given: the delay of the signaling each way in milliseconds.
 *
 * Three pages in Chromium reach the server through proxies that delay what they send and receive. One of them is in a call
 * and presses Next; it is paired with the one that waits. The partner that it has left waits next. Media
 * takes no proxy. Both variants take turns in one run, as no two runs are alike.
 */
import { median } from "./load.ts";
import type { Page } from "playwright-core";
import type { PeerStream } from "../../src/client/index.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startClientSite } from "../support/client-site.ts";
import { startServer } from "../support/server-process.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

/** Pairings until the other variant has its turn. */
const TURN = 5;
/** Whoever waits has done so for this long before it is found, and the two that have parted are not paired again by then. */
const WAITING_MS = 1500;

const given = (name: string, otherwise: string) =>
  process.argv.find((word) => word.startsWith(`--${name}=`))?.split("=")[1] ?? otherwise;
const pairings = Number(given("pairings", "30"));
const delays = given("delays", "25,50").split(",").map(Number);

/** What a page notes of its current pairing: epoch milliseconds. */
interface Noted {
  peer: PeerStream;
  noted: { pressed?: number; paired?: number; connected?: number; painted?: number };
}

interface Times {
  /** From `create-offer` or `wait-for-offer` to both being connected. */
  connectMs: number[];
  /** From Next to the first painted frame of the remote video. */
  pictureMs: number[];
}

await using stack = new AsyncDisposableStack();
const site = stack.use(await startClientSite());
const server = stack.use(
  await startServer({
    CORS_ORIGIN: site.origin,
    SKIP_COOLDOWN_MS: "1000",
    LIMIT_SOCKETS_PER_ADDRESS: "0",
    LIMIT_HANDSHAKES_PER_MIN: "0",
  }),
);
const browser = stack.use(await launchBrowser());

/** Runs in the page: notes when what happens. */
async function note(): Promise<void> {
  const page = window as unknown as Noted;
  const now = () => performance.timeOrigin + performance.now();
  page.noted = {};
  // The client looks it up when it opens its socket.
  window.WebSocket = class extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        if (/"type":"(create|wait-for)-offer"/.test(String(data))) page.noted.paired = now();
      });
    }
  };
  const video = document.querySelector("video");
  page.peer.subscribe((state) => {
    if (state.status !== "connected" || page.noted.connected !== undefined) return;
    page.noted.connected = now();
    video?.requestVideoFrameCallback(() => (page.noted.painted = now()));
  });
  await page.peer.camera.open();
}

async function openPage(browser: TestBrowser, isWith: boolean, lagMs: number) {
  const proxy = await createTcpProxy(new URL(server.origin));
  const page = await browser.open(
    `${site.origin}/?server=${proxy.ws}/trpc${isWith ? "" : "&without"}`,
  );
  await until("the page is ready", () => page.evaluate(() => "ready" in document.body.dataset));
  await page.evaluate(note);
  proxy.lag(lagMs);
  await start(page);
  return { page, proxy };
}

/** Whoever is left does not look for the next one by itself, and so takes nobody from the one that has pressed Next. */
const start = (page: Page) =>
  page.evaluate(() => (window as unknown as Noted).peer.start({ autoRejoin: false }));
const stateOf = (page: Page) => page.evaluate(() => (window as unknown as Noted).peer.state.status);
const notedBy = (page: Page) => page.evaluate(() => (window as unknown as Noted).noted);
const forget = (page: Page) => page.evaluate(() => void ((window as unknown as Noted).noted = {}));

/** One turn of a variant. */
async function measure(isWith: boolean, lagMs: number, times: Times): Promise<void> {
  const all = [
    await openPage(browser, isWith, lagMs),
    await openPage(browser, isWith, lagMs),
    await openPage(browser, isWith, lagMs),
  ];
  const pages = all.map(({ page }) => page);
  const find = async (status: string) => {
    const states = await Promise.all(pages.map(stateOf));
    return pages.filter((_, index) => states[index] === status);
  };
  for (let pairing = 0; pairing < TURN; pairing += 1) {
    await until("two are connected", async () => (await find("connected")).length === 2);
    await Bun.sleep(WAITING_MS);
    const [presser] = await find("connected");
    const [waiting] = await find("waiting");
    if (!presser || !waiting) throw new Error("nobody waits");
    await Promise.all(pages.map(forget));
    await presser.evaluate(() => {
      const { peer, noted } = window as unknown as Noted;
      noted.pressed = performance.timeOrigin + performance.now();
      peer.next();
    });
    await until("the next one is seen", async () => (await notedBy(presser)).painted);
    const [mine, other] = [await notedBy(presser), await notedBy(waiting)];
    const ends = [mine.connected, other.connected];
    const begins = [mine.paired, other.paired];
    if ([...ends, ...begins].includes(undefined)) throw new Error("not paired with who waited");
    for (const left of await find("idle")) await start(left);
    times.connectMs.push(Math.max(...(ends as number[])) - Math.min(...(begins as number[])));
    times.pictureMs.push((mine.painted ?? 0) - (mine.pressed ?? 0));
  }
  await browser.clear();
  for (const { proxy } of all) await proxy[Symbol.asyncDispose]();
}

for (const lagMs of delays) {
  const variants = [true, false].map((isWith) => ({
    isWith,
    times: { connectMs: [], pictureMs: [] } as Times,
  }));
  for (let turn = 0; turn * TURN < pairings; turn += 1)
    for (const { isWith, times } of turn % 2 === 0 ? variants : variants.toReversed())
      await measure(isWith, lagMs, times);
  const [standing, ordinary] = variants.map(({ times }) => times);
  for (const [figure, title] of [
    ["connectMs", "from the pairing to both connected"],
    ["pictureMs", "from Next to the first frame"],
  ] as const) {
    const [w, wo] = [median(standing?.[figure] ?? []), median(ordinary?.[figure] ?? [])];
    const less = Math.round((1 - w / wo) * 100);
    console.log(
      `${lagMs} ms each way, ${title}: ${w.toFixed(0)} ms with, ${wo.toFixed(0)} ms without (${less} % less)`,
    );
  }
}
