/** All routes as one Elysia plugin: `/trpc`, `/admin`, `/metrics`, `/schema`, `/livez`, `/readyz`, and the page at `/`. */
import { cors } from "@elysiajs/cors";
import type { AnyTRPCRouter } from "@trpc/server";
import { Elysia } from "elysia";
import type { Page } from "../http/page.ts";
import { OpenResponses, type OpenResponse } from "../http/open-responses.ts";
import { createTrpcHttp } from "../http/trpc-http.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { Log } from "../observe/log.ts";
import type { Context } from "../rpc/context.ts";
import type { System } from "../system.ts";
import { Guards, type GuardParts } from "./guards.ts";
import { operatorRoutes, type OperatorParts } from "./operator-routes.ts";
import { textResponse } from "./responses.ts";
import { schemaRoutes, type SchemaParts } from "./schema-routes.ts";
import {
  createTakePlace,
  createUpgradeHandler,
  type TakePlace,
  type UpgradeHandler,
  type UpgradeParts,
} from "./upgrade.ts";

interface RoutesParts extends OperatorParts, SchemaParts {
  router: AnyTRPCRouter;
  contextOfRequest: (request: Request, response?: OpenResponse) => MaybePromise<Context>;
  /** Whether pages of other origins may send cookies. */
  credentials: boolean;
  guards: Guards;
  upgrade: UpgradeHandler;
  takePlace: TakePlace;
  responses: OpenResponses;
  /** Served at `/`; nothing without it. */
  page?: Page | undefined;
  log: Log;
  system: Pick<System, "now" | "elapsed" | "schedule">;
  /** Why this node should get no traffic at the moment; `undefined` while it is ready. */
  unreadiness: () => string | undefined;
}

export interface Http {
  /** The Elysia plugin. */
  readonly routes: ReturnType<typeof createRoutes>;
  /**
   * Answers requests for an upgrade at `/trpc` as the plugin does, but without Elysia: for a route of Bun's own. Elysia's hooks
   * and response headers are for pages that can read a response, and cost time for each new peer.
   */
  readonly upgrade: UpgradeHandler;
  /** The streams of events over HTTP. */
  readonly responses: Pick<OpenResponses, "size" | "drain" | "closeAll">;
}

export type HttpParts = Omit<RoutesParts, "guards" | "upgrade" | "takePlace" | "responses"> &
  Omit<GuardParts, "elapsed"> &
  UpgradeParts;

export function createHttp(parts: HttpParts): Http {
  const guards = new Guards({ ...parts, elapsed: parts.system.elapsed });
  const takePlace = createTakePlace(parts);
  const responses = new OpenResponses(parts.system.schedule);
  const upgrade = createUpgradeHandler(parts, takePlace);
  return {
    routes: createRoutes({ ...parts, guards, upgrade, takePlace, responses }),
    responses,
    upgrade: (request, server) => guards.refuse(request, "/trpc") ?? upgrade(request, server),
  };
}

function createRoutes(parts: RoutesParts) {
  const { guards, metrics, log } = parts;
  return new Elysia({
    // Accepts host names of one to three characters without a port, such as `http://web/livez`.
    handler: { standardHostname: false },
  })
    .onError(({ code, error, set }) => {
      if (code === "NOT_FOUND") return new Response("Not found", { status: 404 });
      // The connection was closed before the whole body had arrived.
      const isAborted = error instanceof DOMException && error.name === "AbortError";
      if (code === "PARSE" || code === "VALIDATION" || isAborted) {
        metrics.refused("bad-input");
        return textResponse("Bad request\n", 400);
      }
      log.bug(error, "http");
      set.status = 500;
      return new Response("Internal server error", { status: 500 });
    })
    .onRequest(({ request }) => guards.refuse(request))
    .use(
      cors({
        origin: (request) => guards.isOriginAllowed(request),
        methods: ["GET", "POST"],
        allowedHeaders: [
          "authorization",
          "content-type",
          "last-event-id",
          "trpc-accept",
          "x-peer-stream-auth",
          "x-peer-stream-protocol",
        ],
        // A page whose stream of events is refused reads from it when to try again.
        exposeHeaders: ["retry-after"],
        credentials: parts.credentials,
        maxAge: 600,
      }),
    )
    .get("/livez", () => textResponse("alive\n"))
    .get("/readyz", () => {
      const unreadiness = parts.unreadiness();
      return unreadiness === undefined
        ? textResponse("ready\n")
        : textResponse(`${unreadiness}\n`, 503);
    })
    .use(operatorRoutes(parts))
    .use(schemaRoutes(parts))
    .get("/trpc", ({ request, server }) => parts.upgrade(request, server))
    .use(
      createTrpcHttp({
        router: parts.router,
        endpoint: "/trpc",
        createContext: parts.contextOfRequest,
        onError: parts.onError,
        streaming: parts,
      }),
    )
    .get("/", ({ request }) => servePage(parts, request))
    .get("/*", ({ request }) => servePage(parts, request));
}

async function servePage({ page, guards }: RoutesParts, request: Request): Promise<Response> {
  const refused = page && guards.refuseHost(request);
  return refused ?? (await page?.(request)) ?? new Response("Not found", { status: 404 });
}
