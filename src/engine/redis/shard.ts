/**
 * One part of the lobby, on one Redis: its sessions, tickets, rooms, deadlines and logs, whose keys all have the same hash tag. A verb derives
 * a change from the sessions as this node knows them, or reads them first, and commits it if no other node was faster (transactor.ts);
 * the signals of a few milliseconds are one script. Each node has a lease; the other nodes take over the sessions of one that is
 * gone, and a node that was only stopped finds itself fenced off and registers as a new one (node.ts).
 */
import type { Confirmed } from "../../domain/living-calls.ts";
import { askAgain } from "../../domain/again.ts";
import type { Moved } from "../../domain/change.ts";
import type { LogEntry } from "../../domain/event-log.ts";
import { setMedia } from "../../domain/media.ts";
import type { Party, Reporter, Subject } from "../../domain/moderation.ts";
import { reject, type Rejection } from "../../domain/rejection.ts";
import {
  partyOf,
  personOf,
  reporterOf,
  statusOf,
  type Room,
  type RoomEnd,
  type Session,
  type RoomProof,
} from "../../domain/session.ts";
import type { SiteStats } from "../../domain/stats.ts";
import type { Wishes } from "../../domain/ticket.ts";
import * as transitions from "../../domain/transitions.ts";
import { leaveOffer, measured, type OfferKept } from "../../domain/standby.ts";
import type { Media, StandingOffer, Stats, Status } from "../../protocol.ts";
import { DeadlineNotifier } from "../deadline-notifier.ts";
import type {
  Attached,
  AttachRequest,
  Caller,
  EndRequest,
  EngineOptions,
  MatchOptions,
  PairRequest,
  Stream,
} from "../engine.ts";
import { lobbyStatsOf, siteStatsOf } from "./counts.ts";
import { Inboxes } from "./inbox.ts";
import { Lobby } from "./lobby.ts";
import { LifecycleReader } from "./lifecycle-reader.ts";
import type { NodeMessage } from "./messages.ts";
import { partnerBy } from "./meetings.ts";
import { isUnavailable, Node, type NodeOptions } from "./node.ts";
import { scripts } from "./scripts.ts";
import { SharedWaits } from "./shared-waits.ts";
import { SignalRelay, type SignalRelayParts } from "./signal-relay.ts";
import { RedisStreams } from "./streams.ts";
import { Verdicts } from "./verdicts.ts";
import { Sweeper, type SweeperParts } from "./sweeper.ts";
import { retentionArguments } from "./retention.ts";
import { Transactor } from "./transactor.ts";

export interface ShardParts extends Pick<
  NodeOptions,
  | "shard"
  | "location"
  | "tls"
  | "prefix"
  | "about"
  | "load"
  | "onLoads"
  | "leaseMs"
  | "timeoutMs"
  | "meter"
  | "now"
  | "onUnavailable"
  | "onActivating"
> {
  clock: NodeOptions["clock"] & SignalRelayParts["clock"];
  options: EngineOptions;
  /** See `RedisOptions.batchMs`. */
  batchMs: number;
  /** `suspended` for a session that must stay out. */
  suspended: (session: Session) => Rejection | undefined;
  /** Sessions of a lobby that are online or wait in the other shards. */
  elsewhere: (lobby: string | undefined) => Stats;
  onRoomEnded: (end: RoomEnd) => void;
  onMetAgain: (room: Room) => void;
  /** See `LifecycleReaderParts`. */
  onUntold: (entries: readonly string[]) => Promise<void>;
  onAvailable: (how: string) => void;
  /** The lease was renewed. */
  onHeartbeat: () => Promise<unknown>;
  /** The moderation log of the site has a new entry. */
  onModeration: () => void;
  /** The connections of a subject are to be closed. */
  onDisconnect: (subject: Subject) => void;
  onTakeOver: SweeperParts["onTakeOver"];
  /** An error that no caller waits for. */
  onBug: (error: unknown, where: string) => void;
}

export class Shard {
  /** The same on all nodes. */
  readonly now: () => number;
  readonly number: number;
  readonly node: Node;
  readonly inboxes: Inboxes;
  readonly transactor: Transactor;
  readonly notifier = new DeadlineNotifier();
  readonly sweeper: Sweeper;
  readonly lifecycle: LifecycleReader;
  readonly verdicts: Verdicts;
  readonly #parts: ShardParts;
  readonly #waits: SharedWaits;
  readonly #streams: RedisStreams;
  readonly #lobby: Lobby;
  readonly #relay: SignalRelay;

  constructor(parts: ShardParts) {
    const { clock, timeoutMs, options, onHeartbeat, onRoomEnded, suspended, batchMs } = parts;
    this.#parts = parts;
    this.number = parts.shard;
    this.inboxes = new Inboxes(clock, timeoutMs, () => this.now());
    const node = new Node({
      ...parts,
      onMessage: (message) => this.#receive(message),
      onRegistered: () => this.inboxes.clear(),
      onAvailable: (how) => this.#becomeAvailable(how),
      onNodeGone: (gone, lastHeartbeat) =>
        this.inBackground("taking over a node", () => this.sweeper.takeOver(gone, lastHeartbeat)),
      onDeadline: (at) => this.notifier.notify(Math.max(this.now(), at)),
      onHeartbeat: async () => {
        this.inBackground("lifecycle events", () => this.lifecycle.refresh());
        await this.#waits.tell();
        await onHeartbeat();
      },
    });
    this.node = node;
    this.now = () => node.now();
    this.#waits = new SharedWaits({ node, now: this.now });
    const { inboxes } = this;
    this.transactor = new Transactor({
      node,
      keys: node.keys,
      inboxes,
      waits: this.#waits,
      options,
      now: this.now,
      onDeadline: (at) => this.notifier.notify(at),
      elsewhere: parts.elsewhere,
      suspended,
      onRoomEnded,
      onMetAgain: parts.onMetAgain,
      onLifecycle: () => this.lifecycle.appended(),
      onCooldown: (cooldown) => this.sweeper.awaitEnd(cooldown),
      flushSignals: () => this.#relay.flush(),
      onOptions: (found) => this.#lobby.remember(found),
    });
    const { transactor, notifier } = this;
    const shared = { node, transactor, options };
    const inBackground = (what: string, task: () => Promise<unknown>) =>
      this.inBackground(what, task);
    const { leaseMs, onUntold, onTakeOver } = parts;
    const wanted = options.lifecycle ?? [];
    this.lifecycle = new LifecycleReader({ node, clock, leaseMs, wanted, inBackground, onUntold });
    const { random } = clock;
    this.#streams = new RedisStreams({ ...shared, inboxes, random, inBackground });
    this.sweeper = new Sweeper({
      ...shared,
      inboxes,
      streams: this.#streams,
      notifier,
      onTakeOver,
    });
    this.#lobby = new Lobby(node, transactor, options.dimensions);
    this.verdicts = new Verdicts(node, transactor, options);
    this.#relay = new SignalRelay({ node, transactor, inboxes, clock, batchMs });
  }

  // -------------------------------------------------------------------------------------------
  // Streams

  attach(request: AttachRequest): Promise<Attached | Rejection> {
    return this.transactor.answering<Attached | Rejection>(() => this.#streams.attach(request));
  }

  detach(stream: Stream, graceMsMax?: number): Promise<void> {
    return this.#streams.detach(stream, graceMsMax);
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
    return this.transactor.answering<{ status: Status; roomId?: string } | Rejection>(async () => {
      const transaction = await this.transactor.look(caller.sessionId);
      const session = transaction.get(caller.sessionId)?.value;
      const refusal = this.transactor.refusalOf(caller, session);
      if (refusal) return refusal;
      if (!session) return { status: "idle" };
      const status = statusOf(session);
      return session.room ? { status, roomId: session.room.id } : { status };
    });
  }

  enqueue(caller: Caller, asked?: Wishes): Promise<Moved | Rejection> {
    const unknown = reject("not-subscribed");
    return this.transactor.forCaller<Moved>(caller, unknown, ({ value }) =>
      transitions.enqueue(value, asked, this.transactor.surroundings()),
    );
  }

  /** See `Engine.standby`. */
  standby(caller: Caller, offer: StandingOffer | null): Promise<OfferKept | Rejection> {
    const left = offer === null ? undefined : measured(offer);
    return this.transactor.forCaller<OfferKept>(caller, { kept: false }, (draft, transaction) => {
      if (left) transaction.standing = [caller.sessionId, left.json];
      return leaveOffer(draft.value, left, () => !transaction.isFull);
    });
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

  media(caller: Caller, roomId: string, media: Media): Promise<{ delivered: boolean } | Rejection> {
    return this.transactor.forCaller<{ delivered: boolean }>(
      caller,
      reject("not-in-room"),
      (draft, transaction) => setMedia(draft.value, transaction.partnerOf(draft), roomId, media),
    );
  }

  confirm(caller: Caller, roomId: string, proof?: RoomProof): Promise<Confirmed | Rejection> {
    return this.transactor.forCaller<Confirmed>(
      caller,
      reject("not-in-room"),
      (draft, transaction, blocks) => {
        const around = this.transactor.surroundings();
        const partner =
          transaction.partnerOf(draft) ?? partnerBy(proof, draft, { transaction, blocks });
        return transitions.confirm(draft.value, partner, roomId, around, proof);
      },
      proof && [proof.partnerId],
    );
  }

  end(caller: Caller, request: EndRequest): Promise<transitions.Ended | Rejection> {
    return this.transactor.forCaller<transitions.Ended>(
      caller,
      transitions.endOfUnknown(request.ending),
      (draft, transaction) => {
        const around = this.transactor.surroundings();
        return transitions.end(draft.value, transaction.partnerOf(draft), request, around);
      },
    );
  }

  /** The caller, and the other member of its present or recent room. `not-in-room` for any other. */
  metIn(
    caller: Caller,
    roomId: string,
  ): Promise<{ reporter: Reporter; met: transitions.Met } | Rejection> {
    return this.transactor.answering(async () => {
      const session = (await this.transactor.look(caller.sessionId)).get(caller.sessionId)?.value;
      const refusal = this.transactor.refusalOf(caller, session);
      if (refusal) return refusal;
      const met = session && transitions.partnerIn(session, roomId, this.transactor.surroundings());
      return session && met ? { reporter: reporterOf(session), met } : reject("not-in-room");
    });
  }

  /** A session, which may be forgotten, as the party of a report. */
  party({ partnerId, partnerAccount }: transitions.Met): Promise<Party | Rejection> {
    return this.transactor.answering(async () => {
      const { value } = (await this.transactor.look(partnerId)).getOrCreate(partnerId);
      return partyOf({ ...value, account: value.account ?? partnerAccount });
    });
  }

  /** Blocks the other member of a present or recent room. */
  block(
    caller: Caller,
    roomId: string,
    { partnerId, partnerAccount }: transitions.Met,
  ): Promise<{ partnerId: string } | Rejection> {
    return this.transactor.forCaller<{ partnerId: string }>(
      caller,
      reject("not-in-room"),
      ({ value }, transaction) => {
        const around = this.transactor.surroundings();
        if (transitions.partnerIn(value, roomId, around)?.partnerId !== partnerId)
          return reject("not-in-room");
        const partner = transaction.getOrCreate(partnerId).value;
        // It may be forgotten.
        const known = { ...partner, account: partner.account ?? partnerAccount };
        return transitions.block(value, known, roomId, around);
      },
      [partnerId],
    );
  }

  /** See `Engine.again`. */
  again(caller: Caller, roomId: string, id: string): Promise<Moved | Rejection> {
    return this.transactor.forCaller<Moved>(caller, reject("not-in-room"), ({ value }) =>
      askAgain(value, roomId, id, this.transactor.surroundings()),
    );
  }

  /** Keeps a block here that an account's session has made in another shard. @throws {RedisUnavailable} */
  async keepBlock(account: string, blocked: Party, addressHash: string | undefined): Promise<void> {
    const { options } = this.#parts;
    const other = personOf({ id: blocked.sessionId, account: blocked.account });
    const args = { account, other, now: this.now(), avoids_max: options.avoidsMax };
    await this.node.run(scripts.block, args, retentionArguments(addressHash, options));
  }

  // -------------------------------------------------------------------------------------------
  // The shard as a whole

  /** Rejects while it is unavailable. */
  async counts(): Promise<SiteStats> {
    return siteStatsOf(await this.node.run(scripts.readCounts, {}));
  }

  /** The counts of one lobby. Rejects while it is unavailable. */
  async countsOf(lobby: string | undefined): Promise<Stats> {
    return lobbyStatsOf(await this.node.run(scripts.readCounts, {}, [lobby ?? ""]), lobby);
  }

  /** Resolves when this node has received all messages that were published before. */
  async caughtUp(): Promise<void> {
    await this.node.ready();
    await this.node.hasCaughtUp();
  }

  /** Resolves when the events that are being told have been. */
  async close(): Promise<void> {
    await this.lifecycle.close();
    this.node.close();
  }

  /** Runs a task whose result nothing waits for. That Redis is unavailable is no news; anything else is a bug. */
  inBackground(where: string, task: () => Promise<unknown>): void {
    task().catch((error: unknown) => {
      if (!isUnavailable(error)) this.#parts.onBug(error, where);
    });
  }

  #receive(message: NodeMessage): void {
    switch (message.type) {
      case "events":
        for (const { sessionId, offset, text } of message.events)
          this.inboxes.onEvent(sessionId, offset, text);
        return;
      case "take-over":
        return this.inboxes.onTakeOver(message.sessionId, message.generation);
      case "moderation":
        return this.#parts.onModeration();
      case "disconnect":
        return this.#parts.onDisconnect(message.subject);
      case "lifecycle":
        return this.lifecycle.wake();
      case "tell":
        return this.lifecycle.asked(message.from, message.event);
      case "told":
        return this.lifecycle.told(message.id);
      case "waited":
        return this.#waits.receive(message);
      case "echo":
        return; // the node's own
    }
  }

  #becomeAvailable(how: string): void {
    this.#parts.onAvailable(how);
    // Events that were published meanwhile are in the logs, which can be read from now on.
    this.inboxes.invalidate();
    this.#streams.detachPending();
    this.inBackground("lifecycle events", () => this.lifecycle.restart());
    this.inBackground("waiting tickets", async () => {
      const { waiting } = await this.counts();
      if (Object.values(waiting).some((count) => count > 0)) this.sweeper.rematchAll();
    });
  }
}
