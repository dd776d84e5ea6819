/** What was decided, in memory: the latest decisions, and what became of each case. It ends with the process. */
import {
  caseDecisionsOf,
  type DecisionRecord,
  type DecisionsRequest,
  type ExportedDecision,
} from "../../domain/decisions.ts";
import type { CaseAnswer } from "../../protocol.ts";
import { casesKeptMax, decisionsKeptMax } from "../constants.ts";

export class DecisionLog {
  readonly #keepMs: number;
  /** The oldest first. */
  #records: ExportedDecision[] = [];
  /** The one that was decided the longest ago first. */
  readonly #cases = new Map<string, CaseAnswer>();
  #count = 0;

  /** @param keepMs how long they are kept; 0: as long as there are few enough. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  append(records: readonly DecisionRecord[]): void {
    for (const record of records)
      this.#records.push({ ...record, id: `${record.at}-${this.#count++}` });
    // Not with each one, as that would copy all of them.
    if (this.#records.length > 2 * decisionsKeptMax) this.#records = this.#latest();
    const [last] = records.slice(-1);
    if (!last) return;
    for (const [caseId, decision] of caseDecisionsOf(records)) {
      this.#cases.delete(caseId);
      this.#cases.set(caseId, { decision, at: last.at });
    }
    for (const caseId of this.#cases.keys()) {
      if (this.#cases.size <= casesKeptMax) break;
      this.#cases.delete(caseId);
    }
  }

  /** @param now epoch milliseconds. */
  list({ since = 0, after, limit }: DecisionsRequest, now: number): ExportedDecision[] {
    const from = Math.max(since, this.#keptSince(now));
    this.#records = this.#latest().filter(({ at }) => at >= this.#keptSince(now));
    return this.#behind(after)
      .filter(({ at }) => at >= from)
      .slice(0, limit);
  }

  /** Of one that is gone, or that another process has decided, only the time is known: its id begins with it. */
  #behind(id: string | undefined): readonly ExportedDecision[] {
    if (id === undefined) return this.#records;
    const index = this.#records.findLastIndex((record) => record.id === id);
    if (index >= 0) return this.#records.slice(index + 1);
    const time = Number.parseInt(id, 10);
    return this.#records.filter(({ at }) => at >= time);
  }

  ofCase(caseId: string, now: number): CaseAnswer {
    const answer = this.#cases.get(caseId);
    return answer?.at !== undefined && answer.at >= this.#keptSince(now) ? answer : {};
  }

  #latest(): ExportedDecision[] {
    return this.#records.slice(-decisionsKeptMax);
  }

  #keptSince(now: number): number {
    return this.#keepMs === 0 ? 0 : now - this.#keepMs;
  }
}
