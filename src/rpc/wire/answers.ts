/** What calls are answered, and how they are refused, as zod schemas for the documents of the wire: see `events.ts`. */
import { TRPC_ERROR_CODES_BY_KEY } from "@trpc/server/rpc";
import { z } from "zod";
import { caseDecisions, modes, rejectionReasons } from "../../protocol.ts";
import { codeOf } from "../errors.ts";
import { challenge, iceServer, suspensionNotice } from "./events.ts";

export const statusAnswer = z.object({ status: z.enum(["idle", "waiting", "paired"]) });
const delivered = z.object({ delivered: z.boolean() });
const kept = z.object({ kept: z.boolean() });
const hinted = z.object({ accepted: z.boolean() });
const blocked = z.object({ accepted: z.literal(true) });
const reported = blocked.extend({ caseId: z.string() });

const caseAnswer = z.object({
  decision: z.enum(caseDecisions).exactOptional(),
  at: z.number().meta({ description: "epoch milliseconds" }).exactOptional(),
});

const iceAnswer = z.object({
  iceServers: z.array(iceServer),
  relayOnly: z.literal(true).exactOptional(),
  renewAfterMs: z
    .number()
    .meta({ description: "milliseconds after which others are to be asked for" })
    .exactOptional(),
});

const count = z.int().nonnegative();
const byMode = z.object({ video: count, audio: count, text: count });
export const stats = z.object({ online: count, waiting: byMode, rooms: byMode });

const dimensionRules = {
  by: z.enum(["peer", "claims"]).optional(),
  shown: z.boolean().optional(),
  hard: z.boolean().optional(),
};
const values = z.array(z.string());
const factDimension = z.union([
  z.object({ kind: z.literal("one"), of: values, ...dimensionRules }),
  z.object({ kind: z.literal("set"), of: values, ...dimensionRules }),
  z.object({
    kind: z.literal("range"),
    from: z.number(),
    to: z.number(),
    bands: z.array(z.number()).optional(),
    ...dimensionRules,
  }),
  z.object({ kind: z.literal("flag"), ...dimensionRules }),
]);

const rules = z.object({
  version: z.string(),
  text: z.string().exactOptional(),
  url: z.string().exactOptional(),
  age: z.number().meta({ description: "the least age in years" }).exactOptional(),
  required: z.boolean(),
});

const declaration = z.record(z.string(), factDimension);
const site = z.object({
  protocol: z.int().meta({ description: "the version of this contract" }),
  modes: z.array(z.enum(modes)),
  facts: declaration.meta({ description: "what may be stated and wanted in `join`, by name" }),
  lobbies: z.array(z.string()),
  rules: rules.exactOptional(),
});

/** By procedure: all but `events`, whose answers are events. */
export const answers = {
  join: statusAnswer,
  skip: statusAnswer,
  leave: statusAnswer,
  again: statusAnswer,
  standby: kept,
  offer: delivered,
  answer: delivered,
  addIceCandidate: delivered,
  say: delivered,
  typing: delivered,
  media: delivered,
  connected: statusAnswer,
  failed: statusAnswer,
  report: reported,
  hint: hinted,
  block: blocked,
  case: caseAnswer,
  iceServers: iceAnswer,
  stats,
  site,
} as const;

/** The fields of a refusal that are this project's own. */
export const rejectionFields = suspensionNotice.extend({
  reason: z
    .enum(rejectionReasons)
    .meta({ description: "stable; absent where the server has failed", "x-codes": codeOf })
    .exactOptional(),
  field: z
    .string()
    .meta({ description: "the input's field that is wrong, as a dotted path; with `bad-input`" })
    .exactOptional(),
  retryAfterMs: z
    .number()
    .meta({ description: "milliseconds after which trying again makes sense" })
    .exactOptional(),
  challenge: challenge.exactOptional(),
});

type Code = keyof typeof TRPC_ERROR_CODES_BY_KEY;
const codes = Object.keys(TRPC_ERROR_CODES_BY_KEY) as [Code, ...Code[]];

/** An error in tRPC's shape. */
export const refusal = z
  .object({
    code: z.int().meta({ description: "tRPC's number of the code (after JSON-RPC 2.0, 5.1)" }),
    message: z.string().meta({ description: "for developers; may change" }),
    data: rejectionFields.extend({
      code: z.enum(codes),
      httpStatus: z.int(),
      path: z.string().meta({ description: "the procedure that was called" }).exactOptional(),
    }),
  })
  .meta({ description: "How a call is refused, or that the server has failed." });
