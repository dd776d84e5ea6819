/** Calls over TLS: by the server itself, and through a real nginx and a real Caddy with the documented configuration. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { operating } from "../support/documents.ts";
import { launchBrowser, type TestBrowser } from "../support/browser.ts";
import { freePort } from "../support/ports.ts";
import { startServer } from "../support/server-process.ts";
import { somebody } from "./stage.ts";

setDefaultTimeout(60_000);

let folder: string;
let browser: TestBrowser;
let tls: { TLS_CERT: string; TLS_KEY: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "peer-stream-https-"));
  tls = { TLS_CERT: join(folder, "cert.pem"), TLS_KEY: join(folder, "key.pem") };
  // The README's own line.
  const line =
    /^openssl req .*$/m.exec(operating)?.[0] ?? "the documents have no line for a certificate";
  const made = Bun.spawn(["sh", "-c", line], { cwd: folder, stderr: "ignore" });
  expect(await made.exited).toBe(0);
  browser = await launchBrowser({ whole: true, args: ["--ignore-certificate-errors"] });
});
afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test("with TLS_CERT and TLS_KEY the server speaks HTTPS and WSS itself", async () => {
  await using server = await startServer(tls);
  expect(server.origin).toStartWith("https:");
  const page = await fetch(server.origin, { tls: { rejectUnauthorized: false } });
  expect(page.headers.get("strict-transport-security")).toStartWith("max-age=");
  await callAt(server.origin);
});

test("a certificate that is none is an error at the start", async () => {
  await expect(startServer({ ...tls, TLS_CERT: "/nowhere/cert.pem" })).rejects.toThrow(
    "/nowhere/cert.pem",
  );
});

test("through nginx, as documented, calls are made, and each peer has an address of its own", async () => {
  await using server = await startServer({
    TRUSTED_PROXIES: "127.0.0.1",
    ALLOW_NO_ORIGIN: "false",
    LIMIT_SOCKETS_PER_ADDRESS: "2",
  });
  await using proxy = await startNginx(new URL(server.origin).port);
  // What a stranger says about its own address counts for nothing: nginx knows better.
  const headers = { "x-forwarded-for": "203.0.113.9", origin: proxy.origin };
  const sockets = await Promise.all(
    [1, 2, 3].map(async () => {
      const options = { headers, tls: { rejectUnauthorized: false } };
      const socket = new WebSocket(`${proxy.origin.replace("http", "ws")}/trpc`, options as never);
      const open = await new Promise<boolean>((resolve) => {
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      });
      return { socket, open };
    }),
  );
  expect(sockets.map(({ open }) => open).sort()).toEqual([false, true, true]);
  await Promise.all(
    sockets.map(async ({ socket, open }) => {
      if (!open) return;
      const closed = new Promise((resolve) => (socket.onclose = resolve));
      socket.close();
      await closed;
    }),
  );
  await callAt(proxy.origin);
  expect(server.output).not.toContain("TRUSTED_PROXIES");
});

test("through Caddy, as documented, calls are made", async () => {
  await using server = await startServer({
    TRUSTED_PROXIES: "127.0.0.1",
    ALLOW_NO_ORIGIN: "false",
  });
  await using proxy = await startCaddy(new URL(server.origin).port);
  await callAt(proxy.origin);
  expect(server.output).not.toContain("TRUSTED_PROXIES");
});

/** Two people meet at that origin, see each other and talk. */
async function callAt(origin: string) {
  const alice = somebody(await browser.open(origin), "Alice");
  const bob = somebody(await browser.open(origin), "Bob");
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await Promise.all([alice.sees(), bob.sees()]);
  await alice.say("safe and sound");
  await bob.reads("safe and sound");
  expect(await browser.clear()).toEqual([]);
}

/** A real nginx in front of the server at that port, with the documented server block. */
async function startNginx(port: string) {
  const program = Bun.which("nginx") ?? Bun.which("nginx", { PATH: "/usr/sbin" });
  if (!program)
    throw new Error(
      "There is no nginx (Debian's package nginx-light). The README's test line installs it.",
    );
  const listenAt = await freePort();
  // First the port of the server: that of the proxy may begin with the same digits.
  const block = (/```nginx\n([\s\S]*?)```/.exec(operating)?.[1] ?? "")
    .replace("127.0.0.1:3000", `127.0.0.1:${port}`)
    .replace("listen 443 ssl", `listen 127.0.0.1:${listenAt} ssl`)
    .replace("/etc/ssl/chat.example.com.crt", tls.TLS_CERT)
    .replace("/etc/ssl/chat.example.com.key", tls.TLS_KEY);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join("\n");
  const config = join(folder, "nginx.conf");
  await Bun.write(
    config,
    `daemon off; master_process off; pid ${join(folder, "nginx.pid")}; error_log stderr;
events {}
http { access_log off; ${paths}
${block}
}`,
  );
  return startProxy(listenAt, [program, "-c", config, "-p", folder]);
}

/** A real Caddy in front of the server at that port, with the documented lines. */
async function startCaddy(port: string) {
  const program = Bun.which("caddy");
  if (!program)
    throw new Error(
      "There is no caddy (Debian's package caddy). The README's test line installs it.",
    );
  const listenAt = await freePort();
  // In the place of the certificate that it would get by itself.
  const site = (/```caddy\n([\s\S]*?)```/.exec(operating)?.[1] ?? "")
    .replace("127.0.0.1:3000", `127.0.0.1:${port}`)
    .replace(
      "chat.example.com {",
      `https://127.0.0.1:${listenAt} {\n\ttls ${tls.TLS_CERT} ${tls.TLS_KEY}`,
    );
  const config = join(folder, "Caddyfile");
  // Its own authority must not be trusted by this machine; adding it there can take longer than all else.
  const global = ["admin off", "auto_https disable_redirects", "skip_install_trust"];
  await Bun.write(config, `{\n\t${global.join("\n\t")}\n}\n${site}`);
  return startProxy(listenAt, [program, "run", "--adapter", "caddyfile", "--config", config]);
}

async function startProxy(port: number, command: string[]) {
  const proxy = Bun.spawn(command, {
    env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    stderr: "pipe",
  });
  const origin = `https://127.0.0.1:${port}`;
  const dispose = async () => {
    proxy.kill("SIGTERM");
    await proxy.exited;
  };
  const endsAt = performance.now() + 10_000;
  const answers = () =>
    fetch(`${origin}/livez`, { tls: { rejectUnauthorized: false } }).then(
      ({ status }) => status === 200,
      () => false,
    );
  while (!(await answers())) {
    if (performance.now() < endsAt && proxy.exitCode === null) continue;
    await dispose();
    throw new Error(`${command[0]} did not start: ${await new Response(proxy.stderr).text()}`);
  }
  return { origin, [Symbol.asyncDispose]: dispose };
}
