/** The process under those who start and watch it: launchers, PID 1 of a container, systemd. */
import { describe, expect, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildImage } from "../support/image.ts";
import { receiveNotifications } from "../support/notify-receiver.ts";
import { startRedis } from "../support/redis.ts";
import { root } from "../support/root.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";

const { PATH = "", HOME = "" } = process.env;
const bun = process.execPath;
const scratch = () => mkdtemp(join(tmpdir(), "peer-stream-"));

/** A socket that is open; `code` resolves with the code it is closed with. */
async function openSocket(origin: string): Promise<{ code: Promise<number> }> {
  const socket = new WebSocket(`${origin.replace("http", "ws")}/trpc`);
  const code = new Promise<number>((resolve) => (socket.onclose = (event) => resolve(event.code)));
  await new Promise((resolve) => (socket.onopen = resolve));
  return { code };
}

const isClosed = (origin: string) =>
  fetch(`${origin}/livez`).then(
    () => false,
    () => true,
  );

/** The first process of a PID namespace, as a container's is, where this user may make one. */
const asPid1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
const mayMakeNamespaces = Bun.spawnSync([...asPid1, "true"]).exitCode === 0;
if (!mayMakeNamespaces)
  console.log(
    "  this kernel lets nobody make PID namespaces here: no test has run as the first process",
  );

/** The page has its script, and that has all that it imports. */
async function expectWholePage(origin: string): Promise<void> {
  const scripts = new Set(textsIn(await textAt(`${origin}/`), /<script[^>]* src="([^"]+)"/g));
  expect(scripts.size).toBeGreaterThan(0);
  for (const script of scripts) {
    const imported = textsIn(
      await textAt(new URL(script, `${origin}/`).href),
      /(?:from|import\()"([^"]+\.js)"/g,
    );
    for (const one of imported) scripts.add(one);
  }
}

const textsIn = (text: string, what: RegExp) => [...text.matchAll(what)].map(([, one = ""]) => one);

async function textAt(url: string): Promise<string> {
  const response = await fetch(url);
  expect(`${response.status} ${url}`).toBe(`200 ${url}`);
  return response.text();
}

describe("during the start", () => {
  /** Whether this process listens for SIGTERM, as proc(5) shows it: by a mask of signals in hex. */
  const listens = async (pid: number) => {
    const status = await Bun.file(`/proc/${pid}/status`).text();
    return (Number.parseInt(/^SigCgt:\s*\w*(\w{4})$/m.exec(status)?.[1] ?? "0", 16) & 0x4000) !== 0;
  };

  test("hardly anything is read before the image's first file listens for signals", async () => {
    const folder = await buildImage();
    const first = new Set(["main.js"]);
    let bytes = 0;
    for (const file of first) {
      const text = await Bun.file(join(folder, file)).text();
      bytes += text.length;
      for (const one of textsIn(text, /(?:from|import)"\.\/([^"]+)"/g)) first.add(one);
    }
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(10_000);
  });

  test.each([0, 50, 100, 200, 400])(
    "SIGTERM ends it with 0, %d ms after it has begun to listen for that",
    async (afterMs) => {
      const child = Bun.spawn([bun, "src/main.ts"], {
        cwd: root,
        env: { PATH, PORT: "0", HOST: "127.0.0.1", DRAIN_MS: "1000" },
        stdout: "ignore",
        stderr: "ignore",
      });
      await until("it listens for SIGTERM", () => listens(child.pid));
      await Bun.sleep(afterMs);
      child.kill("SIGUSR2");
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    },
    20_000,
  );
});

describe("SIGTERM drains", () => {
  const env = { PATH, HOME, DRAIN_MS: "2000", ALLOW_NO_ORIGIN: "true" };
  test.each([
    ["`bun src/main.ts`", ["bun", "src/main.ts"], [0]],
    ["`bun run start`", ["bun", "run", "start"], [0]],
    // npm dies of the signal before the server has drained.
    ["`npm start`", ["npm", "start"], [0, 143]],
    ["`npx … run start`", ["npx", "--no-install", "bun", "run", "start"], [0, 143]],
    ["a shell that is replaced", ["sh", "-c", "exec bun src/main.ts"], [0]],
  ])(
    "what was started by %s",
    async (_, command, codes) => {
      const server = await startServer(env, { command, cwd: root });
      const { code } = await openSocket(server.origin);
      await server.stop();
      expect(codes).toContain(await server.exited);
      expect(await code).toBe(4001);
      await until("its port is closed", () => isClosed(server.origin));
      await until("it has left", () => server.output.includes('"msg":"left"'));
      for (const line of ["started", "leaving", "left"])
        expect(server.output.split(`"msg":"${line}"`)).toHaveLength(2);
    },
    30_000,
  );

  test("the image's command as the first process of a container", async () => {
    const wrapper = mayMakeNamespaces ? asPid1 : [];
    const program = { command: [...wrapper, bun, "main.js"], cwd: await buildImage() };
    const server = await startServer(env, program);
    await expectWholePage(server.origin);
    const { code } = await openSocket(server.origin);
    // A container runtime signals the process itself; `unshare` is only the one that waits for it.
    const children = await Bun.file(`/proc/${server.pid}/task/${server.pid}/children`).text();
    process.kill(mayMakeNamespaces ? Number(children) : server.pid, "SIGTERM");
    expect(await code).toBe(4001);
    expect(await server.exited).toBe(0);
  }, 30_000);

  test("the executable", async () => {
    const file = join(await scratch(), "peer-stream");
    const { scripts } = await Bun.file(join(root, "package.json")).json();
    const build = String(scripts["build:executable"]).split(" ").slice(1, -1);
    await Bun.$`${bun} ${build} ${file}`.cwd(root).quiet();
    const server = await startServer(env, { command: [file], cwd: root });
    await expectWholePage(server.origin);
    const { code } = await openSocket(server.origin);
    await server.stop();
    expect(await code).toBe(4001);
    expect(await server.exited).toBe(0);
  }, 60_000);
});

test("nohup keeps SIGHUP from ending it, and SIGTERM drains it all the same", async () => {
  const env = { PATH, DRAIN_MS: "1000" };
  const server = await startServer(env, { command: ["nohup", bun, "src/main.ts"], cwd: root });
  process.kill(server.pid, "SIGHUP");
  // In any of these turns of its event loop it would have left.
  for (let turn = 0; turn < 20; turn++)
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
  await server.stop();
  expect(server.output).toContain('"signal":"SIGTERM"');
  expect(await server.exited).toBe(0);
});

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
  ["SIGHUP", 129],
] as const)(
  "a second signal, %s, ends it at once with the code %d",
  async (signal, exitCode) => {
    const server = await startServer({ DRAIN_MS: "60000", ALLOW_NO_ORIGIN: "true" });
    await openSocket(server.origin);
    process.kill(server.pid, "SIGTERM");
    await until("it drains", async () => (await fetch(`${server.origin}/readyz`)).status === 503);
    // Within a second of the first one it would be the same signal, passed on.
    await Bun.sleep(1100);
    process.kill(server.pid, signal);
    expect(await server.exited).toBe(exitCode);
    expect(server.output).toContain('"msg":"a second signal has ended the drain"');
  },
  20_000,
);

describe("a service manager", () => {
  test.each(["a path", "an abstract name"])(
    "at %s is told that it is ready, lives, and stops",
    async (kind) => {
      const path = join(await scratch(), "notify");
      const address = kind === "a path" ? path : `@${path}`;
      const told = await receiveNotifications(address);
      const server = await startServer({
        NOTIFY_SOCKET: address,
        WATCHDOG_USEC: "400000",
        DRAIN_MS: "3000",
      });
      await until("it says that it is ready", () => told.length > 0);
      expect(told[0]).toEqual({ READY: "1", STATUS: `Listens at ${server.origin}/` });
      const beats = () => told.filter(({ WATCHDOG }) => WATCHDOG === "1").length;
      await until("it says that it lives", () => beats() >= 3);
      await server.stop();
      await until("it says that it stops", () => told.some(({ STOPPING }) => STOPPING === "1"));
      expect(told.find(({ STOPPING }) => STOPPING)).toMatchObject({
        EXTEND_TIMEOUT_USEC: "13000000",
      });
      expect(told.filter(({ READY }) => READY)).toHaveLength(1);
      expect(await server.exited).toBe(0);
    },
    20_000,
  );

  test("is asked for patience while Redis is away, and told when it is there", async () => {
    await using redis = await startRedis();
    await redis.kill();
    const address = join(await scratch(), "notify");
    const told = await receiveNotifications(address);
    const env = { NOTIFY_SOCKET: address, REDIS_URL: redis.url };
    await using server = await startServer(env, undefined, false);
    const waiting = () => told.filter(({ STATUS }) => STATUS === "Waits for Redis");
    await until("it says twice that it waits", () => waiting().length >= 2);
    expect(waiting()[0]).toMatchObject({ EXTEND_TIMEOUT_USEC: "10000000" });
    expect(told.filter(({ READY }) => READY)).toEqual([]);
    await redis.start();
    await until("it says that it is ready", () => told.some(({ READY }) => READY === "1"));
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
  }, 30_000);

  test("that is gone, or was never there, keeps nobody from being served", async () => {
    const env = { NOTIFY_SOCKET: join(await scratch(), "none"), WATCHDOG_USEC: "400000" };
    await using server = await startServer(env);
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
    await until("it is logged", () => server.output.includes("the service manager can't be told"));
  });

  test("that watches another process is sent no signs of life", async () => {
    const address = join(await scratch(), "notify");
    const told = await receiveNotifications(address);
    const env = { NOTIFY_SOCKET: address, WATCHDOG_USEC: "1000", WATCHDOG_PID: "1" };
    await using _ = await startServer({ ...env, DRAIN_MS: "1000" });
    await until("it says that it is ready", () => told.some(({ READY }) => READY === "1"));
    await _.stop();
    await until("it says that it stops", () => told.some(({ STOPPING }) => STOPPING === "1"));
    expect(told.filter(({ WATCHDOG }) => WATCHDOG)).toEqual([]);
  });
});
