/** A host application with the server as a plugin, and peers on tRPC's own client. */
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { Elysia } from "elysia";
import type { PeerEvent } from "../../src/protocol.ts";
import type { FactsDeclaration, NoFacts } from "../../src/protocol/declaration.ts";
import type { AppRouter } from "../../src/rpc/router.ts";
import { createPeerStream, type PeerStreamOptions } from "../../src/server.ts";
import { ends } from "./ends.ts";
import { until } from "./until.ts";

export const silent = { debug() {}, info() {}, warn() {}, error() {}, bug: console.error };

/** A host with a route of its own, and a peer stream under a prefix. */
export function startHost<const Declared extends FactsDeclaration = NoFacts>(
  options: PeerStreamOptions<Declared> = {},
  prefix = "/strangers",
) {
  const strangers = createPeerStream({ development: true, log: silent, ...options });
  const host = new Elysia({ websocket: strangers.websocket })
    .get("/own", () => "the host's own")
    .use(new Elysia({ prefix }).use(strangers.plugin))
    .listen({ port: 0, hostname: "127.0.0.1" });
  const at = `127.0.0.1:${host.server?.port}${prefix}`;
  ends.push(async () => {
    await strangers.stop();
    await host.stop(true);
  });
  return { strangers, host, http: `http://${at}`, ws: `ws://${at}/trpc` };
}

export interface Given {
  auth?: unknown;
  cookie?: string;
  token?: string;
}

/** A peer on tRPC's own client. */
export function connect(ws: string, given: Given = {}) {
  const told: PeerEvent[] = [];
  const errors: { reason?: string; retryAfterMs?: number }[] = [];
  const closed: number[] = [];
  let token = given.token;
  let opened = 0;
  class WithCookie extends WebSocket {
    constructor(url: string | URL) {
      super(url, { headers: given.cookie === undefined ? {} : { cookie: given.cookie } } as never);
      opened += 1;
      this.addEventListener("close", ({ code }) => closed.push(code));
      this.addEventListener("message", ({ data }) => {
        if (!String(data).startsWith("{")) return;
        const message = JSON.parse(String(data)) as {
          id: null;
          error?: { data: { reason: string; retryAfterMs?: number } };
        };
        if (message.id === null && message.error) errors.push(message.error.data);
      });
    }
  }
  const socket = createWSClient({
    url: ws,
    WebSocket: WithCookie as typeof WebSocket,
    retryDelayMs: () => 50,
    connectionParams: async () => ({
      ...(token !== undefined && { token }),
      ...(given.auth !== undefined && { auth: String(given.auth) }),
    }),
  });
  const client = createTRPCClient<AppRouter>({ links: [wsLink({ client: socket })] });
  const subscription = client.events.subscribe(
    {},
    {
      onData({ data }) {
        if (data.type === "session") token = data.token;
        told.push(data as PeerEvent);
      },
      onError: (error) => errors.push(error.data ?? {}),
    },
  );
  ends.push(() => {
    subscription.unsubscribe();
    socket.close();
  });
  const next = async <Type extends PeerEvent["type"]>(type: Type) => {
    const found = () =>
      told.find((event): event is Extract<PeerEvent, { type: Type }> => event.type === type);
    await until(
      `a ${type} event, after ${told.map((one) => one.type).join()}`,
      () => found() !== undefined,
    );
    const event = found();
    if (!event) throw new Error("it was there a moment ago");
    told.splice(told.indexOf(event), 1);
    return event;
  };
  return { client, socket, told, errors, closed, next, token: () => token, opened: () => opened };
}
