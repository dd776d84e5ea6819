/** The binding under test and tRPC's own handler, made from the same options, so that tests can compare them. */
import type { AnyTRPCRouter, TRPCError } from "@trpc/server";
import { limits } from "../../src/protocol.ts";
import type { FastReply } from "../../src/trpc-ws/options.ts";
import type { AcceptSocket, Socket, UpgradeRequest } from "../../src/trpc-ws/socket.ts";
import { TrpcWebSocket } from "../../src/trpc-ws/trpc-web-socket.ts";

export interface SocketsOptions<Context> {
  router: AnyTRPCRouter;
  createContext: (
    params: Record<string, unknown>,
    socket: Pick<Socket, "close">,
    upgrade: UpgradeRequest<unknown>,
  ) => Context;
  onError: (error: TRPCError, path: string | undefined) => void;
  deadlines: { pingMs: number; pongWaitMs: number; firstMessageMs: number };
  elapsed: () => number;
  schedule: (delayMs: number, task: () => void) => () => void;
  fastPath?: (frame: string, context: Context, reply: FastReply) => boolean;
}

/** Without a limit on calls. */
export function createSockets<Context>(options: SocketsOptions<Context>): AcceptSocket<unknown> {
  const { router, createContext, onError, deadlines, elapsed, schedule, fastPath } = options;
  const sockets = new TrpcWebSocket<Context, unknown>({
    router,
    createContext: ({ connectionParams, socket, ...request }) =>
      createContext({ ...connectionParams }, socket, request),
    onError: ({ error, path }) => onError(error, path),
    keepAlive: deadlines,
    initTimeoutMs: deadlines.firstMessageMs,
    limits: { frameBytesMax: limits.frameBytesMax, calls: { perS: 0, burst: 1 } },
    elapsed,
    schedule,
    ...(fastPath && { fastPath }),
  });
  return (socket, request) => sockets.accept(socket, request);
}

/** A request of a socket whose context needs nothing of it. */
export const requestFor = (url: string): UpgradeRequest<unknown> => ({
  url,
  headers: new Headers(),
  data: undefined,
});

/** Makes a whole socket of an object: one that is never congested. */
export function fakeSocket<S extends Omit<Socket, "congested" | "whenWritable">>(
  methods: S,
): S & Socket {
  return Object.defineProperties(methods, {
    congested: { value: false },
    whenWritable: { value: (task: () => void) => task() },
  }) as S & Socket;
}
