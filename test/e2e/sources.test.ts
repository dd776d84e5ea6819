/** A screen, a processed picture, another camera, and messages of the application: on a page of somebody else's, in a real call. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Page } from "playwright-core";
import type { PeerStream } from "../../src/client/types.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startClientSite, type ClientSite } from "../support/client-site.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

declare global {
  interface Window {
    peer: PeerStream;
  }
}

/** What is shared: a tab that is blue all over. */
const sharedTitle = "The shared tab";
const sharedPage = `<!doctype html><title>${sharedTitle}</title><link rel="icon" href="data:,">
<script>
  let shade = 0;
  setInterval(() => {
    // Each frame differs a little, or none would be sent.
    shade = 8 - shade;
    document.documentElement.style.background = \`rgb(0, \${shade}, 250)\`;
  }, 50);
</script>`;

let site: ClientSite;
let shared: ReturnType<typeof Bun.serve>;
let server: ServerProcess;
let browser: TestBrowser;
beforeAll(async () => {
  site = await startClientSite();
  shared = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(sharedPage, { headers: { "content-type": "text/html" } }),
  });
  server = await startServer({ CORS_ORIGIN: site.origin, LIMIT_SOCKETS_PER_ADDRESS: "0" });
  // Without the flag for a fake prompt, which would choose a fake screen.
  browser = await launchBrowser({
    whole: true,
    camera: "none",
    args: [
      "--use-fake-device-for-media-stream=device-count=3",
      `--auto-select-tab-capture-source-by-title=${sharedTitle}`,
    ],
  });
});
afterEach(async () => expect(await browser.clear()).toEqual([]));
afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await shared.stop(true);
  site[Symbol.dispose]();
});

async function visit(): Promise<Page> {
  const ws = `${server.origin.replace("http", "ws")}/trpc`;
  const page = await browser.open(`${site.origin}/?server=${encodeURIComponent(ws)}`, {
    permissions: ["camera", "microphone"],
  });
  await page.locator("body[data-ready]").waitFor({ state: "attached" });
  return page;
}

const connected = (page: Page) =>
  page.locator("body[data-state=connected]").waitFor({ timeout: 20_000 });

const openAndStart = (page: Page) =>
  page.evaluate(async () => {
    const opened = await window.peer.camera.open({ video: { width: 320, height: 240 } });
    window.peer.start();
    return opened.ok;
  });

async function couple(): Promise<[Page, Page]> {
  const pages = [await visit(), await visit()] as [Page, Page];
  for (const page of pages) expect(await openAndStart(page)).toBe(true);
  await Promise.all(pages.map(connected));
  return pages;
}

/** Keeps a record of the colours of all frames that the stranger's picture shows, in `window.colours`. */
function recordColours(page: Page): Promise<void> {
  return page.evaluate(() => {
    const video = document.querySelector("video");
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const colours: string[] = [];
    Object.assign(window, { colours });
    const onFrame = () => {
      video?.requestVideoFrameCallback(onFrame);
      if (!video || !context) return;
      context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
      const [red = 0, green = 0, blue = 0] = context.getImageData(0, 0, 1, 1).data;
      // As is sent while one track takes the place of another that is over.
      if (red + green + blue < 30) colours.push("black");
      else if (blue > 180 && red < 80) colours.push("blue");
      else colours.push(red > 180 && green < 80 ? "red" : "camera");
    };
    video?.requestVideoFrameCallback(onFrame);
  });
}

/** Which colours it has shown since the record was begun. */
const allColours = async (page: Page) =>
  new Set(await page.evaluate(() => (window as unknown as { colours: string[] }).colours));

/** Waits until the next five frames of the stranger's picture have this colour. */
async function seen(page: Page, colour: string): Promise<void> {
  const skip = await page.evaluate(
    () => (window as unknown as { colours: string[] }).colours.length,
  );
  const isSeen = () =>
    page.evaluate(
      ([wanted, first]) => {
        const last = (window as unknown as { colours: string[] }).colours.slice(first).slice(-5);
        return last.length === 5 && last.every((each) => each === wanted);
      },
      [colour, skip] as const,
    );
  await until(`the picture is ${colour}`, isSeen, 20_000);
}

test("a screen takes the camera's place until it is stopped, or ends by itself, and the page is told", async () => {
  const tab = await browser.open(shared.url.href);
  const [alice, bob] = await couple();
  await recordColours(bob);
  await seen(bob, "camera");
  const source = () => alice.evaluate(() => window.peer.state.source);
  const share = () => alice.evaluate(() => window.peer.shareScreen());

  expect(await share()).toEqual({ ok: true });
  await seen(bob, "blue");
  expect(await source()).toBe("screen");
  await alice.evaluate(() => window.peer.stopSharing());
  await seen(bob, "camera");
  expect(await source()).toBeUndefined();

  await alice.evaluate(() => {
    window.peer.onEvent((event) => Object.assign(window, { ended: event }));
  });
  expect(await share()).toEqual({ ok: true });
  await seen(bob, "blue");
  // Its capture ends, as with the browser's own button.
  await tab.close();
  await seen(bob, "camera");
  expect(await source()).toBeUndefined();
  expect(await alice.evaluate(() => (window as unknown as { ended: unknown }).ended)).toEqual({
    type: "source-ended",
    source: "screen",
    kind: "video",
  });
});

test("the browser's refusal of a screen is named, and the call goes on as before", async () => {
  const [alice, bob] = await couple();
  await recordColours(bob);
  const outcome = await alice.evaluate(async () => {
    // Its own check of the gesture, which comes before any question.
    Object.defineProperty(navigator.mediaDevices, "getDisplayMedia", {
      value: () => Promise.reject(new DOMException("the user said no", "NotAllowedError")),
    });
    const shared = await window.peer.shareScreen();
    return shared.ok ? "ok" : [shared.error.kind, String(shared.error.cause)];
  });
  expect(outcome).toEqual(["denied", "NotAllowedError: the user said no"]);
  await seen(bob, "camera");
});

test("a processor's picture is all that the stranger ever sees, through every change of the camera, and nothing if it fails", async () => {
  const [alice, bob] = [await visit(), await visit()];
  await recordColours(bob);
  await alice.evaluate(() => {
    const paint = (track: MediaStreamTrack) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 120 });
      const context = canvas.getContext("2d");
      let shade = 0;
      const draw = () => {
        shade = 8 - shade;
        if (context) context.fillStyle = `rgb(250, ${shade}, 0)`;
        context?.fillRect(0, 0, 160, 120);
      };
      // Before there is a track: its first picture is what the canvas has.
      draw();
      const timer = setInterval(() => {
        if (track.readyState === "live") draw();
        else clearInterval(timer);
      }, 50);
      const [painted] = canvas.captureStream(20).getVideoTracks();
      if (!painted) throw new Error("the canvas has no track");
      const painting = painted;
      Object.assign(window, { painting });
      return painting;
    };
    Object.assign(window, { paint });
    return window.peer.setProcessor(paint);
  });
  await openAndStart(bob);
  expect(await openAndStart(alice)).toBe(true);
  await Promise.all([connected(alice), connected(bob)]);
  await seen(bob, "red");
  // Chromium's second fake camera is one for depth, which nothing encodes, so the third one it is.
  for (const change of ["flip", "flip", "open"] as const) {
    const first = await alice.evaluateHandle(
      () => (window as unknown as { painting: MediaStreamTrack }).painting,
    );
    expect(
      await alice.evaluate(async (name) => (await window.peer.camera[name]())?.ok, change),
    ).toBe(true);
    await seen(bob, "red");
    expect(await first.evaluate(({ readyState }) => readyState)).toBe("ended");
  }
  expect(await allColours(bob)).not.toContain("camera");

  const failure = await alice.evaluate(async () => {
    const result = await window.peer.setProcessor(() => Promise.reject(new Error("no model")));
    return result.ok ? "ok" : [result.error.kind, String(result.error.cause)];
  });
  expect(failure).toEqual(["processor", "Error: no model"]);
  const isVideo = () =>
    bob.evaluate(
      () => "partnerMedia" in window.peer.state && window.peer.state.partnerMedia?.video,
    );
  await until("the stranger is told that there is no picture", async () => !(await isVideo()));
  expect(await allColours(bob)).not.toContain("camera");
  await alice.evaluate(() => window.peer.setProcessor(undefined));
  await seen(bob, "camera");
  await until("the stranger is told that there is a picture again", isVideo);
});

test("a flip goes from camera to camera in the call and is remembered; and a speaker is chosen", async () => {
  const [alice, bob] = await couple();
  await recordColours(bob);
  const used = () =>
    alice.evaluate(() => window.peer.camera.stream?.getVideoTracks()[0]?.label ?? "");
  const labels = new Set([await used()]);
  for (let flips = 0; flips < 2; flips += 1) {
    expect(await alice.evaluate(async () => (await window.peer.camera.flip())?.ok)).toBe(true);
    labels.add(await used());
  }
  // Chromium's second fake camera is one for depth, which nothing encodes; the third one's picture arrives.
  expect(labels.size).toBe(3);
  await seen(bob, "camera");
  const last = await used();
  const impossible = await alice.evaluate(async () => {
    const result = await window.peer.camera.open({ video: { width: { min: 100_000 } } });
    return result.ok ? "ok" : { ...result.error, cause: undefined };
  });
  expect(impossible).toEqual({ kind: "overconstrained", cause: undefined, constraint: "width" });
  expect(await used()).toBe(last);
  await seen(bob, "camera");
  const sink = await alice.evaluate(async () => {
    const { camera } = window.peer;
    const video = document.querySelector("video");
    const { speakers } = await camera.devices();
    const speaker = speakers.at(-1)?.id ?? "";
    if (!video) throw new Error("there is no video");
    const chosen = await camera.setSpeaker(video, speaker);
    return { chosen, isUsed: video.sinkId === speaker && speaker !== "" };
  });
  expect(sink).toEqual({ chosen: { ok: true }, isUsed: true });
  await alice.reload();
  await alice.locator("body[data-ready]").waitFor({ state: "attached" });
  await openAndStart(alice);
  expect(await used()).toBe(last);
});

test("messages of the application arrive, and a partner that floods them hinders neither them nor the chat", async () => {
  const [alice, bob] = [await visit(), await visit()];
  await alice.evaluate(() => {
    const { createDataChannel } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.createDataChannel = function (...args) {
      const channel = createDataChannel.apply(this, args);
      Object.assign(window, { channel });
      return channel;
    };
  });
  for (const page of [alice, bob])
    await page.evaluate(() => {
      const heard: unknown[] = [];
      Object.assign(window, { heard });
      window.peer.onData((data) => heard.push(data));
      window.peer.onEvent((event) => {
        if (event.type === "chat") document.body.append(`${event.from}: ${event.text}`);
      });
      window.peer.start();
    });
  await Promise.all([connected(alice), connected(bob)]);
  const heard = (page: Page) =>
    page.evaluate(() => (window as unknown as { heard: unknown[] }).heard);
  const send = (page: Page, data: unknown) =>
    until("the message is sent", () => page.evaluate((value) => window.peer.send(value), data));
  await send(alice, { move: "e4" });
  await send(bob, ["e5"]);
  await until(
    "they arrive",
    async () => (await heard(alice)).length + (await heard(bob)).length > 1,
  );
  expect([await heard(alice), await heard(bob)]).toEqual([[["e5"]], [{ move: "e4" }]]);

  await alice.evaluate(async () => {
    const { channel } = window as unknown as { channel: RTCDataChannel };
    const frame = JSON.stringify({ type: "data", data: "x".repeat(100) });
    for (let sent = 0; sent < 20_000; sent += 1) {
      while (channel.bufferedAmount > 1_000_000)
        await new Promise((resolve) => setTimeout(resolve, 1));
      channel.send(frame);
    }
  });
  await until("the flood has been sent", () =>
    alice.evaluate(() => window.peer.sendChat("after the flood")),
  );
  await bob.getByText("partner: after the flood").waitFor({ timeout: 20_000 });
  const count = (await heard(bob)).length;
  expect(count).toBeGreaterThan(1000);
  expect(count).toBeLessThan(19_000);
  const stats = await bob.evaluate(() => window.peer.stats());
  expect(stats?.droppedMessages).toBe(20_001 - count);
  await bob.evaluate(() => window.peer.sendChat("and I can answer"));
  await alice.getByText("partner: and I can answer").waitFor({ timeout: 10_000 });
});
