/** The binding to Bun's server, which passes raw frames to the `data` that an upgrade was given. */
import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import { closeCodes } from "./close-codes.ts";
import type { AcceptSocket, Socket, SocketListener, UpgradeRequest } from "./socket.ts";

/** Bytes past which a source that can wait is asked to. */
const congestedBytes = 16 * 1024;
/** How long a socket that is being closed has to take the close frame (milliseconds). */
const closingMs = 1000;

export interface SocketSettings {
  maxPayloadLength: number;
  backpressureLimit: number;
  closeOnBackpressureLimit: boolean;
  idleTimeout: number;
  sendPings: boolean;
}

/** Server-wide settings of Bun's WebSockets, for `websocket` of `Bun.serve` or of the framework on top of it. */
export const bunSocketSettings = {
  // Larger than the limit of frames, so that a frame somewhat over it can be refused by name.
  maxPayloadLength: 256 * 1024,
  // A safety net under the limit of unread bytes: past this limit Bun drops messages silently, unless it closes.
  backpressureLimit: 1024 * 1024,
  closeOnBackpressureLimit: true,
  /** Seconds. Pings find a dead peer sooner; this ends sockets that are not pinged. */
  idleTimeout: 60,
  sendPings: false,
} as const satisfies SocketSettings;

/** What the `data` of a socket is told by `passOn`; Elysia tells it the same. */
export interface SocketEvents {
  open(ws: ServerWebSocket<SocketEvents>): void;
  message(ws: ServerWebSocket<SocketEvents>, frame: string | Buffer): void;
  drain(): void;
  close(ws: ServerWebSocket<SocketEvents>, code: number): void;
}

/** Handlers for `Bun.serve` that pass each event on to the `data` of its socket. */
export const passOn: Pick<
  WebSocketHandler<SocketEvents>,
  "open" | "message" | "drain" | "close"
> = {
  open: (ws) => ws.data.open(ws),
  message: (ws, frame) => ws.data.message(ws, frame),
  drain: (ws) => ws.data.drain(),
  close: (ws, code) => ws.data.close(ws, code),
};

export type BunServer = Server<unknown>;

export interface Scheduler {
  schedule: (delayMs: number, task: () => void) => () => void;
  /** Runs `task` when everything that has arrived by now has been processed. */
  defer: (task: () => void) => void;
}

/** Upgrades a request; `false` if it is not a WebSocket handshake. `data` is passed on to `createContext` and `onClose`. */
export type UpgradeSocket<Data> = (server: BunServer, request: Request, data: Data) => boolean;

/**
 * @param unreadBytesMax bytes that a peer may leave unread, besides one message. Past that its socket is closed, so that it
 * reconnects and resumes.
 */
export function createUpgrade<Data>(
  scheduler: Scheduler,
  accept: AcceptSocket<Data>,
  unreadBytesMax: number,
): UpgradeSocket<Data> {
  const batcher = new WriteBatcher(scheduler, unreadBytesMax);
  return (server, request, data) => {
    const { pathname, search } = new URL(request.url);
    // Copied, as Bun's own object is not readable after the upgrade.
    const headers = new Headers(request.headers);
    const upgrade = { url: pathname + search, headers, data };
    return server.upgrade(request, { data: new SocketData(accept, upgrade, batcher) });
  };
}

/**
 * Has each socket write once, when everything that has arrived is processed, all that it was sent until then. Writing to the
 * kernel is most of what a signal costs; a frame may hold several calls, and under load several frames are processed in a row.
 */
class WriteBatcher {
  readonly scheduler: Scheduler;
  readonly unreadBytesMax: number;
  #due: BunSocket[] = [];

  constructor(scheduler: Scheduler, unreadBytesMax: number) {
    this.scheduler = scheduler;
    this.unreadBytesMax = unreadBytesMax;
  }

  add(socket: BunSocket): void {
    if (this.#due.push(socket) === 1) this.scheduler.defer(this.#flush);
  }

  readonly #flush = () => {
    const due = this.#due;
    this.#due = [];
    for (const socket of due) socket.flush();
  };
}

// Classes, as there is one of each per socket, and closures would cost memory for each of them.

class BunSocket implements Socket {
  readonly #ws: ServerWebSocket<SocketEvents>;
  readonly #batcher: WriteBatcher;
  /** What was sent since the last write. */
  #unwritten: string | string[] | undefined;
  #whenWritable: (() => void)[] | undefined;
  #cancelTermination: (() => void) | undefined;
  open = true;

  constructor(ws: ServerWebSocket<SocketEvents>, batcher: WriteBatcher) {
    this.#ws = ws;
    this.#batcher = batcher;
  }

  get congested(): boolean {
    let bytes = this.#ws.getBufferedAmount();
    for (const text of [this.#unwritten ?? []].flat()) bytes += text.length;
    return bytes > congestedBytes;
  }

  send(text: string): void {
    if (!this.open) return;
    if (this.#unwritten === undefined) {
      this.#unwritten = text;
      this.#batcher.add(this);
    } else if (typeof this.#unwritten === "string") this.#unwritten = [this.#unwritten, text];
    else this.#unwritten.push(text);
  }

  whenWritable(task: () => void): void {
    (this.#whenWritable ??= []).push(task);
  }

  flush(): void {
    const unwritten = this.#unwritten;
    this.#unwritten = undefined;
    if (unwritten === undefined || !this.open) return;
    if (typeof unwritten === "string") this.#write(unwritten);
    else
      this.#ws.cork(() => {
        for (const text of unwritten) this.#write(text);
      });
    if (this.#whenWritable) this.drained();
  }

  /** The kernel has taken something: those who wait for it may go on. */
  drained(): void {
    const waiting = this.#whenWritable;
    if (!waiting || !this.open || this.congested) return;
    this.#whenWritable = undefined;
    for (const task of waiting) task();
  }

  #write(text: string): void {
    if (!this.open) return;
    const sent = this.#ws.send(text);
    // Dropped: what came after it would hide the gap.
    if (sent === 0) this.terminate();
    // Only after a write that has to wait is it worth checking how much waits. A large message is no fault of its reader.
    else if (sent < 0 && this.#ws.getBufferedAmount() - text.length > this.#batcher.unreadBytesMax)
      this.close(closeCodes.slowConsumer, "slow consumer");
  }

  close(code: number, reason: string): void {
    this.flush();
    if (!this.open) return;
    this.open = false;
    this.#ws.close(code, reason);
    // A peer that reads nothing never gets to the close frame.
    const { schedule } = this.#batcher.scheduler;
    this.#cancelTermination = schedule(closingMs, () => this.#ws.terminate());
  }

  terminate(): void {
    this.open = false;
    this.#ws.terminate();
  }

  /** The socket has closed. */
  end(): void {
    this.open = false;
    this.#cancelTermination?.();
  }
}

/** Receives the events of one socket: Bun's server calls these as methods. */
class SocketData<Data> implements SocketEvents {
  /** What it is opened with; released then. */
  #opening:
    | { accept: AcceptSocket<Data>; request: UpgradeRequest<Data>; batcher: WriteBatcher }
    | undefined;
  #socket: BunSocket | undefined;
  #listener: SocketListener | undefined;

  constructor(accept: AcceptSocket<Data>, request: UpgradeRequest<Data>, batcher: WriteBatcher) {
    this.#opening = { accept, request, batcher };
  }

  open(ws: ServerWebSocket<SocketEvents>): void {
    if (!this.#opening) return;
    const { accept, request, batcher } = this.#opening;
    this.#opening = undefined;
    this.#socket = new BunSocket(ws, batcher);
    this.#listener = accept(this.#socket, request);
  }

  message(_: unknown, frame: string | Buffer): void {
    if (this.#socket?.open) this.#listener?.message(frame);
  }

  drain(): void {
    this.#socket?.drained();
  }

  close(_: unknown, code: number): void {
    this.#socket?.end();
    this.#listener?.close(code);
  }
}
