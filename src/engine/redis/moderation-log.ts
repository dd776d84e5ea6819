/**
 * Reports and suspensions, the same on every node: each node derives them from the same entries in the same order. The
 * entries are a bounded stream in Redis. As strangers' reports can push older entries out of it, the suspensions themselves
 * are also stored in a hash, from which a new node restores them.
 */
import {
  lifecycleOfDecision,
  type Decision,
  type LifecycleEvent,
  type LifecycleType,
} from "../../domain/lifecycle.ts";
import {
  Moderation,
  type ModerationLimits,
  type Party,
  type Subject,
  type Suspension,
  type Verdict,
} from "../../domain/moderation.ts";
import { carryOut, decisionsOf, type DecisionRecord } from "../../domain/decisions.ts";
import type { Rejection } from "../../domain/rejection.ts";
import { RedisUnavailable } from "./client.ts";
import type { DecisionStream } from "./decision-stream.ts";
import type { Keys } from "./keys.ts";

/** Entries kept; older reports no longer count, or there are too many. */
const entriesMax = 100_000;
/** Entries whose effect is remembered, for as long as it may have to be told. */
const rememberedMax = 1000;
/** Entries read with one command. */
const entriesPerRead = 1000;

export interface ModerationLogOptions {
  limits: ModerationLimits;
  keys: Keys;
  /** Of this process. */
  nodeId: string;
  /** Milliseconds of the engine's clock. */
  now: () => number;
  command: (...args: string[]) => Promise<unknown>;
  /** Appends an entry in JSON, for all nodes. Resolves with its id. */
  append: (json: string, entriesMax: number) => Promise<string>;
  /** Lifecycle events to derive; with any of them each entry that is appended has to be told once. */
  lifecycle: readonly LifecycleType[];
  /** Appends lifecycle events: those of an entry once over all nodes, those without an entry in any case. */
  tell: (entryId: string, events: readonly LifecycleEvent[]) => Promise<unknown>;
  /** Announces a new entry to all nodes. */
  notifyNodes: () => Promise<unknown>;
  /** Keeps what was decided. */
  decisions: Pick<DecisionStream, "restore" | "add" | "flush">;
  /** Another node's entry has suspended somebody, who may be connected here. */
  onVerdict: (verdict: Verdict) => void;
}

/** An entry as it is stored: `by` which call of which node. */
type Stored = Decision & { by?: string };

const noEffect: Verdict = { first: false, counted: false, suspended: [] };
const fieldOf = ({ kind, id }: Subject) => `${kind} ${id}`;

export class ModerationLog {
  readonly #options: ModerationLogOptions;
  readonly #moderation: Moderation;
  /**
   * Entries of this node that are being appended, and what they have led to once they have been read back. Not by their ids: an entry may be
   * read before its id is known.
   */
  readonly #pending = new Map<string, { verdict?: Verdict }>();
  #appended = 0;
  /** What the last entries of all nodes have led to, by their ids, for those whose node died before it told. */
  readonly #lifecycle = new Map<string, LifecycleEvent[]>();
  #readAfter = "-";
  #isRestored = false;
  #syncing: Promise<void> = Promise.resolve();

  constructor(options: ModerationLogOptions) {
    this.#options = options;
    this.#moderation = new Moderation(options.limits);
  }

  /** Reads the entries that are new, one call after the other. Rejects while Redis is unavailable. */
  sync(): Promise<void> {
    this.#syncing = this.#syncing.catch(() => {}).then(() => this.#readAll());
    return this.#syncing;
  }

  /** Appends an entry for all nodes. Resolves with its effect. */
  async append(entry: Decision): Promise<Verdict & { decided: readonly DecisionRecord[] }> {
    const verdict = await this.#write(entry);
    return { ...verdict, decided: decisionsOf(entry, verdict) };
  }

  async #write(entry: Decision): Promise<Verdict> {
    const moderation = this.#moderation;
    const { keys, command, append, notifyNodes, lifecycle, tell, nodeId } = this.#options;
    if (entry.kind === "report") {
      // Only what counts is written: strangers can send as many other reports as they like.
      if (moderation.hasReport(entry)) return noEffect;
      if (!moderation.canCount(entry)) {
        // Told first: if that fails the report is made again.
        const events = lifecycleOfDecision(entry, { ...noEffect, first: true }, lifecycle);
        if (events.length > 0) await tell("", events);
        return moderation.report(entry, entry.at);
      }
    }
    const by = `${nodeId} ${++this.#appended}`;
    const own: { verdict?: Verdict } = {};
    this.#pending.set(by, own);
    try {
      const id = await append(JSON.stringify({ ...entry, by } satisfies Stored), entriesMax);
      await notifyNodes();
      await this.sync();
      const { verdict } = own;
      // A failover may lose what was written last.
      if (!verdict) throw new RedisUnavailable("an entry was lost before it was read");
      if (entry.kind === "lift") await command("HDEL", keys.suspensions(), fieldOf(entry.subject));
      await this.#store(verdict.suspended);
      if (lifecycle.length > 0) await this.tell(id);
      return verdict;
    } finally {
      this.#pending.delete(by);
    }
  }

  /** Tells what an entry has led to, if no node has. Returns whether that is known here. Rejects while Redis is unavailable. */
  async tell(entryId: string): Promise<boolean> {
    const events = this.#lifecycle.get(entryId);
    if (!events) return false;
    await this.#options.tell(entryId, events);
    this.#lifecycle.delete(entryId);
    return true;
  }

  refusalOf(party: Party, now: number): Rejection | undefined {
    return this.#moderation.refusalOf(party, now);
  }

  list(now: number): Suspension[] {
    return this.#moderation.list(now);
  }

  async #readAll(): Promise<void> {
    const { decisions } = this.#options;
    // Before the log: its older entries may have been dropped, and what they led to decides what the others lead to.
    if (!this.#isRestored) await decisions.restore((record) => this.#recall(record));
    await this.#readNew();
    await decisions.flush();
    if (!this.#isRestored) await this.#restore();
    this.#isRestored = true;
  }

  async #readNew(): Promise<void> {
    const { keys, command, onVerdict, decisions } = this.#options;
    for (;;) {
      const range = [this.#readAfter, "+", "COUNT", String(entriesPerRead)];
      const reply = await command("XRANGE", keys.moderationLog(), ...range);
      const entries = reply as [id: string, fields: string[]][];
      for (const [id, [, json = ""]] of entries) {
        this.#readAfter = `(${id}`;
        const { by, ...entry } = JSON.parse(json) as Stored;
        const verdict = carryOut(this.#moderation, entry);
        decisions.add(id, decisionsOf(entry, verdict));
        this.#remember(id, entry, verdict);
        const own = by === undefined ? undefined : this.#pending.get(by);
        if (own) own.verdict = verdict;
        else if (verdict.suspended.length > 0) onVerdict(verdict);
      }
      if (entries.length < entriesPerRead) return;
    }
  }

  #remember(id: string, entry: Decision, verdict: Verdict): void {
    const { lifecycle } = this.#options;
    if (lifecycle.length === 0) return;
    this.#lifecycle.set(id, lifecycleOfDecision(entry, verdict, lifecycle));
    const [oldest] = this.#lifecycle.keys();
    if (this.#lifecycle.size > rememberedMax && oldest !== undefined)
      this.#lifecycle.delete(oldest);
  }

  #recall({ subject, decision, at, until }: DecisionRecord): void {
    if (!subject) return;
    if (decision === "lifted") this.#moderation.recallLift(subject);
    else this.#moderation.recall(subject, at, until);
  }

  /** Takes in the suspensions whose entries are no longer in the stream, and stores those that the hash lacks. */
  async #restore(): Promise<void> {
    const { keys, command, now } = this.#options;
    const over: string[] = [];
    const stored = new Set<string>();
    for (const suspension of await this.#stored()) {
      const field = fieldOf(suspension.subject);
      if (suspension.until <= now()) over.push(field);
      else this.#moderation.restore(suspension, now());
      stored.add(field);
    }
    if (over.length > 0) await command("HDEL", keys.suspensions(), ...over);
    const missing = this.list(now()).filter(({ subject }) => !stored.has(fieldOf(subject)));
    await this.#store(missing);
  }

  async #stored(): Promise<Suspension[]> {
    const { keys, command } = this.#options;
    const all = (await command("HVALS", keys.suspensions())) as string[];
    // Those of earlier versions have no reason.
    return all.map((json) => {
      const stored = JSON.parse(json) as Omit<Suspension, "because"> & Partial<Suspension>;
      return { ...stored, because: stored.because ?? "other" };
    });
  }

  /** Stores suspensions. Past the bound those are dropped first that are over, then those by reports that end soonest. */
  async #store(suspensions: readonly Suspension[]): Promise<void> {
    if (suspensions.length === 0) return;
    const { keys, command, now, limits } = this.#options;
    const key = keys.suspensions();
    const fields = suspensions.flatMap((one) => [fieldOf(one.subject), JSON.stringify(one)]);
    await command("HSET", key, ...fields);
    const excess = Number(await command("HLEN", key)) - limits.recordsMax;
    if (excess <= 0) return;
    const rank = ({ until, by }: Suspension) => (until <= now() ? 0 : by === "reports" ? 1 : 2);
    const all = await this.#stored();
    const first = all.sort((a, b) => rank(a) - rank(b) || a.until - b.until).slice(0, excess);
    await command("HDEL", key, ...first.map(({ subject }) => fieldOf(subject)));
  }
}
