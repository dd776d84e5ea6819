/**
 * tRPC's own WebSocket handler over our abstract socket, as it comes: what ours is held against, and measured
 * beside. It expects the `ws` package's EventEmitter.
 */
import { EventEmitter } from "node:events";
import { getWSConnectionHandler } from "@trpc/server/adapters/ws";
import { limits } from "../../src/protocol.ts";
import type { SocketsOptions } from "./trpc-sockets.ts";
import type { AcceptSocket, Socket, UpgradeRequest } from "../../src/trpc-ws/socket.ts";

const openState = 1;
const closedState = 3;

/** Takes what ours takes; its timers are the process' own. */
export function createStockSockets<Context>(
  options: Omit<SocketsOptions<Context>, "elapsed" | "schedule" | "fastPath">,
): AcceptSocket<unknown> {
  const { pingMs, pongWaitMs } = options.deadlines;
  const handle = getWSConnectionHandler({
    router: options.router,
    createContext: ({ info, res }: { info: { connectionParams: unknown }; res: unknown }) =>
      options.createContext(
        { ...(info.connectionParams as object | null) },
        (res as Shim).socket,
        (res as Shim).upgrade,
      ) as object,
    onError: ({ error, path }) => options.onError(error, path),
    keepAlive: { enabled: true, pingMs, pongWaitMs },
    maxBatchSize: limits.batchCallsMax,
    wss: undefined as never,
  });

  return (socket, upgrade) => {
    const shim = new Shim(socket, upgrade);
    handle(shim as never, { url: upgrade.url, headers: {}, socket: {} } as never);
    return {
      message: (data) => {
        shim.emit("message", Buffer.from(data as string), typeof data !== "string");
      },
      close: () => void shim.emit("close"),
    };
  };
}

/** As much of the `ws` package's WebSocket as tRPC's handler uses. */
class Shim extends EventEmitter {
  readonly socket: Socket;
  readonly upgrade: UpgradeRequest<unknown>;

  constructor(socket: Socket, upgrade: UpgradeRequest<unknown>) {
    super();
    this.socket = socket;
    this.upgrade = upgrade;
  }

  get readyState() {
    return this.socket.open ? openState : closedState;
  }

  send(text: string) {
    this.socket.send(text);
  }

  close(code = 1000, reason = "") {
    this.socket.close(code, reason);
  }

  terminate() {
    this.socket.terminate();
  }
}
