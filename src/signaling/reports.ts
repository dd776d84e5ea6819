/** Reports, and what operators decide: filed, logged, counted, and told. */
import { attest } from "../domain/attestation.ts";
import type { DecisionRecord } from "../domain/decisions.ts";
import type { CheckedEvidence } from "../domain/lifecycle.ts";
import type { Grounds, Party, Subject } from "../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import type { Caller, Engine, Reported } from "../engine/engine.ts";
import type { IceSource } from "../ice.ts";
import { shortId, type LogFields } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { CaseAnswer, Evidence, ReportReason } from "../protocol.ts";
import type { System } from "../system.ts";
import type { CaseIds } from "./case-ids.ts";
import type { EvidenceStore, HeldEvidence } from "./evidence.ts";
import type { Hints, RoomHints } from "./hints.ts";

/** What a peer says in a report. */
export interface FiledReport {
  reason?: ReportReason | undefined;
  note?: string | undefined;
  evidence?: Evidence | undefined;
  /** The account of the caller. */
  account?: string | undefined;
}

/** A report for an operator: never a token or an address, nor what peers said, but for what the reporter shows. */
export interface ReportNotice extends HeldEvidence {
  /** The same each time the same report is told. */
  id: string;
  type: "reported";
  /** Epoch milliseconds. */
  at: number;
  /** Names the report: see `case`. */
  caseId: string;
  roomId: string;
  /** The same as `roomId`, for receivers written for earlier versions. */
  room: string;
  reason: ReportReason;
  /** The beginning of the reporter's session id. */
  reporter: string;
  /** As the operator's calls name it. */
  reported: Party;
  /** Whether it counts as a vote: not from a room that had just begun, nor of one who reports nearly everybody. */
  counted: boolean;
  /** What is suspended because of it, and until when (epoch milliseconds). */
  suspended: (Subject & { until: number })[];
  /** There was a note or evidence, but too much waits to be posted. */
  evidenceLost?: true;
  /** What classifiers in the members' own browsers said last of their cameras; absent without any. */
  hints?: RoomHints;
}

export interface ReportsParts {
  engine: Engine;
  system: System;
  log: Log;
  metrics: Metrics;
  caseIds: CaseIds;
  /** Holds notes and evidence until lifecycle events are told. */
  evidence: EvidenceStore;
  /** What an address was given that is suspended is revoked. */
  ice: Pick<IceSource, "provided">;
  /** Absent: none are taken. */
  hints?: Hints | undefined;
  /** Called with each reporter's first report of a room; must neither throw nor wait. */
  onReport: (report: ReportNotice) => void;
}

export class Reports {
  readonly #parts: ReportsParts;

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** Reports the other member of a present or recent room. */
  async file(
    caller: Caller,
    roomId: string,
    { reason = "other", note, evidence, account }: FiledReport,
  ): Promise<{ caseId: string; newlyWaiting: string[] } | Rejection> {
    const { engine, caseIds, evidence: store } = this.#parts;
    const caseId = caseIds.of({ sessionId: caller.sessionId, account }, roomId);
    const checked = evidence && (await this.#check(caller, roomId, evidence));
    if (isRejection(checked)) return checked;
    const shown: HeldEvidence = {
      ...(note !== undefined && { note }),
      ...(checked && { evidence: checked }),
    };
    const isHeld = Object.keys(shown).length > 0 && store.hold(caseId, shown);
    const filing = { caseId, isHeld };
    const report = await this.#orRelease(filing, () =>
      engine.report(caller, roomId, reason, filing),
    );
    if (isRejection(report)) return report;
    if (report.first) {
      const { hints, system, metrics } = this.#parts;
      metrics.reported(reason);
      const hinted = await hints?.of(roomId, caller.sessionId, report.reported.sessionId);
      const { counted, reported } = report;
      const at = system.now();
      this.#tell(caller, { roomId, reason, caseId, report, shown, hinted });
      // For the console only: if the storage has just become unavailable the report counts all the same.
      await engine.operator.note({ at, roomId, reason, counted, reported, caseId });
    }
    return { caseId, newlyWaiting: report.newlyWaiting };
  }

  /** Compares what is quoted with what was sent through the server. */
  async #check(
    caller: Caller,
    roomId: string,
    { still, messages = [] }: Evidence,
  ): Promise<CheckedEvidence | undefined | Rejection> {
    const logged =
      messages.length === 0 ? undefined : await this.#parts.engine.messagesIn(caller, roomId);
    if (isRejection(logged)) return logged;
    if (still === undefined && !logged) return undefined;
    return {
      ...(still !== undefined && { still }),
      ...(logged && { messages: attest(messages, logged) }),
    };
  }

  /** What is held is released again unless it is told: a repeated report is not. */
  async #orRelease(
    { caseId, isHeld }: { caseId: string; isHeld: boolean },
    report: () => ReturnType<Engine["report"]>,
  ): Promise<Reported | Rejection> {
    let isTold = false;
    try {
      const reported = await report();
      isTold = !isRejection(reported) && reported.first;
      return reported;
    } finally {
      if (isHeld && !isTold) this.#parts.evidence.release(caseId);
    }
  }

  #tell(
    { sessionId }: Caller,
    told: {
      roomId: string;
      reason: ReportReason;
      caseId: string;
      report: Reported;
      shown: HeldEvidence;
      hinted: RoomHints | undefined;
    },
  ): void {
    const { log, system, onReport } = this.#parts;
    const { roomId, reason, caseId, report, shown, hinted } = told;
    const { reported, counted, decided } = report;
    const suspended = report.suspended.map(({ subject, until }) => ({ ...subject, until }));
    for (const subject of suspended) this.#revokeTurn(subject);
    const reporter = shortId(sessionId);
    log.info("reported", {
      room: roomId,
      sessions: [reporter, shortId(reported.sessionId)],
      case: caseId,
      reason,
      reporter,
      reported: shortId(reported.sessionId),
      counted,
      warned: decided.some(({ decision }) => decision === "warned"),
      suspended: suspended.length,
    });
    this.#count(decided);
    onReport({
      id: `reported:${caseId}`,
      type: "reported",
      at: system.now(),
      caseId,
      roomId,
      room: roomId,
      reason,
      ...shown,
      ...(hinted && { hints: hinted }),
      reporter,
      reported,
      counted,
      suspended,
    });
  }

  async caseOf(
    { sessionId }: Caller,
    account: string | undefined,
    caseId: string,
  ): Promise<CaseAnswer | Rejection> {
    const { engine, caseIds } = this.#parts;
    if (!caseIds.isOwn({ sessionId, account }, caseId)) return reject("not-in-room");
    return engine.caseAnswer(caseId);
  }

  /** Of a session or account it is done when its peer is told: see `createCompletion`. */
  #revokeTurn({ kind, id }: Subject): void {
    if (kind === "address") this.#parts.ice.provided?.revoke(id);
  }

  // -------------------------------------------------------------------------------------------
  // What operators decide

  async suspend(
    subject: Subject,
    until: number,
    { caseId = this.#parts.system.id(), ...grounds }: Grounds = {},
  ): Promise<Pick<Reported, "newlyWaiting"> | Rejection> {
    const { engine, log } = this.#parts;
    const suspended = await engine.suspend(subject, until, { ...grounds, caseId });
    if (isRejection(suspended)) return suspended;
    this.#revokeTurn(subject);
    log.info("suspended", { ...about(subject), until, ...logged(grounds), case: caseId });
    this.#count(suspended.decided);
    return suspended;
  }

  async lift(subject: Subject, grounds: Grounds = {}): Promise<boolean | Rejection> {
    const { engine, log, metrics } = this.#parts;
    const lifted = await engine.lift(subject, grounds);
    if (lifted !== true) return lifted;
    metrics.decided({ decision: "lifted", by: "operator", because: grounds.because ?? "operator" });
    log.info("lifted", { ...about(subject), ...logged(grounds) });
    return true;
  }

  async dismiss(caseId: string, grounds: Grounds = {}): Promise<Rejection | undefined> {
    const dismissed = await this.#parts.engine.dismiss(caseId, grounds);
    if (isRejection(dismissed)) return dismissed;
    this.#parts.log.info("dismissed", { case: caseId, ...logged(grounds) });
    this.#count(dismissed.decided);
    return undefined;
  }

  #count(decided: readonly DecisionRecord[]): void {
    for (const record of decided) this.#parts.metrics.decided(record);
  }
}

/** How a line names whom an operator's decision is about. */
export const about = ({ kind, id }: Subject): LogFields => ({
  kind,
  id,
  ...(kind === "session" && { sessions: [shortId(id)] }),
});

const logged = ({ because, caseId, noteId }: Grounds) => ({
  ...(because && { because }),
  ...(caseId !== undefined && { case: caseId }),
  ...(noteId !== undefined && { note: noteId }),
});
