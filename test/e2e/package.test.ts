/** The client's package as somebody else's project meets it: installed, compiled, bundled, and in a call; with React too. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchBrowser, type BrowserOptions } from "../support/browser.ts";
import { clientReference } from "../support/documents.ts";
import {
  createOutsideProject,
  packPackages,
  type OutsideProject,
} from "../support/outside-project.ts";
import { root } from "../support/root.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const BUNDLE_BYTES_MAX = 40 * 1024;
/** Of this, what is the client's own. */
const OWN_BYTES_MAX = 24 * 1024;

/** A page of five lines, as a frontend developer's first would be. */
const mainTs = `
import { createPeerStream, type AppRouter, type PeerEvent } from "peer-stream-client";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";

const params = new URLSearchParams(location.search);
const peer = createPeerStream({ url: params.get("server") ?? "" });
const video = document.querySelector("video");
peer.subscribe((state) => {
  document.title = state.status;
  if (state.status === "connected" && video) video.srcObject = state.remote ?? null;
});
peer.onEvent((event) => {
  if (event.type === "chat") document.body.append(event.from + ": " + event.text);
});
const camera = await peer.camera.open();
if (camera.ok) peer.start({ interests: ["jazz"] });
else document.title = camera.error.kind;
Object.assign(window, { peer });

// Typed to the last field, also for those who bring a client of their own.
export function withAClientOfOnesOwn() {
  const client = createTRPCClient<AppRouter>({ links: [wsLink({ client: createWSClient({ url: "" }) })] });
  client.events.subscribe(undefined, { onData: ({ id, data }) => id + narrow(data) });
  // @ts-expect-error: interests are words
  void client.join.mutate({ interests: [1] });
  // @ts-expect-error: there is no such procedure
  void client.nothing;
}
export function narrow(event: PeerEvent): string {
  switch (event.type) {
    case "session": return event.token;
    case "lobby": return String(event.waiting + event.online);
    case "create-offer":
    case "wait-for-offer": { const role: boolean = event.polite; return event.roomId + String(role); }
    case "offer":
    case "answer": return event.sdp;
    case "add-ice-candidate": return event.candidate.candidate;
    case "message": return event.text + new Date(event.at).toISOString();
    case "typing": return String(event.typing satisfies boolean);
    case "partner-media": return String(event.audio || event.video);
    case "partner-reconnecting": return new Date(event.deadline).toISOString();
    case "partner-reconnected": return event.roomId;
    case "message": return event.text + new Date(event.at).toISOString();
    case "typing": return String(event.typing);
    case "partner-media": return String(event.audio && event.video);
    case "warning": return event.because + (event.caseId ?? "");
    case "partner-disconnected": return event.reason satisfies "left" | "skipped" | "lost" | "connect-failed" | "removed";
    case "resync": return event.state.status;
    default: return event satisfies never;
  }
}
`;

/** The reference's examples in React: a whole page, and one of what else can be sent. */
const [pageExample = "none", sourcesExample = "none"] = [
  ...clientReference.matchAll(/```tsx\n([\s\S]*?)```/g),
].map(([, code = ""]) => code.trim());

/** Rendered as React recommends in development. */
const reactTsx = `
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
${pageExample}
const asked: unknown[] = [];
const { mediaDevices } = navigator;
const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
mediaDevices.getUserMedia = (wish) => (asked.push(wish), getUserMedia(wish));
const url = new URLSearchParams(location.search).get("server") ?? "";
const page = createRoot(document.body.appendChild(document.createElement("main")));
page.render(<StrictMode><Stranger url={url} /></StrictMode>);
Object.assign(window, { asked, leave: () => page.unmount() });
`;

const sourcesTsx = `
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
${sourcesExample}
const screens: MediaStreamTrack[] = [];
const { mediaDevices } = navigator;
const getDisplayMedia = mediaDevices.getDisplayMedia.bind(mediaDevices);
mediaDevices.getDisplayMedia = async (wish) => {
  const stream = await getDisplayMedia(wish);
  screens.push(...stream.getTracks());
  return stream;
};
Object.assign(window, { screens });
const url = new URLSearchParams(location.search).get("server") ?? "";
const page = createRoot(document.body.appendChild(document.createElement("main")));
page.render(<StrictMode><Sources url={url} /></StrictMode>);
`;

let packed: string;
let project: OutsideProject;
beforeAll(async () => {
  packed = await mkdtemp(join(tmpdir(), "peer-stream-packed-"));
  const { "peer-stream-client": client } = await packPackages(packed);
  project = await createOutsideProject({
    "peer-stream-client": client,
    "@types/react": "19.3.0",
    "@types/react-dom": "19.3.0",
    react: "19.3.1",
    "react-dom": "19.3.1",
  });
  await project.run(["bun", "install"]);
  const compilerOptions = {
    target: "ES2022",
    module: "ESNext",
    moduleResolution: "bundler",
    lib: [
      "ES2022",
      "DOM",
      "DOM.Iterable",
      "DOM.AsyncIterable",
      "ESNext.AsyncIterable",
      "ESNext.Disposable",
    ],
    jsx: "react-jsx",
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
  };
  await project.write({
    "tsconfig.json": JSON.stringify({ compilerOptions, include: ["*.ts", "*.tsx"] }),
    "main.ts": mainTs,
    "react.tsx": reactTsx,
    "sources.tsx": sourcesTsx,
    "only-client.ts": 'export { createPeerStream } from "peer-stream-client";',
  });
});
afterAll(async () => {
  await project[Symbol.asyncDispose]();
  await rm(packed, { recursive: true, force: true });
});

test("the examples compile", async () => {
  await project.run(["node", join(root, "node_modules/typescript/bin/tsc"), "-p", "."]);
});

test("a page loads less than 40 KB of it at first, minified and gzipped, with @trpc/client", async () => {
  await bundle("only-client.ts", "client.js");
  const { first, all } = await sizesOf([]);
  console.log(
    `the client with @trpc/client, minified and gzipped: ${first} bytes at first, ${all} in all; ` +
      `by a bundler that makes no chunks ${await gzippedBytes("client.js")}`,
  );
  expect(first).toBeLessThan(BUNDLE_BYTES_MAX);
});

test("less than 24 KB of that are the client's own; what is rarely used comes in chunks of its own", async () => {
  const { first, all, later } = await sizesOf(["--external:@trpc/client"]);
  console.log(`the client alone, minified and gzipped: ${first} bytes at first, ${all} in all`);
  expect(first).toBeLessThan(OWN_BYTES_MAX);
  // Calls, cameras, the fallback to HTTP, stills, frames for a classifier, challenges.
  expect(later).toBeGreaterThanOrEqual(6);
});

/** Bytes of what a bundler makes that splits at dynamic imports: what a page loads at first, and all; and how many chunks come later. */
async function sizesOf(options: string[]) {
  await project.run([
    ...bundler("only-client.ts", ...options),
    "--splitting",
    "--outdir=own",
    "--metafile=own.json",
  ]);
  const { outputs } = (await Bun.file(join(project.folder, "own.json")).json()) as Metafile;
  const first = new Set(
    Object.keys(outputs).filter((file) => outputs[file]?.entryPoint === "only-client.ts"),
  );
  for (const file of first)
    for (const { path, kind } of outputs[file]?.imports ?? [])
      if (kind === "import-statement" && outputs[path]) first.add(path);
  const sum = async (files: Iterable<string>) => {
    let total = 0;
    for (const file of files) total += await gzippedBytes(file);
    return total;
  };
  const all = Object.keys(outputs);
  return { first: await sum(first), all: await sum(all), later: all.length - first.size };
}

interface Metafile {
  outputs: Record<
    string,
    { entryPoint?: string; imports: { path: string; kind: string }[] } | undefined
  >;
}

async function gzippedBytes(file: string): Promise<number> {
  return Bun.gzipSync(await Bun.file(join(project.folder, file)).bytes(), { level: 9 }).length;
}

test("two pages of that project make a call", async () => {
  await bundle("main.ts", "main.js");
  await using site = await visit("main.js");
  const [alice, bob] = site.pages;
  for (const page of site.pages) {
    await page.waitForFunction(() => document.title === "connected");
    await page.waitForFunction(
      () => (document.querySelector("video")?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > 5,
    );
  }
  await alice.evaluate(() => {
    const { peer } = window as unknown as { peer: { sendChat(text: string): boolean } };
    peer.sendChat("hello from outside");
  });
  await bob.getByText("partner: hello from outside").waitFor();
  expect(site.complaints).toEqual([]);
});

test("two pages with React in StrictMode make a call, ask for the camera once, and leave when unmounted", async () => {
  await bundle("react.tsx", "react.js");
  await using site = await visit("react.js");
  const [alice, bob] = site.pages;
  for (const page of site.pages) await page.getByRole("button", { name: "Start" }).click();
  for (const page of site.pages) {
    await page.getByText("connected", { exact: true }).waitFor();
    await page.waitForFunction(() =>
      [...document.querySelectorAll("video")].every(
        (video) => video.getVideoPlaybackQuality().totalVideoFrames > 5,
      ),
    );
    expect(await page.evaluate(() => (window as unknown as Outside).asked.length)).toBe(1);
  }
  await alice.evaluate(() => (window as unknown as Outside).leave());
  await bob.getByText("waiting", { exact: true }).waitFor();
  expect(site.complaints).toEqual([]);
});

test("a screen, a blur by a canvas and the other camera take less than 40 lines of React", async () => {
  expect(sourcesExample.split("\n").length).toBeLessThan(40);
  await bundle("sources.tsx", "sources.js");
  await using site = await visit("sources.js", { camera: "several" });
  const [alice, bob] = site.pages;
  const press = (name: string) => alice.getByRole("button", { name }).click();
  for (const page of site.pages) await page.getByRole("button", { name: "Start" }).click();
  /** What shows Alice's own picture, and what shows it to Bob. */
  const own = alice.locator("video").last();
  const shown = bob.locator("video").first();
  const label = () =>
    own.evaluate((video: HTMLVideoElement) =>
      (video.srcObject as MediaStream).getVideoTracks()[0]?.label.replace(/^(\D+)_\d$/, "$1"),
    );
  const id = () =>
    own.evaluate(
      (video: HTMLVideoElement) =>
        (video.srcObject as MediaStream).getVideoTracks()[0]?.getSettings().deviceId,
    );
  const screens = () =>
    alice.evaluate(() =>
      (window as unknown as Outside).screens.map(({ readyState }) => readyState),
    );
  const goesOn = async () => {
    const frames = () =>
      shown.evaluate((video: HTMLVideoElement) => video.getVideoPlaybackQuality().totalVideoFrames);
    const before = await frames();
    await until("the picture goes on", async () => (await frames()) > before + 5, 20_000);
  };
  await until(
    "both see each other",
    async () => (await bob.locator("video").count()) === 2,
    20_000,
  );
  await goesOn();

  const used = [await id()];
  // Chromium's second fake camera is one for depth, which nothing encodes.
  for (let flips = 0; flips < 2; flips += 1) {
    await press("Flip");
    await until("it is another camera", async () => !used.includes(await id()));
    used.push(await id());
  }
  await goesOn();
  expect(await label()).toContain("fake_device");
  await press("Blur");
  await until(
    "it is the canvas",
    async () => !/fake_device|^$|undefined/.test(String(await label())),
  );
  await goesOn();
  for (const state of ["live", "ended"]) {
    await press("Share");
    await until(`the screen is ${state}`, async () => (await screens()).join() === state);
    await goesOn();
  }
  expect(site.complaints).toEqual([]);
});

/** What the React page shows its test. */
interface Outside {
  asked: unknown[];
  screens: MediaStreamTrack[];
  leave(): void;
}

/** Two visitors of a page that consists of one script, and a server whose pages it is not. */
async function visit(script: string, options: BrowserOptions = {}) {
  const site = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      if (new URL(request.url).pathname === `/${script}`)
        return new Response(Bun.file(join(project.folder, script)));
      const html = `<!doctype html><link rel="icon" href="data:,"><body>${script === "main.js" ? "<video autoplay muted playsinline></video>" : ""}<script type="module" src="/${script}"></script>`;
      return new Response(html, { headers: { "content-type": "text/html" } });
    },
  });
  const origin = `http://127.0.0.1:${site.port}`;
  const server = await startServer({ CORS_ORIGIN: origin });
  const browser = await launchBrowser(options);
  const url = `${origin}/?server=${server.origin.replace("http", "ws")}/trpc`;
  return {
    pages: [await browser.open(url), await browser.open(url)] as const,
    complaints: browser.complaints,
    async [Symbol.asyncDispose]() {
      await browser[Symbol.asyncDispose]();
      await server.stop();
      await site.stop(true);
    },
  };
}

function bundle(entry: string, out: string) {
  return project.run([...bundler(entry), `--outfile=${out}`]);
}

function bundler(entry: string, ...more: string[]): string[] {
  const options = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--jsx=automatic"];
  return [join(root, "node_modules/.bin/esbuild"), entry, ...options, ...more];
}
