/** The endpoint URL, why the server cannot be reached, and when nothing more is tried. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { createConnection, type Connection } from "../../../src/client/connection.ts";
import { httpUrlOf, readEndpointUrl } from "../../../src/client/endpoint-url.ts";
import type { PeerStreamError } from "../../../src/client/state.ts";
import { createTokenStore } from "../../../src/client/token-store.ts";
import { fakeWebSockets } from "./fake-web-socket.ts";
import { pass } from "./virtual-time.ts";

describe("B9 the server's URL", () => {
  const page = "https://site.example/some/page?x#y";

  test.each([
    ["wss://chat.example/trpc", "wss://chat.example/trpc"],
    ["ws://localhost:3000/trpc", "ws://localhost:3000/trpc"],
    ["https://chat.example/trpc", "wss://chat.example/trpc"],
    ["http://localhost:3000/trpc", "ws://localhost:3000/trpc"],
    ["HTTPS://Chat.example/trpc", "wss://chat.example/trpc"],
    ["wss://chat.example/trpc?node=1", "wss://chat.example/trpc?node=1"],
    ["/trpc", "wss://site.example/trpc"],
    [undefined, "wss://site.example/trpc"],
  ])("B9 %p is taken as %p", (given, expected) => {
    expect(readEndpointUrl(given, page)).toBe(expected);
  });

  test.each([
    "",
    " ",
    "trpc",
    "chat.example/trpc",
    "localhost:3000/trpc",
    "//chat.example/trpc",
    "ftp://chat.example/trpc",
    "javascript:alert(1)",
    "ws://",
    "ws://a:99999999/",
    "ws://[::1/trpc",
    "wss://chat.example/trpc#x",
    null,
    42,
  ])("B9 %p is refused at once, by name", (given) => {
    const read = () => readEndpointUrl(given as string, page);
    expect(read).toThrow(TypeError);
    expect(read).toThrow(/^createPeerStream: url .* like wss:\/\/example.com\/trpc$/);
  });

  test("B9 of a page that comes from a file has to be whole", () => {
    expect(() => readEndpointUrl(undefined, "file:///home/page.html")).toThrow(TypeError);
  });

  test("B16 a path leads nowhere outside a browser, but is no error yet", () => {
    expect(readEndpointUrl(undefined, undefined)).toBeUndefined();
    expect(readEndpointUrl("/trpc", undefined)).toBeUndefined();
    expect(readEndpointUrl("wss://chat.example/trpc", undefined)).toBe("wss://chat.example/trpc");
  });

  test("B9 over HTTP keeps its query, and loses what fetch does not take", () => {
    expect(httpUrlOf("wss://user:pw@chat.example/trpc?node=1", "/leave")).toBe(
      "https://chat.example/trpc/leave?node=1",
    );
  });
});

describe("a connection", () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  /** The response to a GET; undefined for none. */
  type Answer = (init: RequestInit) => Response | undefined;

  function alice(answer: Answer = () => undefined) {
    const sockets = fakeWebSockets();
    const requests: { url: string; init: RequestInit }[] = [];
    const connection = createConnection({
      url: "wss://chat.example/trpc",
      tokens: createTokenStore(undefined),
      WebSocket: sockets.WebSocket,
      random: () => 0,
      async fetch(url, init) {
        requests.push({ url, init });
        const response = answer(init);
        if (!response) throw new TypeError("Failed to fetch");
        return response;
      },
    });
    const log: string[] = [];
    const errors: PeerStreamError[] = [];
    const listener = {
      event: (event: { type: string }) => void log.push(event.type),
      disconnected: () => void log.push("disconnected"),
      opened: () => void log.push("opened"),
      transportChanged: (kind: string) => void log.push(`over ${kind}`),
      ended(error: PeerStreamError) {
        log.push(`ended: ${error.kind}`);
        errors.push(error);
      },
    };
    return { sockets, requests, connection, log, errors, open: () => connection.open(listener) };
  }

  /** Lets every socket fail before it opens, for `ms`. */
  async function refuse({ sockets }: ReturnType<typeof alice>, ms: number) {
    for (let left = ms; left > 0; left -= 50) {
      const last = sockets.all.at(-1);
      if (last?.readyState === 0) last.close();
      await pass(50);
    }
  }

  const session = { type: "session", token: "t", resumed: false, state: { status: "idle" } };
  const json = (status: number, body: object) => Response.json(body, { status });
  const text = (status: number, headers = {}) => new Response("text", { status, headers });

  test("B16 opens no socket before it is used", async () => {
    const { sockets, connection, open } = alice();
    connection.renew();
    connection.sendLeaveOnUnload();
    await pass(1000);
    expect(sockets.all).toHaveLength(0);
    open();
    await pass(50);
    expect(sockets.all).toHaveLength(1);
  });

  test("B16 opens one to count, and is not away before anything was lost", async () => {
    const { sockets, connection, log, open } = alice();
    void connection.counts().catch(() => {});
    await pass(50);
    expect(sockets.all).toHaveLength(1);
    open();
    await pass(50);
    expect(log).toEqual([]);
  });

  test("B9 that the server does not accept this page's origin ends it, with what to do", async () => {
    const body = { error: "origin-not-allowed", origin: "https://site.example" };
    const all = alice(() => json(403, body));
    all.open();
    await pass(50);
    await refuse(all, 60_000);
    expect(all.errors).toMatchObject([
      {
        kind: "origin-not-allowed",
        origin: "https://site.example",
        message: expect.stringContaining("CORS_ORIGIN"),
      },
    ]);
    expect(all.sockets.all.length).toBe(1);
    expect(all.requests).toMatchObject([
      { url: "https://chat.example/trpc", init: { headers: { accept: "application/json" } } },
    ]);
    // `open` begins again.
    expect(all.open()).toBe(true);
    await pass(50);
    expect(all.sockets.all).toHaveLength(2);
  });

  test.each([200, 204, 301, 400, 401, 403, 404, 405, 410])(
    "B9 HTTP %d from something else ends it as a wrong URL",
    async (status) => {
      const all = alice(() => (status === 204 ? new Response(null, { status }) : text(status)));
      all.open();
      await pass(50);
      await refuse(all, 5000);
      expect(all.errors).toMatchObject([
        { kind: "wrong-url", url: "wss://chat.example/trpc", status },
      ]);
    },
  );

  test("B9 a socket that opens and closes without a valid message is a wrong URL as well", async () => {
    const all = alice(() => text(200));
    all.open();
    await pass(50);
    all.sockets.last.open();
    await pass(50);
    all.sockets.last.gone();
    await pass(50);
    expect(all.errors).toMatchObject([{ kind: "wrong-url" }]);
  });

  test.each<[string, Answer]>([
    ["that refuses the connection", () => undefined],
    ["behind a proxy: 502", () => text(502)],
    ["that drains: 503", () => text(503)],
    ["that is busy: 429", () => text(429)],
    ["whose sockets are full, though it answers 426", () => text(426)],
  ])("B9 a server %s is tried again for as long as it takes", async (_why, answer) => {
    const all = alice(answer);
    all.open();
    await pass(50);
    await refuse(all, 300_000);
    expect(all.errors).toEqual([]);
    expect(all.sockets.all.length).toBeGreaterThan(25);
    expect(new Set(all.log)).toEqual(new Set(["disconnected"]));
  });

  test("B9 an answer that the browser hides may be a proxy's: it is a wrong URL after a minute", async () => {
    const all = alice(({ mode }) => (mode === "no-cors" ? text(200) : undefined));
    all.open();
    await pass(50);
    await refuse(all, 55_000);
    expect(all.errors).toEqual([]);
    await refuse(all, 20_000);
    expect(all.errors).toMatchObject([{ kind: "wrong-url" }]);
  });

  test("B9 a server that has responded before is tried again, even if something else replaces it temporarily", async () => {
    const all = alice(() => text(404));
    all.open();
    await pass(50);
    all.sockets.last.open();
    await pass(50);
    all.sockets.last.event("e:1", session);
    all.sockets.last.gone();
    await refuse(all, 60_000);
    expect(all.sockets.all.length).toBeGreaterThan(5);
    expect(all.errors).toEqual([]);
  });

  test("B9 a socket that the browser does not even make ends it", async () => {
    const errors: PeerStreamError[] = [];
    const connection = createConnection({
      url: "ws://chat.example/trpc",
      tokens: createTokenStore(undefined),
      WebSocket: class {
        constructor() {
          throw new DOMException("insecure", "SecurityError");
        }
      } as never,
      fetch: async () => undefined,
    });
    const ended = (error: PeerStreamError) => void errors.push(error);
    connection.open({ event() {}, disconnected() {}, opened() {}, transportChanged() {}, ended });
    await pass(5000);
    expect(errors).toMatchObject([
      { kind: "wrong-url", message: expect.stringContaining("insecure") },
    ]);
  });

  test.each([4500, 4999])("B9 code %d ends it, however long it was open", async (code) => {
    const all = alice();
    all.open();
    await pass(50);
    all.sockets.last.open();
    await pass(50);
    all.sockets.last.event("e:1", session);
    all.sockets.last.gone(code);
    await pass(60_000);
    expect(all.errors).toMatchObject([{ kind: "turned-away", code }]);
    expect(all.sockets.all).toHaveLength(1);
  });

  test.each([1001, 1006, 4000, 4001, 4002, 4499, 5000])(
    "B9 code %d means to come back",
    async (code) => {
      const all = alice();
      all.open();
      await pass(50);
      all.sockets.last.open();
      await pass(50);
      all.sockets.last.event("e:1", session);
      all.sockets.last.gone(code);
      await pass(5000);
      expect(all.errors).toEqual([]);
      expect(all.sockets.all).toHaveLength(2);
    },
  );

  test("B10 the last frame before it closes is leave, behind everything that was sent", async () => {
    const { sockets, connection, requests, open } = alice(() => text(200));
    open();
    await pass(50);
    sockets.last.open();
    await pass(50);
    sockets.last.event("e:1", session);
    void connection.call("join", { id: "join-1" }).catch(() => {});
    await pass(50);
    connection.sendLeaveOnUnload();
    connection.close();
    const paths = sockets.last.calls.map(({ params }) => params?.path);
    expect(paths.filter(Boolean)).toEqual(["events", "join", "leave"]);
    expect(sockets.last.readyState).toBe(3);
    expect(requests).toHaveLength(1);
  });

  test("B10 refuses what comes after its close, by name", async () => {
    const { sockets, connection, open } = alice();
    connection.close();
    expect(open()).toBe(false);
    await expect(connection.counts()).rejects.toThrow("closed");
    await expect(connection.call("leave", {})).rejects.toThrow("closed");
    await pass(60_000);
    expect(sockets.all).toHaveLength(0);
  });

  /** Everything that can happen to a connection. */
  const inputs: Record<string, (all: ReturnType<typeof alice>) => unknown> = {
    open: ({ open }) => open(),
    call: ({ connection }) => connection.call("join", { id: "j" }).catch(() => {}),
    count: ({ connection }) => connection.counts().catch(() => {}),
    renew: ({ connection }) => connection.renew(),
    opens: ({ sockets }) => sockets.all.at(-1)?.readyState === 0 && sockets.last.open(),
    event: ({ sockets }) => sockets.all.at(-1)?.event("e:1", session),
    moves: ({ sockets }) => sockets.all.at(-1)?.receive({ id: null, method: "reconnect" }),
    fails: ({ sockets }) => sockets.all.at(-1)?.close(),
    silent: ({ sockets }) => sockets.all.at(-1) && (sockets.last.alive = false),
    gone: ({ sockets }) => sockets.all.at(-1)?.gone(),
  };

  test("B10 closed at any point, opens no socket any more and leaves none open", async () => {
    const name = fc.constantFrom(...Object.keys(inputs));
    const story = fc.array(fc.record({ name, turns: fc.nat({ max: 6 }), ms: fc.nat({ max: 2 }) }), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(story, story, async (before, after) => {
        jest.clearAllTimers();
        const all = alice(() => text(404));
        const live = async ({ name, turns, ms }: { name: string; turns: number; ms: number }) => {
          void inputs[name]?.(all);
          for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
          if (ms > 0) await pass(ms * 500);
        };
        for (const step of before) await live(step);
        close(all.connection);
        all.log.length = 0;
        const made = all.sockets.all.length;
        const sent = all.sockets.all.map((socket) => socket.sent.length);
        for (const step of after) await live(step);
        await pass(31_000);
        expect(all.log).toEqual([]);
        expect(all.sockets.all).toHaveLength(made);
        for (const { readyState } of all.sockets.all) expect(readyState).toBeGreaterThanOrEqual(2);
        expect(all.sockets.all.map((socket) => socket.sent.length)).toEqual(sent);
        expect(jest.getTimerCount()).toBe(0);
      }),
      { numRuns: 150 },
    );
  }, 120_000);

  function close(connection: Connection): void {
    connection.sendLeaveOnUnload();
    connection.close();
  }
});
