/**
 * The connection to the server: the event stream, mutations and queries over one socket that is reopened when it drops, or
 * over HTTP where the network cuts WebSockets.
 */
import type { Counts } from "./types.ts";
import type { TRPCClientError } from "@trpc/client";
import type { CaseAnswer, IceAnswer, PeerEvent } from "../protocol.ts";
import type { Site } from "../protocol/declaration.ts";
import { sendLeaveOnUnload } from "./leave-on-unload.ts";
import {
  callMutation,
  type Answer,
  type Input,
  type MutationName,
  type Rpc,
  type AnyAppRouter,
} from "./mutations.ts";
import { readRefusal, retryAfterRefusalMs } from "./refusal.ts";
import { retryDelayMs } from "./retry-delay.ts";
import { STEADY_MS } from "./rpc-socket.ts";
import {
  createPlatform,
  type Platform,
  type PlatformOptions,
  type Timer,
  type Timers,
  type Fetch,
} from "./platform.ts";
import type { PeerStreamError } from "./state.ts";
import type { TokenStore } from "./token-store.ts";
import { TransportChoice } from "./transport-choice.ts";
import type { Transport, TransportKind } from "./transport.ts";

/**
 * A first connect that fails is reported after this time (milliseconds): where the network cuts WebSockets, HTTP has taken
 * over by then.
 */
const FIRST_CONNECT_MS = 3000;

/** What a connection reports. Nothing is reported after `close()`. */
export interface ConnectionListener {
  event(event: PeerEvent): void;
  /** The socket dropped, or cannot be opened. The next `session` event means that it is connected again. */
  disconnected(): void;
  /** A socket opened, possibly to replace one that still works. */
  opened(): void;
  /** The events arrive over another transport than before; at first it is a WebSocket. */
  transportChanged(kind: TransportKind): void;
  /** The event stream has ended permanently; `open()` begins another. */
  ended(error: PeerStreamError): void;
}

/**
 * The connection to the server: one WebSocket, which reconnects automatically, and the event stream on it. The socket is
 * opened by the first `open`, `call` or query. Where the network cuts WebSockets it is replaced by HTTP.
 */
export interface Connection {
  /**
   * Subscribes to the events, unless there is a subscription. Returns whether this is a new stream, which takes the
   * session over from any other tab.
   */
  open(listener: ConnectionListener): boolean;
  /** Calls a mutation. Rejects with an error for `readRefusal`. */
  call<K extends MutationName>(name: K, input: Input<K>): Promise<Answer<K>>;
  counts(lobby?: string): Promise<Counts>;
  site(): Promise<Site>;
  /** What was decided of a report. */
  caseOf(caseId: string): Promise<CaseAnswer>;
  /** The ICE servers for the current or the next room, with credentials that are valid from now on. */
  iceServers(): Promise<IceAnswer>;
  /**
   * The machine was asleep, or its network has changed: replaces the socket or stream. It may look open and deliver
   * nothing, and the keep-alive would detect that later.
   */
  renew(): void;
  /** Sends `leave` behind everything that was sent before, in a way that survives the unloading of the page. */
  sendLeaveOnUnload(): void;
  /** Closes the socket permanently. No other is opened. */
  close(): void;
}

/** What a connection is made of. */
export interface ConnectionParts extends Pick<
  PlatformOptions,
  "WebSocket" | "fetch" | "setTimeout" | "clearTimeout"
> {
  /** The `ws:` or `wss:` URL of tRPC's endpoint; a function is called when the socket is needed. */
  url: string | (() => string);
  tokens: TokenStore;
  /** What the server authenticates the peer by, if anything; called at every connect and request. */
  auth?: () => Promise<string | undefined>;
  /** Default: those of `fetch`. */
  credentials?: RequestCredentials;
  /** Replaceable for tests. */
  random?: () => number;
}

/** Creates a connection. From its first use until `close()` it keeps trying to reach the server. */
export function createConnection(parts: ConnectionParts): Connection {
  return new RpcConnection(parts);
}

/** A subscription to the events. */
interface EventStream {
  readonly transport: Transport;
  /** Ids of events that arrived on the stream that this one replaces, and may arrive on this one, too. */
  readonly received: Set<string>;
  firstEventAtMs: number | undefined;
  unsubscribe(): void;
}

class RpcConnection implements Connection {
  readonly #parts: ConnectionParts;
  readonly #platform: Platform;
  readonly #timers: Timers;
  readonly #fetch: Fetch;
  readonly #random: () => number;
  /** What `auth` has resolved with last: an unloading page can't wait for it. */
  #auth: string | undefined;
  #choice: TransportChoice | undefined;
  #stream: EventStream | undefined;
  /** Replaces `#stream` once it delivers. */
  #nextStream: EventStream | undefined;
  #listener: ConnectionListener | undefined;
  #lastEventId: string | undefined;
  #transportKind: TransportKind = "websocket";
  #resubscribeTimer: Timer | undefined;
  #firstConnectTimer: Timer | undefined;
  /** Streams in a row that ended soon after their first event, or before it. */
  #failures = 0;
  /** The server has a session for this connection. */
  #hasSession = false;
  #isClosed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    const { credentials } = parts;
    this.#platform = createPlatform(parts);
    const { fetch, timers } = this.#platform;
    this.#timers = timers;
    this.#fetch = (target, init) =>
      fetch(target, credentials === undefined ? init : { credentials, ...init });
    this.#random = parts.random ?? Math.random;
  }

  open(listener: ConnectionListener): boolean {
    if (this.#isClosed || this.#listener) return false;
    this.#subscribe(listener);
    return true;
  }

  async call<K extends MutationName>(name: K, input: Input<K>): Promise<Answer<K>> {
    const { current } = this.#useChoice();
    return current.inOrder(() => callMutation(current.rpc, name, input));
  }

  iceServers(): Promise<IceAnswer> {
    return this.#query((rpc) => rpc.iceServers.query());
  }

  async counts(lobby?: string): Promise<Counts> {
    const input = lobby === undefined ? undefined : { lobby };
    return this.#query((rpc) => rpc.stats.query(input));
  }

  site(): Promise<Site> {
    return this.#query((rpc) => rpc.site.query());
  }

  async caseOf(caseId: string): Promise<CaseAnswer> {
    return this.#query((rpc) => rpc.case.query({ caseId }));
  }

  renew(): void {
    this.#choice?.renew();
  }

  sendLeaveOnUnload(): void {
    const token = this.#parts.tokens.read();
    if (!this.#hasSession || !this.#choice || token === undefined) return;
    sendLeaveOnUnload(this.#choice, this.#fetch, token, this.#auth);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unsubscribe();
    this.#choice?.end();
    this.#choice = undefined;
  }

  /** Asks again if the transport was replaced before it answered. */
  async #query<T>(ask: (rpc: Rpc) => Promise<T>): Promise<T> {
    const choice = this.#useChoice();
    const { current } = choice;
    const answer = await ask(current.rpc).catch((error: unknown) => {
      if (this.#choice !== choice || choice.current === current) throw error;
      return ask(choice.current.rpc);
    });
    choice.confirm();
    return answer;
  }

  /** The transport; created on first use. */
  #useChoice(): TransportChoice {
    if (this.#isClosed) throw new Error("this peer stream has been closed");
    return (this.#choice ??= this.#createChoice());
  }

  #createChoice(): TransportChoice {
    const { url, tokens } = this.#parts;
    const sockets = this.#platform.WebSocket;
    if (!sockets) throw new Error("there is no WebSocket here");
    const choice: TransportChoice = new TransportChoice(
      {
        url: typeof url === "string" ? url : url(),
        tokens,
        auth: async () => (this.#auth = await this.#parts.auth?.()),
        WebSocket: sockets,
        fetch: this.#fetch,
        timers: this.#timers,
        random: this.#random,
      },
      {
        opened: () => this.#listener?.opened(),
        replaced: () => this.#replaceStream(),
        move: (transport) => this.#moveTo(transport),
        moveFailed: () => this.#dropNextStream(),
        failed: (error) => this.#onFailed(choice, error),
      },
    );
    return choice;
  }

  /** Stops everything. The next use begins with a new socket. */
  #onFailed(choice: TransportChoice, error: PeerStreamError): void {
    if (this.#isClosed || this.#choice !== choice) return;
    const listener = this.#listener;
    this.#unsubscribe();
    this.#dropTransports();
    listener?.ended(error);
  }

  /** The next use begins with a new socket. */
  #dropTransports(): void {
    const choice = this.#choice;
    this.#choice = undefined;
    this.#hasSession = false;
    choice?.end();
  }

  // -------------------------------------------------------------------------------------------
  // The stream of events

  #subscribe(listener: ConnectionListener): void {
    this.#listener = listener;
    this.#stream = newStream(this.#useChoice().current);
    this.#begin(this.#stream, listener);
  }

  #begin(stream: EventStream, listener: ConnectionListener): void {
    const input = this.#lastEventId === undefined ? {} : { lastEventId: this.#lastEventId };
    const subscription = stream.transport.rpc.events.subscribe(input, {
      onData: ({ id, data }) => this.#onEvent(stream, listener, id, data),
      onConnectionStateChange: ({ state, error }) => {
        // Without an error it is the first connect, and no connection was lost.
        if (state === "connecting" && error && stream === this.#stream) this.#onLost(listener);
      },
      onError: (error) => {
        if (stream === this.#nextStream) this.#choice?.abandonMove();
        else if (stream === this.#stream) this.#onStreamError(listener, error);
      },
      // The server may end a stream at any time, for example that of a slow consumer. The session continues.
      onComplete: () => {
        if (stream === this.#nextStream) this.#choice?.abandonMove();
        if (stream !== this.#stream) return;
        this.#onLost(listener);
        this.#resubscribe(listener, 0);
      },
    });
    stream.unsubscribe = () => subscription.unsubscribe();
  }

  #onEvent(stream: EventStream, listener: ConnectionListener, id: string, event: PeerEvent): void {
    if (stream === this.#nextStream) this.#completeMove(stream);
    if (stream !== this.#stream) return;
    stream.firstEventAtMs ??= performance.now();
    this.#hasSession = true;
    this.#clearFirstConnect();
    this.#choice?.confirm();
    const { kind } = stream.transport;
    if (kind !== this.#transportKind) {
      this.#transportKind = kind;
      listener.transportChanged(kind);
    }
    if (stream.received.delete(id)) return;
    this.#nextStream?.received.add(id);
    this.#lastEventId = id;
    if (event.type === "session") this.#parts.tokens.write(event.token);
    listener.event(event);
  }

  #onLost(listener: ConnectionListener): void {
    this.#choice?.streamLost();
    if (this.#hasSession) listener.disconnected();
    else
      this.#firstConnectTimer ??= this.#timers.setTimeout(
        () => listener.disconnected(),
        FIRST_CONNECT_MS,
      );
  }

  #clearFirstConnect(): void {
    this.#timers.clearTimeout(this.#firstConnectTimer);
    this.#firstConnectTimer = undefined;
  }

  #onStreamError(listener: ConnectionListener, error: TRPCClientError<AnyAppRouter>): void {
    const refusal = readRefusal(error);
    const retryMs = retryAfterRefusalMs(refusal);
    if (refusal.kind === "rejected" && refusal.reason === "unauthorized") {
      if (retryMs === undefined && this.#stream?.transport.dropToken()) {
        this.#onLost(listener);
        return this.#resubscribe(listener, 0);
      }
      // The server has closed the connection, and tRPC's client would open another one at once.
      this.#dropTransports();
    }
    // A fault may be temporary; a rejection without a retry time is not.
    if (refusal.kind === "unanswered" || refusal.kind === "server-fault" || retryMs !== undefined) {
      this.#onLost(listener);
      return this.#resubscribe(listener, retryMs ?? 0);
    }
    this.#unsubscribe();
    listener.ended(refusal);
  }

  #resubscribe(listener: ConnectionListener, afterMs: number): void {
    const sinceMs = this.#stream?.firstEventAtMs;
    if (sinceMs !== undefined && performance.now() - sinceMs >= STEADY_MS) this.#failures = 0;
    this.#timers.clearTimeout(this.#resubscribeTimer);
    const delayMs = afterMs + retryDelayMs(this.#failures++, this.#random());
    this.#resubscribeTimer = this.#timers.setTimeout(() => this.#subscribe(listener), delayMs);
  }

  /** Subscribes on the current transport, where the previous one does not work. */
  #replaceStream(): void {
    const listener = this.#listener;
    if (!listener) return;
    this.#timers.clearTimeout(this.#resubscribeTimer);
    const previous = this.#stream;
    this.#stream = undefined;
    previous?.unsubscribe();
    this.#subscribe(listener);
  }

  /** Subscribes on a second transport. Both streams are open until it delivers, so that the partner notices nothing. */
  #moveTo(transport: Transport): void {
    const listener = this.#listener;
    if (!listener) return this.#choice?.completeMove();
    this.#nextStream = newStream(transport);
    this.#begin(this.#nextStream, listener);
  }

  #completeMove(stream: EventStream): void {
    this.#timers.clearTimeout(this.#resubscribeTimer);
    const previous = this.#stream;
    this.#stream = stream;
    this.#nextStream = undefined;
    this.#choice?.completeMove();
    previous?.unsubscribe();
  }

  #dropNextStream(): void {
    const stream = this.#nextStream;
    this.#nextStream = undefined;
    stream?.unsubscribe();
  }

  #unsubscribe(): void {
    this.#clearFirstConnect();
    this.#timers.clearTimeout(this.#resubscribeTimer);
    this.#dropNextStream();
    const stream = this.#stream;
    this.#stream = undefined;
    this.#listener = undefined;
    this.#lastEventId = undefined;
    stream?.unsubscribe();
  }
}

function newStream(transport: Transport): EventStream {
  return { transport, received: new Set(), firstEventAtMs: undefined, unsubscribe() {} };
}
