/** A real Prometheus scrapes a real server: while it is loaded, while Redis is away or slow, and while it drains. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { unlimited } from "../support/cluster.ts";
import { readMetrics } from "../support/metric-text.ts";
import { assertPaired } from "../support/pairs.ts";
import { promtool, startPrometheus, type Prometheus } from "../support/prometheus.ts";
import { startRedis, type Redis } from "../support/redis.ts";
import { connectPeer, refusalOf, type TestPeer } from "../support/server.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { createTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

const token = "a token of these tests, for metrics";
const intervalMs = 500;
/** A scrape waits so long for the storage, and this machine may be busy (milliseconds). */
const scrapeMsMax = 3500;

const use = new AsyncDisposableStack();
let redis: Redis;
let line: TcpProxy;
let server: ServerProcess;
let prometheus: Prometheus;
let site: { ws: string };

beforeAll(async () => {
  redis = use.use(await startRedis(["--appendonly", "no"]));
  line = use.use(await createTcpProxy(new URL(redis.url)));
  server = use.use(
    await startServer({
      ...unlimited,
      METRICS_TOKEN: token,
      REDIS_URL: line.http.replace("http:", "redis:"),
      DRAIN_MS: "10000",
    }),
  );
  site = { ws: server.origin.replace("http", "ws") };
  const { host } = new URL(server.origin);
  const rules = "groups: []\n";
  prometheus = use.use(await startPrometheus({ targets: [host], token, intervalMs, rules }));
}, 30_000);
afterAll(() => use.disposeAsync());

/** What a query comes to; `undefined` without a series. */
async function ask(expression: string): Promise<number | undefined> {
  const [series] = await prometheus.query(expression);
  return series?.value;
}

const untilAsked = (expression: string, holds: (value: number | undefined) => boolean) =>
  until(
    `Prometheus answers ${expression} as expected`,
    async () => {
      const value = await ask(expression);
      if (!holds(value)) throw new Error(`it is ${value}`);
      return true;
    },
    20_000,
  );
const untilIs = (expression: string, expected: number | undefined) =>
  untilAsked(expression, (value) => value === expected);

async function scrape() {
  const begunAt = performance.now();
  const headers = { authorization: `Bearer ${token}` };
  const text = await (await fetch(`${server.origin}/metrics`, { headers })).text();
  return { tookMs: performance.now() - begunAt, text, ...readMetrics(text) };
}

test("a server whose peers meet, connect, drop, resume and are refused answers each question", async () => {
  const pairs: [TestPeer, TestPeer][] = [];
  for (let n = 0; n < 8; n++) {
    const pair: [TestPeer, TestPeer] = [
      use.use(await connectPeer(site)),
      use.use(await connectPeer(site)),
    ];
    for (const { client } of pair) await client.join.mutate({ mode: n < 6 ? "video" : "text" });
    pairs.push(pair);
  }
  const rooms: string[] = [];
  for (const [alice, bob] of pairs) rooms.push(await assertPaired(alice, bob));
  for (const [n, [alice, bob]] of pairs.slice(0, 6).entries()) {
    const roomId = rooms[n] ?? "";
    await bob.client.offer.mutate({ roomId, sdp: "v=0" });
    await alice.client.answer.mutate({ roomId, sdp: "v=0" });
    const path = n < 4 ? "direct" : "relayed";
    if (n < 5) await bob.client.connected.mutate({ roomId, path });
    if (n === 4) await alice.client.failed.mutate({ roomId, path });
    if (n === 5) await bob.client.failed.mutate({ roomId });
  }
  for (const [alice] of pairs.slice(0, 4)) {
    alice.cut();
    await alice.next("session");
  }
  const [, dropped] = pairs[7] ?? [];
  await dropped?.[Symbol.asyncDispose]();
  const [[alice] = []] = pairs;
  if (!alice) throw new Error("there are peers");
  await alice.client.report.mutate({ roomId: rooms[0] ?? "", reason: "spam" });
  expect(await refusalOf(alice.client.join.mutate({ relayOnly: true }))).toHaveProperty("reason");
  const refused = await fetch(`${server.origin}/trpc`, {
    headers: { upgrade: "websocket", connection: "upgrade", origin: "http://evil.example" },
  });
  expect(refused.status).toBe(403);

  for (const [expression, expected] of Object.entries({
    up: 1,
    'sum(peer_stream_pairings_total{mode="video"}) >= bool 6': 1,
    'peer_stream_pairings_total{mode="text"}': 2,
    'peer_stream_connects_total{path="direct"}': 4,
    'peer_stream_connects_total{path="relayed"}': 1,
    'peer_stream_connects_failed_total{path="relayed"}': 1,
    'peer_stream_connects_failed_total{path="never"}': 1,
    'peer_stream_connect_seconds_count{mode="video"}': 5,
    'peer_stream_resumes_total{outcome="whole"}': 4,
    peer_stream_peers: 15,
    peer_stream_site_peers_online: 15,
    peer_stream_sockets: 15,
    peer_stream_sockets_opened_total: 20,
    'peer_stream_sockets_closed_total{code="1006"}': 4,
    'peer_stream_handshakes_refused_total{reason="origin"}': 1,
    'peer_stream_joins_refused_total{reason="relay-unavailable"}': 1,
    'peer_stream_reports_total{reason="spam"}': 1,
    peer_stream_draining: 0,
    peer_stream_redis_up: 1,
    'peer_stream_redis_script_seconds_count{script="relaySignals"} > bool 0': 1,
    "histogram_quantile(0.5, sum by (le) (peer_stream_match_wait_seconds_bucket)) < bool 1": 1,
    "histogram_quantile(0.5, sum by (le) (peer_stream_redis_command_seconds_bucket)) < bool 0.1": 1,
    'peer_stream_build_info{protocol="1"}': 1,
    "peer_stream_event_loop_lag_seconds_count > bool 0": 1,
    "process_resident_memory_bytes > bool 1e7": 1,
    "process_open_fds > bool 15": 1,
    "process_cpu_seconds_total > bool 0": 1,
    "time() - process_start_time_seconds < bool 300": 1,
    "scrape_samples_scraped < bool 800": 1,
    "scrape_duration_seconds < bool 2": 1,
  }))
    await untilIs(expression, expected);
  const { text } = await scrape();
  expect(promtool(["check", "metrics"], text)).toEqual({ exitCode: 0, printed: "" });
}, 60_000);

test("while Redis is silent or gone a scrape is answered in time, without old numbers, and says so; then it has them again", async () => {
  for (const [away, back] of [
    [() => line.freeze(), () => line.thaw()],
    [() => redis.kill(), () => redis.start()],
  ] as const) {
    const before = await scrape();
    const errors = before.value("peer_stream_redis_errors_total") ?? 0;
    const reconnects = before.value("peer_stream_redis_reconnects_total") ?? 0;
    await away();
    // The first may be the one that finds out.
    for (let n = 0; n < 4; n++) expect((await scrape()).tookMs).toBeLessThan(scrapeMsMax);
    await untilIs("peer_stream_redis_up", 0);
    await untilIs("peer_stream_site_peers_online", undefined);
    await untilAsked("peer_stream_redis_errors_total", (value = 0) => value > errors);
    await untilAsked('peer_stream_scrapes_total{outcome="partial"}', (value = 0) => value > 0);
    expect(await ask("up")).toBe(1);
    await back();
    await untilIs("peer_stream_redis_up", 1);
    await untilAsked("peer_stream_site_peers_online", (value = -1) => value >= 0);
    await untilAsked("peer_stream_redis_reconnects_total", (value = 0) => value > reconnects);
  }
}, 90_000);

test("a slow Redis shows in the metrics, and does not delay a scrape for long", async () => {
  const before = await slowCommands();
  line.lag(150);
  await until("commands take 300 ms", async () => (await slowCommands()) > before + 3, 20_000);
  const { tookMs, value } = await scrape();
  expect(tookMs).toBeLessThan(scrapeMsMax);
  expect(value("peer_stream_redis_up")).toBe(1);
  // What is still on its way would arrive after what is sent from now on.
  line.cut();
  line.lag(0);
  await untilIs("peer_stream_redis_up", 1);
}, 40_000);

/** Commands that took longer than 250 ms. */
async function slowCommands(): Promise<number> {
  const of = "peer_stream_redis_command_seconds";
  return (await ask(`${of}_count - ignoring(le) ${of}_bucket{le="0.25"}`)) ?? 0;
}

test("a drain can be followed by scrapes to the end of the process", async () => {
  const socket = new WebSocket(`${site.ws}/trpc`);
  const { promise: opened, resolve, reject } = Promise.withResolvers<unknown>();
  socket.addEventListener("open", resolve);
  socket.addEventListener("error", reject);
  await opened;
  const stopping = server.stop();
  await untilIs("peer_stream_draining", 1);
  await untilAsked("peer_stream_drain_peers_left", (value = 0) => value > 0);
  expect((await scrape()).value("peer_stream_scrapes_total", { outcome: "whole" })).toBeGreaterThan(
    0,
  );
  await stopping;
  await untilIs("up", 0);
}, 60_000);
