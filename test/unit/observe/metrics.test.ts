/** What the metrics show, whatever they are told: a bounded number of series, and all that the README lists. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { reject } from "../../../src/domain/rejection.ts";
import type { SiteStats } from "../../../src/domain/stats.ts";
import { scriptNames } from "../../../src/engine/redis/scripts.ts";
import { createMetrics, type Metrics } from "../../../src/observe/metrics.ts";
import { createRedisMetrics, type RedisMetrics } from "../../../src/observe/redis-metrics.ts";
import type { CallPath, Mode } from "../../../src/protocol.ts";
import { readMetrics, type MetricText } from "../../support/metric-text.ts";
import { promtool } from "../../support/prometheus.ts";
import { root } from "../../support/root.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const build = { version: "1.2.3", bun: "1.4.5" };
const counts = {
  online: 1,
  waiting: { video: 1, audio: 1, text: 1 },
  rooms: { video: 0, audio: 0, text: 0 },
};

/** A site with a thousand lobbies, three of which peers can choose. */
function createDriven(): { metrics: Metrics; redis: RedisMetrics } {
  const redis = createRedisMetrics();
  redis.setShards(() => [true, false, true]);
  const lobbies = new Map(Array.from({ length: 1000 }, (_, n) => [`lobby ${n}`, counts]));
  const metrics = createMetrics({
    engine: { stats: () => ({ ...counts, lobbies }), suspensions: () => [] },
    lobbies: ["main", "berlin", "london"],
    schedule: createVirtualSystem().schedule,
    node: 'a "host"\n\\:1',
    build,
    redis,
  });
  return { metrics, redis };
}

/** Tells each counter what its type allows, and what it does not. */
function drive({ metrics, redis }: ReturnType<typeof createDriven>, rounds: number): void {
  const hostile = ["", "other", 'a "quote"', "a\nnew line", "\\", "💬", "__proto__", "constructor"];
  for (let n = 0; n < rounds; n++) {
    const strange = (hostile[n % hostile.length] + (n < hostile.length ? "" : String(n))) as never;
    for (const mode of ["video", "audio", "text"] as Mode[]) {
      const place = { mode, lobby: `lobby ${n}` };
      metrics.paired(place, [n, n]);
      metrics.metAgain(place);
      metrics.connected(place, n, (["direct", "relayed", undefined, strange] as CallPath[])[n % 4]);
    }
    metrics.connectFailed("connecting", undefined);
    for (const path of ["direct", "relayed", undefined, strange] as CallPath[])
      metrics.connectFailed("connected", path);
    metrics.socketOpened();
    metrics.socketClosed(n % 2 === 0 ? n : 4000 + n);
    metrics.levelled(n);
    const moderated = { decision: strange, because: strange, by: strange };
    metrics.decided(moderated);
    metrics.decided({ decision: "suspended", because: "spam", by: "reports" });
    const told: ((value: never) => void)[] = [
      metrics.ended,
      metrics.handshakeRefused,
      metrics.turnedAway,
      metrics.refused,
      metrics.began,
      metrics.signaled,
      metrics.messaged,
      metrics.stoodBy,
      metrics.reported,
      metrics.evidenceDropped,
      metrics.hookFailed,
      metrics.posted,
      metrics.postFailed,
      metrics.askedForTurn,
    ];
    for (const tell of told) tell(strange);
    for (const procedure of ["join", "skip", "again", "leave", strange, undefined])
      metrics.joinRefused(procedure, strange);
    metrics.eventsLost(strange, n);
    metrics.scrapeRefused();
    metrics.lagged(n);
    redis.meter.failed();
    redis.meter.reconnected();
    redis.meter.answered(n, undefined);
    for (const name of Object.values(scriptNames)) redis.meter.answered(n, name);
  }
}

describe("cardinality", () => {
  let few: MetricText;
  let many: MetricText;
  beforeAll(async () => {
    const driven = createDriven();
    drive(driven, 200);
    few = readMetrics(await driven.metrics.render());
    drive(driven, 2000);
    many = readMetrics(await driven.metrics.render());
  });

  test("a thousand lobbies, unknown codes and unknown reasons lead to no series past the bound", () => {
    for (const metric of few.types.keys())
      expect([metric, many.seriesOf(metric)]).toEqual([metric, few.seriesOf(metric)]);
    // Those that peers can choose, a hundred others, and the rest.
    const lobbies = 3 + 100 + 1;
    expect(many.seriesOf("peer_stream_site_peers_online")).toBe(lobbies);
    expect(many.seriesOf("peer_stream_match_wait_seconds")).toBe(lobbies * 3 * (10 + 3));
    expect(many.samples.length).toBeLessThan(9000);
  });

  test("without lobbies there are few", async () => {
    const metrics = createMetrics({
      engine: { stats: () => ({ ...counts, lobbies: new Map() }), suspensions: () => [] },
      lobbies: ["main"],
      schedule: createVirtualSystem().schedule,
      build,
    });
    expect(readMetrics(await metrics.render()).samples.length).toBeLessThan(300);
  });

  test("what is known is shown by its name, and what is not as `other`", () => {
    const closed = (code: string) => many.value("peer_stream_sockets_closed_total", { code });
    expect(closed("4000")).toBe(0);
    expect(closed("4001")).toBe(2);
    expect(closed("1000")).toBe(1);
    expect(closed("other")).toBeGreaterThan(2000);
    expect(many.value("peer_stream_refusals_total", { reason: "other" })).toBe(2200);
    expect(many.value("peer_stream_joins_refused_total", { reason: "other" })).toBe(3 * 2200);
    const path = (of: string) => many.value("peer_stream_connects_failed_total", { path: of });
    expect([path("direct"), path("relayed"), path("never")]).toEqual([2200, 2200, 2200]);
    expect([path("unknown"), path("other")]).toEqual([2200, 2200]);
    expect(many.value("peer_stream_redis_up", { shard: "1" })).toBe(0);
    expect(many.value("peer_stream_redis_up", { shard: "2" })).toBe(1);
  });

  test("promtool finds nothing to object to", async () => {
    const driven = createDriven();
    drive(driven, 20);
    const text = await driven.metrics.render();
    expect(promtool(["check", "metrics"], text)).toEqual({ exitCode: 0, printed: "" });
  });
});

test("the README lists each metric with its type and labels, and no other", async () => {
  const driven = createDriven();
  drive(driven, 200);
  driven.metrics.began("whole");
  const shown = readMetrics(await driven.metrics.render());
  const labels = new Map<string, Set<string>>();
  for (const sample of shown.samples) {
    const of = labels.get(shown.metricOf(sample)) ?? new Set();
    labels.set(shown.metricOf(sample), of);
    for (const label of Object.keys(sample.labels))
      if (label !== "node" && label !== "le") of.add(label);
  }
  const rendered = [...shown.types].map(([name, type]) => [
    name,
    type,
    [...(labels.get(name) ?? [])].sort().join(),
  ]);
  const readme = readFileSync(join(root, "src/observe/README.md"), "utf8");
  const rows = readme.matchAll(/^\| `(\w+)` +\| (\w+) +\| ([^|]*?) *\| (\S.*?) *\|$/gm);
  const listed = [...rows].map(([, name, type, of = ""]) => [
    name,
    type,
    of.replaceAll(/[` ]/g, "").split(",").sort().join(),
  ]);
  expect(listed.sort()).toEqual(rendered.sort());
});

describe("of the site", () => {
  const system = createVirtualSystem();
  let stats: () => SiteStats | ReturnType<typeof reject> | Promise<SiteStats>;
  const bugs: unknown[] = [];
  const metrics = createMetrics({
    engine: { stats: () => stats(), suspensions: () => [] },
    lobbies: ["main"],
    schedule: system.schedule,
    onBug: (bug) => bugs.push(bug),
    build,
  });
  const known: SiteStats = { ...counts, lobbies: new Map() };
  const siteOf = (text: string) => {
    const { samples, value } = readMetrics(text);
    return {
      series: samples.filter(({ name }) => name.includes("_site_")).length,
      whole: value("peer_stream_scrapes_total", { outcome: "whole" }),
      partial: value("peer_stream_scrapes_total", { outcome: "partial" }),
    };
  };

  test("there are no old numbers while the storage is away, and the scrape is counted as partial", async () => {
    stats = () => known;
    expect(siteOf(await metrics.render())).toEqual({ series: 8, whole: 1, partial: 0 });
    stats = () => reject("unavailable");
    expect(siteOf(await metrics.render())).toEqual({ series: 0, whole: 1, partial: 1 });
  });

  test("a storage that does not answer holds a scrape for two seconds, and may fail later", async () => {
    const late = Promise.withResolvers<SiteStats>();
    stats = () => late.promise;
    let text: string | undefined;
    const rendering = metrics.render().then((rendered) => (text = rendered));
    await system.advance(1999);
    expect(text).toBeUndefined();
    await system.advance(1);
    await rendering;
    expect(siteOf(text ?? "")).toEqual({ series: 0, whole: 1, partial: 2 });
    late.reject(new Error("after the scrape"));
    await system.settled();
    stats = () => known;
    expect(siteOf(await metrics.render())).toEqual({ series: 8, whole: 2, partial: 2 });
  });

  test.each([
    ["throws", () => Promise.reject(new Error("a script's answer that is none"))],
    [
      "throws at once",
      () => {
        throw new Error("at once");
      },
    ],
  ] as [string, typeof stats][])(
    "a storage that %s takes no other number with it",
    async (_, faulty) => {
      stats = faulty;
      bugs.length = 0;
      const text = await metrics.render();
      expect(siteOf(text).series).toBe(0);
      expect(text).toContain("peer_stream_build_info{");
      expect(bugs).toHaveLength(1);
      stats = () => known;
      expect(siteOf(await metrics.render()).series).toBe(8);
    },
  );
});

describe("the process", () => {
  test("is described as the kernel describes it", async () => {
    const { metrics } = createDriven();
    const { value } = readMetrics(await metrics.render());
    const proc = (file: string) => readFileSync(`/proc/self/${file}`, "utf8");
    const open = readdirSync("/proc/self/fd").length - 1;
    expect(Math.abs((value("process_open_fds") ?? 0) - open)).toBeLessThan(3);
    const limit = Number(/^Max open files\s+(\d+)/m.exec(proc("limits"))?.[1]);
    expect(value("process_max_fds")).toBe(limit);
    const residentKb = Number(/^VmRSS:\s+(\d+) kB/m.exec(proc("status"))?.[1]);
    const resident = value("process_resident_memory_bytes") ?? 0;
    expect(Math.abs(resident / 1024 / residentKb - 1)).toBeLessThan(0.1);
    const stat = proc("stat").split(") ")[1]?.split(" ").map(Number) ?? [];
    const ticks = (stat[11] ?? 0) + (stat[12] ?? 0);
    expect(Math.abs((value("process_cpu_seconds_total") ?? 0) - ticks / 100)).toBeLessThan(0.5);
    const bootedAtS = Number(/^btime (\d+)/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]);
    const startedAtS = bootedAtS + (stat[19] ?? 0) / 100;
    expect(Math.abs((value("process_start_time_seconds") ?? 0) - startedAtS)).toBeLessThan(3);
    const labels = { version: "1.2.3", protocol: "1", bun: "1.4.5" };
    expect(value("peer_stream_build_info", labels)).toBe(1);
  });
});
