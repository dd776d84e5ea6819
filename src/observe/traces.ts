/**
 * Traces of rooms by OpenTelemetry. It is loaded only where there is a receiver. A room's trace and its first span have ids that follow
 * from the room's, so that each node adds what it knows of the room, and none has to tell another.
 */
import { createHash } from "node:crypto";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import {
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import {
  RandomIdGenerator,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { System } from "../system.ts";
import type { TraceConfig } from "../trace-config.ts";
import { shortId } from "./log-fields.ts";
import type { RoomTraces } from "./room-traces.ts";
import { SpanQueue, type SpanQueueParts } from "./span-queue.ts";

export interface TracesParts extends TraceConfig {
  system: Pick<System, "now" | "schedule">;
  version: string;
  /** Names this node. */
  nodeName: string;
  onLost: SpanQueueParts["onLost"];
}

/** How long a receiver may take to accept spans, repetitions included (milliseconds). */
const timeoutMillis = 10_000;

/** The ids of a room's trace, and of its first span. */
function idsOf(room: string): { traceId: string; spanId: string } {
  const hash = createHash("sha256").update(`trace of ${room}`).digest("hex");
  return { traceId: hash.slice(0, 32), spanId: hash.slice(32, 48) };
}

export function createTraces(parts: TracesParts): RoomTraces {
  const { system, url, headers, serviceName, ratio, everyMs, nodeName, version, onLost } = parts;
  const agent = new (url.startsWith("https:") ? HttpsAgent : HttpAgent)({ keepAlive: true });
  const exporter = new OTLPTraceExporter({
    url,
    headers: { ...headers },
    timeoutMillis,
    httpAgentOptions: () => agent,
  });
  const queue = new SpanQueue({
    exporter,
    abandon: () => agent.destroy(),
    schedule: system.schedule,
    everyMs,
    onLost,
  });
  /** The ids of the next span, if it is the first one of its trace. */
  let first: ReturnType<typeof idsOf> | undefined;
  const random = new RandomIdGenerator();
  const provider = new TracerProvider({
    resource: defaultResource()
      .merge(detectResources({ detectors: [resourceAttributesEnvDetector] }))
      .merge(
        resourceFromAttributes({
          "service.name": serviceName,
          "service.version": version,
          "service.instance.id": nodeName,
        }),
      ),
    // Decided by the trace's id alone: all nodes decide the same.
    sampler: new TraceIdRatioBasedSampler(ratio),
    idGenerator: {
      generateTraceId: () => first?.traceId ?? random.generateTraceId(),
      generateSpanId: () => first?.spanId ?? random.generateSpanId(),
    },
    spanProcessors: [queue],
  });
  const tracer = provider.getTracer("peer-stream", version);

  /** A span that ends now, of a room's trace. */
  function record(
    name: string,
    room: string,
    lastedMs: number,
    attributes: Attributes,
    { isFirst = false, error }: { isFirst?: boolean; error?: string } = {},
  ): void {
    const ids = idsOf(room);
    const now = system.now();
    const parent = { ...ids, traceFlags: TraceFlags.SAMPLED, isRemote: true };
    const context = isFirst ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    first = isFirst ? ids : undefined;
    const options = { startTime: now - lastedMs, attributes: { room, ...attributes } };
    const span = tracer.startSpan(name, options, context);
    first = undefined;
    if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    span.end(now);
  }

  const shortIds = (sessionIds: readonly string[]) => ({ sessions: sessionIds.map(shortId) });
  return {
    paired(room, mode, members) {
      const waitedMs = Math.max(...members.map((member) => member.waitedMs));
      const sessionIds = members.map(({ sessionId }) => sessionId);
      const attributes = { mode, ...shortIds(sessionIds) };
      record("pairing", room, waitedMs, attributes, { isFirst: true });
      for (const member of members)
        record("join", room, member.waitedMs, { mode, ...shortIds([member.sessionId]) });
    },
    connected: (room, sessionIds, afterMs) =>
      record("connect", room, afterMs, shortIds(sessionIds)),
    failed: (room, sessionIds, afterMs, reason) =>
      record("connect", room, afterMs, shortIds(sessionIds), { error: reason }),
    flush: () => queue.forceFlush(),
  };
}
