/** tRPC v11's WebSocket protocol for all sockets of a server: what `wsLink` of `@trpc/client` speaks. */
import { closeCodes } from "./close-codes.ts";
import { Connection, type ConnectionParts } from "./connection.ts";
import { createInvoke } from "./invoke.ts";
import { KeepAliveWheel } from "./keep-alive.ts";
import { defaultInitTimeoutMs, defaultLimits, type TrpcWebSocketOptions } from "./options.ts";
import { createResponseEncoder } from "./responses.ts";
import type { Socket, SocketListener, UpgradeRequest } from "./socket.ts";

const reconnectNotice = JSON.stringify({ id: null, method: "reconnect" });

/** Asks the client to open a new connection, move its subscriptions there, and close this one (make before break). */
export function askToReconnect(socket: Pick<Socket, "send">): void {
  socket.send(reconnectNotice);
}

export class TrpcWebSocket<Context, Data> {
  readonly #parts: ConnectionParts<Context, Data>;
  readonly #schedule: (delayMs: number, task: () => void) => () => void;
  readonly #connections = new Set<Connection<Context, Data>>();
  #onEmpty: (() => void) | undefined;

  constructor(options: TrpcWebSocketOptions<Context, Data>) {
    const { router, keepAlive = {}, elapsed, schedule } = options;
    const { enabled = true, pingMs = 10_000, pongWaitMs = 5000 } = keepAlive;
    this.#schedule = schedule;
    this.#parts = {
      options,
      elapsed,
      schedule,
      limits: { ...defaultLimits, ...options.limits },
      initTimeoutMs: options.initTimeoutMs ?? defaultInitTimeoutMs,
      encoder: createResponseEncoder(router._def._config.transformer),
      invoke: createInvoke(router),
      wheel: enabled ? new KeepAliveWheel({ pingMs, pongWaitMs, elapsed, schedule }) : undefined,
      onClose: (connection, code) => this.#remove(connection, code),
    };
  }

  /** Takes a socket that has just opened. */
  accept(socket: Socket, request: UpgradeRequest<Data>): SocketListener {
    const connection = new Connection(this.#parts, socket, request.data);
    this.#connections.add(connection);
    connection.open(request);
    return connection;
  }

  /** Sockets that are open. */
  get size(): number {
    return this.#connections.size;
  }

  /** The sockets that have a context. */
  *contexts(): Iterable<{ context: Context; socket: Socket }> {
    for (const { context, socket } of this.#connections) if (context) yield { context, socket };
  }

  /** Asks every client at once to reconnect. */
  askToReconnect(): void {
    for (const { socket } of this.#connections) askToReconnect(socket);
  }

  /**
   * Asks the clients to reconnect one by one, spread over `windowMs` milliseconds, so that the server that takes them over
   * is not flooded. Resolves when all have closed, or the window is over.
   */
  async drain(windowMs: number): Promise<void> {
    const asked = [...this.#connections];
    if (asked.length === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      this.#schedule(windowMs, resolve);
    });
    for (const [index, { socket }] of asked.entries())
      this.#schedule((windowMs * index) / asked.length, () => askToReconnect(socket));
    await empty;
  }

  /** Closes every socket with the code that means reconnect. */
  closeAll(): void {
    for (const { socket } of this.#connections) socket.close(closeCodes.goingAway, "going away");
  }

  #remove(connection: Connection<Context, Data>, code: number): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
    this.#parts.options.onClose?.(connection.data, code);
  }
}
