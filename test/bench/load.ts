/** Peers by the thousand on raw WebSockets, and what the operating system says of the server they talk to. */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { startServer, type ServerProcess } from "../support/server-process.ts";
import type { Contestant } from "./contestants.ts";
import type { Client, Frame, Heard, SignalKind } from "./dialects/dialect.ts";

/** All servers share one core, of which one is under load at a time; the load has another. */
const serverCore = 0;
const loadCore = 1;
/** Signals of one round are told apart by their numbers, up to this many. */
const numbersMax = 1 << 22;
/** Until whatever arrives twice has arrived twice (milliseconds). */
export const afterwardsMs = 100;
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
  /** @throws when the promise takes too long, or when a peer is refused or cut off meanwhile. */
  within<T>(promise: Promise<T>, complaint: () => string): Promise<T>;
}

/** @param more - what the server's environment has beside the contestant's. */
export async function openStage(
  contestant: Contestant,
  isPinned: boolean,
  more: Record<string, string> = {},
): Promise<Stage> {
  const { program, env } = contestant;
  const pin = isPinned ? ["taskset", "-c", String(serverCore)] : [];
  const command = [...pin, ...program.command];
  const server = await startServer({ ...env, ...more }, { ...program, command });
  const peers: LoadPeer[] = [];
  const failure = Promise.withResolvers<never>();
  // Nobody may be waiting when a peer fails.
  failure.promise.catch(() => {});
  async function disconnectAll() {
    await Promise.all(peers.splice(0).map((peer) => peer.close()));
  }
  async function within<T>(promise: Promise<T>, complaint: () => string): Promise<T> {
    const timeout = Promise.withResolvers<never>();
    const timer = setTimeout(() => timeout.reject(new Error(complaint())), patienceMs);
    try {
      return await Promise.race([promise, failure.promise, timeout.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
  return {
    contestant,
    process: server,
    peers,
    async connect(count) {
      const abreast = 100;
      for (let done = 0; done < count; done += abreast) {
        const connecting = Array.from({ length: Math.min(abreast, count - done) }, async () => {
          const peer = new LoadPeer(contestant, server.origin, failure.reject);
          peers.push(peer);
          await peer.connect();
        });
        await within(Promise.all(connecting), () => "not all peers had their first event");
      }
    },
    disconnectAll,
    within,
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
  ping(): void;
}

const nobody: Tally = { paired() {}, signal() {}, taken() {}, ping() {} };

class LoadPeer {
  readonly client: Client;
  readonly #contestant: Contestant;
  readonly #origin: string;
  readonly #fail: (error: unknown) => void;
  #socket: WebSocket | undefined;
  #pings: ReturnType<typeof setInterval> | undefined;
  tally: Tally = nobody;

  constructor(contestant: Contestant, origin: string, fail: (error: unknown) => void) {
    this.client = contestant.dialect.client();
    this.#contestant = contestant;
    this.#origin = origin;
    this.#fail = fail;
  }

  /** Resolves when it is present, with whether it has resumed the session that it had before. */
  async connect(): Promise<boolean> {
    const { client } = this;
    if (!this.#socket) await client.reserve?.(this.#origin);
    const ready = Promise.withResolvers<boolean>();
    const socket = new WebSocket(this.#origin.replace("http", "ws") + client.path);
    this.#socket = socket;
    socket.onopen = () => {
      for (const frame of client.greeting) socket.send(frame);
      this.startPings();
    };
    socket.onmessage = ({ data }) => {
      try {
        this.#receive(socket, client.hear(data), ready.resolve);
      } catch (error) {
        this.#fail(error);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#fail(new Error(`a peer was cut off: ${code} ${reason}`));
    };
    return ready.promise;
  }

  #receive(socket: WebSocket, heard: Heard, ready: (isResumed: boolean) => void): void {
    if (!heard) return;
    if ("reply" in heard) socket.send(heard.reply);
    switch (heard.kind) {
      case "ready":
        return ready(heard.isResumed);
      case "paired":
        return this.tally.paired();
      case "signal":
        return this.tally.signal(heard.n);
      case "taken":
        return this.tally.taken(heard.n);
      case "ping":
        return this.tally.ping();
      default:
        return undefined;
    }
  }

  startPings() {
    const { ping } = this.#contestant.dialect;
    if (ping?.from === "client")
      this.#pings = setInterval(() => this.send(ping.text), ping.everyMs);
  }

  stopPings() {
    clearInterval(this.#pings);
  }

  send(frame: Frame) {
    this.#socket?.send(frame);
  }

  join() {
    this.send(this.client.join);
  }

  leave() {
    this.client.roomId = "";
    this.send(this.client.leave);
  }

  signal(kind: SignalKind, numbers: readonly number[]) {
    for (const frame of this.client.signals(kind, numbers)) this.send(frame);
  }

  /** Ends the connection without a word, as a network does that is lost. */
  cut() {
    this.stopPings();
    const socket = this.#socket;
    if (!socket) return;
    socket.onclose = null;
    socket.onmessage = null;
    // Bun's own, which the DOM's types do not have.
    (socket as WebSocket & { terminate(): void }).terminate();
  }

  async close() {
    this.stopPings();
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise((resolve) => (socket.onclose = resolve));
    socket.close();
    await closed;
  }
}

/** Everybody gets a partner; resolves when each has been told of it, with how long that took each (ms). */
export async function pairAll({ peers, contestant, within }: Stage): Promise<number[]> {
  const { pairing } = contestant.dialect;
  const tookMs: number[] = [];
  if (pairing === "none") {
    introduceAll(peers);
    return tookMs;
  }
  const single = peers.filter(({ client }) => client.roomId === "");
  if (single.length === 0) return tookMs;
  const done = Promise.withResolvers<void>();
  const startedAt = performance.now();
  for (const peer of single)
    peer.tally = {
      ...nobody,
      paired() {
        tookMs.push(performance.now() - startedAt);
        if (tookMs.length === single.length) done.resolve();
      },
    };
  if (pairing === "on request") for (const peer of single) peer.join();
  await within(done.promise, () => `only ${tookMs.length} of ${single.length} were paired`);
  return tookMs;
}

/** Tells each two of their ids, as a page would that uses a server without matching. */
function introduceAll(peers: readonly LoadPeer[]): void {
  for (const [index, { client }] of peers.entries()) {
    const partner = peers[index ^ 1];
    client.roomId = `room ${index >> 1}`;
    if (partner?.client.id !== undefined) client.partnerId = partner.client.id;
  }
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
  /** Signals sent per second, which is less than was asked for where the load can't keep up. */
  perS: number;
  /** Of a core, from the first signal to the last. */
  serverShare: number;
  loadShare: number;
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
 * @throws if one is lost, arrives or is acknowledged twice, or comes to another than the partner.
 */
export async function relay(
  stage: Stage,
  kind: SignalKind,
  perS: number,
  seconds: number,
  order: Order = "neighbours",
): Promise<Relayed> {
  const { contestant, process: server } = stage;
  const peers = order === "neighbours" ? stage.peers : shuffled(stage.peers);
  const atOnce = order === "bursts" ? burst : 1;
  const total = Math.min(numbersMax, Math.floor((perS * seconds) / atOnce) * atOnce);
  const sentAt = new Float64Array(total);
  const arrived = new Uint8Array(total);
  const acknowledged = new Uint8Array(total);
  const latenciesMs: number[] = [];
  let left = contestant.dialect.acknowledges ? 2 * total : total;
  const done = Promise.withResolvers<void>();
  // It may fail while there is still something to send.
  done.promise.catch(() => {});
  let fault: Error | undefined;
  const fail = (what: string) => {
    fault ??= new Error(what);
    done.reject(fault);
  };
  const countOff = (seen: Uint8Array, n: number) => {
    if (seen[n] !== 0) fail(`signal ${n} came twice, or was never sent`);
    seen[n] = 1;
    left -= 1;
    if (left === 0) done.resolve();
  };
  const senderOf = (n: number) => peers[Math.floor(n / atOnce) % peers.length];
  for (const peer of peers)
    peer.tally = {
      ...nobody,
      signal(n) {
        const sender = senderOf(n);
        if (sender === peer || sender?.client.roomId !== peer.client.roomId)
          fail(`signal ${n} came to another than the partner`);
        latenciesMs.push(performance.now() - (sentAt[n] ?? 0));
        countOff(arrived, n);
      },
      taken: (n) => countOff(acknowledged, n),
    };
  const cpuBefore = cpuUsOf(server.pid);
  const loadBefore = process.cpuUsage();
  const startedAt = performance.now();
  for (let n = 0; n < total;) {
    const due = Math.min(total, Math.ceil(((performance.now() - startedAt) / 1000) * perS));
    for (; n < due; n += atOnce) {
      const numbers = Array.from({ length: atOnce }, (_, index) => n + index);
      for (const number of numbers) sentAt[number] = performance.now();
      senderOf(n)?.signal(kind, numbers);
    }
    await Bun.sleep(1);
  }
  const sentUs = (performance.now() - startedAt) * 1000;
  await stage.within(done.promise, () => `${left} of ${total} signals or answers are missing`);
  const tookUs = (performance.now() - startedAt) * 1000;
  const cpuUs = cpuUsOf(server.pid) - cpuBefore;
  const load = process.cpuUsage(loadBefore);
  await Bun.sleep(afterwardsMs);
  if (fault) throw fault;
  return {
    signals: total,
    cpuUs: cpuUs / total,
    latenciesMs,
    perS: total / (sentUs / 1e6),
    serverShare: cpuUs / tookUs,
    loadShare: (load.user + load.system) / tookUs,
  };
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
