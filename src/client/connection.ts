import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import type { IceServer, PeerEvent } from "../protocol.ts";
import type { AppRouter } from "../rpc/router.ts";
import { diagnose, type Fetch } from "./diagnosis.ts";
import { guardSockets } from "./guarded-web-socket.ts";
import { impatientWebSocket } from "./impatient-web-socket.ts";
import { readRefusal, retryAfterRefusalMs } from "./refusal.ts";
import { retryDelayMs } from "./retry-delay.ts";
import { httpUrlOf } from "./endpoint-url.ts";
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

/**
 * Answers that the browser hides may be those of a proxy whose server is being restarted, so a page keeps trying for
 * this long before it takes them for a wrong URL (milliseconds).
 */
const UNREADABLE_MS_MAX = 60_000;

/** What a connection tells. Nothing is told after `close()`. */
export interface ConnectionListener {
  event(event: PeerEvent): void;
  /** The socket dropped, or can't be opened. It is back when the next `session` event says so. */
  away(): void;
  /** A socket opened, which may be to take the place of one that still works. */
  opened(): void;
  /** The stream of events was ended for good; `open()` begins another. */
  ended(error: PeerStreamError): void;
}

/**
 * The way to the server: one WebSocket that comes back by itself, and the stream of events on it. The socket is opened
 * by the first `open`, `call` or `counts`, not before.
 */
export interface Connection {
  /**
   * Subscribes to the events, unless that is done already. Returns whether it is a new stream, which
   * takes the session over from any other tab.
   */
  open(listener: ConnectionListener): boolean;
  /** One mutation. Rejects with what `readRefusal` reads. */
  call<K extends MutationName>(name: K, input: Input<K>): Promise<Answer<K>>;
  counts(): Promise<Counts>;
  /** The ICE servers for the present room, with credentials that are good from now on. */
  iceServers(): Promise<IceServer[]>;
  /** The machine has slept or changed its network: the socket is given up for a new one. */
  renew(): void;
  /**
   * Tells the server that this peer goes away, behind everything that it has been told before, and in a way that
   * outlives the page.
   */
  goodbye(): void;
  /** Ends everything for good: no socket is left open and none is opened any more. */
  close(): void;
}

/** What a connection is made of. */
export interface ConnectionParts {
  /** `ws:` or `wss:`, with the path of tRPC's endpoint; a function is asked when the socket is needed. */
  url: string | (() => string);
  tokens: TokenStore;
  /** Replaceable for tests; the globals are used otherwise. */
  WebSocket?: typeof WebSocket;
  fetch?: Fetch;
  random?: () => number;
}

/** Makes a connection. From its first use until `close()` it keeps trying to reach the server. */
export function createConnection(parts: ConnectionParts): Connection {
  const { tokens, random = Math.random } = parts;
  const fetchIt: Fetch = parts.fetch ?? ((target, init) => fetch(target, init));
  const addressOf = () => (typeof parts.url === "string" ? parts.url : parts.url());

  let link: ReturnType<typeof createLink> | undefined;
  let stream: { unsubscribe(): void } | undefined;
  let hearing: ConnectionListener | undefined;
  let lastEventId: string | undefined;
  let resubscribing: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  /** Whether the server knows this session through this connection. */
  let known = false;
  let closed = false;

  /** The socket with tRPC on it; made by the first use. */
  function reach() {
    if (closed) throw new Error("this peer stream has been closed");
    return (link ??= createLink(addressOf()));
  }

  function createLink(url: string) {
    /** Whether a server of this kind has ever answered: from then on, failures are its own or the network's. */
    let proven = false;
    let asking = false;
    let unreadableSince: number | undefined;

    const guarded = guardSockets(impatientWebSocket(parts.WebSocket ?? WebSocket), {
      closed(event) {
        if (event.code >= 4500 && event.code <= 4999) {
          const { code, reason } = event;
          const message = `the server closed the connection for good: ${code} ${reason}`;
          giveUp(own, { kind: "turned-away", code, message, cause: event });
        } else if (!proven) void findOut();
      },
      refused(cause) {
        const message = `the browser opens no WebSocket to ${url}: ${String(cause)}`;
        giveUp(own, { kind: "wrong-url", url, message, cause });
      },
      // A call that waits for a reconnect makes tRPC's client forget that it was closed.
      late: () => void socket.close(),
    });
    const socket = createWSClient({
      url,
      WebSocket: guarded.WebSocket,
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

    async function findOut(): Promise<void> {
      if (asking) return;
      asking = true;
      const diagnosis = await diagnose(url, fetchIt);
      asking = false;
      if (proven) return;
      if (typeof diagnosis === "object") return giveUp(own, diagnosis);
      if (diagnosis === "down") unreadableSince = undefined;
      else unreadableSince ??= performance.now();
      if (unreadableSince === undefined) return;
      if (performance.now() - unreadableSince < UNREADABLE_MS_MAX) return;
      const message = `what answers at ${url} is no Peer Stream server, or its proxy hides that it is down`;
      giveUp(own, { kind: "wrong-url", url, message, cause: undefined });
    }

    const own = {
      url,
      rpc,
      proved() {
        proven = true;
      },
      renew() {
        if (socket.connection?.state === "open") socket.connection.ws.close();
      },
      /** Sends a frame behind all that was sent on any socket: tRPC's client would hold it back for a timer. */
      sendLast: guarded.send,
      end() {
        // First, so that tRPC's client does not open another one for those that close now.
        void socket.close();
        guarded.end();
      },
    };
    return own;
  }

  /** The server can't be used, whatever is tried: everything stops, and the next use makes a new socket. */
  function giveUp(which: ReturnType<typeof createLink>, error: PeerStreamError): void {
    if (closed || link !== which) return;
    const listener = hearing;
    forget();
    link = undefined;
    known = false;
    which.end();
    listener?.ended(error);
  }

  function subscribe(listener: ConnectionListener): void {
    const { rpc, proved } = reach();
    hearing = listener;
    stream = rpc.events.subscribe(lastEventId === undefined ? {} : { lastEventId }, {
      onData({ id, data }) {
        failures = 0;
        known = true;
        proved();
        lastEventId = id;
        if (data.type === "session") tokens.write(data.token);
        listener.event(data);
      },
      onConnectionStateChange({ state, error }) {
        // Without an error it is the first connect, and nothing was lost.
        if (state === "connecting" && error) listener.away();
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
      if (closed || stream) return false;
      subscribe(listener);
      return true;
    },
    async call(name, input) {
      return mutate(reach().rpc, name, input);
    },
    async iceServers() {
      const answer = await reach().rpc.iceServers.query();
      return answer.iceServers;
    },
    async counts() {
      const { rpc, proved } = reach();
      const counts = await rpc.stats.query();
      proved();
      return counts;
    },
    // It may look open and lead nowhere; the keep-alive would take its time to find out.
    renew: () => link?.renew(),
    goodbye() {
      const token = tokens.read();
      if (!known || !link || token === undefined) return;
      link.sendLast({ id: "goodbye", method: "mutation", params: { path: "leave", input: {} } });
      // An unloading page may not get the frame out; a fetch with `keepalive` outlives the page (Fetch, 2.2.5).
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const init = { method: "POST", keepalive: true, headers, body: "{}" };
      fetchIt(httpUrlOf(link.url, "/leave"), init).catch(() => {
        // Nobody is left to tell; the server notices the closed socket.
      });
    },
    close() {
      if (closed) return;
      closed = true;
      forget();
      link?.end();
      link = undefined;
    },
  };
}

type Rpc = ReturnType<typeof createTRPCClient<AppRouter>>;

const mutations: { [K in MutationName]: (rpc: Rpc, input: Input<K>) => Promise<Answer<K>> } = {
  join: (rpc, input) => rpc.join.mutate(input),
  skip: (rpc, input) => rpc.skip.mutate(input),
  leave: (rpc, input) => rpc.leave.mutate(input),
  offer: (rpc, input) => rpc.offer.mutate(input),
  answer: (rpc, input) => rpc.answer.mutate(input),
  addIceCandidate: (rpc, input) => rpc.addIceCandidate.mutate(input),
  connected: (rpc, input) => rpc.connected.mutate(input),
  failed: (rpc, input) => rpc.failed.mutate(input),
  report: (rpc, input) => rpc.report.mutate(input),
  block: (rpc, input) => rpc.block.mutate(input),
};

function mutate<K extends MutationName>(rpc: Rpc, name: K, input: Input<K>): Promise<Answer<K>> {
  return mutations[name](rpc, input);
}
