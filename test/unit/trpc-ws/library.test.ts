/** The binding as a library for any router: what its options promise, over real sockets. */
import { afterEach, describe, expect, test } from "bun:test";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { initTRPC, tracked, TRPCError } from "@trpc/server";
import { observable } from "@trpc/server/observable";
import { closeCodes } from "../../../src/trpc-ws/close-codes.ts";
import type { ConnectRequest, Failure } from "../../../src/trpc-ws/options.ts";
import { createTrpcWs, type TrpcWsOptions } from "../../../src/trpc-ws/trpc-ws.ts";
import { createTcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/until.ts";

interface Context {
  user: string;
}

const t = initTRPC.context<Context>().create();
const chunk = "x".repeat(50_000);
const chunks = 100;
let produced = 0;
let wholes = 0;
const router = t.router({
  whoAmI: t.procedure.query(({ ctx }) => ctx.user),
  fail: t.procedure
    .input((input: unknown) => input)
    .mutation(() => {
      throw new TRPCError({ code: "FORBIDDEN", message: "not you" });
    }),
  whole: t.procedure.input(Number).query(({ input }) => wholeOf(input)),
  wholeEvent: t.procedure.input(Number).subscription(async function* ({ input }) {
    yield wholeOf(input);
  }),
  /** An observable that emits all at once. */
  burst: t.procedure.subscription(() =>
    observable<string>(({ next }) => {
      for (let n = 0; n < chunks; n++) next(chunk);
    }),
  ),
  idle: t.procedure.subscription(({ signal }) => idle(signal)),
  large: t.procedure.subscription(async function* () {
    for (let n = 0; n < chunks; n++) {
      produced = n + 1;
      yield tracked(String(n), chunk);
    }
  }),
});

/** So many characters in one piece. */
function wholeOf(length: number): string {
  wholes += 1;
  return "x".repeat(length);
}

async function* idle(signal: AbortSignal | undefined) {
  yield "begun";
  await new Promise((resolve) => signal?.addEventListener("abort", resolve));
}

const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});

type Options = Partial<TrpcWsOptions<typeof router, string>>;

function serve(options: Options = {}) {
  const failures: Failure<Context>[] = [];
  const sockets = createTrpcWs<typeof router, string>({
    router,
    admit: () => "the host's own value",
    createContext: () => ({ user: "anybody" }),
    onError: (failure) => void failures.push(failure),
    ...options,
  });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: { "/trpc": sockets.upgrade },
    websocket: sockets.websocket,
    error: ({ message }) => new Response(message, { status: 500 }),
  });
  running.push(() => server.stop(true));
  return { sockets, failures, http: `${server.url.href}trpc`, url: `ws://${server.url.host}/trpc` };
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
    const raw = await openRaw(`${url}?connectionParams=1`, { cookie: "user=alice" });
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

describe("a client that reads nothing for a while", () => {
  /** A client behind a network that passes nothing on to it until it is told to. */
  async function connectDeaf(options: Options = {}) {
    const served = serve(options);
    const proxy = await createTcpProxy(new URL(served.http));
    running.push(async () => proxy[Symbol.asyncDispose]());
    const client = connect(`${proxy.ws}/trpc`);
    expect(await client.whoAmI.query()).toBe("anybody");
    proxy.deafen();
    return { ...served, client, proxy };
  }

  const collect = (client: ReturnType<typeof connect>, path: "large" | "wholeEvent") => {
    let bytes = 0;
    const finished = new Promise<number>((resolve, reject) => {
      const listener = { onComplete: () => resolve(bytes), onError: reject };
      if (path === "large")
        client.large.subscribe(undefined, {
          ...listener,
          onData: ({ data }) => (bytes += data.length),
        });
      else
        client.wholeEvent.subscribe(5_000_000, {
          ...listener,
          onData: (data) => (bytes += data.length),
        });
    });
    return finished;
  };

  test("gets all that a generator yields: the generator waits for it", async () => {
    produced = 0;
    const { client, proxy, sockets } = await connectDeaf({ limits: { unreadBytesMax: 100_000 } });
    const finished = collect(client, "large");
    let before = -1;
    // The kernel's buffers are full once no more is asked for.
    await until("the generator waits", async () => {
      const isStill = produced > 0 && produced === before;
      before = produced;
      await Bun.sleep(50);
      return isStill;
    });
    expect(produced).toBeLessThan(chunks);
    expect(sockets.size).toBe(1);
    proxy.thaw();
    expect(await finished).toBe(chunk.length * chunks);
  });

  test("gets a single event and a single answer that exceed what may be unread", async () => {
    const { client, proxy, sockets } = await connectDeaf({ limits: { unreadBytesMax: 100_000 } });
    wholes = 0;
    const finished = collect(client, "wholeEvent");
    await until("the event is on its way", () => wholes === 1);
    proxy.thaw();
    expect(await finished).toBe(5_000_000);
    proxy.deafen();
    const answer = client.whole.query(5_000_000);
    await until("the answer is on its way", () => wholes === 2);
    proxy.thaw();
    expect(await answer).toHaveLength(5_000_000);
    expect(sockets.size).toBe(1);
  });

  test("is closed when an observable, which can't wait, emits more than the limit", async () => {
    const closed = Promise.withResolvers<string>();
    const { client } = await connectDeaf({
      limits: { unreadBytesMax: 100_000 },
      onClose: closed.resolve,
    });
    client.burst.subscribe(undefined, {});
    await closed.promise;
  });

  test("is closed when more answers than the limit wait for it, and its client connects again", async () => {
    const closed: string[] = [];
    const { client, proxy } = await connectDeaf({
      limits: { unreadBytesMax: 100_000 },
      onClose: (data) => void closed.push(data),
    });
    const answers = Array.from({ length: 8 }, () =>
      client.whole.query(2_000_000).catch(() => "lost"),
    );
    await until("the socket is closed", () => closed.length === 1);
    proxy.cut();
    expect(await Promise.all(answers)).toContain("lost");
    expect(await client.whoAmI.query()).toBe("anybody");
  });
});

describe("an upgrade", () => {
  const handshake = {
    connection: "upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  };

  for (const [how, admit] of [
    ["at once", () => new Response("not you", { status: 403 })],
    ["later", async () => new Response("not you", { status: 403 })],
  ] as const)
    test(`is refused by an HTTP status, ${how}`, async () => {
      const { http, sockets } = serve({ admit });
      const refused = await fetch(http, { headers: handshake });
      expect([refused.status, await refused.text()]).toEqual([403, "not you"]);
      expect(sockets.size).toBe(0);
    });

  test("that fails is no socket", async () => {
    const { http, sockets } = serve({ admit: () => Promise.reject(new Error("no database")) });
    const failed = await fetch(http, { headers: handshake });
    expect([failed.status, await failed.text()]).toEqual([500, "no database"]);
    expect(sockets.size).toBe(0);
  });

  test("gets the value that is made of its request", async () => {
    const { url } = serve({
      admit: async ({ headers }) => `from ${headers.get("cookie")}`,
      createContext: ({ data }) => ({ user: data }),
    });
    const raw = await openRaw(url, { cookie: "user=alice" });
    raw.socket.send(whoAmI(1));
    expect(await raw.next()).toMatchObject({ result: { data: "from user=alice" } });
  });

  test("is needed: anything else is answered with 426", async () => {
    const { http } = serve();
    expect((await fetch(http)).status).toBe(426);
    expect((await fetch(http, { headers: { ...handshake, upgrade: "h2c" } })).status).toBe(426);
  });
});

describe("the options", () => {
  test("that make no sense are refused, all at once and by name", () => {
    expect(() =>
      createTrpcWs({
        router,
        createContext: () => ({ user: "" }),
        limits: { frameBytesMax: 0, batchCallsMax: Number.NaN },
        keepAlive: { pingMs: -1 },
      }),
    ).toThrow(new RangeError("must be positive: frameBytesMax, batchCallsMax, pingMs"));
  });

  test("name the limit of subscriptions: those that end make room", async () => {
    const { url } = serve({ limits: { subscriptionsMax: 2 } });
    const raw = await openRaw(url);
    const subscribe = (id: number) =>
      raw.socket.send(JSON.stringify({ id, method: "subscription", params: { path: "idle" } }));
    for (const id of [1, 2]) {
      subscribe(id);
      expect(await raw.next()).toMatchObject({ id, result: { type: "started" } });
      expect(await raw.next()).toMatchObject({ id, result: { data: "begun" } });
    }
    subscribe(3);
    expect(await raw.next()).toMatchObject({
      id: 3,
      error: { data: { code: "TOO_MANY_REQUESTS" } },
    });
    raw.socket.send(JSON.stringify({ id: 1, method: "subscription.stop" }));
    expect(await raw.next()).toMatchObject({ id: 1, result: { type: "stopped" } });
    subscribe(4);
    expect(await raw.next()).toMatchObject({ id: 4, result: { type: "started" } });
  });

  test("leave the time that a socket may be silent to the keep-alive", () => {
    const { sockets } = serve({ limits: { frameBytesMax: 2_000_000 } });
    expect(sockets.websocket.idleTimeout).toBe(0);
    expect(sockets.websocket.maxPayloadLength).toBeGreaterThan(2_000_000);
  });

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

  test("report failures with path, type, input and context; never a path that the client made up", async () => {
    const { url, failures } = serve();
    const client = connect(url);
    await client.fail.mutate({ secret: 1 } as never).catch(() => {});
    const raw = await openRaw(url);
    raw.socket.send(JSON.stringify({ id: 1, method: "query", params: { path: "made up" } }));
    await raw.next();
    expect(failures).toMatchObject([
      {
        path: "fail",
        type: "mutation",
        input: { secret: 1 },
        ctx: { user: "anybody" },
        error: { code: "FORBIDDEN" },
      },
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
