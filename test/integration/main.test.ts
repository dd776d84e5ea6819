/** The process as an operator meets it: what it prints, what it refuses, how it ends. */
import { expect, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchWrappers, type ProcessInfo } from "../../src/app/wrappers.ts";
import { connectPeer } from "../support/server.ts";
import { root } from "../support/root.ts";
import { until } from "../support/until.ts";

const main = join(root, "src/main.ts");

const SESSION_SECRET = "a secret of this file, for all of its servers";
const METRICS_TOKEN = "another one, for those who read metrics";

/** @param wrapper a command that ends by executing its arguments. */
function run(env: Record<string, string>, args: string[] = [], wrapper: string[] = []) {
  const { PATH = "", HOME = "" } = process.env;
  const child = Bun.spawn([...wrapper, process.execPath, main, ...args], {
    env: { PATH, HOME, HOST: "127.0.0.1", ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  let text = "";
  return {
    child,
    /** What it has printed since `url` was called. */
    output: () => text,
    /** The URL it prints once it listens. */
    async url(): Promise<string> {
      const decoder = new TextDecoder();
      // Read on afterwards too: a process whose output nobody takes ends of that.
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      void (async () => {
        for await (const chunk of child.stdout) {
          text += decoder.decode(chunk, { stream: true });
          const url = /http:\/\/127\.0\.0\.1:\d+\//.exec(text)?.[0];
          if (url) resolve(url);
        }
        reject(new Error(`it ended without listening: ${text}`));
      })();
      return promise;
    },
    stderr: () => new Response(child.stderr).text(),
  };
}

test("it prints its URL, answers there, and SIGTERM ends it cleanly, with a socket open", async () => {
  const { child, url } = run({ PORT: "0", DRAIN_MS: "1000" });
  try {
    const base = await url();
    expect((await fetch(`${base}readyz`)).status).toBe(200);
    const socket = new WebSocket(`${base.replace("http", "ws")}trpc`);
    await new Promise((resolve) => (socket.onopen = resolve));
    const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
    child.kill("SIGTERM");
    const code = await closed;
    expect(code).toBeGreaterThanOrEqual(4000);
    expect(code).toBeLessThan(4500);
    expect(await child.exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
  }
});

test("it refuses to start with a bad environment, and names every problem", async () => {
  const { child, stderr } = run({ PORT: "none", GRACE_MS: "soon" });
  const text = await stderr();
  expect(await child.exited).toBe(1);
  expect(text).toContain("PORT: must be a whole number");
  expect(text).toContain("GRACE_MS: must be a whole number");
});

test("it names what is wrong with an environment, what may be the reason, and no secret", async () => {
  const hidden = "hidden-part-of-it";
  const { child, stderr } = run({
    NODE_ENV: "production",
    SESION_SECRET: `${hidden} and more`,
    GRACE_MS: "5s",
    REDIS_URL: `redis://me:${hidden}#@redis.example`,
    ADMIN_TOKEN: `"${hidden}"`,
    EVENTS_WEBHOOK_FILE: hidden,
    TLS_CERT: "/nowhere/cert.pem",
  });
  const text = await stderr();
  expect(await child.exited).toBe(1);
  for (const line of [
    "SESSION_SECRET: is needed in production",
    "SESION_SECRET is not read; did you mean SESSION_SECRET?",
    'GRACE_MS: must be a whole number from 0 to 3600000 (it is "5s": write 5000)',
    "REDIS_URL: must be a URL like",
    "ADMIN_TOKEN: has quotes around it",
    "EVENTS_WEBHOOK_FILE: can't be read: ENOENT",
    'TLS_CERT: can\'t be read: ENOENT, there is no such file: "/nowhere/cert.pem"',
  ])
    expect(text).toContain(`  ${line}`);
  expect(text).not.toContain(hidden);
});

test("it takes secrets from files", async () => {
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-"));
  const METRICS_TOKEN_FILE = join(folder, "metrics");
  const SESSION_SECRET_FILE = join(folder, "session");
  await Bun.write(METRICS_TOKEN_FILE, `${METRICS_TOKEN}\n`);
  await Bun.write(SESSION_SECRET_FILE, SESSION_SECRET);
  const { child, url } = run({
    NODE_ENV: "production",
    PORT: "0",
    METRICS_TOKEN_FILE,
    SESSION_SECRET_FILE,
  });
  try {
    const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
    expect((await fetch(`${await url()}metrics`, { headers })).status).toBe(200);
  } finally {
    child.kill("SIGKILL");
  }
});

test("it refuses to start with mistakes in the file of FACTS_FILE, and names all of them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-"));
  const file = join(folder, "facts.json");
  await Bun.write(
    file,
    '{ "region": { "kind": "one" }, "age": { "kind": "range", "from": 9, "to": 1 } }',
  );
  const { child, stderr } = run({ PORT: "none", FACTS_FILE: file });
  const text = await stderr();
  expect(await child.exited).toBe(1);
  expect(text).toContain("PORT: must be a whole number");
  expect(text).toContain("FACTS_FILE: region.of: must be a list of texts");
  expect(text).toContain("FACTS_FILE: age.from: must not be above `to`");

  const missing = run({ PORT: "0", FACTS_FILE: join(folder, "other.json") });
  expect(await missing.stderr()).toContain("FACTS_FILE: can't be read: ENOENT");
  expect(await missing.child.exited).toBe(1);
});

test("it declares what the file of FACTS_FILE says", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "facts.json");
  await Bun.write(file, '{ "pets": { "kind": "flag", "shown": true } }');
  const { child, url } = run({ PORT: "0", FACTS_FILE: file });
  try {
    const base = await url();
    const site = (await (await fetch(`${base}trpc/site`)).json()) as object;
    const pets = { kind: "flag", by: "peer", shown: true, hard: true };
    expect(site).toMatchObject({ result: { data: { protocol: 1, facts: { pets } } } });
    const ws = base.replace("http", "ws").slice(0, -1);
    await using one = await connectPeer({ ws });
    await using two = await connectPeer({ ws });
    const facts = { pets: true };
    // The peers of the tests are typed for a site without facts.
    await one.client.join.mutate({ facts } as never);
    await two.client.join.mutate({});
    expect((await two.next("create-offer")).partnerFacts).toEqual(facts);
  } finally {
    child.kill("SIGKILL");
  }
});

test("D9 SIGHUP drains as SIGTERM does", async () => {
  const { child, url } = run({ PORT: "0", DRAIN_MS: "1000" });
  try {
    const base = await url();
    const socket = new WebSocket(`${base.replace("http", "ws")}trpc`);
    await new Promise((resolve) => (socket.onopen = resolve));
    const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
    child.kill("SIGHUP");
    expect(await closed).toBe(4001);
    expect(await child.exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
  }
});

test.each(["SIGTERM", "SIGKILL"] as const)(
  "D9 a server whose wrapper dies of %s drains, though nobody tells it",
  async (signal) => {
    const wrapped = `cd ${root} && exec '${process.execPath}' run start`;
    const { child, url } = run({ PORT: "0", DRAIN_MS: "1000" }, [], ["sh", "-c", wrapped]);
    try {
      const base = await url();
      const socket = new WebSocket(`${base.replace("http", "ws")}trpc`);
      await new Promise((resolve) => (socket.onopen = resolve));
      const closed = new Promise<number>(
        (resolve) => (socket.onclose = ({ code }) => resolve(code)),
      );
      child.kill(signal);
      expect(await closed).toBe(4001);
      const deadline = performance.now() + 5000;
      const isThere = () =>
        fetch(`${base}livez`).then(
          () => true,
          () => false,
        );
      while (await isThere())
        if (performance.now() > deadline) throw new Error("it lives on without its wrapper");
    } finally {
      child.kill("SIGKILL");
    }
  },
  20_000,
);

test("D9 knows wrappers from shells and terminals that end by themselves", () => {
  const processes: Record<number, ProcessInfo> = {
    1: { parent: 0, command: "/sbin/init" },
    2: { parent: 1, command: "-bash" },
    3: { parent: 2, command: "npm exec bun@1.4.5 run start" },
    4: { parent: 3, command: "sh -c 'bun' run start" },
    5: { parent: 4, command: "bun run start" },
    6: { parent: 5, command: "bun src/main.ts" },
  };
  const read = (pid: number) => processes[pid];
  const live = watchWrappers(6, read);
  expect(live()).toBe(true);
  // The terminal ends: nohup has the server live on.
  processes[3] = { parent: 1, command: "npm exec bun@1.4.5 run start" };
  expect(live()).toBe(true);
  // npx dies, and takes its shell with it.
  processes[5] = { parent: 1, command: "bun run start" };
  expect(live()).toBe(false);

  // `npx peer-stream`: npm starts a shell for the package's command, which starts Bun.
  const installed: Record<number, ProcessInfo> = {
    5: { parent: 1, command: "npm exec peer-stream" },
    6: { parent: 5, command: "sh -c 'peer-stream'" },
    7: { parent: 6, command: "node /app/node_modules/.bin/peer-stream" },
    8: { parent: 7, command: "bun /app/node_modules/peer-stream/dist/server/main.js" },
  };
  const installedLive = watchWrappers(8, (pid) => installed[pid]);
  expect(installedLive()).toBe(true);
  installed[7] = { parent: 1, command: "node /app/node_modules/.bin/peer-stream" };
  expect(installedLive()).toBe(false);

  for (const shell of [
    "bash -c cd app && nohup bun run start &",
    "bash deploy.sh",
    "-bash",
    "sshd",
  ]) {
    const others: Record<number, ProcessInfo> = {
      8: { parent: 1, command: shell },
      9: { parent: 8, command: "bun src/main.ts" },
    };
    const isLive = watchWrappers(9, (pid) => others[pid]);
    others[9] = { parent: 1, command: "bun src/main.ts" };
    expect({ shell, live: isLive() }).toEqual({ shell, live: true });
  }
});

test("D9 a second signal ends a drain at once, one that a wrapper passes on does not", async () => {
  const { child, url } = run({ PORT: "0", DRAIN_MS: "60000" });
  try {
    const base = await url();
    const socket = new WebSocket(`${base.replace("http", "ws")}trpc`);
    await new Promise((resolve) => (socket.onopen = resolve));
    child.kill("SIGINT");
    child.kill("SIGTERM");
    const until = performance.now() + 5000;
    while ((await fetch(`${base}readyz`)).status !== 503)
      if (performance.now() > until) throw new Error("it does not drain");
    // Long enough after the first to be a second one; it still drains.
    await Bun.sleep(1200);
    expect(child.exitCode).toBe(null);
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
  } finally {
    child.kill("SIGKILL");
  }
}, 20_000);

test.each([
  ["accepts again before the server has stopped", true, 0],
  ["never answers", false, 1],
])("D11 a report is pending at SIGTERM and its receiver %s", async (_, answers, lost) => {
  let refusing = true;
  const refused = Promise.withResolvers<void>();
  const got: unknown[] = [];
  using receiver = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      if (refusing) {
        refused.resolve();
        return new Response(null, { status: 503 });
      }
      got.push(await request.json());
      return answers ? new Response() : new Promise<Response>(() => {});
    },
  });
  const { child, url, output } = run({
    PORT: "0",
    DRAIN_MS: "2000",
    MODERATION_WEBHOOK: receiver.url.href,
    MODERATION_SECRET: "shared with the receiver",
  });
  try {
    const http = (await url()).slice(0, -1);
    const server = { http, ws: http.replace("http", "ws") };
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    for (const { client } of [alice, bob]) await client.connected.mutate({ roomId });
    await bob.client.report.mutate({ roomId, reason: "spam" });
    await refused.promise;
    refusing = false;
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(got).toMatchObject([{ roomId, reason: "spam" }]);
    expect(output().includes("not posted before the exit")).toBe(lost > 0);
  } finally {
    child.kill("SIGKILL");
    await receiver.stop(true);
  }
});

test("D15 with few files to open it refuses sockets by name, logs it once, and answers its probes", async () => {
  const files = 96;
  const env = { LIMIT_SOCKETS_PER_ADDRESS: "0", LIMIT_HANDSHAKES_PER_MIN: "0", SESSION_SECRET };
  const { child, url, output } = run(
    { PORT: "0", NODE_ENV: "production", ALLOW_NO_ORIGIN: "true", METRICS_TOKEN, ...env },
    [],
    ["sh", "-c", `ulimit -n ${files}; exec "$0" "$@"`],
  );
  try {
    const base = await url();
    const seen = { open: 0, refused: 0 };
    await Promise.all(
      Array.from({ length: 200 }, () => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const socket = new WebSocket(`${base.replace("http", "ws")}trpc`);
        socket.onopen = () => resolve(void (seen.open += 1));
        socket.onclose = () => resolve(void (seen.refused += 1));
        return promise;
      }),
    );
    expect(seen).toEqual({ open: files - 32, refused: 200 - (files - 32) });
    const headers = { authorization: `Bearer ${METRICS_TOKEN}` };
    const [livez, readyz, page, metrics] = await Promise.all(
      ["livez", "readyz", "", "metrics"].map((path) => fetch(base + path, { headers })),
    );
    expect([livez, readyz, page].map((response) => response?.status)).toEqual([200, 200, 200]);
    expect(await metrics?.text()).toMatch(
      new RegExp(
        `peer_stream_handshakes_refused_total\\{reason="node-full",.*\\} ${seen.refused}\n`,
      ),
    );
    const linesWith = (text: string) =>
      output()
        .split("\n")
        .filter((line) => line.includes(text));
    // What it prints may arrive after its answers.
    await until("it logs that it is full", () => linesWith("this node is full").length > 0);
    expect(linesWith("this node is full")).toHaveLength(1);
    expect(linesWith("too few files may be open")).toHaveLength(1);
  } finally {
    child.kill("SIGKILL");
  }
});

test("D18 prints its version and its usage, and refuses an argument that it does not know", async () => {
  const printed = async (argument: string) => {
    const { child, stderr } = run({ PORT: "0" }, [argument]);
    const [out, err] = await Promise.all([new Response(child.stdout).text(), stderr()]);
    return { out, err, code: await child.exited };
  };
  const { version } = await Bun.file(join(root, "package.json")).json();
  expect(await printed("--version")).toEqual({ out: `${version}\n`, err: "", code: 0 });
  expect(await printed("--help")).toMatchObject({
    out: expect.stringContaining("--version"),
    code: 0,
  });
  expect(await printed("--prot=1")).toMatchObject({
    err: expect.stringContaining('no argument "--prot=1"'),
    code: 2,
  });
}, 30_000);

test("it refuses to start on a taken port", async () => {
  const first = run({ PORT: "0" });
  try {
    const { port } = new URL(await first.url());
    const second = run({ PORT: port });
    const text = await second.stderr();
    expect(await second.child.exited).toBe(1);
    expect(text).toContain(port);
  } finally {
    first.child.kill("SIGKILL");
    await first.child.exited;
  }
}, 30_000);
