/** A real server on a free port, with real clients: nothing between them is made up. */
import {
  createTRPCClient,
  createWSClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  wsLink,
  type TRPCLink,
} from "@trpc/client";
import { EventSource } from "eventsource";
import { listen, type RunningServer } from "../../src/app/listen.ts";
import { assemble, type Assembly, type AssemblyOptions } from "../../src/app/peer-stream.ts";
import { createDimensions } from "../../src/domain/facts.ts";
import type { Engine, EngineOptions } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import type { AdmissionOptions } from "../../src/http/admission.ts";
import type { OriginPolicy } from "../../src/http/origin.ts";
import type { Page } from "../../src/http/page.ts";
import type { IceConfig } from "../../src/ice.ts";
import { createLog, type Log } from "../../src/observe/log.ts";
import type { Chat, PeerEvent } from "../../src/protocol.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import type { CallRates } from "../../src/rpc/call-limits.ts";
import type { MessageFallback, MessageHook } from "../../src/rpc/message-review.ts";
import type { AppRouter } from "../../src/rpc/router.ts";
import { createSystem, type System } from "../../src/system.ts";
import type { KeepAliveOptions } from "../../src/trpc-ws/options.ts";
import { engineOptions } from "./engine-options.ts";

export interface TestServerOptions {
  /** What peers may state and want. Default: nothing. */
  facts?: FactsDeclaration;
  engine?: Partial<EngineOptions>;
  /** Instead of one in memory. */
  createEngine?: (system: System, options: EngineOptions) => Engine;
  origins?: Partial<OriginPolicy>;
  page?: Page;
  ice?: Partial<IceConfig>;
  /** Which way the words of rooms for video and audio take. Default: `direct`. */
  chat?: Chat;
  message?: MessageHook;
  messageFallback?: MessageFallback;
  secrets?: string[];
  port?: number;
  /** Believes X-Forwarded-For of this machine, so that peers can come from many addresses. */
  trustLoopback?: boolean;
  /** Told of every timer that is set. */
  onSchedule?: (delayMs: number) => void;
  keepAlive?: KeepAliveOptions;
  initTimeoutMs?: number;
  admission?: Partial<AdmissionOptions>;
  /** No limit on calls unless given. */
  rates?: CallRates;
  /** What peers have to do before they may join, and what is taken of them. Default: nothing. */
  safety?: Pick<AssemblyOptions, "challenge" | "rules" | "takesHints" | "admit">;
  /** How far the server's wall clock is ahead of this machine's, in milliseconds; asked at each reading. */
  wallClockAheadMs?: () => number;
}

export interface TestServer extends AsyncDisposable {
  readonly server: RunningServer & Pick<Assembly, "drain" | "askToReconnect">;
  /** Without the last slash. */
  readonly http: string;
  readonly ws: string;
  /** The Elysia plugin that it serves. */
  readonly routes: Assembly["routes"];
  /** What an operator was told of reports. */
  readonly reports: object[];
  /** What was logged, one line each. */
  readonly lines: string[];
}

/** Bears `/metrics` and `/admin` of the tests' servers. */
export const operatorToken = "the token of the tests' operator";

export function startServer(options: TestServerOptions = {}): TestServer {
  const real = createSystem();
  const system: System = {
    ...real,
    now: () => real.now() + (options.wallClockAheadMs?.() ?? 0),
    schedule(delayMs, task) {
      options.onSchedule?.(delayMs);
      return real.schedule(delayMs, task);
    },
  };
  const lines: string[] = [];
  const log: Log = createLog("trace", { write: (line: string) => void lines.push(line) });
  const createEngine = options.createEngine ?? createMemoryEngine;
  const engine = createEngine(system, {
    ...engineOptions,
    ...(options.facts && { dimensions: createDimensions(options.facts) }),
    ...options.engine,
  });
  const reports: object[] = [];
  const peerStream = assemble({
    system,
    engine,
    log,
    ice: { stunUrls: [], turnUrls: [], turnTtlS: 300, ...options.ice },
    facts: options.facts,
    chat: options.chat,
    message: options.message,
    messageFallback: options.messageFallback,
    ...options.safety,
    onReport: (report) => void reports.push(report),
    admission: {
      socketsPerAddress: 0,
      handshakesPerMin: 0,
      peersMax: 0,
      trustedProxies: { includes: () => options.trustLoopback === true },
      hashKey: () => "a key of the tests",
      isKeyKnown: () => true,
      onUnannouncedProxy: () => void lines.push("unannounced proxy"),
      onFull: () => void lines.push("full"),
      ...options.admission,
    },
    metricsToken: operatorToken,
    adminToken: operatorToken,
    sessionSecrets: options.secrets ?? ["a secret of the tests"],
    rates: options.rates ?? {
      signals: { perS: 0, burst: 1 },
      intents: { perS: 0, burst: 1 },
      bytes: { perS: 0, burst: 1 },
    },
    page: options.page,
    ...(options.keepAlive && { keepAlive: options.keepAlive }),
    ...(options.initTimeoutMs !== undefined && { initTimeoutMs: options.initTimeoutMs }),
    origins: {
      allowed: ["http://site.example"],
      allowNone: true,
      allowLoopback: false,
      ownHosts: [],
      ...options.origins,
    },
  });
  const listening = listen(peerStream, { host: "127.0.0.1", port: options.port ?? 0 });
  const server = {
    ...listening,
    drain: (windowMs: number) => peerStream.drain(windowMs),
    askToReconnect: () => peerStream.askToReconnect(),
  };
  const http = server.url.origin;
  return {
    server,
    http,
    ws: http.replace("http", "ws"),
    routes: peerStream.routes,
    lines,
    reports,
    async [Symbol.asyncDispose]() {
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
  /**
   * Waits for the next event of a type that has not been waited for yet.
   * @throws after `withinMs` (default: 30 s), with what it has received.
   */
  next<Type extends PeerEvent["type"]>(
    type: Type,
    options?: { withinMs?: number },
  ): Promise<Extract<PeerEvent, { type: Type }>>;
  /** Calls `listener` with everything it is told from now on. */
  onTold(listener: (event: PeerEvent) => void): void;
  /** Calls `listener` whenever its connection has gone, from now on. */
  onLost(listener: () => void): void;
  unsubscribe(): void;
  /** Ends its connection as a network does it, without a closing handshake. */
  cut(): void;
}

/** A WebSocket that says it comes from this address, as a proxy would. */
function webSocketFrom(address: string): typeof WebSocket {
  return class extends WebSocket {
    constructor(url: string | URL) {
      // Bun's own addition to the standard: headers of the upgrade.
      super(url, { headers: { "x-forwarded-for": address } } as never);
    }
  };
}

/** What a peer's calls are made over. */
export interface Transport {
  link: TRPCLink<AppRouter>;
  cut(): void;
  close(): Promise<void>;
}

export interface TransportParts {
  /** Asked at each connect; `ws:`. */
  url: () => string;
  token: () => string | undefined;
  address: string | undefined;
  retryDelayMs: number;
  onLost: () => void;
}

function overWebSocket({ url, token, address, retryDelayMs, onLost }: TransportParts): Transport {
  let connection: WebSocket | undefined;
  const keep = (socket: WebSocket) => void (connection = socket);
  const Base = address === undefined ? WebSocket : webSocketFrom(address);
  class Kept extends Base {
    constructor(to: string | URL) {
      super(to);
      keep(this);
    }
  }
  const socket = createWSClient({
    url,
    connectionParams: async () => {
      const known = token();
      return known === undefined ? {} : { token: known };
    },
    retryDelayMs: () => retryDelayMs,
    onClose: onLost,
    WebSocket: Kept,
  });
  return {
    link: wsLink({ client: socket }),
    // Bun's own addition to the standard.
    cut: () => (connection as unknown as { terminate(): void }).terminate(),
    close: async () => void (await socket.close()),
  };
}

/**
 * No WebSocket at all: events as server-sent events, and each call a request. The token is in a header, which takes an
 * `EventSource` that is made of `fetch`.
 */
export function overHttp(
  { url, token, address, onLost }: TransportParts,
  /** Where calls are made, if not where the events come from. */
  callsAt?: string,
): Transport {
  const open = new Set<AbortController>();
  const http = () => url().replace("ws", "http");
  const headers = () => {
    const known = token();
    return {
      ...(known !== undefined && { authorization: `Bearer ${known}` }),
      ...(address !== undefined && { "x-forwarded-for": address }),
    };
  };
  return {
    link: splitLink({
      condition: ({ type }) => type === "subscription",
      true: httpSubscriptionLink({
        url: http,
        EventSource,
        eventSourceOptions: {
          async fetch(to, init) {
            const controller = new AbortController();
            const signal = AbortSignal.any([init.signal as AbortSignal, controller.signal]);
            const response = await fetch(to, {
              ...init,
              headers: { ...init.headers, ...headers() },
              signal,
            });
            open.add(controller);
            return failingOnAbort(response, () => open.delete(controller));
          },
        },
      }),
      false: httpBatchStreamLink({
        url: `${callsAt ?? http().replace(/\/trpc$/, "")}/trpc`,
        headers,
      }),
    }),
    cut() {
      for (const controller of open) controller.abort();
      onLost();
    },
    async close() {
      for (const controller of open) controller.abort();
    },
  };
}

/** A response whose body fails as on a broken network when it is aborted: an abort would look as if its client wanted it. */
function failingOnAbort({ body, status, headers }: Response, onEnd: () => void): Response {
  const reader = body?.getReader();
  const failing = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (value) controller.enqueue(value);
        if (!done) return;
        onEnd();
        controller.close();
      } catch {
        onEnd();
        controller.error(new TypeError("the connection was cut"));
      }
    },
    cancel: () => reader?.cancel(),
  });
  return new Response(failing, { status, headers });
}

export async function connectPeer(
  /** Where it connects; a function is asked each time. */
  { ws }: { ws: string | (() => string) },
  given: {
    token?: string;
    lastEventId?: string;
    address?: string;
    /** Whose wait a failure names. */
    name?: string;
    /** Milliseconds before it connects again; few, unless there are many peers. Over HTTP the server says when. */
    retryDelayMs?: number;
    /** Default: a WebSocket. */
    over?: (parts: TransportParts) => Transport;
  } = {},
): Promise<TestPeer> {
  let { token } = given;
  const losses: (() => void)[] = [];
  const { over = overWebSocket, address, retryDelayMs = 20 } = given;
  const transport = over({
    url: () => `${typeof ws === "string" ? ws : ws()}/trpc`,
    token: () => token,
    address,
    retryDelayMs,
    onLost: () => {
      for (const listener of losses) listener();
    },
  });
  const client = createTRPCClient<AppRouter>({ links: [transport.link] });
  const told: TestPeer["told"] = [];
  const errors: TestPeer["errors"] = [];
  let taken = 0;
  let notify = () => {};
  const listeners: ((event: PeerEvent) => void)[] = [];
  const subscription = client.events.subscribe(
    given.lastEventId === undefined ? undefined : { lastEventId: given.lastEventId },
    {
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
    },
  );
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
    async next(type, { withinMs = 30_000 } = {}) {
      const deadline = performance.now() + withinMs;
      for (;;) {
        const index = told.findIndex(({ event }, at) => at >= taken && event.type === type);
        if (index >= 0) {
          taken = index + 1;
          return told[index]?.event as never;
        }
        const left = deadline - performance.now();
        const timeout = Promise.withResolvers<boolean>();
        const timer = setTimeout(() => timeout.resolve(true), Math.max(0, left));
        const isLate = await Promise.race([
          timeout.promise,
          new Promise<boolean>((resolve) => (notify = () => resolve(false))),
        ]);
        clearTimeout(timer);
        if (isLate)
          throw new Error(
            `${given.name ?? "a peer"} received no ${type} within ${withinMs} ms; before the wait it had received ` +
              `${JSON.stringify(peer.types.slice(0, taken))}, then ${JSON.stringify(peer.types.slice(taken))}, ` +
              `and errors ${JSON.stringify(errors)}`,
          );
      }
    },
    onTold: (listener) => void listeners.push(listener),
    onLost: (listener) => void losses.push(listener),
    unsubscribe: () => subscription.unsubscribe(),
    cut: transport.cut,
    async [Symbol.asyncDispose]() {
      subscription.unsubscribe();
      await transport.close();
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

/** The numbers that came as candidates, in the order they came. */
export const signalsOf = ({ told }: TestPeer): number[] =>
  told.flatMap(({ event }) =>
    event.type === "add-ice-candidate" ? [Number(event.candidate.candidate)] : [],
  );

/** Waits for `count` candidates, numbered from 0, and adds what went wrong with them to `tally`. */
export async function tallySignals(
  peer: TestPeer,
  count: number,
  tally: { lost: number; twice: number; outOfOrder: number },
): Promise<void> {
  while (signalsOf(peer).length < count) await peer.next("add-ice-candidate");
  const got = signalsOf(peer);
  const seen = new Set(got);
  tally.lost += count - seen.size;
  tally.twice += got.length - seen.size;
  if (got.some((signal, index) => signal !== index)) tally.outOfOrder += 1;
}
