/** The binding as a library for any router: what its options promise, over real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { initTRPC, tracked, TRPCError } from "@trpc/server";
import { createSystem } from "../../../src/system.ts";
import { bunSocketSettings, createUpgrade } from "../../../src/trpc-ws/bun.ts";
import { closeCodes } from "../../../src/trpc-ws/close-codes.ts";
import type {
  ConnectRequest,
  Failure,
  TrpcWebSocketOptions,
} from "../../../src/trpc-ws/options.ts";
import { TrpcWebSocket } from "../../../src/trpc-ws/trpc-web-socket.ts";
import { until } from "../../support/until.ts";

interface Context {
  user: string;
}

const t = initTRPC.context<Context>().create();
const chunk = "x".repeat(50_000);
const chunks = 100;
let produced = 0;
const router = t.router({
  whoAmI: t.procedure.query(({ ctx }) => ctx.user),
  fail: t.procedure
    .input((input: unknown) => input)
    .mutation(() => {
      throw new TRPCError({ code: "FORBIDDEN", message: "not you" });
    }),
  large: t.procedure.subscription(async function* () {
    for (let n = 0; n < chunks; n++) {
      produced = n + 1;
      yield tracked(String(n), chunk);
    }
  }),
});

const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});

type Options = Partial<TrpcWebSocketOptions<Context, string>>;

function serve(options: Options = {}) {
  const system = createSystem();
  const failures: Failure[] = [];
  const sockets = new TrpcWebSocket<Context, string>({
    router,
    createContext: () => ({ user: "anybody" }),
    onError: (failure) => void failures.push(failure),
    elapsed: system.elapsed,
    schedule: system.schedule,
    ...options,
  });
  const upgrade = createUpgrade<string>(system, (socket, request) =>
    sockets.accept(socket, request),
  );
  interface Listener {
    open(ws: unknown): void;
    message(ws: unknown, frame: unknown): void;
    drain(): void;
    close(): void;
  }
  const server = Bun.serve<Listener>({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request, bun) =>
      upgrade(bun as never, request, "the host's own value") ? undefined : new Response("no"),
    websocket: {
      ...bunSocketSettings,
      open: (ws) => ws.data.open(ws),
      message: (ws, frame) => ws.data.message(ws, frame),
      drain: (ws) => ws.data.drain(),
      close: (ws) => ws.data.close(),
    },
  });
  running.push(() => server.stop(true));
  return { sockets, failures, url: server.url.href.replace("http", "ws") };
}

function connect(url: string, connectionParams?: Record<string, string>) {
  const socket = createWSClient({
    url,
    retryDelayMs: () => 10,
    ...(connectionParams && { connectionParams: async () => connectionParams }),
  });
  running.push(async () => void (await socket.close()));
  return createTRPCClient<typeof router>({ links: [wsLink({ client: socket })] });
}

/** A socket without a client, and what it receives. */
async function openRaw(url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(url, { headers } as never);
  const received: unknown[] = [];
  const waiting: (() => void)[] = [];
  const closed = Promise.withResolvers<CloseEvent>();
  socket.addEventListener("message", ({ data }) => {
    received.push(data);
    for (const wake of waiting.splice(0)) wake();
  });
  socket.addEventListener("close", (event) => closed.resolve(event));
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  running.push(async () => socket.close());
  return {
    socket,
    received,
    closed: closed.promise,
    async next() {
      while (received.length === 0) await new Promise<void>((resolve) => waiting.push(resolve));
      return JSON.parse(String(received.shift())) as {
        id: unknown;
        result?: unknown;
        error?: object;
      };
    },
  };
}

const whoAmI = (id: number) => JSON.stringify({ id, method: "query", params: { path: "whoAmI" } });

describe("the context", () => {
  test("is made of the request's URL and headers, the parameters and the host's value", async () => {
    const requests: ConnectRequest<string>[] = [];
    const { url } = serve({
      createContext(request) {
        requests.push(request);
        return { user: request.headers.get("cookie") ?? "" };
      },
    });
    const raw = await openRaw(`${url}trpc?connectionParams=1`, { cookie: "user=alice" });
    raw.socket.send(JSON.stringify({ method: "connectionParams", data: { room: "7" } }));
    raw.socket.send(whoAmI(1));
    expect(await raw.next()).toMatchObject({ id: 1, result: { data: "user=alice" } });
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({
      url: "/trpc?connectionParams=1",
      connectionParams: { room: "7" },
      data: "the host's own value",
    });
  });

  test("may be a promise: calls wait for it, in order", async () => {
    const context = Promise.withResolvers<Context>();
    const { url } = serve({ createContext: () => context.promise });
    const raw = await openRaw(url);
    for (const id of [1, 2, 3]) raw.socket.send(whoAmI(id));
    raw.socket.send("PING");
    // The keep-alive does not wait for it.
    await until("the PONG has arrived", () => raw.received.length > 0);
    expect(raw.received.splice(0)).toEqual(["PONG"]);
    context.resolve({ user: "alice" });
    for (const id of [1, 2, 3])
      expect(await raw.next()).toMatchObject({ id, result: { data: "alice" } });
  });

  for (const [how, refuse] of [
    [
      "throws",
      () => {
        throw new TRPCError({ code: "UNAUTHORIZED", message: "who are you?" });
      },
    ],
    [
      "rejects",
      () => Promise.reject(new TRPCError({ code: "UNAUTHORIZED", message: "who are you?" })),
    ],
  ] as [string, () => Promise<Context>][])
    test(`that ${how} is sent as an error, no call is made, and the socket is closed`, async () => {
      const { url, failures } = serve({ createContext: refuse });
      const raw = await openRaw(url);
      raw.socket.send(whoAmI(1));
      expect(await raw.next()).toMatchObject({
        id: null,
        error: { data: { code: "UNAUTHORIZED" } },
      });
      expect((await raw.closed).code).toBe(1000);
      expect(failures[0]).toMatchObject({ path: undefined, type: "unknown" });
      expect(raw.received.filter((text) => String(text).includes('"result"'))).toEqual([]);
    });

  test("that never comes closes the socket in time, and so does a flood of calls that wait", async () => {
    const never = new Promise<Context>(() => {});
    const slow = await openRaw(serve({ createContext: () => never, initTimeoutMs: 50 }).url);
    expect((await slow.closed).code).toBe(closeCodes.initTimeout);
    const { url } = serve({ createContext: () => never, limits: { pendingFramesMax: 3 } });
    const hasty = await openRaw(url);
    for (let id = 0; id < 4; id++) hasty.socket.send(whoAmI(id));
    expect((await hasty.closed).code).toBe(closeCodes.tooManyRequests);
  });

  test("is awaited by tRPC's own client as well", async () => {
    const { url } = serve({
      createContext: async ({ connectionParams: { user } }) => ({ user: String(user) }),
    });
    expect(await connect(url, { user: "bob" }).whoAmI.query()).toBe("bob");
  });
});

describe("a source that is faster than its socket", () => {
  test("waits for it: 5 MB arrive whole, in order and once, at a client that reads late", async () => {
    produced = 0;
    const { url, failures } = serve();
    const client = connect(url);
    const ids: number[] = [];
    let bytes = 0;
    let producedAtFirst: number | undefined;
    await new Promise<void>((resolve, reject) => {
      client.large.subscribe(undefined, {
        onData({ id, data }) {
          producedAtFirst ??= produced;
          ids.push(Number(id));
          bytes += data.length;
          // The reader is busy: the socket fills up.
          const until = performance.now() + 2;
          while (performance.now() < until);
        },
        onComplete: resolve,
        onError: reject,
      });
    });
    expect(ids).toEqual(Array.from({ length: chunks }, (_, n) => n));
    expect(bytes).toBe(chunk.length * chunks);
    expect(producedAtFirst).toBeLessThan(chunks);
    expect(failures).toEqual([]);
  }, 30_000);
});

describe("the options", () => {
  test("name the limits of frames, batches and calls", async () => {
    const { url, failures } = serve({
      limits: { frameBytesMax: 200, batchCallsMax: 2, calls: { perS: 1, burst: 8 } },
    });
    const raw = await openRaw(url);
    raw.socket.send(JSON.stringify({ ...JSON.parse(whoAmI(1)), padding: "x".repeat(200) }));
    expect(await raw.next()).toMatchObject({ id: 1, error: { data: { code: "BAD_REQUEST" } } });
    raw.socket.send(`[${[2, 3, 4].map(whoAmI).join(",")}]`);
    for (const id of [2, 3, 4]) expect(await raw.next()).toMatchObject({ id, error: {} });
    expect(failures.map(({ error }) => error.message)).toEqual([
      "A frame must be at most 200 bytes",
      "Batch call exceeds maximum size",
    ]);
    for (let id = 5; id < 10; id++) raw.socket.send(whoAmI(id));
    expect((await raw.closed).code).toBe(closeCodes.tooManyRequests);
  });

  test("switch the keep-alive off, and on", async () => {
    const keepAlive = { pingMs: 20, pongWaitMs: 20 };
    const silent = await openRaw(serve({ keepAlive: { ...keepAlive, enabled: false } }).url);
    const pinged = await openRaw(serve({ keepAlive }).url);
    // By the time the one is closed for its silence, the other would have been, too.
    await pinged.closed;
    expect(pinged.received).toEqual(["PING"]);
    expect(silent.received).toEqual([]);
    expect(silent.socket.readyState).toBe(WebSocket.OPEN);
  });

  test("report failures with path, type and input; never a path that the client made up", async () => {
    const { url, failures } = serve();
    const client = connect(url);
    await client.fail.mutate({ secret: 1 } as never).catch(() => {});
    const raw = await openRaw(url);
    raw.socket.send(JSON.stringify({ id: 1, method: "query", params: { path: "made up" } }));
    await raw.next();
    expect(failures).toMatchObject([
      { path: "fail", type: "mutation", input: { secret: 1 }, error: { code: "FORBIDDEN" } },
      { path: undefined, type: "query", error: { code: "NOT_FOUND" } },
    ]);
  });

  test("tell of each socket once that it has closed, with the host's value", async () => {
    const closed: string[] = [];
    const gone = Promise.withResolvers<void>();
    const { url, sockets } = serve({
      onClose(data) {
        closed.push(data);
        gone.resolve();
      },
    });
    const raw = await openRaw(url);
    expect(sockets.size).toBe(1);
    raw.socket.close();
    await gone.promise;
    expect(closed).toEqual(["the host's own value"]);
    expect(sockets.size).toBe(0);
  });
});
