/** tRPC's WebSocket client on a socket that can be replaced, and closed with a last message. */
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { protocolVersion } from "../protocol.ts";
import { diagnose } from "./diagnosis.ts";
import { guardSockets } from "./guarded-web-socket.ts";
import type { Rpc, AnyAppRouter } from "./mutations.ts";
import type { Timers, Fetch } from "./platform.ts";
import { readRefusal, retryAfterRefusalMs } from "./refusal.ts";
import { retryDelayMs } from "./retry-delay.ts";
import type { PeerStreamError } from "./state.ts";
import type { TokenStore } from "./token-store.ts";
import type { Transport } from "./transport.ts";
import { webSocketWithTimeouts } from "./web-socket-with-timeouts.ts";

const KEEP_ALIVE = { enabled: true, intervalMs: 5000, pongTimeoutMs: 2500 };

/**
 * A response that the browser hides may be that of a proxy whose server is being restarted, so a page keeps trying for
 * this long before it considers the URL wrong (milliseconds).
 */
const UNREADABLE_MS_MAX = 60_000;

/** A network that lets WebSockets through keeps them for this long at least (milliseconds). */
export const STEADY_MS = 15_000;
/** Sockets in a row that are lost before it is the network that is suspected. */
const LOST_SOCKETS_MAX = 2;
/** No Close frame was received (RFC 6455, 7.1.5): it was not the server that closed the socket. */
const ABNORMAL_CLOSURE = 1006;

/** What an RPC socket is made of. */
export interface RpcSocketParts {
  url: string;
  tokens: TokenStore;
  auth: () => Promise<string | undefined>;
  WebSocket: typeof WebSocket;
  fetch: Fetch;
  timers: Timers;
  /** Returns a number in [0, 1). */
  random: () => number;
}

/** What an RPC socket reports. */
export interface RpcSocketListener {
  /** A WebSocket opened, possibly to replace one that still works. */
  opened(): void;
  /** A WebSocket closed, or failed to open. */
  closed(): void;
  /**
   * The network cuts WebSockets: the server answers over HTTP, but two sockets in a row did not open or were lost within
   * 15 s, or one has not opened for 5 s.
   */
  blocked(): void;
  /** The server cannot be used, and trying again does not help. */
  failed(error: PeerStreamError): void;
}

/**
 * tRPC over one WebSocket, which tRPC's client reopens whenever it drops.
 *
 * While no Peer Stream server has responded yet, each failure is diagnosed over HTTP, because a wrong URL or a refused
 * origin is permanent. After that, all failures are treated as temporary, and are diagnosed only to find out whether the
 * network cuts WebSockets.
 */
export class RpcSocket implements Transport {
  readonly kind = "websocket";
  readonly #url: string;
  readonly rpc: Rpc;
  readonly #fetch: Fetch;
  readonly #timers: Timers;
  readonly #listener: RpcSocketListener;
  readonly #sockets;
  readonly #client;
  /** A Peer Stream server has responded on this socket. */
  #isConfirmed = false;
  #isDiagnosing = false;
  /** Sockets in a row that did not open, or were lost soon after. */
  #lostInRow = 0;
  /** The current socket takes long to open. */
  #isSlow = false;
  /** The socket that closes next was closed by `renew`. */
  #isRenewing = false;
  #unreadableSinceMs: number | undefined;

  constructor(parts: RpcSocketParts, listener: RpcSocketListener) {
    const { url, tokens, random, timers } = parts;
    this.#url = url;
    this.#fetch = parts.fetch;
    this.#timers = timers;
    this.#listener = listener;
    this.#sockets = guardSockets(webSocketWithTimeouts(parts.WebSocket, timers), timers, {
      closed: (event, openMs) => this.#onClosed(event, openMs),
      refused: (error) => {
        const refusal = readRefusal(error);
        // Otherwise it may pass, and the calls are answered with it as well.
        if (refusal.kind === "rejected" && retryAfterRefusalMs(refusal) === undefined)
          listener.failed(refusal);
      },
      slow: () => {
        this.#isSlow = true;
        if (this.#isSuspicious) void this.#diagnose();
      },
      failed: (cause) => {
        const message = `the browser opens no WebSocket to ${url}: ${String(cause)}`;
        listener.failed({ kind: "wrong-url", url, message, cause });
      },
      // tRPC's client forgets its `close()` when a call waits for a reconnect.
      late: () => void this.#client.close(),
    });
    this.#client = createWSClient({
      url,
      WebSocket: this.#sockets.WebSocket,
      // Called at every connect, so that the newest token resumes the session.
      connectionParams: async () => {
        const auth = await parts.auth();
        const token = tokens.read();
        return {
          protocol: String(protocolVersion),
          ...(token !== undefined && { token }),
          ...(auth !== undefined && { auth }),
        };
      },
      keepAlive: KEEP_ALIVE,
      onOpen: () => {
        this.#isSlow = false;
        listener.opened();
      },
      retryDelayMs: (attempt) => retryDelayMs(attempt, random()),
    });
    this.rpc = createTRPCClient<AnyAppRouter>({ links: [wsLink({ client: this.#client })] });
  }

  /** One socket preserves the order. */
  inOrder<T>(call: () => Promise<T>): Promise<T> {
    return call();
  }

  confirm(): void {
    this.#isConfirmed = true;
  }

  dropToken(): boolean {
    return false;
  }

  /** Closes the current WebSocket, so that tRPC's client opens a new one. */
  renew(): void {
    const { connection } = this.#client;
    if (connection?.state !== "open") return;
    this.#isRenewing = true;
    connection.ws.close();
  }

  /**
   * Sends a frame behind everything that was sent, immediately: tRPC's client would delay it until a timer fires, which
   * an unloading page does not reach.
   */
  sendLast(message: object): void {
    this.#sockets.send(message);
  }

  end(): void {
    // Before the sockets, because tRPC's client opens a new one for any that closes.
    void this.#client.close();
    this.#sockets.end();
  }

  #onClosed(event: CloseEvent, openMs: number | undefined): void {
    const { code, reason } = event;
    this.#isSlow = false;
    const isLost =
      code === ABNORMAL_CLOSURE &&
      !this.#isRenewing &&
      (openMs === undefined || openMs < STEADY_MS);
    this.#lostInRow = isLost ? this.#lostInRow + 1 : 0;
    this.#isRenewing = false;
    this.#listener.closed();
    if (code >= 4500 && code <= 4999) {
      const message = `the server closed the connection for good: ${code} ${reason}`;
      this.#listener.failed({ kind: "turned-away", code, message, cause: event });
    } else if (!this.#isConfirmed || this.#isSuspicious) void this.#diagnose();
  }

  /** Whether the network may be cutting WebSockets. While a socket is being replaced, the old one proves the opposite. */
  get #isSuspicious(): boolean {
    if (this.#client.connection?.state === "open") return false;
    return this.#isSlow || this.#lostInRow >= LOST_SOCKETS_MAX;
  }

  async #diagnose(): Promise<void> {
    if (this.#isDiagnosing) return;
    this.#isDiagnosing = true;
    const url = this.#url;
    const diagnosis = await diagnose(url, this.#fetch, this.#timers);
    this.#isDiagnosing = false;
    if (diagnosis === "up") {
      if (this.#isSuspicious) this.#listener.blocked();
    } else this.#lostInRow = 0;
    if (this.#isConfirmed) return;
    if (typeof diagnosis === "object") return this.#listener.failed(diagnosis);
    if (diagnosis !== "unreadable") {
      this.#unreadableSinceMs = undefined;
      return;
    }
    this.#unreadableSinceMs ??= performance.now();
    if (performance.now() - this.#unreadableSinceMs < UNREADABLE_MS_MAX) return;
    const message = `what answers at ${url} is no Peer Stream server, or its proxy hides that it is down`;
    this.#listener.failed({ kind: "wrong-url", url, message, cause: undefined });
  }
}
