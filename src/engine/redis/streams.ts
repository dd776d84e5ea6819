/** The streams of sessions on this node: opened, read and closed in Redis. */
import { newEpoch, recoveryOf, type LogEntry, type LogExtent } from "../../domain/event-log.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import { personOf } from "../../domain/session.ts";
import * as presence from "../../domain/presence.ts";
import { limits } from "../../protocol.ts";
import type { Attached, AttachRequest, Stream } from "../engine.ts";
import { RedisUnavailable } from "./client.ts";
import type { Inbox, Inboxes } from "./inbox.ts";
import { readEntries } from "./log-entry.ts";
import { encodeMessage } from "./messages.ts";
import { Fenced, isUnavailable, type Node } from "./node.ts";
import { scripts, type Committed } from "./scripts.ts";
import type { RemoteStream, SessionDraft } from "./session-codec.ts";
import type { Transaction } from "./transaction.ts";
import { SessionMoved, type Transactor } from "./transactor.ts";

export interface StreamsParts {
  node: Node;
  inboxes: Inboxes;
  transactor: Transactor;
  random: () => number;
  /** Runs a task whose result nothing waits for. */
  inBackground: (what: string, task: () => Promise<unknown>) => void;
}

/** A stream that is being attached. */
interface Attaching {
  readonly request: AttachRequest;
  readonly streamId: string;
  /** Known once a transaction has been derived, whether or not it was committed. */
  epoch: string;
  generation: number;
  recovered: boolean;
  /** Whether there was no log, and so are no events before. */
  isNewLog: boolean;
}

export class RedisStreams {
  readonly #parts: StreamsParts;
  /** Streams that were closed while Redis was unavailable. */
  readonly #pendingDetaches = new Map<Stream, number>();
  #count = 0;

  constructor(parts: StreamsParts) {
    this.#parts = parts;
  }

  async attach(request: AttachRequest): Promise<Attached | Rejection> {
    const { node, inboxes, transactor } = this.#parts;
    const { sessionId, position } = request;
    const streamId = `${node.id}-${++this.#count}`;
    const attaching: Attaching = {
      request,
      streamId,
      epoch: "",
      generation: 0,
      recovered: false,
      isNewLog: false,
    };
    const inbox = inboxes.open(request, streamId);
    let attached: Omit<Attached, "newlyWaiting"> | undefined;
    try {
      const entered = await transactor.transact(
        { ids: [sessionId], attaching: true, account: request.account },
        (transaction) => this.#attachIn(transaction, attaching),
        (transaction, [, last, entries]: Committed) => {
          inbox.waitingSince = transaction.getOrCreate(sessionId).value.ticket?.since;
          const after = attaching.isNewLog ? 0 : last;
          this.#follow(inbox, attaching, after);
          const { epoch, generation, recovered } = attaching;
          attached = {
            stream: { sessionId, generation, streamId, epoch, after },
            missed: readEntries(position?.offset ?? 0, entries),
            recovered,
            isNew: attaching.isNewLog,
          };
        },
      );
      if (isRejection(entered)) {
        inboxes.close(sessionId, streamId);
        return entered;
      }
      if (!attached) throw new Error("an attachment is always committed");
      return { ...attached, ...entered };
    } catch (error) {
      inboxes.close(sessionId, streamId);
      if (error instanceof SessionMoved) throw error;
      // It may have been committed all the same, and then no other call would close it.
      const { epoch, generation } = attaching;
      this.#pendingDetaches.set(
        { sessionId, generation, streamId, epoch, after: 0 },
        Number.POSITIVE_INFINITY,
      );
      throw error;
    }
  }

  #attachIn(transaction: Transaction, attaching: Attaching) {
    const { node, random, transactor } = this.#parts;
    const { request, streamId } = attaching;
    const { sessionId, position, addressHash, account, lobby, lobbies, generation } = request;
    const draft = transaction.getOrCreate(sessionId);
    const log = this.#livingLog(draft);
    const recovery = recoveryOf(position, log);
    // The tab that lost the session comes back with what it last had: it has still lost it.
    const isKnownEpoch = recovery !== "none" && recovery !== "other-epoch";
    if (isKnownEpoch && generation < draft.value.generation) return reject("taken-over");
    const { keys } = node;
    transaction.commands.push(
      ["PERSIST", keys.session(sessionId)],
      ["PERSIST", keys.avoidances(sessionId)],
    );
    if (account !== undefined)
      for (const key of [keys.session, keys.avoidances])
        transaction.commands.push(["PERSIST", key(personOf({ id: sessionId, account }))]);
    // The log of an earlier life of the data continues in a new epoch: it has the ids of the room's signals, which may be sent again.
    attaching.isNewLog = draft.epoch === undefined;
    if (attaching.isNewLog) draft.log = "begins";
    attaching.epoch = log?.epoch ?? `${newEpoch(random())}-${node.dataEpoch}`;
    draft.epoch = attaching.epoch;
    const change = presence.attach(
      draft.value,
      transaction.partnerOf(draft),
      { addressHash, account, lobby, lobbies, generation, recovery },
      transactor.surroundings(),
    );
    const nodesBefore = nodesOf(draft.streams);
    const stream: RemoteStream = { id: streamId, node: node.id };
    draft.streams = isKnownEpoch ? [...draft.streams, stream] : [stream];
    const result = transaction.apply(change);
    attaching.generation = draft.value.generation;
    attaching.recovered = recovery === "whole";
    if (!isKnownEpoch) {
      const taken = { type: "take-over", sessionId, generation: attaching.generation } as const;
      for (const holder of nodesBefore)
        transaction.commands.push(["SPUBLISH", keys.nodeChannel(holder), encodeMessage(taken)]);
    }
    this.#leaveNodes(transaction, draft, nodesBefore);
    transaction.commands.push(["SADD", keys.nodeSessions(node.id), sessionId]);
    transaction.reads = [sessionId, attaching.recovered && position ? position.offset : null];
    return result;
  }

  /** The log of this life of the data. */
  #livingLog({ epoch, before, entries }: SessionDraft): LogExtent | undefined {
    if (epoch?.endsWith(`-${this.#parts.node.dataEpoch}`) !== true) return undefined;
    const dropped = Number(before["dropped"] ?? 0);
    const last = dropped + entries;
    return { epoch, last, dropped: Math.max(dropped, last - limits.logEventsMax) };
  }

  #follow(inbox: Inbox, { request, epoch, generation }: Attaching, after: number): void {
    const wasFollowing = inbox.epoch === epoch && inbox.tail !== undefined;
    Object.assign(inbox, { epoch, generation, addressHash: request.addressHash });
    if (!wasFollowing) this.#parts.inboxes.follow(inbox, after);
  }

  /** @param graceMsMax see `Engine.detach`. */
  async detach(stream: Stream, graceMsMax = Number.POSITIVE_INFINITY): Promise<void> {
    const { sessionId, streamId } = stream;
    if (this.#parts.inboxes.close(sessionId, streamId)) await this.#detachNow(stream, graceMsMax);
  }

  async #detachNow(stream: Stream, graceMsMax: number): Promise<void> {
    const { node, transactor } = this.#parts;
    const { sessionId, streamId } = stream;
    try {
      await transactor.transact({ ids: [sessionId] }, (transaction) => {
        const draft = transaction.get(sessionId);
        const away = { since: node.now(), graceMsMax };
        if (draft) this.keepStreams(transaction, draft, ({ id }) => id !== streamId, away);
      });
    } catch (error) {
      if (error instanceof RedisUnavailable) this.#pendingDetaches.set(stream, graceMsMax);
      // The streams of a node that is fenced off are all known to be gone.
      else if (!(error instanceof Fenced)) throw error;
    }
  }

  /** Redis is available again: closes the streams that were closed meanwhile. */
  detachPending(): void {
    for (const [stream, graceMsMax] of this.#pendingDetaches) {
      this.#pendingDetaches.delete(stream);
      this.#parts.inBackground("a pending detach", () => this.#detachNow(stream, graceMsMax));
    }
  }

  /** Drops a session's streams but those that stay; without any left it is away. @param away see `presence.detach`. */
  keepStreams(
    transaction: Transaction,
    draft: SessionDraft,
    stays: (stream: RemoteStream) => boolean,
    away: { since: number; graceMsMax?: number },
  ): void {
    if (draft.streams.every(stays)) return;
    const nodesBefore = nodesOf(draft.streams);
    draft.streams = draft.streams.filter(stays);
    this.#leaveNodes(transaction, draft, nodesBefore);
    if (draft.streams.length > 0) return;
    const around = this.#parts.transactor.surroundings();
    const partner = transaction.partnerOf(draft);
    transaction.apply(presence.detach(draft.value, partner, away, around));
  }

  #leaveNodes(transaction: Transaction, draft: SessionDraft, before: ReadonlySet<string>): void {
    const after = nodesOf(draft.streams);
    const { nodeSessions } = this.#parts.node.keys;
    for (const node of before)
      if (!after.has(node)) transaction.commands.push(["SREM", nodeSessions(node), draft.value.id]);
  }

  /** From the inbox, or from the log in Redis where events may have been missed. */
  read(
    stream: Stream,
    after: number,
  ):
    | LogEntry[]
    | "overflow"
    | "detached"
    | Rejection
    | Promise<LogEntry[] | "overflow" | "detached" | Rejection> {
    return this.#parts.inboxes.read(stream, after) ?? this.#readLog(stream, after);
  }

  async #readLog(stream: Stream, after: number) {
    const { node, inboxes } = this.#parts;
    const { sessionId, generation, epoch } = stream;
    for (;;) {
      // The reader is woken when Redis is available again; until then there is nothing new.
      if (!node.available) return [];
      try {
        const args = { session: sessionId, after, events_max: limits.logEventsMax };
        const [epochNow, generationNow, dropped, entries] = await node.run(scripts.readLog, args);
        if (generation < Number(generationNow)) return reject("taken-over");
        if (epochNow !== epoch || after < dropped) return "overflow";
        inboxes.advance(sessionId, after + entries.length);
        if (entries.length > 0) return readEntries(after, entries);
      } catch (error) {
        if (isUnavailable(error)) return [];
        throw error;
      }
      const now = inboxes.read(stream, after);
      if (now) return now;
    }
  }
}

const nodesOf = (streams: readonly RemoteStream[]): ReadonlySet<string> =>
  new Set(streams.map(({ node }) => node));
