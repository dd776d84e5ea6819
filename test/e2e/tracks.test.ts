/** What the client library sends, and what it turns on and off: on a page of somebody else's, in a real call. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import type { Page } from "playwright-core";
import type { PeerStream } from "../../src/client/types.ts";
import { limits } from "../../src/protocol.ts";
import { isJpeg } from "../../src/rpc/jpeg.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startClientSite, type ClientSite } from "../support/client-site.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";

setDefaultTimeout(60_000);

declare global {
  interface Window {
    peer: PeerStream;
  }
}

let site: ClientSite;
let server: ServerProcess;
let browser: TestBrowser;
beforeAll(async () => {
  site = await startClientSite();
  server = await startServer({ CORS_ORIGIN: site.origin, LIMIT_SOCKETS_PER_ADDRESS: "0" });
  browser = await launchBrowser();
});
afterEach(async () => {
  await Promise.all(browser.browser.contexts().map((context) => context.close()));
  expect(browser.complaints).toEqual([]);
});
afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  site[Symbol.dispose]();
});

async function visit(): Promise<Page> {
  const ws = `${server.origin.replace("http", "ws")}/trpc`;
  const page = await browser.open(`${site.origin}/?server=${encodeURIComponent(ws)}`);
  await page.locator("body[data-ready]").waitFor({ state: "attached" });
  return page;
}

const connected = (page: Page) =>
  page.locator("body[data-state=connected]").waitFor({ timeout: 20_000 });

/** The colour in the middle of the stranger's picture, once it has shown `frames` more frames. */
async function colourOf(page: Page, frames = 5): Promise<"green" | "other"> {
  return page.evaluate(async (count) => {
    const video = document.querySelector("video");
    if (!video) throw new Error("there is no video");
    for (let shown = 0; shown < count; shown += 1)
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("no new frame within 10 s")), 10_000);
        video.requestVideoFrameCallback(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    const context = new OffscreenCanvas(1, 1).getContext("2d");
    context?.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
    const [red = 0, green = 0, blue = 0] = context?.getImageData(0, 0, 1, 1).data ?? [];
    return green > 200 && red < 60 && blue < 60 ? "green" : "other";
  }, frames);
}

test("B11 the picture that the page sends stays, whatever becomes of the camera and the microphone", async () => {
  const [alice, bob] = await Promise.all([visit(), visit()]);
  await alice.evaluate(async () => {
    await window.peer.camera.open();
    const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 120 });
    const context = canvas.getContext("2d");
    let shade = 0;
    setInterval(() => {
      // Each frame differs a little, or none would be sent.
      shade = 1 - shade;
      if (context) context.fillStyle = `rgb(${shade * 8}, 250, 0)`;
      context?.fillRect(0, 0, 160, 120);
    }, 50);
    const microphone = window.peer.camera.stream?.getAudioTracks() ?? [];
    const drawn = canvas.captureStream(20).getVideoTracks();
    await window.peer.replaceTracks(new MediaStream([...drawn, ...microphone]));
    window.peer.start();
  });
  await bob.evaluate(() => window.peer.start());
  await Promise.all([connected(alice), connected(bob)]);
  expect(await colourOf(bob)).toBe("green");

  const change = (what: "unplug" | "choose" | "open") =>
    alice.evaluate(async (name) => {
      const { camera } = window.peer;
      const before = camera.stream;
      const changed = new Promise<void>((resolve, reject) => {
        setTimeout(() => reject(new Error("the camera did not change within 10 s")), 10_000);
        camera.subscribe(({ type }) => {
          if (type === "stream" && camera.stream !== before) resolve();
        });
      });
      if (name === "unplug") {
        const [track] = before?.getAudioTracks() ?? [];
        track?.stop();
        track?.dispatchEvent(new Event("ended"));
      }
      if (name === "choose") {
        const { microphones } = await camera.devices();
        await camera.choose({ microphone: microphones.at(-1)?.id ?? "" });
      }
      if (name === "open") await camera.open();
      await changed;
    }, what);
  for (const what of ["unplug", "choose", "open"] as const) {
    await change(what);
    expect(await colourOf(bob, 10)).toBe("green");
  }
});

test("B10 a device that the browser gives after close() is off again, and no other is asked for", async () => {
  const alice = await visit();
  const seen = await alice.evaluate(async () => {
    const { mediaDevices } = navigator;
    const real = mediaDevices.getUserMedia.bind(mediaDevices);
    const tracks: MediaStreamTrack[] = [];
    let asked = 0;
    let allow = () => {};
    let ask = () => {};
    const question = new Promise<void>((resolve) => (allow = resolve));
    const isAsked = new Promise<void>((resolve) => (ask = resolve));
    mediaDevices.getUserMedia = async (constraints) => {
      asked += 1;
      ask();
      await question;
      const stream = await real(constraints);
      tracks.push(...stream.getTracks());
      return stream;
    };
    const opening = window.peer.camera.open();
    window.peer.start();
    await isAsked;
    window.peer.close();
    allow();
    const first = await opening;
    const again = await window.peer.camera.open();
    window.peer.start();
    mediaDevices.dispatchEvent(new Event("devicechange"));
    return {
      asked,
      results: [first, again].map((result) => (result.ok ? "ok" : result.error.kind)),
      on: tracks.filter(({ readyState }) => readyState === "live").length,
      given: tracks.length,
      status: window.peer.state.status,
    };
  });
  expect(seen).toEqual({
    asked: 1,
    results: ["superseded", "closed"],
    on: 0,
    given: 2,
    status: "idle",
  });
});

test("B7 in a room for sound an open camera is not sent, and a changed client can't push a picture", async () => {
  const [alice, bob] = await Promise.all([visit(), visit()]);
  await alice.evaluate(() => {
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        Object.assign(window, { pc: this });
      }
    };
  });
  for (const page of [alice, bob])
    await page.evaluate(async () => {
      await window.peer.camera.open();
      window.peer.start({ mode: "audio" });
    });
  await Promise.all([connected(alice), connected(bob)]);
  const remoteKinds = (page: Page) =>
    page.evaluate(() => {
      const { state } = window.peer;
      const { remote } = state as { remote?: MediaStream };
      return remote?.getTracks().map(({ kind }) => kind);
    });
  expect(await remoteKinds(alice)).toEqual(["audio"]);
  expect(await remoteKinds(bob)).toEqual(["audio"]);

  const error = await alice.evaluate(async () => {
    const { pc } = window as unknown as { pc: RTCPeerConnection };
    const refused = new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("nothing was refused within 10 s")), 10_000);
      window.peer.subscribe((state) => {
        if (state.status === "idle") resolve(state.error && { ...state.error, cause: undefined });
      });
    });
    const [picture] = window.peer.camera.stream?.getVideoTracks() ?? [];
    if (picture) pc.addTrack(picture);
    return refused;
  });
  expect(error).toMatchObject({ kind: "rejected", reason: "wrong-mode" });
  // Her place is given up; he waits for the next, and has seen nothing.
  await bob.locator("body[data-state=waiting]").waitFor({ timeout: 10_000 });
  expect(await bob.evaluate(() => document.querySelector("video")?.videoWidth)).toBe(0);
});

test("B5 two whose paths fail at the same moment restart one after the other, and go on seeing each other", async () => {
  const [alice, bob] = await Promise.all([visit(), visit()]);
  for (const page of [alice, bob])
    await page.evaluate(async () => {
      const Real = window.RTCPeerConnection;
      let restarts = 0;
      window.RTCPeerConnection = class extends Real {
        constructor(configuration?: RTCConfiguration) {
          super(configuration);
          Object.assign(window, { pc: this, restarts: () => restarts });
        }
        override restartIce() {
          restarts += 1;
          super.restartIce();
        }
      };
      await window.peer.camera.open();
      window.peer.start();
    });
  await Promise.all([connected(alice), connected(bob)]);
  await Promise.all([colourOf(alice), colourOf(bob)]);
  /** As if the network had gone for both; it is there, so a restart mends it. */
  const fail = (page: Page) =>
    page.evaluate(async () => {
      const { pc } = window as unknown as { pc: RTCPeerConnection };
      Object.defineProperty(pc, "iceConnectionState", { value: "failed", configurable: true });
      pc.dispatchEvent(new Event("iceconnectionstatechange"));
      Reflect.deleteProperty(pc, "iceConnectionState");
      const deadline = performance.now() + 10_000;
      // The restart is over when both descriptions are new and the path is there.
      await new Promise((resolve) => setTimeout(resolve, 500));
      while (pc.signalingState !== "stable" || pc.iceConnectionState !== "connected") {
        if (performance.now() > deadline) throw new Error(`it is ${pc.iceConnectionState}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      pc.dispatchEvent(new Event("iceconnectionstatechange"));
    });
  for (let times = 0; times < 5; times += 1) {
    await Promise.all([fail(alice), fail(bob)]);
    await Promise.all([colourOf(alice), colourOf(bob)]);
  }
  const restarts = (page: Page) =>
    page.evaluate(() => (window as unknown as { restarts: () => number }).restarts());
  const counts = [await restarts(alice), await restarts(bob)];
  expect(counts.sort()).toEqual([0, 5]);
});

test("a still of the partner's picture, from the element or its track, is one that the server takes in a report", async () => {
  const [alice, bob] = await Promise.all([visit(), visit()]);
  for (const page of [alice, bob])
    await page.evaluate(async () => {
      await window.peer.camera.open();
      window.peer.start();
    });
  await Promise.all([connected(alice), connected(bob)]);
  await colourOf(alice);
  const { stills, outcome, decided } = await alice.evaluate(async () => {
    const video = document.querySelector("video");
    const { state } = window.peer;
    const [track] = state.status === "connected" ? (state.remote?.getVideoTracks() ?? []) : [];
    if (!video || !track) throw new Error("there is no picture");
    const taken = [await window.peer.still(video), await window.peer.still(track)];
    const [still] = taken;
    if (still === undefined) throw new Error("there is no still");
    const answer = await window.peer.report("spam", { note: "a note", evidence: { still } });
    const caseId = answer.ok ? answer.caseId : undefined;
    return {
      stills: taken,
      outcome: answer.ok && { ...answer },
      decided: await window.peer.case(caseId ?? ""),
    };
  });
  for (const still of stills) {
    const bytes = Buffer.from(still ?? "", "base64");
    expect(isJpeg(bytes)).toBe(true);
    expect(bytes.length).toBeLessThanOrEqual(limits.stillBytesMax);
  }
  expect(outcome).toEqual({ ok: true, accepted: true, caseId: expect.any(String) });
  expect(decided).toEqual({});
});
