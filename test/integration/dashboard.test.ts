/**
 * The dashboard and the alert rules on a real Prometheus, which scrapes real nodes: each query is valid and has data, nothing fires
 * while the site is well, and what breaks is named by its alert.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCluster, unlimited, type Cluster } from "../support/cluster.ts";
import { alertRules, dashboard, recordingRules, rulesText } from "../support/dashboard.ts";
import { promtool, startPrometheus, type Prometheus } from "../support/prometheus.ts";
import { root } from "../support/root.ts";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import { connectPeer, refusalOf, type TestPeer } from "../support/server.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

const operator = {
  METRICS_TOKEN: "the token of the tests' Prometheus",
  ADMIN_TOKEN: "the token of the tests' operator",
};

test("promtool finds the rules valid, and each alert fires in its cases and in no other", () => {
  const rules = join(root, "src/observe/alerts.yaml");
  expect(promtool(["check", "rules", rules])).toMatchObject({ exitCode: 0 });
  const cases = promtool(["test", "rules", join(root, "test/support/alert-rules.yaml")]);
  expect(cases).toEqual({ exitCode: 0, printed: expect.stringContaining("SUCCESS") });
});

test("promtool finds the documented configuration valid", async () => {
  const readme = await Bun.file(join(root, "src/observe/README.md")).text();
  const [scraping = "", rules = ""] = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map(
    ([, block]) => block,
  );
  const directory = await mkdtemp(join(tmpdir(), "peer-stream-"));
  const config = `${scraping}${rules}`.replace("/etc/prometheus/", `${directory}/`);
  for (const [name, text] of Object.entries({
    "peer-stream-token": operator.METRICS_TOKEN,
    "alerts.yaml": rulesText,
    "prometheus.yml": config,
  }))
    await Bun.write(join(directory, name), text);
  const checked = promtool(["check", "config", join(directory, "prometheus.yml")]);
  expect(checked).toEqual({
    exitCode: 0,
    printed: expect.stringContaining(`${alertRules.length + recordingRules.length} rules found`),
  });
});

/** What the durations of the rules are divided by: a minute is a second here. */
const times = 60;
const unitsMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const fastRules = rulesText.replace(
  /(?<=\[|for: |offset )(\d+)([smhd])\b/g,
  (_, count: string, unit: keyof typeof unitsMs) => `${(Number(count) * unitsMs[unit]) / times}ms`,
);

/** As Grafana fills them in with everything chosen. */
const filledIn = (expression: string) =>
  expression.replaceAll(/\$(node|lobby)\b/g, ".*").replaceAll("$__rate_interval", "1m");

const running = new AsyncDisposableStack();
/** Where events are told; answers as long as it is to. */
let receiverAnswers = true;
let site: Cluster;
/** A node of its own, which may open few files, takes its time to drain, and whose log nobody reads. */
let alone: ServerProcess;
let prometheus: Prometheus;

/** Pairs these two, and nobody else with them. @returns their room */
async function pair(one: TestPeer, other: TestPeer, lobby?: string): Promise<string> {
  const wishes = { interests: [crypto.randomUUID().slice(0, 8)], autoRejoin: false, lobby };
  await one.client.join.mutate(wishes);
  await other.client.join.mutate(wishes);
  return (await one.next("wait-for-offer")).roomId;
}

const admin = (path: string, body: object) =>
  fetch(`${site.at(0).http}/admin/${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${operator.ADMIN_TOKEN}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(body),
  });

/** Uses all that a site has, once at least. */
async function useSite(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const [alice, bob] = (await Promise.all([0, 1].map((node) => connectPeer(site.at(node))))) as [
    TestPeer,
    TestPeer,
  ];
  stack.use(alice);
  stack.use(bob);
  for (const lobby of [undefined, "jazz"]) {
    const roomId = await pair(alice, bob, lobby);
    await bob.client.offer.mutate({ roomId, sdp: "v=0" });
    await bob.client.connected.mutate({ roomId });
    await alice.client.say.mutate({ roomId, text: "hello" });
    if (lobby === undefined) await alice.client.failed.mutate({ roomId });
    else await alice.client.report.mutate({ roomId, reason: "spam" });
  }
  const until = Date.now() + 60_000;
  await admin("suspend", { subject: { kind: "address", id: "203.0.113.7" }, until });
  bob.cut();
  await bob.next("session");
}

async function whatHasNoData(expressions: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    expressions.map(async (text) =>
      (await prometheus.query(filledIn(text))).some(({ value }) => !Number.isNaN(value)),
    ),
  );
  return expressions.filter((_, index) => !found[index]);
}

const firing = async () =>
  (await prometheus.firing()).map(({ alertname = "" }) => alertname).sort();

const panelQueries = dashboard.panels.flatMap(({ targets = [] }) =>
  targets.map(({ expr }) => expr),
);
const ofAlerts = panelQueries.filter((query) => query.startsWith("ALERTS"));

/** A machine that is busy with other tests may cause them as well. */
const ofTheMachine = new Set(["PeerStreamEventLoopLags", "PeerStreamRedisSlow"]);

describe("a Prometheus that scrapes real nodes", () => {
  beforeAll(async () => {
    const receiver = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 0,
      fetch: () => (receiverAnswers ? new Response() : new Promise<Response>(() => {})),
    });
    running.defer(() => receiver.stop(true));
    const env = {
      ...operator,
      LOBBIES: "jazz",
      // Those who have nothing in common do not meet here.
      RELAX_AFTER_MS: "600000",
      SKIP_COOLDOWN_MS: "0",
      SKIP_BURST: "1000",
      CHAT: "server",
      EVENTS_WEBHOOK: receiver.url.href,
      EVENTS_SECRET: "shared with the receiver",
    };
    site = running.use(await startCluster(2, env));
    // What reads its log ends once it has said where it listens.
    const script = `ulimit -n 256; exec ${process.execPath} src/main.ts > >(exec head -n 2)`;
    alone = running.use(
      await startServer(
        { ...unlimited, ...operator, DRAIN_MS: "100000", LOG_LEVEL: "info" },
        { command: ["bash", "-c", script], cwd: root },
      ),
    );
    running.defer(() => alone.kill());
    prometheus = running.use(
      await startPrometheus({
        targets: [site.at(0).http, site.at(1).http, alone.origin].map((url) => new URL(url).host),
        token: operator.METRICS_TOKEN,
        intervalMs: 250,
        rules: fastRules,
      }),
    );
  }, 40_000);
  afterAll(() => running.disposeAsync(), 20_000);

  test("a site that is used gives each panel, variable and recording rule its data, and nothing fires", async () => {
    await useSite();
    const expected = [
      ...panelQueries.filter((query) => !ofAlerts.includes(query)),
      ...recordingRules.map(({ record }) => record),
    ];
    expect(expected.length).toBeGreaterThan(60);
    let without = expected;
    await until(
      "each query has data",
      async () => {
        // The rules look back over seconds only.
        await useSite();
        without = await whatHasNoData(expected);
        return without.length === 0;
      },
      20_000,
    ).catch(() => {});
    expect(without).toEqual([]);
    for (const { query } of dashboard.templating.list) {
      if (typeof query === "string") continue;
      const [, selector = "", label = ""] = /^label_values\((.+), (\w+)\)$/.exec(query.query) ?? [];
      expect([query.query, (await prometheus.labelValues(label, selector)).length]).toEqual([
        query.query,
        label === "lobby" ? 2 : 3,
      ]);
    }
    expect((await firing()).filter((alert) => !ofTheMachine.has(alert))).toEqual([]);
  });

  test("no alert or annotation has an invalid query", async () => {
    const queries = [...alertRules, ...dashboard.annotations.list].map(({ expr }) => expr);
    for (const query of queries) expect(await prometheus.query(filledIn(query))).toBeArray();
  });

  test("a site that breaks is told of by the alert for it", async () => {
    const caused = new Set(ofTheMachine);
    /** Causes something, again and again if that is what it takes, until its alert fires. */
    async function provoke(alert: string, cause: () => unknown = () => {}): Promise<void> {
      caused.add(alert);
      const fires = async () => {
        await cause();
        // Alerts are evaluated four times a second.
        await Bun.sleep(100);
        return (await firing()).includes(alert);
      };
      await until(`${alert} fires`, fires, 30_000);
    }

    const peers = await Promise.all(Array.from({ length: 12 }, () => connectPeer(site.at(0))));
    for (const peer of peers) running.use(peer);
    const [alice, bob, ...others] = peers as [TestPeer, TestPeer, ...TestPeer[]];
    receiverAnswers = false;
    await Promise.all(Array.from({ length: 210 }, () => openSocket(alone)));
    const [, second] = site.nodes;
    await Promise.all([
      provoke("PeerStreamCallsDoNotConnect", async () => {
        const roomId = await pair(alice, bob);
        await alice.client.failed.mutate({ roomId });
      }),
      provoke("PeerStreamEventsWait"),
      provoke("PeerStreamJoinsRefused", async () => {
        const refused = await refusalOf(alice.client.join.mutate({ relayOnly: true }));
        expect(refused).toMatchObject({ reason: "relay-unavailable" });
      }),
      provoke("PeerStreamHandshakesRefused", async () => {
        const headers = { upgrade: "websocket", origin: "https://elsewhere.example" };
        expect((await fetch(`${site.at(0).http}/trpc`, { headers })).status).toBe(403);
      }),
      provoke("PeerStreamEventLoopLags", async () => {
        second?.pause();
        await Bun.sleep(300);
        second?.resume();
        await Bun.sleep(300);
      }),
      provoke("PeerStreamDescriptorsRunOut"),
      (async () => {
        for (const [index, peer] of others.entries())
          await peer.client.join.mutate({ mode: "audio", interests: [`nobody else's ${index}`] });
        await provoke("PeerStreamNobodyMeets");
      })(),
    ]);

    const stopped = alone.stop();
    await Promise.all([second?.kill(), site.redis.kill()]);
    await Promise.all([
      provoke("PeerStreamDrainHangs"),
      // It says that it is leaving, and nobody takes that.
      provoke("PeerStreamLogLinesDropped"),
      provoke("PeerStreamNodeDown"),
      provoke("PeerStreamRedisAway"),
      provoke("PeerStreamUnavailable", async () => {
        const refused = await refusalOf(alice.client.join.mutate());
        expect(refused).toMatchObject({ reason: "unavailable" });
      }),
    ]);
    expect(await whatHasNoData(ofAlerts)).toEqual([]);

    await Promise.all([alone.kill(), site.nodes[0]?.kill()]);
    await stopped;
    await provoke("PeerStreamSiteDown");
    expect((await firing()).filter((alert) => !caused.has(alert))).toEqual([]);
  });
});

/** One that stays, and does nothing that it is asked to. */
async function openSocket(node: ServerProcess): Promise<WebSocket> {
  const socket = new WebSocket(`${node.origin.replace("http", "ws")}/trpc`);
  socket.addEventListener("message", ({ data }) => {
    if (data === "PING") socket.send("PONG");
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return socket;
}
