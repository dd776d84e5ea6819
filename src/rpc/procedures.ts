/** The kinds of procedures, and who may call them. */
import { initTRPC } from "@trpc/server";
import { reject } from "../domain/rejection.ts";
import type { Caller } from "../engine/engine.ts";
import { nobody, type Context } from "./context.ts";
import { formatError, refusal } from "./errors.ts";

const t = initTRPC.context<Context>().create({ isDev: false, errorFormatter: formatError });

export const { router } = t;

/** For everybody, with or without a session. */
export const publicProcedure = t.procedure;

/**
 * For a session. On a socket that has none yet the caller is nobody: idle, in no room. An HTTP request has
 * no events to begin a session with, so there it needs a valid token.
 */
export const procedure = t.procedure.use(({ ctx, next }) => {
  if (ctx.connection.kind === "http" && !ctx.connection.caller)
    throw refusal(reject("unauthorized"));
  return next();
});

/** Who calls, and under which id: the same id in another procedure is another mutation. */
export function callerOf(call: {
  ctx: Context;
  path: string;
  input: { id?: string | undefined };
}): Caller {
  const caller = call.ctx.connection.caller ?? nobody;
  if (call.input.id === undefined) return caller;
  return { ...caller, mutationId: `${call.path} ${call.input.id}` };
}
