/** Peers by the thousand on raw WebSockets, and what the operating system says of the server they talk to. */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import type { Contestant, SignalKind } from "./contestants.ts";

/** The server has one core to itself, the load the rest. */
const serverCore = 0;
const loadCore = 1;
/** Signals of one round are told apart by their numbers, up to this many. */
const numbersMax = 1 << 22;
/** Candidates that a browser gathers at one moment. */
const burst = 5;

/**
 * Who sends next. Neighbours: everybody in turn, so that both of a room send at the same moment. Spread: everybody in an order
 * that has nothing to do with rooms, as strangers do. Bursts: as spread, but several signals at a time.
 */
export type Order = "neighbours" | "spread" | "bursts";
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
      for (let done = 0; done < count; done += abreast) {
        const connecting = Array.from({ length: Math.min(abreast, count - done) }, () =>
          LoadPeer.connect(contestant, server.origin),
        );
        const what = `${contestant.name}: not all peers had their first event`;
        peers.push(...(await within(Promise.all(connecting), what)));
      }
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
  #pings: ReturnType<typeof setInterval> | undefined;
  readonly #contestant: Contestant;
  tally: Tally = nobody;
  roomId = "";

  private constructor(contestant: Contestant, origin: string, ready: () => void) {
    const { dialect } = contestant;
    this.#contestant = contestant;
    this.#socket = new WebSocket(origin.replace("http", "ws") + dialect.path);
    this.#socket.onopen = () => {
      for (const frame of dialect.greeting) this.#socket.send(frame);
      const { ping } = dialect;
      if (ping) this.#pings = setInterval(() => this.#socket.send(ping.text), ping.everyMs);
    };
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

  signal(kind: SignalKind, numbers: readonly number[]) {
    const { dialect } = this.#contestant;
    for (const frame of dialect.signals(kind, numbers, this.roomId)) this.#socket.send(frame);
  }

  async close() {
    clearInterval(this.#pings);
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

/** Everybody once, in the same random order in each run. */
function shuffled(peers: readonly LoadPeer[]): LoadPeer[] {
  const order = [...peers];
  let seed = 1;
  for (let left = order.length; left > 1; left--) {
    // Park and Miller's generator.
    seed = (seed * 48_271) % 2_147_483_647;
    const [last, other] = [left - 1, seed % left];
    [order[last], order[other]] = [order[other] as LoadPeer, order[last] as LoadPeer];
  }
  return order;
}

/**
 * Relays at a fixed rate between peers that are paired. Each signal is counted off by its number.
 * @throws if one is lost, or arrives or is acknowledged twice.
 */
export async function relay(
  stage: Stage,
  kind: SignalKind,
  perS: number,
  seconds: number,
  order: Order = "neighbours",
): Promise<Relayed> {
  const { contestant, process } = stage;
  const peers = order === "neighbours" ? stage.peers : shuffled(stage.peers);
  const atOnce = order === "bursts" ? burst : 1;
  const total = Math.min(numbersMax, Math.floor((perS * seconds) / atOnce) * atOnce);
  const sentAt = new Float64Array(total);
  const arrived = new Uint8Array(total);
  const acknowledged = new Uint8Array(total);
  const latenciesMs: number[] = [];
  let left = contestant.dialect.acknowledges ? 2 * total : total;
  const done = Promise.withResolvers<void>();
  const countOff = (seen: Uint8Array, n: number) => {
    if (seen[n] !== 0) done.reject(new Error(`${contestant.name}: signal ${n} came twice`));
    seen[n] = 1;
    left -= 1;
    if (left === 0) done.resolve();
  };
  for (const peer of peers)
    peer.tally = {
      ...nobody,
      signal(n) {
        latenciesMs.push(performance.now() - (sentAt[n] ?? 0));
        countOff(arrived, n);
      },
      taken: (n) => countOff(acknowledged, n),
    };
  const cpuBefore = cpuUsOf(process.pid);
  const startedAt = performance.now();
  for (let n = 0; n < total;) {
    const due = Math.min(total, Math.ceil(((performance.now() - startedAt) / 1000) * perS));
    for (; n < due; n += atOnce) {
      const numbers = Array.from({ length: atOnce }, (_, index) => n + index);
      for (const number of numbers) sentAt[number] = performance.now();
      peers[(n / atOnce) % peers.length]?.signal(kind, numbers);
    }
    await Bun.sleep(1);
  }
  await within(
    done.promise,
    `${contestant.name}: ${left} of ${total} signals or answers are missing`,
  );
  return { signals: total, cpuUs: (cpuUsOf(process.pid) - cpuBefore) / total, latenciesMs };
}

async function within<T>(promise: Promise<T>, complaint: string): Promise<T> {
  const timer = setTimeout(() => {
    throw new Error(complaint);
  }, patienceMs);
  const result = await promise;
  clearTimeout(timer);
  return result;
}

const libc = dlopen("libc.so.6", {
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
});

/**
 * The time that the threads of a process have run, in microseconds, as the scheduler counts it: its CPU-time clock
 * (clock_getcpuclockid(3), whose result glibc computes from the process id as here).
 */
export function cpuUsOf(pid: number): number {
  const time = new BigInt64Array(2);
  if (libc.symbols.clock_gettime((~pid << 3) | 2, ptr(time)) !== 0)
    throw new Error(`there is no process ${pid}`);
  return Number(time[0]) * 1e6 + Number(time[1]) / 1000;
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
