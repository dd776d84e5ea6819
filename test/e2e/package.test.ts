/** The package as somebody else's project meets it: packed, installed, compiled, bundled, and in a call. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchBrowser } from "../support/browser.ts";
import { clientReference } from "../support/documents.ts";
import { root } from "../support/root.ts";
import { startServer } from "../support/server-process.ts";

setDefaultTimeout(60_000);

const BUNDLE_BYTES_MAX = 40 * 1024;

/** A page of five lines, as a frontend developer's first would be. */
const mainTs = `
import { createPeerStream, type AppRouter, type PeerEvent } from "peer-stream/client";
import type { AppRouter as TheSame } from "peer-stream";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";

const params = new URLSearchParams(location.search);
const peer = createPeerStream({ url: params.get("server") ?? "" });
const video = document.querySelector("video");
peer.subscribe((state) => {
  document.title = state.status;
  if (state.status === "connected" && video) video.srcObject = state.remote;
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
  const client = createTRPCClient<TheSame>({ links: [wsLink({ client: createWSClient({ url: "" }) })] });
  client.events.subscribe(undefined, { onData: ({ id, data }) => id + narrow(data) });
  // @ts-expect-error: interests are words
  void client.join.mutate({ interests: [1] });
  // @ts-expect-error: there is no such procedure
  void client.nothing;
}
export type Same = AppRouter extends TheSame ? true : never;
export const same: Same = true;
export function narrow(event: PeerEvent): string {
  switch (event.type) {
    case "session": return event.token;
    case "lobby": return String(event.waiting + event.online);
    case "create-offer":
    case "wait-for-offer": { const role: boolean = event.polite; return event.roomId + String(role); }
    case "offer":
    case "answer": return event.sdp;
    case "add-ice-candidate": return event.candidate.candidate;
    case "partner-reconnecting": return new Date(event.deadline).toISOString();
    case "partner-reconnected": return event.roomId;
    case "partner-disconnected": return event.reason satisfies "left" | "skipped" | "lost" | "connect-failed" | "removed";
    case "resync": return event.state.status;
    default: return event satisfies never;
  }
}
`;

let project: string;
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "peer-stream-outside-"));
  await run(root, ["bun", "run", "build"]);
  await run(root, ["npm", "pack", "--ignore-scripts", "--pack-destination", project]);
  const modules = join(project, "node_modules");
  await mkdir(join(modules, "peer-stream"), { recursive: true });
  const [tarball = ""] = [...new Bun.Glob("*.tgz").scanSync(project)];
  const into = join(modules, "peer-stream");
  await run(project, ["tar", "xzf", tarball, "--strip-components=1", "-C", into]);
  for (const name of ["@trpc/client", "@trpc/server", "@types/react", "csstype"])
    await cp(join(root, "node_modules", name), join(modules, name), { recursive: true });

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
  const files: Record<string, string> = {
    "package.json": JSON.stringify({ name: "outside", private: true, type: "module" }),
    "tsconfig.json": JSON.stringify({ compilerOptions, include: ["*.ts", "*.tsx"] }),
    "main.ts": mainTs,
    "react.tsx":
      /```tsx\n([\s\S]*?)```/.exec(clientReference)?.[1] ?? "the reference has no React example",
    "only-client.ts": 'export { createPeerStream } from "peer-stream/client";',
  };
  for (const [name, text] of Object.entries(files)) await Bun.write(join(project, name), text);
});
afterAll(() => rm(project, { recursive: true, force: true }));

test("the server's type stands alone: it imports nothing but @trpc/server", async () => {
  const text = await Bun.file(
    join(project, "node_modules/peer-stream/dist/app-router.d.ts"),
  ).text();
  const imports = [...text.matchAll(/import\("([^"]+)"\)|^import .*"([^"]+)"/gm)];
  const packages = imports.map(([, inline, whole]) =>
    (inline ?? whole ?? "").split("/", 2).join("/"),
  );
  expect([...new Set(packages)]).toEqual(["@trpc/server"]);
});

test("no server code, and nothing of Bun's, is in the package", async () => {
  const folder = join(project, "node_modules/peer-stream");
  const files = [...new Bun.Glob("**/*").scanSync(folder)];
  expect(files.filter((file) => /server|engine|domain|main/.test(file))).toEqual([]);
  const code = await Bun.file(join(folder, "dist/client/peer-stream.js")).text();
  const imports = new Set([...code.matchAll(/from "([^"]+)"/g)].map(([, from]) => from));
  expect([...imports]).toEqual(["@trpc/client"]);
  expect(code).not.toMatch(/\bBun\.|\bprocess\.|zod/);
});

test("a strict project compiles against it, narrows every event, and so does the documented React example", async () => {
  await run(project, [join(root, "node_modules/.bin/tsc"), "-p", "."]);
});

test("a stock bundler makes less than 40 KB of it, minified and gzipped, with @trpc/client", async () => {
  await bundle("only-client.ts", "client.js");
  const bytes = Bun.gzipSync(await Bun.file(join(project, "client.js")).bytes(), {
    level: 9,
  }).length;
  console.log(`the client with @trpc/client, minified and gzipped: ${bytes} bytes`);
  expect(bytes).toBeLessThan(BUNDLE_BYTES_MAX);
});

test("two pages of that project make a call", async () => {
  await bundle("main.ts", "main.js");
  using site = Bun.serve({
    port: 0,
    async fetch(request) {
      if (new URL(request.url).pathname === "/main.js")
        return new Response(Bun.file(join(project, "main.js")));
      const html =
        '<!doctype html><link rel="icon" href="data:,"><video autoplay muted playsinline></video><script type="module" src="/main.js"></script>';
      return new Response(html, { headers: { "content-type": "text/html" } });
    },
  });
  const origin = `http://127.0.0.1:${site.port}`;
  await using server = await startServer({ CORS_ORIGIN: origin });
  await using browser = await launchBrowser();
  const url = `${origin}/?server=${server.origin.replace("http", "ws")}/trpc`;
  const alice = await browser.open(url);
  const bob = await browser.open(url);
  for (const page of [alice, bob]) {
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
  expect(browser.complaints).toEqual([]);
});

function bundle(entry: string, out: string) {
  const options = ["--bundle", "--minify", "--format=esm", "--target=es2022"];
  return run(project, [
    join(root, "node_modules/.bin/esbuild"),
    entry,
    ...options,
    `--outfile=${out}`,
  ]);
}

/** Runs a command to its end; fails with all it printed. */
async function run(cwd: string, [program = "", ...args]: string[]): Promise<void> {
  const command = [program === "bun" ? process.execPath : program, ...args];
  const child = Bun.spawn(command, { cwd, stdout: "pipe", stderr: "pipe" });
  const printed = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}:\n${printed.join("\n")}`);
}
