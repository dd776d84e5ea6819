/**
 * Carries out transactions: derives a change from the sessions as this node knows them, or reads them first, and commits it; again,
 * from the sessions as they are, when another node was faster. What a node knows is never trusted: the commit checks it.
 */
import type {
  Change,
  Entered,
  LobbyCounts,
  Surroundings,
  TransitionOptions,
} from "../../domain/change.ts";
import { resultAfterMeeting } from "../../domain/again.ts";
import { recordedResult, resultKeptMs, resultsMax } from "../../domain/recorded-result.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import type { Room, RoomEnd, Session } from "../../domain/session.ts";
import { limits, type Mode, type Stats } from "../../protocol.ts";
import { eligibleMax } from "../constants.ts";
import { transitionOptionsOf, type Caller } from "../engine.ts";
import { RedisUnavailable } from "./client.ts";
import { commitArguments, fieldsAfter, type Commit, type RecordedMutation } from "./commit.ts";
import type { Inboxes } from "./inbox.ts";
import { blockBetween, meetAgainIn, type Blocks } from "./meetings.ts";
import { isUnavailable, type Node } from "./node.ts";
import { shortLifeS } from "./retention.ts";
import {
  scripts,
  type Committed,
  type Eligible,
  type Pairs,
  type SessionsRead,
} from "./scripts.ts";
import type { Fields, SessionDraft } from "./session-codec.ts";
import type { SharedWaits } from "./shared-waits.ts";
import { Transaction, type Cooldown, type TransactionParts } from "./transaction.ts";

/** How often a transaction is tried. */
const triesMax = 50;
/** A peer is asked to try again after this long while Redis is unavailable (milliseconds). */
export const retryAfterMs = 1000;
/** A stream that is to be attached again is there after this (milliseconds). */
const reattachMs = 500;

/** The session has been moved to another shard since it was looked for. */
export class SessionMoved extends Error {}

export interface TransactionRequest {
  /** The sessions to read, with their rooms and partners. */
  ids: string[];
  /**
   * Whose call this is: it is answered once this node has received all events of that session, and derived from what this node
   * knows of it, if anything.
   */
  caller?: Caller;
  /** Carried out once: its result is recorded. */
  mutation?: { sessionId: string; id: string } | undefined;
  /** Deadlines that the transaction carries out. */
  due?: string[];
  /** That of the first session, which may not be stored yet. */
  account?: string | undefined;
  /** Its events are what the new stream begins with, so they are not waited for. */
  attaching?: boolean;
  /** Whether to find out if the first two sessions avoid each other: see `Transaction.avoiding`. */
  pairing?: boolean;
  /** The sessions as they were a moment ago, neither in a room nor avoiding the other: tried first, without reading. */
  known?: Eligible | undefined;
}

export interface TransactorParts extends TransactionParts {
  node: Node;
  inboxes: Inboxes;
  waits: SharedWaits;
  suspended: (session: Session) => Rejection | undefined;
  /** Sessions of a lobby that are online or wait in other shards. */
  elsewhere: (lobby: string | undefined) => Stats;
  onRoomEnded: (end: RoomEnd) => void;
  onMetAgain: (room: Room) => void;
  /** Lifecycle events were appended. */
  onLifecycle: () => void;
  /** Somebody avoids another one for a while. */
  onCooldown: (cooldown: Cooldown) => void;
  /** Signals that were called before go to Redis before. */
  flushSignals: () => void;
  /** Options of tickets that look for a partner next, as they were when the tickets entered the lobby. */
  onOptions: (options: Eligible) => void;
}

export class Transactor {
  readonly #parts: TransactorParts;
  readonly #transitionOptions: TransitionOptions;
  /** The last call of each session that is being carried out. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(parts: TransactorParts) {
    this.#parts = parts;
    this.#transitionOptions = transitionOptionsOf(parts.options);
  }

  /** What transitions may look at besides the sessions of a transaction. */
  surroundings(): Surroundings {
    const now = this.#parts.now();
    const { waits, suspended, elsewhere } = this.#parts;
    const lobby = (mode: Mode, name: string | undefined): LobbyCounts => {
      // The commit adds those of this shard.
      const { waiting, online } = elsewhere(name);
      const estimateMs = waits.waits.estimate(name, mode, now);
      return { waiting: waiting[mode], online, estimateMs };
    };
    return {
      now,
      // All nodes go by the clock of Redis, and peers are sent its times.
      wallOffsetMs: 0,
      options: this.#transitionOptions,
      lobby,
      suspended,
    };
  }

  /** Reads sessions without changing any. @throws {RedisUnavailable} */
  async look(...ids: string[]): Promise<Transaction> {
    return new Transaction(
      this.#parts,
      await this.#parts.node.run(
        scripts.readSessions,
        { mutation: "", pairing_at: "", account: "" },
        ids,
      ),
    );
  }

  /**
   * Lets `act` change sessions in a transaction, and commits it; again if another node was faster. A rejection from `act` changes
   * nothing.
   * @param committed called after a commit, before anything else can happen.
   * @throws {RedisUnavailable} or {SessionMoved}
   */
  async transact<T>(
    asked: TransactionRequest,
    act: (transaction: Transaction, blocks: Blocks) => T | Rejection,
    committed: (transaction: Transaction, outcome: Committed) => void = () => {},
  ): Promise<T | Rejection> {
    const { mutation } = asked;
    let request = asked;
    this.#parts.flushSignals();
    let read = this.#known(request);
    let isGuess = read !== undefined;
    const blocks: Blocks = new Set();
    let isFull = false;
    for (let tries = 0; tries < triesMax; tries++) {
      read ??= await this.#read(request);
      const transaction = new Transaction(this.#parts, read, request.due);
      transaction.isFull = isFull;
      const past = mutation && this.#freshResult(transaction.recorded);
      if (past !== undefined) return this.#inOrder(transaction, request, past as T);
      const acted = act(transaction, blocks);
      const isRejected = isRejection(acted);
      const { unread, met } = meetAgainIn(transaction, this.surroundings(), blocks);
      if (unread.length > 0) {
        request = { ...request, ids: [...request.ids, ...unread] };
        read = undefined;
        isGuess = false;
        continue;
      }
      const result = resultAfterMeeting(acted, request.caller?.sessionId, met);
      if (mutation && !isRejected) transaction.record = toRecord(mutation, result);
      const commit = isRejected ? undefined : transaction.toCommit(newlyWaitingIn(result));
      if (!commit && !isGuess) return this.#inOrder(transaction, request, result);
      const outcome = commit ? await this.#commit(request, commit) : undefined;
      // What was known may be out of date, and the mutation may have a result: only Redis can tell.
      read = outcome?.[0] === "changed" ? outcome[1] : undefined;
      isGuess = false;
      if (outcome?.[0] === "carried out") return result;
      if (outcome?.[0] === "full") isFull = true;
      if (outcome?.[0] === "moved") throw new SessionMoved();
      if (outcome?.[0] === "blocked") blocks.add(blockBetween(outcome[1], outcome[2]));
      if (!commit || outcome?.[0] !== "committed") continue;
      const after = fieldsAfter((id) => transaction.getOrCreate(id), commit);
      this.#remember(after);
      for (const [index, { id }] of commit.looking.entries())
        this.#parts.onOptions([[id, pairsOf(after.get(id) ?? {})], ...(outcome[4][index] ?? [])]);
      committed(transaction, outcome);
      return this.#afterCommit(transaction, request, outcome, result);
    }
    throw new RedisUnavailable("other nodes were faster each time");
  }

  #read({ ids, mutation, pairing, account = "" }: TransactionRequest): Promise<SessionsRead> {
    const { node, now } = this.#parts;
    const pairingAt = pairing === true ? now() : "";
    const asked = { mutation: mutation?.id ?? "", pairing_at: pairingAt, account };
    return node.run(scripts.readSessions, asked, ids);
  }

  #commit({ ids, mutation, pairing, account = "" }: TransactionRequest, commit: Commit) {
    const now = this.#parts.now();
    const [recorder = "", recordedAs = "", record = ""] = commit.result ?? [];
    const args = {
      now,
      events_max: limits.logEventsMax,
      bytes_max: limits.logBytesMax,
      results_max: resultsMax,
      recorded_since: now - resultKeptMs,
      eligible_max: eligibleMax,
      mutation: mutation?.id ?? "",
      pairing_at: pairing === true ? now : "",
      account,
      recorder,
      recorded_as: recordedAs,
      record,
      account_s: shortLifeS(this.#parts.options),
    };
    return this.#parts.node.run(scripts.commit, args, commitArguments(ids, commit));
  }

  async #afterCommit<T>(
    transaction: Transaction,
    request: TransactionRequest,
    [, , , stored]: Committed,
    result: T,
  ): Promise<T | Rejection> {
    const { inboxes, waits, onRoomEnded, onMetAgain, onCooldown, onLifecycle } = this.#parts;
    if (transaction.tells) onLifecycle();
    for (const { room, waitedMs } of transaction.roomsBegun)
      if (waitedMs === undefined) onMetAgain(room);
      else waits.record(room, waitedMs);
    for (const end of transaction.roomEnds) onRoomEnded(end);
    for (const cooldown of transaction.cooldowns) onCooldown(cooldown);
    for (const [id, last, formatted] of stored) {
      if (last === 0 || !inboxes.has(id)) continue;
      const events = formatted ?? transaction.getOrCreate(id).events;
      for (const [index, text] of events.entries())
        inboxes.onEvent(id, last - events.length + 1 + index, text);
    }
    if (request.attaching !== true)
      await Promise.all(stored.map(([id, last]) => inboxes.waitForOffset(id, last)));
    return this.notAttached(request.caller) ?? result;
  }

  /** The sessions of a request as this node knows them, if it knows all of them. */
  #known({ ids, caller, known, pairing }: TransactionRequest): SessionsRead | undefined {
    if (known) return [null, known.map(([id, fields]) => [id, fields, 0]), 0];
    const { inboxes } = this.#parts;
    const [id = "", ...others] = ids;
    const inbox = inboxes.get(id);
    if (!caller || pairing === true || others.length > 0 || !inbox?.known) return undefined;
    const partnerId = inbox.known["partner"];
    if (partnerId === undefined) return [null, [[id, pairsOf(inbox.known), 0]], 0];
    const elsewhere = inbox.knownPartner?.[0] === partnerId ? inbox.knownPartner[1] : undefined;
    const partner = inboxes.get(partnerId)?.known ?? elsewhere;
    if (!partner) return undefined;
    const sessions = [[id, inbox.known] as const, [partnerId, partner] as const];
    return [null, sessions.map(([one, fields]) => [one, pairsOf(fields), 0]), 0];
  }

  /** Keeps what the sessions with streams here, and their partners, have become. */
  #remember(after: ReadonlyMap<string, Fields>): void {
    const { inboxes } = this.#parts;
    for (const [id, fields] of after) {
      const inbox = inboxes.get(id);
      if (!inbox) continue;
      inbox.known = fields;
      const partnerId = fields["partner"];
      const partner = partnerId === undefined ? undefined : after.get(partnerId);
      inbox.knownPartner =
        partnerId !== undefined && partner && !inboxes.has(partnerId)
          ? [partnerId, partner]
          : undefined;
    }
  }

  /**
   * Carries out a verb of a caller on its session, once per mutation id; one after the other, in the order of the calls.
   * @param unknown the result for a session that does not exist.
   */
  forCaller<T extends object>(
    caller: Caller,
    unknown: T | Rejection,
    verb: (draft: SessionDraft, transaction: Transaction, blocks: Blocks) => Change<T> | Rejection,
    otherIds: string[] = [],
  ): Promise<T | Rejection> {
    const { sessionId, mutationId } = caller;
    const mutation = mutationId === undefined ? undefined : { sessionId, id: mutationId };
    const carryOut = () =>
      this.transact<T>(
        { ids: [sessionId, ...otherIds], mutation, caller },
        (transaction, blocks) => {
          const draft = transaction.get(sessionId);
          if (!draft) return unknown;
          if (caller.generation < draft.value.generation) return reject("taken-over");
          const change = verb(draft, transaction, blocks);
          return isRejection(change) ? change : transaction.apply(change);
        },
      );
    const before = this.#running.get(sessionId);
    const call = this.answering<T>(async () => {
      await before;
      return carryOut();
    });
    const settled = call.then(
      () => {},
      () => {},
    );
    this.#running.set(sessionId, settled);
    void settled.then(() => {
      if (this.#running.get(sessionId) === settled) this.#running.delete(sessionId);
    });
    return call;
  }

  /** Resolves when the calls of a session that were made before have been carried out; `undefined` if there are none. */
  running(sessionId: string): Promise<unknown> | undefined {
    return this.#running.get(sessionId);
  }

  /** What `verb` resolves with, or `unavailable` while Redis is. */
  async answering<T>(verb: () => Promise<T | Rejection>): Promise<T | Rejection> {
    try {
      return await verb();
    } catch (error) {
      if (isUnavailable(error)) return reject("unavailable", { retryAfterMs });
      throw error;
    }
  }

  /** Also an answer that changes nothing says how things are: the events that made them so must not come after it. */
  async #inOrder<T>(
    transaction: Transaction,
    request: TransactionRequest,
    answer: T,
  ): Promise<T | Rejection> {
    const draft = request.caller && transaction.get(request.caller.sessionId);
    if (draft) {
      const last = Number(draft.before["dropped"] ?? 0) + draft.entries;
      await this.#parts.inboxes.waitForOffset(draft.value.id, last);
    }
    return this.notAttached(request.caller) ?? answer;
  }

  /**
   * `unavailable` if the caller's stream is to be attached again: the events that it missed have yet to come, and its socket
   * may have to learn a new generation. Also where it would be refused: without its stream it seems to be absent, and with its
   * former generation to be taken over.
   */
  notAttached(caller: Caller | undefined): Rejection | undefined {
    if (!caller?.streaming) return undefined;
    if (this.#parts.inboxes.isAttached(caller.sessionId, caller.generation)) return undefined;
    return reject("unavailable", { retryAfterMs: reattachMs });
  }

  /** Why a caller may learn nothing of its session. */
  refusalOf(caller: Caller, session: Session | undefined): Rejection | undefined {
    const isTakenOver = session !== undefined && caller.generation < session.generation;
    return this.notAttached(caller) ?? (isTakenOver ? reject("taken-over") : undefined);
  }

  #freshResult(recorded: string | undefined): unknown {
    const parsed = parseRecorded(recorded);
    if (!parsed) return undefined;
    return parsed.at + resultKeptMs > this.#parts.now() ? parsed.result : undefined;
  }
}

/** Whose tickets are matched next, by the result of a verb. */
function newlyWaitingIn(result: unknown): readonly string[] {
  return (result as Partial<Entered> | undefined)?.newlyWaiting ?? [];
}

/** Fields and values, in turn. */
const pairsOf = (fields: Fields): Pairs => Object.entries(fields).flat();

/** A recorded result as commit.lua writes it: number, time, JSON. */
function parseRecorded(recorded: string | undefined): { at: number; result: object } | undefined {
  const [, at, json] = /^\d+ (\d+) (.*)$/.exec(recorded ?? "") ?? [];
  if (at === undefined || json === undefined) return undefined;
  return { at: Number(at), result: JSON.parse(json) as object };
}

function toRecord(
  { sessionId, id }: NonNullable<TransactionRequest["mutation"]>,
  result: unknown,
): RecordedMutation | undefined {
  const kept = recordedResult(result as object);
  return kept && [sessionId, id, JSON.stringify(kept)];
}
