/** The log of the program as its reader stops, goes away, or as the disk is full; and its level, changed while it runs. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTRPCClient, httpLink } from "@trpc/client";
import type { adminRouter } from "../../src/rpc/admin.ts";
import { freePort } from "../support/ports.ts";
import { root } from "../support/root.ts";
import { connectPeer } from "../support/server.ts";
import { startServer as startServerProcess } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const token = "the token of this file's operator";

interface Running extends AsyncDisposable {
  origin: string;
  child: Bun.Subprocess;
}

/** The program, with its output where a shell's redirection says. */
async function startInto(redirection: string, env: Record<string, string> = {}): Promise<Running> {
  const port = await freePort();
  const command = `exec '${process.execPath}' src/main.ts ${redirection}`;
  const child = Bun.spawn(["sh", "-c", command], {
    cwd: root,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOST: "127.0.0.1",
      PORT: String(port),
      NODE_ENV: "production",
      ALLOW_NO_ORIGIN: "true",
      SESSION_SECRET: "a secret of this file's servers",
      METRICS_TOKEN: token,
      ADMIN_TOKEN: `${token}, again`,
      LIMIT_INTENTS_PER_S: "0",
      SKIP_BURST: "10000",
      SKIP_COOLDOWN_MS: "0",
      ...env,
    },
    stdout: "ignore",
    stderr: "pipe",
  });
  const origin = `http://127.0.0.1:${port}`;
  await until("it listens", async () => (await fetch(`${origin}/livez`)).ok, 20_000);
  return {
    origin,
    child,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

async function droppedBy(origin: string, because: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const metrics = await (await fetch(`${origin}/metrics`, { headers })).text();
  const line = metrics
    .split("\n")
    .find(
      (one) =>
        one.startsWith("peer_stream_log_lines_dropped_total") && one.includes(`"${because}"`),
    );
  return Number(line?.split(" ").at(-1));
}

const memoryMb = async (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(await Bun.file(`/proc/${pid}/status`).text())?.[1]) / 1024;

/** Two peers whose one skips the other again and again, until `holds`. @returns the longest that a skip took (milliseconds). */
async function skipUntil(origin: string, holds: () => Promise<boolean>): Promise<number> {
  const ws = origin.replace("http", "ws");
  await using one = await connectPeer({ ws });
  await using two = await connectPeer({ ws });
  await one.client.join.mutate();
  await two.client.join.mutate();
  let longestMs = 0;
  for (let n = 0; n < 200; n++) {
    const began = performance.now();
    for (let m = 0; m < 50; m++) await one.client.skip.mutate();
    longestMs = Math.max(longestMs, performance.now() - began);
    if (await holds()) return longestMs;
  }
  throw new Error("not within 10,000 skips");
}

/** A pipe with a name, of which the test is the reader. */
async function createPipe() {
  const path = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "log");
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  const buffer = Buffer.alloc(65_536);
  let reader: number | undefined;
  let text = "";
  return {
    path,
    open: () => void (reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)),
    close() {
      if (reader !== undefined) closeSync(reader);
      reader = undefined;
    },
    /** Everything that has come, also before. */
    read(): string {
      try {
        for (;;) {
          const size = readSync(reader ?? -1, buffer);
          if (size === 0) return text;
          text += buffer.toString("latin1", 0, size);
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
        return text;
      }
    },
  };
}

const linesOf = (text: string) =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
const isNotice = ({ msg }: { msg: string }) => msg === "log lines were dropped";

test("a pipe whose reader stops delays no call; dropped lines are counted, and reported once it reads again", async () => {
  const pipe = await createPipe();
  pipe.open();
  try {
    await using server = await startInto(`> '${pipe.path}'`, { LOG_LEVEL: "debug" });
    const before = await memoryMb(server.child.pid);
    const longestMs = await skipUntil(
      server.origin,
      async () => (await droppedBy(server.origin, "full")) > 1000,
    );
    expect(longestMs).toBeLessThan(5000);
    expect((await memoryMb(server.child.pid)) - before).toBeLessThan(150);
    const dropped = await droppedBy(server.origin, "full");

    await until("it says what was dropped", () => pipe.read().includes("log lines were dropped"));
    server.child.kill("SIGTERM");
    await until("the last line has come", () => pipe.read().includes('"leaving"'));
    expect(await server.child.exited).toBe(0);
    const notices = linesOf(pipe.read()).filter(isNotice);
    expect(notices).toHaveLength(1);
    expect(notices[0].full).toBeGreaterThanOrEqual(dropped);
  } finally {
    pipe.close();
  }
});

test("a reader that has gone away ends nothing: the server serves on, counts, and tells the next reader", async () => {
  const pipe = await createPipe();
  pipe.open();
  try {
    await using server = await startInto(`> '${pipe.path}'`, { LOG_LEVEL: "debug" });
    pipe.close();
    await skipUntil(server.origin, async () => (await droppedBy(server.origin, "closed")) > 100);
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
    pipe.open();
    process.kill(server.child.pid, "SIGUSR2");
    await until("it says what was dropped", () => pipe.read().includes("log lines were dropped"));
    expect(linesOf(pipe.read()).find(isNotice).closed).toBeGreaterThan(100);
  } finally {
    pipe.close();
  }
});

test("a disk without space ends nothing either", async () => {
  await using server = await startInto("> /dev/full", { LOG_LEVEL: "debug" });
  await skipUntil(server.origin, async () => (await droppedBy(server.origin, "full")) > 100);
  expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
  server.child.kill("SIGTERM");
  expect(await server.child.exited).toBe(0);
});

test("SIGUSR2 changes the level to debug and back, and an operator to any; both are logged", async () => {
  await using server = await startServerProcess({
    LOG_LEVEL: "warn",
    ALLOW_NO_ORIGIN: "true",
    ADMIN_TOKEN: token,
  });
  const changes = () =>
    server.output
      .split("\n")
      .filter((line) => line.includes("the level of the log was changed"))
      .map((line) => JSON.parse(line))
      .map(({ was, is, by }) => [was, is, by]);
  const joins = async () => {
    await using peer = await connectPeer({ ws: server.origin.replace("http", "ws") });
    await peer.client.join.mutate();
  };
  await joins();
  process.kill(server.pid, "SIGUSR2");
  await until("it says so", () => changes().length === 1);
  expect(server.output).not.toContain('"joined"');
  await joins();
  await until("it logs joins", () => server.output.includes('"joined"'));
  process.kill(server.pid, "SIGUSR2");
  await until("it says so", () => changes().length === 2);

  const admin = createTRPCClient<typeof adminRouter>({
    links: [
      httpLink({
        url: `${server.origin}/admin`,
        headers: { authorization: `Bearer ${token}` },
      }),
    ],
  });
  expect(await admin.logLevel.mutate({ level: "error" })).toMatchObject({
    was: "warn",
    is: "error",
  });
  expect((await admin.overview.query()).node.logLevel).toBe("error");
  await expect(admin.logLevel.mutate({ level: "loud" as never })).rejects.toThrow("level");
  await until("it says so", () => changes().length === 3);
  expect(changes()).toEqual([
    ["warn", "debug", "SIGUSR2"],
    ["debug", "warn", "SIGUSR2"],
    ["warn", "error", "an operator"],
  ]);
});
