/**
 * This process as one of the nodes on a Redis: its lease, its ear, and what becomes of both when Redis goes and
 * comes back, or when the process itself was asleep for too long.
 */
import type { System } from "../../system.ts";
import { createRedisClock } from "./redis-clock.ts";
import { faultOf, type RedisFault } from "./faults.ts";
import { createLink, RedisAway } from "./link.ts";
import { scripts, type Script } from "./scripts.ts";

/** This node has been fenced off: somebody else has its sessions. */
export class Fenced extends Error {}

/** Nobody can do anything about it here and now: Redis is away, or this node is no more. */
export const isAway = (error: unknown) => error instanceof RedisAway || error instanceof Fenced;

export interface NodeOptions {
  url: string;
  prefix: string;
  /** What anybody with access to Redis may know of this node, in its key `node:<id>`. */
  about: string;
  /** Milliseconds: how long it is believed to live when it says nothing, and how long a command may take. */
  leaseMs: number;
  timeoutMs: number;
  /** Real time, for leases and connections. */
  clock: Pick<System, "schedule" | "random" | "now" | "elapsed">;
  /** The time that deadlines go by (epoch milliseconds), if it is not that of Redis. */
  now?: (() => number) | undefined;
  /** What was published to this node, or to all: the first line, and the rest. */
  onPublished: (first: string, rest: string) => void;
  /** It has become another one: it holds no streams any more. */
  onBegun: () => void;
  /** It can listen, and is about to be available. */
  onRising: () => Promise<unknown>;
  /** It is available; what was published meanwhile may have been missed. */
  onAvailable: (why: string) => void;
  /** It is not available, for this reason; called again when the reason changes. */
  onAway: (fault: RedisFault) => void;
  /** Another node's lease has ended; it was last heard of then (epoch milliseconds). */
  onGone: (node: string, lastBeat: number) => void;
  /** The first deadline of all there are (epoch milliseconds). */
  onDue: (at: number) => void;
}

export interface Node {
  readonly id: string;
  /** The clock that all nodes share: that of Redis, as far as this node knows it, and without steps. */
  now(): number;
  /** Changes with each life of the data. */
  readonly era: string;
  readonly available: boolean;
  /** Runs a script as this node. @throws {RedisAway} or {Fenced} */
  run(script: Script, ...args: string[]): Promise<unknown>;
  /** @throws {RedisAway} */
  command(...args: string[]): Promise<unknown>;
  /** Whether what it says to itself comes back in time: then everything published before has come. */
  heard(withinMs?: number): Promise<boolean>;
  /** Resolves when it is available. */
  ready(): Promise<void>;
  close(): void;
}

/** Tried again after this when Redis is away (milliseconds). */
const retryMs = 250;
/** A new connection that is not ready after this is replaced by another one (milliseconds). */
const reconnectMs = 2000;
/** A fault that comes back sooner is not told again: it would be at every second call of a stranger (milliseconds). */
const flappingMs = 10_000;

const fencedOff: RedisFault = {
  kind: "silent",
  message: "its lease has ended: this node was stopped for too long, or Redis has lost its data",
  heals: true,
  elsewhere: false,
  cure: "none is needed: it has begun as a new node",
};

export function createNode(options: NodeOptions): Node {
  const { prefix: p, leaseMs, timeoutMs, clock } = options;
  const beatMs = leaseMs / 6;
  let id = "";
  let era = "0";
  let available = false;
  /** When it last came to be, by the monotonic clock. */
  let availableSince = 0;
  let lastFault: RedisFault["kind"] | undefined;
  let closed = false;
  let lastHeardAt = 0;
  let comingUp: Promise<void> | undefined;
  let cancelRetry = () => {};
  let cancelHeart = () => {};
  const awaited: (() => void)[] = [];
  const echoes = new Map<string, () => void>();

  const random36 = () => Math.floor(clock.random() * 2 ** 52).toString(36);

  const link = createLink({
    url: options.url,
    timeoutMs,
    clock,
    onMessage(_channel, message) {
      lastHeardAt = clock.elapsed();
      const end = message.indexOf("\n");
      const first = message.slice(0, end);
      const rest = message.slice(end + 1);
      if (first === "?") echoes.get(rest)?.();
      else options.onPublished(first, rest);
    },
    onConnected: () => void comeUp(),
    onAway: goDown,
  });

  const redisClock = createRedisClock(clock, () => link.command("TIME"));
  const sharedNow = options.now ?? redisClock.now;

  function goDown(error: unknown) {
    if (closed) return;
    const fault = faultOf(error);
    const isSteady = clock.elapsed() - availableSince > flappingMs;
    // That the connection is not there yet follows from what was told before.
    if (fault.kind !== "offline") {
      if ((available && isSteady) || fault.kind !== lastFault) options.onAway(fault);
      lastFault = fault.kind;
    }
    available = false;
    cancelRetry();
    cancelRetry = clock.schedule(retryMs, () => retry(fault));
  }

  function retry(fault: RedisFault) {
    if (!fault.elsewhere) return void comeUp();
    // Comes up by itself when it is there, unless that leads nowhere, too.
    link.reconnect();
    cancelRetry = clock.schedule(reconnectMs, () => retry(fault));
  }

  /** Makes sure that this is a node, with a lease and its ear at Redis; one at a time. */
  function comeUp(): Promise<void> {
    comingUp ??= (async () => {
      try {
        await rise();
      } catch (error) {
        goDown(error);
      } finally {
        comingUp = undefined;
      }
    })();
    return comingUp;
  }

  async function rise() {
    if (closed) return;
    const replication = String(await link.command("INFO", "replication"));
    if (/^role:slave/m.test(replication)) throw new RedisAway("this Redis is a replica");
    await redisClock.sync();
    const history = /^master_replid:(\w+)/m.exec(replication)?.[1] ?? "";
    const eraNow = String(await link.run(scripts.era, [p, history]));
    const alive = id !== "" && eraNow === era && (await beat(false));
    if (!alive) await begin(eraNow);
    if (!(await heard())) throw new RedisAway("what is published does not come");
    await options.onRising();
    available = true;
    availableSince = clock.elapsed();
    cancelRetry();
    options.onAvailable(alive ? "as before" : "as a new node");
    for (const resolve of awaited.splice(0)) resolve();
    armHeart();
  }

  async function begin(eraNow: string) {
    const before = id;
    id = random36();
    era = eraNow;
    await link.subscribe(`${p}all`);
    await link.subscribe(`${p}n:${id}`);
    await beat(true);
    if (before !== "") await link.unsubscribe(`${p}n:${before}`);
    options.onBegun();
  }

  function armHeart() {
    cancelHeart();
    if (!closed) cancelHeart = clock.schedule(beatMs, () => void beatOn());
  }

  async function beatOn() {
    try {
      if (available && !(await beat(false))) restart();
      if (available) listenForSilence();
    } catch (error) {
      goDown(error);
    }
    armHeart();
  }

  /** Prolongs the lease, and finds nodes that have lost theirs. `false`: this one has. */
  async function beat(begins: boolean): Promise<boolean> {
    if (!begins) await redisClock.sync();
    const now = String(sharedNow());
    const args = [p, id, now, String(leaseMs), begins ? "1" : "0", options.about];
    const answer = await link.run(scripts.beat, args);
    if (answer === "fenced") return false;
    const [gone, firstAt] = answer as [[string, string][], string?];
    for (const [other, lastBeat] of gone) if (other !== id) options.onGone(other, Number(lastBeat));
    if (firstAt !== undefined) options.onDue(Number(firstAt));
    return true;
  }

  /** A subscription can fall silent without an error: what this node says to itself must come back. */
  function listenForSilence() {
    const askedAt = clock.elapsed();
    void heard(beatMs).then((did) => {
      if (!did && !closed && lastHeardAt <= askedAt) link.resubscribe();
    });
  }

  /** Fenced off: a node that was paused must not go on as if nothing had happened. */
  function restart() {
    if (available) options.onAway(fencedOff);
    available = false;
    void comeUp();
  }

  function heard(withinMs = timeoutMs): Promise<boolean> {
    const token = random36();
    return new Promise((resolve) => {
      const settle = (did: boolean) => {
        echoes.delete(token);
        cancel();
        resolve(did);
      };
      const cancel = clock.schedule(withinMs, () => settle(false));
      echoes.set(token, () => settle(true));
      link.command("PUBLISH", `${p}n:${id}`, `?\n${token}`).catch(() => settle(false));
    });
  }

  return {
    get id() {
      return id;
    },
    get era() {
      return era;
    },
    get available() {
      return available;
    },
    now: sharedNow,
    heard,
    command: link.command,
    async run(script, ...args) {
      if (!available) throw new RedisAway("Redis is away");
      const answer = await link.run(script, [p, id, ...args]);
      if (answer !== "fenced") return answer;
      restart();
      throw new Fenced();
    },
    async ready() {
      if (available || closed) return;
      await new Promise<void>((resolve) => awaited.push(resolve));
    },
    close() {
      closed = true;
      cancelHeart();
      cancelRetry();
      link.close();
    },
  };
}
