/** What was decided about whom, when, by whom and why, as a record that can be exported; and how a decision is carried out. */
import type { caseDecisions, SanctionReason } from "../protocol.ts";
import type { Decision } from "./lifecycle.ts";
import type { Moderation, Subject, Verdict } from "./moderation.ts";
import type { WarningEvent } from "./session.ts";

export const decisionKinds = ["none", "warned", "suspended", "lifted"] as const;

/** One decision. That a suspension is over is none. */
export interface DecisionRecord {
  /** Epoch milliseconds. */
  at: number;
  /** `none`: an operator has closed a case without any. */
  decision: (typeof decisionKinds)[number];
  by: "reports" | "operator";
  because: SanctionReason;
  /** Absent for `none`. */
  subject?: Subject;
  /** Of a suspension, in epoch milliseconds. */
  until?: number;
  caseId?: string;
  /** The operator's own reference. */
  noteId?: string;
  /** All reports that are decided by it, by their cases. */
  cases?: readonly string[];
}

/** A record as it is exported. */
export interface ExportedDecision extends DecisionRecord {
  /** Later ones follow it when they are asked for `after` it. */
  id: string;
}

/** Which decisions are asked for, the oldest first. */
export interface DecisionsRequest {
  /** Epoch milliseconds. Default: all that are kept. */
  since?: number | undefined;
  /** Only those behind the one with this id. */
  after?: string | undefined;
  limit: number;
}

/** The reports that one decision can decide, the latest ones: as many as a record names. */
const casesMax = 64;

/**
 * Applies a report or an operator's decision.
 * @param steady the time of it by a clock that never steps.
 */
export function carryOut(
  moderation: Moderation,
  decision: Decision,
  steady = decision.at,
): Verdict {
  const none: Verdict = { first: false, counted: false, suspended: [] };
  const { kind, at } = decision;
  switch (kind) {
    case "report":
      return moderation.report(decision, at, steady);
    case "suspend": {
      const { subject, until, caseId } = decision;
      const cases = new Set([...moderation.casesOf(subject), ...(caseId ? [caseId] : [])]);
      const suspended = [moderation.suspend(subject, until, at, decision)];
      return cases.size > 0 ? { ...none, suspended, cases: [...cases] } : { ...none, suspended };
    }
    case "lift":
      return { ...none, counted: moderation.lift(decision.subject, at) };
    case "dismiss":
      return { ...none, counted: true };
    default:
      // An entry of a later version.
      return none;
  }
}

/** What was decided by a report or by an operator. */
export function decisionsOf(decision: Decision, verdict: Verdict): DecisionRecord[] {
  const { at } = decision;
  const cases = verdict.cases && { cases: verdict.cases.slice(-casesMax) };
  if (decision.kind === "lift" || decision.kind === "dismiss") {
    if (!verdict.counted) return [];
    const { because = "operator", caseId, noteId } = decision;
    return [
      {
        at,
        decision: decision.kind === "lift" ? "lifted" : "none",
        by: "operator",
        because,
        ...("subject" in decision && { subject: decision.subject }),
        ...(caseId !== undefined && { caseId, cases: [caseId] }),
        ...(noteId !== undefined && { noteId }),
      },
    ];
  }
  const noteId = decision.kind === "suspend" ? decision.noteId : undefined;
  const warned = (verdict.warned ?? []).map(({ subject, because, caseId }): DecisionRecord => ({
    at,
    decision: "warned",
    by: "reports",
    because,
    subject,
    ...(caseId !== undefined && { caseId }),
    ...cases,
  }));
  const suspended = verdict.suspended
    // One that was suspended for longer already stays as it is.
    .filter(({ since }) => since === at)
    .map(({ subject, until, by, because, caseId }): DecisionRecord => ({
      at,
      decision: "suspended",
      by,
      because,
      subject,
      until,
      ...(caseId !== undefined && { caseId }),
      ...(noteId !== undefined && { noteId }),
      ...cases,
    }));
  return [...warned, ...suspended];
}

/** The warning that a verdict contains, as the reported session is told it. */
export function warningOf({ warned: [first] = [] }: Verdict): WarningEvent | undefined {
  if (!first) return undefined;
  const { because, caseId } = first;
  return { type: "warning", because, ...(caseId !== undefined && { caseId }) };
}

/** What whoever reported is told of each case, if these are the decisions. */
export function caseDecisionsOf(
  records: readonly DecisionRecord[],
): Map<string, (typeof caseDecisions)[number]> {
  const decided = new Map<string, (typeof caseDecisions)[number]>();
  for (const { decision, cases = [] } of records)
    for (const caseId of cases) {
      const told = decision === "lifted" ? "none" : decision;
      // Of a person who is warned and whose address is suspended the suspension counts.
      if (decided.get(caseId) !== "suspended") decided.set(caseId, told);
    }
  return decided;
}
