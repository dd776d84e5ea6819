/**
 * tRPC over HTTP. Plain queries and mutations go through `@elysiajs/trpc`, which bundles tRPC v10: its procedures are functions
 * that have a type and take `rawInput`, ours are those of v11, and this adapts the one to the other. What v10 does not know
 * (streamed batches, subscriptions, queries by POST, 405 and 415) goes through v11's own handler.
 */
import { trpc } from "@elysiajs/trpc";
import { callTRPCProcedure, getTRPCErrorShape, TRPCError, type AnyTRPCRouter } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { Elysia, type Context as ElysiaContext } from "elysia";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import { limits } from "../protocol.ts";
import type { OpenResponse, OpenResponses } from "./open-responses.ts";

export interface TrpcHttpOptions<Context> {
  router: AnyTRPCRouter;
  endpoint: string;
  /**
   * Called once per request, batched or not; what it throws is the response.
   * @param response of a subscription, which stays open.
   */
  createContext: (request: Request, response?: OpenResponse) => MaybePromise<Context>;
  /** `path` is undefined for a procedure that does not exist, whose name the client made up. */
  onError: (failure: { error: TRPCError; path: string | undefined }) => void;
  /** Serves subscriptions; without it there are none. */
  streaming?: Streaming;
}

interface Streaming {
  responses: OpenResponses;
  /** Takes a place for a response that stays open; or the response that refuses it. */
  takePlace: (request: Request) => MaybePromise<{ release(): void } | Response>;
}

interface Call {
  ctx: unknown;
  rawInput: unknown;
  type: "query" | "mutation";
}

type ProcedureType = "query" | "mutation" | "subscription";

/** The Elysia plugin that serves `router` under `endpoint`. */
export function createTrpcHttp<Context extends object>(
  options: TrpcHttpOptions<Context>,
): (app: Elysia) => Elysia {
  const { router, endpoint, createContext, streaming } = options;
  const types = new Map<string, ProcedureType>();
  for (const [path, { _def }] of Object.entries<{ _def: { type: ProcedureType } }>(
    router._def.procedures as never,
  ))
    types.set(path, _def.type);

  const report = ({ error, path = "" }: { error: TRPCError; path?: string | undefined }) =>
    options.onError({ error, path: types.has(path) ? path : undefined });
  // An app of its own, as the plugin would change how the host's bodies are parsed.
  const plain = new Elysia().use(createPlain(options, types, report));

  const respond = (request: Request, ctx: () => MaybePromise<Context>) =>
    fetchRequestHandler({
      req: request,
      router,
      endpoint,
      createContext: async () => ctx(),
      onError: report,
      allowMethodOverride: true,
      maxBatchSize: limits.httpBatchCallsMax,
    });

  const stream = async ({ responses, takePlace }: Streaming, request: Request) =>
    chain(takePlace(request), (place) =>
      place instanceof Response
        ? place
        : responses.serve(
            request,
            () => place.release(),
            (response) => respond(response.request, () => createContext(request, response)),
          ),
    );

  async function answer({ request, server }: Pick<ElysiaContext, "request" | "server">) {
    const called = pathsOf(request, endpoint).map((path) => types.get(path));
    if (isPlain(request, called)) return plain.handle(request);
    if (called[0] !== "subscription" || isBatch(request))
      return respond(request, () => createContext(request));
    if (!streaming) return new Response("Not found", { status: 404 });
    // Bun would end it after seconds, whatever is sent on it meanwhile.
    server?.timeout(request, 0);
    return stream(streaming, request);
  }

  const path = `${endpoint}/*`;
  // Bodies are read by tRPC. GET by name, as a host's own `GET /*` would precede a route for all methods.
  return (app) =>
    app.get(path, answer, { parse: "none" }).all(path, answer, { parse: "none" }) as never;
}

const isBatch = ({ url }: Request) => new URL(url).searchParams.get("batch") === "1";

const pathsOf = ({ url }: Request, endpoint: string) =>
  new URL(url).pathname.slice(endpoint.length + 1).split(/,|%2c/i);

/** Whether v10 can answer it: with the methods, bodies and answers that v10 and v11 have in common. */
function isPlain(
  { method, headers, body }: Request,
  called: (ProcedureType | undefined)[],
): boolean {
  const accepts = headers.get("trpc-accept") ?? headers.get("accept");
  if (accepts?.includes("application/jsonl")) return false;
  const isOnly = (type: ProcedureType) => called.every((one) => one === undefined || one === type);
  if (method === "GET") return isOnly("query");
  const contentType = headers.get("content-type");
  const isReadable =
    contentType === null
      ? body === null
      : contentType.split(";")[0]?.trim().toLowerCase() === "application/json";
  return method === "POST" && isReadable && isOnly("mutation");
}

/** Queries and mutations through `@elysiajs/trpc`. */
function createPlain<Context>(
  { router, endpoint, createContext }: TrpcHttpOptions<Context>,
  types: ReadonlyMap<string, ProcedureType>,
  onError: (failure: { error: TRPCError; path?: string | undefined }) => void,
): (app: Elysia) => Elysia {
  const procedures = Object.create(null) as Record<string, unknown>;
  for (const [path, type] of types) {
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
  const { _config: config } = router._def;
  type Failed = Omit<Parameters<typeof getTRPCErrorShape>[0], "config">;
  // v10 does not know all codes of v11, such as SERVICE_UNAVAILABLE, and would make 500 of them.
  const errorFormatter = (failed: Failed) => getTRPCErrorShape({ ...failed, config });
  const presented = {
    _def: { _config: { ...config, errorFormatter }, procedures },
    getErrorShape: (error: unknown) => error,
  };
  return trpc(presented as never, {
    endpoint,
    createContext: ({ req }) => {
      if (pathsOf(req, endpoint).length > limits.httpBatchCallsMax)
        throw new TRPCError({
          code: "BAD_REQUEST",
          message: `A batch must be at most ${limits.httpBatchCallsMax} calls`,
        });
      return createContext(req);
    },
    onError: ({ error, path }) => onError({ error: error as TRPCError, path }),
  }) as unknown as (app: Elysia) => Elysia;
}
