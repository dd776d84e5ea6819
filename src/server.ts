/** Puts the parts on one port: `/trpc`, `/livez`, `/readyz`, and the demo page at `/`. */
import { cors } from "@elysiajs/cors";
import type { TRPCError } from "@trpc/server";
import { Elysia } from "elysia";
import type { Log } from "./observe/log.ts";
import { createContexts } from "./rpc/context.ts";
import { isBug } from "./rpc/errors.ts";
import { appRouter } from "./rpc/router.ts";
import type { SessionTokens } from "./rpc/session-token.ts";
import type { Signaling } from "./signaling.ts";
import { bunSocketSettings, upgradeSocket } from "./transport/bun.ts";
import { closeCodes } from "./transport/close-codes.ts";
import { createHttpBridge } from "./transport/http-bridge.ts";
import { originAllowed, type OriginPolicy } from "./transport/origin.ts";
import { createStockHandler } from "./transport/stock.ts";
import page from "./web/index.html";

export interface ServerParts {
  signaling: Signaling;
  tokens: SessionTokens;
  /** Epoch milliseconds. */
  now: () => number;
  origins: OriginPolicy;
  log: Log;
}

export interface RunningServer {
  /** Where it listens: the port is the real one, also when 0 was asked for. */
  readonly url: URL;
  /** From now on `/readyz` is 503. */
  drain(): void;
  /** Closes the port and every socket, with the code that means come back. */
  stop(): Promise<void>;
}

/**
 * Listens at `host` and `port`.
 * @throws if the port is taken.
 */
export function createServer(
  parts: ServerParts,
  { host, port }: { host: string; port: number },
): RunningServer {
  const { log, origins } = parts;
  const contexts = createContexts(parts);
  let ready = true;

  function onError(error: TRPCError, path: string | undefined) {
    if (isBug(error)) log.bug(error.cause ?? error, path ?? "unknown procedure");
  }

  const sockets = new Set<{ close(code: number, reason: string): void }>();
  const handle = createStockHandler({
    router: appRouter,
    onError,
    createContext: ({ token }, socket) =>
      contexts.forSocket(typeof token === "string" ? token : undefined, () =>
        socket.close(closeCodes.tooSlow, "too slow"),
      ),
  });

  const letIn = (request: Request) =>
    originAllowed(origins, request.headers.get("origin"), request.headers.get("host"));

  const app = new Elysia({
    // A taken port must be an error. The page is a route of Bun's own: Elysia would serve it only if it had
    // no request hook.
    serve: { reusePort: false, routes: { "/": { GET: page as never } } },
    websocket: { ...bunSocketSettings },
  })
    .onError(({ code, error, set }) => {
      if (code === "NOT_FOUND") return new Response("Not found", { status: 404 });
      if (code === "PARSE" || code === "VALIDATION")
        return new Response("Bad request", { status: 400 });
      log.bug(error, "http");
      set.status = 500;
      return new Response("Internal server error", { status: 500 });
    })
    .onRequest(({ request }) => {
      if (!letIn(request)) return new Response("This origin is not allowed", { status: 403 });
      return undefined;
    })
    .use(
      cors({
        origin: letIn,
        methods: ["GET", "POST"],
        allowedHeaders: ["authorization", "content-type"],
        credentials: false,
        maxAge: 600,
      }),
    )
    .get("/livez", () => new Response("alive\n"))
    .get(
      "/readyz",
      () => new Response(ready ? "ready\n" : "draining\n", { status: ready ? 200 : 503 }),
    )
    .get("/trpc", ({ request, server }) => {
      const upgraded =
        server !== null &&
        upgradeSocket(server, request, (socket, upgrade) => {
          const listener = handle(socket, upgrade);
          sockets.add(socket);
          return {
            message: listener.message,
            close() {
              sockets.delete(socket);
              listener.close();
            },
          };
        });
      return upgraded ? undefined : new Response("Expected a WebSocket", { status: 426 });
    })
    .use(
      createHttpBridge({
        router: appRouter,
        endpoint: "/trpc",
        createContext: (request) => contexts.forRequest(request.headers.get("authorization")),
        onError,
      }) as (app: Elysia) => Elysia,
    )
    .listen({ hostname: host, port });

  const { server } = app;
  if (!server) throw new Error("the server did not start");

  return {
    url: server.url,
    drain() {
      ready = false;
    },
    async stop() {
      ready = false;
      for (const socket of sockets) socket.close(closeCodes.goingAway, "going away");
      await server.stop(true);
    },
  };
}
