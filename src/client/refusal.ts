import type { RejectionReason } from "../protocol.ts";
import type { PeerStreamError } from "./state.ts";

/** What became of a call that brought no answer. */
export type Refusal =
  /** Nobody knows whether it was done: the connection dropped before the answer. */
  { kind: "unanswered" } | PeerStreamError;

/**
 * Reads what a failed tRPC call means. An error that comes from the server bears `data` as the
 * server's error formatter shaped it; one that comes from the dropped socket bears none.
 */
export function readRefusal(error: unknown): Refusal {
  const message = error instanceof Error ? error.message : String(error);
  const fields = dataOf(error);
  if (!fields) return { kind: "unanswered" };
  const { reason, field, retryAfterMs, until } = fields;
  if (typeof reason !== "string") return { kind: "server-fault", message, cause: error };
  if (reason === "taken-over") return { kind: "taken-over", cause: error };
  return {
    kind: "rejected",
    // Words this version does not know yet are passed on as they are.
    reason: reason as RejectionReason,
    message,
    cause: error,
    ...(typeof field === "string" && { field }),
    ...(typeof retryAfterMs === "number" && { retryAfterMs }),
    ...(typeof until === "number" && { until }),
  };
}

function dataOf(error: unknown): Record<string, unknown> | undefined {
  if (typeof error !== "object" || error === null || !("data" in error)) return undefined;
  const { data } = error;
  return typeof data === "object" && data !== null ? { ...data } : undefined;
}

const passing: readonly RejectionReason[] = [
  "rate-limited",
  "draining",
  "unavailable",
  // The stream of events is being replaced this very moment.
  "not-subscribed",
];

/**
 * Milliseconds after which the same call may be tried again, or undefined when trying again can't help.
 * Never less than 100 ms, so that a server that says 0 is not hammered.
 */
export function retryAfterRefusalMs(refusal: Refusal): number | undefined {
  if (refusal.kind !== "rejected" || !passing.includes(refusal.reason)) return undefined;
  return Math.max(100, refusal.retryAfterMs ?? 1000);
}
