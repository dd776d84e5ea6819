/** Binds sockets to Bun's server, which hands raw frames to whatever `data` an upgrade was given. */
import type { Server, ServerWebSocket } from "bun";
import { closeCodes } from "./close-codes.ts";
import type { AcceptSocket, Socket, SocketListener } from "./socket.ts";

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
  schedule: (delayMs: number, task: () => void) => () => void,
  addressHash: string,
): boolean {
  const { pathname, search } = new URL(request.url);
  let listener: SocketListener | undefined;
  let open = true;
  let cancelTermination = () => {};

  const data: SocketData = {
    open(ws) {
      const socket: Socket = {
        get open() {
          return open;
        },
        send(text) {
          if (!open) return;
          const sent = ws.send(text);
          if (sent === 0) open = false;
          // Only what has to wait is worth a look at how much waits.
          else if (sent < 0 && ws.getBufferedAmount() > unsentBytesMax)
            socket.close(closeCodes.tooSlow, "too slow");
        },
        close(code, reason) {
          if (!open) return;
          open = false;
          ws.close(code, reason);
          // One that reads nothing never gets to the close frame.
          cancelTermination = schedule(closingMs, () => ws.terminate());
        },
        terminate() {
          open = false;
          ws.terminate();
        },
      };
      listener = accept(socket, { url: pathname + search, addressHash });
    },
    message(_, frame) {
      if (open) listener?.message(frame);
    },
    drain() {},
    close() {
      open = false;
      cancelTermination();
      listener?.close();
    },
  };
  return server.upgrade(request, { data });
}
