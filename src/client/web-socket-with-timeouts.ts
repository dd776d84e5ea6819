/** A `WebSocket` class with time limits for opening and closing. */
import { createCloseEvent, type Timer, type Timers } from "./platform.ts";

const OPEN_MS_MAX = 10_000;
const CLOSE_MS_MAX = 1000;

/**
 * Derives a WebSocket class with time limits: opening is aborted after 10 s, and `close` fires within 1 s of `close()`.
 *
 * The browser's own `close()` waits for the closing handshake (RFC 6455, 7.1.1). On a half-open connection the peer's
 * Close frame never arrives, and `close` fires after about 30 s. No reconnect could begin before that.
 */
export function webSocketWithTimeouts(
  base: typeof WebSocket,
  { setTimeout, clearTimeout }: Timers,
): typeof WebSocket {
  return class WebSocketWithTimeouts extends base {
    /** Dispatched in place of the browser's own `close` event. */
    #closeEvent: CloseEvent | undefined;
    #openTimeout: Timer | undefined;
    #closeTimeout: Timer | undefined;

    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      this.#openTimeout = setTimeout(() => this.close(), OPEN_MS_MAX);
      this.addEventListener("open", () => clearTimeout(this.#openTimeout));
      // Registered first, so that it can keep the browser's late event from all other listeners.
      this.addEventListener("close", (event) => {
        clearTimeout(this.#openTimeout);
        clearTimeout(this.#closeTimeout);
        if (this.#closeEvent && event !== this.#closeEvent) event.stopImmediatePropagation();
      });
    }

    override close(code?: number, reason?: string): void {
      if (code === undefined) super.close();
      else super.close(code, reason);
      if (this.readyState === base.CLOSED) return;
      this.#closeTimeout ??= setTimeout(() => {
        if (this.readyState === base.CLOSED) return;
        this.#closeEvent = createCloseEvent(1006);
        this.dispatchEvent(this.#closeEvent);
      }, CLOSE_MS_MAX);
    }
  };
}
