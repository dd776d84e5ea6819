/** The proxies as the README and compose.yaml configure them, in front of two nodes, while nodes die and are replaced. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { YAML } from "bun";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { operating } from "../support/documents.ts";
import { freePort } from "../support/ports.ts";
import { startRedis, type Redis } from "../support/redis.ts";
import { connectPeer, httpClient, type TestPeer } from "../support/server.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { root } from "../support/root.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(90_000);

const peerCount = Number(process.env["PROXY_PEERS"] ?? 1000);
let folder: string;
let redis: Redis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "peer-stream-proxies-"));
  redis = await startRedis(["--appendonly", "no"]);
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What is documented for several nodes behind nginx; without TLS, which it does not change. */
async function nginx(listenAt: number, nodes: readonly string[]): Promise<string[]> {
  const program = Bun.which("nginx") ?? Bun.which("nginx", { PATH: "/usr/sbin" }) ?? "nginx";
  const block = (/```nginx\n(upstream[\s\S]*?)```/.exec(operating)?.[1] ?? "")
    .replace("listen 443 ssl", `listen 127.0.0.1:${listenAt}`)
    .replace(/^ *ssl_.*\n/gm, "")
    .replace("10.0.0.11:3000", nodes[0] ?? "")
    .replace("10.0.0.12:3000", nodes[1] ?? "");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join("\n");
  const config = join(folder, "nginx.conf");
  await Bun.write(
    config,
    `daemon off; master_process off; pid ${join(folder, "nginx.pid")}; error_log stderr crit;
events { worker_connections 8192; }
http { access_log off; ${temporary}
${block}
}`,
  );
  return [program, "-c", config, "-p", folder];
}

/** What compose.yaml has for Caddy. */
async function caddy(listenAt: number, nodes: readonly string[]): Promise<string[]> {
  const { configs, services } = YAML.parse(await Bun.file(join(root, "compose.yaml")).text()) as {
    configs: { caddyfile: { content: string } };
    services: { proxy: { command: string } };
  };
  const site = configs.caddyfile.content
    .replace("${SITE:-localhost}", `http://127.0.0.1:${listenAt}`)
    .replace("node-1:3000", nodes[0] ?? "")
    .replace("node-2:3000", nodes[1] ?? "");
  const config = join(folder, "Caddyfile");
  await Bun.write(config, `{\n\tadmin off\n}\n${site}`);
  return services.proxy.command
    .split(" ")
    .map((word) => (word === "/etc/caddy/Caddyfile" ? config : word));
}

test.each([
  ["D6 nginx, as documented", nginx],
  ["D7 Caddy, as compose.yaml has it", caddy],
])(
  `%s, loses none of ${peerCount} sessions when a node dies and both are replaced`,
  async (_, configured) => {
    await using stack = new AsyncDisposableStack();
    await redis.cli("flushall");
    const ports = [await freePort(), await freePort()];
    const start = (port = 0) =>
      startServer({
        PORT: String(port),
        REDIS_URL: redis.url,
        SESSION_SECRET: "the same secret on every node",
        TRUSTED_PROXIES: "127.0.0.1",
        ALLOW_NO_ORIGIN: "true",
        LIMIT_SOCKETS_PER_ADDRESS: "0",
        LIMIT_HANDSHAKES_PER_MIN: "0",
        DRAIN_MS: "5000",
        LOG_LEVEL: "warn",
      });
    const nodes: ServerProcess[] = [];
    for (const port of ports) nodes.push(stack.use(await start(port)));
    const listenAt = await freePort();
    const command = await configured(
      listenAt,
      ports.map((port) => `127.0.0.1:${port}`),
    );
    const proxy = Bun.spawn(command, {
      env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
      stdout: "ignore",
      stderr: "ignore",
    });
    stack.defer(async () => {
      proxy.kill("SIGKILL");
      await proxy.exited;
    });
    const site = { http: `http://127.0.0.1:${listenAt}`, ws: `ws://127.0.0.1:${listenAt}` };
    const isUp = async () => (await fetch(`${site.http}/readyz`)).ok;
    await until("the proxy is there", isUp, 20_000);

    const peers: TestPeer[] = [];
    // Not waited for: nothing answers any more when these are closed.
    stack.defer(() => void peers.map((peer) => peer[Symbol.asyncDispose]()));
    for (let n = 0; n < peerCount; n += 100)
      peers.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(100, peerCount - n) }, () =>
            connectPeer(site, { retryDelayMs: 200 + Math.random() * 200 }),
          ),
        )),
      );
    const sessionOf = ({ token }: TestPeer) => token.split(".")[0];
    const before = peers.map(sessionOf);
    const online = async () => (await httpClient(site).stats.query()).online;
    expect(await online()).toBe(peerCount);
    /** Everybody is there, with the session of before, and nobody was told anything but that. */
    async function expectAll(what: string) {
      await until(`${what}: all are back`, async () => (await online()) === peerCount, 20_000);
      for (const [index, peer] of peers.entries())
        await until(
          `${what}: peer ${index} is answered`,
          // Fails while it has no connection.
          () => peer.client.stats.query(),
          20_000,
        );
      expect(peers.map(sessionOf)).toEqual(before);
      const resyncs = peers.filter(({ types }) => types.includes("resync"));
      expect({ what, lost: resyncs.length }).toEqual({ what, lost: 0 });
    }

    await nodes[0]?.kill();
    await expectAll("a node has died");
    nodes[0] = stack.use(await start(ports[0]));
    // One after the other, as a deploy does it; each is ready before the next one leaves.
    for (const index of [1, 0]) {
      await nodes[index]?.stop();
      nodes[index] = stack.use(await start(ports[index]));
      await expectAll(`node ${index + 1} was replaced`);
    }
  },
);
