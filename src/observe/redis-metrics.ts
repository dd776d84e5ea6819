/** What is measured of Redis as this node reaches it. Made before the engine; only where there is Redis. */
import { Registry } from "prom-client";
import type { RedisMeter } from "../engine/redis-meter.ts";
import { MetricMakers } from "./metric-makers.ts";

export interface RedisMetrics {
  readonly registry: Registry;
  readonly meter: RedisMeter;
  /** Given once there is an engine: whether each part of the lobby is available. */
  setShards(available: () => readonly boolean[]): void;
}

export function createRedisMetrics(): RedisMetrics {
  const registry = new Registry();
  const make = new MetricMakers(registry);
  let shards: () => readonly boolean[] = () => [];
  make.gauge(
    "peer_stream_redis_up",
    "Whether this node can use Redis; with several parts of the lobby by part",
    ["shard"],
    (gauge) => {
      const all = shards();
      for (const [shard, isUp] of all.entries())
        gauge.set(all.length === 1 ? {} : { shard: String(shard) }, Number(isUp));
    },
  );
  // Up to the time that a command may take, and what the event loop adds to it.
  const commands = make.seconds(
    "peer_stream_redis_command_seconds",
    "From sending a command to Redis to its answer, or to giving up",
    [],
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
  );
  const scripts = make.seconds(
    "peer_stream_redis_script_seconds",
    "The same of the scripts that run inside Redis, by script",
    ["script"],
    [0.001, 0.005, 0.025, 0.1, 0.5, 1],
  );
  const failed = make.total(
    "peer_stream_redis_errors_total",
    "Commands to Redis that had no connection, no answer in time, or an error for an answer",
  );
  const reconnected = make.total(
    "peer_stream_redis_reconnects_total",
    "Connections to Redis that were lost, and made again",
  );
  // Looked up once for each of the scripts, of which there is a fixed number.
  const observers: Record<string, (seconds: number) => void> = {};
  return {
    registry,
    meter: {
      answered(afterMs, script) {
        const seconds = afterMs / 1000;
        commands.observe(seconds);
        if (script === undefined) return;
        const observe = (observers[script] ??= scripts.labels(script).observe);
        observe(seconds);
      },
      failed: () => failed(),
      reconnected: () => reconnected(),
    },
    setShards: (available) => void (shards = available),
  };
}
