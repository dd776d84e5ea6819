/** The variables about traces, under the names that OpenTelemetry gives them → where spans are sent, and of how many rooms. */
import { z } from "zod";
import { confidential, integer } from "./config-values.ts";

export interface TraceConfig {
  /** Of OTLP over HTTP, with the path for traces. */
  url: string;
  headers: Readonly<Record<string, string>>;
  serviceName: string;
  /** The share of rooms whose spans are sent: 0 to 1. */
  ratio: number;
  /** How often spans are sent (milliseconds). */
  everyMs: number;
}

/** `key=value`, comma-separated; keys and values may be percent-encoded. */
const headers = z.string().transform((text, context) => {
  try {
    const pairs = text
      .split(",")
      .filter((pair) => pair.trim() !== "")
      .map((pair): [string, string] => {
        const at = pair.indexOf("=");
        if (at < 1) throw new Error("no key");
        const [key, value] = [pair.slice(0, at), pair.slice(at + 1)].map((part) =>
          decodeURIComponent(part.trim()),
        );
        return [key as string, value as string];
      });
    // Throws for what is no header, but not for control characters, with which no request can be sent (RFC 9110, 5.5).
    const all = Object.fromEntries(new Headers(pairs));
    if (/[^\t\x20-\x7e\x80-\xff]/.test(Object.values(all).join())) throw new Error("no value");
    return all;
  } catch {
    // Never quoted: it is a secret.
    context.addIssue({ code: "custom", message: "must be key=value, comma-separated" });
    return z.NEVER;
  }
});

/** A room's trace has no parent outside, so that both forms are the same here. */
const samplers = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

export const traceVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/, error: "must be a URL that begins with https:// or http://" })
    .optional(),
  OTEL_EXPORTER_OTLP_HEADERS: confidential(headers.optional()),
  OTEL_SERVICE_NAME: z.string().min(1).default("peer-stream"),
  OTEL_TRACES_SAMPLER: z.enum(samplers).default("parentbased_always_on"),
  OTEL_TRACES_SAMPLER_ARG: z
    .string()
    .regex(/^(0(\.\d+)?|1(\.0+)?)$/, "must be a number from 0 to 1")
    .transform(Number)
    .default(1),
  OTEL_BSP_SCHEDULE_DELAY: integer(10, 600_000).default(5000),
};

type Environment = z.output<z.ZodObject<typeof traceVariables>>;

export function readTraceConfig(env: Environment): TraceConfig | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER: sampler } = env;
  if (endpoint === undefined) return undefined;
  const isByRatio = sampler.endsWith("traceidratio");
  return {
    url: `${endpoint.replace(/\/+$/, "")}/v1/traces`,
    headers: env.OTEL_EXPORTER_OTLP_HEADERS ?? {},
    serviceName: env.OTEL_SERVICE_NAME,
    ratio: isByRatio ? env.OTEL_TRACES_SAMPLER_ARG : sampler.endsWith("always_on") ? 1 : 0,
    everyMs: env.OTEL_BSP_SCHEDULE_DELAY,
  };
}
