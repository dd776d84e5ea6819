/** Opens the engine that a configuration asks for. */
import { readFileSync } from "node:fs";
import { createDimensions } from "../domain/facts.ts";
import { laneDimension, laneName } from "../domain/lanes.ts";
import type { LifecycleType } from "../domain/lifecycle.ts";
import type { Engine, EngineOptions } from "../engine/engine.ts";
import { createMarks, type Marks } from "../engine/marks.ts";
import { createMemoryEngine } from "../engine/memory/memory-engine.ts";
import type { NodeLoads } from "../engine/node-loads.ts";
import type { SharedCounts } from "../http/admission.ts";
import type { Log } from "../observe/log.ts";
import { createRedisMetrics, type RedisMetrics } from "../observe/redis-metrics.ts";
import { secretFingerprint } from "../rpc/session-token.ts";
import { createRoomProofs } from "../signaling/room-proofs.ts";
import type { System } from "../system.ts";
import type { HostedConfig } from "./options.ts";

/** Skips that are forgotten in the time of one (milliseconds); the longest delay is so many times the first one. */
const skipForgetMs = 3000;
const skipDelayFactorMax = 30;
/** Others that a session can avoid at a time, at least. */
const avoidsMin = 1024;
/** A part of the lobby closes when those who are online would fill the others to less than this. */
const closeBelowRatio = 0.625;
/** Reports, report records and suspensions that are kept, each. */
const moderationRecordsMax = 100_000;

/** How long decisions are kept in Redis by default (milliseconds): 180 days. In memory they end with the process. */
const decisionsKeepMsInRedis = 180 * 86_400_000;

function engineOptionsFor(
  config: HostedConfig,
  lifecycle: readonly LifecycleType[],
): EngineOptions {
  const { facts, skipCooldownMs, skipBurst, skipDelayMs, graceMs, callKeepMs } = config;
  const { relaxAfterMs, laneAfterMs } = config;
  const declared = { ...facts, ...(laneAfterMs > 0 && { [laneName]: laneDimension }) };
  return {
    graceMs,
    callKeepMs,
    skipCooldownMs,
    skipping: {
      burst: skipBurst,
      forgetMs: skipForgetMs,
      delayMs: skipDelayMs,
      delayMsMax: skipDelayFactorMax * skipDelayMs,
    },
    intents: config.rates.intents,
    moderation: { ...config.moderation, recordsMax: moderationRecordsMax },
    decisionsKeepMs: config.decisionsKeepMs ?? (config.redis ? decisionsKeepMsInRedis : 0),
    blocks: config.blocks,
    standby: config.standby,
    lifecycle,
    // An empty declaration costs nothing either.
    ...(Object.keys(declared).length > 0 && { dimensions: createDimensions(declared) }),
    // Past the burst the growing delay lets through one skip each 3 s at most.
    avoidsMax: Math.max(avoidsMin, skipBurst + Math.ceil(skipCooldownMs / 1000)),
    relax: { languageAfterMs: relaxAfterMs / 2, anybodyAfterMs: relaxAfterMs, laneAfterMs },
  };
}

/** @throws with the name of a file that can't be read. */
const readTls = ({ ca, cert, key }: NonNullable<HostedConfig["redis"]>["files"]) => {
  const read = (path: string | undefined) =>
    path === undefined ? undefined : readFileSync(path, "utf8");
  return { ca: read(ca), cert: read(cert), key: read(key) };
};

export interface OpenEngineParts {
  system: System;
  log: Log;
  /** What other nodes call this one. */
  nodeName?: string;
  /** Lifecycle events that are told. Default: none. */
  lifecycle?: readonly LifecycleType[];
  /** Those of session tokens, which also seal the proofs of rooms. */
  secrets: readonly string[];
  /** Called with what is to be done if this node can never join the others. */
  onFatal: (why: string) => void;
}

export interface OpenedEngine {
  engine: Engine;
  /** Of all nodes. */
  marks: Marks;
  /** Only with Redis, as what follows. */
  redisMetrics?: RedisMetrics;
  /** How many peers each node has. */
  loads?: NodeLoads;
  /** What addresses do on all nodes together. */
  addresses?: SharedCounts & { key(): Buffer | undefined };
}

/** The engine in memory; with `REDIS_URL` the one in Redis, whose client is loaded only then. */
export function openEngine(
  config: HostedConfig,
  { system, log, nodeName, lifecycle = [], secrets, onFatal }: OpenEngineParts,
): OpenedEngine {
  const { seal } = createRoomProofs(secrets);
  const options = { ...engineOptionsFor(config, lifecycle), seal };
  const { redis, sessionSecrets = [] } = config;
  if (!redis)
    return { engine: createMemoryEngine(system, options), marks: createMarks(system.elapsed) };
  const isOnly = redis.locations.length === 1;
  const ofShard = (shard: number) => (isOnly ? {} : { shard });
  const redisMetrics = createRedisMetrics();
  // Synchronously, so that a host can create it at the top of a module.
  const { createRedisEngine } =
    require("../engine/redis/redis-engine.ts") as typeof import("../engine/redis/redis-engine.ts");
  const engine = createRedisEngine(system, options, {
    locations: redis.locations,
    openAbove: redis.peersPerShard,
    closeBelow: closeBelowRatio * redis.peersPerShard,
    prefix: redis.prefix,
    tls: readTls(redis.files),
    secrets: sessionSecrets,
    about: `secrets=${sessionSecrets.map(secretFingerprint).join(",")}`,
    ...(nodeName !== undefined && { name: nodeName }),
    clock: system,
    meter: redisMetrics.meter,
    onBug: (error, where) => log.bug(error, where),
    onTakeOver: (gone, what, shard) =>
      log.warn("a node is gone: its sessions are taken over", { gone, ...what, ...ofShard(shard) }),
    onAvailable: (how, shard) => log.info("Redis connected", { how, ...ofShard(shard) }),
    onUnavailable({ kind, message, heals, cure }, shard) {
      const fields = { fault: kind, why: message, cure, ...ofShard(shard) };
      const until = heals ? "" : " until its configuration is changed";
      const effect = isOnly ? "this node is not ready" : "a part of the lobby is unavailable here";
      log[heals ? "warn" : "error"](`Redis is unavailable${until}: ${effect}`, fields);
      if (kind === "layout") onFatal(`${message}; ${cure}`);
    },
  });
  redisMetrics.setShards(() => engine.shardsAvailable());
  const { marks, loads, addresses } = engine;
  return { engine, marks, loads, addresses, redisMetrics };
}
