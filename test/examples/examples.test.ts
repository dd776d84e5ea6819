/**
 * The examples as their readers meet them: copied to a folder outside of this project, with the packages as they are published,
 * installed, type-checked, started by `bun start`, and called in Chromium.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Page } from "playwright-core";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { packPackages, run, type Tarballs } from "../support/outside-project.ts";
import { freePort } from "../support/ports.ts";
import { createTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

/** Lines that may be needed to add strangers to an application. */
const LINES_MAX = 15;

const shared = new AsyncDisposableStack();
afterAll(() => shared.disposeAsync());
let tarballs: Tarballs;
let browser: TestBrowser;

beforeAll(async () => {
  const packed = await temporaryFolder(shared);
  tarballs = await packPackages(packed);
  browser = shared.use(await launchBrowser({ script: keepConnections }));
});

describe("an app with accounts", () => {
  let folder: string;
  let installedAt: number;
  let origin: string;

  beforeAll(async () => {
    installedAt = performance.now();
    folder = await install("app");
    origin = shared.use(await startApp(folder)).origin;
  });

  test("its types are those of the merged router", async () => {
    await run(folder, ["bun", "run", "check"]);
    await Bun.write(
      join(folder, "types.test.ts"),
      `import { createTRPCClient } from "@trpc/client";
       import type { AppRouter } from "./app.ts";
       declare const server: ReturnType<typeof createTRPCClient<AppRouter>>;
       export const own: Promise<string | undefined> = server.name.query();
       export const ours: Promise<{ status: "idle" | "waiting" | "paired" }> = server.join.mutate({ interests: ["jazz"] });
       // @ts-expect-error: a name is a text
       void server.rename.mutate({ name: 1 });
       // @ts-expect-error: interests are words
       void server.join.mutate({ interests: [1] });
       // @ts-expect-error: there is no such procedure
       void server.nothing;`,
    );
    await run(folder, ["bun", "run", "check"]);
  });

  test("two accounts call each other, and the call ends when one logs out", async () => {
    const [alice, bob] = await Promise.all([browser.open(origin), browser.open(origin)]);
    await Promise.all([register(alice, "Alice"), register(bob, "Bob")]);
    await alice.getByText("Hello Alice").waitFor();
    await bob.getByText("Hello Bob").waitFor();
    for (const page of [alice, bob]) await page.getByRole("button", { name: "Start" }).click();
    await Promise.all([expectCall(alice), expectCall(bob)]);
    tellTime("an app with accounts", installedAt);

    // By the server alone: the page would hang up by itself.
    const status = await alice.evaluate(
      async () => (await fetch("/api/auth/sign-out", { method: "POST" })).status,
    );
    expect(status).toBe(200);
    await expectState(alice, "unauthorized");
    await expectState(bob, "waiting");
    expect(await browser.clear()).toEqual([]);
  });

  test("somebody who comes back is known by the cookie, and somebody else by nothing", async () => {
    const alice = await browser.open(origin);
    await alice.getByPlaceholder("Email").fill("alice@example.com");
    await alice.getByPlaceholder("Password").fill("not her password");
    await alice.getByRole("button").click();
    await alice.getByText("Invalid email or password").waitFor();
    await alice.getByPlaceholder("Email").fill("alice@example.com");
    await alice.getByPlaceholder("Password").fill("the password of Alice");
    await alice.getByRole("button").click();
    await alice.getByText("Hello Alice").waitFor();
    await alice.reload();
    await alice.getByText("Hello Alice").waitFor();
    // What the app's pages have called over HTTP so far.
    const name = await alice.evaluate(async () => (await fetch("/trpc/name")).json());
    expect(name).toEqual({ result: { data: "Alice" } });
    // Chromium writes the refusal of the wrong password.
    expect((await browser.clear()).filter((line) => !line.includes("401"))).toEqual([]);
  });

  test("it is bundled for production", async () => {
    await run(folder, ["bun", "run", "build"]);
    const secret = { NODE_ENV: "production", BETTER_AUTH_SECRET: crypto.randomUUID() };
    await using app = await startApp(join(folder, "dist"), ["app.js"], secret);
    const dave = await browser.open(app.origin);
    await register(dave, "Dave");
    await dave.getByText("Hello Dave").waitFor();
    expect(await browser.clear()).toEqual([]);
  });

  test("strangers were added by a few lines, without which the app is as it was", async () => {
    const readme = await Bun.file(join(folder, "README.md")).text();
    const diff = /```diff\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
    const added = diff.match(/^\+(?!\+\+ ).*\S.*$/gm) ?? [];
    console.log(`strangers were added in ${added.length} lines`);
    expect(added.length).toBeLessThanOrEqual(LINES_MAX);

    const before = join(dirname(folder), "before");
    await cp(join(import.meta.dir, "app"), before, { recursive: true, filter: isPublished });
    await symlink(join(folder, "node_modules"), join(before, "node_modules"));
    await Bun.write(join(before, "strangers.diff"), diff);
    await run(before, ["git", "apply", "-R", "strangers.diff"]);
    // The page is for strangers only.
    await rm(join(before, "page.tsx"));
    await Bun.write(join(before, "index.html"), "<title>before</title>");
    for (const file of ["app.ts", "auth.ts"])
      expect(await Bun.file(join(before, file)).text()).not.toMatch(/strangers|peer-stream/);
    await run(before, ["bun", "run", "check"]);
    await using app = await startApp(before);
    const headers = { "content-type": "application/json", origin: app.origin };
    const account = { name: "Carol", email: "carol@example.com", password: "Carol's password" };
    const registered = await fetch(`${app.origin}/api/auth/sign-up/email`, {
      method: "POST",
      headers,
      body: JSON.stringify(account),
    });
    const cookie = registered.headers.get("set-cookie")?.split(";")[0] ?? "";
    const named = await fetch(`${app.origin}/trpc/name`, { headers: { cookie } });
    expect(await named.json()).toEqual({ result: { data: "Carol" } });
  });
});

describe("tokens of a backend for the program", () => {
  let folder: string;
  let installedAt: number;
  let origin: string;

  beforeAll(async () => {
    installedAt = performance.now();
    folder = await install("jwt");
    // They are fixed in the example.
    const [chat, backend] = [await freePort(), await freePort()];
    for (const file of ["package.json", "backend.ts", "page.ts"])
      await edit(join(folder, file), (text) =>
        text.replaceAll("3000", String(chat)).replaceAll("8080", String(backend)),
      );
    shared.use(await start(folder, [chat, backend]));
    origin = `http://localhost:${backend}`;
  });

  test("it is typed", () => run(folder, ["bun", "run", "check"]));

  test("two accounts call each other", async () => {
    const [alice, bob] = await Promise.all([browser.open(origin), browser.open(origin)]);
    for (const page of [alice, bob]) await page.getByRole("button", { name: "Start" }).click();
    await Promise.all([expectCall(alice), expectCall(bob)]);
    tellTime("tokens of a backend for the program", installedAt);
    expect(await browser.clear()).toEqual([]);
  });

  test.each([
    [
      "signed by somebody else",
      async () => sign({ secret: "a secret that the program does not know" }),
    ],
    ["for another audience", async () => sign({ audience: "another" })],
    ["that has expired", async () => sign({ expiresInS: -60 })],
    ["that is no token", async () => "nonsense"],
    ["that is none at all", async () => ""],
  ])("a token %s is refused", async (_, token) => {
    await expectState(await startWith(await token()), "unauthorized");
    // A socket that is closed before the first call has come names no reason. The client then asks over HTTP, which Chromium
    // writes, and tries again.
    const complaints = await browser.clear();
    expect(complaints.filter((line) => !line.includes("with a status of 426"))).toEqual([]);
  });

  test("the same token, made right, is accepted", async () => {
    await expectState(await startWith(await sign({})), "waiting");
    expect(await browser.clear()).toEqual([]);
  });

  /** Somebody who presses Start, and whom the backend gives this token. */
  async function startWith(token: string): Promise<Page> {
    const page = await browser.open(origin);
    let isGiven = false;
    await page.route("**/token", (route) => {
      isGiven = true;
      return route.fulfill({ body: token });
    });
    await page.getByRole("button", { name: "Start" }).click();
    await until("the token is asked for", () => isGiven);
    return page;
  }

  /** A token as the example's backend signs it, but for what is given. */
  async function sign({
    secret,
    audience = "chat",
    expiresInS = 600,
  }: Partial<Record<"secret" | "audience", string>> & { expiresInS?: number }) {
    const own = /AUTH_JWT_SECRET=(\S+)/.exec(await Bun.file(join(folder, ".env")).text())?.[1];
    const exp = Math.floor(Date.now() / 1000) + expiresInS;
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const signed = `${encode({ alg: "HS256" })}.${encode({ sub: "mallory", iss: "backend", aud: audience, exp })}`;
    const hmac = new Bun.CryptoHasher("sha256", secret ?? own).update(signed);
    return `${signed}.${hmac.digest("base64url")}`;
  }
});

describe("a front end that moves from Socket.IO", () => {
  let folder: string;
  let pages: string;
  let backend: number;
  let proxy: TcpProxy;

  beforeAll(async () => {
    folder = await install("migration");
    backend = await freePort();
    const port = await freePort();
    pages = `http://localhost:${port}`;
    proxy = shared.use(await createTcpProxy(new URL(`http://127.0.0.1:${backend}`)));
    // They are fixed in the example.
    const files = ["package.json", "backend.ts", "pages.ts"];
    for (const file of [...files, ...steps.map((step) => `page-${step}.ts`)])
      await edit(join(folder, file), (text) =>
        text
          .replaceAll("localhost:3000", new URL(proxy.http).host)
          .replaceAll("3000", String(backend))
          .replaceAll("5173", String(port)),
      );
    shared.use(await start(folder, [port], {}, ["run", "pages"]));
  });

  const steps = [0, 1, 2, 3];

  /** Who leaves without a word is waited for only briefly. */
  const startBackend = (step: number) =>
    start(folder, [backend], { GRACE_MS: "3000" }, ["run", step === 0 ? "before" : "after"]);

  test("it is typed at each step", () => run(folder, ["bun", "run", "check"]));

  test("the documentation has the difference between each step and the next", async () => {
    const example = join(import.meta.dir, "migration");
    const readme = await Bun.file(join(example, "README.md")).text();
    const shown = [...readme.matchAll(/^```diff\n([\s\S]*?)^```$/gm)].map(([, diff]) => diff);
    const made = steps.slice(1).map((step) => difference(example, step - 1, step));
    expect(shown).toEqual(made);
  });

  for (const step of steps)
    test(`at step ${step} two call each other, Next brings each another partner, and who leaves is missed`, async () => {
      await using _ = await startBackend(step);
      const enter = () => browser.open(`${pages}/${step}`);
      const alice = await enter();
      await expectState(alice, "waiting");
      const bob = await enter();
      await Promise.all([expectCall(alice), expectCall(bob)]);
      await alice.getByRole("button", { name: "Next" }).click();
      await Promise.all([expectState(alice, "waiting"), expectState(bob, "waiting")]);
      const carol = await enter();
      const met = await Promise.any([
        expectCall(alice).then(() => alice),
        expectCall(bob).then(() => bob),
      ]);
      await expectCall(carol);
      await carol.close();
      await expectState(met, "waiting");
      expect(await browser.clear()).toEqual([]);
    });

  test.each([
    [0, "ends"],
    [2, "continues"],
    [3, "continues"],
  ])("at step %d a call whose socket is cut %s", async (step, outcome) => {
    await using _ = await startBackend(step);
    const alice = await browser.open(`${pages}/${step}`);
    await expectState(alice, "waiting");
    const bob = await browser.open(`${pages}/${step}`);
    await Promise.all([expectCall(alice), expectCall(bob)]);
    const connected = () =>
      bob.evaluate(() =>
        (window as unknown as Kept).connections.findIndex(
          ({ connectionState }) => connectionState === "connected",
        ),
      );
    const before = await connected();
    proxy.cut();
    if (outcome === "ends") {
      await until("there is another call", async () => (await connected()) > before, 20_000);
    } else {
      await until("the sockets are back", () => proxy.webSockets === 2, 20_000);
      await Promise.all([expectCall(alice), expectCall(bob)]);
      expect(await connected()).toBe(before);
      // The room is known to the server, too.
      await alice.getByRole("button", { name: "Next" }).click();
      await expectState(bob, "waiting");
    }
    const complaints = await browser.clear();
    expect(complaints.filter((line) => !/WebSocket connection to|net::ERR_/.test(line))).toEqual(
      [],
    );
  });
});

/** As the documentation shows it. */
function difference(folder: string, from: number, to: number): string {
  const names = [`page-${from}.ts`, `page-${to}.ts`];
  const labels = names.flatMap((name) => ["--label", name]);
  return Bun.spawnSync(["diff", "-U2", ...labels, ...names], { cwd: folder }).stdout.toString();
}

/** Copies an example to a folder of its own, and installs what it depends on. */
async function install(example: string): Promise<string> {
  const folder = join(await temporaryFolder(shared), example);
  await cp(join(import.meta.dir, example), folder, { recursive: true, filter: isPublished });
  const packed = Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`]);
  await edit(join(folder, "package.json"), (text) => {
    const { dependencies, ...rest } = JSON.parse(text);
    return JSON.stringify({
      ...rest,
      dependencies: { ...dependencies, ...Object.fromEntries(packed) },
    });
  });
  await run(folder, ["bun", "install"]);
  return folder;
}

/** Not what somebody has left who started the example where it is. */
function isPublished(file: string): boolean {
  return !["node_modules", "bun.lock", ".env", "app.sqlite"].includes(basename(file));
}

async function edit(file: string, change: (text: string) => string): Promise<void> {
  await Bun.write(file, change(await Bun.file(file).text()));
}

async function startApp(folder: string, command?: string[], env: Record<string, string> = {}) {
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const own = { PORT: String(port), BETTER_AUTH_URL: origin };
  const running = await start(folder, [port], { ...own, ...env }, command);
  return Object.assign(running, { origin });
}

/** Starts an example as its README says, and waits until it listens at all of `ports`. */
async function start(
  cwd: string,
  ports: number[],
  env: Record<string, string> = {},
  command = ["start"],
): Promise<AsyncDisposable> {
  const child = Bun.spawn([process.execPath, ...command], {
    cwd,
    env: { ...process.env, NODE_ENV: "development", ...env },
    stdout: "pipe",
    stderr: "pipe",
    // A group of its own, as a shell makes one: Ctrl+C reaches all of its processes.
    detached: true,
  });
  const interrupt = () => process.kill(-child.pid, "SIGINT");
  process.on("exit", interrupt);
  const output = Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  void child.exited.then(() => process.off("exit", interrupt));
  const listens = (port: number) =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  const areListening = async (isWanted: boolean) =>
    (await Promise.all(ports.map(listens))).every((one) => one === isWanted);
  await until("it listens", () => areListening(true)).catch(async (error) => {
    interrupt();
    throw new Error((await output).join("\n"), { cause: error });
  });
  return {
    async [Symbol.asyncDispose]() {
      interrupt();
      await child.exited;
      await until("it has ended", () => areListening(false));
    },
  };
}

async function temporaryFolder(owner: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-example-"));
  owner.defer(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function register(page: Page, name: string): Promise<void> {
  await page.getByPlaceholder("Name").fill(name);
  await page.getByPlaceholder("Email").fill(`${name.toLowerCase()}@example.com`);
  await page.getByPlaceholder("Password").fill(`the password of ${name}`);
  await page.getByRole("button").click();
}

async function expectState(page: Page, state: string): Promise<void> {
  let shown = "";
  const isShown = async () => (shown = await page.locator("#state").innerText()) === state;
  await until(`the page shows ${state}`, isShown, 20_000).catch((cause) => {
    throw new Error(`the page shows "${shown}" instead of "${state}"`, { cause });
  });
}

/** A call is connected, and more frames of the partner are decoded. */
async function expectCall(page: Page): Promise<void> {
  await expectState(page, "connected");
  const before = await framesDecoded(page);
  await until("more frames are decoded", async () => (await framesDecoded(page)) > before + 5);
}

/** W3C Identifiers for WebRTC's Statistics API, `framesDecoded`; of all connections of a page. */
const framesDecoded = (page: Page) =>
  page.evaluate(async () => {
    let frames = 0;
    for (const connection of (window as unknown as Kept).connections)
      for (const report of (await connection.getStats()).values())
        if (report.type === "inbound-rtp") frames += report.framesDecoded ?? 0;
    return frames;
  });

interface Kept {
  connections: RTCPeerConnection[];
}

/** Runs in each page: nothing else has access to its connections. */
function keepConnections(): void {
  const kept: RTCPeerConnection[] = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      kept.push(this);
    }
  };
  Object.assign(window, { connections: kept });
}

function tellTime(what: string, since: number): void {
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  console.log(`${what}: ${seconds} s from bun install to the first call`);
}
