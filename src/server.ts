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
import type { System } from "./system.ts";
import { bunSocketSettings, upgradeSocket } from "./transport/bun.ts";
import { closeCodes } from "./transport/close-codes.ts";
import { createHttpBridge } from "./transport/http-bridge.ts";
import { originAllowed, type OriginPolicy } from "./transport/origin.ts";
import type { AcceptSocket, Socket } from "./transport/socket.ts";
import { createStockHandler, defaultDeadlines, type SocketDeadlines } from "./transport/stock.ts";
import page from "./web/index.html";

export interface ServerParts {
  signaling: Signaling;
  tokens: SessionTokens;
  system: Pick<System, "now" | "schedule">;
  deadlines?: SocketDeadlines;
  origins: OriginPolicy;
  log: Log;
}

export interface RunningServer {
  /** Where it listens: the port is the real one, also when 0 was asked for. */
  readonly url: URL;
  /**
   * From now on `/readyz` and every upgrade is 503, and the peers are asked to reconnect, one by one over
   * `windowMs`. Resolves when all have gone, or the window is over.
   */
  drain(windowMs: number): Promise<void>;
  /** Asks every peer at once to hand its subscription over to a new socket; nobody notices. */
  askToReconnect(): void;
  /** Closes the port and every socket, with the code that means come back. */
  stop(): Promise<void>;
}

/** tRPC's word for it: the client opens a new socket, moves its subscriptions, then closes this one. */
const reconnectNotice = JSON.stringify({ id: null, method: "reconnect" });

/**
 * Listens at `host` and `port`.
 * @throws if the port is taken.
 */
export function createServer(
  parts: ServerParts,
  { host, port }: { host: string; port: number },
): RunningServer {
  const { log, origins } = parts;
  const { system, deadlines = defaultDeadlines } = parts;
  const contexts = createContexts({ ...parts, now: system.now });
  let ready = true;

  function onError(error: TRPCError, path: string | undefined) {
    if (isBug(error)) log.bug(error.cause ?? error, path ?? "unknown procedure");
  }

  const sockets = new Set<Socket>();
  let allGone = () => {};
  const handle = createStockHandler({
    router: appRouter,
    onError,
    deadlines,
    schedule: system.schedule,
    createContext: ({ token }, socket) =>
      contexts.forSocket(typeof token === "string" ? token : undefined, () =>
        socket.close(closeCodes.tooSlow, "too slow"),
      ),
  });

  const acceptSocket: AcceptSocket = (socket, upgrade) => {
    const listener = handle(socket, upgrade);
    sockets.add(socket);
    return {
      message: listener.message,
      close() {
        sockets.delete(socket);
        listener.close();
        if (sockets.size === 0) allGone();
      },
    };
  };

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
      if (!ready)
        return new Response("This server is being replaced\n", {
          status: 503,
          headers: { "retry-after": "1" },
        });
      const upgraded =
        server !== null && upgradeSocket(server, request, acceptSocket, system.schedule);
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
    async drain(windowMs) {
      ready = false;
      const asked = [...sockets];
      const gone = new Promise<void>((resolve) => {
        allGone = resolve;
        system.schedule(windowMs, resolve);
      });
      for (const [index, socket] of asked.entries())
        system.schedule((windowMs * index) / asked.length, () => socket.send(reconnectNotice));
      if (asked.length > 0) await gone;
    },
    askToReconnect() {
      for (const socket of sockets) socket.send(reconnectNotice);
    },
    async stop() {
      ready = false;
      for (const socket of sockets) socket.close(closeCodes.goingAway, "going away");
      await server.stop(true);
    },
  };
}
