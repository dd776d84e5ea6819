/** Puts the parts on one port: `/trpc`, `/livez`, `/readyz`, and the demo page at `/`. */
import { readFileSync } from "node:fs";
import { cors } from "@elysiajs/cors";
import type { TRPCError } from "@trpc/server";
import { Elysia } from "elysia";
import { reject } from "./domain/rejection.ts";
import { takeToken } from "./domain/token-bucket.ts";
import { limits as limitsOf } from "./protocol.ts";
import type { Log } from "./observe/log.ts";
import { createWarnOnce } from "./observe/sparing-log.ts";
import type { Metrics } from "./observe/metrics.ts";
import { adminRouter, type AdminContext } from "./rpc/admin.ts";
import { createCallLimits, type CallRates } from "./rpc/call-limits.ts";
import { createContexts } from "./rpc/context.ts";
import { isBug, reasonOf, refusal } from "./rpc/errors.ts";
import { createOperatorAccess } from "./rpc/operator-access.ts";
import { appRouter } from "./rpc/router.ts";
import type { SessionTokens } from "./rpc/session-token.ts";
import { readUsualFrame } from "./rpc/usual-frames.ts";
import type { Signaling } from "./signaling.ts";
import type { System } from "./system.ts";
import type { Admission } from "./transport/admission.ts";
import { bunSocketSettings, createUpgrade } from "./transport/bun.ts";
import { closeCodes } from "./transport/close-codes.ts";
import { defaultDeadlines, type SocketDeadlines } from "./transport/deadlines.ts";
import { createHttpBridge } from "./transport/http-bridge.ts";
import { hostKnown, originAllowed, type OriginPolicy } from "./transport/origin.ts";
import type { Page } from "./transport/page.ts";
import { createRpcSockets } from "./transport/rpc-socket.ts";
import type { AcceptSocket, Socket, SocketListener } from "./transport/socket.ts";

export interface ServerParts {
  signaling: Signaling;
  /** Whether what keeps the state is at hand; without it `/readyz` is 503, and what is open stays open. */
  available: () => boolean;
  tokens: SessionTokens;
  rates: CallRates;
  system: Pick<System, "now" | "elapsed" | "schedule" | "soon" | "id">;
  deadlines?: SocketDeadlines;
  origins: OriginPolicy;
  /** What is shown at `/`; nothing without. */
  page?: Page;
  admission: Admission;
  /** Who may read `/metrics`, and call `/admin`; without a token nobody may. */
  metricsToken?: string | undefined;
  adminToken?: string | undefined;
  metrics: Metrics;
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

/** Calls a socket may make, refused ones included: far more than the limits of calls let through. */
const callFloodRate = { perS: 300, burst: 3000 };

/** Passes a socket's frames on, and gives its place back once it has closed. A class, for its memory. */
class CountedSocket implements SocketListener {
  readonly #socket: Socket;
  readonly #listener: SocketListener;
  readonly #release: () => void;
  readonly #onGone: (socket: Socket) => void;

  constructor(
    socket: Socket,
    listener: SocketListener,
    release: () => void,
    onGone: (socket: Socket) => void,
  ) {
    this.#socket = socket;
    this.#listener = listener;
    this.#release = release;
    this.#onGone = onGone;
  }

  message(data: string | Uint8Array): void {
    this.#listener.message(data);
  }

  close(): void {
    this.#listener.close();
    this.#release();
    this.#onGone(this.#socket);
  }
}

function refuse(
  status: 429 | 503,
  retryAfterS: number,
  text = status === 429 ? "Too many handshakes\n" : "No place at the moment\n",
): Response {
  // Closed at once: a connection that is kept alive for the next request would keep its file descriptor.
  const headers = { "retry-after": String(retryAfterS), connection: "close" };
  return new Response(text, { status, headers });
}

function plain(text: string, status = 200): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

const probes: ReadonlySet<string> = new Set(["/livez", "/readyz"]);

/**
 * The path of a request whose URL can be parsed: everything behind this relies on it. A `Host` header that is none
 * makes the URL invalid. HTTP/1.0 knows no `Host` (RFC 9112, 3.2), and its URL is a path: a probe is answered all the
 * same. `undefined` for any other.
 */
function pathnameOf({ url }: Request): string | undefined {
  if (probes.has(url)) return url;
  return URL.parse(url)?.pathname;
}

/** Of what a stranger writes, at most this much is logged (characters). */
const logCharsMax = 200;

/** What an operator does about a refused origin that should not have been refused. */
function cureOf(origin: string | null, isOwnPage: boolean): string {
  if (origin === null) return "ALLOW_NO_ORIGIN=true, if clients other than browsers may connect";
  if (origin === "null") return "none: a sandboxed frame or a local file has no origin to allow";
  if (isOwnPage) return `PUBLIC_URL=${origin}, if that is this server's page`;
  return `add ${origin} to CORS_ORIGIN, if that page may connect`;
}

/** Where to listen; with `tls`, the paths of two PEM files, over HTTPS and WSS. */
export interface ListenAt {
  host: string;
  port: number;
  tls?: { cert: string; key: string } | undefined;
}

/**
 * Listens at `host` and `port`.
 * @throws if the port is taken, or the files of `tls` are not what they should be.
 */
export function createServer(parts: ServerParts, { host, port, tls }: ListenAt): RunningServer {
  const { admission, log, metrics, origins } = parts;
  const { system, deadlines = defaultDeadlines } = parts;
  const limits = createCallLimits(parts.rates, system.elapsed);
  const contexts = createContexts({ ...parts, limits, now: system.now, newId: system.id });
  let ready = true;

  function onError(error: TRPCError, path: string | undefined) {
    const reason = reasonOf(error);
    if (reason) {
      metrics.refused(reason);
      log.debug("refused", { reason, path });
    } else if (isBug(error)) log.bug(error.cause ?? error, path ?? "unknown procedure");
  }

  const upgradeSocket = createUpgrade(system);
  const sockets = new Set<Socket>();
  // Where calls are not limited, to measure or to flood, neither is this.
  const callFlood = parts.rates.signals.perS === 0 ? { perS: 0, burst: 1 } : callFloodRate;
  let allGone = () => {};
  const speak = createRpcSockets({
    router: appRouter,
    recognise: readUsualFrame,
    chargeCalls:
      callFlood.perS === 0
        ? undefined
        : (bucket, calls) => takeToken(bucket, callFlood, system.elapsed(), calls) === 0,
    onError,
    deadlines,
    elapsed: system.elapsed,
    schedule: system.schedule,
    createContext: ({ token }, socket, { addressHash }) =>
      contexts.forSocket(typeof token === "string" ? token : undefined, addressHash, socket),
  });

  function onGone(socket: Socket) {
    sockets.delete(socket);
    if (sockets.size === 0) allGone();
  }

  const accept: AcceptSocket = (socket, upgrade) => {
    sockets.add(socket);
    return new CountedSocket(socket, speak(socket, upgrade), upgrade.release, onGone);
  };

  const letIn = (request: Request) =>
    originAllowed(origins, request.headers.get("origin"), request.headers.get("host"));

  const warnOnce = createWarnOnce(log, system.elapsed);

  /**
   * Browsers hide why an upgrade failed. A page learns it by a plain GET of the same URL: this answer, and no other, is
   * readable by every origin, and says nothing that the page does not know.
   */
  function refuseOrigin({ headers, method }: Request): Response {
    const origin = headers.get("origin")?.slice(0, logCharsMax) ?? null;
    const isOwnPage = origin?.replace(/^https?:\/\//, "") === headers.get("host");
    metrics.turnedAway("origin");
    warnOnce("an origin was refused", origin ?? "", { origin, cure: cureOf(origin, isOwnPage) });
    return Response.json(
      { error: "origin-not-allowed", origin },
      {
        status: 403,
        headers: {
          vary: "origin",
          "cache-control": "no-store",
          ...(method === "GET" && { "access-control-allow-origin": "*" }),
        },
      },
    );
  }

  /** Whom this request comes from can't be told, and a guess could be what its sender wants. */
  function refuseForwarded(): Response {
    metrics.turnedAway("forwarded");
    // Once an hour: the header is the sender's own, and says nothing that helps.
    const hour = String(Math.floor(system.elapsed() / 3_600_000));
    warnOnce("forwarding headers contradict each other", hour, {
      cure: "let the proxy remove the header Forwarded, or X-Forwarded-For if it writes Forwarded itself",
    });
    return plain("Forwarded and X-Forwarded-For contradict each other\n", 400);
  }

  async function show(request: Request): Promise<Response> {
    const host = request.headers.get("host")?.slice(0, logCharsMax) ?? null;
    if (parts.page && !hostKnown(origins, host)) {
      metrics.turnedAway("host");
      warnOnce("the page was asked for by an unknown host name", host ?? "", {
        host,
        cure: `set PUBLIC_URL=https://${host}, or http:// without TLS, if that is this server`,
      });
      return plain("This server has not been told this name: see PUBLIC_URL\n", 421);
    }
    return (await parts.page?.(request)) ?? new Response("Not found", { status: 404 });
  }

  /** At the other end of its socket; known once the server listens. */
  let addressOf: (request: Request) => string | undefined = () => undefined;

  const checkAccess = createOperatorAccess({
    elapsed: system.elapsed,
    onWrongToken: (addressHash) => {
      metrics.turnedAway("operator-token");
      warnOnce("a wrong operator's token", addressHash, { addressHash });
    },
  });
  const accessOf = (request: Request, token: string | undefined) =>
    checkAccess(
      token,
      request.headers.get("authorization"),
      admission.addressHash(request.headers, addressOf(request)),
    );

  const app = new Elysia({
    // A host of one to three characters without a port is one, too: `http://web/livez`.
    handler: { standardHostname: false },
    // A taken port must be an error.
    // A body weighs no more than a frame: what is larger costs before it can be refused by name.
    serve: { reusePort: false, maxRequestBodySize: limitsOf.frameBytesMax },
    websocket: { ...bunSocketSettings },
  })
    .onError(({ code, error, set }) => {
      if (code === "NOT_FOUND") return new Response("Not found", { status: 404 });
      // The connection was closed before the whole body had arrived.
      const isAborted = error instanceof DOMException && error.name === "AbortError";
      if (code === "PARSE" || code === "VALIDATION" || isAborted) {
        metrics.refused("bad-input");
        return plain("Bad request\n", 400);
      }
      log.bug(error, "http");
      set.status = 500;
      return new Response("Internal server error", { status: 500 });
    })
    .onRequest(({ request }) => {
      const pathname = pathnameOf(request);
      if (pathname === undefined) {
        metrics.refused("bad-input");
        return plain("Bad request\n", 400);
      }
      if (!probes.has(pathname) && admission.isAmbiguous(request.headers, addressOf(request)))
        return refuseForwarded();
      // The page and the probes are nobody's calls: a navigation has no Origin, nor has a probe.
      if (pathname.startsWith("/trpc") && !letIn(request)) return refuseOrigin(request);
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
    .get("/livez", () => plain("alive\n"))
    .get("/readyz", () => {
      if (!ready) return plain("draining\n", 503);
      return parts.available() ? plain("ready\n") : plain("the engine's storage is away\n", 503);
    })
    .get("/metrics", async ({ request }) => {
      const access = accessOf(request, parts.metricsToken);
      if (!access.granted) {
        const { retryAfterMs } = access;
        return retryAfterMs === undefined
          ? new Response("Not found", { status: 404 })
          : refuse(429, Math.ceil(retryAfterMs / 1000), "Too many wrong tokens\n");
      }
      return new Response(await metrics.render(), {
        headers: { "content-type": "text/plain; version=0.0.4" },
      });
    })
    .get("/trpc", async ({ request, server }) => {
      if (!ready) return refuse(503, 1);
      if (!server || request.headers.get("upgrade")?.toLowerCase() !== "websocket")
        return new Response("Expected a WebSocket\n", { status: 426 });
      const admitted = await admission.admit(request.headers, addressOf(request));
      if ("status" in admitted) {
        metrics.refused(admitted.status === 429 ? "rate-limited" : "unavailable");
        return refuse(admitted.status, admitted.retryAfterS);
      }
      const { addressHash, release } = admitted;
      if (upgradeSocket(server, request, accept, { addressHash, release })) return undefined;
      release();
      return new Response("Expected a WebSocket\n", { status: 426 });
    })
    .use(
      createHttpBridge({
        router: appRouter,
        endpoint: "/trpc",
        createContext: (request) =>
          contexts.forRequest(
            request.headers.get("authorization"),
            admission.addressHash(request.headers, addressOf(request)),
          ),
        onError,
      }) as (app: Elysia) => Elysia,
    )
    .use(
      createHttpBridge({
        router: adminRouter,
        endpoint: "/admin",
        createContext: (request): AdminContext => {
          const access = accessOf(request, parts.adminToken);
          if (!access.granted) {
            const { retryAfterMs } = access;
            if (retryAfterMs !== undefined) throw refusal(reject("rate-limited", { retryAfterMs }));
            throw refusal(
              reject("unauthorized"),
              "The operator's token is needed: see ADMIN_TOKEN",
            );
          }
          return { signaling: parts.signaling, now: system.now, hashOfAddress: admission.hashOf };
        },
        onError,
      }) as (app: Elysia) => Elysia,
    )
    .get("/", ({ request }) => show(request))
    .get("/*", ({ request }) => show(request))
    .listen({
      hostname: host,
      port,
      ...(tls && { tls: { cert: readFileSync(tls.cert), key: readFileSync(tls.key) } }),
    });

  const { server } = app;
  if (!server) throw new Error("the server did not start");
  addressOf = (request) => server.requestIP(request)?.address;

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
