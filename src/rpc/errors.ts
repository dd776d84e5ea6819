/** Maps rejections and errors to what the peer is sent: one table, and one shape. */
import { TRPCError, type TRPCDefaultErrorShape } from "@trpc/server";
import { ZodError } from "zod";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import { isRejection, type Rejection } from "../domain/rejection.ts";
import { protocolVersion, type RejectionFields, type RejectionReason } from "../protocol.ts";

type Code = TRPCError["code"];

/** The tRPC code of each reason. A new reason does not compile until it is added here. */
export const codeOf = {
  "bad-input": "BAD_REQUEST",
  "not-subscribed": "PRECONDITION_FAILED",
  "not-in-room": "FORBIDDEN",
  unauthorized: "UNAUTHORIZED",
  "taken-over": "CONFLICT",
  "rate-limited": "TOO_MANY_REQUESTS",
  suspended: "FORBIDDEN",
  "relay-unavailable": "PRECONDITION_FAILED",
  "wrong-mode": "FORBIDDEN",
  "wrong-protocol": "BAD_REQUEST",
  challenge: "PRECONDITION_FAILED",
  draining: "SERVICE_UNAVAILABLE",
  unavailable: "SERVICE_UNAVAILABLE",
} as const satisfies Record<RejectionReason, Code>;

const messageOf: Record<RejectionReason, string> = {
  "bad-input": "The input is not what this procedure takes",
  "not-subscribed": "Subscribe to events first",
  "not-in-room": "You are not in this room",
  unauthorized: "A valid session token is needed",
  "taken-over": "Another tab has this session now",
  "rate-limited": "Too many calls",
  suspended: "You are suspended",
  "relay-unavailable": "No TURN server is configured",
  "wrong-mode": "The mode of this room does not allow this",
  "wrong-protocol": `This server speaks version ${protocolVersion} of the protocol`,
  challenge: "Solve the challenge, and join again",
  draining: "This server is being replaced",
  unavailable: "The server can't do this at the moment",
};

/** Carries a rejection through tRPC's error handling. */
class Refusal extends Error {
  readonly rejection: Rejection;

  constructor(rejection: Rejection, message: string) {
    super(message);
    this.rejection = rejection;
  }
}

/**
 * The rejection as the error that a procedure throws.
 * @param message replaces the default one where a reason has several causes.
 */
export function refusal(rejection: Rejection, message = messageOf[rejection.reason]): TRPCError {
  const cause = new Refusal(rejection, message);
  return new TRPCError({ code: codeOf[rejection.reason], message: cause.message, cause });
}

/**
 * Whether a hook of the operator's has refused. An object of the operator's own may have a member `rejected` for another purpose.
 * @throws if it has refused for a reason that there is not.
 */
export function isRefusal(answer: unknown): answer is Rejection {
  if (!isRejection(answer) || answer.rejected !== true) return false;
  if (Object.hasOwn(codeOf, answer.reason)) return true;
  throw new TypeError(`"${String(answer.reason)}" is no reason to refuse by`);
}

/** Returns a result, and throws a rejection. */
export function unwrap<T>(answer: T | Rejection): T {
  if (isRejection(answer)) throw refusal(answer);
  return answer;
}

/** The same for a result that may be a promise. */
export function answer<T>(given: MaybePromise<T | Rejection>): MaybePromise<T> {
  return chain(given, unwrap<T>);
}

/** tRPC's own errors that are caused by bad input. */
const inputFaults: ReadonlySet<Code> = new Set<Code>([
  "BAD_REQUEST",
  "PARSE_ERROR",
  "NOT_FOUND",
  "METHOD_NOT_SUPPORTED",
  "UNSUPPORTED_MEDIA_TYPE",
  "PAYLOAD_TOO_LARGE",
]);

/** Of a path such as `wants.age.from`, in which a name may have 64. */
const fieldCharsMax = 96;

/** The field that a schema rejected, and why. */
function explain(error: ZodError): { field: string; message: string } {
  const [issue] = error.issues;
  const path = (issue?.path ?? []).map(String);
  if (issue?.code === "unrecognized_keys") path.push(issue.keys[0] ?? "");
  // Bounded, as the peer chooses the names of unknown keys.
  const field = path.join(".").slice(0, fieldCharsMax);
  const what = issue?.code === "unrecognized_keys" ? "unknown key" : (issue?.message ?? "invalid");
  return { field, message: field === "" ? what : `${field}: ${what}` };
}

/** What is wrong with a frame or its connection parameters. The parser of JSON would quote what the peer has sent. */
function whyUnreadable({ message, cause }: TRPCError): string {
  if (!(cause instanceof Error) || cause instanceof SyntaxError) return "Malformed message";
  return cause.message === message ? message : `${message}: ${cause.message}`;
}

interface Faulty {
  error: TRPCError;
  shape: TRPCDefaultErrorShape;
}

/** tRPC's error formatter: `data` gets the stable `reason` and its fields; the details of a bug are hidden. */
export function formatError({ error, shape }: Faulty): TRPCDefaultErrorShape & {
  data: RejectionFields;
} {
  const { code, httpStatus, path } = shape.data;
  const data = path === undefined ? { code, httpStatus } : { code, httpStatus, path };
  const { cause } = error;
  if (cause instanceof Refusal) {
    const { rejected: _, ...fields } = cause.rejection;
    return { ...shape, data: { ...data, ...fields } };
  }
  if (cause instanceof ZodError) {
    const { field, message } = explain(cause);
    return { ...shape, message, data: { ...data, reason: "bad-input", field } };
  }
  if (inputFaults.has(code)) {
    const message = code === "PARSE_ERROR" ? whyUnreadable(error) : shape.message;
    return { ...shape, message: message.slice(0, 200), data: { ...data, reason: "bad-input" } };
  }
  // The operator's own procedures say what they refuse, and why.
  if (!isBug(error)) return { ...shape, data };
  return { ...shape, message: "Internal server error", data };
}

/** The reason that the peer is sent for an error; `undefined` for a bug. */
export function reasonOf({ cause, code }: TRPCError): RejectionReason | undefined {
  if (cause instanceof Refusal) return cause.rejection.reason;
  return cause instanceof ZodError || inputFaults.has(code) ? "bad-input" : undefined;
}

/** Whether an error is a bug, to be logged with its stack. */
export function isBug(error: TRPCError): boolean {
  return error.code === "INTERNAL_SERVER_ERROR";
}
