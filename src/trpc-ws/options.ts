/** The options of the binding. */
import type { AnyTRPCRouter, TRPCError, TRPCProcedureType } from "@trpc/server";
import type { Socket, UpgradeRequest } from "./socket.ts";

export interface TrpcWebSocketOptions<Context, Data> {
  router: AnyTRPCRouter;
  /**
   * Called once per socket: after the first message if the URL announces connection parameters (`?connectionParams=1`),
   * else when the socket opens. While a promise is pending, calls wait. What it throws or rejects with is sent to the
   * client, and the socket is closed: no procedure runs without a context.
   */
  createContext: (connect: ConnectRequest<Data>) => Context | PromiseLike<Context>;
  /**
   * Called for everything that is refused or fails. `path` is undefined for a procedure that does not exist, whose name the
   * client made up. What it throws is ignored.
   */
  onError?: (failure: Failure<Context>) => void;
  /**
   * A shortcut for frames that can be answered without being parsed: `true` if it has answered, or will. Called only once
   * there is a context. Must not throw.
   */
  fastPath?: (frame: string, context: Context, reply: FastReply) => boolean;
  /** The code with which a socket is closed that has no context because of this error. Default: 1000, after which most clients reconnect. */
  closeCodeOf?: (error: TRPCError) => number;
  /** Called once for each socket that has closed, with the code that it was closed by (RFC 6455, 7.4.1). */
  onClose?: (data: Data, code: number) => void;
  limits?: Partial<TrpcWebSocketLimits>;
  keepAlive?: KeepAliveOptions;
  /** How long the first message, and `createContext`, may take (milliseconds). Default: 10,000. */
  initTimeoutMs?: number;
  /** A monotonic clock (milliseconds), such as `performance.now`. */
  elapsed: () => number;
  /** Runs `task` once after `delayMs` milliseconds, as `setTimeout` does; the returned function cancels it. */
  schedule: (delayMs: number, task: () => void) => () => void;
}

/** What `createContext` may base a context on. */
export interface ConnectRequest<Data> extends UpgradeRequest<Data> {
  /** Those that the client sent, or none. */
  readonly connectionParams: Readonly<Record<string, unknown>>;
  /** For a context that has to close it, or to ask its client to reconnect (see `askToReconnect`). */
  readonly socket: Pick<Socket, "open" | "close" | "send">;
}

export interface Failure<Context = unknown> {
  error: TRPCError;
  path: string | undefined;
  type: TRPCProcedureType | "unknown";
  /** As the client sent it, before any parser. */
  input: unknown;
  /** Undefined until there is one. */
  ctx: Context | undefined;
}

/** What a fast path answers with. */
export interface FastReply {
  /**
   * Counts so many more calls than the one that every frame is counted as. `false` if that is past the limit: the socket has
   * been closed, and nothing may be carried out.
   */
  charge(calls: number): boolean;
  /** Sends a whole response. */
  send(text: string): void;
  /** Sends the error as the response to the call, in the shape of the router's formatter. */
  fail(call: FastCall, cause: unknown): void;
}

export interface FastCall {
  id: number;
  path: string;
  type: TRPCProcedureType;
}

export interface TrpcWebSocketLimits {
  /** Bytes of one frame. Larger ones are refused, each call in them by its id. Default: 1,048,576. */
  frameBytesMax: number;
  /** Calls in one frame. Default: 128. */
  batchCallsMax: number;
  /** Subscriptions that one socket may have open; further ones are refused. Default: 1000. */
  subscriptionsMax: number;
  /** Frames that wait for `createContext`; past that the socket is closed. Default: 16. */
  pendingFramesMax: number;
  /**
   * Calls of one socket, counted on parsed frames: refused, malformed and unknown ones too, since refusing costs as much.
   * A socket that exceeds it is closed. Default: 300 a second after a burst of 3000. `perS: 0`: no limit.
   */
  calls: { perS: number; burst: number };
}

export const defaultLimits: TrpcWebSocketLimits = {
  frameBytesMax: 1024 * 1024,
  batchCallsMax: 128,
  subscriptionsMax: 1000,
  pendingFramesMax: 16,
  calls: { perS: 300, burst: 3000 },
};

export interface KeepAliveOptions {
  /** Without it sockets are not pinged, and one whose peer has vanished stays open. Default: true. */
  enabled?: boolean;
  /** The peer is pinged after so many milliseconds without a message of its own. Default: 10,000. */
  pingMs?: number;
  /** How long the answer to a ping may take (milliseconds). Default: 5,000. */
  pongWaitMs?: number;
}

export const defaultInitTimeoutMs = 10_000;
