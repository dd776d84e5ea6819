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

export interface Turns {
  schedule: (delayMs: number, task: () => void) => () => void;
  /** Runs `task` when all that has arrived by now has been worked off. */
  soon: (task: () => void) => void;
}

/** Upgrades a request; `false` if it is not a WebSocket's. */
export type UpgradeSocket = (
  server: Server<unknown>,
  request: Request,
  accept: AcceptSocket,
  admitted: Omit<Upgrade, "url">,
) => boolean;

export function createUpgrade(turns: Turns): UpgradeSocket {
  const outbox = new Outbox(turns);
  return (server, request, accept, { addressHash, release }) => {
    const { pathname, search } = new URL(request.url);
    const upgrade = { url: pathname + search, addressHash, release };
    return server.upgrade(request, { data: new SocketData(accept, upgrade, outbox) });
  };
}

/**
 * Lets each socket send at the end of the next turn whatever it was told until then, in one go: writing to the kernel
 * is most of what a signal costs, and two who trickle their candidates at each other are told several things at a time.
 */
class Outbox {
  readonly turns: Turns;
  #due: BunSocket[] = [];

  constructor(turns: Turns) {
    this.turns = turns;
  }

  add(socket: BunSocket): void {
    if (this.#due.push(socket) === 1) this.turns.soon(this.#lookAgain);
  }

  /** What has arrived while the turn was worked off is answered along with it. */
  readonly #lookAgain = () => this.turns.soon(this.#sendAll);

  readonly #sendAll = () => {
    const due = this.#due;
    this.#due = [];
    for (const socket of due) socket.flush();
  };
}

// Classes, for their memory: there is one of each per socket, and closures cost each of them.

class BunSocket implements Socket {
  readonly #ws: ServerWebSocket<SocketData>;
  readonly #outbox: Outbox;
  /** What it was told since it last sent. */
  #unsent: string | string[] | undefined;
  #cancelTermination: (() => void) | undefined;
  open = true;

  constructor(ws: ServerWebSocket<SocketData>, outbox: Outbox) {
    this.#ws = ws;
    this.#outbox = outbox;
  }

  send(text: string): void {
    if (!this.open) return;
    if (this.#unsent === undefined) {
      this.#unsent = text;
      this.#outbox.add(this);
    } else if (typeof this.#unsent === "string") this.#unsent = [this.#unsent, text];
    else this.#unsent.push(text);
  }

  flush(): void {
    const unsent = this.#unsent;
    this.#unsent = undefined;
    if (unsent === undefined || !this.open) return;
    if (typeof unsent === "string") return this.#send(unsent);
    this.#ws.cork(() => {
      for (const text of unsent) this.#send(text);
    });
  }

  #send(text: string) {
    if (!this.open) return;
    const sent = this.#ws.send(text);
    if (sent === 0) this.open = false;
    // Only what has to wait is worth a look at how much waits.
    else if (sent < 0 && this.#ws.getBufferedAmount() > unsentBytesMax)
      this.close(closeCodes.tooSlow, "too slow");
  }

  close(code: number, reason: string): void {
    this.flush();
    if (!this.open) return;
    this.open = false;
    this.#ws.close(code, reason);
    // One that reads nothing never gets to the close frame.
    this.#cancelTermination = this.#outbox.turns.schedule(closingMs, () => this.#ws.terminate());
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
  /** What it is opened with; let go of then. */
  #opening: { accept: AcceptSocket; upgrade: Upgrade; outbox: Outbox } | undefined;
  #socket: BunSocket | undefined;
  #listener: SocketListener | undefined;

  constructor(accept: AcceptSocket, upgrade: Upgrade, outbox: Outbox) {
    this.#opening = { accept, upgrade, outbox };
  }

  open(ws: ServerWebSocket<SocketData>): void {
    if (!this.#opening) return;
    const { accept, upgrade, outbox } = this.#opening;
    this.#opening = undefined;
    this.#socket = new BunSocket(ws, outbox);
    this.#listener = accept(this.#socket, upgrade);
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
