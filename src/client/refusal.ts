/** Reads the server's refusals, and decides which of them are worth another try. */
import type { Challenge, RejectionReason, SanctionReason } from "../protocol.ts";
import type { PeerStreamError } from "./state.ts";

/** Why a call has failed. */
export type Refusal =
  /** The connection dropped before the answer. It is unknown whether the server executed the call. */
  { kind: "unanswered" } | PeerStreamError;

/**
 * Interprets the error of a failed tRPC call. An error from the server has `data`, in the shape that the server's error
 * formatter gives it; an error of the dropped socket has none.
 */
export function readRefusal(error: unknown): Refusal {
  const message = error instanceof Error ? error.message : String(error);
  const fields = dataOf(error);
  if (!fields) return { kind: "unanswered" };
  const { reason, field, retryAfterMs, until, because, caseId, appeal, challenge } = fields;
  if (typeof reason !== "string") return { kind: "server-fault", message, cause: error };
  if (reason === "taken-over") return { kind: "taken-over", cause: error };
  return {
    kind: "rejected",
    // Reasons of later server versions are passed through.
    reason: reason as RejectionReason,
    message,
    cause: error,
    ...(typeof field === "string" && { field }),
    ...(typeof retryAfterMs === "number" && { retryAfterMs }),
    ...(typeof until === "number" && { until }),
    ...(typeof because === "string" && { because: because as SanctionReason }),
    ...(typeof caseId === "string" && { caseId }),
    ...(typeof appeal === "string" && { appeal }),
    ...(isChallenge(challenge) && { challenge }),
  };
}

function isChallenge(value: unknown): value is Challenge {
  return typeof value === "object" && value !== null && "kind" in value;
}

function dataOf(error: unknown): Record<string, unknown> | undefined {
  if (typeof error !== "object" || error === null || !("data" in error)) return undefined;
  const { data } = error;
  return typeof data === "object" && data !== null ? { ...data } : undefined;
}

const temporary: readonly RejectionReason[] = [
  "rate-limited",
  "draining",
  "unavailable",
  // The event stream is being replaced at this moment.
  "not-subscribed",
];

/**
 * Milliseconds after which the call may be retried; undefined if a retry cannot succeed. At least 100 ms, which limits
 * the load on a server that sends 0.
 */
export function retryAfterRefusalMs(refusal: Refusal): number | undefined {
  if (refusal.kind !== "rejected") return undefined;
  // Whoever is refused for good is told no time: then the operator's hook has failed to answer.
  const isUnknown = refusal.reason === "unauthorized" && refusal.retryAfterMs !== undefined;
  if (!isUnknown && !temporary.includes(refusal.reason)) return undefined;
  return Math.max(100, refusal.retryAfterMs ?? 1000);
}
