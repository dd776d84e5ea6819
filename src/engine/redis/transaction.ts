/**
 * One optimistic transaction: sessions as they were read, the changes that are applied to them, and what is then to be
 * committed, if no other transaction was faster.
 */
import type { Avoidance, Change, LobbyCounts, RoomChange } from "../../domain/change.ts";
import { toLogText } from "../../domain/event-log.ts";
import { partnerIdOf, type Room, type RoomEnd, type Session } from "../../domain/session.ts";
import { forEachIndexTerm, nextRelaxation } from "../../domain/ticket.ts";
import { modes, type Mode } from "../../protocol.ts";
import { retentionMsMin, tokenLifeMs } from "../constants.ts";
import type { EngineOptions, Stats } from "../engine.ts";
import { encodeDeadline, type Deadline } from "./deadlines.ts";
import type { Keys } from "./keys.ts";
import type { SessionsRead } from "./scripts.ts";
import {
  decodeRoom,
  decodeSession,
  encodeRoom,
  encodeRoomState,
  encodeSession,
  fieldsOf,
  type Fields,
  type StoredSession,
} from "./session-codec.ts";

/** A session as it is to become, and as it was read: nothing yet if that is empty. */
export interface SessionDraft extends StoredSession {
  readonly before: Fields;
}

/** What `commit.lua` carries out. */
export interface Commit {
  /** Sessions and the revisions at which they were read. */
  seen: [id: string, revision: string][];
  /** Deadlines that this carries out. */
  due: string[];
  commands: string[][];
  events: [sessionId: string, text: string][];
  /** Tickets whose options are to be returned. */
  looking: readonly string[];
  result?: RecordedMutation;
  reads?: LogRead;
}

export type RecordedMutation = [sessionId: string, mutationId: string, result: string];

/** A log to read before any event is appended; `null`: only its last offset. */
type LogRead = [sessionId: string, after: number | null];

export interface TransactionParts {
  keys: Keys;
  options: EngineOptions;
  /** Milliseconds of the engine's clock. */
  now: () => number;
  /** A deadline is set. */
  onDeadline: (at: number) => void;
}

export class Transaction {
  /** The recorded result of the mutation that is carried out, if there is one: see prelude.lua. */
  readonly recorded: string | undefined;
  /** Of the whole lobby, as it was read; absent for a pairing. */
  readonly #counts: Stats | undefined;
  readonly roomsBegun: { room: Room; waitedMs: number }[] = [];
  readonly roomEnds: RoomEnd[] = [];
  /** Further commands, carried out before events are appended. */
  readonly commands: string[][] = [];
  reads: LogRead | undefined;
  /** A mutation's result that is recorded with the change. */
  record: RecordedMutation | undefined;
  /** Whether the two sessions that are to be paired avoid each other; if that changes later, so does a revision. */
  readonly avoiding: boolean;
  readonly #parts: TransactionParts;
  readonly #drafts = new Map<string, SessionDraft>();
  readonly #events: [string, string][] = [];
  readonly #due: string[];

  constructor(parts: TransactionParts, read: SessionsRead, due: string[] = []) {
    const [recorded, counts, sessions, rooms, avoiding] = read;
    this.#parts = parts;
    this.recorded = recorded ?? undefined;
    this.avoiding = avoiding === 1;
    this.#counts = counts.length === 0 ? undefined : readCounts(counts);
    this.#due = due;
    for (const [id, pairs] of sessions) this.#add(id, fieldsOf(pairs));
    for (const [id, pairs] of rooms) {
      const room = decodeRoom(id, fieldsOf(pairs));
      const members = [room.politeId, room.impoliteId].map((member) => this.#drafts.get(member));
      if (members.every((draft) => draft !== undefined))
        for (const draft of members) draft.value = { ...draft.value, room };
    }
  }

  /** A session that exists. */
  get(id: string): SessionDraft | undefined {
    const draft = this.#drafts.get(id);
    return draft && draft.value.revision > 0 ? draft : undefined;
  }

  /** A session, which is created if it does not exist. */
  getOrCreate(id: string): SessionDraft {
    return this.#drafts.get(id) ?? this.#add(id, {});
  }

  /** The other member of the session's room. */
  partnerOf({ value: { id, room } }: SessionDraft): Session | undefined {
    return room && this.#drafts.get(partnerIdOf(id, room))?.value;
  }

  get counts(): Stats {
    if (!this.#counts) throw new Error("a pairing reads no counts");
    return this.#counts;
  }

  lobbyCounts(mode: Mode, estimateMs: number | undefined): LobbyCounts {
    return { waiting: this.counts.waiting[mode], online: this.counts.online, estimateMs };
  }

  #add(id: string, before: Fields): SessionDraft {
    const draft = { ...decodeSession(id, before), before };
    this.#drafts.set(id, draft);
    return draft;
  }

  // -------------------------------------------------------------------------------------------
  // Changes

  /** Applies a change to the drafts. Returns its result. */
  apply<Result>({ member, partner, room, events, avoidances, result }: Change<Result>): Result {
    this.#replace(this.getOrCreate(member.id), member);
    if (partner) this.#replace(this.getOrCreate(partner.id), partner);
    for (const avoidance of avoidances) this.#avoid(avoidance);
    if (room) this.#changeRoom(room);
    for (const { sessionId, event } of events)
      if (this.getOrCreate(sessionId).epoch !== undefined)
        this.#events.push([sessionId, toLogText(event)]);
    return result;
  }

  #replace(draft: SessionDraft, next: Session): void {
    const before = draft.value;
    const { keys } = this.#parts;
    if (draft.terms && (before.ticket !== next.ticket || !next.present)) this.#unlist(draft);
    draft.value = next;
    if (next.present && next.ticket && !draft.terms) this.#list(draft);
    if (before.graceUntil !== next.graceUntil) {
      const deadline: Deadline = { kind: "grace", sessionId: next.id };
      if (before.graceUntil !== undefined)
        this.commands.push(["ZREM", keys.due(), encodeDeadline(deadline)]);
      if (next.graceUntil !== undefined) this.#setDeadline(deadline, next.graceUntil);
    }
    if (before.present !== next.present)
      this.commands.push([next.present ? "SADD" : "SREM", keys.online(), next.id]);
    if (next.lostAt !== undefined && before.lostAt === undefined) this.#archive(draft);
  }

  #list(draft: SessionDraft): void {
    const { keys, now, options } = this.#parts;
    const { id, ticket } = draft.value;
    if (!ticket) return;
    const { mode } = ticket.wishes;
    const terms: string[] = [];
    forEachIndexTerm(ticket, (kind, word) => terms.push(keys.term(mode, kind, word)));
    draft.terms = terms;
    for (const key of [...terms, keys.lobby(mode)])
      this.commands.push(["ZADD", key, String(ticket.queuedSince), id]);
    const relaxation = nextRelaxation(ticket, now(), options.relax);
    if (relaxation) this.#setDeadline({ kind: "relax", sessionId: id }, relaxation.at);
  }

  #unlist(draft: SessionDraft): void {
    const { keys } = this.#parts;
    const { id, ticket } = draft.value;
    if (!ticket || !draft.terms) return;
    for (const key of [...draft.terms, keys.lobby(ticket.wishes.mode)])
      this.commands.push(["ZREM", key, id]);
    const deadline = encodeDeadline({ kind: "relax", sessionId: id });
    this.commands.push(["ZREM", keys.due(), deadline]);
    draft.terms = undefined;
  }

  /** The grace has expired: the log ends, and the rest is kept for a while. */
  #archive(draft: SessionDraft): void {
    const { keys, options } = this.#parts;
    const { id, addressHash = "" } = draft.value;
    draft.epoch = undefined;
    this.startLog(draft, undefined);
    const shortS = Math.ceil(Math.max(retentionMsMin, options.skipCooldownMs) / 1000);
    if (draft.blocks) {
      const { blockersMax, blockersPerAddressMax } = options.blocks;
      const bounds = [tokenLifeMs / 1000, shortS, blockersMax, blockersPerAddressMax].map(String);
      this.commands.push(["keep_blocker", id, addressHash, ...bounds]);
    } else
      for (const key of [keys.session(id), keys.avoidances(id)])
        this.commands.push(["EXPIRE", key, String(shortS)]);
  }

  /** Begins an empty log; without an epoch there is none. */
  startLog(draft: SessionDraft, epoch: string | undefined): void {
    const { keys } = this.#parts;
    const { id } = draft.value;
    draft.epoch = epoch;
    this.commands.push(
      ["DEL", keys.log(id)],
      ["HDEL", keys.session(id), "last", "dropped", "bytes"],
    );
  }

  #avoid({ sessionId, otherId, until }: Avoidance): void {
    const { keys, options } = this.#parts;
    const draft = this.getOrCreate(sessionId);
    const key = keys.avoidances(sessionId);
    // The fraction keeps the order of avoidances that begin in one millisecond: past the bound the first one lapses.
    const fraction = ((draft.avoidanceCount++ % 4096) + 1) / 4096;
    const isBlock = !Number.isFinite(until);
    this.commands.push(
      ["ZADD", key, "GT", isBlock ? "+inf" : String(until - 1 + fraction), otherId],
      ["ZREMRANGEBYRANK", key, "0", String(-options.avoidsMax - 1)],
    );
    if (isBlock) draft.blocks = true;
    else this.#setDeadline({ kind: "cooldown", sessionId, otherId }, until);
    // The key may be new, and its session gone.
    if (draft.epoch === undefined) this.commands.push(["EXPIRE", key, String(tokenLifeMs / 1000)]);
  }

  #changeRoom(change: RoomChange): void {
    const { keys } = this.#parts;
    const { room } = change;
    const key = keys.room(room.id);
    switch (change.kind) {
      case "began":
        this.roomsBegun.push(change);
        this.commands.push(
          ["HSET", key, ...encodeRoom(room)],
          ["SADD", keys.rooms(room.mode), room.id],
        );
        return;
      case "updated":
        this.commands.push(["HSET", key, ...encodeRoomState(room)]);
        return;
      case "ended":
        this.roomEnds.push(change.end);
        this.commands.push(["DEL", key], ["SREM", keys.rooms(room.mode), room.id]);
    }
  }

  #setDeadline(deadline: Deadline, at: number): void {
    this.commands.push(["ZADD", this.#parts.keys.due(), String(at), encodeDeadline(deadline)]);
    this.#parts.onDeadline(at);
  }

  // -------------------------------------------------------------------------------------------
  // The commit

  /**
   * What is to be committed; `undefined` when nothing has become different.
   * @param looking sessions that look for a partner next.
   */
  toCommit(looking: readonly string[] = []): Commit | undefined {
    const { keys } = this.#parts;
    const seen: Commit["seen"] = [];
    const commands: string[][] = [];
    for (const draft of this.#drafts.values()) {
      const { id } = draft.value;
      const { set, unset } = difference(draft);
      const exists = Object.keys(draft.before).length > 0;
      // Of a session that does not exist and was only looked up, no trace may be left.
      if (exists || set.length > 0) seen.push([id, draft.before["revision"] ?? "0"]);
      if (set.length > 0) commands.push(["HSET", keys.session(id), ...set]);
      if (unset.length > 0) commands.push(["HDEL", keys.session(id), ...unset]);
    }
    commands.push(...this.commands);
    const isEmpty = commands.length === 0 && this.#events.length === 0 && this.#due.length === 0;
    if (isEmpty && !this.record) return undefined;
    return {
      seen,
      due: this.#due,
      commands,
      events: this.#events,
      looking,
      ...(this.record && { result: this.record }),
      ...(this.reads && { reads: this.reads }),
    };
  }
}

/** The fields that become different. A session that does not exist, and gets no stream, is not created. */
function difference(draft: SessionDraft): { set: string[]; unset: string[] } {
  const set: string[] = [];
  const unset: string[] = [];
  if (Object.keys(draft.before).length === 0 && draft.streams.length === 0) return { set, unset };
  for (const [name, value] of Object.entries(encodeSession(draft))) {
    if (value === draft.before[name]) continue;
    if (value === undefined) unset.push(name);
    else set.push(name, value);
  }
  return { set, unset };
}

function readCounts(counts: readonly number[]): Stats {
  const [online = 0, ...byMode] = counts;
  const waiting = { video: 0, audio: 0, text: 0 };
  const rooms = { video: 0, audio: 0, text: 0 };
  for (const [index, mode] of modes.entries()) {
    waiting[mode] = byMode[2 * index] ?? 0;
    rooms[mode] = byMode[2 * index + 1] ?? 0;
  }
  return { online, waiting, rooms };
}
