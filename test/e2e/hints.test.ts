/** The client on a page of somebody else's, in Chromium: frames of the own camera for a classifier, and proofs of work. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Page } from "playwright-core";
import type { PeerStream } from "../../src/client/types.ts";
import { launchBrowser } from "../support/browser.ts";
import { startClientSite } from "../support/client-site.ts";
import { startServer } from "../support/server-process.ts";
import { answerWithin, until } from "../support/until.ts";

setDefaultTimeout(60_000);

type Window = typeof globalThis & { peer: PeerStream };

interface Frame {
  width: number;
  height: number;
  /** The sum of all its colours. */
  light: number;
}

/** Begins to sample the camera, with the sum of the colours as a classifier. Call what it returns for the frames so far. */
async function sample(page: Page, label: string): Promise<() => Promise<Frame[]>> {
  const frames = await page.evaluateHandle(async (label) => {
    const { peer } = window as unknown as Window;
    await peer.camera.open();
    const seen: Frame[] = [];
    const context = new OffscreenCanvas(16, 16).getContext("2d");
    peer.sampleFrames({
      size: 64,
      onFrame(frame) {
        context?.drawImage(frame, 0, 0, 16, 16);
        const data = context?.getImageData(0, 0, 16, 16).data;
        const light = data?.reduce((sum, colour) => sum + colour, 0) ?? 0;
        seen.push({ width: frame.width, height: frame.height, light });
        return { label, score: 0.25 };
      },
    });
    return seen;
  }, label);
  return () => frames.jsonValue();
}

test("frames of the camera are sampled before and during a room, and the verdict is in its report", async () => {
  const reports: { hints?: unknown; reason: string }[] = [];
  using receiver = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      reports.push((await request.json()) as (typeof reports)[number]);
      return new Response();
    },
  });
  using site = await startClientSite();
  await using server = await startServer({
    CORS_ORIGIN: site.origin,
    HINTS: "true",
    MODERATION_WEBHOOK: receiver.url.href,
    MODERATION_SECRET: "shared with the receiver",
  });
  await using browser = await launchBrowser();
  const url = `${site.origin}/?server=${server.origin.replace("http", "ws")}/trpc`;
  const [alice, bob] = await Promise.all([browser.open(url), browser.open(url)]);
  for (const page of [alice, bob])
    await page.waitForFunction(() => document.body.dataset["ready"] !== undefined);
  const frames = await sample(alice, "blue");
  await until("a frame before the room", async () => (await frames()).length > 0);
  const [first] = await frames();
  expect(Math.max(first?.width ?? 0, first?.height ?? 0)).toBe(64);
  // Opaque black would be 255 for each pixel.
  expect(first?.light).toBeGreaterThan(16 * 16 * 255 * 1.1);
  const hinted = new Promise<void>((resolve) => {
    alice.on("websocket", (socket) =>
      socket.on("framereceived", ({ payload }) => {
        if (String(payload).includes('"accepted":true')) resolve();
      }),
    );
  });
  for (const page of [alice, bob]) {
    await page.evaluate(() => (window as unknown as Window).peer.start());
    await page.waitForFunction(() =>
      ["waiting", "connected"].includes(document.body.dataset["state"] ?? ""),
    );
  }
  for (const page of [alice, bob])
    await page.waitForFunction(() => document.body.dataset["state"] === "connected");
  await answerWithin(20_000, hinted);
  await bob.evaluate(() => (window as unknown as Window).peer.report("nudity"));
  await until("the report is posted", () => reports.length > 0);
  expect(reports[0]).toMatchObject({
    reason: "nudity",
    hints: { reported: { label: "blue", score: 0.25 } },
  });
  expect(await browser.clear()).toEqual([]);
});

test.each([
  ["in a worker of a Blob", undefined, 1],
  ["without a worker, where the page's policy allows none", "worker-src 'none'", 0],
])("a proof of work is solved %s", async (_, policy, workers) => {
  using site = await startClientSite(policy);
  await using server = await startServer({
    CORS_ORIGIN: site.origin,
    CHALLENGE: "on",
    CHALLENGE_DIFFICULTY: "400",
  });
  await using browser = await launchBrowser();
  const page = await browser.open(
    `${site.origin}/?server=${server.origin.replace("http", "ws")}/trpc`,
  );
  let seen = 0;
  page.on("worker", () => void (seen += 1));
  await page.waitForFunction(() => document.body.dataset["ready"] !== undefined);
  await page.evaluate(async () => {
    const { peer } = window as unknown as Window;
    peer.start();
    for await (const state of peer.states()) {
      if ("online" in state) return;
      if (state.status === "idle" && state.error) throw new Error(JSON.stringify(state.error));
    }
  });
  expect(seen).toBe(workers);
  const unexpected = (await browser.clear()).filter((line) => !line.includes("worker-src"));
  expect(unexpected).toEqual([]);
});
