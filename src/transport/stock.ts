/** tRPC's own WebSocket handler over an abstract socket: it expects the `ws` package's EventEmitter. */
import { EventEmitter } from "node:events";
import { getTRPCErrorShape, TRPCError, type AnyTRPCRouter } from "@trpc/server";
import { getWSConnectionHandler } from "@trpc/server/adapters/ws";
import { parseTRPCMessage, type Encoder } from "@trpc/server/unstable-core-do-not-import";
import { limits } from "../protocol.ts";
import { closeCodes } from "./close-codes.ts";
import type { AcceptSocket, Socket, Upgrade } from "./socket.ts";

export interface StockOptions<Context> {
  router: AnyTRPCRouter;
  /** Once per socket, after the first message where connection parameters are announced. */
  createContext: (params: Record<string, unknown>, socket: Socket, upgrade: Upgrade) => Context;
  /** @param path of a procedure that there is: another is what a peer has made up. */
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
    onError: ({ error, path = "" }) => {
      onError(error, Object.hasOwn(router._def.procedures, path) ? path : undefined);
    },
    keepAlive: { enabled: true, pingMs: deadlines.pingMs, pongWaitMs: deadlines.pongWaitMs },
    maxBatchSize: limits.batchCallsMax,
    experimental_encoder: answeringEncoder(router),
    wss: undefined as never,
  });

  return (socket, upgrade) => {
    const shim = new Shim(socket, upgrade);
    // Read as tRPC reads it, or a socket could make it wait without a deadline.
    const { searchParams } = new URL(upgrade.url, "ws://localhost");
    let beginning =
      searchParams.get("connectionParams") === "1"
        ? schedule(deadlines.firstMessageMs, () =>
            socket.close(closeCodes.mute, "no first message"),
          )
        : undefined;
    handle(shim as never, { url: upgrade.url, headers: {}, socket: {} } as never);
    return {
      message(data) {
        const isBinary = typeof data !== "string";
        const frame = Buffer.from(data as string);
        if (frame.byteLength <= limits.frameBytesMax) {
          if (data !== "PING" && data !== "PONG") {
            beginning?.();
            beginning = undefined;
          }
          shim.emit("message", frame, isBinary);
        } else for (const answer of refuseFrame(router, frame)) socket.send(answer);
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

/**
 * JSON, with a call to nowhere in the place of each malformed one: so it is answered under its own id, and the
 * other calls of its batch are made. tRPC's own would answer the whole frame once, under no id.
 */
function answeringEncoder(router: AnyTRPCRouter): Encoder {
  const { transformer } = router._def._config;
  function wellFormed(call: unknown): unknown {
    try {
      parseTRPCMessage(call, transformer);
      return call;
    } catch {
      const [id = null] = idsOf(call);
      return { id, method: "query", params: { path: "malformed call" } };
    }
  }
  return {
    encode: (answer) => JSON.stringify(answer),
    decode(frame) {
      if (typeof frame !== "string") throw new Error("JSON travels in text frames");
      const parsed: unknown = JSON.parse(frame);
      if (Array.isArray(parsed)) return parsed.map(wellFormed);
      return isConnectionParams(parsed) ? parsed : wellFormed(parsed);
    },
  };
}

/** The first message of a socket that announces one. */
function isConnectionParams(message: unknown): boolean {
  return (
    typeof message === "object" &&
    message !== null &&
    "method" in message &&
    message.method === "connectionParams" &&
    !("id" in message)
  );
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
    const calls: unknown[] = Array.isArray(parsed)
      ? parsed.slice(0, limits.batchCallsMax)
      : [parsed];
    return calls.flatMap(idsOf);
  } catch {
    return [];
  }
}

/** The id of whoever waits for an answer to this call, if that can be told. */
function idsOf(call: unknown): (string | number)[] {
  if (typeof call !== "object" || call === null || !("id" in call)) return [];
  if ("method" in call && call.method === "subscription.stop") return [];
  return typeof call.id === "string" || typeof call.id === "number" ? [call.id] : [];
}
