/** What a guard tells. After `end()` only `late` is told. */
interface SocketWatcher {
  /** A socket closed, or never opened. */
  closed(event: CloseEvent): void;
  /** The browser would not even make one: a page over HTTPS and a server without TLS, or a policy of the page. */
  refused(cause: unknown): void;
  /** A socket was asked for after the end, and not made. */
  late(): void;
}

/** A WebSocket class, and all that was made of it. */
export interface GuardedSockets {
  readonly WebSocket: typeof WebSocket;
  /** Sends a message on every socket on which the server has spoken. */
  send(message: object): void;
  /** Closes every socket at once. From now on none is made: the constructor throws. */
  end(): void;
}

/**
 * Derives a WebSocket class whose sockets can be ended all at once. tRPC's client opens sockets by itself: for a
 * reconnect, for a hand-over, and for any call, even one after its own `close()`, which also leaves sockets open until
 * the calls on them have been answered.
 */
export function guardSockets(base: typeof WebSocket, watcher: SocketWatcher): GuardedSockets {
  const open = new Set<WebSocket>();
  const spoken = new WeakSet<WebSocket>();
  let ended = false;

  class GuardedWebSocket extends base {
    constructor(url: string | URL, protocols?: string | string[]) {
      if (ended) {
        watcher.late();
        throw new Error("the connection has been closed");
      }
      try {
        super(url, protocols);
      } catch (cause) {
        // Later, as tRPC's client is in the middle of opening it.
        queueMicrotask(() => {
          if (!ended) watcher.refused(cause);
        });
        throw cause;
      }
      open.add(this);
      this.addEventListener("message", () => spoken.add(this), { once: true });
      this.addEventListener("close", (event) => {
        open.delete(this);
        if (!ended) watcher.closed(event);
      });
    }
  }

  return {
    WebSocket: GuardedWebSocket,
    send(message) {
      for (const socket of open)
        if (socket.readyState === base.OPEN && spoken.has(socket))
          socket.send(JSON.stringify(message));
    },
    end() {
      ended = true;
      for (const socket of open) socket.close();
    },
  };
}
