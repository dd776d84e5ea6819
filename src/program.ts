/** The program: environment → configuration → open → listen → leave. Only this and the doctor read the environment. */
import { networkInterfaces } from "node:os";
import { watchProcess } from "./app/capacity.ts";
import { listen } from "./app/listen.ts";
import { openPeerStream } from "./app/create-peer-stream.ts";
import { openNotifySocket } from "./app/notify-socket.ts";
import type { HostedConfig } from "./app/options.ts";
import { Shutdown, type EndingSignal } from "./app/shutdown.ts";
import { superviseBy, watchdogMsOf, type Supervision } from "./app/supervision.ts";
import { toStandardOutput } from "./app/standard-output.ts";
import { watchWrappers } from "./app/wrappers.ts";
import { readProgram } from "./config-files.ts";
import { warningsOf } from "./config-warnings.ts";
import { createPage } from "./http/page.ts";
import { changeLogLevel, nextLogLevel } from "./observe/log-level.ts";
import { createLog, type Log } from "./observe/log.ts";
import type { LogSink } from "./observe/log-sink.ts";
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

/** Whoever reads slowly has this time for the last lines (milliseconds). */
const lastLinesMs = 1000;

/** What is done on a signal. Whoever listens for them calls what is set at that time. */
export interface OnSignal {
  /** This process is to end. */
  end: (signal: EndingSignal) => void;
  /** The log is to say more, or as much as before. */
  changeLogLevel: () => void;
}

/** Resolves once the server listens. @param onSignal is set as soon as there is more to do. */
export async function startProgram(onSignal: OnSignal): Promise<void> {
  answerArguments(process.argv.slice(2));
  const read = readProgram(process.env);
  const warnings = warningsOf(process.env);
  if ("problems" in read) {
    // One of them may be the reason of a problem.
    const lines = [...read.problems, ...warnings].map((line) => `  ${line}`);
    fail(`the environment has problems:\n${lines.join("\n")}`);
  }
  const config: HostedConfig = { ...read.config, facts: read.facts };
  const system = createSystem();
  const lines = toStandardOutput(system);
  const log = createLog(config.logLevel, lines);
  for (const warning of warnings) log.warn(warning);
  try {
    await run({ config, system, log, lines, onSignal });
  } catch (error) {
    fail(String(error));
  }
}

interface RunParts {
  config: HostedConfig;
  system: System;
  log: Log;
  /** Where the log goes. */
  lines: LogSink;
  onSignal: OnSignal;
}

async function run({ config, system, log, lines, onSignal }: RunParts): Promise<void> {
  let unposted = () => 0;
  const shutdown = new Shutdown({ system, log, drainMs: config.drainMs, exit });
  onSignal.end = (signal) => shutdown.signalled(signal);
  onSignal.changeLogLevel = () =>
    changeLogLevel(log, nextLogLevel(log.level, config.logLevel), "SIGUSR2");
  const areWrappersAlive = watchWrappers(process.pid);

  if (!config.sessionSecrets)
    log.warn("SESSION_SECRET is not set: a random one is used, and a restart ends every session");
  const opened = openPeerStream(config, {
    system,
    log,
    page: await createPage(index, config),
    // Here is the place for `authenticate`, `admit`, and a policy of your own.
    onFatal: fail,
  });
  unposted = opened.unposted;
  const { assembly: peerStream, warnRarely } = opened;
  const server = listen(peerStream, config);
  watchProcess(system, peerStream.metrics, warnRarely, () => {
    if (!areWrappersAlive()) void shutdown.start("the program that started it is gone");
  });
  const urls = reachableAt(server.url, config.host).map((url) => `  ${url}\n`);
  // Nobody may read it any more.
  process.stdout.on("error", () => {});
  process.stdout.write(`Peer Stream listens at\n${urls.join("")}`);

  log.info("started", { node: opened.nodeName, version, port: server.url.port });

  const supervision = supervise(server.url.href, opened.isReady, system, log);

  shutdown.drain = async () => {
    const begunAt = system.elapsed();
    supervision?.stopping(config.drainMs);
    await peerStream.drain(config.drainMs * drainWindowShare);
    await server.stop();
    await opened.close();
    log.info("left", { tookMs: Math.round(system.elapsed() - begunAt) });
    const overdue = new Promise<void>((resolve) => void system.schedule(lastLinesMs, resolve));
    await Promise.race([lines.drained(), overdue]);
  };

  function exit(code: number): never {
    if (unposted() > 0)
      log.warn("reports or events were not posted before the exit", { count: unposted() });
    process.exit(code);
  }
}

/** Tells a service manager that has asked for it, such as systemd, how the server fares. */
function supervise(
  url: string,
  isReady: () => boolean,
  system: System,
  log: Log,
): Supervision | undefined {
  const address = process.env["NOTIFY_SOCKET"];
  if (!address) return undefined;
  try {
    const send = openNotifySocket(address);
    const watchdogMs = watchdogMsOf(process.env, process.pid);
    return superviseBy({ system, send, watchdogMs, url, isReady });
  } catch (error) {
    log.warn("the service manager can't be told that this server is ready", { why: String(error) });
    return undefined;
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
