/** What this process can hold, and what an operator is warned about. */
import type { Config } from "../config.ts";
import type { LogFields } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createWarnOnce } from "../observe/sparing-log.ts";
import { canOpenFiles, openFilesLimit, type System } from "../system.ts";

const minuteMs = 60_000;

/** Warns of the same at most once a minute: strangers can cause it as often as they like. */
export type WarnRarely = (what: string, fields: LogFields) => void;

export function createWarnRarely(log: Log, { elapsed }: Pick<System, "elapsed">): WarnRarely {
  const warnOnce = createWarnOnce(log, elapsed);
  return (what, fields) => warnOnce(what, String(Math.floor(elapsed() / minuteMs)), fields);
}

/** Sockets for which so many open files are enough; some are reserved for probes, the page, HTTP calls, Redis and webhooks. */
export function socketsFor(files: number): number {
  const reserve = Math.min(1024, Math.max(32, Math.ceil(files / 16)));
  return Math.max(1, files - reserve);
}

/** Sockets that this node admits: `LIMIT_PEERS`, or fewer where the process may not open as many files. */
export function socketsMaxFor({ admission: { peersMax }, production }: Config, log: Log): number {
  const files = openFilesLimit();
  if (files === undefined) return peersMax;
  const sockets = socketsFor(files);
  if (peersMax > 0 && peersMax <= sockets) return peersMax;
  log[production ? "warn" : "debug"]("fewer sockets than LIMIT_PEERS: too few files may be open", {
    sockets,
    openFilesLimit: files,
    cure: `raise the limit of open files (ulimit -n) or set LIMIT_PEERS to ${sockets} or less`,
  });
  return sockets;
}

/** Once a second: measures how late the event loop is, and checks whether files can still be opened. */
export function watchProcess(
  system: System,
  metrics: Metrics,
  warnRarely: WarnRarely,
  onTick: () => void,
): void {
  const everyMs = 997; // a prime, so that it does not coincide with other timers
  const dueAt = system.elapsed() + everyMs;
  system.schedule(everyMs, () => {
    metrics.lagged(Math.max(0, system.elapsed() - dueAt));
    if (!canOpenFiles())
      warnRarely("no more files can be opened: new connections have to wait", {
        cure: "raise the limit of open files (ulimit -n), or put a proxy in front that limits connections",
      });
    onTick();
    watchProcess(system, metrics, warnRarely, onTick);
  });
}
