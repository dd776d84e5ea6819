/**
 * The connection to the server: the event stream, mutations and queries over one socket that is reopened when it drops.
 */
import type { TRPCClientError } from "@trpc/client";
import type { IceServer, PeerEvent } from "../protocol.ts";
import type { AppRouter } from "../rpc/router.ts";
import type { Fetch } from "./diagnosis.ts";
import { httpUrlOf } from "./endpoint-url.ts";
import {
  callMutation,
  type Answer,
  type Input,
  type MutationName,
  type Outputs,
} from "./mutations.ts";
import { readRefusal, retryAfterRefusalMs } from "./refusal.ts";
import { retryDelayMs } from "./retry-delay.ts";
import { RpcSocket } from "./rpc-socket.ts";
import type { PeerStreamError } from "./state.ts";
import type { TokenStore } from "./token-store.ts";

/** The number of peers online, and per mode of those that wait and of rooms. */
export type Counts = Outputs["stats"];

/** What a connection reports. Nothing is reported after `close()`. */
export interface ConnectionListener {
  event(event: PeerEvent): void;
  /** The socket dropped, or cannot be opened. The next `session` event means that it is connected again. */
  disconnected(): void;
  /** A socket opened, possibly to replace one that still works. */
  opened(): void;
  /** The event stream has ended permanently; `open()` begins another. */
  ended(error: PeerStreamError): void;
}

/**
 * The connection to the server: one WebSocket, which reconnects automatically, and the event stream on it. The socket is
 * opened by the first `open`, `call`, `iceServers` or `counts`.
 */
export interface Connection {
  /**
   * Subscribes to the events, unless there is a subscription. Returns whether this is a new stream, which takes the
   * session over from any other tab.
   */
  open(listener: ConnectionListener): boolean;
  /** Calls a mutation. Rejects with an error for `readRefusal`. */
  call<K extends MutationName>(name: K, input: Input<K>): Promise<Answer<K>>;
  counts(): Promise<Counts>;
  /** The ICE servers for the current room, with credentials that are valid from now on. */
  iceServers(): Promise<IceServer[]>;
  /**
   * The machine was asleep, or its network has changed: replaces the socket. It may look open and deliver nothing, and
   * the keep-alive would detect that later.
   */
  renew(): void;
  /** Sends `leave` behind everything that was sent before, in a way that survives the unloading of the page. */
  sendLeaveOnUnload(): void;
  /** Closes the socket permanently. No other is opened. */
  close(): void;
}

/** What a connection is made of. */
export interface ConnectionParts {
  /** The `ws:` or `wss:` URL of tRPC's endpoint; a function is called when the socket is needed. */
  url: string | (() => string);
  tokens: TokenStore;
  /** Replaceable for tests; the globals by default. */
  WebSocket?: typeof WebSocket;
  fetch?: Fetch;
  random?: () => number;
}

/** Creates a connection. From its first use until `close()` it keeps trying to reach the server. */
export function createConnection(parts: ConnectionParts): Connection {
  return new RpcConnection(parts);
}

class RpcConnection implements Connection {
  readonly #parts: ConnectionParts;
  readonly #fetch: Fetch;
  readonly #random: () => number;
  #socket: RpcSocket | undefined;
  #subscription: { unsubscribe(): void } | undefined;
  #listener: ConnectionListener | undefined;
  #lastEventId: string | undefined;
  #resubscribeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Failed attempts to subscribe since the last event. */
  #failures = 0;
  /** The server has a session for this connection. */
  #hasSession = false;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#fetch = parts.fetch ?? ((target, init) => fetch(target, init));
    this.#random = parts.random ?? Math.random;
  }

  open(listener: ConnectionListener): boolean {
    if (this.#isClosed || this.#subscription) return false;
    this.#subscribe(listener);
    return true;
  }

  async call<K extends MutationName>(name: K, input: Input<K>): Promise<Answer<K>> {
    return callMutation(this.#useSocket().rpc, name, input);
  }

  async iceServers(): Promise<IceServer[]> {
    const answer = await this.#useSocket().rpc.iceServers.query();
    return answer.iceServers;
  }

  async counts(): Promise<Counts> {
    const socket = this.#useSocket();
    const counts = await socket.rpc.stats.query();
    socket.confirm();
    return counts;
  }

  renew(): void {
    this.#socket?.renew();
  }

  sendLeaveOnUnload(): void {
    const token = this.#parts.tokens.read();
    const socket = this.#socket;
    if (!this.#hasSession || !socket || token === undefined) return;
    socket.sendLast({
      id: "leave-on-unload",
      method: "mutation",
      params: { path: "leave", input: {} },
    });
    // The frame may not be transmitted before the page is gone. A fetch with `keepalive` outlives it (Fetch, 2.2.5).
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const init = { method: "POST", keepalive: true, headers, body: "{}" };
    this.#fetch(httpUrlOf(socket.url, "/leave"), init).catch(() => {
      // The server detects the closed socket instead, and its grace expires.
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unsubscribe();
    this.#socket?.end();
    this.#socket = undefined;
  }

  /** The socket; created on first use. */
  #useSocket(): RpcSocket {
    if (this.#isClosed) throw new Error("this peer stream has been closed");
    return (this.#socket ??= this.#createSocket());
  }

  #createSocket(): RpcSocket {
    const { url, tokens } = this.#parts;
    const socket = new RpcSocket(
      {
        url: typeof url === "string" ? url : url(),
        tokens,
        WebSocket: this.#parts.WebSocket ?? WebSocket,
        fetch: this.#fetch,
        random: this.#random,
      },
      {
        opened: () => this.#listener?.opened(),
        failed: (error) => this.#onSocketFailed(socket, error),
      },
    );
    return socket;
  }

  /** Stops everything. The next use creates a new socket. */
  #onSocketFailed(socket: RpcSocket, error: PeerStreamError): void {
    if (this.#isClosed || this.#socket !== socket) return;
    const listener = this.#listener;
    this.#unsubscribe();
    this.#socket = undefined;
    this.#hasSession = false;
    socket.end();
    listener?.ended(error);
  }

  #subscribe(listener: ConnectionListener): void {
    const socket = this.#useSocket();
    const input = this.#lastEventId === undefined ? {} : { lastEventId: this.#lastEventId };
    this.#listener = listener;
    this.#subscription = socket.rpc.events.subscribe(input, {
      onData: ({ id, data }) => {
        this.#failures = 0;
        this.#hasSession = true;
        socket.confirm();
        this.#lastEventId = id;
        if (data.type === "session") this.#parts.tokens.write(data.token);
        listener.event(data);
      },
      onConnectionStateChange({ state, error }) {
        // Without an error it is the first connect, and no connection was lost.
        if (state === "connecting" && error) listener.disconnected();
      },
      onError: (error) => this.#onStreamError(listener, error),
      // The server may end a stream at any time, for example that of a slow consumer. The session continues.
      onComplete: () => {
        if (!this.#subscription) return;
        listener.disconnected();
        this.#resubscribe(listener, 0);
      },
    });
  }

  #onStreamError(listener: ConnectionListener, error: TRPCClientError<AppRouter>): void {
    const refusal = readRefusal(error);
    const retryMs = retryAfterRefusalMs(refusal);
    // A fault may be temporary; a rejection without a retry time is not.
    if (refusal.kind === "unanswered" || refusal.kind === "server-fault" || retryMs !== undefined) {
      listener.disconnected();
      return this.#resubscribe(listener, retryMs ?? 0);
    }
    this.#unsubscribe();
    listener.ended(refusal);
  }

  #resubscribe(listener: ConnectionListener, afterMs: number): void {
    clearTimeout(this.#resubscribeTimer);
    const delayMs = afterMs + retryDelayMs(this.#failures++, this.#random());
    this.#resubscribeTimer = setTimeout(() => this.#subscribe(listener), delayMs);
  }

  #unsubscribe(): void {
    clearTimeout(this.#resubscribeTimer);
    const subscription = this.#subscription;
    this.#subscription = undefined;
    this.#listener = undefined;
    this.#lastEventId = undefined;
    subscription?.unsubscribe();
  }
}
