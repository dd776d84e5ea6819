/** Reports, warnings and suspensions in memory: what they do to sessions, and what is told and recorded of them. */
import { messagesIn, type RoomMessages } from "../../domain/attestation.ts";
import type { Change, Entered, Surroundings } from "../../domain/change.ts";
import {
  carryOut,
  decisionsOf,
  warningOf,
  type DecisionsRequest,
  type ExportedDecision,
} from "../../domain/decisions.ts";
import type { Decision } from "../../domain/lifecycle.ts";
import {
  Moderation,
  type Grounds,
  type Party,
  type Subject,
  type Suspension,
  type Verdict,
} from "../../domain/moderation.ts";
import { reject, type Rejection } from "../../domain/rejection.ts";
import { partyOf, reporterOf, type WarningEvent } from "../../domain/session.ts";
import * as transitions from "../../domain/transitions.ts";
import type { CaseAnswer, ReportReason } from "../../protocol.ts";
import type { System } from "../../system.ts";
import type { Decided, EngineOptions, Filing, Reported } from "../engine.ts";
import { DecisionLog } from "./decision-log.ts";
import type { LifecycleQueue } from "./lifecycle-queue.ts";
import type { SessionStore } from "./session-store.ts";
import type { StoredSession } from "./stored-session.ts";

export interface SuspensionsParts {
  system: Pick<System, "now">;
  /** The engine's clock. */
  now: () => number;
  options: EngineOptions;
  lifecycle: LifecycleQueue;
  store: SessionStore;
  surroundings: () => Surroundings;
  /** Applies a change, and pairs those who meet again because of it. */
  apply: (change: Change<Entered>, one: StoredSession, other: StoredSession | undefined) => Entered;
}

/** The name of the only process there is. */
const thisProcess = "this";

export class Suspensions {
  readonly #parts: SuspensionsParts;
  readonly #moderation: Moderation;
  readonly #decisions: DecisionLog;

  constructor(parts: SuspensionsParts) {
    this.#parts = parts;
    this.#moderation = new Moderation(parts.options.moderation);
    this.#decisions = new DecisionLog(parts.options.decisionsKeepMs ?? 0);
  }

  /** How a session that must stay out is refused. */
  refusalOf(party: Party): Rejection | undefined {
    return this.#moderation.refusalOf(party, this.#parts.system.now());
  }

  list(): Suspension[] {
    return this.#moderation.list(this.#parts.system.now());
  }

  /** The other member of a session's present or recent room, and whether a report from there counts. */
  metIn(
    session: StoredSession,
    roomId: string,
  ): { partner: StoredSession; votes: boolean } | undefined {
    const { store, surroundings } = this.#parts;
    const met = transitions.partnerIn(session.value, roomId, surroundings());
    if (!met) return undefined;
    const { partnerId, partnerAccount, votes } = met;
    return { partner: store.get(partnerId) ?? store.revive(partnerId, partnerAccount), votes };
  }

  report(
    session: StoredSession,
    roomId: string,
    reason: ReportReason | undefined,
    { caseId, isHeld = false }: Partial<Filing> = {},
  ): Reported | Rejection {
    const met = this.metIn(session, roomId);
    if (!met) return reject("not-in-room");
    const { partner, votes: earned } = met;
    const reported = partyOf(partner.value);
    const reporter = reporterOf(session.current());
    const heldBy = isHeld ? thisProcess : undefined;
    const at = this.#parts.system.now();
    const report = { roomId, reporter, reported, earned, reason, caseId, heldBy };
    const verdict = this.#carryOut({ kind: "report", at, ...report });
    const warning = warningOf(verdict);
    if (warning) this.#warn(partner, warning);
    if (verdict.counted) this.#reproach(partner);
    return { ...verdict, reported, newlyWaiting: this.#evict(verdict.suspended) };
  }

  /** A report of the session has counted. */
  #reproach(session: StoredSession): void {
    const { store, surroundings } = this.#parts;
    const change = transitions.reproach(session.current(), surroundings());
    store.apply(change, session, undefined);
  }

  messagesIn(session: StoredSession, roomId: string): RoomMessages | Rejection {
    const met = this.metIn(session, roomId);
    if (!met) return reject("not-in-room");
    const logged = ({ log }: StoredSession) =>
      messagesIn(
        (log?.after(log.extent.dropped) ?? []).map(({ json }) => json),
        roomId,
      );
    return { received: logged(session), sent: logged(met.partner) };
  }

  suspend(
    subject: Subject,
    until: number,
    grounds?: Grounds,
  ): Pick<Reported, "newlyWaiting" | "decided"> {
    const at = this.#parts.system.now();
    const verdict = this.#carryOut({ kind: "suspend", at, ...grounds, subject, until });
    return { decided: verdict.decided, newlyWaiting: this.#evict(verdict.suspended) };
  }

  lift(subject: Subject, grounds?: Grounds): boolean {
    const at = this.#parts.system.now();
    return this.#carryOut({ kind: "lift", at, ...grounds, subject }).counted;
  }

  dismiss(caseId: string, grounds?: Grounds): Decided {
    const at = this.#parts.system.now();
    return this.#carryOut({ kind: "dismiss", at, ...grounds, caseId });
  }

  decisions(request: DecisionsRequest): ExportedDecision[] {
    return this.#decisions.list(request, this.#parts.system.now());
  }

  ofCase(caseId: string): CaseAnswer {
    return this.#decisions.ofCase(caseId, this.#parts.system.now());
  }

  #carryOut(decision: Decision): Verdict & Decided {
    const { now, lifecycle } = this.#parts;
    const verdict = carryOut(this.#moderation, decision, now());
    const decided = decisionsOf(decision, verdict);
    this.#decisions.append(decided);
    lifecycle.decided(decision, verdict);
    return { ...verdict, decided };
  }

  /** Takes all sessions out of lobby and room to which a suspension applies. Returns whose tickets entered the lobby. */
  #evict(suspensions: readonly Suspension[]): string[] {
    const { store, surroundings, apply } = this.#parts;
    return suspensions.flatMap(({ subject }) =>
      store.sessionsOf(subject).flatMap((one) => {
        const partner = store.partnerOf(one);
        const change = transitions.evict(one.current(), partner?.current(), surroundings());
        return apply(change, one, partner).newlyWaiting;
      }),
    );
  }

  /** Of an account a session that is there, if any is. */
  #warn(reported: StoredSession, warning: WarningEvent): void {
    const sessions = [reported, ...(reported.account?.sessions ?? [])];
    const told = sessions.find(({ value }) => value.present) ?? reported;
    this.#parts.store.apply(transitions.warn(told.current(), warning), told, undefined);
  }
}
