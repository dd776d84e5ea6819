/**
 * The metrics that Prometheus scrapes at `/metrics`; the README lists each with the question that it answers. Names end in their units, and
 * each label has a bounded number of values. What is counted is counted by this node; names with `site` are of all nodes together.
 */
import { Registry } from "prom-client";
import { protocolVersion } from "../protocol.ts";
import { createConnectionMetrics, type ConnectionMetrics } from "./connection-metrics.ts";
import { droppedBecause, type DroppedLines } from "./log.ts";
import { createLobbyLabels } from "./lobby-labels.ts";
import { MetricMakers } from "./metric-makers.ts";
import { createOperatorMetrics, type OperatorMetrics } from "./operator-metrics.ts";
import { createProcessMetrics } from "./process-metrics.ts";
import type { RedisMetrics } from "./redis-metrics.ts";
import { createRoomMetrics, type RoomMetrics } from "./room-metrics.ts";
import { spansLostBecause, type SpansLost } from "./room-traces.ts";
import { createSiteMetrics, type SiteReadings } from "./site-metrics.ts";

export interface Metrics extends RoomMetrics, ConnectionMetrics, OperatorMetrics {
  /** How late a timer was. */
  lagged(lateMs: number): void;
  /** What is read of this node at each scrape, from now on; all are 0 before. */
  read(more: Partial<NodeReadings>): void;
  /** Spans of traces that were not sent. */
  spansLost(because: SpansLost, count: number): void;
  /** A scrape without the right token. */
  scrapeRefused(): void;
  /** In Prometheus' text format. Takes at most two seconds. */
  render(): Promise<string>;
}

/** Read at each scrape; all have to be cheap. */
export interface NodeReadings {
  /** Streams of events that are open: one for each peer, and two while a peer moves to another connection. */
  peers: () => number;
  /** Sockets that are open. */
  sockets: () => number;
  draining: () => boolean;
  /** Sockets and streams over HTTP that are still open while this node drains. */
  drainPeersLeft: () => number;
  /** Lifecycle events that wait to be told. */
  eventsWaiting: () => number;
  /** Notices that wait to be posted, or are being posted. */
  webhookQueue: () => number;
}

export interface MetricsOptions extends SiteReadings {
  /** Labels what this process counts. The numbers of the site are those of all nodes, and have no such label. */
  node?: string | undefined;
  /** What runs here: the versions of this package and of Bun. */
  build: { readonly version: string; readonly bun: string };
  /** Absent without Redis. */
  redis?: Pick<RedisMetrics, "registry"> | undefined;
  /** Lines of the log that were not written, since the start. Default: none. */
  droppedLines?: () => DroppedLines;
}

const scrapeOutcomes = ["whole", "partial", "refused"] as const;

export function createMetrics(options: MetricsOptions): Metrics {
  const { lobbies, node, redis, droppedLines = () => ({}) } = options;
  const labels = createLobbyLabels(lobbies);
  const site = createSiteMetrics(options, labels);
  const own = new Registry();
  const ofNode = redis ? [own, redis.registry] : [own];
  if (node !== undefined) for (const registry of ofNode) registry.setDefaultLabels({ node });
  const make = new MetricMakers(own);
  const readings: Partial<NodeReadings> = {};
  createNodeGauges(make, readings, options.build);
  createProcessMetrics(make);
  make.counter(
    "peer_stream_log_lines_dropped_total",
    "Lines of the log that were not written: rate, as others of their kind had just been; full, as nobody took them; closed",
    ["because"],
    (counter) => {
      const dropped: DroppedLines = droppedLines();
      counter.reset();
      for (const because of droppedBecause) counter.inc({ because }, dropped[because] ?? 0);
    },
  );
  const lag = make.seconds(
    "peer_stream_event_loop_lag_seconds",
    "How late timers are",
    [],
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1],
  );
  const spansLost = make.totalBy(
    "peer_stream_trace_spans_lost_total",
    "Spans of traces that were not sent: full, as too many waited; receiver, as it did not accept them",
    "because",
    spansLostBecause,
  );
  const scrapes = make.totalBy(
    "peer_stream_scrapes_total",
    "Requests for these metrics: whole, partial without the numbers of the site, or refused because the token is missing or wrong",
    "outcome",
    scrapeOutcomes,
  );
  return {
    ...createRoomMetrics(make, labels, lobbies),
    ...createConnectionMetrics(make),
    ...createOperatorMetrics(make),
    lagged: (lateMs) => lag.observe(lateMs / 1000),
    spansLost,
    read: (more) => void Object.assign(readings, more),
    scrapeRefused: () => scrapes("refused"),
    async render() {
      scrapes((await site.read()) ? "whole" : "partial");
      const texts = [site.registry, ...ofNode].map((registry) => registry.metrics());
      return (await Promise.all(texts)).join("\n");
    },
  };
}

function createNodeGauges(
  make: MetricMakers,
  readings: Partial<NodeReadings>,
  { version, bun }: MetricsOptions["build"],
): void {
  const reading = (name: string, help: string, of: keyof NodeReadings) =>
    make.reading(name, help, () => Number(readings[of]?.() ?? 0));
  reading("peer_stream_peers", "Peers with an open stream of events on this node", "peers");
  reading("peer_stream_sockets", "Sockets open on this node", "sockets");
  reading("peer_stream_draining", "Whether this node is draining", "draining");
  reading(
    "peer_stream_drain_peers_left",
    "Sockets and streams over HTTP that are still open while this node drains",
    "drainPeersLeft",
  );
  reading(
    "peer_stream_events_waiting",
    "Lifecycle events that wait to be told by this node",
    "eventsWaiting",
  );
  reading(
    "peer_stream_webhook_queue",
    "Notices that wait to be posted to webhooks, or are being posted",
    "webhookQueue",
  );
  make
    .gauge("peer_stream_build_info", "What runs here; always 1", ["version", "protocol", "bun"])
    .set({ version, bun, protocol: String(protocolVersion) }, 1);
}
