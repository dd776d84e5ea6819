/**
 * This process as one of the nodes on a Redis: its lease, its subscriptions, and what becomes of both when Redis becomes
 * unavailable and returns, or when the process itself was stopped for too long.
 */
import type { System } from "../../system.ts";
import type { RedisMeter } from "../redis-meter.ts";
import { RedisClient, RedisUnavailable } from "./client.ts";
import { clusterFault, faultOf, layoutFault, type RedisFault } from "./faults.ts";
import {
  absentKey,
  createKeys,
  layoutKey,
  layoutVersion,
  versionedPrefix,
  type Keys,
} from "./keys.ts";
import type { RedisLocation, RedisTls } from "./location.ts";
import { decodeMessage, encodeMessage, type NodeMessage, type OwnMessage } from "./messages.ts";
import { createRedisClock } from "./redis-clock.ts";
import { fencedReply, scripts, type Pairs, type Script, type ScriptArguments } from "./scripts.ts";
import { replicationIdOf, SlotMoves } from "./slot-moves.ts";

/** This node's lease has ended: other nodes have taken over its sessions. */
export class Fenced extends Error {}

/** A fault that no reply of Redis names. */
class Unfit extends Error {
  readonly fault: RedisFault;
  constructor(fault: RedisFault) {
    super(fault.message);
    this.fault = fault;
  }
}

/** Redis is unavailable, or this node is fenced off: no bug, and nothing that can be done about it here and now. */
export const isUnavailable = (error: unknown) =>
  error instanceof RedisUnavailable || error instanceof Fenced;

export interface NodeOptions {
  /** The number of the lobby's part that this is about. */
  shard: number;
  location: RedisLocation;
  tls?: RedisTls | undefined;
  /** The site's, without the layout's version. */
  prefix: string;
  /** What anybody with access to Redis may know of this node; `doctor` reads it. */
  about: string;
  /** What the others are told of it with each heartbeat; an empty text: nothing, and `onLoads` is not called. */
  load: () => string;
  /** What all nodes have told of themselves. */
  onLoads: (loads: Pairs) => void;
  /** How long the node is considered alive without a heartbeat (milliseconds). */
  leaseMs: number;
  /** How long a command may take (milliseconds). */
  timeoutMs: number;
  /** Real time, for leases and connections. */
  clock: Pick<System, "schedule" | "random" | "now" | "elapsed">;
  meter?: RedisMeter | undefined;
  /** The clock of deadlines (epoch milliseconds), if it is not that of Redis. */
  now?: (() => number) | undefined;
  onMessage: (message: NodeMessage) => void;
  /** The process has registered as a new node, which holds no streams. */
  onRegistered: () => void;
  /** Its subscriptions work, and it is about to become available. */
  onActivating: () => Promise<unknown>;
  /** It is available. Messages that were published meanwhile may have been missed. */
  onAvailable: (how: string) => void;
  /** It is not available; called again when the reason changes. */
  onUnavailable: (fault: RedisFault) => void;
  /** Another node's lease has ended; `lastHeartbeat` in epoch milliseconds. */
  onNodeGone: (node: string, lastHeartbeat: number) => void;
  /** The lease was renewed, which it is six times while it lasts. */
  onHeartbeat: () => Promise<unknown>;
  /** When the first of all deadlines is due (epoch milliseconds). */
  onDeadline: (at: number) => void;
}

/** Connecting is tried again after this (milliseconds). */
const retryMs = 250;
/** A new connection that is not ready after this is replaced by another one (milliseconds). */
const reconnectMs = 2000;
/** A fault that returns sooner is not reported again, or every second call of a stranger could write to the log (milliseconds). */
const flappingMs = 10_000;

const fencedOff: RedisFault = {
  kind: "silent",
  message: "its lease has ended: this node was stopped for too long, or Redis has lost its data",
  heals: true,
  elsewhere: false,
  cure: "none is needed: it has registered as a new node",
};

export class Node {
  readonly keys: Keys;
  /** The clock that all nodes share: that of Redis, as far as this node knows it. It never steps. */
  readonly now: () => number;
  readonly #options: NodeOptions;
  readonly #prefix: string;
  readonly #client: RedisClient;
  readonly #redisClock: ReturnType<typeof createRedisClock>;
  readonly #slotMoves: SlotMoves;
  readonly #heartbeatMs: number;
  readonly #echoes = new Map<string, () => void>();
  #id = "";
  #dataEpoch = "0";
  #replicationId = "";
  #isAvailable = false;
  /** When it last became available, by the monotonic clock. */
  #availableSince = 0;
  /** Until when no other node takes it for dead, by the monotonic clock. */
  #leaseUntil = Number.NEGATIVE_INFINITY;
  #lastFault: RedisFault["kind"] | undefined;
  #isClosed = false;
  #lastMessageAt = 0;
  #connecting: Promise<void> | undefined;
  #cancelRetry = () => {};
  #cancelHeartbeat = () => {};
  #readyListeners: (() => void)[] = [];

  constructor(options: NodeOptions) {
    const { location, tls, prefix, shard, timeoutMs, leaseMs, clock, meter } = options;
    this.#options = options;
    this.#prefix = versionedPrefix(prefix, shard);
    this.keys = createKeys(prefix, shard);
    this.#heartbeatMs = leaseMs / 6;
    this.#client = new RedisClient({
      location,
      tls,
      absentKey: absentKey(prefix, shard),
      timeoutMs,
      clock,
      meter,
      onMessage: (text) => this.#receive(text),
      onConnected: () => void this.#connect(),
      onUnavailable: (error) => this.#markUnavailable(error),
    });
    this.#slotMoves = new SlotMoves({ tls, timeoutMs, clock });
    this.#redisClock = createRedisClock(clock, () => this.command("TIME"));
    this.now = options.now ?? this.#redisClock.now;
  }

  get id(): string {
    return this.#id;
  }

  /** Counts the lives of the data: what was acknowledged in another one may be lost. */
  get dataEpoch(): string {
    return this.#dataEpoch;
  }

  get available(): boolean {
    return this.#isAvailable;
  }

  /** Whether it is certain that no other node takes this one for dead, and does what was left to it. */
  get hasLease(): boolean {
    return this.#options.clock.elapsed() < this.#leaseUntil;
  }

  /** @throws {RedisUnavailable} */
  command(...args: string[]): Promise<unknown> {
    return this.#client.command(...args);
  }

  /** Runs a script as this node. @throws {RedisUnavailable} or {Fenced} */
  async run<Name extends string, Result>(
    script: Script<Name, Result>,
    args: ScriptArguments<Name>,
    rest: readonly string[] = [],
  ): Promise<Result> {
    if (!this.#isAvailable) throw new RedisUnavailable("Redis is unavailable");
    const reply = await this.#evaluate(script, args, rest);
    if (reply !== fencedReply) return reply;
    this.#restart();
    throw new Fenced();
  }

  /** Publishes a message. @throws {RedisUnavailable} */
  async publish(channel: string, message: OwnMessage): Promise<void> {
    await this.command("SPUBLISH", channel, encodeMessage(message));
  }

  /** Whether a message that it publishes to itself returns in time: then all messages before it have arrived. */
  hasCaughtUp(withinMs = this.#options.timeoutMs): Promise<boolean> {
    const token = this.randomId();
    return new Promise((resolve) => {
      const settle = (did: boolean) => {
        this.#echoes.delete(token);
        cancel();
        resolve(did);
      };
      const cancel = this.#options.clock.schedule(withinMs, () => settle(false));
      this.#echoes.set(token, () => settle(true));
      const channel = this.keys.nodeChannel(this.#id);
      this.publish(channel, { type: "echo", token }).catch(() => settle(false));
    });
  }

  /** Resolves when it is available. */
  async ready(): Promise<void> {
    if (this.#isAvailable || this.#isClosed) return;
    await new Promise<void>((resolve) => this.#readyListeners.push(resolve));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelHeartbeat();
    this.#cancelRetry();
    this.#client.close();
  }

  /** 52 random bits: enough to tell nodes and messages apart. */
  randomId(): string {
    return Math.floor(this.#options.clock.random() * 2 ** 52).toString(36);
  }

  async #evaluate<Name extends string, Result>(
    script: Script<Name, Result>,
    args: ScriptArguments<Name>,
    rest: readonly string[] = [],
  ): Promise<Result | typeof fencedReply> {
    const values = script.names.map((name) => String(args[name]));
    const reply = await this.#client.evaluate(script, [this.#prefix, this.#id, ...values, ...rest]);
    // The one place where a reply gets the type that its script is declared with.
    return reply as Result | typeof fencedReply;
  }

  #receive(text: string): void {
    this.#lastMessageAt = this.#options.clock.elapsed();
    const message = decodeMessage(text);
    if (message?.type === "echo") this.#echoes.get(message.token)?.();
    else if (message) this.#options.onMessage(message);
  }

  // -------------------------------------------------------------------------------------------
  // Availability

  #markUnavailable(error: unknown): void {
    if (this.#isClosed) return;
    const { clock, onUnavailable } = this.#options;
    const fault = error instanceof Unfit ? error.fault : faultOf(error);
    const isSteady = clock.elapsed() - this.#availableSince > flappingMs;
    // That there is no connection yet follows from what was reported before.
    if (fault.kind !== "offline") {
      if ((this.#isAvailable && isSteady) || fault.kind !== this.#lastFault) onUnavailable(fault);
      this.#lastFault = fault.kind;
    }
    this.#isAvailable = false;
    this.#cancelRetry();
    this.#cancelRetry = clock.schedule(retryMs, () => this.#retry(fault));
  }

  #retry(fault: RedisFault): void {
    if (!fault.elsewhere) return void this.#connect();
    // The new connection emits `ready` by itself, unless it has the same fault.
    this.#client.reconnect();
    this.#cancelRetry = this.#options.clock.schedule(reconnectMs, () => this.#retry(fault));
  }

  /** Makes this process a node with a lease and working subscriptions; one at a time. */
  #connect(): Promise<void> {
    this.#connecting ??= (async () => {
      try {
        await this.#activate();
      } catch (error) {
        this.#markUnavailable(error);
      } finally {
        this.#connecting = undefined;
      }
    })();
    return this.#connecting;
  }

  async #activate(): Promise<void> {
    if (this.#isClosed) return;
    const { location, clock, onActivating, onAvailable } = this.#options;
    const { connections } = this.#client;
    const checkConnection = () => {
      if (connections !== this.#client.connections)
        throw new RedisUnavailable("the client is offline: it has connected again meanwhile");
    };
    const info = String(await this.command("INFO", "server", "replication", "cluster"));
    const isInCluster = /^cluster_enabled:1/m.test(info);
    if (typeof location === "string" && isInCluster) throw new Unfit(clusterFault);
    if (/^role:slave/m.test(info)) throw new RedisUnavailable("this Redis is a replica");
    await this.#redisClock.sync();
    this.#replicationId = replicationIdOf(info);
    const life = {
      replication_id: this.#replicationId,
      moved_from: isInCluster ? await this.#slotMoves.movedFrom(info) : "",
    };
    checkConnection();
    const dataEpoch = String(await this.#evaluate(scripts.dataEpoch, life));
    const isAlive =
      this.#id !== "" && dataEpoch === this.#dataEpoch && (await this.#sendHeartbeat(false));
    if (!isAlive) await this.#register(dataEpoch);
    // Without any signal this does nothing, but is refused while memory is full, as all that writes; only the lease is renewed then,
    // so that no session is lost for it. From now on Redis also knows the script: one that has to be sent again as a whole is
    // overtaken by the signals behind it.
    await this.#evaluate(scripts.relaySignals, { events_max: 0, bytes_max: 0 });
    if (!(await this.hasCaughtUp())) throw new RedisUnavailable("published messages do not arrive");
    await onActivating();
    checkConnection();
    this.#isAvailable = true;
    this.#availableSince = clock.elapsed();
    this.#cancelRetry();
    onAvailable(isAlive ? "as before" : "as a new node");
    for (const resolve of this.#readyListeners.splice(0)) resolve();
    this.#scheduleHeartbeat();
  }

  async #register(dataEpoch: string): Promise<void> {
    const before = this.#id;
    this.#id = this.randomId();
    this.#dataEpoch = dataEpoch;
    await this.#client.subscribe(this.keys.allNodes());
    await this.#client.subscribe(this.keys.nodeChannel(this.#id));
    await this.#sendHeartbeat(true);
    if (before !== "") await this.#client.unsubscribe(this.keys.nodeChannel(before));
    this.#options.onRegistered();
  }

  /** The lease has ended: a node that was stopped must not continue as if nothing had happened. */
  #restart(): void {
    if (this.#isAvailable) this.#options.onUnavailable(fencedOff);
    this.#isAvailable = false;
    void this.#connect();
  }

  // -------------------------------------------------------------------------------------------
  // Heartbeat

  #scheduleHeartbeat(): void {
    this.#cancelHeartbeat();
    if (this.#isClosed) return;
    const { clock } = this.#options;
    this.#cancelHeartbeat = clock.schedule(this.#heartbeatMs, () => void this.#heartbeat());
  }

  async #heartbeat(): Promise<void> {
    try {
      if (this.#isAvailable && !(await this.#sendHeartbeat(false))) this.#restart();
      if (this.#isAvailable) {
        this.#checkSubscription();
        await this.#options.onHeartbeat();
      }
    } catch (error) {
      this.#markUnavailable(error);
    }
    this.#scheduleHeartbeat();
  }

  /** Renews the lease, and finds nodes whose lease has ended. `false`: that of this one has. */
  async #sendHeartbeat(begins: boolean): Promise<boolean> {
    const { prefix, shard, location, leaseMs, about, onNodeGone, onDeadline } = this.#options;
    const load = this.#options.load();
    const isInCluster = typeof location !== "string" && location.kind === "cluster";
    if (!begins) await this.#redisClock.sync();
    const { url } = this.#client;
    const begunAt = this.#options.clock.elapsed();
    const reply = await this.#evaluate(scripts.heartbeat, {
      layout_key: layoutKey(prefix, isInCluster ? shard : undefined),
      layout: layoutVersion,
      now: this.now(),
      lease_ms: leaseMs,
      begins: begins ? "1" : "0",
      about,
      load,
    });
    if (reply === fencedReply) return false;
    if (reply[0] === "layout") throw new Unfit(layoutFault(String(reply[1])));
    this.#leaseUntil = begunAt + leaseMs;
    this.#slotMoves.wasWholeAt(url, this.#replicationId);
    const [gone, loads, firstDue] = reply;
    if (load !== "") this.#options.onLoads(loads);
    for (const [node, lastHeartbeat] of gone)
      if (node !== this.#id) onNodeGone(node, Number(lastHeartbeat));
    if (firstDue !== undefined) onDeadline(Number(firstDue));
    return true;
  }

  /** A subscription can stop delivering without an error: messages of this node to itself must return. */
  #checkSubscription(): void {
    const { clock } = this.#options;
    const askedAt = clock.elapsed();
    void this.hasCaughtUp(this.#heartbeatMs).then((did) => {
      if (!did && !this.#isClosed && this.#lastMessageAt <= askedAt) this.#client.resubscribe();
    });
  }
}
