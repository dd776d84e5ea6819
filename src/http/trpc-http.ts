/**
 * Queries and mutations over HTTP through `@elysiajs/trpc`. The plugin bundles tRPC v10, whose procedures are functions that
 * have a type and take `rawInput`; ours are those of v11. This adapts the one to the other.
 */
import { trpc } from "@elysiajs/trpc";
import { callTRPCProcedure, TRPCError, type AnyTRPCRouter } from "@trpc/server";
import type { Elysia } from "elysia";
import type { MaybePromise } from "../maybe-promise.ts";
import { limits } from "../protocol.ts";

export interface TrpcHttpOptions<Context> {
  router: AnyTRPCRouter;
  endpoint: string;
  /** Called once per request, batched or not; what it throws is the response. */
  createContext: (request: Request) => MaybePromise<Context>;
  /** `path` is undefined for a procedure that does not exist, whose name the client made up. */
  onError: (failure: { error: TRPCError; path: string | undefined }) => void;
}

interface Call {
  ctx: unknown;
  rawInput: unknown;
  type: "query" | "mutation";
}

/** The Elysia plugin that serves `router` under `endpoint`. */
export function createTrpcHttp<Context>(
  options: TrpcHttpOptions<Context>,
): (app: Elysia) => Elysia {
  const { router, endpoint, createContext } = options;

  const procedures = Object.create(null) as Record<string, unknown>;
  for (const [path, procedure] of Object.entries(router._def.procedures)) {
    const type = (procedure as { _def: { type: string } })._def.type;
    // What streams needs the socket.
    if (type === "subscription") continue;
    const call = ({ ctx, rawInput, type: called }: Call) =>
      callTRPCProcedure({
        router,
        path,
        ctx,
        type: called,
        getRawInput: async () => rawInput,
        signal: undefined,
        batchIndex: 0,
      });
    procedures[path] = Object.assign(call, { _def: { [type]: true } });
  }

  const presented = {
    _def: { _config: router._def._config, procedures },
    getErrorShape: (error: unknown) => error,
  };

  return trpc(presented as never, {
    endpoint,
    createContext: ({ req }) => {
      const calls = new URL(req.url).pathname.slice(endpoint.length + 1).split(/,|%2c/i).length;
      if (calls > limits.httpBatchCallsMax)
        throw new TRPCError({
          code: "BAD_REQUEST",
          message: `A batch must be at most ${limits.httpBatchCallsMax} calls`,
        });
      return createContext(req);
    },
    onError: ({ error, path = "" }) => {
      const isKnown = Object.hasOwn(procedures, path);
      options.onError({ error: error as TRPCError, path: isKnown ? path : undefined });
    },
  }) as unknown as (app: Elysia) => Elysia;
}
