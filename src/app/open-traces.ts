/** Traces of rooms, where a configuration names a receiver: only then OpenTelemetry is loaded. */
import type { RoomTraces, SpansLost } from "../observe/room-traces.ts";
import type { TracesParts } from "../observe/traces.ts";
import type { Config } from "../config.ts";
import { version } from "../../package.json";
import type { WarnRarely } from "./capacity.ts";

/** How long a receiver may delay the end of the process (milliseconds). */
const closeMs = 2000;

export interface OpenedTraces {
  rooms: RoomTraces;
  /** Sends what waits, in at most two seconds. */
  close(): Promise<void>;
}

/** Of a receiver's answer (characters). */
const whyCharsMax = 200;

export interface OpenTracesParts {
  system: TracesParts["system"];
  warnRarely: WarnRarely;
  /** Spans were lost. */
  onLost: (because: SpansLost, count: number) => void;
}

/** @throws if the packages of OpenTelemetry are not installed, with what to do about it. */
export function openTraces(
  { traces }: Pick<Config, "traces">,
  nodeName: string,
  { system, warnRarely, onLost }: OpenTracesParts,
): OpenedTraces | undefined {
  if (!traces) return undefined;
  const { createTraces } = load();
  const rooms = createTraces({
    ...traces,
    system,
    version,
    nodeName,
    onLost(because, count, why) {
      onLost(because, count);
      warnRarely("spans of traces were lost", { because, why: why.slice(0, whyCharsMax) });
    },
  });
  return {
    rooms,
    async close() {
      const overdue = Promise.withResolvers<void>();
      const cancel = system.schedule(closeMs, overdue.resolve);
      await Promise.race([rooms.flush(), overdue.promise]);
      cancel();
    },
  };
}

/** Synchronously, so that a host can create a peer stream at the top of a module. */
function load(): typeof import("../observe/traces.ts") {
  try {
    return require("../observe/traces.ts") as typeof import("../observe/traces.ts");
  } catch (error) {
    throw new Error(
      "OTEL_EXPORTER_OTLP_ENDPOINT needs the optional dependencies of peer-stream whose names begin with @opentelemetry/: install them",
      { cause: error },
    );
  }
}
