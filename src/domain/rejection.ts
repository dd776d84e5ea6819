/** A rejection is an expected refusal, as a value and not as an exception. `rpc/errors.ts` maps it to what the peer is sent. */
import type { RejectionFields, RejectionReason } from "../protocol.ts";

export interface Rejection extends RejectionFields {
  rejected: true;
  reason: RejectionReason;
}

/** Makes a rejection. `fields` tell the peer when to try again, or until when. */
export function reject(
  reason: RejectionReason,
  fields: Omit<RejectionFields, "reason"> = {},
): Rejection {
  return { rejected: true, reason, ...fields };
}

/** Whether a result is a rejection. */
export function isRejection(answer: unknown): answer is Rejection {
  return typeof answer === "object" && answer !== null && "rejected" in answer;
}
