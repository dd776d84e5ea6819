/**
 * The engine that keeps everything in Redis, for many nodes with one lobby: no leader, no sticky sessions. A verb reads the
 * few sessions that it concerns, derives a change, and commits it if no other node was faster (transactor.ts); the signals of
 * a few milliseconds are one script. Each node has a lease; the other nodes take over the sessions of one that is gone, and a node that was only
 * stopped finds itself fenced off and registers as a new one (node.ts).
 */
import type { Moved } from "../../domain/change.ts";
import type { LogEntry } from "../../domain/event-log.ts";
import type { Subject, Suspension } from "../../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import { partyOf, reporterOf, statusOf, type RoomEnd } from "../../domain/session.ts";
import type { Wishes } from "../../domain/ticket.ts";
import * as transitions from "../../domain/transitions.ts";
import { modes, type Status } from "../../protocol.ts";
import type { System } from "../../system.ts";
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
import type { RedisFault } from "./faults.ts";
import { Inboxes } from "./inbox.ts";
import { defaultPrefix } from "./keys.ts";
import type { RedisLocation, RedisTls } from "./location.ts";
import { Lobby } from "./lobby.ts";
import type { NodeMessage } from "./messages.ts";
import { isUnavailable, Node } from "./node.ts";
import { scripts } from "./scripts.ts";
import { SharedWaits } from "./shared-waits.ts";
import { SignalRelay } from "./signal-relay.ts";
import { SocketCounts } from "./socket-counts.ts";
import { Suspensions } from "./suspensions.ts";
import { RedisStreams } from "./streams.ts";
import { Sweeper } from "./sweeper.ts";
import { Transactor } from "./transactor.ts";

export interface RedisOptions {
  url: RedisLocation;
  tls?: RedisTls | undefined;
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
  /** Signals wait so long for others at most, so that Redis is woken less often (milliseconds). Default: 8. */
  batchMs?: number;
  /** Real time, for leases and connections. */
  clock: Pick<System, "schedule" | "defer" | "random" | "now" | "elapsed">;
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
  readonly #waits: SharedWaits;
  readonly #notifier = new DeadlineNotifier();
  readonly #suspensions: Suspensions;
  readonly #transactor: Transactor;
  readonly #streams: RedisStreams;
  readonly #lobby: Lobby;
  readonly #relay: SignalRelay;
  readonly #sweeper: Sweeper;
  readonly #sockets: SocketCounts;
  #addressKey: Buffer | undefined;
  #onRoomEnded: (end: RoomEnd) => void = () => {};

  constructor(system: Pick<System, "id">, options: EngineOptions, redis: RedisOptions) {
    const { clock, timeoutMs = 800, secrets = [] } = redis;
    this.#redis = redis;
    this.#inboxes = new Inboxes(clock, timeoutMs);
    const node = new Node({
      location: redis.url,
      tls: redis.tls,
      prefix: redis.prefix ?? defaultPrefix,
      about: redis.about ?? "",
      leaseMs: redis.leaseMs ?? 6000,
      timeoutMs,
      clock,
      now: redis.deadlineClock,
      onMessage: (message) => this.#receive(message),
      onRegistered: () => this.#inboxes.clear(),
      onActivating: async () => {
        await this.#suspensions.sync();
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
      onHeartbeat: () => this.#waits.tell(),
    });
    this.#node = node;
    this.now = () => node.now();
    this.#waits = new SharedWaits({ node, now: this.now });
    this.#transactor = new Transactor({
      node,
      keys: node.keys,
      inboxes: this.#inboxes,
      waits: this.#waits,
      options,
      now: this.now,
      onDeadline: (at) => this.#notifier.notify(at),
      suspended: (session) => this.#suspensions.of(session),
      onRoomEnded: (end) => this.#onRoomEnded(end),
      flushSignals: () => this.#relay.flush(),
      onOptions: (options) => this.#lobby.remember(options),
    });
    const inBackground = (what: string, task: () => Promise<unknown>) =>
      this.#inBackground(what, task);
    const shared = { node, transactor: this.#transactor, options };
    const { random } = clock;
    this.#streams = new RedisStreams({ ...shared, inboxes: this.#inboxes, random, inBackground });
    this.#sweeper = new Sweeper({ ...shared, streams: this.#streams, notifier: this.#notifier });
    this.#lobby = new Lobby(node, this.#transactor);
    this.#relay = new SignalRelay({
      node,
      transactor: this.#transactor,
      inboxes: this.#inboxes,
      clock,
      batchMs: redis.batchMs ?? 8,
    });
    this.#suspensions = new Suspensions({
      node,
      transactor: this.#transactor,
      inboxes: this.#inboxes,
      limits: options.moderation,
      inBackground,
      onNewlyWaiting: (sessionIds) => this.#sweeper.matchAtNextSweep(sessionIds),
    });
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
      const refusal = this.#transactor.refusalOf(caller, session);
      if (refusal) return refusal;
      if (!session) return { status: "idle" };
      const status = statusOf(session);
      return session.room ? { status, roomId: session.room.id } : { status };
    });
  }

  enqueue(caller: Caller, asked?: Wishes): Promise<Moved | Rejection> {
    const unknown = reject("not-subscribed");
    return this.#transactor.forCaller<Moved>(caller, unknown, ({ value }) =>
      transitions.enqueue(value, asked, this.#transactor.surroundings()),
    );
  }

  matchOptions(sessionId: string, asEntered?: boolean): Promise<MatchOptions | undefined> {
    return this.#lobby.matchOptions(sessionId, asEntered);
  }

  pair(request: PairRequest): Promise<boolean> {
    return this.#lobby.pair(request);
  }

  send(caller: Caller, roomId: string, signal: string | undefined): Promise<boolean | Rejection> {
    return this.#relay.send(caller, roomId, signal);
  }

  confirm(caller: Caller, roomId: string): Promise<transitions.Confirmed | Rejection> {
    return this.#transactor.forCaller<transitions.Confirmed>(
      caller,
      reject("not-in-room"),
      (draft, transaction) => {
        const around = this.#transactor.surroundings();
        return transitions.confirm(draft.value, transaction.partnerOf(draft), roomId, around);
      },
    );
  }

  end(caller: Caller, request: EndRequest): Promise<transitions.Ended | Rejection> {
    return this.#transactor.forCaller<transitions.Ended>(
      caller,
      transitions.endOfUnknown(request.ending),
      (draft, transaction) => {
        const around = this.#transactor.surroundings();
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
        const around = this.#transactor.surroundings();
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
      const refusal = this.#transactor.refusalOf(caller, session);
      if (refusal) return refusal;
      const around = this.#transactor.surroundings();
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
    return this.#transactor.answering(() =>
      this.#suspensions.report({ roomId, reporter, reported, earned }),
    );
  }

  suspend(subject: Subject, until: number): Promise<Pick<Reported, "newlyWaiting"> | Rejection> {
    return this.#transactor.answering(() => this.#suspensions.suspend(subject, until));
  }

  lift(subject: Subject): Promise<boolean | Rejection> {
    return this.#transactor.answering(() => this.#suspensions.lift(subject));
  }

  suspensions(): Suspension[] {
    return this.#suspensions.list();
  }

  // -------------------------------------------------------------------------------------------
  // The engine as a whole

  stats(): Promise<Stats | Rejection> {
    return this.#transactor.answering(() => this.#counts());
  }

  async #counts(): Promise<Stats> {
    const [online = 0, ...byMode] = await this.#node.run(scripts.readCounts, {});
    const waiting = { video: 0, audio: 0, text: 0 };
    const rooms = { video: 0, audio: 0, text: 0 };
    for (const [index, mode] of modes.entries()) {
      waiting[mode] = byMode[2 * index] ?? 0;
      rooms[mode] = byMode[2 * index + 1] ?? 0;
    }
    return { online, waiting, rooms };
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
      case "events":
        for (const { sessionId, offset, text } of message.events)
          this.#inboxes.onEvent(sessionId, offset, text);
        return;
      case "take-over":
        return this.#inboxes.onTakeOver(message.sessionId, message.generation);
      case "moderation":
        return this.#inBackground("suspensions", () => this.#suspensions.sync());
      case "waited":
        return this.#waits.receive(message);
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
      const { waiting } = await this.#counts();
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
