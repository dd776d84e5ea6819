/** What is counted of moderation, of the operator's hooks and webhooks, and of providers that are asked. */
import { decisionKinds, type DecisionRecord } from "../domain/decisions.ts";
import { lifecycleTypes, type LifecycleType } from "../domain/lifecycle.ts";
import { reportReasons, sanctionReasons, type ReportReason } from "../protocol.ts";
import { bounded, type MetricMakers } from "./metric-makers.ts";

export interface OperatorMetrics {
  /** A reporter's first report of a room. */
  reported(reason: ReportReason): void;
  /** A warning, a suspension, or another decision about a peer or report. */
  decided(record: Pick<DecisionRecord, "decision" | "because" | "by">): void;
  /** A note or evidence was dropped before it was told. */
  evidenceDropped(because: EvidenceDropped): void;
  /** A hook has thrown, or has not answered in time. */
  hookFailed(hook: Hook): void;
  /** Lifecycle events that are never told. */
  eventsLost(because: EventsLost, count: number): void;
  /** What became of a notice for a webhook in the end. */
  posted(outcome: PostOutcome): void;
  /** One attempt to post a notice has failed: it was refused, or not answered. */
  postFailed(because: PostFailure): void;
  /** What came of asking a provider of TURN credentials, or of having to give a peer some. */
  askedForTurn(outcome: TurnOutcome): void;
}

const otherHooks = ["authenticate", "admit", "lane", "message", "isOperator", "onReport"] as const;
type Hook = LifecycleType | (typeof otherHooks)[number];

/** Why events are lost: too many waited, or the receiver did not accept them. */
const eventsLostReasons = ["queue-full", "webhook"] as const;
type EventsLost = (typeof eventsLostReasons)[number];

/** `given-up` after all attempts; `queue-full`: too many waited. */
const postOutcomes = ["accepted", "given-up", "queue-full"] as const;
export type PostOutcome = (typeof postOutcomes)[number];

/** `refused`: the status was not 2xx; `unanswered`: no connection, or no answer in time. */
const postFailures = ["refused", "unanswered"] as const;
export type PostFailure = (typeof postFailures)[number];

/** Why evidence is dropped: too much of it waits, or for too long. */
const evidenceDroppedReasons = ["full", "late"] as const;
type EvidenceDropped = (typeof evidenceDroppedReasons)[number];

/**
 * Of requests: `given`, `failed`, `revoked`, `not-revoked`. Of what a peer was to be given while there was no new answer: `older`
 * credentials, or `none`.
 */
const turnOutcomes = ["given", "failed", "older", "none", "revoked", "not-revoked"] as const;
type TurnOutcome = (typeof turnOutcomes)[number];

const decisionMakers: readonly DecisionRecord["by"][] = ["reports", "operator"];

export function createOperatorMetrics(make: MetricMakers): OperatorMetrics {
  const decisions = make.counter(
    "peer_stream_decisions_total",
    "Warnings, suspensions, and other decisions about peers and reports",
    ["decision", "reason", "by"],
  );
  const [kind, reason, maker] = [decisionKinds, sanctionReasons, decisionMakers].map(bounded) as [
    ReturnType<typeof bounded>,
    ReturnType<typeof bounded>,
    ReturnType<typeof bounded>,
  ];
  return {
    reported: make.totalBy(
      "peer_stream_reports_total",
      "Reports, each reporter's first one of a room, by reason",
      "reason",
      reportReasons,
    ),
    decided: ({ decision, because, by }) =>
      decisions.inc({ decision: kind(decision), reason: reason(because), by: maker(by) }),
    evidenceDropped: make.totalBy(
      "peer_stream_evidence_dropped_total",
      "Notes and evidence that were dropped before they were told, by cause",
      "because",
      evidenceDroppedReasons,
    ),
    hookFailed: make.totalBy(
      "peer_stream_hook_faults_total",
      "Hooks that threw or did not answer in time",
      "hook",
      [...lifecycleTypes, ...otherHooks],
    ),
    eventsLost: make.totalBy(
      "peer_stream_events_lost_total",
      "Lifecycle events that are never told, by cause",
      "because",
      eventsLostReasons,
    ),
    posted: make.totalBy(
      "peer_stream_webhook_deliveries_total",
      "Notices for webhooks, by what became of them in the end",
      "outcome",
      postOutcomes,
    ),
    postFailed: make.totalBy(
      "peer_stream_webhook_attempts_failed_total",
      "Attempts to post a notice that failed, by cause",
      "because",
      postFailures,
    ),
    askedForTurn: make.totalBy(
      "peer_stream_turn_provider_total",
      "Requests for TURN credentials, and peers that got older ones or none, by outcome",
      "outcome",
      turnOutcomes,
    ),
  };
}
