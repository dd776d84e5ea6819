/** What an operator may do, over HTTP at `/admin/*`, with `Authorization: Bearer <ADMIN_TOKEN>`. */
import { createHash, timingSafeEqual } from "node:crypto";
import { initTRPC } from "@trpc/server";
import { z } from "zod";
import { wireString } from "../protocol.ts";
import type { Signaling } from "../signaling.ts";
import { formatError, unwrap } from "./errors.ts";

export interface AdminContext {
  signaling: Pick<Signaling, "suspend" | "lift" | "suspensions">;
}

const t = initTRPC.context<AdminContext>().create({ isDev: false, errorFormatter: formatError });

/** A session's id, or an address bucket's keyed hash, as `list` and the reports name them. */
const subject = z.strictObject({
  kind: z.enum(["session", "address"]),
  id: wireString().min(1).max(64),
});

export const adminRouter = t.router({
  list: t.procedure.query(async ({ ctx }) => ({ suspensions: await ctx.signaling.suspensions() })),
  suspend: t.procedure
    .input(z.strictObject({ subject, until: z.number().int().positive() }))
    .mutation(async ({ ctx, input }) => {
      unwrap(await ctx.signaling.suspend(input.subject, input.until));
      return { suspended: true };
    }),
  lift: t.procedure.input(z.strictObject({ subject })).mutation(async ({ ctx, input }) => ({
    lifted: unwrap(await ctx.signaling.lift(input.subject)),
  })),
});

/** Whether an `Authorization` header bears the token; in the same time wherever they differ. */
export function isBearer(authorization: string | null, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization ?? ""), digest(`Bearer ${token}`));
}
