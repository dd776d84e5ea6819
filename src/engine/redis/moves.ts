/**
 * Moves sessions that are in no room from one shard to another: those of a shard that is closed, and those who have waited so long
 * that nobody seems to be there for them, who all meet in the first shard. Always to a lower number, so that there are no cycles.
 *
 * First a copy is stored in the other shard, as a session in its grace; then, if nothing has changed meanwhile, the session is replaced by a
 * pointer in one step; then its streams end as if their node had lost its lease, and are attached again, to the copy. Wherever this
 * breaks off, the session is whole in one of the two: the copy counts from the moment the pointer is there, and expires otherwise.
 */
import { lobbyOf } from "../../domain/lobby.ts";
import { tokenLifeMs } from "../constants.ts";
import type { EngineOptions } from "../engine.ts";
import { encodeDeadline } from "./deadlines.ts";
import type { Openings } from "./openings.ts";
import { scripts, type Pairs } from "./scripts.ts";
import { decodeSession, encodeSession, fieldsOf } from "./session-codec.ts";
import type { Shard } from "./shard.ts";
import { retentionArguments } from "./retention.ts";
import { SessionMoved } from "./transactor.ts";
import { birthShardOf } from "./shard-ids.ts";

/** Sessions of a shard that a node moves after one heartbeat: more would be felt by others. */
const movedAtOnce = 64;

export interface MovesParts {
  shards: readonly Shard[];
  openings: Openings;
  options: EngineOptions;
  /** See `RedisOptions`. */
  seekAfterMs: number;
}

export class Moves {
  readonly #parts: MovesParts;
  /** Sessions that are being moved: their calls wait for it. */
  readonly #moving = new Map<string, Promise<unknown>>();
  readonly #busy = new Set<number>();

  constructor(parts: MovesParts) {
    this.#parts = parts;
  }

  /** The shard in which a session is, or in which it would be if it existed. @throws {RedisUnavailable} */
  async find(sessionId: string, isNew = false): Promise<Shard> {
    const { shards } = this.#parts;
    await this.#moving.get(sessionId);
    const here = shards.find(({ inboxes }) => inboxes.has(sessionId));
    if (here) return here;
    let shard = shards[birthShardOf(sessionId, shards.length)];
    for (;;) {
      if (!shard) throw new Error("there is a shard for each id");
      if (isNew) return shard;
      const { node } = shard;
      const life = ["EX", String(tokenLifeMs / 1000)];
      const pointer = await node.command("GETEX", node.keys.moved(sessionId), ...life);
      const next = pointer === null ? undefined : shards[Number(pointer)];
      if (!next || next.number >= shard.number) return shard;
      shard = next;
    }
  }

  /**
   * Carries out a verb in the shard in which a session is. Once more if it turns out to have been moved meanwhile: it was in no room
   * then, and the results of its mutations were moved with it, so that nothing is done twice.
   * @throws what `verb` throws, and {RedisUnavailable}
   */
  async follow<T>(
    sessionId: string,
    verb: (shard: Shard) => Promise<T>,
    isNew: boolean,
  ): Promise<T> {
    let shard = await this.find(sessionId, isNew);
    for (;;) {
      let result: T | undefined;
      let isMoved = false;
      try {
        result = await verb(shard);
      } catch (error) {
        if (!(error instanceof SessionMoved)) throw error;
        isMoved = true;
      }
      const isSettled = !isMoved && (isNew || shard.inboxes.has(sessionId));
      const next = isSettled ? shard : await this.find(sessionId);
      if (next === shard && isMoved) throw new Error("a pointer leads to no shard");
      if (next === shard) return result as T;
      // Moves lead to lower numbers: this ends.
      shard = next;
    }
  }

  /** Moves those sessions with streams here that should not stay in this shard. @throws {RedisUnavailable} */
  async begin(number: number): Promise<void> {
    const { shards, openings, seekAfterMs } = this.#parts;
    const from = shards[number];
    if (!from || number === 0 || this.#busy.has(number)) return;
    const isClosed = number >= openings.open;
    const first = shards.slice(0, number).find(({ node }) => node.available);
    if (!first) return;
    const since = isClosed ? undefined : from.now() - seekAfterMs;
    this.#busy.add(number);
    try {
      for (const sessionId of from.inboxes.waiting(since).slice(0, movedAtOnce)) {
        const home = isClosed && openings.homeOf(from.inboxes.get(sessionId)?.account);
        await this.move(sessionId, from, home || first);
      }
    } finally {
      this.#busy.delete(number);
    }
  }

  /** Moves a session that is in no room, and whose streams are all here. Returns whether it did. @throws {RedisUnavailable} */
  async move(sessionId: string, from: Shard, to: Shard): Promise<boolean> {
    if (this.#moving.has(sessionId)) return false;
    const moving = this.#move(sessionId, from, to);
    // What fails is told to whoever called `move`; those who wait only wait.
    const settled = moving.then(
      () => {},
      () => {},
    );
    this.#moving.set(sessionId, settled);
    try {
      return await moving;
    } finally {
      this.#moving.delete(sessionId);
    }
  }

  async #move(sessionId: string, from: Shard, to: Shard): Promise<boolean> {
    await from.transactor.running(sessionId);
    const exported = await from.node.run(scripts.exportSession, { session: sessionId });
    const [pairs, results, avoidances, ofAccount, itsAvoidances] = exported;
    const fields = fieldsOf(pairs);
    const stored = decodeSession(sessionId, fields);
    const { value, streams, terms = [] } = stored;
    const { account = "", addressHash } = value;
    const retention = retentionArguments(addressHash, this.#parts.options);
    const isMovable =
      streams.length > 0 && streams.every(({ node }) => node === from.node.id) && !value.room;
    if (!isMovable) return false;
    const graceUntil = to.now() + this.#parts.options.graceMs;
    const copy = encodeSession({
      ...stored,
      value: { ...value, present: false, standby: undefined, graceUntil },
      streams: [],
      epoch: undefined,
      terms: undefined,
      fit: undefined,
    });
    const { revision = "0", answered = "0" } = fields;
    const kept: Record<string, string | undefined> = { ...copy, answered, copied: "1" };
    kept["revision"] = String(Number(revision) + 1);
    const isStored = await to.node.run(
      scripts.arrive,
      { session: sessionId, grace_until: graceUntil, now: to.now(), account },
      [pairsOf(kept), results, avoidances, ofAccount, itsAvoidances, retention].flatMap(listOf),
    );
    if (isStored === 0) return false;
    const { mode = "", lobby: tickets = "" } = value.ticket?.wishes ?? {};
    const lists = mode === "" ? terms : [...terms, from.node.keys.lobby(mode)];
    try {
      const departed = await from.node.run(
        scripts.depart,
        {
          session: sessionId,
          revision,
          answered,
          to: to.number,
          life_s: tokenLifeMs / 1000,
          relaxation: encodeDeadline({ kind: "relax", sessionId }),
          now: from.now(),
          account,
          lobby: lobbyOf(value) ?? "",
          tickets,
          mode,
        },
        [...listOf([...lists]), ...retention],
      );
      if (departed === 0) return false;
    } catch (error) {
      // It may have been carried out: attaching finds out.
      from.inboxes.end(sessionId);
      throw error;
    }
    from.inboxes.end(sessionId);
    const untils = account === "" ? avoidances : itsAvoidances;
    for (let index = 1; index < untils.length; index += 2) {
      const until = Number(untils[index]);
      if (Number.isFinite(until)) to.sweeper.awaitEnd({ sessionId, account: value.account, until });
    }
    return true;
  }
}

const listOf = (list: Pairs): string[] => [
  String(list.length),
  ...list.map((value) => value ?? ""),
];

function pairsOf(fields: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value],
  );
}
