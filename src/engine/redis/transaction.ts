/**
 * One optimistic transaction: sessions as they were read, the changes that are applied to them, and what is then to be
 * committed, if no other transaction was faster.
 */
import { mayMeetBy } from "../../domain/again.ts";
import type {
  AddressedEvent,
  Avoidance,
  Change,
  LobbyCounts,
  RoomChange,
} from "../../domain/change.ts";
import { toLogText } from "../../domain/event-log.ts";
import { lifecycleOfChange } from "../../domain/lifecycle.ts";
import { lobbyOf } from "../../domain/lobby.ts";
import {
  partnerIdOf,
  personOf,
  type Room,
  type RoomEnd,
  type Session,
} from "../../domain/session.ts";
import { accepts, forEachIndexTerm, nextRelaxation, type Wishes } from "../../domain/ticket.ts";
import { tokenLifeMs } from "../constants.ts";
import type { EngineOptions } from "../engine.ts";
import {
  standingArguments,
  toSessionCommit,
  type Commit,
  type LogRead,
  type RecordedMutation,
} from "./commit.ts";
import { lifecycleMax } from "./constants.ts";
import { encodeDeadline, type Deadline } from "./deadlines.ts";
import type { Keys } from "./keys.ts";
import { retentionArguments, shortLifeS } from "./retention.ts";
import type { Counted, SessionsRead } from "./scripts.ts";
import {
  decodeSession,
  encodeFit,
  encodeSession,
  encodeStandby,
  fieldsOf,
  type Fields,
  type SessionDraft,
} from "./session-codec.ts";

/** A session, or its account, avoids another one until then (epoch milliseconds). */
export interface Cooldown {
  sessionId: string;
  account: string | undefined;
  until: number;
}

export interface TransactionParts {
  keys: Keys;
  options: EngineOptions;
  /** Milliseconds of the engine's clock. */
  now: () => number;
  /** A deadline is set. */
  onDeadline: (at: number) => void;
}

export class Transaction {
  /** The recorded result of the mutation that is carried out, if there is one: see commit.lua. */
  readonly recorded: string | undefined;
  readonly roomsBegun: { room: Room; waitedMs?: number }[] = [];
  readonly roomEnds: RoomEnd[] = [];
  /** Sessions that may meet somebody again by what has changed: see meetings.ts. */
  readonly mayMeet: SessionDraft[] = [];
  /** Two persons, and two more for each further pair, between whom there must be no block. */
  readonly unblocked: string[] = [];
  /** Avoidances that end. */
  readonly cooldowns: Cooldown[] = [];
  /** Whether a commit has found no room for its standing offer. */
  isFull = false;
  /** The session that leaves a standing offer, and that as JSON. */
  standing: readonly [sessionId: string, json: string] | undefined;
  /** Whether there are lifecycle events to tell. */
  tells = false;
  /** Further commands, carried out before events are appended. */
  readonly commands: string[][] = [];
  reads: LogRead | undefined;
  /** A mutation's result that is recorded with the change. */
  record: RecordedMutation | undefined;
  /** Whether the two sessions that are to be paired avoid each other; if that changes later, so does a revision. */
  readonly avoiding: boolean;
  readonly #parts: TransactionParts;
  readonly #drafts = new Map<string, SessionDraft>();
  readonly #due: string[];
  /** By how much the counts of a lobby change, by its name and what is counted. */
  readonly #counted = new Map<string, number>();

  constructor(parts: TransactionParts, read: SessionsRead, due: string[] = []) {
    const [recorded, sessions, avoiding] = read;
    this.#parts = parts;
    this.recorded = recorded ?? undefined;
    this.avoiding = avoiding === 1;
    this.#due = due;
    for (const [id, pairs, entries] of sessions) this.#add(id, fieldsOf(pairs), entries);
  }

  /** A session that exists. */
  get(id: string): SessionDraft | undefined {
    const draft = this.#drafts.get(id);
    return draft && draft.value.revision > 0 ? draft : undefined;
  }

  /** Whether it was looked for, so that it does not exist if `get` does not find it. */
  has(id: string): boolean {
    return this.#drafts.has(id);
  }

  /** A session, which is created if it does not exist. */
  getOrCreate(id: string): SessionDraft {
    return this.#drafts.get(id) ?? this.#add(id, {});
  }

  /** The other member of the session's room. */
  partnerOf({ value: { id, room } }: SessionDraft): Session | undefined {
    return room && this.#drafts.get(partnerIdOf(id, room))?.value;
  }

  /** The sessions that were read or added. */
  get drafts(): Iterable<SessionDraft> {
    return this.#drafts.values();
  }

  #add(id: string, before: Fields, entries = 0): SessionDraft {
    const stored = decodeSession(id, before);
    const draft: SessionDraft = {
      ...stored,
      before,
      entries,
      events: [],
      log: undefined,
      marks: false,
      after: {},
    };
    this.#drafts.set(id, draft);
    return draft;
  }

  // -------------------------------------------------------------------------------------------
  // Changes

  /** Applies a change to the drafts. Returns its result. */
  apply<Result>(change: Change<Result>): Result {
    const { member, partner, room, events, avoidances, result } = change;
    if (this.#parts.options.lifecycle?.length) this.#tell(change);
    this.#replace(this.getOrCreate(member.id), member);
    if (partner) this.#replace(this.getOrCreate(partner.id), partner);
    for (const avoidance of avoidances) this.#avoid(avoidance);
    if (room) this.#changeRoom(room);
    for (const event of events) this.#append(event);
    return result;
  }

  #tell(change: Change<unknown>): void {
    const { options, now } = this.#parts;
    const at = now();
    const { member, partner } = change;
    const before = {
      member: this.getOrCreate(member.id).value,
      partner: partner && this.getOrCreate(partner.id).value,
    };
    const events = lifecycleOfChange(change, before, { now: at, at }, options.lifecycle ?? []);
    if (events.length === 0) return;
    this.tells = true;
    const texts = events.map((event) => JSON.stringify(event));
    this.commands.push(["tell", String(lifecycleMax), ...texts]);
  }

  #append({ sessionId, event, offerOf }: AddressedEvent): void {
    const draft = this.getOrCreate(sessionId);
    if (draft.epoch === undefined) return;
    const text = toLogText(event);
    const wishes = draft.value.ticket?.wishes;
    const hasCounts = event.type === "lobby" && wishes;
    // commit.lua adds the offer.
    if (offerOf !== undefined) draft.events.push(`@${offerOf}\n${text}`);
    else draft.events.push(hasCounts ? withCounts(text, wishes, event) : text);
  }

  #replace(draft: SessionDraft, next: Session): void {
    const before = draft.value;
    const { keys } = this.#parts;
    if (mayMeetBy(before, next)) this.mayMeet.push(draft);
    if (draft.terms && (before.ticket !== next.ticket || !next.present)) this.#unlist(draft);
    draft.value = next;
    if (before.standby && before.standby !== next.standby) {
      const [bytes, address] = encodeStandby(before.standby);
      this.commands.push(["drop_standing", next.id, address, bytes]);
    }
    if (next.present && next.ticket && !draft.terms) this.#list(draft);
    if (before.graceUntil !== next.graceUntil) {
      const deadline: Deadline = { kind: "grace", sessionId: next.id };
      if (before.graceUntil !== undefined) this.#remove(keys.due(), encodeDeadline(deadline));
      if (next.graceUntil !== undefined) this.#setDeadline(deadline, next.graceUntil);
    }
    if (before.present) this.#count(lobbyOf(before), "online", -1);
    if (next.present) this.#count(lobbyOf(next), "online", 1);
    if (before.present !== next.present) {
      const [command, { account }] = [next.present ? "SADD" : "SREM", next];
      this.commands.push([command, keys.online(), next.id]);
      if (account !== undefined)
        this.commands.push([command, keys.accountSessions(account), next.id]);
    }
    if (next.lostAt !== undefined && before.lostAt === undefined) this.#archive(draft);
  }

  #list(draft: SessionDraft): void {
    const { keys, now, options } = this.#parts;
    const { id, ticket } = draft.value;
    if (!ticket) return;
    const { lobby, mode } = ticket.wishes;
    const queuedSince = String(ticket.queuedSince);
    const terms: string[] = [];
    const { dimensions } = options;
    forEachIndexTerm(ticket, dimensions?.listed, (kind, word) =>
      terms.push(keys.term(mode, kind, word)),
    );
    draft.terms = terms;
    this.#count(lobby, `waiting ${mode}`, 1);
    draft.fit = encodeFit(ticket, dimensions);
    for (const key of [...terms, keys.lobby(mode)])
      this.commands.push(["ZADD", key, queuedSince, id]);
    if (draft.fit !== undefined && accepts(ticket.accepts, "anybody"))
      this.commands.push(["give_place", id, draft.fit.fit, queuedSince, ...terms]);
    const relaxesAt = nextRelaxation(ticket, now(), options.relax);
    if (relaxesAt !== undefined) this.#setDeadline({ kind: "relax", sessionId: id }, relaxesAt);
  }

  #unlist(draft: SessionDraft): void {
    const { keys } = this.#parts;
    const { id, ticket } = draft.value;
    if (!ticket || !draft.terms) return;
    const { lobby, mode } = ticket.wishes;
    this.#count(lobby, `waiting ${mode}`, -1);
    for (const key of [...draft.terms, keys.lobby(mode)]) this.#remove(key, id);
    if (draft.fit !== undefined && accepts(ticket.accepts, "anybody"))
      this.commands.push(["take_place", id, draft.fit.fit, ...draft.terms]);
    this.#remove(keys.due(), encodeDeadline({ kind: "relax", sessionId: id }));
    draft.terms = undefined;
    draft.fit = undefined;
  }

  /** What is in the lobby that is always there is not counted: see count_in_lobby.lua. */
  #count(lobby: string | undefined, what: Counted, by: 1 | -1): void {
    if (lobby === undefined) return;
    const field = `${lobby}\n${what}`;
    this.#counted.set(field, (this.#counted.get(field) ?? 0) + by);
  }

  /** Takes a member out of a sorted set: with one command for all members, as the two who are paired are in the same sets. */
  #remove(key: string, member: string): void {
    const { commands } = this;
    const removal = commands.find(([name, at]) => name === "ZREM" && at === key);
    // What was added since must not come before its removal.
    const isLatest = removal && commands.every((one) => one[1] !== key || one[0] === "ZREM");
    if (removal && isLatest) removal.push(member);
    else commands.push(["ZREM", key, member]);
  }

  /** The grace has expired: the log ends, and the rest is kept for a while. */
  #archive(draft: SessionDraft): void {
    const { keys, options } = this.#parts;
    const { id, account, addressHash } = draft.value;
    draft.epoch = undefined;
    draft.log = "ends";
    const retention = retentionArguments(addressHash, options);
    if (draft.blocks) this.commands.push(["keep_blocker", id, ...retention]);
    else
      for (const key of [keys.session(id), keys.avoidances(id)])
        this.commands.push(["EXPIRE", key, String(shortLifeS(options))]);
    if (account !== undefined) this.commands.push(["keep_account", account, ...retention]);
  }

  #avoid({ sessionId, otherId, until }: Avoidance): void {
    const { keys, options, now } = this.#parts;
    const draft = this.getOrCreate(sessionId);
    const { account, addressHash } = draft.value;
    const key = keys.avoidances(personOf(draft.value));
    const other = personOf(this.getOrCreate(otherId).value);
    // The fraction keeps the order of avoidances that begin in one millisecond: past the bound the first one lapses.
    const fraction = ((draft.avoidanceCount++ % 4096) + 1) / 4096;
    const isBlock = !Number.isFinite(until);
    this.commands.push(
      // What is over is dropped with the next one.
      ["ZREMRANGEBYSCORE", key, "-inf", String(now())],
      ["ZADD", key, "GT", isBlock ? "+inf" : String(until - 1 + fraction), other],
      ["ZREMRANGEBYRANK", key, "0", String(-options.avoidsMax - 1)],
    );
    if (!isBlock) this.cooldowns.push({ sessionId, account, until });
    else if (account === undefined) draft.blocks = true;
    // The key may be new, and its session gone.
    if (draft.epoch !== undefined) return;
    if (account === undefined) this.commands.push(["EXPIRE", key, String(tokenLifeMs / 1000)]);
    else this.commands.push(["keep_account", account, ...retentionArguments(addressHash, options)]);
  }

  #changeRoom(change: RoomChange): void {
    const { keys } = this.#parts;
    const { room } = change;
    if (change.kind === "updated") return;
    if (change.kind !== "ended") {
      if (change.kind === "began") this.roomsBegun.push(change);
      for (const id of [room.politeId, room.impoliteId]) this.getOrCreate(id).marks = true;
      this.commands.push(["SADD", keys.rooms(room.mode), room.id]);
      this.#count(room.lobby, `rooms ${room.mode}`, 1);
    } else {
      this.roomEnds.push(change.end);
      this.commands.push(["SREM", keys.rooms(room.mode), room.id]);
      this.#count(room.lobby, `rooms ${room.mode}`, -1);
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
    const drafts = [...this.#drafts.values()];
    for (const draft of drafts) draft.after = encodeSession(draft);
    for (const draft of drafts) this.#renameLogs(draft);
    const sessions = drafts.flatMap((draft) => toSessionCommit(draft) ?? []);
    const { commands, record: result, reads, unblocked } = this;
    const [leaving, offer] = this.standing ?? [];
    const standing =
      leaving === undefined || offer === undefined
        ? []
        : standingArguments(this.getOrCreate(leaving), offer, this.#parts.options.standby);
    for (const [field, by] of this.#counted)
      if (by !== 0) commands.push(["count_in_lobby", ...field.split("\n"), String(by)]);
    const isEmpty =
      commands.length === 0 &&
      this.#due.length === 0 &&
      sessions.every(
        ({ changes, log, entries, account }) =>
          !changes && !log && entries.length === 0 && !account?.set.length,
      );
    if (isEmpty && !result) return undefined;
    const lookingAt = looking.map((id) => {
      const { value, terms = [], fit } = this.getOrCreate(id);
      return { id, person: personOf(value), terms, fit: fit?.fit };
    });
    const due = this.#due;
    return { sessions, due, unblocked, standing, commands, looking: lookingAt, result, reads };
  }

  /** Wherever a node may append to a log by its name, but must no longer do so as it does. */
  #renameLogs(draft: SessionDraft): void {
    const { before, after, value } = draft;
    const isElsewhere = after["nodes"] !== before["nodes"];
    const hasLeftRoom = before["in"] !== undefined && after["in"] !== before["in"];
    if (isElsewhere || hasLeftRoom) draft.log ??= "renamed";
    if (before["in"] === undefined || after["generation"] === before["generation"]) return;
    const partner = value.room && this.#drafts.get(partnerIdOf(value.id, value.room));
    if (partner) partner.log ??= "renamed";
  }
}

/** The text of a `lobby` event as commit.lua takes it: with the counts that are to be added to those of the lobby. */
function withCounts(
  text: string,
  { lobby = "", mode }: Wishes,
  { waiting, online }: LobbyCounts,
): string {
  const format = text.replace(
    `"waiting":${waiting},"online":${online}`,
    '"waiting":%d,"online":%d',
  );
  return `#${mode} ${waiting} ${online} ${lobby}\n${format}`;
}
