/** Binds sockets to Bun's server, which hands raw frames to whatever `data` an upgrade was given. */
import type { Server, ServerWebSocket } from "bun";
import type { AcceptSocket, Socket, SocketListener } from "./socket.ts";

/**
 * Server-wide settings of Bun's WebSockets. A frame somewhat over our limit is still read, so that it can be
 * refused by name. Past the backpressure limit Bun drops messages without a word unless it closes.
 */
export const bunSocketSettings = {
  maxPayloadLength: 256 * 1024,
  backpressureLimit: 256 * 1024,
  closeOnBackpressureLimit: true,
  /** Seconds; pings come every 10 s, so this only ends what has no pings left. */
  idleTimeout: 60,
  sendPings: false,
} as const;

interface SocketData {
  open(ws: ServerWebSocket<SocketData>): void;
  message(ws: ServerWebSocket<SocketData>, data: string | Buffer): void;
  drain(): void;
  close(): void;
}

/** Upgrades a request; `false` if it is not a WebSocket's. */
export function upgradeSocket(
  server: Server<unknown>,
  request: Request,
  accept: AcceptSocket,
): boolean {
  const { pathname, search } = new URL(request.url);
  let listener: SocketListener | undefined;
  let open = true;

  const data: SocketData = {
    open(ws) {
      const socket: Socket = {
        get open() {
          return open;
        },
        send(text) {
          // 0: it is gone, or was dropped for what it had not taken. Its close event tells the rest.
          if (open && ws.send(text) === 0) open = false;
        },
        close(code, reason) {
          open = false;
          ws.close(code, reason);
        },
        terminate() {
          open = false;
          ws.terminate();
        },
      };
      listener = accept(socket, { url: pathname + search });
    },
    message(_, frame) {
      listener?.message(frame);
    },
    drain() {},
    close() {
      open = false;
      listener?.close();
    },
  };
  return server.upgrade(request, { data });
}
