/** Carries out transactions: reads, derives, commits, and tries again when another node was faster. */
import type { Change, Entered, Surroundings, TransitionOptions } from "../../domain/change.ts";
import { recordedResult, resultKeptMs, resultsMax } from "../../domain/recorded-result.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import type { RoomEnd, Session } from "../../domain/session.ts";
import { limits } from "../../protocol.ts";
import { eligibleMax } from "../constants.ts";
import type { Caller } from "../engine.ts";
import { RedisUnavailable } from "./client.ts";
import type { Inboxes } from "./inbox.ts";
import { isUnavailable, type Node } from "./node.ts";
import { scripts, type Committed, type Eligible, type SessionsRead } from "./scripts.ts";
import type { SharedWaits } from "./shared-waits.ts";
import {
  Transaction,
  type RecordedMutation,
  type SessionDraft,
  type TransactionParts,
} from "./transaction.ts";

/** How often a transaction is tried. */
const triesMax = 50;
/** A peer is asked to try again after this long while Redis is unavailable (milliseconds). */
export const retryAfterMs = 1000;
/** A stream that is to be attached again is there after this (milliseconds). */
const reattachMs = 500;

export interface TransactionRequest {
  /** The sessions to read, with their rooms and partners. */
  ids: string[];
  /** Whose call this is: it is answered once this node has received all events of that session. */
  caller?: Caller;
  /** Carried out once: its result is recorded. */
  mutation?: { sessionId: string; id: string } | undefined;
  /** Deadlines that the transaction carries out. */
  due?: string[];
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
  onRoomEnded: (end: RoomEnd) => void;
  /** Signals that were called before go to Redis before. */
  flushSignals: () => void;
  /** Options of tickets that look for a partner next, as they were when the tickets entered the lobby. */
  onOptions: (options: Eligible) => void;
}

export class Transactor {
  readonly #parts: TransactorParts;
  readonly #transitionOptions: TransitionOptions;

  constructor(parts: TransactorParts) {
    this.#parts = parts;
    const { options } = parts;
    this.#transitionOptions = { ...options, voteAfterMs: options.moderation.voteAfterMs };
  }

  /** What transitions may look at besides the sessions of a transaction. */
  surroundings(transaction: Transaction): Surroundings {
    const now = this.#parts.now();
    const { waits, suspended } = this.#parts;
    return {
      now,
      // All nodes go by the clock of Redis, and peers are sent its times.
      wallOffsetMs: 0,
      options: this.#transitionOptions,
      lobby: (mode) => transaction.lobbyCounts(mode, waits.estimators[mode].estimate(now)),
      suspended,
    };
  }

  /** Reads sessions without changing any. @throws {RedisUnavailable} */
  async look(...ids: string[]): Promise<Transaction> {
    return new Transaction(
      this.#parts,
      await this.#parts.node.run(scripts.readSessions, { mutation: "", pairing_at: "" }, ids),
    );
  }

  /**
   * Reads sessions, lets `act` change the transaction, and commits; again if another node was faster. A rejection from
   * `act` changes nothing.
   * @param committed called after a commit, before anything else can happen.
   * @throws {RedisUnavailable}
   */
  async transact<T>(
    request: TransactionRequest,
    act: (transaction: Transaction) => T | Rejection,
    committed: (transaction: Transaction, outcome: Committed) => void = () => {},
  ): Promise<T | Rejection> {
    const { node, inboxes, waits, onRoomEnded } = this.#parts;
    const { ids, mutation, due, pairing, known } = request;
    this.#parts.flushSignals();
    for (let tries = 0; tries < triesMax; tries++) {
      const asked = {
        mutation: mutation?.id ?? "",
        pairing_at: pairing === true ? this.#parts.now() : "",
      };
      const read: SessionsRead =
        known && tries === 0
          ? [null, [], known, [], 0]
          : await node.run(scripts.readSessions, asked, ids);
      const transaction = new Transaction(this.#parts, read, due);
      const past = mutation && this.#freshResult(transaction.recorded);
      if (past !== undefined) return this.#inOrder(transaction, request, past as T);
      const result = act(transaction);
      if (isRejection(result)) return this.#inOrder(transaction, request, result);
      if (mutation) transaction.record = toRecord(mutation, result);
      const commit = transaction.toCommit(newlyWaitingIn(result));
      if (!commit) return this.#inOrder(transaction, request, result);
      const outcome = await node.run(scripts.commit, {
        now: this.#parts.now(),
        events_max: limits.logEventsMax,
        bytes_max: limits.logBytesMax,
        results_max: resultsMax,
        eligible_max: eligibleMax,
        change: JSON.stringify(commit),
      });
      if (outcome === "carried out") return result;
      if (outcome === "changed") continue;
      for (const { room, waitedMs } of transaction.roomsBegun) waits.record(room.mode, waitedMs);
      for (const end of transaction.roomEnds) onRoomEnded(end);
      committed(transaction, outcome);
      const [, , lasts, options] = outcome;
      for (const found of options) this.#parts.onOptions(found);
      if (request.attaching !== true)
        await Promise.all(lasts.map(([id, offset]) => inboxes.waitForOffset(id, offset)));
      return this.#notAttached(request) ?? result;
    }
    throw new RedisUnavailable("other nodes were faster each time");
  }

  /**
   * Carries out a verb of a caller on its session, once per mutation id.
   * @param unknown the result for a session that does not exist.
   */
  forCaller<T extends object>(
    caller: Caller,
    unknown: T | Rejection,
    verb: (draft: SessionDraft, transaction: Transaction) => Change<T> | Rejection,
    otherIds: string[] = [],
  ): Promise<T | Rejection> {
    const { sessionId, mutationId } = caller;
    const mutation = mutationId === undefined ? undefined : { sessionId, id: mutationId };
    return this.answering(() =>
      this.transact<T>({ ids: [sessionId, ...otherIds], mutation, caller }, (transaction) => {
        const draft = transaction.get(sessionId);
        if (!draft) return unknown;
        if (caller.generation < draft.value.generation) return reject("taken-over");
        const change = verb(draft, transaction);
        return isRejection(change) ? change : transaction.apply(change);
      }),
    );
  }

  /** What `verb` resolves with, or `unavailable` while Redis is. */
  async answering<T>(verb: () => Promise<T>): Promise<T | Rejection> {
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
    if (draft)
      await this.#parts.inboxes.waitForOffset(draft.value.id, Number(draft.before["last"] ?? 0));
    return isRejection(answer) ? answer : (this.#notAttached(request) ?? answer);
  }

  /** `unavailable` if the caller's stream is to be attached again: the events that it missed have yet to come. */
  #notAttached({ caller }: TransactionRequest): Rejection | undefined {
    if (!caller?.streaming || this.#parts.inboxes.has(caller.sessionId)) return undefined;
    return reject("unavailable", { retryAfterMs: reattachMs });
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

/** A recorded result as prelude.lua writes it: number, time, JSON. */
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
