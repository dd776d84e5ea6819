/**
 * What a service manager is told, as of systemd's `Type=notify` (sd_notify(3)): that the server is ready, that it lives, and that it
 * stops.
 */
import type { System } from "../system.ts";

/** How often it is looked whether the server is ready (milliseconds). */
const lookMs = 1000;
/** How much longer a start that waits, and a stop, may take than expected (milliseconds). */
const spareMs = 10_000;

export interface SupervisionParts {
  system: Pick<System, "schedule">;
  /** Sends one message. */
  send: (text: string) => void;
  /** After how long without a message the service manager considers this process hung (milliseconds), if it does. */
  watchdogMs: number | undefined;
  /** Where the server listens, as a person reads it. */
  url: string;
  /** Whether peers can be paired here. */
  isReady: () => boolean;
}

export interface Supervision {
  /**
   * The server stops.
   * @param withinMs how long that takes at most (milliseconds).
   */
  stopping(withinMs: number): void;
}

/** Begins once the server listens. */
export function superviseBy(parts: SupervisionParts): Supervision {
  const { system, watchdogMs, url, isReady } = parts;
  let isStopping = false;
  function awaitReady(): void {
    if (isStopping) return;
    if (isReady()) return tell({ READY: 1, STATUS: `Listens at ${url}` });
    // A restart would not bring Redis back any sooner.
    tell({ STATUS: "Waits for Redis", EXTEND_TIMEOUT_USEC: usec(spareMs) });
    system.schedule(lookMs, awaitReady);
  }
  function beat(everyMs: number): void {
    tell({ WATCHDOG: 1 });
    system.schedule(everyMs, () => beat(everyMs));
  }
  function tell(variables: Record<string, string | number>): void {
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    parts.send(lines.join("\n"));
  }
  awaitReady();
  if (watchdogMs !== undefined) beat(watchdogMs / 2);
  return {
    stopping(withinMs) {
      isStopping = true;
      const EXTEND_TIMEOUT_USEC = usec(withinMs + spareMs);
      tell({ STOPPING: 1, STATUS: "Asks its clients to reconnect elsewhere", EXTEND_TIMEOUT_USEC });
    },
  };
}

const usec = (ms: number) => Math.round(ms * 1000);

/**
 * The time of systemd's watchdog, in milliseconds; `undefined` where there is none, or for another process (sd_watchdog_enabled(3)).
 * @param pid this process.
 */
export function watchdogMsOf(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | undefined {
  const { WATCHDOG_USEC = "", WATCHDOG_PID = String(pid) } = env;
  const ms = Number(WATCHDOG_USEC) / 1000;
  return ms > 0 && WATCHDOG_PID === String(pid) ? ms : undefined;
}
