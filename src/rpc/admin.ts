/** The operator's procedures, over HTTP at `/admin/*`, with `Authorization: Bearer <ADMIN_TOKEN>` or by the hook `isOperator`. */
import { isIP } from "node:net";
import { initTRPC } from "@trpc/server";
import { z } from "zod";
import { subjectKinds, type Subject } from "../domain/moderation.ts";
import { statsByLobby } from "../domain/stats.ts";
import { reject } from "../domain/rejection.ts";
import { caseId, groundsFields } from "./decisions-input.ts";
import { accountCharsMax } from "./identity.ts";
import { wireString } from "./schemas.ts";
import type { Signaling } from "../signaling/signaling.ts";
import { formatError, refusal, unwrap } from "./errors.ts";
import { logLevels, type LogLevel } from "../observe/log.ts";

/** What the console tells of the process that answers. */
export interface NodeState {
  name: string;
  version: string;
  /** Whether it is about to end, and begins no new session. */
  draining: boolean;
  uptimeMs: number;
  /** What it logs; absent where a host has given a log of its own. */
  logLevel?: LogLevel | undefined;
}

export interface AdminContext {
  signaling: Pick<
    Signaling,
    | "suspend"
    | "lift"
    | "dismiss"
    | "suspensions"
    | "siteStats"
    | "notedReports"
    | "find"
    | "endRoom"
  >;
  /** This process at the moment. */
  node: () => NodeState;
  /** Each node and its peers; `undefined` where there is only one, or while they can't be known. */
  nodes: () => { name: string; peers: number; draining: boolean }[] | undefined;
  /** Changes what this process logs. `undefined` if it can't; else what it logged before. */
  setLogLevel: (level: LogLevel) => LogLevel | undefined;
  /** The names of the lobbies that peers can choose. */
  lobbies: readonly string[];
  /** Where the evidence of a case is shown, with `{caseId}` in place of its id. */
  evidenceUrl: string | undefined;
  /** The wall clock, in epoch milliseconds. */
  now: () => number;
  /** The keyed hash of the bucket that an IP address belongs to. */
  hashOfAddress: (address: string) => string;
}

const t = initTRPC.context<AdminContext>().create({ isDev: false, errorFormatter: formatError });

/** Session ids and hashes of addresses: 128 bits and more, in base64url. */
const wholeId = /^[\w-]{22}$/;

/**
 * An account as the operator names it; a session's id or an address bucket's keyed hash, as `list` and the reports give them; or an IP
 * address itself.
 */
const subject = z
  .strictObject({
    kind: z.enum(subjectKinds),
    id: wireString().min(1).max(accountCharsMax),
  })
  .refine(
    ({ kind, id }) =>
      kind === "account" || wholeId.test(id) || (kind === "address" && isIP(id) !== 0),
    {
      path: ["id"],
      error:
        "must be a whole id of 22 characters, as `list` and the reports give it, an IP address of kind `address`, or an account's " +
        "id of kind `account`; the log has only the first characters of an id",
    },
  );

/** A suspension for longer is a mistake in the unit (milliseconds). */
const suspensionMsMax = 100 * 365 * 86_400_000;

/** The subject as the engine knows it: an IP address becomes the hash of its bucket. */
function toEngine({ kind, id }: Subject, { hashOfAddress }: AdminContext): Subject {
  return { kind, id: kind === "address" && isIP(id) !== 0 ? hashOfAddress(id) : id };
}

/** Lobbies that `overview` has at most: those with the most peers. */
const lobbiesMax = 100;
/** Sessions that `find` answers with at most. */
const foundMax = 20;

export const adminRouter = t.router({
  /** Who is online, waits and is in rooms, on all nodes; the node that answers, and how many peers each has. */
  overview: t.procedure.query(async ({ ctx }) => {
    const site = unwrap(await ctx.signaling.siteStats());
    const { lobbies: _, ...all } = site;
    const lobbies = [...statsByLobby(site, ctx.lobbies)]
      .map(([name, stats]) => ({ name, ...stats }))
      .sort((a, b) => b.online - a.online);
    return {
      at: ctx.now(),
      node: ctx.node(),
      nodes: ctx.nodes(),
      all,
      lobbies: lobbies.slice(0, lobbiesMax),
      moreLobbies: Math.max(0, lobbies.length - lobbiesMax),
      evidenceUrl: ctx.evidenceUrl,
    };
  }),
  /** The newest reports, the newest first: never what peers said, nor who reported. */
  reports: t.procedure.query(async ({ ctx }) => ({
    reports: unwrap(await ctx.signaling.notedReports()),
  })),
  /** Sessions with an open stream, by the letters with which their ids begin: the log has the first four. */
  find: t.procedure
    .input(
      z.strictObject({
        letters: z.string().regex(/^[\w-]{4,22}$/, "must be 4 to 22 letters of an id"),
      }),
    )
    .query(async ({ ctx, input: { letters } }) =>
      unwrap(await ctx.signaling.find(letters, foundMax)),
    ),
  /** Ends a room: both are told that it was removed, and do not meet again for a while. `false` if there is no such room. */
  endRoom: t.procedure
    .input(z.strictObject({ roomId: wireString().min(1).max(64) }))
    .mutation(async ({ ctx, input: { roomId } }) => ({
      ended: unwrap(await ctx.signaling.endRoom(roomId)),
    })),
  list: t.procedure.query(async ({ ctx }) => ({ suspensions: await ctx.signaling.suspensions() })),
  suspend: t.procedure
    .input(z.strictObject({ subject, until: z.number().int().positive(), ...groundsFields }))
    .mutation(async ({ ctx, input: { subject, until, ...grounds } }) => {
      const inMs = until - ctx.now();
      if (inMs <= 0 || inMs > suspensionMsMax)
        throw refusal(
          reject("bad-input", { field: "until" }),
          "until: must be epoch milliseconds in the future, at most 100 years ahead",
        );
      unwrap(await ctx.signaling.suspend(toEngine(subject, ctx), until, grounds));
      return { suspended: true };
    }),
  lift: t.procedure
    .input(z.strictObject({ subject, ...groundsFields }))
    .mutation(async ({ ctx, input: { subject, ...grounds } }) => ({
      lifted: unwrap(await ctx.signaling.lift(toEngine(subject, ctx), grounds)),
    })),
  /** Changes what the node that answers logs, until it ends. Other nodes stay as they are. */
  logLevel: t.procedure
    .input(z.strictObject({ level: z.enum(logLevels) }))
    .mutation(({ ctx, input: { level } }) => {
      const was = ctx.setLogLevel(level);
      if (was === undefined)
        throw refusal(reject("bad-input", { field: "level" }), "the host's own log decides it");
      return { node: ctx.node().name, was, is: level };
    }),
  /** Closes a case without a sanction. */
  dismiss: t.procedure
    .input(z.strictObject({ ...groundsFields, caseId }))
    .mutation(async ({ ctx, input: { caseId, ...grounds } }) => {
      unwrap(await ctx.signaling.dismiss(caseId, grounds));
      return { dismissed: true };
    }),
});
