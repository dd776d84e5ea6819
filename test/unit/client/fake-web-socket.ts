/** The sockets of one browser, which the test opens and closes; the last one is the current one. */
export function fakeWebSockets() {
  const all: FakeWebSocket[] = [];

  class FakeWebSocket extends EventTarget {
    static readonly CONNECTING = 0;
    static readonly OPEN = 1;
    static readonly CLOSING = 2;
    static readonly CLOSED = 3;
    readonly OPEN = 1;
    readonly url: string;
    readonly sent: unknown[] = [];
    readyState = 0;
    binaryType = "blob";
    /** Whether the server still responds, to pings and to the closing handshake. */
    alive = true;

    constructor(url: string | URL) {
      super();
      this.url = String(url);
      all.push(this);
    }

    send(frame: string): void {
      if (this.readyState !== 1) return;
      this.sent.push(/^P[IO]NG$/.test(frame) ? frame : JSON.parse(frame));
      if (frame === "PING" && this.alive) queueMicrotask(() => this.receive("PONG"));
    }

    close(): void {
      if (this.readyState === 3) return;
      const opening = this.readyState === 0;
      this.readyState = 2;
      if (opening) this.dispatchEvent(new Event("error"));
      if (opening || this.alive) this.gone();
    }

    /** The server accepts the connection. */
    open(): void {
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
    }

    gone(code = 1006): void {
      this.readyState = 3;
      this.dispatchEvent(new CloseEvent("close", { code }));
    }

    receive(message: unknown): void {
      const data = typeof message === "string" ? message : JSON.stringify(message);
      this.dispatchEvent(new MessageEvent("message", { data }));
    }

    /** All calls that were sent, batched or not. */
    get calls(): {
      id: number;
      method: string;
      params: { path: string; input: unknown; lastEventId?: string };
    }[] {
      return this.sent.flat().filter((frame) => typeof frame === "object") as never;
    }

    get subscription() {
      return this.calls.findLast(({ method }) => method === "subscription");
    }

    /** An event on the subscription, as the server sends it. */
    event(id: string, data: unknown): void {
      this.receive({ id: this.subscription?.id, result: { type: "data", id, data: { id, data } } });
    }
  }

  return {
    all,
    WebSocket: FakeWebSocket as unknown as typeof WebSocket,
    get last() {
      const last = all.at(-1);
      if (!last) throw new Error("no socket was opened yet");
      return last;
    },
  };
}
