/**
 * What was decided, in a stream in Redis, each under the id of the moderation entry that it follows from. All nodes derive the same decisions
 * from the same log in the same order, and each tries to append each of them: the first one does.
 */
import {
  caseDecisionsOf,
  type DecisionRecord,
  type DecisionsRequest,
  type ExportedDecision,
} from "../../domain/decisions.ts";
import { caseDecisions, type CaseAnswer } from "../../protocol.ts";
import { casesKeptMax, decisionsKeptMax } from "../constants.ts";
import type { Node } from "./node.ts";
import { scripts } from "./scripts.ts";

/** Entries read with one command. */
const entriesPerRead = 1000;
/** By how much the time of a decision and the id of its entry may differ (milliseconds). */
const clockMs = 60_000;

type Entry = [id: string, fields: string[]];

export class DecisionStream {
  readonly #node: Node;
  readonly #keepMs: number;
  /** By the id of the entry: those that have not been appended yet. */
  readonly #pending = new Map<string, readonly DecisionRecord[]>();
  /** The last entry whose decisions are known to be there. */
  #last = "0-0";

  /** @param keepMs how long they are kept; 0: as long as there are few enough. */
  constructor(node: Node, keepMs: number) {
    this.#node = node;
    this.#keepMs = keepMs;
  }

  /** Reads what was decided before, the oldest first. Rejects while Redis is unavailable. */
  async restore(take: (record: DecisionRecord) => void): Promise<void> {
    for await (const [id, records] of this.#read("-")) {
      this.#last = id;
      for (const record of records) take(record);
    }
  }

  /** To be appended with the next `flush`, if it is not there. */
  add(entryId: string, records: readonly DecisionRecord[]): void {
    if (records.length > 0 && isLater(entryId, this.#last)) this.#pending.set(entryId, records);
  }

  /** Appends what was added, in order. Rejects while Redis is unavailable; then it is appended with the next one. */
  async flush(): Promise<void> {
    // Before that nothing may be written; it is called again then.
    if (!this.#node.available) return;
    for (const [entry, records] of this.#pending) {
      const json = JSON.stringify(records);
      const at = Math.max(...records.map((record) => record.at));
      const cases = [...caseDecisionsOf(records)].flatMap(([caseId, decision]) => [
        String(scoreOf(at, decision)),
        caseId,
      ]);
      const since = this.#keptSince();
      const args = {
        entry,
        json,
        max: decisionsKeptMax,
        cases_max: casesKeptMax,
        keep_ms: this.#keepMs,
        kept_since: since,
        cases_since: scoreOf(since, "none"),
      };
      await this.#node.run(scripts.keepDecisions, args, cases);
      this.#pending.delete(entry);
      this.#last = entry;
    }
  }

  /** Rejects while Redis is unavailable. */
  async list({ since = 0, after, limit }: DecisionsRequest): Promise<ExportedDecision[]> {
    const from = Math.max(since, this.#keptSince());
    const [entry = "", place = ""] = (after ?? "").split(".");
    const found: ExportedDecision[] = [];
    const start = entry === "" ? String(Math.max(0, from - clockMs)) : entry;
    for await (const [id, records] of this.#read(start))
      for (const [index, record] of records.entries()) {
        if (record.at < from || (id === entry && index <= Number(place))) continue;
        found.push({ ...record, id: `${id}.${index}` });
        if (found.length === limit) return found;
      }
    return found;
  }

  /** Rejects while Redis is unavailable. */
  async ofCase(caseId: string): Promise<CaseAnswer> {
    const reply = await this.#node.command("ZSCORE", this.#node.keys.cases(), caseId);
    if (typeof reply !== "string" && typeof reply !== "number") return {};
    const score = Number(reply);
    const at = Math.floor(score / caseDecisions.length);
    const decision = caseDecisions[score % caseDecisions.length];
    return decision && at >= this.#keptSince() ? { decision, at } : {};
  }

  async *#read(start: string): AsyncGenerator<[id: string, records: DecisionRecord[]]> {
    const { keys } = this.#node;
    for (let from = start; ;) {
      const range = [from, "+", "COUNT", String(entriesPerRead)];
      const entries = (await this.#node.command("XRANGE", keys.decisions(), ...range)) as Entry[];
      for (const [id, [, json = "[]"]] of entries) {
        from = `(${id}`;
        yield [id, JSON.parse(json) as DecisionRecord[]];
      }
      if (entries.length < entriesPerRead) return;
    }
  }

  #keptSince(): number {
    return this.#keepMs === 0 ? 0 : Math.max(0, this.#node.now() - this.#keepMs);
  }
}

/** When and what was decided, as one number that grows with the time. */
function scoreOf(at: number, decision: (typeof caseDecisions)[number]): number {
  return Math.floor(at) * caseDecisions.length + caseDecisions.indexOf(decision);
}

/** Of two ids of a stream. */
function isLater(id: string, than: string): boolean {
  const [ms = 0, number = 0] = id.split("-").map(Number);
  const [otherMs = 0, otherNumber = 0] = than.split("-").map(Number);
  return ms === otherMs ? number > otherNumber : ms > otherMs;
}
