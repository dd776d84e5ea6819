/**
 * A call over a line of 300 kbit/s, with 5 % loss and 150 ms in each direction, in Chromium: `bun test/bench/poor-line.ts [seconds] [rounds]
 * [options]` (default 30 s, 2 rounds). Each round is a call whose browser takes none of the settings of how media is sent, and one with them: the
 * client's own, or `options`, a JSON of options for `createPeerStream`. The camera shows a textured picture that moves in the middle, the
 * microphone hears something like speech. The figures are those of both sides' `getStats`, after the first 5 s of a call.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { PeerStreamOptions } from "../../src/client/peer-stream.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { startClientSite, type ClientSite } from "../support/client-site.ts";
import { createPoorLine, useLine } from "../support/poor-line.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { movingPicture, speech } from "../support/fake-media.ts";

const seconds = Number(process.argv[2] ?? 30);
const rounds = Number(process.argv[3] ?? 2);
const options = JSON.parse(process.argv[4] ?? "{}") as PeerStreamOptions;
const warmUpMs = 5000;
const line = { bitsPerS: 300_000, lossRatio: 0.05, delayMs: 150, queueMs: 300 };

/** What a browser has counted of what it receives. */
interface Counts {
  at: number;
  framesDecoded: number;
  frameHeight: number;
  freezeCount: number;
  totalFreezesDuration: number;
  videoDelay: number;
  videoEmitted: number;
  samples: number;
  concealed: number;
  audioDelay: number;
  audioEmitted: number;
}

/** The browser then refuses nothing, and takes nothing either. */
function takeNoSettings(): void {
  RTCRtpSender.prototype.setParameters = async () => {};
  RTCRtpTransceiver.prototype.setCodecPreferences = () => {};
  Object.defineProperty(MediaStreamTrack.prototype, "contentHint", {
    get: () => "",
    set() {},
  });
}

async function enter(
  { browser, site, server }: Stage,
  port: number,
  isPlain: boolean,
): Promise<Page> {
  const page = await browser.open(site.origin);
  if (isPlain) await page.evaluate(takeNoSettings);
  await useLine(page, port);
  const url = `${server.origin.replace("http", "ws")}/trpc`;
  await page.evaluate(
    async (given) => {
      const path = "/client.js";
      const { createPeerStream } = await import(path);
      const peer = createPeerStream(given);
      const video = document.querySelector("video");
      if (!video) throw new Error("there is no video");
      video.muted = false;
      peer.subscribe((state: { status: string; remote?: MediaStream }) => {
        document.body.dataset["state"] = state.status;
        if (state.remote && video.srcObject !== state.remote) video.srcObject = state.remote;
      });
      const camera = await peer.camera.open();
      if (!camera.ok) throw new Error(camera.error.kind);
      peer.start();
    },
    { ...options, url },
  );
  return page;
}

function count(page: Page): Promise<Counts> {
  return page.evaluate(async () => {
    const { connections } = window as unknown as { connections: Set<RTCPeerConnection> };
    const [pc] = connections;
    if (!pc) throw new Error("there is no call");
    const of: Record<string, Record<string, number>> = { audio: {}, video: {} };
    (await pc.getStats()).forEach((entry) => {
      if (entry.type === "inbound-rtp") of[entry.kind] = entry;
    });
    const read = (kind: string, name: string) => of[kind]?.[name] ?? 0;
    return {
      at: performance.now(),
      framesDecoded: read("video", "framesDecoded"),
      frameHeight: read("video", "frameHeight"),
      freezeCount: read("video", "freezeCount"),
      totalFreezesDuration: read("video", "totalFreezesDuration"),
      videoDelay: read("video", "jitterBufferDelay"),
      videoEmitted: read("video", "jitterBufferEmittedCount"),
      samples: read("audio", "totalSamplesReceived"),
      concealed: read("audio", "concealedSamples"),
      audioDelay: read("audio", "jitterBufferDelay"),
      audioEmitted: read("audio", "jitterBufferEmittedCount"),
    };
  });
}

async function measure(name: string, stage: Stage, isPlain: boolean, seed: number): Promise<void> {
  using poor = await createPoorLine(line, seed);
  const [first, second] = poor.ports;
  const pages = [await enter(stage, first, isPlain), await enter(stage, second, isPlain)];
  for (const page of pages)
    await page.locator("body[data-state=connected]").waitFor({ timeout: 30_000 });
  await Bun.sleep(warmUpMs);
  const before = await Promise.all(pages.map(count));
  await Bun.sleep(seconds * 1000);
  const after = await Promise.all(pages.map(count));
  for (const [index, then] of before.entries()) {
    const now = after[index];
    if (!now) continue;
    const d = (key: keyof Counts) => now[key] - then[key];
    const inS = d("at") / 1000;
    const row = [
      `${(d("framesDecoded") / inS).toFixed(1)} frames/s`,
      `${now.frameHeight} lines`,
      `${d("freezeCount")} freezes, ${d("totalFreezesDuration").toFixed(1)} s`,
      `${((100 * d("concealed")) / d("samples")).toFixed(2)} % of the sound concealed`,
      `jitter buffer ${Math.round((1000 * d("videoDelay")) / d("videoEmitted"))} ms video`,
      `${Math.round((1000 * d("audioDelay")) / d("audioEmitted"))} ms audio`,
    ];
    console.log(`${name}: ${row.join("; ")}`);
  }
  const { passed, lost, dropped } = poor.counts;
  console.log(
    `  (${passed} packets passed, ${lost} were lost, ${dropped} dropped; the line was late by ${Math.round(poor.lateMs)} ms at most)`,
  );
  await stage.browser.clear();
}

interface Stage {
  browser: TestBrowser;
  site: ClientSite;
  server: ServerProcess;
}

const folder = await mkdtemp(join(tmpdir(), "peer-stream-media-"));
const [picture, sound] = [join(folder, "camera.y4m"), join(folder, "microphone.wav")];
await Bun.write(picture, movingPicture(640, 360));
await Bun.write(sound, speech());
{
  using site = await startClientSite();
  await using server = await startServer({
    CORS_ORIGIN: site.origin,
    LIMIT_SOCKETS_PER_ADDRESS: "0",
  });
  await using browser = await launchBrowser({
    camera: "none",
    args: [
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      `--use-file-for-fake-video-capture=${picture}`,
      `--use-file-for-fake-audio-capture=${sound}`,
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  const stage = { browser, site, server };
  for (let round = 1; round <= rounds; round += 1) {
    await measure("without", stage, true, round);
    await measure("with   ", stage, false, round);
  }
}
await rm(folder, { recursive: true });
