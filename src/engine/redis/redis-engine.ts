/**
 * The engine that keeps everything in Redis, for many nodes with one lobby: no leader, no sticky sessions. A verb reads the
 * few sessions that it concerns, derives a change, and commits it if no other node was faster (transactor.ts); a signal is
 * one script. Each node has a lease; the other nodes take over the sessions of one that is gone, and a node that was only
 * stopped finds itself fenced off and registers as a new one (node.ts).
 */
import type { Moved } from "../../domain/change.ts";
import type { LogEntry } from "../../domain/event-log.ts";
import type { Subject, Suspension, Verdict } from "../../domain/moderation.ts";
import { resultKeptMs, resultsMax } from "../../domain/recorded-result.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import {
  knowsRoom,
  partyOf,
  reporterOf,
  statusOf,
  type RoomEnd,
  type Session,
} from "../../domain/session.ts";
import type { Ticket, Wishes } from "../../domain/ticket.ts";
import * as transitions from "../../domain/transitions.ts";
import { createWaitEstimators } from "../../domain/wait-estimate.ts";
import { limits, type Status } from "../../protocol.ts";
import type { System } from "../../system.ts";
import { eligibleMax } from "../constants.ts";
import { DeadlineNotifier } from "../deadline-notifier.ts";
import type {
  Attached,
  AttachRequest,
  Caller,
  EndRequest,
  Engine,
  EngineOptions,
  MatchOptions,
  PairRequest,
  Reported,
  Stats,
  Stream,
} from "../engine.ts";
import { sharedAddressKey } from "./address-key.ts";
import { RedisUnavailable } from "./client.ts";
import type { RedisFault } from "./faults.ts";
import { Inboxes } from "./inbox.ts";
import { defaultPrefix } from "./keys.ts";
import type { NodeMessage } from "./messages.ts";
import { ModerationLog, type Entry } from "./moderation-log.ts";
import { isUnavailable, Node } from "./node.ts";
import { scripts } from "./scripts.ts";
import { SocketCounts } from "./socket-counts.ts";
import { RedisStreams } from "./streams.ts";
import { Sweeper } from "./sweeper.ts";
import { parseRecorded, Transactor } from "./transactor.ts";

export interface RedisOptions {
  /** redis://[user:password@]host:port[/database], or rediss:// for TLS. */
  url: string;
  /** Before each key and channel, so that several sites can share one Redis. Default: `peer-stream:`. */
  prefix?: string;
  /** What anybody with access to Redis may know of this node; `doctor` reads it. */
  about?: string;
  /** Those of session tokens; the key of address hashes is stored under each of them. Without any there is none. */
  secrets?: readonly string[];
  /** How long a node is considered alive without a heartbeat (milliseconds). */
  leaseMs?: number;
  /** A command that takes longer has failed (milliseconds). */
  timeoutMs?: number;
  /** The clock of deadlines (epoch milliseconds) instead of that of Redis: for tests on virtual time. */
  deadlineClock?: () => number;
  /** Real time, for leases and connections. */
  clock: Pick<System, "schedule" | "random" | "now" | "elapsed">;
  /** It is available again, or for the first time. */
  onAvailable?: (how: string) => void;
  /** It is unavailable; called again when the reason changes. */
  onUnavailable?: (fault: RedisFault) => void;
  /** An error that no caller waits for. */
  onBug?: (error: unknown, where: string) => void;
}

/** What an address does on all nodes together. */
export interface SharedAddresses {
  /** The key of address hashes, the same on all nodes; `undefined` until Redis was reached. */
  key(): Buffer | undefined;
  admit: SocketCounts["admit"];
}

/** @param system its `id` must be unguessable: it makes the key of address hashes. */
export function createRedisEngine(
  system: Pick<System, "id">,
  options: EngineOptions,
  redis: RedisOptions,
): RedisEngine {
  return new RedisEngine(system, options, redis);
}

export class RedisEngine implements Engine {
  /** The same on all nodes. */
  readonly now: () => number;
  readonly addresses: SharedAddresses;
  readonly #redis: RedisOptions;
  readonly #node: Node;
  readonly #inboxes: Inboxes;
  readonly #waits = createWaitEstimators();
  readonly #notifier = new DeadlineNotifier();
  readonly #moderation: ModerationLog;
  readonly #transactor: Transactor;
  readonly #streams: RedisStreams;
  readonly #sweeper: Sweeper;
  readonly #sockets: SocketCounts;
  #addressKey: Buffer | undefined;
  #onRoomEnded: (end: RoomEnd) => void = () => {};

  constructor(system: Pick<System, "id">, options: EngineOptions, redis: RedisOptions) {
    const { clock, timeoutMs = 800, secrets = [] } = redis;
    this.#redis = redis;
    this.#inboxes = new Inboxes(clock, timeoutMs);
    const node = new Node({
      url: redis.url,
      prefix: redis.prefix ?? defaultPrefix,
      about: redis.about ?? "",
      leaseMs: redis.leaseMs ?? 6000,
      timeoutMs,
      clock,
      now: redis.deadlineClock,
      onMessage: (message) => this.#receive(message),
      onRegistered: () => this.#inboxes.clear(),
      onActivating: async () => {
        await this.#moderation.sync();
        if (secrets.length === 0) return;
        this.#addressKey = await sharedAddressKey(this.#addressKey, secrets, {
          command: (...args) => node.command(...args),
          at: node.keys.addressKeys(),
          newId: () => system.id(),
        });
      },
      onAvailable: (how) => this.#becomeAvailable(how),
      onUnavailable: (fault) => redis.onUnavailable?.(fault),
      onNodeGone: (gone, lastHeartbeat) =>
        this.#inBackground("taking over a node", () => this.#sweeper.takeOver(gone, lastHeartbeat)),
      onDeadline: (at) => this.#notifier.notify(Math.max(this.now(), at)),
    });
    this.#node = node;
    this.now = () => node.now();
    this.#moderation = new ModerationLog({
      limits: options.moderation,
      keys: node.keys,
      now: this.now,
      command: (...args) => node.command(...args),
      notifyNodes: () => node.publish(node.keys.allNodes(), { type: "moderation" }),
      onVerdict: (verdict) => {
        if (node.available) this.#inBackground("a suspension", () => this.#evictHere(verdict));
      },
    });
    this.#transactor = new Transactor({
      node,
      keys: node.keys,
      inboxes: this.#inboxes,
      waits: this.#waits,
      options,
      now: this.now,
      onDeadline: (at) => this.#notifier.notify(at),
      suspended: (session) => this.#suspended(session),
      onRoomEnded: (end) => this.#onRoomEnded(end),
    });
    const inBackground = (what: string, task: () => Promise<unknown>) =>
      this.#inBackground(what, task);
    const shared = { node, transactor: this.#transactor, options };
    const { random } = clock;
    this.#streams = new RedisStreams({ ...shared, inboxes: this.#inboxes, random, inBackground });
    this.#sweeper = new Sweeper({ ...shared, streams: this.#streams, notifier: this.#notifier });
    this.#sockets = new SocketCounts({
      admit: (args) => this.#transactor.answering(() => node.run(scripts.admitSocket, args)),
      command: (...args) => node.command(...args),
      key: () => node.keys.sockets(node.id),
    });
    this.addresses = {
      key: () => this.#addressKey,
      admit: (...args) => this.#sockets.admit(...args),
    };
  }

  /** Resolves when Redis is available for the first time. */
  opened(): Promise<void> {
    return this.#node.ready();
  }

  /** Resolves when this node has received all messages that were published before. */
  async caughtUp(): Promise<void> {
    await this.#node.ready();
    await this.#node.hasCaughtUp();
  }

  // -------------------------------------------------------------------------------------------
  // Streams

  attach(request: AttachRequest): Promise<Attached | Rejection> {
    return this.#transactor.answering<Attached | Rejection>(() => this.#streams.attach(request));
  }

  detach(stream: Stream): Promise<void> {
    return this.#streams.detach(stream);
  }

  read(
    stream: Stream,
    after: number,
  ):
    | LogEntry[]
    | "overflow"
    | "detached"
    | Rejection
    | Promise<LogEntry[] | "overflow" | "detached" | Rejection> {
    return this.#streams.read(stream, after);
  }

  // -------------------------------------------------------------------------------------------
  // Verbs

  status(caller: Caller): Promise<{ status: Status; roomId?: string } | Rejection> {
    return this.#transactor.answering<{ status: Status; roomId?: string } | Rejection>(async () => {
      const transaction = await this.#transactor.look(caller.sessionId);
      const session = transaction.get(caller.sessionId)?.value;
      if (!session) return { status: "idle" };
      if (caller.generation < session.generation) return reject("taken-over");
      const status = statusOf(session);
      return session.room ? { status, roomId: session.room.id } : { status };
    });
  }

  enqueue(caller: Caller, asked?: Wishes): Promise<Moved | Rejection> {
    const unknown = reject("not-subscribed");
    return this.#transactor.forCaller<Moved>(caller, unknown, ({ value }, transaction) =>
      transitions.enqueue(value, asked, this.#transactor.surroundings(transaction)),
    );
  }

  async updateRecordedResult({ sessionId, mutationId }: Caller, status: Status): Promise<void> {
    if (mutationId === undefined) return;
    const key = this.#node.keys.results(sessionId);
    await this.#transactor.answering(async () => {
      const recorded = parseRecorded(String(await this.#node.command("HGET", key, mutationId)));
      if (!recorded) return;
      const result = JSON.stringify({ ...recorded.result, status });
      await this.#node.command("HSET", key, mutationId, `${recorded.head}${result}`);
    });
  }

  async matchOptions(sessionId: string): Promise<MatchOptions | undefined> {
    const args = { session: sessionId, now: this.now(), max: eligibleMax };
    const found = await this.#transactor.answering(() => this.#node.run(scripts.eligible, args));
    if (isRejection(found)) return undefined;
    const [ticket, ...eligible] = found.flatMap(([, revision, json]): Ticket[] =>
      json === null ? [] : [{ ...(JSON.parse(json) as Ticket), revision: Number(revision) }],
    );
    if (!ticket) return undefined;
    return { ticket, eligible: eligible.sort((a, b) => a.queuedSince - b.queuedSince) };
  }

  async pair(request: PairRequest): Promise<boolean> {
    const { impolite, polite } = request;
    const ids: [string, string] = [impolite.sessionId, polite.sessionId];
    if (ids[0] === ids[1]) return false;
    const paired = await this.#transactor.answering(async () => {
      // A session that comes to avoid the other one after this has another revision.
      if (await this.#avoidEachOther(...ids)) return false;
      return this.#transactor.transact({ ids }, (transaction) => {
        const [first, second] = ids.map((id) => transaction.get(id)?.value);
        if (first?.ticket?.revision !== impolite.revision) return false;
        if (second?.ticket?.revision !== polite.revision) return false;
        const around = this.#transactor.surroundings(transaction);
        return transaction.apply(transitions.pair(first, second, request, around));
      });
    });
    return paired === true;
  }

  async #avoidEachOther(one: string, other: string): Promise<boolean> {
    const { keys } = this.#node;
    const until = (session: string, avoided: string) =>
      this.#node.command("ZSCORE", keys.avoidances(session), avoided);
    const ends = await Promise.all([until(one, other), until(other, one)]);
    return ends.some((end) => end !== null && Number(end) > this.now());
  }

  send(caller: Caller, roomId: string, signal: string | undefined): Promise<boolean | Rejection> {
    return this.#transactor.answering<boolean | Rejection>(async () => {
      const now = this.now();
      const outcome = await this.#node.run(scripts.relaySignal, {
        now,
        events_max: limits.logEventsMax,
        bytes_max: limits.logBytesMax,
        results_max: resultsMax,
        session: caller.sessionId,
        generation: caller.generation,
        room: roomId,
        signal: signal ?? "",
        mutation: caller.mutationId ?? "",
        recorded_since: now - resultKeptMs,
      });
      switch (outcome) {
        case "delivered":
          return true;
        case "dropped":
          return false;
        case "taken-over":
          return reject("taken-over");
        case "unknown session":
          return reject("not-in-room");
        case "another room":
          return this.#sendToPastRoom(caller, roomId);
      }
    });
  }

  /** Not delivered if the room was the caller's; else it is refused. */
  async #sendToPastRoom(caller: Caller, roomId: string): Promise<boolean | Rejection> {
    const outcome = await this.#transactor.forCaller<{ delivered: boolean }>(
      caller,
      reject("not-in-room"),
      ({ value }) =>
        knowsRoom(value, roomId)
          ? { ...noChange, result: { delivered: false } }
          : reject("not-in-room"),
    );
    return isRejection(outcome) ? outcome : outcome.delivered;
  }

  confirm(caller: Caller, roomId: string): Promise<transitions.Confirmed | Rejection> {
    return this.#transactor.forCaller<transitions.Confirmed>(
      caller,
      reject("not-in-room"),
      (draft, transaction) => {
        const around = this.#transactor.surroundings(transaction);
        return transitions.confirm(draft.value, transaction.partnerOf(draft), roomId, around);
      },
    );
  }

  end(caller: Caller, request: EndRequest): Promise<transitions.Ended | Rejection> {
    return this.#transactor.forCaller<transitions.Ended>(
      caller,
      { status: "idle", newlyWaiting: [], known: false },
      (draft, transaction) => {
        const around = this.#transactor.surroundings(transaction);
        return transitions.end(draft.value, transaction.partnerOf(draft), request, around);
      },
    );
  }

  async avoid(caller: Caller, roomId: string): Promise<{ partnerId: string } | Rejection> {
    const met = await this.#metIn(caller, roomId);
    if (isRejection(met)) return met;
    const partnerId = met.partner.sessionId;
    return this.#transactor.forCaller<{ partnerId: string }>(
      caller,
      reject("not-in-room"),
      ({ value }, transaction) => {
        const around = this.#transactor.surroundings(transaction);
        if (transitions.partnerIn(value, roomId, around)?.partnerId !== partnerId)
          return reject("not-in-room");
        const partner = transaction.getOrCreate(partnerId).value;
        return transitions.block(value, partner, roomId, around);
      },
      [partnerId],
    );
  }

  /** The caller, and the other member of its current or recent room, as parties of a report. */
  async #metIn(caller: Caller, roomId: string) {
    return this.#transactor.answering(async () => {
      const transaction = await this.#transactor.look(caller.sessionId);
      const session = transaction.get(caller.sessionId)?.value;
      if (session && caller.generation < session.generation) return reject("taken-over");
      const around = this.#transactor.surroundings(transaction);
      const met = session && transitions.partnerIn(session, roomId, around);
      if (!session || !met) return reject("not-in-room");
      const { partnerId, votes } = met;
      const partner = (await this.#transactor.look(partnerId)).getOrCreate(partnerId).value;
      return { reporter: reporterOf(session), partner: partyOf(partner), votes };
    });
  }

  // -------------------------------------------------------------------------------------------
  // Moderation

  async report(caller: Caller, roomId: string): Promise<Reported | Rejection> {
    const met = await this.#metIn(caller, roomId);
    if (isRejection(met)) return met;
    const { reporter, partner: reported, votes: earned } = met;
    return this.#transactor.answering(async () => {
      const at = this.now();
      const verdict = await this.#moderate({
        kind: "report",
        at,
        roomId,
        reporter,
        reported,
        earned,
      });
      return { ...verdict, reported, newlyWaiting: await this.#evict(verdict, "all nodes") };
    });
  }

  suspend(subject: Subject, until: number): Promise<Pick<Reported, "newlyWaiting"> | Rejection> {
    return this.#transactor.answering(async () => {
      const verdict = await this.#moderate({ kind: "suspend", at: this.now(), subject, until });
      return { newlyWaiting: await this.#evict(verdict, "all nodes") };
    });
  }

  lift(subject: Subject): Promise<boolean | Rejection> {
    return this.#transactor.answering(async () => {
      const { counted } = await this.#moderate({ kind: "lift", at: this.now(), subject });
      return counted;
    });
  }

  suspensions(): Suspension[] {
    return this.#moderation.list(this.now());
  }

  async #moderate(entry: Entry): Promise<Verdict> {
    if (!this.#node.available) throw new RedisUnavailable("Redis is unavailable");
    return this.#moderation.append(entry);
  }

  #suspended(session: Session): Rejection | undefined {
    const until = this.#moderation.suspendedUntil(partyOf(session), this.now());
    return until === undefined ? undefined : reject("suspended", { until });
  }

  /**
   * Takes sessions out of lobby and room to which a suspension applies: those that are connected here, and for `all nodes`
   * also one that is named by its id, wherever it is. Returns whose tickets entered the lobby.
   */
  async #evict({ suspended }: Verdict, where: "here" | "all nodes"): Promise<string[]> {
    const newlyWaiting: string[] = [];
    for (const { subject } of suspended) {
      const isNamed = where === "all nodes" || this.#inboxes.has(subject.id);
      const named = isNamed ? [subject.id] : [];
      for (const id of subject.kind === "address" ? this.#inboxes.at(subject.id) : named) {
        const evicted = await this.#transactor.transact({ ids: [id] }, (transaction) => {
          const draft = transaction.get(id);
          if (!draft) return { newlyWaiting: [] };
          const around = this.#transactor.surroundings(transaction);
          const partner = transaction.partnerOf(draft);
          return transaction.apply(transitions.evict(draft.value, partner, around));
        });
        if (!isRejection(evicted)) newlyWaiting.push(...evicted.newlyWaiting);
      }
    }
    return newlyWaiting;
  }

  /** Another node has suspended: a partner that enters the lobby because of it looks for a new one at the next sweep. */
  async #evictHere(verdict: Verdict): Promise<void> {
    this.#sweeper.matchAtNextSweep(await this.#evict(verdict, "here"));
  }

  // -------------------------------------------------------------------------------------------
  // The engine as a whole

  stats(): Promise<Stats | Rejection> {
    return this.#transactor.answering(async () => (await this.#transactor.look()).counts);
  }

  available(): boolean {
    return this.#node.available;
  }

  onDeadline(listener: (at: number) => void): void {
    this.#notifier.listen(listener);
  }

  onEnded(listener: (end: RoomEnd) => void): void {
    this.#onRoomEnded = listener;
  }

  sweep(): Promise<{ newlyWaiting: string[]; nextAt?: number }> {
    return this.#sweeper.sweep();
  }

  async close(): Promise<void> {
    this.#node.close();
  }

  #receive(message: NodeMessage): void {
    switch (message.type) {
      case "event":
        return this.#inboxes.onEvent(message.sessionId, message.offset, message.text);
      case "take-over":
        return this.#inboxes.onTakeOver(message.sessionId, message.generation);
      case "moderation":
        return this.#inBackground("suspensions", () => this.#moderation.sync());
      case "paired":
        return this.#waits[message.mode].record(message.waitedMs, this.now());
      case "echo":
        return; // the node's own
    }
  }

  #becomeAvailable(how: string): void {
    this.#redis.onAvailable?.(how);
    this.#sockets.writeAll();
    // Events that were published meanwhile are in the logs, which can be read from now on.
    this.#inboxes.invalidate();
    this.#streams.detachPending();
    this.#inBackground("waiting tickets", async () => {
      const { waiting } = (await this.#transactor.look()).counts;
      if (Object.values(waiting).some((count) => count > 0)) this.#sweeper.rematchAll();
    });
  }

  /** Runs a task whose result nothing waits for. That Redis is unavailable is no news; anything else is a bug. */
  #inBackground(what: string, task: () => Promise<unknown>): void {
    task().catch((error: unknown) => {
      if (!isUnavailable(error)) this.#redis.onBug?.(error, what);
    });
  }
}

const noChange = { sessions: [], room: undefined, events: [], avoidances: [] };
