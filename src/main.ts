/** Composition root: env → config → engine → server → listen → drain. Beside the doctor the only reader of the environment. */
import { randomBytes } from "node:crypto";
import { hostname, networkInterfaces } from "node:os";
import { misspeltVariables, readConfig, type Config } from "./config.ts";
import { createFairPolicy } from "./domain/matchmaker.ts";
import { networkHashChars } from "./domain/moderation.ts";
import type { Engine, EngineOptions } from "./engine/engine.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";
import { createLog, toStandardOutput, type Log } from "./observe/log.ts";
import { createWarnOnce } from "./observe/sparing-log.ts";
import { createMetrics } from "./observe/metrics.ts";
import { createWebhook } from "./observe/webhook.ts";
import { createSessionTokens, secretFingerprint } from "./rpc/session-token.ts";
import { createServer } from "./server.ts";
import { createSignaling } from "./signaling.ts";
import { canOpenFiles, createSystem, openFilesLimit, type System } from "./system.ts";
import { createAdmission, type SharedCounts } from "./transport/admission.ts";
import { createPage } from "./transport/page.ts";
import { watchWrappers } from "./wrappers.ts";
import { version } from "../package.json";
import index from "./web/index.html";

/** The share of the drain in which peers are asked to reconnect; the rest is for closing what is left. */
const drainWindowShare = 0.8;

/**
 * A wrapper passes on a signal that the terminal has already sent to the whole process group: a second one so soon
 * after the first is the same (milliseconds).
 */
const sameSignalMs = 1000;

const usage = `Peer Stream ${version}

  peer-stream             starts the server
  peer-stream --version   prints the version
  peer-stream --help      prints this

All settings are environment variables; .env.example describes each.
`;

const [argument] = process.argv.slice(2);
if (argument === "--version" || argument === "-v") {
  process.stdout.write(`${version}\n`);
  process.exit(0);
}
if (argument === "--help" || argument === "-h") {
  process.stdout.write(usage);
  process.exit(0);
}
if (argument !== undefined) {
  process.stderr.write(`Peer Stream knows no argument "${argument}"\n\n${usage}`);
  process.exit(2);
}

const config = readConfig(process.env);
if ("problems" in config) {
  const problems = config.problems.map((problem) => `  ${problem}`).join("\n");
  process.stderr.write(`Peer Stream can't start; the environment has problems:\n${problems}\n`);
  process.exit(1);
}

const system = createSystem();
const log = createLog(config.logLevel, toStandardOutput(system.soon));
for (const misspelt of misspeltVariables(process.env)) log.warn(misspelt);
try {
  await start(config, system, log);
} catch (error) {
  process.stderr.write(`Peer Stream can't start: ${String(error)}\n`);
  process.exit(1);
}

async function start(config: Config, system: System, log: Log) {
  // First of all: as the first process of a container a signal without a listener is ignored.
  let drain = async () => {};
  let unposted = () => 0;
  /** When the first signal came, by the monotonic clock. */
  let leavingSince: number | undefined;

  function exit(code: number): never {
    if (unposted() > 0)
      log.warn("reports were not posted before the exit", { reports: unposted() });
    process.exit(code);
  }

  async function leave(signal: string) {
    if (leavingSince !== undefined) {
      // Whoever asks a second time does not want to wait for the drain.
      if (system.elapsed() - leavingSince >= sameSignalMs) exit(1);
      return;
    }
    leavingSince = system.elapsed();
    log.info("leaving", { signal });
    // A hard limit: exit even if something hangs.
    system.schedule(config.drainMs, () => exit(0));
    await drain();
    exit(0);
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.on(signal, () => void leave(signal));
  const wrappersLive = watchWrappers(process.pid);

  const { skipCooldownMs, graceMs, relaxAfterMs } = config;

  // The policy is a value: put your own here.
  const policy = createFairPolicy({ patienceMs: 3 * relaxAfterMs, windowMs: 2000 });

  const engineOptions: EngineOptions = {
    graceMs,
    skipCooldownMs,
    skipping: {
      burst: config.skipBurst,
      forgetMs: 3000,
      delayMs: config.skipDelayMs,
      delayMsMax: 30 * config.skipDelayMs,
    },
    moderation: { ...config.moderation, recordsMax: 100_000 },
    blocks: config.blocks,
    // One skip each 3 s past the burst is all that the growing delay lets through.
    avoidsMax: Math.max(1024, config.skipBurst + Math.ceil(skipCooldownMs / 1000)),
    relax: { languageAfterMs: relaxAfterMs / 2, anybodyAfterMs: relaxAfterMs },
  };
  const { engine, addresses } = await openEngine(config, engineOptions, system, log);
  const secrets = config.sessionSecrets ?? [randomBytes(32).toString("base64url")];
  const webhook =
    config.webhook &&
    createWebhook({
      ...config.webhook,
      schedule: system.schedule,
      onGivenUp: (why) => log.warn("a report was not posted", { why }),
    });
  unposted = () => webhook?.pending ?? 0;
  const metrics = createMetrics(async () => engine.stats(), `${hostname()}:${process.pid}`);
  const signaling = createSignaling({
    engine,
    system,
    policy,
    ice: config.ice,
    forceRelay: config.forceRelay,
    onReport: (report) => webhook?.post(report),
    log,
    metrics,
  });

  if (!config.sessionSecrets)
    log.warn("SESSION_SECRET is not set: a random one is used, and a restart ends every session");

  // In memory nothing that was hashed outlives the process, so a key that goes with the secret will do.
  const [memoryKey = system.id()] = secrets;
  const peersMax = limitPeers(config, log);
  const warnOnce = createWarnOnce(log, system.elapsed);
  /** Warns of `what` at most once a minute: strangers can cause it as often as they like. */
  const warnRarely: WarnRarely = (what, fields) =>
    warnOnce(what, String(Math.floor(system.elapsed() / 60_000)), fields);
  const admission = createAdmission({
    ...config.admission,
    peersMax,
    hashKey: () => addresses?.key() ?? memoryKey,
    isKeyKnown: () => !addresses || addresses.key() !== undefined,
    networkHashChars,
    shared: addresses,
    onUnannouncedProxy: () =>
      log.warn(
        "Requests come through a proxy that TRUSTED_PROXIES does not name: all peers behind it count as one address",
      ),
    onFull: () =>
      warnRarely("this node is full: sockets are refused", {
        sockets: peersMax,
        cure: "raise LIMIT_PEERS and the limit of open files (ulimit -n), or add a node",
      }),
  });
  const server = createServer(
    {
      ...config,
      admission,
      log,
      metrics,
      page: await createPage(index, config),
      signaling,
      available: () => engine.available(),
      system,
      tokens: createSessionTokens(secrets),
    },
    config,
  );
  everySecond(system, (lateMs) => {
    metrics.lagged(lateMs);
    if (!canOpenFiles())
      warnRarely("no more files can be opened: new connections have to wait", {
        cure: "raise the limit of open files (ulimit -n), or put a proxy in front that limits connections",
      });
    if (leavingSince === undefined && !wrappersLive())
      void leave("the program that started it is gone");
  });
  process.stdout.write(
    `Peer Stream listens at\n${reachableAt(server.url, config.host)
      .map((url) => `  ${url}\n`)
      .join("")}`,
  );

  drain = async () => {
    signaling.drain();
    await server.drain(config.drainMs * drainWindowShare);
    await server.stop();
    signaling.stop();
    await engine.close();
    await webhook?.flush();
  };
}

/** One node keeps everything in memory; with `REDIS_URL` many share one lobby, and only then Redis' client is loaded. */
async function openEngine(
  { redisUrl: url, sessionSecrets }: Config,
  options: EngineOptions,
  system: System,
  log: Log,
): Promise<{ engine: Engine; addresses?: SharedCounts & { key(): Buffer | undefined } }> {
  if (url === undefined) return { engine: createMemoryEngine(system, options) };
  const { createRedisEngine } = await import("./engine/redis/redis-engine.ts");
  const engine = createRedisEngine(system, options, {
    url,
    secrets: sessionSecrets ?? [],
    about: `secrets=${(sessionSecrets ?? []).map(secretFingerprint).join(",")}`,
    clock: system,
    onBug: (error, where) => log.bug(error, where),
    onAvailable: (how) => log.info("Redis connected", { how }),
    onUnavailable: ({ kind, message, heals, cure }) =>
      log[heals ? "warn" : "error"](
        heals
          ? "Redis is unavailable: this node is not ready"
          : "Redis is unavailable until its configuration is changed: this node is not ready",
        { fault: kind, why: message, cure },
      ),
  });
  return { engine, addresses: engine.addresses };
}

/** Sockets that this node takes: `LIMIT_PEERS`, or fewer where the process may not open as many files. */
function limitPeers({ admission: { peersMax }, production }: Config, log: Log): number {
  const files = openFilesLimit();
  if (files === undefined) return peersMax;
  // Kept free for probes, the page, HTTP calls, Redis and webhooks.
  const reserve = Math.min(1024, Math.max(32, Math.ceil(files / 16)));
  const sockets = Math.max(1, files - reserve);
  if (peersMax > 0 && peersMax <= sockets) return peersMax;
  log[production ? "warn" : "debug"]("fewer sockets than LIMIT_PEERS: too few files may be open", {
    sockets,
    openFilesLimit: files,
    cure: `raise the limit of open files (ulimit -n) or set LIMIT_PEERS to ${sockets} or less`,
  });
  return sockets;
}

type WarnRarely = (what: string, fields: object) => void;

/** Calls `look` about once a second, with how late it is (milliseconds). */
function everySecond(system: System, look: (lateMs: number) => void) {
  const everyMs = 997; // a prime, so that it coincides with no other timer
  const dueAt = system.elapsed() + everyMs;
  system.schedule(everyMs, () => {
    look(Math.max(0, system.elapsed() - dueAt));
    everySecond(system, look);
  });
}

/** The URLs a person could open: localhost first, then this machine's addresses if it listens on all. */
function reachableAt(url: URL, host: string): string[] {
  const at = (name: string) => `${url.protocol}//${name}:${url.port}/`;
  if (host !== "0.0.0.0" && host !== "::") return [at(host.includes(":") ? `[${host}]` : host)];
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4")
    .map(({ address }) => at(address));
  return [at("localhost"), ...addresses];
}
