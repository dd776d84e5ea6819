/** Everything impure that the rest needs, behind one interface: so tests run on virtual time, and a simulation is repeatable. */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";

export interface System {
  /**
   * The wall clock, in epoch milliseconds. It can be set forward or back at any moment: only for what is shown, signed, or
   * kept across restarts and nodes.
   */
  now(): number;
  /**
   * The monotonic clock, in milliseconds since some moment before the process began, with fractions. For every
   * deadline, rate and bound inside this process. It never steps, and means nothing to another process.
   */
  elapsed(): number;
  /** A number in [0, 1), for choices. Not for secrets. */
  random(): number;
  /** 128 unguessable random bits, as 22 characters of base64url. */
  id(): string;
  /** Runs `task` once, `delayMs` from now (0 or more). The returned function cancels it. */
  schedule(delayMs: number, task: () => void): () => void;
  /** Runs `task` when everything that has arrived by now has been processed. */
  defer(task: () => void): void;
}

/**
 * A clock in epoch milliseconds that starts with the wall clock and continues with the monotonic one, so that it never steps.
 * For deadlines that are also shown: what is shown is corrected by how much the wall clock has moved.
 */
export function steadyClock({ now, elapsed }: Pick<System, "now" | "elapsed">): () => number {
  const offset = now() - elapsed();
  return () => Math.floor(offset + elapsed());
}

/** 128 bits. */
const idBytes = 16;
const poolBytes = 256 * idBytes;

/** Node's timers hold the delay in 32 bits and fire at once past it. */
const delayMsMax = 2 ** 31 - 1;

/** The real clock, randomness and timers of this process. */
export function createSystem(): System {
  // Asking the kernel for each id would cost more than all else in making a room.
  let pool = randomBytes(poolBytes);
  let used = 0;

  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    random: () => Math.random(),
    id() {
      if (used === poolBytes) {
        pool = randomBytes(poolBytes);
        used = 0;
      }
      used += idBytes;
      return pool.toString("base64url", used - idBytes, used);
    },
    defer: (task) => void setImmediate(task),
    schedule(delayMs, task) {
      const timer = setTimeout(task, Math.min(Math.max(0, delayMs), delayMsMax));
      return () => clearTimeout(timer);
    },
  };
}

/** How many files and sockets this process may have open (`RLIMIT_NOFILE`); `undefined` where that can't be read. */
export function openFilesLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined; // not Linux
  }
}

/** Of this process; `undefined` where it can't be read, as on anything but Linux. */
export interface ProcessReadings {
  /** Epoch seconds. */
  readonly startedAtS: number;
  /** `RLIMIT_NOFILE` */
  readonly openFilesMax: number | undefined;
  openFiles(): number | undefined;
  residentBytes(): number;
  /** Seconds of CPU, in user and kernel mode together. */
  cpuS(): number;
}

export function processReadings(): ProcessReadings {
  const openFilesMax = openFilesLimit();
  return {
    startedAtS: performance.timeOrigin / 1000,
    openFilesMax,
    openFiles() {
      try {
        // Without the one that the directory is read by.
        return readdirSync("/proc/self/fd").length - 1;
      } catch (error) {
        return isOutOfFiles(error) ? openFilesMax : undefined;
      }
    },
    residentBytes: () => process.memoryUsage.rss(),
    cpuS() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  };
}

/** Whether this process can open one more file or socket; while it can't, new connections are not accepted. */
export function canOpenFiles(): boolean {
  try {
    closeSync(openSync("/dev/null", "r"));
    return true;
  } catch (error) {
    return !isOutOfFiles(error);
  }
}

const isOutOfFiles = (error: unknown) => (error as NodeJS.ErrnoException).code === "EMFILE";

/** Whether whoever started this process has it ignore SIGHUP, as nohup does; `false` where that can't be read. */
export function ignoresHangup(): boolean {
  try {
    // A mask of signals in hex (proc(5)), of which SIGHUP is the first.
    const mask = /^SigIgn:\s*\w*(\w)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return (Number.parseInt(mask ?? "0", 16) & 1) === 1;
  } catch {
    return false; // not Linux
  }
}
