import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import type { PeerEvent } from "../protocol.ts";
import type { AppRouter } from "../rpc/router.ts";
import { impatientWebSocket } from "./impatient-web-socket.ts";
import { readRefusal, retryAfterRefusalMs } from "./refusal.ts";
import { retryDelayMs } from "./retry-delay.ts";
import type { PeerStreamError } from "./state.ts";
import type { TokenStore } from "./token-store.ts";

type Inputs = inferRouterInputs<AppRouter>;
type Outputs = inferRouterOutputs<AppRouter>;

export type MutationName =
  | "join"
  | "skip"
  | "leave"
  | "offer"
  | "answer"
  | "addIceCandidate"
  | "connected"
  | "failed"
  | "report"
  | "block";
export type Input<K extends MutationName> = NonNullable<Inputs[K]>;
export type Answer<K extends MutationName> = Outputs[K];
/** How many peers are online, wait in each mode, and talk in rooms of each mode. */
export type Counts = Outputs["stats"];

const KEEP_ALIVE = { enabled: true, intervalMs: 5000, pongTimeoutMs: 2500 };

/** What a connection tells. */
export interface ConnectionListener {
  event(event: PeerEvent): void;
  /** The socket dropped. It is back when the next `session` event says so. */
  away(): void;
  /** A socket opened, which may be to take the place of one that still works. */
  opened(): void;
  /** The stream of events was ended for good; `open()` begins another. */
  ended(error: PeerStreamError): void;
}

/** The way to the server: one WebSocket that comes back by itself, and the stream of events on it. */
export interface Connection {
  /**
   * Subscribes to the events, unless that is done already. Returns whether it is a new stream, which
   * takes the session over from any other tab.
   */
  open(listener: ConnectionListener): boolean;
  /** One mutation. Rejects with what `readRefusal` reads. */
  call<K extends MutationName>(name: K, input: Input<K>): Promise<Answer<K>>;
  counts(): Promise<Counts>;
  /** The machine has slept or changed its network: the socket is given up for a new one. */
  renew(): void;
  /** Tells the server that the page goes away, in a way that outlives the page. */
  goodbye(): void;
  close(): void;
}

/** What a connection is made of. */
export interface ConnectionParts {
  /** `ws:` or `wss:`, with the path of tRPC's endpoint. */
  url: string;
  tokens: TokenStore;
  /** Replaceable for tests; the globals are used otherwise. */
  WebSocket?: typeof WebSocket;
  fetch?: (url: string, init: RequestInit) => Promise<unknown>;
  random?: () => number;
}

/** Connects to the server, and goes on trying until `close()`. */
export function createConnection(parts: ConnectionParts): Connection {
  const { url, tokens, random = Math.random } = parts;
  const post = parts.fetch ?? ((target, init) => fetch(target, init));
  const socket = createWSClient({
    url,
    WebSocket: impatientWebSocket(parts.WebSocket ?? WebSocket),
    // Asked for at every connect, so the newest token is the one that resumes the session.
    connectionParams: async () => {
      const token = tokens.read();
      return token === undefined ? {} : { token };
    },
    keepAlive: KEEP_ALIVE,
    onOpen: () => hearing?.opened(),
    retryDelayMs: (attempt) => retryDelayMs(attempt, random()),
  });
  const rpc = createTRPCClient<AppRouter>({ links: [wsLink({ client: socket })] });

  const mutations: { [K in MutationName]: (input: Input<K>) => Promise<Answer<K>> } = {
    join: (input) => rpc.join.mutate(input),
    skip: (input) => rpc.skip.mutate(input),
    leave: (input) => rpc.leave.mutate(input),
    offer: (input) => rpc.offer.mutate(input),
    answer: (input) => rpc.answer.mutate(input),
    addIceCandidate: (input) => rpc.addIceCandidate.mutate(input),
    connected: (input) => rpc.connected.mutate(input),
    failed: (input) => rpc.failed.mutate(input),
    report: (input) => rpc.report.mutate(input),
    block: (input) => rpc.block.mutate(input),
  };

  let stream: { unsubscribe(): void } | undefined;
  let hearing: ConnectionListener | undefined;
  let lastEventId: string | undefined;
  let resubscribing: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;

  function subscribe(listener: ConnectionListener): void {
    hearing = listener;
    stream = rpc.events.subscribe(lastEventId === undefined ? {} : { lastEventId }, {
      onData({ id, data }) {
        failures = 0;
        lastEventId = id;
        if (data.type === "session") tokens.write(data.token);
        listener.event(data);
      },
      onConnectionStateChange({ state }) {
        if (state === "connecting") listener.away();
      },
      onError(error) {
        const refusal = readRefusal(error);
        const retryMs = retryAfterRefusalMs(refusal);
        // A fault may pass by itself; a plain refusal does not.
        if (
          refusal.kind === "unanswered" ||
          refusal.kind === "server-fault" ||
          retryMs !== undefined
        ) {
          listener.away();
          return again(listener, retryMs ?? 0);
        }
        forget();
        listener.ended(refusal);
      },
      // The server may end a stream at any time, such as one that reads too slowly; not its session.
      onComplete() {
        if (!stream) return;
        listener.away();
        again(listener, 0);
      },
    });
  }

  function again(listener: ConnectionListener, afterMs: number): void {
    clearTimeout(resubscribing);
    const delayMs = afterMs + retryDelayMs(failures++, random());
    resubscribing = setTimeout(() => subscribe(listener), delayMs);
  }

  function forget(): void {
    clearTimeout(resubscribing);
    const old = stream;
    stream = undefined;
    hearing = undefined;
    lastEventId = undefined;
    old?.unsubscribe();
  }

  return {
    open(listener) {
      if (stream) return false;
      subscribe(listener);
      return true;
    },
    call: (name, input) => mutations[name](input),
    counts: () => rpc.stats.query(),
    // It may look open and lead nowhere; the keep-alive would take its time to find out.
    renew() {
      if (socket.connection?.state === "open") socket.connection.ws.close();
    },
    goodbye() {
      const token = tokens.read();
      if (token === undefined) return;
      // What tRPC sends over a WebSocket waits for a timer, which an unloading page never reaches; a
      // fetch with `keepalive` outlives the page (Fetch standard, 2.2.5).
      const target = `${url.replace(/^ws/, "http")}/leave`;
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      post(target, { method: "POST", keepalive: true, headers, body: "{}" }).catch(() => {
        // Nobody is left to tell; the server notices the closed socket.
      });
    },
    close() {
      forget();
      void socket.close();
    },
  };
}
