/** What operators give with a decision and ask of decisions, over HTTP and in code: the same schemas for both. */
import { z } from "zod";
import type { DecisionsRequest } from "../domain/decisions.ts";
import type { Grounds } from "../domain/moderation.ts";
import { sanctionReasons } from "../protocol.ts";
import { caseIdPattern } from "../signaling/case-ids.ts";
import { wireString } from "./schemas.ts";

const noteIdCharsMax = 128;
const decisionsMax = 10_000;
const decisionsDefault = 1000;

export const caseId = wireString().regex(
  caseIdPattern,
  "must be a whole id of a case, as the report, the log or the decision has it",
);

export const groundsFields = {
  /** Told to whoever it is about. */
  because: z.enum(sanctionReasons).optional(),
  caseId: caseId.optional(),
  /** The operator's own reference: printable, as it is logged. */
  noteId: wireString()
    .max(noteIdCharsMax)
    .regex(/^\P{C}+$/u, "must be printable")
    .optional(),
};

const grounds = z.strictObject(groundsFields);

const request = z.object({
  since: z.coerce.number().int().nonnegative().optional(),
  after: z
    .string()
    .regex(/^\d{1,15}-\d{1,15}(?:\.\d{1,3})?$/, "must be the id of a decision")
    .optional(),
  limit: z.coerce.number().int().positive().max(decisionsMax).default(decisionsDefault),
});

/** @throws {TypeError} with the field that is wrong. */
function parse<T>(schema: z.ZodType<T>, given: unknown): T {
  const result = schema.safeParse(given ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new TypeError(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
}

/** @throws {TypeError} with the field that is wrong. */
export const readGrounds = (given: Grounds | undefined): Grounds => parse(grounds, given);

/** @throws {TypeError} with the field that is wrong. */
export const decisionsRequest = (given?: unknown): DecisionsRequest => parse(request, given);
