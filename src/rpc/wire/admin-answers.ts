/** What the operator's calls are answered, as zod schemas for the documents of the wire: see `answers.ts`. */
import { z } from "zod";
import { subjectKinds } from "../../domain/moderation.ts";
import { logLevels } from "../../observe/log.ts";
import { reportReasons } from "../../protocol.ts";
import { stats, statusAnswer } from "./answers.ts";
import { sanctionReason } from "./events.ts";

const epochMs = z.number().meta({ description: "epoch milliseconds" });
const caseId = z.string().exactOptional();

const node = z.object({
  name: z.string(),
  version: z.string(),
  draining: z.boolean(),
  uptimeMs: z.number(),
  logLevel: z.enum(logLevels).exactOptional(),
});

const overview = z.object({
  at: epochMs,
  node,
  nodes: z
    .array(z.object({ name: z.string(), peers: z.number(), draining: z.boolean() }))
    .exactOptional()
    .meta({ description: "how many peers each node has; only with Redis" }),
  all: stats,
  lobbies: z.array(stats.extend({ name: z.string() })),
  moreLobbies: z.number(),
  evidenceUrl: z.string().exactOptional(),
});

const reports = z.object({
  reports: z.array(
    z.object({
      at: epochMs,
      roomId: z.string(),
      reason: z.enum(reportReasons),
      counted: z.boolean().meta({ description: "whether it is a vote for a suspension" }),
      reported: z.object({
        sessionId: z.string(),
        addressHash: z.string().exactOptional(),
        account: z.string().exactOptional(),
      }),
      caseId,
    }),
  ),
});

const found = z.object({
  sessions: z.array(
    z.object({
      id: z.string(),
      account: z.string().exactOptional(),
      ...statusAnswer.shape,
      roomId: z.string().exactOptional(),
      lobby: z.string(),
    }),
  ),
  more: z.boolean(),
});

const list = z.object({
  suspensions: z.array(
    z.object({
      subject: z.object({ kind: z.enum(subjectKinds), id: z.string() }),
      since: epochMs,
      until: epochMs,
      by: z.enum(["reports", "operator"]),
      because: sanctionReason,
      caseId,
    }),
  ),
});

/** By procedure. */
export const adminAnswers = {
  overview,
  reports,
  find: found,
  endRoom: z.object({ ended: z.boolean() }),
  list,
  suspend: z.object({ suspended: z.boolean() }),
  lift: z.object({ lifted: z.boolean() }),
  logLevel: z.object({ node: z.string(), was: z.enum(logLevels), is: z.enum(logLevels) }),
  dismiss: z.object({ dismissed: z.boolean() }),
} as const;
