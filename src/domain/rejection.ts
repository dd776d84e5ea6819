/**
 * A rejection is an expected refusal, as a value: the caller asked for what it can't have. It is not an
 * exception; `rpc/errors.ts` turns it into what the peer sees.
 */
import type { RejectionFields, RejectionReason } from "../protocol.ts";

export interface Rejection extends RejectionFields {
  rejected: true;
  reason: RejectionReason;
}

/** Makes a rejection; `fields` says what helps the peer (when to try again, until when). */
export function reject(
  reason: RejectionReason,
  fields: Omit<RejectionFields, "reason"> = {},
): Rejection {
  return { rejected: true, reason, ...fields };
}

/** Whether an answer is a refusal. */
export function isRejection(answer: unknown): answer is Rejection {
  return typeof answer === "object" && answer !== null && "rejected" in answer;
}
