/** Peers by the thousand on raw WebSockets, and what the operating system says of the server they talk to. */
import { readFileSync } from "node:fs";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import type { Contestant, SignalKind } from "./contestants.ts";

/** The server has one core to itself, the load the rest. */
const serverCore = 0;
const loadCore = 1;
/** Signals in flight are told apart by their number, up to this many. */
const numbersMax = 1 << 22;
const patienceMs = 60_000;

/** Moves this process off the server's core. Without `taskset` nothing is pinned, and the figures say less. */
export function pinLoad(): boolean {
  const command = ["taskset", "-a", "-c", "-p", String(loadCore), String(process.pid)];
  try {
    return Bun.spawnSync(command).success;
  } catch {
    return false;
  }
}

export interface Stage extends AsyncDisposable {
  readonly contestant: Contestant;
  readonly process: ServerProcess;
  readonly peers: readonly LoadPeer[];
  /** Connects so many more, each present and idle. */
  connect(count: number): Promise<void>;
  disconnectAll(): Promise<void>;
}

export async function openStage(contestant: Contestant, isPinned: boolean): Promise<Stage> {
  const { program, env } = contestant;
  const pin = isPinned ? ["taskset", "-c", String(serverCore)] : [];
  const server = await startServer(env, { ...program, command: [...pin, ...program.command] });
  const peers: LoadPeer[] = [];
  async function disconnectAll() {
    await Promise.all(peers.splice(0).map((peer) => peer.close()));
  }
  return {
    contestant,
    process: server,
    peers,
    async connect(count) {
      const abreast = 100;
      for (let done = 0; done < count; done += abreast)
        peers.push(
          ...(await Promise.all(
            Array.from({ length: Math.min(abreast, count - done) }, () =>
              LoadPeer.connect(contestant, server.origin),
            ),
          )),
        );
    },
    disconnectAll,
    async [Symbol.asyncDispose]() {
      await disconnectAll();
      await server.stop();
    },
  };
}

/** What the peers of a round report to. */
interface Tally {
  paired(): void;
  signal(n: number): void;
  taken(n: number): void;
}

const nobody: Tally = { paired() {}, signal() {}, taken() {} };

class LoadPeer {
  readonly #socket: WebSocket;
  readonly #contestant: Contestant;
  tally: Tally = nobody;
  roomId = "";

  private constructor(contestant: Contestant, origin: string, ready: () => void) {
    const { dialect } = contestant;
    this.#contestant = contestant;
    this.#socket = new WebSocket(origin.replace("http", "ws") + dialect.path);
    this.#socket.onopen = () => dialect.greeting && this.#socket.send(dialect.greeting);
    this.#socket.onmessage = ({ data }) => {
      const heard = dialect.hear(data as string);
      switch (heard?.kind) {
        case "ready":
          return ready();
        case "reply":
          return this.#socket.send(heard.text);
        case "paired":
          this.roomId = heard.roomId;
          return this.tally.paired();
        case "signal":
          return this.tally.signal(heard.n);
        case "taken":
          return this.tally.taken(heard.n);
        default:
          return undefined;
      }
    };
  }

  static connect(contestant: Contestant, origin: string): Promise<LoadPeer> {
    const { promise, resolve } = Promise.withResolvers<LoadPeer>();
    const peer: LoadPeer = new LoadPeer(contestant, origin, () => resolve(peer));
    return promise;
  }

  join() {
    this.#socket.send(this.#contestant.dialect.join);
  }

  leave() {
    this.roomId = "";
    this.#socket.send(this.#contestant.dialect.leave);
  }

  signal(kind: SignalKind, n: number) {
    this.#socket.send(this.#contestant.dialect.signal(kind, n, this.roomId));
  }

  async close() {
    const closed = new Promise((resolve) => (this.#socket.onclose = resolve));
    this.#socket.close();
    await closed;
  }
}

/** All join at once; resolves when each has been told of its partner, with how long that took each (ms). */
export async function pairAll({ peers, contestant }: Stage): Promise<number[]> {
  const tookMs: number[] = [];
  const done = Promise.withResolvers<void>();
  const startedAt = performance.now();
  for (const peer of peers)
    peer.tally = {
      ...nobody,
      paired() {
        tookMs.push(performance.now() - startedAt);
        if (tookMs.length === peers.length) done.resolve();
      },
    };
  for (const peer of peers) peer.join();
  await within(
    done.promise,
    `${contestant.name}: only ${tookMs.length} of ${peers.length} were paired`,
  );
  return tookMs;
}

/** Everybody out of its room again. */
export async function partAll({ peers }: Stage): Promise<void> {
  for (const peer of peers) peer.leave();
  await Bun.sleep(200);
}

export interface Relayed {
  signals: number;
  /** Microseconds of the server's CPU for each. */
  cpuUs: number;
  /** From sending to the partner's hearing of it. */
  latenciesMs: number[];
}

/** Relays at a fixed rate between peers that are paired. */
export async function relay(
  stage: Stage,
  kind: SignalKind,
  perS: number,
  seconds: number,
): Promise<Relayed> {
  const { peers, contestant, process } = stage;
  const total = Math.min(numbersMax, perS * seconds);
  const sentAt = new Float64Array(total);
  const latenciesMs: number[] = [];
  let left = contestant.dialect.acknowledges ? 2 * total : total;
  const done = Promise.withResolvers<void>();
  const one = () => {
    left -= 1;
    if (left === 0) done.resolve();
  };
  for (const peer of peers)
    peer.tally = {
      ...nobody,
      signal(n) {
        latenciesMs.push(performance.now() - (sentAt[n] ?? 0));
        one();
      },
      taken: one,
    };
  const cpuBefore = cpuUsOf(process.pid);
  const startedAt = performance.now();
  for (let n = 0; n < total;) {
    const due = Math.min(total, Math.ceil(((performance.now() - startedAt) / 1000) * perS));
    for (; n < due; n++) {
      sentAt[n] = performance.now();
      peers[n % peers.length]?.signal(kind, n);
    }
    await Bun.sleep(1);
  }
  await within(
    done.promise,
    `${contestant.name}: ${left} of ${total} signals or answers are missing`,
  );
  return { signals: total, cpuUs: (cpuUsOf(process.pid) - cpuBefore) / total, latenciesMs };
}

async function within(promise: Promise<void>, complaint: string) {
  const timer = setTimeout(() => {
    throw new Error(complaint);
  }, patienceMs);
  await promise;
  clearTimeout(timer);
}

/** User and system time of all threads, in microseconds; the kernel counts in hundredths of a second. */
export function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Resident memory, in bytes. */
export function rssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** The value below which the share lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const median = (values: readonly number[]) => percentile(values, 0.5);
