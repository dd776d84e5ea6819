/** Binds sockets to Bun's server, which hands raw frames to whatever `data` an upgrade was given. */
import type { Server, ServerWebSocket } from "bun";
import { closeCodes } from "./close-codes.ts";
import type { AcceptSocket, Socket, SocketListener, Upgrade } from "./socket.ts";

/** What a socket may leave unread before it is closed, so that it comes back and resumes. */
const unsentBytesMax = 256 * 1024;
/** How long a socket that is being closed has to take the close frame (milliseconds). */
const closingMs = 1000;

/** Server-wide settings of Bun's WebSockets. */
export const bunSocketSettings = {
  // A frame somewhat over our limit is still read, so that it can be refused by name.
  maxPayloadLength: 256 * 1024,
  // A net under our own limit: past this one Bun would drop messages without a word, unless it closes.
  backpressureLimit: 1024 * 1024,
  closeOnBackpressureLimit: true,
  /** Seconds. The application's pings find a dead peer sooner; this only ends what has none. */
  idleTimeout: 60,
  sendPings: false,
} as const;

type Schedule = (delayMs: number, task: () => void) => () => void;

/** Upgrades a request; `false` if it is not a WebSocket's. */
export function upgradeSocket(
  server: Server<unknown>,
  request: Request,
  accept: AcceptSocket,
  schedule: Schedule,
  addressHash: string,
): boolean {
  const { pathname, search } = new URL(request.url);
  const upgrade = { url: pathname + search, addressHash };
  return server.upgrade(request, { data: new SocketData(accept, upgrade, schedule) });
}

// Classes, for their memory: there is one of each per socket, and closures cost each of them.

class BunSocket implements Socket {
  readonly #ws: ServerWebSocket<SocketData>;
  readonly #schedule: Schedule;
  #cancelTermination: (() => void) | undefined;
  open = true;

  constructor(ws: ServerWebSocket<SocketData>, schedule: Schedule) {
    this.#ws = ws;
    this.#schedule = schedule;
  }

  send(text: string): void {
    if (!this.open) return;
    const sent = this.#ws.send(text);
    if (sent === 0) this.open = false;
    // Only what has to wait is worth a look at how much waits.
    else if (sent < 0 && this.#ws.getBufferedAmount() > unsentBytesMax)
      this.close(closeCodes.tooSlow, "too slow");
  }

  close(code: number, reason: string): void {
    if (!this.open) return;
    this.open = false;
    this.#ws.close(code, reason);
    // One that reads nothing never gets to the close frame.
    this.#cancelTermination = this.#schedule(closingMs, () => this.#ws.terminate());
  }

  terminate(): void {
    this.open = false;
    this.#ws.terminate();
  }

  /** It is gone. */
  end(): void {
    this.open = false;
    this.#cancelTermination?.();
  }
}

/** What Bun tells of a socket; it calls these as methods. */
class SocketData {
  readonly #accept: AcceptSocket;
  readonly #upgrade: Upgrade;
  readonly #schedule: Schedule;
  #socket: BunSocket | undefined;
  #listener: SocketListener | undefined;

  constructor(accept: AcceptSocket, upgrade: Upgrade, schedule: Schedule) {
    this.#accept = accept;
    this.#upgrade = upgrade;
    this.#schedule = schedule;
  }

  open(ws: ServerWebSocket<SocketData>): void {
    this.#socket = new BunSocket(ws, this.#schedule);
    this.#listener = this.#accept(this.#socket, this.#upgrade);
  }

  message(_: unknown, frame: string | Buffer): void {
    if (this.#socket?.open) this.#listener?.message(frame);
  }

  drain(): void {}

  close(): void {
    this.#socket?.end();
    this.#listener?.close();
  }
}
