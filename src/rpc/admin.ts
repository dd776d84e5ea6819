/** The operator's procedures, over HTTP at `/admin/*`, with `Authorization: Bearer <ADMIN_TOKEN>`. */
import { isIP } from "node:net";
import { initTRPC } from "@trpc/server";
import { z } from "zod";
import { subjectKinds, type Subject } from "../domain/moderation.ts";
import { reject } from "../domain/rejection.ts";
import { caseId, groundsFields } from "./decisions-input.ts";
import { accountCharsMax } from "./identity.ts";
import { wireString } from "./schemas.ts";
import type { Signaling } from "../signaling/signaling.ts";
import { formatError, refusal, unwrap } from "./errors.ts";

export interface AdminContext {
  signaling: Pick<Signaling, "suspend" | "lift" | "dismiss" | "suspensions">;
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

export const adminRouter = t.router({
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
  /** Closes a case without a sanction. */
  dismiss: t.procedure
    .input(z.strictObject({ ...groundsFields, caseId }))
    .mutation(async ({ ctx, input: { caseId, ...grounds } }) => {
      unwrap(await ctx.signaling.dismiss(caseId, grounds));
      return { dismissed: true };
    }),
});
