/**
 * tRPC v11 over WebSockets for any router on Bun, and on what is built on it: `peer-stream/trpc-ws`. Supplies the clock and the
 * timers that the rest of the binding is given.
 */
import type { AnyTRPCRouter } from "@trpc/server";
import {
  bunSocketSettings,
  createUpgrade,
  passOn,
  type BunServer,
  type Scheduler,
  type SocketSettings,
} from "./bun.ts";
import { isAwaitable } from "./invoke.ts";
import { defaultLimits, type TrpcWebSocketLimits, type TrpcWebSocketOptions } from "./options.ts";
import { TrpcWebSocket } from "./trpc-web-socket.ts";

/** The context of a router's procedures. */
type ContextOf<Router extends AnyTRPCRouter> = Router["_def"]["_config"]["$types"]["ctx"];

type BaseOptions<Context, Data> = Omit<
  TrpcWebSocketOptions<Context, Data>,
  "router" | "createContext" | "limits" | "elapsed" | "schedule"
>;

type CreateContext<Context, Data> = TrpcWebSocketOptions<Context, Data>["createContext"];

interface EntryOptions<Router extends AnyTRPCRouter, Data>
  extends BaseOptions<ContextOf<Router>, Data>, Partial<Scheduler> {
  router: Router;
  /**
   * Called before each upgrade; may be asynchronous. A `Response` that it returns is sent instead of upgrading, which makes
   * tRPC's client wait longer each time, whereas it returns at once to a server that upgrades and then closes. What else it
   * returns is the `data` of the socket. What it throws, the host's server handles. Default: every socket is admitted.
   */
  admit?: (request: Request) => Response | Data | PromiseLike<Response | Data>;
  limits?: Partial<TrpcWebSocketLimits & SocketLimits>;
  /** A monotonic clock, in milliseconds. Default: `performance.now`. */
  elapsed?: () => number;
}

interface SocketLimits {
  /**
   * Bytes that a peer may leave unread, besides one message. A socket that exceeds it is closed with 4000; tRPC's client
   * reconnects and resumes. Subscriptions that are iterables never do: they wait. Default: 4,194,304.
   */
  unreadBytesMax: number;
}

/** `createContext` may be left out where procedures need none. */
export type TrpcWsOptions<Router extends AnyTRPCRouter, Data> = EntryOptions<Router, Data> &
  (object extends ContextOf<Router>
    ? { createContext?: CreateContext<ContextOf<Router>, Data> }
    : { createContext: CreateContext<ContextOf<Router>, Data> });

export interface TrpcWs {
  /**
   * Answers a request at the router's URL: for a route of `Bun.serve`, or inside a handler of it or of Elysia. Resolves to, or
   * returns, `undefined` once the socket is open; else the response: what `admit` answered, or 426 to what is no handshake.
   */
  upgrade(
    request: Request,
    server: BunServer | null,
  ): Response | undefined | Promise<Response | undefined>;
  /** For `websocket` of `Bun.serve` or `new Elysia`: the limits, and handlers that pass each event on to its socket's `data`. */
  readonly websocket: typeof passOn & SocketSettings;
  /** Sockets that are open. */
  readonly size: number;
  /** Asks every client at once to reconnect, as tRPC's `broadcastReconnectNotification` does. */
  askToReconnect(): void;
  /**
   * Asks the clients one by one to reconnect, spread over `windowMs` milliseconds. Resolves when all have gone, or the window
   * is over. Refuse new sockets meanwhile: by `admit`, or at the load balancer.
   */
  drain(windowMs: number): Promise<void>;
  /** Closes every socket with 4001: tRPC's client reconnects. */
  stop(): void;
}

const defaultUnreadBytesMax = 4 * 1024 * 1024;

/**
 * Serves a router over WebSockets: what `wsLink` of `@trpc/client` speaks.
 * @throws a RangeError that names each limit or time that is not a positive number.
 */
export function createTrpcWs<Router extends AnyTRPCRouter, Data = undefined>(
  options: TrpcWsOptions<Router, Data>,
): TrpcWs {
  const {
    admit,
    createContext = () => ({}),
    elapsed = () => performance.now(),
    schedule = scheduleTimeout,
    defer = (task: () => void) => void setImmediate(task),
  } = options;
  const limits = { ...defaultLimits, unreadBytesMax: defaultUnreadBytesMax, ...options.limits };
  checkPositive({ ...limits, ...options.keepAlive, initTimeoutMs: options.initTimeoutMs });
  const sockets = new TrpcWebSocket<ContextOf<Router>, Data>({
    ...options,
    createContext,
    limits,
    elapsed,
    schedule,
  });
  const upgradeSocket = createUpgrade<Data>(
    { schedule, defer },
    (socket, request) => sockets.accept(socket, request),
    limits.unreadBytesMax,
  );

  function finish(request: Request, server: BunServer, admitted: Response | Data) {
    if (admitted instanceof Response) return admitted;
    return upgradeSocket(server, request, admitted) ? undefined : expectedWebSocket();
  }

  return {
    upgrade(request, server) {
      if (!server || request.headers.get("upgrade")?.toLowerCase() !== "websocket")
        return expectedWebSocket();
      const admitted = admit?.(request) as Response | Data | PromiseLike<Response | Data>;
      return isAwaitable(admitted)
        ? Promise.resolve(admitted).then((late) => finish(request, server, late as Response | Data))
        : finish(request, server, admitted);
    },
    websocket: {
      ...passOn,
      ...bunSocketSettings,
      maxPayloadLength: roomFor(limits.frameBytesMax),
      backpressureLimit: roomFor(limits.unreadBytesMax),
      // The keep-alive decides; where it is off, sockets may be silent for as long as they like.
      idleTimeout: 0,
    },
    get size() {
      return sockets.size;
    },
    askToReconnect: () => sockets.askToReconnect(),
    drain: (windowMs) => sockets.drain(windowMs),
    stop: () => sockets.closeAll(),
  };
}

/** Past these limits Bun closes the socket without a reason: it must get there after ours. */
const roomFor = (bytesMax: number) => Math.min(4 * bytesMax, 2 ** 30);

/** @throws a RangeError that names all that are not. */
function checkPositive(options: Record<string, unknown>): void {
  const wrong = Object.entries(options).filter(
    ([, value]) => typeof value === "number" && !(value > 0),
  );
  if (wrong.length > 0)
    throw new RangeError(`must be positive: ${wrong.map(([name]) => name).join(", ")}`);
}

/** Node's timers hold the delay in 32 bits and fire at once past it. */
const delayMsMax = 2 ** 31 - 1;

function scheduleTimeout(delayMs: number, task: () => void): () => void {
  const timer = setTimeout(task, Math.min(delayMs, delayMsMax));
  return () => clearTimeout(timer);
}

const expectedWebSocket = () =>
  new Response("Expected a WebSocket\n", { status: 426, headers: { upgrade: "websocket" } });
