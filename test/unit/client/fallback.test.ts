/** Networks that cut WebSockets: when the client falls back to HTTP, what it does there, and when it goes back. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { createConnection } from "../../../src/client/connection.ts";
import type { PeerStreamError } from "../../../src/client/state.ts";
import { createTokenStore } from "../../../src/client/token-store.ts";
import { fakeHttp } from "./fake-http.ts";
import { fakeWebSockets } from "./fake-web-socket.ts";
import { pass } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** What the network does to a socket, looked at every 50 ms. */
type Network = (socket: ReturnType<typeof fakeWebSockets>["all"][number]) => void;

const refuses: Network = (socket) => {
  if (socket.readyState === 0) socket.close();
};
const hangs: Network = () => {};
const opens: Network = (socket) => {
  if (socket.readyState === 0) socket.open();
};

/** Lets sockets open, and cuts them after `ms`. */
function cutsAfter(ms: number): Network {
  const openedAt = new Map<object, number>();
  return (socket) => {
    if (socket.readyState === 0) {
      socket.open();
      openedAt.set(socket, performance.now());
    } else if (socket.readyState === 1 && performance.now() - (openedAt.get(socket) ?? 0) >= ms)
      socket.gone();
  };
}

const session = { type: "session", token: "token-1", resumed: false, state: { status: "idle" } };
const lobby = { type: "lobby", waiting: 1, online: 1 };

function alice(network: Network, random = () => 0.5) {
  const sockets = fakeWebSockets();
  const http = fakeHttp();
  const log: string[] = [];
  const errors: PeerStreamError[] = [];
  const tokens = createTokenStore(undefined);
  const connection = createConnection({
    url: "wss://chat.example/trpc",
    tokens,
    WebSocket: sockets.WebSocket,
    random,
    fetch: http.fetch,
  });
  const listener = {
    event: (event: { type: string }) => void log.push(event.type),
    disconnected: () => void log.push("disconnected"),
    opened() {},
    transportChanged: (kind: string) => void log.push(`over ${kind}`),
    ended(error: PeerStreamError) {
      log.push(`ended: ${error.kind}`);
      errors.push(error);
    },
  };
  const all = {
    network,
    sockets,
    http,
    log,
    errors,
    tokens,
    connection,
    open: () => connection.open(listener),
    /** Time passes, while the network does what it does. */
    async live(ms: number) {
      for (let left = ms; left > 0; left -= 50) {
        for (const socket of sockets.all) all.network(socket);
        await pass(50);
      }
    },
  };
  return all;
}

type Alice = ReturnType<typeof alice>;

/** Alice's network refuses sockets, and she has her session over HTTP. */
async function aliceOverHttp(): Promise<Alice> {
  const all = alice(refuses);
  all.open();
  await all.live(3000);
  all.http.stream.event("e:1", session);
  await all.live(50);
  expect(all.log.splice(0)).toEqual(["over http", "session"]);
  return all;
}

describe("falls back to HTTP", () => {
  test("when two sockets in a row are refused although the server answers", async () => {
    const all = alice(refuses);
    all.open();
    await all.live(3000);
    expect(all.sockets.all).toHaveLength(2);
    expect(all.http.streams).toHaveLength(1);
    all.http.stream.event("e:1", session);
    await all.live(50);
    expect(all.log.slice(-2)).toEqual(["over http", "session"]);
    expect(all.errors).toEqual([]);
  });

  test("when a socket has not opened for five seconds", async () => {
    const all = alice(hangs);
    all.open();
    await all.live(4900);
    expect(all.http.urls).toEqual([]);
    await all.live(500);
    expect(all.sockets.all).toHaveLength(1);
    expect(all.sockets.last.readyState).toBe(3);
    expect(all.http.streams).toHaveLength(1);
    expect(all.log).toEqual([]);
  });

  test("when two sockets in a row are cut soon after they opened, and resumes behind the last event", async () => {
    const all = alice(cutsAfter(2000));
    all.open();
    await all.live(100);
    all.sockets.last.event("e:1", session);
    all.sockets.last.event("e:2", lobby);
    await all.live(6000);
    expect(all.sockets.all).toHaveLength(2);
    expect(all.http.streams).toHaveLength(1);
    expect(all.http.stream).toMatchObject({
      lastEventId: "e:2",
      authorization: "Bearer token-1",
    });
    all.http.stream.event("e:3", { ...session, resumed: true });
    await all.live(50);
    expect(all.log.slice(-2)).toEqual(["over http", "session"]);
  });

  test("when sockets open and nothing passes through them", async () => {
    const all = alice((socket) => {
      socket.alive = false;
      opens(socket);
    });
    all.open();
    await all.live(30_000);
    expect(all.http.streams.length).toBeGreaterThan(0);
  });

  test("to ask for the counts and the site, without a stream", async () => {
    const all = alice(refuses);
    const counts = all.connection.counts();
    await all.live(5000);
    expect(await counts).toEqual({} as never);
    expect(all.http.batches.map(({ paths }) => paths)).toEqual([["stats"]]);
    await Promise.all([all.connection.counts("berlin"), all.live(5000)]);
    expect(decodeURIComponent(all.http.urls.at(-1) ?? "")).toContain('{"lobby":"berlin"}');
    await Promise.all([all.connection.site(), all.live(5000)]);
    expect(all.http.batches.at(-1)?.paths).toEqual(["site"]);
    expect(all.http.streams).toEqual([]);
  });
});

describe("stays with WebSockets", () => {
  test.each([undefined, 502, 503, 429])("while the server is down (%p)", async (status) => {
    const all = alice(refuses);
    all.http.status = status;
    all.open();
    await all.live(120_000);
    expect(all.http.streams).toEqual([]);
    expect(all.errors).toEqual([]);
    expect(all.sockets.all.length).toBeGreaterThan(10);
  });

  test("when the server comes back between a failed socket and the question why", async () => {
    const all = alice(refuses);
    all.http.status = undefined;
    all.open();
    await all.live(10_000);
    all.http.status = 426;
    const before = all.http.diagnoses;
    for (let ms = 0; all.http.diagnoses === before && ms < 20_000; ms += 50) await all.live(50);
    expect(all.http.diagnoses).toBe(before + 1);
    all.network = opens;
    await all.live(20_000);
    expect(all.http.streams).toEqual([]);
    expect(all.sockets.last.readyState).toBe(1);
  });

  test("where the server refuses the page's origin, which is an error", async () => {
    const all = alice(refuses);
    const body = { error: "origin-not-allowed", origin: "https://site.example" };
    const connection = createConnection({
      url: "wss://chat.example/trpc",
      tokens: all.tokens,
      WebSocket: all.sockets.WebSocket,
      fetch: async (url) => {
        all.http.urls.push(url);
        return Response.json(body, { status: 403 });
      },
    });
    connection.open({
      event() {},
      disconnected() {},
      opened() {},
      transportChanged() {},
      ended: (error) => void all.errors.push(error),
    });
    await all.live(60_000);
    expect(all.errors).toMatchObject([{ kind: "origin-not-allowed" }]);
    expect(all.http.urls).toEqual(["https://chat.example/trpc"]);
    expect(all.sockets.all).toHaveLength(1);
  });

  test.each([1001, 4000, 4001])(
    "that the server closes with code %d, again and again",
    async (code) => {
      const all = alice(opens);
      all.open();
      for (let closings = 0; closings < 5; closings += 1) {
        await all.live(2000);
        all.sockets.last.gone(code);
      }
      await all.live(2000);
      expect(all.http.streams).toEqual([]);
    },
  );

  test("that are lost after a while, as on the move", async () => {
    const all = alice(cutsAfter(20_000));
    all.open();
    await all.live(100);
    all.sockets.last.event("e:1", session);
    await all.live(120_000);
    expect(all.sockets.all.length).toBeGreaterThan(4);
    expect(all.http.urls).toEqual([]);
  });

  test("that it replaced itself, after the machine's network has changed", async () => {
    const all = alice(opens);
    all.open();
    await all.live(100);
    all.sockets.last.event("e:1", session);
    for (let changes = 0; changes < 5; changes += 1) {
      // A half-open connection: the browser reports an abnormal closure.
      all.sockets.last.alive = false;
      all.connection.renew();
      await all.live(3000);
    }
    expect(all.sockets.all).toHaveLength(6);
    expect(all.http.urls).toEqual([]);
  });

  test("while a server that drains refuses the socket that is to replace an open one", async () => {
    const all = alice(opens);
    all.open();
    await all.live(100);
    const first = all.sockets.last;
    first.event("e:1", session);
    all.network = (socket) => {
      if (socket !== first) refuses(socket);
    };
    first.receive({ id: null, method: "reconnect" });
    await all.live(30_000);
    expect(all.sockets.all.length).toBeGreaterThan(3);
    expect(first.readyState).toBe(1);
    expect(all.http.urls).toEqual([]);
    expect(all.log).toEqual(["session"]);
  });
});

describe("over HTTP", () => {
  test("the token is in the header of every request, and in no URL", async () => {
    const all = await aliceOverHttp();
    void all.connection.call("join", { id: "join-1" });
    await all.live(100);
    all.http.stream.cut();
    await all.live(2000);
    expect(all.http.batches[0]).toMatchObject({ authorization: "Bearer token-1" });
    expect(all.http.stream.authorization).toBe("Bearer token-1");
    for (const url of all.http.urls) expect(url).not.toContain("token-1");
  });

  test("a stream that breaks is reported, and resumes behind the last event", async () => {
    const all = await aliceOverHttp();
    all.http.stream.event("e:7", lobby);
    await all.live(50);
    all.http.stream.cut();
    await all.live(150);
    expect(all.http.streams).toHaveLength(1);
    await all.live(1500);
    expect(all.http.streams).toHaveLength(2);
    expect(all.http.stream.lastEventId).toBe("e:7");
    all.http.stream.event("e:8", { ...session, resumed: true });
    await all.live(50);
    expect(all.log).toEqual(["lobby", "disconnected", "session"]);
  });

  test("a stream that breaks again and again is opened ever more rarely", async () => {
    const all = await aliceOverHttp();
    for (let ms = 0; ms < 120_000; ms += 50) {
      const { stream } = all.http;
      if (!stream.aborted) {
        stream.event("e:2", session);
        stream.cut();
      }
      await all.live(50);
    }
    expect(all.http.streams.length).toBeLessThan(40);
    expect(all.http.streams.length).toBeGreaterThan(12);
  });

  test("a stream that does not begin is given up after ten seconds", async () => {
    const all = await aliceOverHttp();
    all.http.stream.cut();
    all.http.refuseEvents = () =>
      new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } });
    await all.live(30_000);
    expect(all.http.streams.length).toBeGreaterThan(2);
    expect(all.http.streams[1]?.aborted).toBe(true);
  });

  test("a refusal of the stream is told as over a socket", async () => {
    const all = await aliceOverHttp();
    const error = { code: -32009, message: "taken over", data: { reason: "taken-over" } };
    all.http.stream.write(`event: serialized-error\ndata: ${JSON.stringify(error)}\n\n`);
    await all.live(30_000);
    expect(all.log).toEqual(["ended: taken-over"]);
    expect(all.http.streams).toHaveLength(1);
    // `open` begins anew, and takes the session back.
    expect(all.open()).toBe(true);
    await all.live(50);
    expect(all.http.stream.lastEventId).toBeUndefined();
  });

  test("a refusal that passes is retried when it says", async () => {
    const all = await aliceOverHttp();
    all.http.stream.cut();
    const data = { reason: "unavailable", retryAfterMs: 5000 };
    const refuse = () =>
      Response.json({ error: { code: -32603, message: "no", data } }, { status: 503 });
    all.http.refuseEvents = refuse;
    await all.live(2000);
    expect(all.http.streams).toHaveLength(2);
    await all.live(3000);
    expect(all.http.streams).toHaveLength(2);
    await all.live(3000);
    expect(all.http.streams).toHaveLength(3);
    expect(all.errors).toEqual([]);
  });

  test("a token that is not accepted is left out, so that a new session begins; without one it is an error", async () => {
    const all = await aliceOverHttp();
    const data = { reason: "unauthorized" };
    const refuse = () =>
      Response.json({ error: { code: -32001, message: "no", data } }, { status: 401 });
    all.http.refuseEvents = (authorization) => (authorization === null ? undefined : refuse());
    all.http.stream.cut();
    await all.live(5000);
    expect(all.http.stream.authorization).toBeNull();
    all.http.stream.event("f:1", { ...session, token: "token-2" });
    await all.live(50);
    expect(all.tokens.read()).toBe("token-2");
    expect(all.errors).toEqual([]);

    all.http.refuseEvents = refuse;
    all.http.stream.cut();
    await all.live(10_000);
    expect(all.errors).toMatchObject([{ kind: "rejected", reason: "unauthorized" }]);
  });

  test("what is called in one turn is one request; what is called meanwhile waits for its answers", async () => {
    const all = await aliceOverHttp();
    all.http.answering = false;
    const calls = ["a", "b", "c"].map((roomId) => all.connection.call("skip", { roomId }));
    await all.live(50);
    calls.push(all.connection.call("leave", {}), all.connection.call("join", {}));
    await all.live(1000);
    expect(all.http.batches.map(({ paths }) => paths)).toEqual([["skip", "skip", "skip"]]);
    expect(all.http.batches[0]?.inputs).toEqual(["a", "b", "c"].map((roomId) => ({ roomId })));
    all.http.batches[0]?.answer();
    await all.live(100);
    expect(all.http.batches.at(-1)?.paths).toEqual(["leave", "join"]);
    all.http.batches[1]?.answer();
    await Promise.all(calls);
  });

  test("a batch has at most ten calls", async () => {
    const all = await aliceOverHttp();
    const rooms = Array.from({ length: 25 }, (_, index) => `room-${index}`);
    const calls = rooms.map((roomId) => all.connection.call("skip", { roomId }));
    await all.live(500);
    await Promise.all(calls);
    expect(all.http.batches.map(({ paths }) => paths.length)).toEqual([10, 10, 5]);
    const sent = all.http.batches.flatMap(({ inputs }) => inputs.map(({ roomId }) => roomId));
    expect(sent).toEqual(rooms as never);
  });

  test("a request that is not answered fails after ten seconds, and those behind it go on", async () => {
    const all = await aliceOverHttp();
    all.http.answering = false;
    const lost = all.connection.call("leave", {}).catch((error: Error) => error);
    await all.live(50);
    const next = all.connection.call("join", {});
    all.http.answering = true;
    await all.live(12_000);
    expect(await lost).toBeInstanceOf(Error);
    await next;
  });

  test("requests that all fail are made ever more rarely", async () => {
    const all = await aliceOverHttp();
    all.http.reachable = false;
    let sent = 0;
    const send = () => void all.connection.call("leave", {}).catch(() => setTimeout(send, 250));
    send();
    for (; sent < 60; sent += 1) await all.live(1000);
    expect(all.http.batches.length).toBeLessThan(25);
    expect(all.http.batches.length).toBeGreaterThan(5);
  });

  test("leave is sent on unload in a way that outlives the page, and nothing that waited comes behind it", async () => {
    const all = await aliceOverHttp();
    all.http.answering = false;
    const first = all.connection.call("leave", {});
    await all.live(50);
    const waiting = all.connection.call("join", {}).catch((error: Error) => error);
    all.connection.sendLeaveOnUnload();
    all.http.batches[0]?.answer();
    await all.live(1000);
    await first;
    expect(await waiting).toBeInstanceOf(Error);
    expect(all.http.batches.map(({ paths }) => paths)).toEqual([["leave"], ["leave"]]);
  });

  test("close ends what is under way", async () => {
    const all = await aliceOverHttp();
    all.http.answering = false;
    const calls = ["leave", "join"].map(async (name) => {
      const call = all.connection.call(name as "leave", {}).catch((error: Error) => error);
      await all.live(50);
      return call;
    });
    await all.live(100);
    all.connection.close();
    await all.live(30_000);
    for (const call of calls) expect(await call).toBeInstanceOf(Error);
    expect(all.http.batches).toHaveLength(1);
    expect(all.http.stream.aborted).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("a network change drops the stream, and tries a WebSocket soon", async () => {
    const all = await aliceOverHttp();
    const sockets = all.sockets.all.length;
    all.connection.renew();
    await all.live(50);
    expect(all.http.stream.aborted).toBe(true);
    expect(all.log).toEqual(["disconnected"]);
    await all.live(11_000);
    expect(all.http.streams).toHaveLength(2);
    expect(all.sockets.all.length).toBeGreaterThan(sockets);
  });
});

describe("goes back to WebSockets", () => {
  test("once one has stayed open for 15 s, by the id of the last event, and nothing is reported lost", async () => {
    const all = await aliceOverHttp();
    const sockets = all.sockets.all.length;
    all.network = opens;
    for (let ms = 0; all.sockets.all.length === sockets && ms < 30_000; ms += 50)
      await all.live(50);
    expect(all.sockets.all).toHaveLength(sockets + 1);
    const socket = all.sockets.last;
    all.http.stream.event("e:2", lobby);
    await all.live(14_000);
    expect(socket.subscription).toBeUndefined();
    await all.live(2500);
    expect(socket.sent[0]).toMatchObject({
      method: "connectionParams",
      data: { token: "token-1" },
    });
    expect(socket.subscription?.params.input).toEqual({ lastEventId: "e:2" });
    // Both are open; what arrives on both is told once, in order.
    const { stream } = all.http;
    expect(stream.aborted).toBe(false);
    stream.event("e:3", lobby);
    await all.live(50);
    expect(all.log).toEqual(["lobby", "lobby"]);
    socket.event("e:3", lobby);
    socket.event("e:4", { ...session, resumed: true });
    socket.event("e:5", lobby);
    await all.live(50);
    expect(all.log).toEqual(["lobby", "lobby", "over websocket", "session", "lobby"]);
    expect(stream.aborted).toBe(true);
    await all.live(60_000);
    expect(all.sockets.all).toHaveLength(sockets + 1);
    expect(all.http.streams).toHaveLength(1);
  });

  test("and lets HTTP answer what was called there", async () => {
    const all = await aliceOverHttp();
    all.network = opens;
    await all.live(39_000);
    all.http.answering = false;
    const first = all.connection.call("leave", {});
    await all.live(50);
    const second = all.connection.call("join", {});
    all.sockets.last.event("e:2", { ...session, resumed: true });
    await all.live(50);
    all.http.batches[0]?.answer();
    await all.live(100);
    all.http.batches[1]?.answer();
    await Promise.all([first, second]);
    void all.connection.call("leave", {}).catch(() => {});
    await all.live(50);
    expect(all.http.batches).toHaveLength(2);
    expect(all.sockets.last.calls.at(-1)?.params.path).toBe("leave");
  });

  test("not where they are cut after a while; then ever more rarely tried, and nothing is reported", async () => {
    const all = await aliceOverHttp();
    const probedAtS: number[] = [];
    all.network = cutsAfter(2000);
    const startMs = performance.now();
    let known = all.sockets.all.length;
    for (let second = 0; second < 3600; second += 1) {
      await all.live(1000);
      if (all.sockets.all.length > known) probedAtS.push((performance.now() - startMs) / 1000);
      known = all.sockets.all.length;
    }
    expect(all.log).toEqual([]);
    const pauses = probedAtS.slice(1).map((at, index) => at - (probedAtS[index] ?? 0));
    expect(probedAtS.length).toBeGreaterThan(5);
    expect(probedAtS.length).toBeLessThan(15);
    for (const [index, pause] of pauses.entries())
      expect(pause).toBeGreaterThanOrEqual((pauses[index - 1] ?? 0) - 1);
    expect(all.http.streams).toHaveLength(1);
  }, 60_000);

  test("at once where the stream over HTTP is lost", async () => {
    const all = await aliceOverHttp();
    all.network = opens;
    all.http.status = undefined;
    all.http.stream.cut();
    await all.live(10_500);
    expect(all.sockets.last.subscription?.params.input).toEqual({ lastEventId: "e:1" });
    all.sockets.last.event("e:2", { ...session, resumed: true });
    await all.live(50);
    expect(all.log.at(0)).toBe("disconnected");
    expect(all.log.slice(-2)).toEqual(["over websocket", "session"]);
    const requested = all.http.streams.length;
    await all.live(60_000);
    expect(all.http.streams).toHaveLength(requested);
  });

  test("spread out: no two clients with other randomness try at the same time", async () => {
    const times = await Promise.all(
      [0, 0.5, 0.99].map(async (value) => {
        const all = alice(refuses, () => value);
        all.open();
        await all.live(5000);
        all.http.stream.event("e:1", session);
        const before = all.sockets.all.length;
        let ms = 0;
        for (; all.sockets.all.length === before; ms += 50) await all.live(50);
        return ms;
      }),
    );
    expect(new Set(times).size).toBe(3);
  });

  test("after the server restarts it is found again by one of the two ways", async () => {
    const all = await aliceOverHttp();
    all.http.status = undefined;
    all.http.stream.cut();
    await all.live(300_000);
    const requests = all.http.urls.length + all.sockets.all.length;
    expect(requests).toBeLessThan(300);
    all.http.status = 426;
    await all.live(11_000);
    expect(all.http.stream.aborted).toBe(false);
    all.http.stream.event("f:1", session);
    await all.live(50);
    expect(all.log.at(-1)).toBe("session");
    expect(all.errors).toEqual([]);
  });
});

/** Everything that can happen to a connection, over both transports. */
const inputs: Record<string, (all: Alice) => unknown> = {
  open: ({ open }) => open(),
  call: ({ connection }) => connection.call("join", { id: "j" }).catch(() => {}),
  count: ({ connection }) => connection.counts().catch(() => {}),
  renew: ({ connection }) => connection.renew(),
  refuse: (all) => (all.network = refuses),
  pass: (all) => (all.network = opens),
  down: ({ http }) => (http.status = undefined),
  up: ({ http }) => (http.status = 426),
  silent: ({ http }) => (http.answering = !http.answering),
  event: ({ http, sockets }) => {
    http.streams.at(-1)?.event("e:1", session);
    sockets.all.at(-1)?.event("e:1", session);
  },
  cut: ({ http }) => http.streams.at(-1)?.cut(),
};

test("closed at any point, a connection opens and requests nothing any more, and leaves nothing open", async () => {
  const name = fc.constantFrom(...Object.keys(inputs));
  const story = fc.array(fc.record({ name, ms: fc.constantFrom(0, 50, 1000, 20_000) }), {
    maxLength: 20,
  });
  let fellBack = 0;
  await fc.assert(
    fc.asyncProperty(story, story, async (before, after) => {
      jest.clearAllTimers();
      const all = alice(refuses);
      all.open();
      const live = async (steps: typeof before) => {
        for (const { name, ms } of steps) {
          void inputs[name]?.(all);
          await all.live(ms);
        }
      };
      await live(before);
      if (all.http.streams.length > 0) fellBack += 1;
      all.connection.close();
      all.log.length = 0;
      const known = all.sockets.all.length + all.http.urls.length;
      await live(after);
      await pass(31_000);
      expect(all.log).toEqual([]);
      expect(all.sockets.all.length + all.http.urls.length).toBe(known);
      for (const { readyState } of all.sockets.all) expect(readyState).toBeGreaterThanOrEqual(2);
      for (const { aborted } of all.http.streams) expect(aborted).toBe(true);
      expect(jest.getTimerCount()).toBe(0);
    }),
    { numRuns: 100 },
  );
  expect(fellBack).toBeGreaterThan(20);
}, 120_000);
