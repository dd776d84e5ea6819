/**
 * Calls procedures as tRPC's own `callTRPCProcedure` does, which spends more on copying its options from
 * middleware to middleware than all of them do on their work.
 */
import {
  callTRPCProcedure,
  getTRPCErrorFromUnknown,
  TRPCError,
  type AnyTRPCMiddlewareFunction,
  type AnyTRPCRouter,
  type TRPCProcedureType,
} from "@trpc/server";
import { middlewareMarker, type MiddlewareResult } from "@trpc/server/unstable-core-do-not-import";

export interface Invocation {
  router: AnyTRPCRouter;
  path: string;
  type: TRPCProcedureType;
  ctx: unknown;
  getRawInput: () => Promise<unknown>;
  signal: AbortSignal;
  /** Its place in its batch. */
  batchIndex: number;
}

/** What a built procedure carries; ended by the resolver, which is a middleware like the others. */
interface Definition {
  type: TRPCProcedureType;
  meta: unknown;
  middlewares: readonly AnyTRPCMiddlewareFunction[];
  experimental_caller?: boolean;
}

/** Resolves with the procedure's result. @throws whatever it throws, `NOT_FOUND` if there is none of that type. */
export async function invoke(call: Invocation): Promise<unknown> {
  const procedures = call.router._def.procedures as Record<string, { _def: Definition }>;
  const definition = Object.hasOwn(procedures, call.path) ? procedures[call.path]?._def : undefined;
  // What is loaded late, called in a way of its own, or not there at all is tRPC's to find.
  if (definition?.type !== call.type || definition.experimental_caller)
    return callTRPCProcedure(call);
  const result = (await runFrom(0, definition, call, call.ctx, undefined, call.getRawInput)) as
    MiddlewareResult<unknown> | undefined;
  if (!result)
    throw new TRPCError({
      code: "INTERNAL_SERVER_ERROR",
      message: "No result from middlewares - did you forget to `return next()`?",
    });
  if (!result.ok) throw result.error;
  return result.data;
}

/** What a middleware may hand on to the next. */
interface Changes {
  ctx?: object;
  input?: unknown;
  getRawInput?: () => Promise<unknown>;
}

async function runFrom(
  index: number,
  definition: Definition,
  call: Invocation,
  ctx: unknown,
  input: unknown,
  getRawInput: () => Promise<unknown>,
): Promise<MiddlewareResult<unknown>> {
  try {
    const middleware = definition.middlewares[index] as (
      options: object,
    ) => Promise<MiddlewareResult<unknown>>;
    return await middleware({
      ctx,
      type: call.type,
      path: call.path,
      input,
      getRawInput,
      meta: definition.meta,
      signal: call.signal,
      batchIndex: call.batchIndex,
      next: (changes?: Changes) =>
        runFrom(
          index + 1,
          definition,
          call,
          changes?.ctx ? { ...(ctx as object), ...changes.ctx } : ctx,
          changes && "input" in changes ? changes.input : input,
          changes?.getRawInput ?? getRawInput,
        ),
    });
  } catch (cause) {
    return { ok: false, error: getTRPCErrorFromUnknown(cause), marker: middlewareMarker };
  }
}
