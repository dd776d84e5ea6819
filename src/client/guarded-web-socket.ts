/** A `WebSocket` class for tRPC's client that reports how its sockets close, and creates none after the end. */
import type { Timers } from "./platform.ts";

/** A socket that has not opened after this time is reported (milliseconds). Most open within a few round trips. */
const SLOW_MS = 5000;

/** What the sockets report. After `end()` only `late` is called. */
interface SocketListener {
  /** A socket closed, or failed to open. `openMs`: how long it was open; undefined if it never was. */
  closed(event: CloseEvent, openMs: number | undefined): void;
  /** The server has refused a connection as a whole, with the error of an error response. */
  refused(error: unknown): void;
  /** A socket is still opening after 5 s. */
  slow(): void;
  /**
   * The constructor threw, as it does on a page over HTTPS for a server without TLS, and where the page's Content Security
   * Policy forbids the URL.
   */
  failed(cause: unknown): void;
  /** A socket was requested after `end()`, and was not created. */
  late(): void;
}

/** A WebSocket class, and control over all its instances. */
export interface GuardedSockets {
  readonly WebSocket: typeof WebSocket;
  /** Sends a message on every open socket on which the server has sent something. */
  send(message: object): void;
  /** Closes all sockets. From then on the constructor throws. */
  end(): void;
}

/**
 * Derives a WebSocket class whose instances can be closed together.
 *
 * tRPC's client opens sockets on its own: for a reconnect, for a hand-over, and for any call, even after its own
 * `close()`. That method also leaves sockets open until the calls on them have been answered.
 */
export function guardSockets(
  base: typeof WebSocket,
  { setTimeout, clearTimeout }: Timers,
  listener: SocketListener,
): GuardedSockets {
  const open = new Set<WebSocket>();
  const withServerMessage = new WeakSet<WebSocket>();
  let ended = false;

  class GuardedWebSocket extends base {
    constructor(url: string | URL, protocols?: string | string[]) {
      if (ended) {
        listener.late();
        throw new Error("the connection has been closed");
      }
      try {
        super(url, protocols);
      } catch (cause) {
        // Deferred, because tRPC's client is opening the socket at this moment and has to finish that first.
        queueMicrotask(() => {
          if (!ended) listener.failed(cause);
        });
        throw cause;
      }
      open.add(this);
      let openedAtMs: number | undefined;
      const timer = setTimeout(() => listener.slow(), SLOW_MS);
      this.addEventListener("open", () => {
        clearTimeout(timer);
        openedAtMs = performance.now();
      });
      const readFirst = ({ data }: MessageEvent) => {
        withServerMessage.add(this);
        const error = refusalIn(data);
        if (error && !ended) listener.refused(error);
      };
      this.addEventListener("message", readFirst, { once: true });
      this.addEventListener("close", (event) => {
        clearTimeout(timer);
        open.delete(this);
        const openMs = openedAtMs === undefined ? undefined : performance.now() - openedAtMs;
        if (!ended) listener.closed(event, openMs);
      });
    }
  }

  return {
    WebSocket: GuardedWebSocket,
    send(message) {
      for (const socket of open)
        if (socket.readyState === base.OPEN && withServerMessage.has(socket))
          socket.send(JSON.stringify(message));
    },
    end() {
      ended = true;
      for (const socket of open) socket.close();
    },
  };
}

/**
 * The error in a server's first message, if that is about no call. tRPC's client ignores it, and the server closes the socket, possibly before
 * any call is sent that would be answered with it.
 */
function refusalIn(data: unknown): unknown {
  if (typeof data !== "string" || !data.startsWith('{"id":null,"error":')) return undefined;
  const { error } = JSON.parse(data) as { error: unknown };
  return error;
}
