/** Checks the receiver of traces, by sending it none. */
import type { TraceConfig } from "../trace-config.ts";
import { fail, messageOf, ok, type Finding } from "./finding.ts";

const answerMs = 5000;

/** Whether the receiver accepts OTLP over HTTP as JSON. */
export async function checkTraces(traces: TraceConfig | undefined): Promise<Finding[]> {
  if (!traces) return [];
  const name = "OTEL_EXPORTER_OTLP_ENDPOINT";
  try {
    const response = await fetch(traces.url, {
      method: "POST",
      headers: { ...traces.headers, "content-type": "application/json" },
      body: JSON.stringify({ resourceSpans: [] }),
      signal: AbortSignal.timeout(answerMs),
    });
    if (response.ok) return [ok(`${name} takes traces`)];
    return [
      fail(
        `${name} answers ${response.status} at ${new URL(traces.url).pathname}`,
        "it must be the base URL of OTLP over HTTP (port 4318 of a collector); OTEL_EXPORTER_OTLP_HEADERS has what it asks for",
      ),
    ];
  } catch (error) {
    return [
      fail(
        `${name} can't be reached: ${messageOf(error)}`,
        "check that a collector listens there with OTLP over HTTP; without it calls work, but traces are lost",
      ),
    ];
  }
}
