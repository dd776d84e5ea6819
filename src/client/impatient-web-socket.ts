const OPEN_MS_MAX = 10_000;
const CLOSE_MS_MAX = 1000;

/**
 * A WebSocket class that never keeps anybody waiting: `close()` is reported within a second, and an
 * opening that takes longer than ten seconds is given up.
 *
 * The browser's own `close()` waits for the closing handshake (RFC 6455, 7.1.1). On a half-open
 * network its answer never comes, and `close` is reported after half a minute: half a minute in which
 * nobody reconnects.
 */
export function impatientWebSocket(base: typeof WebSocket): typeof WebSocket {
  return class ImpatientWebSocket extends base {
    /** Told in the place of the browser's own `close`. */
    #farewell: CloseEvent | undefined;
    #opening: ReturnType<typeof setTimeout> | undefined;
    #closing: ReturnType<typeof setTimeout> | undefined;

    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      this.#opening = setTimeout(() => this.close(), OPEN_MS_MAX);
      this.addEventListener("open", () => clearTimeout(this.#opening));
      // Registered first, so it hears first: what an abandoned socket still has to say is nobody's.
      this.addEventListener("close", (event) => {
        clearTimeout(this.#opening);
        clearTimeout(this.#closing);
        if (this.#farewell && event !== this.#farewell) event.stopImmediatePropagation();
      });
    }

    override close(code?: number, reason?: string): void {
      if (code === undefined) super.close();
      else super.close(code, reason);
      if (this.readyState === base.CLOSED) return;
      this.#closing ??= setTimeout(() => {
        if (this.readyState === base.CLOSED) return;
        this.#farewell = new CloseEvent("close", { code: 1006, wasClean: false });
        this.dispatchEvent(this.#farewell);
      }, CLOSE_MS_MAX);
    }
  };
}
