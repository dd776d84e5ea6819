/** The program: environment → configuration → open → listen → leave. Only this and the doctor read the environment. */
import { randomBytes } from "node:crypto";
import { hostname, networkInterfaces } from "node:os";
import { createWarnRarely, socketsMaxFor, watchProcess } from "./app/capacity.ts";
import { lifecycleTypesFor, tellLifecycle } from "./app/lifecycle.ts";
import { listen } from "./app/listen.ts";
import { openEngine } from "./app/open-engine.ts";
import { createPeerStream, fairPolicyFor } from "./app/peer-stream.ts";
import { Shutdown } from "./app/shutdown.ts";
import { watchWrappers } from "./app/wrappers.ts";
import { misspeltVariables, readConfig, type Config } from "./config.ts";
import { createPage } from "./http/page.ts";
import { createLog, toStandardOutput, type Log } from "./observe/log.ts";
import { createWebhook } from "./observe/webhook.ts";
import { createSystem, type System } from "./system.ts";
import { version } from "../package.json";
import index from "./web/index.html";

/** The share of the drain in which clients are asked to reconnect; the rest is for closing what is left. */
const drainWindowShare = 0.8;

const usage = `Peer Stream ${version}

  peer-stream             starts the server
  peer-stream --version   prints the version
  peer-stream --help      prints this

All settings are environment variables; .env.example describes each.
`;

answerArguments(process.argv.slice(2));
const config = readConfig(process.env);
if ("problems" in config) {
  const problems = config.problems.map((problem) => `  ${problem}`).join("\n");
  fail(`the environment has problems:\n${problems}`);
}
const system = createSystem();
const log = createLog(config.logLevel, toStandardOutput(system.defer));
for (const misspelt of misspeltVariables(process.env)) log.warn(misspelt);
try {
  await run(config, system, log);
} catch (error) {
  fail(String(error));
}

async function run(config: Config, system: System, log: Log): Promise<void> {
  let unposted = () => 0;
  const shutdown = new Shutdown({ system, log, drainMs: config.drainMs, exit });
  // Before anything else: as the first process of a container a signal without a listener is ignored.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.on(signal, () => void shutdown.start(signal));
  const areWrappersAlive = watchWrappers(process.pid);

  const lifecycle = lifecycleTypesFor({ webhook: config.events });
  const opening = openEngine(config, { system, log, lifecycle, onFatal: fail });
  const { engine, addresses } = await opening;
  const secrets = config.sessionSecrets ?? [randomBytes(32).toString("base64url")];
  if (!config.sessionSecrets)
    log.warn("SESSION_SECRET is not set: a random one is used, and a restart ends every session");
  const webhook =
    config.webhook &&
    createWebhook({
      ...config.webhook,
      schedule: system.schedule,
      onGivenUp: (why) => log.warn("a report was not posted", { why }),
    });
  const warnRarely = createWarnRarely(log, system);
  const socketsMax = socketsMaxFor(config, log);
  // In memory no hash of an address outlives the process, so a key that changes with the secret will do.
  const [memoryKey = system.id()] = secrets;
  const peerStream = createPeerStream({
    ...config,
    system,
    engine,
    log,
    // The policy is a value: replace it by your own here.
    policy: fairPolicyFor(config.relaxAfterMs),
    sessionSecrets: secrets,
    nodeName: `${hostname()}:${process.pid}`,
    onReport: (report) => void webhook?.post(report),
    page: await createPage(index, config),
    admission: {
      ...config.admission,
      peersMax: socketsMax,
      hashKey: () => addresses?.key() ?? memoryKey,
      isKeyKnown: () => !addresses || addresses.key() !== undefined,
      shared: addresses,
      onUnannouncedProxy: () =>
        log.warn(
          "Requests come through a proxy that TRUSTED_PROXIES does not name: all peers behind it count as one address",
        ),
      onFull: () =>
        warnRarely("this node is full: sockets are refused", {
          sockets: socketsMax,
          cure: "raise LIMIT_PEERS and the limit of open files (ulimit -n), or add a node",
        }),
    },
  });
  const { metrics } = peerStream;
  const events = tellLifecycle({ engine, system, log, metrics, webhook: config.events });
  unposted = () => (webhook?.pending ?? 0) + (events?.pending ?? 0);
  const server = listen(peerStream, config);
  watchProcess(system, peerStream.metrics, warnRarely, () => {
    if (!shutdown.hasStarted && !areWrappersAlive())
      void shutdown.start("the program that started it is gone");
  });
  const urls = reachableAt(server.url, config.host).map((url) => `  ${url}\n`);
  process.stdout.write(`Peer Stream listens at\n${urls.join("")}`);

  shutdown.drain = async () => {
    await peerStream.drain(config.drainMs * drainWindowShare);
    await server.stop();
    // The engine waits for what is posted, which is no longer retried.
    await Promise.all([engine.close(), webhook?.flush(), events?.flush()]);
  };

  function exit(code: number): never {
    if (unposted() > 0)
      log.warn("reports or events were not posted before the exit", { count: unposted() });
    process.exit(code);
  }
}

function answerArguments([argument]: string[]): void {
  if (argument === undefined) return;
  if (argument === "--version" || argument === "-v") {
    process.stdout.write(`${version}\n`);
    process.exit(0);
  }
  if (argument === "--help" || argument === "-h") {
    process.stdout.write(usage);
    process.exit(0);
  }
  process.stderr.write(`Peer Stream knows no argument "${argument}"\n\n${usage}`);
  process.exit(2);
}

function fail(why: string): never {
  process.stderr.write(`Peer Stream can't start: ${why}\n`);
  process.exit(1);
}

/** The URLs that a person could open: localhost first, then this machine's addresses if it listens on all. */
function reachableAt(url: URL, host: string): string[] {
  const at = (name: string) => `${url.protocol}//${name}:${url.port}/`;
  if (host !== "0.0.0.0" && host !== "::") return [at(host.includes(":") ? `[${host}]` : host)];
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4")
    .map(({ address }) => at(address));
  return [at("localhost"), ...addresses];
}
