/**
 * The engine that keeps everything in Redis, for many nodes: no leader, no sticky sessions. The lobby is one or several
 * shards (shard.ts), each on a Redis or on a slot of a cluster. A session is born in one of them (shard-ids.ts) and meets those who are
 * there; as the lobby grows, further shards open (openings.ts), and who would wait in vain in one of them is moved to another
 * (moves.ts). What belongs to the whole site (suspensions, the sockets of an address, the key of address hashes) is in shard 0.
 */
import type { RoomMessages } from "../../domain/attestation.ts";
import type { Subject, Suspension } from "../../domain/moderation.ts";
import { isRejection, type Rejection } from "../../domain/rejection.ts";
import type { Room, RoomEnd } from "../../domain/session.ts";
import type { SiteStats } from "../../domain/stats.ts";
import type { Wishes } from "../../domain/ticket.ts";
import type { Media, StandingOffer, Stats } from "../../protocol.ts";
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
  Stream,
} from "../engine.ts";
import type { Marks } from "../marks.ts";
import { sharedAddressKey } from "./address-key.ts";
import { defaultPrefix } from "./keys.ts";
import { Moves } from "./moves.ts";
import { RedisOperatorView } from "./operator-view.ts";
import { Openings } from "./openings.ts";
import { Reporting } from "./reporting.ts";
import { defaultLeaseMs, type RedisOptions } from "./redis-options.ts";
import { scripts } from "./scripts.ts";
import { Shard } from "./shard.ts";
import { shardsMax } from "./shard-ids.ts";
import { SharedLoads } from "./shared-loads.ts";
import { createSharedMarks } from "./shared-marks.ts";
import { SocketCounts, type SharedAddresses } from "./socket-counts.ts";
import { Suspensions } from "./suspensions.ts";

/** @param system its `id` must be unguessable: it makes the key of address hashes. */
export function createRedisEngine(
  system: Pick<System, "id">,
  options: EngineOptions,
  redis: RedisOptions,
): RedisEngine {
  return new RedisEngine(system, options, redis);
}

export class RedisEngine implements Engine {
  readonly addresses: SharedAddresses;
  readonly marks: Marks;
  readonly operator: RedisOperatorView;
  readonly loads: SharedLoads;
  readonly #redis: RedisOptions;
  readonly #shards: readonly Shard[];
  readonly #site: Shard;
  readonly #notifier = new DeadlineNotifier();
  readonly #suspensions: Suspensions;
  readonly #reporting: Reporting;
  readonly #sockets: SocketCounts;
  readonly #openings: Openings;
  readonly #moves: Moves;
  #addressKey: Buffer | undefined;
  #onRoomEnded: (end: RoomEnd) => void = () => {};
  #onMetAgain: (room: Room) => void = () => {};
  #onDisconnect: (subject: Subject) => void = () => {};

  /** @throws if there is no location, or if there are more than ids can name. */
  constructor(system: Pick<System, "id">, options: EngineOptions, redis: RedisOptions) {
    const { locations, openAbove = 40_000, closeBelow = 25_000 } = redis;
    const { seekAfterMs = options.relax.anybodyAfterMs + 3000 } = redis;
    this.#redis = redis;
    this.#shards = locations.map((_, number) => this.#createShard(number, options, system));
    const [site] = this.#shards;
    if (!site || locations.length > shardsMax)
      throw new Error(`an engine in Redis has between 1 and ${shardsMax} locations`);
    this.#site = site;
    for (const shard of this.#shards)
      shard.notifier.listen((at) => this.#notifier.notify(this.#bySiteClock(shard, at)));
    const shards = this.#shards;
    this.operator = new RedisOperatorView(shards, site);
    this.loads = new SharedLoads(redis.name ?? "", shards, site, (id, verb) => this.#at(id, verb));
    this.#openings = new Openings({ shards, openAbove, closeBelow });
    this.#moves = new Moves({ shards, openings: this.#openings, options, seekAfterMs });
    this.#suspensions = new Suspensions({
      node: site.node,
      limits: options.moderation,
      decisionsKeepMs: options.decisionsKeepMs,
      lifecycle: options.lifecycle,
      clock: redis.clock,
      onLifecycle: () => site.lifecycle.appended(),
      evict: async (id) => {
        const evicted = await this.#at(id, ({ verdicts }) => verdicts.evict(id));
        return isRejection(evicted) ? [] : evicted;
      },
      warn: (id, warning) => this.#at(id, ({ verdicts }) => verdicts.warn(id, warning)),
      connected: (subject) => shards.flatMap(({ inboxes }) => inboxes.sessionsOf(subject)),
      inBackground: (what, task) => site.inBackground(what, task),
      onNewlyWaiting: (sessionIds) => site.sweeper.matchAtNextSweep(sessionIds),
    });
    this.#reporting = new Reporting({
      suspensions: this.#suspensions,
      at: (sessionId, verb) => this.#at(sessionId, verb),
      onSite: (verb) => this.#onSite(verb),
    });
    this.#sockets = new SocketCounts({
      admit: (args) => site.transactor.answering(() => site.node.run(scripts.admitSocket, args)),
      command: (...args) => site.node.command(...args),
      key: () => site.node.keys.sockets(site.node.id),
      lifeMs: 10 * (redis.leaseMs ?? defaultLeaseMs),
    });
    this.marks = createSharedMarks(site);
    this.addresses = {
      key: () => this.#addressKey,
      admit: (...args) => this.#sockets.admit(...args),
    };
  }

  #createShard(shard: number, options: EngineOptions, system: Pick<System, "id">): Shard {
    const redis = this.#redis;
    return new Shard({
      shard,
      location: redis.locations[shard] ?? "",
      tls: redis.tls,
      prefix: redis.prefix ?? defaultPrefix,
      about: redis.about ?? "",
      // It is there by the first heartbeat.
      load: () => (shard === 0 ? this.loads.text() : ""),
      onLoads: (loads) => this.loads.take(loads),
      leaseMs: redis.leaseMs ?? defaultLeaseMs,
      timeoutMs: redis.timeoutMs ?? 800,
      meter: redis.meter,
      clock: redis.clock,
      now: redis.deadlineClock,
      options,
      batchMs: redis.batchMs ?? 8,
      suspended: (session) => this.#suspensions.of(session),
      elsewhere: (lobby) => this.#openings.elsewhere(shard, lobby),
      onRoomEnded: (end) => this.#onRoomEnded(end),
      onMetAgain: (room) => this.#onMetAgain(room),
      onUntold: (entries) => this.#suspensions.tell(entries),
      onUnavailable: (fault) => redis.onUnavailable?.(fault, shard),
      onActivating: () => (shard === 0 ? this.#openSite(system) : Promise.resolve()),
      onAvailable: (how) => {
        redis.onAvailable?.(how, shard);
        if (shard !== 0) return;
        this.#sockets.writeAll();
        this.#site.inBackground("decisions", () => this.#suspensions.sync());
      },
      onHeartbeat: async () => {
        if (this.#shards.length === 1) return;
        await this.#openings.refresh(shard);
        this.#site.inBackground("moving sessions", () => this.#moves.begin(shard));
      },
      onModeration: () => this.#site.inBackground("suspensions", () => this.#suspensions.sync()),
      onDisconnect: (subject) => this.#onDisconnect(subject),
      onTakeOver: (gone, what) => redis.onTakeOver?.(this.loads.nameOf(gone), what, shard),
      onBug: (error, where) => redis.onBug?.(error, where),
    });
  }

  async #openSite(system: Pick<System, "id">): Promise<void> {
    await this.#suspensions.sync();
    await this.#openings.read();
    const { secrets = [] } = this.#redis;
    if (secrets.length === 0) return;
    const keeping = { node: this.#site.node, newId: () => system.id() };
    this.#addressKey = await sharedAddressKey(this.#addressKey, secrets, keeping);
  }

  /** Resolves when Redis is available for the first time. */
  opened(): Promise<void> {
    return this.#site.node.ready();
  }

  /** Resolves when this node has received all messages that were published before. */
  async caughtUp(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.caughtUp()));
  }

  /** Carries out a verb of a session where that is; again, if it was moved at that moment. */
  #at<T>(
    sessionId: string,
    verb: (shard: Shard) => Promise<T>,
    isNew = false,
  ): Promise<T | Rejection> {
    if (this.#shards.length === 1) return verb(this.#site);
    return this.#site.transactor.answering<T>(() => this.#moves.follow(sessionId, verb, isNew));
  }

  // -------------------------------------------------------------------------------------------
  // Streams

  newSessionId(id: string, account?: string): string {
    return this.#openings.newSessionId(id, account);
  }

  attach(request: AttachRequest): Promise<Attached | Rejection> {
    const isNew = request.generation === 0;
    return this.#at(request.sessionId, (shard) => shard.attach(request), isNew);
  }

  async detach(stream: Stream, graceMsMax?: number): Promise<void> {
    await this.#holderOf(stream).detach(stream, graceMsMax);
  }

  read(stream: Stream, after: number): ReturnType<Shard["read"]> {
    return this.#holderOf(stream).read(stream, after);
  }

  /** The shard in which this stream was attached. */
  #holderOf({ sessionId, streamId }: Stream): Shard {
    const holds = ({ inboxes }: Shard) => inboxes.get(sessionId)?.streams.has(streamId) === true;
    return this.#shards.find(holds) ?? this.#site;
  }

  // -------------------------------------------------------------------------------------------
  // Verbs

  status(caller: Caller): ReturnType<Engine["status"]> {
    return this.#at(caller.sessionId, (shard) => shard.status(caller));
  }

  enqueue(caller: Caller, asked?: Wishes): ReturnType<Engine["enqueue"]> {
    return this.#at(caller.sessionId, (shard) => shard.enqueue(caller, asked));
  }

  standby(caller: Caller, offer: StandingOffer | null): ReturnType<Engine["standby"]> {
    return this.#at(caller.sessionId, (shard) => shard.standby(caller, offer));
  }

  async matchOptions(sessionId: string, asEntered?: boolean): Promise<MatchOptions | undefined> {
    const options = await this.#at(sessionId, (shard) => shard.matchOptions(sessionId, asEntered));
    return isRejection(options) ? undefined : options;
  }

  async pair(request: PairRequest): Promise<boolean> {
    const paired = await this.#at(request.impolite.sessionId, (shard) => shard.pair(request));
    return paired === true;
  }

  send(caller: Caller, roomId: string, signal: string | undefined): Promise<boolean | Rejection> {
    return this.#at(caller.sessionId, (shard) => shard.send(caller, roomId, signal));
  }

  media(caller: Caller, roomId: string, media: Media): Promise<{ delivered: boolean } | Rejection> {
    return this.#at(caller.sessionId, (shard) => shard.media(caller, roomId, media));
  }

  confirm(...[caller, ...asked]: Parameters<Engine["confirm"]>): ReturnType<Engine["confirm"]> {
    return this.#at(caller.sessionId, (shard) => shard.confirm(caller, ...asked));
  }

  end(caller: Caller, request: EndRequest): ReturnType<Engine["end"]> {
    return this.#at(caller.sessionId, (shard) => shard.end(caller, request));
  }

  avoid(caller: Caller, roomId: string): Promise<{ partnerId: string } | Rejection> {
    return this.#at(caller.sessionId, async (shard) => {
      const found = await shard.metIn(caller, roomId);
      if (isRejection(found)) return found;
      const blocked = await shard.block(caller, roomId, found.met);
      const { account, addressHash } = found.reporter;
      if (isRejection(blocked) || account === undefined || this.#shards.length === 1)
        return blocked;
      // Later sessions of the account may be in any shard. If one does not answer, the peer repeats the call.
      const party = await this.#at(found.met.partnerId, (at) => at.party(found.met));
      if (isRejection(party)) return party;
      const others = this.#shards.filter((other) => other !== shard);
      await Promise.all(others.map((other) => other.keepBlock(account, party, addressHash)));
      return blocked;
    });
  }

  again(caller: Caller, roomId: string, id: string): ReturnType<Engine["again"]> {
    return this.#at(caller.sessionId, (shard) => shard.again(caller, roomId, id));
  }

  // -------------------------------------------------------------------------------------------
  // Moderation

  report(...report: Parameters<Engine["report"]>): Promise<Reported | Rejection> {
    return this.#reporting.report(...report);
  }

  messagesIn(caller: Caller, roomId: string): Promise<RoomMessages | Rejection> {
    return this.#reporting.messagesIn(caller, roomId);
  }

  suspend(...decision: Parameters<Suspensions["suspend"]>): ReturnType<Engine["suspend"]> {
    return this.#onSite(() => this.#suspensions.suspend(...decision));
  }

  lift(...decision: Parameters<Suspensions["lift"]>): ReturnType<Engine["lift"]> {
    return this.#onSite(() => this.#suspensions.lift(...decision));
  }

  dismiss(...decision: Parameters<Suspensions["dismiss"]>): ReturnType<Engine["dismiss"]> {
    return this.#onSite(() => this.#suspensions.dismiss(...decision));
  }

  decisions(...asked: Parameters<Engine["decisions"]>): ReturnType<Engine["decisions"]> {
    return this.#onSite(() => this.#suspensions.decisions(...asked));
  }

  caseAnswer(caseId: string): ReturnType<Engine["caseAnswer"]> {
    return this.#onSite(() => this.#suspensions.ofCase(caseId));
  }

  /** What belongs to the whole site; `unavailable` while the Redis of shard 0 is. */
  #onSite<T>(verb: () => Promise<T | Rejection>): Promise<T | Rejection> {
    return this.#site.transactor.answering(verb);
  }

  suspensions(): Suspension[] {
    return this.#suspensions.list();
  }

  disconnect(subject: Subject): Promise<Rejection | undefined> {
    const { node } = this.#site;
    return this.#onSite<Rejection | undefined>(async () => {
      await node.publish(node.keys.allNodes(), { type: "disconnect", subject });
      return undefined;
    });
  }

  onDisconnect(listener: (subject: Subject) => void): void {
    this.#onDisconnect = listener;
  }

  // -------------------------------------------------------------------------------------------
  // The engine as a whole

  stats(): Promise<SiteStats | Rejection> {
    return this.#onSite(() => this.#openings.stats());
  }

  statsOf(lobby: string | undefined): Promise<Stats | Rejection> {
    return this.#onSite(() => this.#openings.statsOf(lobby));
  }

  /** Whether at least one part of the lobby is available, and the suspensions were read once. */
  available(): boolean {
    return this.#suspensions.isKnown && this.shardsAvailable().includes(true);
  }

  /** Whether each part is available. */
  shardsAvailable(): boolean[] {
    return this.#shards.map(({ node }) => node.available);
  }

  /** The same on all nodes. */
  now(): number {
    return this.#site.now();
  }

  /** A time by the clock of a shard's Redis, by that of the first one. */
  #bySiteClock(shard: Shard, at: number): number {
    return shard === this.#site ? at : at - shard.now() + this.#site.now();
  }

  onDeadline(listener: (at: number) => void): void {
    this.#notifier.listen(listener);
  }

  onEnded(listener: (end: RoomEnd) => void): void {
    this.#onRoomEnded = listener;
  }

  onMetAgain(listener: (room: Room) => void): void {
    this.#onMetAgain = listener;
  }

  onLifecycle(...listeners: Parameters<Engine["onLifecycle"]>): () => number {
    const waiting = this.#shards.map(({ lifecycle }) => lifecycle.listen(...listeners));
    return () => waiting.reduce((sum, count) => sum + count(), 0);
  }

  async sweep(): Promise<{ newlyWaiting: string[]; nextAt?: number }> {
    this.#notifier.reset(undefined);
    const swept = await Promise.all(this.#shards.map(({ sweeper }) => sweeper.sweep()));
    const newlyWaiting = swept.flatMap((one) => one.newlyWaiting);
    const times = this.#shards.map((shard, number) =>
      this.#bySiteClock(shard, swept[number]?.nextAt ?? Number.POSITIVE_INFINITY),
    );
    const nextAt = Math.min(...times);
    if (nextAt === Number.POSITIVE_INFINITY) return { newlyWaiting };
    this.#notifier.reset(Math.min(nextAt, this.#notifier.earliest ?? nextAt));
    return { newlyWaiting, nextAt: this.#notifier.earliest ?? nextAt };
  }

  async close(): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.close()));
  }
}
