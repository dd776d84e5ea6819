import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createConnection } from "../../../src/client/connection.ts";
import { protocolVersion } from "../../../src/protocol.ts";
import { createTokenStore } from "../../../src/client/token-store.ts";
import { closeCodes } from "../../../src/trpc-ws/close-codes.ts";
import { fakeWebSockets } from "./fake-web-socket.ts";
import { pass } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A connection, with a log of what it reports. */
function alice() {
  const sockets = fakeWebSockets();
  const posts: { url: string; init: RequestInit }[] = [];
  const connection = createConnection({
    url: "wss://chat.example/trpc",
    tokens: createTokenStore(undefined),
    WebSocket: sockets.WebSocket,
    random: () => 0.5,
    fetch: async (url, init) => void posts.push({ url, init }),
  });
  const log: string[] = [];
  const opened: number[] = [];
  const listener = {
    event: (event: { type: string }) => void log.push(event.type),
    disconnected: () => void log.push("disconnected"),
    // Every socket opens; a test that cares about it looks for it by itself.
    opened: () => void opened.push(sockets.all.length),
    transportChanged: (kind: string) => void log.push(`over ${kind}`),
    ended: (error: { kind: string }) => void log.push(`ended: ${error.kind}`),
  };
  return {
    sockets,
    posts,
    connection,
    log,
    opened,
    listener,
    open: () => connection.open(listener),
  };
}

const session = { type: "session", token: "token-1", resumed: false, state: { status: "idle" } };

/** Alice is connected and has her session. */
async function aliceOnline() {
  const all = alice();
  all.open();
  await pass(50);
  all.sockets.last.open();
  await pass(50);
  all.sockets.last.event("e:1", session);
  all.log.length = 0;
  return all;
}

describe("the token", () => {
  test("is absent from the first connect and sent, renewed, with every later one; never in the URL", async () => {
    const { sockets } = await aliceOnline();
    const protocol = String(protocolVersion);
    expect(sockets.last.sent[0]).toEqual({ method: "connectionParams", data: { protocol } });
    sockets.last.event("e:2", { ...session, token: "token-2" });
    sockets.last.gone();
    await pass(2000);
    sockets.last.open();
    await pass(50);
    expect(sockets.all).toHaveLength(2);
    expect(sockets.last.sent[0]).toEqual({
      method: "connectionParams",
      data: { protocol, token: "token-2" },
    });
    expect(sockets.last.url).not.toContain("token");
  });

  test("sends leave over HTTP as well, in a way that outlives the page", async () => {
    const { connection, posts } = await aliceOnline();
    connection.sendLeaveOnUnload();
    expect(posts).toEqual([
      {
        url: "https://chat.example/trpc/leave",
        init: {
          method: "POST",
          keepalive: true,
          headers: { authorization: "Bearer token-1", "content-type": "application/json" },
          body: "{}",
        },
      },
    ]);
  });

  test("that was never received sends nothing", () => {
    const { connection, posts } = alice();
    connection.sendLeaveOnUnload();
    expect(posts).toEqual([]);
  });
});

describe("a socket that drops", () => {
  test("is reported, and the stream resumes after a delay from the last event", async () => {
    const { sockets, log } = await aliceOnline();
    sockets.last.event("e:7", { type: "lobby", waiting: 1, online: 1 });
    sockets.last.gone();
    expect(log).toEqual(["lobby", "disconnected"]);
    await pass(150);
    expect(sockets.all).toHaveLength(1);
    await pass(1000);
    expect(sockets.all).toHaveLength(2);
    sockets.last.open();
    await pass(50);
    expect(sockets.last.subscription?.params.lastEventId).toBe("e:7");
  });

  test("is tried again for as long as it takes, at most every ten seconds or so", async () => {
    const { sockets } = await aliceOnline();
    sockets.last.gone();
    for (let minute = 0; minute < 5; minute += 1) {
      const before = sockets.all.length;
      for (let second = 0; second < 60; second += 1) {
        await pass(1000);
        if (sockets.last.readyState === 0) sockets.last.close();
      }
      expect(sockets.all.length - before).toBeGreaterThanOrEqual(5);
      expect(sockets.all.length - before).toBeLessThan(30);
    }
  });

  test("without a close, on a half-open network, is detected and replaced within ten seconds", async () => {
    const { sockets, log } = await aliceOnline();
    const [first] = sockets.all;
    if (first) first.alive = false;
    await pass(10_000);
    expect(log).toEqual(["disconnected"]);
    expect(sockets.all.length).toBeGreaterThan(1);
    // Late events of the first one are ignored.
    first?.gone();
    await pass(50);
    expect(log).toEqual(["disconnected"]);
  });

  test("while opening, is given up after ten seconds", async () => {
    const { sockets, open } = alice();
    open();
    await pass(12_000);
    expect(sockets.all.length).toBeGreaterThan(1);
  });
});

describe("a server that speaks another version of the protocol", () => {
  test("ends it for good: no other socket is opened", async () => {
    const { sockets, log, open } = alice();
    open();
    await pass(50);
    sockets.last.open();
    await pass(50);
    const data = { code: "BAD_REQUEST", httpStatus: 400, reason: "wrong-protocol" };
    sockets.last.receive({ id: null, error: { code: -32_600, message: "no", data } });
    sockets.last.gone(closeCodes.wrongProtocol);
    await pass(60_000);
    expect(log).toEqual(["ended: rejected"]);
    expect(sockets.all).toHaveLength(1);
  });
});

describe("a server that requests a reconnect", () => {
  test("is replaced by a socket that opens first, and nothing is reported", async () => {
    const { sockets, log, opened } = await aliceOnline();
    const [first] = sockets.all;
    if (!first) throw new Error("there is no first socket");
    first.receive({ id: null, method: "reconnect" });
    await pass(2000);
    expect(sockets.all).toHaveLength(2);
    expect(first.readyState).toBe(1);
    first.event("e:2", { type: "lobby", waiting: 1, online: 1 });

    sockets.last.open();
    await pass(50);
    expect(opened).toEqual([1, 2]);
    const moved = sockets.last.subscription;
    expect(moved?.params.lastEventId).toBe("e:2");
    // Told on both at once, as both are the session's: it is received once.
    first.event("e:3", { type: "partner-reconnected", roomId: "r" });
    sockets.last.receive({ id: moved?.id, result: { type: "started" } });
    sockets.last.event("e:3", { type: "partner-reconnected", roomId: "r" });
    sockets.last.event("e:4", { ...session, resumed: true });
    await pass(50);
    expect(first.readyState).toBe(3);
    expect(log).toEqual(["lobby", "partner-reconnected", "session"]);
    await pass(30_000);
    expect(sockets.all).toHaveLength(2);
  });

  test("still answers the calls on the old socket", async () => {
    const { sockets, connection, log } = await aliceOnline();
    const [first] = sockets.all;
    const answer = connection.call("leave", { id: "leave-1" });
    await pass(50);
    const leave = first?.calls.findLast(({ params }) => params.path === "leave");
    first?.receive({ id: null, method: "reconnect" });
    await pass(2000);
    sockets.last.open();
    await pass(50);
    sockets.last.receive({ id: sockets.last.subscription?.id, result: { type: "started" } });
    await pass(50);
    expect(first?.readyState).toBe(1);
    first?.receive({ id: leave?.id, result: { type: "data", data: { status: "idle" } } });
    expect(await answer).toEqual({ status: "idle" });
    await pass(50);
    expect(first?.readyState).toBe(3);
    expect(log).toEqual([]);
  });

  test("stays in use until a new socket opens", async () => {
    const { sockets, log } = await aliceOnline();
    const [first] = sockets.all;
    first?.receive({ id: null, method: "reconnect" });
    await pass(2000);
    sockets.last.close();
    await pass(3000);
    expect(sockets.all).toHaveLength(3);
    expect(first?.readyState).toBe(1);
    expect(log).toEqual([]);
  });
});

describe("the stream of events", () => {
  test("is opened once", async () => {
    const { open, sockets } = await aliceOnline();
    expect(open()).toBe(false);
    await pass(50);
    expect(sockets.last.calls.filter(({ method }) => method === "subscription")).toHaveLength(1);
  });

  test("that another tab took over has ended for good; opening it again begins a new one", async () => {
    const { sockets, log, open } = await aliceOnline();
    const id = sockets.last.subscription?.id;
    sockets.last.receive({
      id,
      error: { code: -32009, message: "taken over", data: { reason: "taken-over" } },
    });
    await pass(30_000);
    expect(log.at(-1)).toBe("ended: taken-over");
    expect(sockets.last.calls.filter(({ method }) => method === "subscription")).toHaveLength(1);
    expect(open()).toBe(true);
    await pass(50);
    expect(sockets.last.subscription?.params.lastEventId).toBeUndefined();
    expect(sockets.last.subscription?.params.input).toEqual({});
  });

  test.each([
    ["a fault of the server", { error: { code: -32603, message: "oops", data: {} } }],
    [
      "a refusal that passes",
      { error: { code: -32603, message: "no", data: { reason: "draining", retryAfterMs: 500 } } },
    ],
    ["the server's wish", { result: { type: "stopped" } }],
  ])("that ends by %s is opened again, from the last event on", async (_why, message) => {
    const { sockets, log } = await aliceOnline();
    sockets.last.receive({ id: sockets.last.subscription?.id, ...message });
    expect(log).toEqual(["disconnected"]);
    await pass(2000);
    expect(sockets.last.calls.filter(({ method }) => method === "subscription")).toHaveLength(2);
    expect(sockets.last.subscription?.params.input).toMatchObject({ lastEventId: "e:1" });
  });

  test("is over after close, and nothing is tried again", async () => {
    const { connection, sockets, log } = await aliceOnline();
    connection.close();
    await pass(60_000);
    expect(sockets.all).toHaveLength(1);
    expect(sockets.last.readyState).toBe(3);
    expect(log).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });
});
