/** A real server on a free port, with real clients: nothing between them is made up. */
import { createTRPCClient, createWSClient, httpBatchLink, httpLink, wsLink } from "@trpc/client";
import { createFairPolicy } from "../../src/domain/matchmaker.ts";
import type { EngineOptions } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory.ts";
import type { IceConfig } from "../../src/ice.ts";
import { createLog, type Log } from "../../src/observe/log.ts";
import type { PeerEvent } from "../../src/protocol.ts";
import type { AppRouter } from "../../src/rpc/router.ts";
import { createSessionTokens } from "../../src/rpc/session-token.ts";
import { createServer, type RunningServer } from "../../src/server.ts";
import { createSignaling } from "../../src/signaling.ts";
import { createSystem } from "../../src/system.ts";
import type { OriginPolicy } from "../../src/transport/origin.ts";
import type { SocketDeadlines } from "../../src/transport/stock.ts";

export interface TestServerOptions {
  engine?: Partial<EngineOptions>;
  origins?: Partial<OriginPolicy>;
  ice?: Partial<IceConfig>;
  secrets?: string[];
  port?: number;
  deadlines?: SocketDeadlines;
}

export interface TestServer extends AsyncDisposable {
  readonly server: RunningServer;
  /** Without the last slash. */
  readonly http: string;
  readonly ws: string;
  /** What was logged, one line each. */
  readonly lines: string[];
}

export function startServer(options: TestServerOptions = {}): TestServer {
  const system = createSystem();
  const lines: string[] = [];
  const log: Log = createLog("trace", { write: (line: string) => void lines.push(line) });
  const engine = createMemoryEngine(system, {
    graceMs: 15_000,
    skipCooldownMs: 300_000,
    skipping: { burst: 0, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 },
    avoidsMax: 1024,
    relax: { languageAfterMs: 5000, anybodyAfterMs: 10_000 },
    ...options.engine,
  });
  const signaling = createSignaling({
    engine,
    system,
    policy: createFairPolicy({ patienceMs: 30_000, windowMs: 2000 }),
    ice: { stunUrls: [], turnUrls: [], turnTtlS: 300, ...options.ice },
    forceRelay: false,
    log,
  });
  const server = createServer(
    {
      signaling,
      tokens: createSessionTokens(options.secrets ?? ["a secret of the tests"]),
      system,
      ...(options.deadlines ? { deadlines: options.deadlines } : {}),
      origins: { allowed: ["http://site.example"], allowNone: true, ...options.origins },
      log,
    },
    { host: "127.0.0.1", port: options.port ?? 0 },
  );
  const http = server.url.origin;
  return {
    server,
    http,
    ws: http.replace("http", "ws"),
    lines,
    async [Symbol.asyncDispose]() {
      signaling.stop();
      await server.stop();
    },
  };
}

/** A peer on the stock client: one WebSocket, its token kept and sent, nothing of our own. */
export interface TestPeer extends AsyncDisposable {
  readonly client: ReturnType<typeof createTRPCClient<AppRouter>>;
  readonly told: { id: string; event: PeerEvent }[];
  readonly errors: { reason?: string; code?: string }[];
  readonly token: string;
  readonly types: string[];
  /** Waits for the next event of a type that has not been waited for yet. */
  next<Type extends PeerEvent["type"]>(type: Type): Promise<Extract<PeerEvent, { type: Type }>>;
  /** Calls `listener` with everything it is told from now on. */
  onTold(listener: (event: PeerEvent) => void): void;
  unsubscribe(): void;
}

export async function connectPeer(
  { ws }: Pick<TestServer, "ws">,
  given: { token?: string } = {},
): Promise<TestPeer> {
  let { token } = given;
  const socket = createWSClient({
    url: `${ws}/trpc`,
    connectionParams: async () => (token === undefined ? {} : { token }),
    retryDelayMs: () => 20,
  });
  const client = createTRPCClient<AppRouter>({ links: [wsLink({ client: socket })] });
  const told: TestPeer["told"] = [];
  const errors: TestPeer["errors"] = [];
  let taken = 0;
  let notify = () => {};
  const listeners: ((event: PeerEvent) => void)[] = [];
  const subscription = client.events.subscribe(undefined, {
    onData({ id, data }) {
      told.push({ id, event: data });
      if (data.type === "session") token = data.token;
      notify();
      for (const listener of listeners) listener(data);
    },
    onError(error) {
      errors.push({ ...error.data });
      notify();
    },
  });
  const peer: TestPeer = {
    client,
    told,
    errors,
    get token() {
      return token ?? "";
    },
    get types() {
      return told.map(({ event }) => event.type);
    },
    async next(type) {
      for (;;) {
        const index = told.findIndex(({ event }, at) => at >= taken && event.type === type);
        if (index >= 0) {
          taken = index + 1;
          return told[index]?.event as never;
        }
        await new Promise<void>((resolve) => (notify = resolve));
      }
    },
    onTold: (listener) => void listeners.push(listener),
    unsubscribe: () => subscription.unsubscribe(),
    async [Symbol.asyncDispose]() {
      subscription.unsubscribe();
      await socket.close();
    },
  };
  await peer.next("session");
  return peer;
}

/** A client over HTTP, through the plugin. */
export function httpClient({ http }: Pick<TestServer, "http">, token?: string, batch = false) {
  const options = {
    url: `${http}/trpc`,
    headers: () => (token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  const link = batch ? httpBatchLink<AppRouter>(options) : httpLink<AppRouter>(options);
  return createTRPCClient<AppRouter>({ links: [link] });
}

/** What a call was refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    return { answered: await call };
  } catch (error) {
    return { ...(error as { data?: object }).data };
  }
}
