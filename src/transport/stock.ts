/** tRPC's own WebSocket handler over an abstract socket: it expects the `ws` package's EventEmitter. */
import { EventEmitter } from "node:events";
import { getTRPCErrorShape, TRPCError, type AnyTRPCRouter } from "@trpc/server";
import { getWSConnectionHandler } from "@trpc/server/adapters/ws";
import { limits } from "../protocol.ts";
import { closeCodes } from "./close-codes.ts";
import type { AcceptSocket, Socket, Upgrade } from "./socket.ts";

export interface StockOptions<Context> {
  router: AnyTRPCRouter;
  /** Once per socket, after the first message where connection parameters are announced. */
  createContext: (params: Record<string, unknown>, socket: Socket, upgrade: Upgrade) => Context;
  onError: (error: TRPCError, path: string | undefined) => void;
  deadlines: SocketDeadlines;
  schedule: (delayMs: number, task: () => void) => () => void;
}

/** In milliseconds. */
export interface SocketDeadlines {
  /** An application ping after this much quiet from the peer, whatever is sent to it. */
  pingMs: number;
  /** How long its answer may take. */
  pongWaitMs: number;
  /** How long the first message may take where the URL announces one (`connectionParams=1`). */
  firstMessageMs: number;
}

export const defaultDeadlines: SocketDeadlines = {
  pingMs: 10_000,
  pongWaitMs: 5_000,
  firstMessageMs: 10_000,
};

const openState = 1;
const closedState = 3;

export function createStockHandler<Context>(options: StockOptions<Context>): AcceptSocket {
  const { router, onError, deadlines, schedule } = options;

  const handle = getWSConnectionHandler({
    router,
    createContext: ({ info, res }: { info: { connectionParams: unknown }; res: unknown }) =>
      options.createContext(
        { ...(info.connectionParams as object | null) },
        (res as Shim).socket,
        (res as Shim).upgrade,
      ) as object,
    onError: ({ error, path }) => onError(error, path),
    keepAlive: { enabled: true, pingMs: deadlines.pingMs, pongWaitMs: deadlines.pongWaitMs },
    maxBatchSize: limits.batchCallsMax,
    wss: undefined as never,
  });

  return (socket, upgrade) => {
    const shim = new Shim(socket, upgrade);
    let beginning = upgrade.url.includes("connectionParams=1")
      ? schedule(deadlines.firstMessageMs, () => socket.close(closeCodes.mute, "no first message"))
      : undefined;
    handle(shim as never, { url: upgrade.url, headers: {}, socket: {} } as never);
    return {
      message(data) {
        const isBinary = typeof data !== "string";
        if (beginning && data !== "PING" && data !== "PONG") {
          beginning();
          beginning = undefined;
        }
        const frame = Buffer.from(data as string);
        if (frame.byteLength <= limits.frameBytesMax) shim.emit("message", frame, isBinary);
        else for (const answer of refuseFrame(router, frame)) socket.send(answer);
      },
      close() {
        beginning?.();
        shim.emit("close");
      },
    };
  };
}

/** As much of the `ws` package's WebSocket as tRPC's handler uses. */
class Shim extends EventEmitter {
  readonly socket: Socket;
  readonly upgrade: Upgrade;

  constructor(socket: Socket, upgrade: Upgrade) {
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

/** Answers every call of an oversize frame, so that none is waited for; only their ids are read. */
function refuseFrame(router: AnyTRPCRouter, frame: Buffer): string[] {
  const error = getTRPCErrorShape({
    config: router._def._config,
    error: new TRPCError({
      code: "BAD_REQUEST",
      message: `A frame must be at most ${limits.frameBytesMax} bytes`,
    }),
    type: "unknown",
    path: undefined,
    input: undefined,
    ctx: undefined,
  });
  const ids = idsIn(frame);
  return (ids.length === 0 ? [null] : ids).map((id) => JSON.stringify({ id, error }));
}

function idsIn(frame: Buffer): (string | number)[] {
  try {
    const parsed: unknown = JSON.parse(frame.toString("utf8"));
    const calls: unknown[] = Array.isArray(parsed) ? parsed : [parsed];
    return calls.slice(0, limits.batchCallsMax).flatMap((call) => {
      const id = typeof call === "object" && call !== null && "id" in call ? call.id : undefined;
      return typeof id === "string" || typeof id === "number" ? [id] : [];
    });
  } catch {
    return [];
  }
}
