/** What is sent and how, on a page of somebody else's, in real calls of Chromium and Firefox. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import type { Page } from "playwright-core";
import type { PeerStream } from "../../src/client/types.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startClientSite, type ClientSite } from "../support/client-site.ts";
import { launchFirefox, type Firefox } from "../support/firefox.ts";
import { createPoorLine, useLine } from "../support/poor-line.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(90_000);

declare global {
  interface Window {
    peer: PeerStream;
  }
}

/** What both drivers can do. */
type AnyPage = Pick<Page, "evaluate">;

const stack = new AsyncDisposableStack();
let site: ClientSite;
let server: ServerProcess;
let chromium: TestBrowser;
let firefox: Firefox;
beforeAll(async () => {
  site = stack.use(await startClientSite());
  server = stack.use(
    await startServer({ CORS_ORIGIN: site.origin, LIMIT_SOCKETS_PER_ADDRESS: "0" }),
  );
  chromium = stack.use(await launchBrowser());
  firefox = stack.use(await launchFirefox());
});
afterEach(async () => {
  expect(await chromium.clear()).toEqual([]);
  expect(firefox.complaints).toEqual([]);
});
afterAll(() => stack.disposeAsync());

const address = () =>
  `${site.origin}/?server=${encodeURIComponent(`${server.origin.replace("http", "ws")}/trpc`)}`;

const visits: Record<string, () => Promise<AnyPage>> = {
  Chromium: () => chromium.open(address()),
  Firefox: async () => (await firefox.open(address())) as unknown as AnyPage,
};

async function start(page: AnyPage): Promise<void> {
  await until("the page is ready", () =>
    page.evaluate(() => document.body.dataset["ready"] !== undefined),
  );
  await page.evaluate(async () => {
    // The connections of the page.
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        Object.assign(window, { pc: this });
      }
    };
    const camera = await window.peer.camera.open();
    if (!camera.ok) throw new Error(camera.error.kind);
    window.peer.start();
  });
}

const state = (page: AnyPage) =>
  page.evaluate(() => {
    const { peer } = window;
    const { status, roomId, partnerMedia, quality } = peer.state as {
      status: string;
      roomId?: string;
      partnerMedia?: { audio: boolean; video: boolean };
      quality?: string;
    };
    return { status, roomId, partnerMedia, quality };
  });

const connected = (page: AnyPage) =>
  until("the call is connected", async () => (await state(page)).status === "connected", 30_000);

/** The sum of these figures of what is sent or received. */
const figure = (page: AnyPage, type: string, kind: string, name: string) =>
  page.evaluate(
    async ([type, kind, name]) => {
      const { pc } = window as unknown as { pc: RTCPeerConnection };
      let sum = 0;
      (await pc.getStats()).forEach((entry) => {
        if (entry.type === type && entry.kind === kind) sum += entry[name ?? ""] ?? 0;
      });
      return sum;
    },
    [type, kind, name],
  );

async function picturesArrive(page: AnyPage): Promise<void> {
  const decoded = () => figure(page, "inbound-rtp", "video", "framesDecoded");
  const before = await decoded();
  await until("pictures arrive", async () => (await decoded()) > before + 5, 20_000);
}

describe.each(Object.keys(visits))("in %s", (name) => {
  const visit = visits[name] ?? (() => Promise.reject(new Error(name)));

  test("a camera that is turned off and released is off, its partner knows, and it is back without a new call", async () => {
    const [alice, bob] = [await visit(), await visit()];
    await start(alice);
    await start(bob);
    await Promise.all([connected(alice), connected(bob)]);
    await picturesArrive(bob);
    const { roomId } = await state(alice);
    const turnedOff = await alice.evaluate(async () => {
      const { peer } = window;
      const [track] = peer.camera.stream?.getVideoTracks() ?? [];
      const result = await peer.setMuted({ video: true, release: true });
      const left = peer.camera.stream?.getTracks().map(({ kind }) => kind);
      return { result: result ?? "nothing", track: track?.readyState, left };
    });
    expect(turnedOff).toEqual({ result: "nothing", track: "ended", left: ["audio"] });
    const bobSees = (video: boolean) =>
      until(`Bob knows that video is ${video}`, async () => {
        const { partnerMedia } = await state(bob);
        return partnerMedia?.audio === true && partnerMedia.video === video;
      });
    await bobSees(false);
    const sent = () => figure(alice, "outbound-rtp", "video", "framesEncoded");
    // A last frame may be on its way.
    await until("nothing is encoded for half a second", async () => {
      const before = await sent();
      await Bun.sleep(500);
      return (await sent()) === before;
    });
    const turnedOn = await alice.evaluate(async () => {
      const result = await window.peer.setMuted({ video: false });
      return result?.ok === true && result.stream.getTracks().length;
    });
    expect(turnedOn).toBe(2);
    await bobSees(true);
    await picturesArrive(bob);
    for (const page of [alice, bob]) expect(await state(page)).toMatchObject({ roomId });

    // A camera that does not open again is named.
    const failed = await alice.evaluate(async () => {
      const { peer } = window;
      await peer.setMuted({ video: true, release: true });
      navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException("in use", "NotReadableError"));
      const events: string[] = [];
      peer.camera.subscribe((event) => events.push(event.type));
      const result = await peer.setMuted({ video: false });
      return { error: result?.ok === false && result.error.kind, events };
    });
    expect(failed).toEqual({ error: "in-use", events: ["lost"] });
    await bobSees(false);
    for (const page of [alice, bob]) await page.evaluate(() => window.peer.close());
  });

  test("a call has a word for its quality, figures for a listener, and the levels of its sound", async () => {
    const [alice, bob] = [await visit(), await visit()];
    await start(alice);
    await start(bob);
    await Promise.all([connected(alice), connected(bob)]);
    const seen = await alice.evaluate(async () => {
      const { peer } = window;
      const rates: number[] = [];
      let partner = 0;
      const meter = setInterval(() => {
        partner = Math.max(partner, peer.levels().partner ?? 0);
      }, 50);
      let stop = () => {};
      await new Promise<void>((resolve, reject) => {
        setTimeout(() => {
          const shown = JSON.stringify([rates, partner, { ...peer.state, remote: undefined }]);
          reject(new Error(`there are not enough figures within 20 s: ${shown}`));
        }, 20_000);
        stop = peer.onStats(({ receivedBitsPerS }) => {
          rates.push(receivedBitsPerS);
          const { quality } = peer.state as { quality?: string };
          if (rates.length >= 4 && partner > 0 && quality !== undefined) resolve();
        }, 500);
      });
      stop();
      clearInterval(meter);
      return { ...peer.levels(), partner, last: rates.at(-1) ?? 0 };
    });
    expect(seen.partner).toBeGreaterThan(0);
    expect(seen.partner).toBeLessThanOrEqual(1);
    expect(seen.last).toBeGreaterThan(1000);
    expect(["good", "fair", "poor"]).toContain((await state(alice)).quality ?? "none");
    for (const page of [alice, bob]) await page.evaluate(() => window.peer.close());
  });
});

test("Chromium takes the settings: frames before lines, and sound with redundancy", async () => {
  const [alice, bob] = [await chromium.open(address()), await chromium.open(address())];
  await start(alice);
  await start(bob);
  await Promise.all([connected(alice), connected(bob)]);
  await picturesArrive(bob);
  const taken = await alice.evaluate(async () => {
    const { pc } = window as unknown as { pc: RTCPeerConnection };
    const senderOf = (kind: string) => pc.getSenders().find(({ track }) => track?.kind === kind);
    const video = senderOf("video");
    return {
      codec: senderOf("audio")?.getParameters().codecs[0]?.mimeType,
      hint: video?.track?.contentHint,
      encoding: video?.getParameters().encodings[0],
    };
  });
  expect(taken).toMatchObject({
    codec: "audio/red",
    hint: "motion",
    encoding: { maxFramerate: 24, maxBitrate: 1_200_000 },
  });
});

test("at 300 kbit/s, with 5 % loss and 150 ms each way, the picture moves and sound has hardly any gaps", async () => {
  using line = await createPoorLine({
    bitsPerS: 300_000,
    lossRatio: 0.05,
    delayMs: 150,
    queueMs: 300,
  });
  const [alice, bob] = [await chromium.open(address()), await chromium.open(address())];
  await useLine(alice, line.ports[0]);
  await useLine(bob, line.ports[1]);
  await start(alice);
  await start(bob);
  await Promise.all([connected(alice), connected(bob)]);
  await Promise.all([picturesArrive(alice), picturesArrive(bob)]);
  const read = async () => {
    const sound = (name: string) => figure(bob, "inbound-rtp", "audio", name);
    return {
      frames: await figure(bob, "inbound-rtp", "video", "framesDecoded"),
      samples: await sound("totalSamplesReceived"),
      concealed: (await sound("concealedSamples")) - (await sound("silentConcealedSamples")),
    };
  };
  // On a machine that is busy for a while the sound has gaps that are not the line's.
  let before = await read();
  await until(
    "five seconds with more than 25 new pictures, and with less than 5 % of the sound made up",
    async () => {
      const after = await read();
      const samples = after.samples - before.samples;
      if (samples < 5 * 48_000) return false;
      const concealed = (after.concealed - before.concealed) / samples;
      const frames = after.frames - before.frames;
      before = after;
      return concealed < 0.05 && frames > 25;
    },
    60_000,
  );
  expect(line.counts.lost).toBeGreaterThan(10);
});
