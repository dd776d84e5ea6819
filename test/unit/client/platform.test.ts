/** What the client takes of the browser, when, and what options give in its place. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createPeerStream, type PeerStreamOptions } from "../../../src/client/peer-stream.ts";
import { randomId, type LifecycleEvent } from "../../../src/client/platform.ts";
import { FakeNetwork } from "./fake-rtc.ts";
import { fakeWebSockets } from "./fake-web-socket.ts";
import { pass } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const url = "wss://chat.example/trpc";

describe("on a server", () => {
  const names = [
    ..."window document navigator localStorage sessionStorage WebSocket fetch".split(" "),
    ..."RTCPeerConnection MediaStream Worker addEventListener crypto".split(" "),
  ];
  const before = names.map(
    (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const,
  );
  const touched: string[] = [];
  beforeEach(() => {
    touched.length = 0;
    for (const name of names)
      Object.defineProperty(globalThis, name, {
        configurable: true,
        get: () => void touched.push(name),
      });
  });
  afterEach(() => {
    for (const [name, descriptor] of before)
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else Reflect.deleteProperty(globalThis, name);
  });

  test("creating a peer stream touches no global, opens nothing and leaves no timer, nor does closing it", () => {
    for (const given of [url, "/trpc", undefined]) {
      const peer = createPeerStream(given === undefined ? {} : { url: given });
      peer.subscribe(() => {});
      peer.onEvent(() => {});
      expect(peer.state).toEqual({ status: "idle" });
      peer.close();
    }
    expect([touched, jest.getTimerCount()]).toEqual([[], 0]);
    // Or the traps are not set.
    createPeerStream({ url }).start();
    expect(touched).toContain("WebSocket");
  });
});

describe("in place of the browser's", () => {
  function peerWith(options: PeerStreamOptions = {}) {
    const sockets = fakeWebSockets();
    const listeners = new Set<(event: LifecycleEvent) => void>();
    const peer = createPeerStream({
      url,
      rtc: new FakeNetwork().browser("page"),
      WebSocket: sockets.WebSocket,
      lifecycle: {
        subscribe(listener) {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
      },
      ...options,
    });
    const happen = (event: LifecycleEvent) => {
      for (const listener of listeners) listener(event);
    };
    const connect = async () => {
      peer.start();
      await pass(50);
      sockets.last.open();
      await pass(50);
      const state = { status: "idle" };
      sockets.last.event("1:0", { type: "session", token: "token", resumed: false, state });
      await pass(50);
    };
    return { peer, sockets, happen, listeners, connect };
  }

  test("a lifecycle is subscribed to by the first start, and no longer after close", async () => {
    const { peer, listeners, connect } = peerWith();
    expect(listeners.size).toBe(0);
    await connect();
    peer.start();
    expect(listeners.size).toBe(1);
    peer.close();
    expect([listeners.size, jest.getTimerCount()]).toEqual([0, 0]);
  });

  test.each<[LifecycleEvent, number]>([
    ["resume", 2],
    ["online", 2],
    ["hidden", 1],
    ["visible", 1],
    ["freeze", 1],
  ])("after %s there have been %d sockets", async (event, expected) => {
    const { peer, sockets, happen, connect } = peerWith();
    await connect();
    happen(event);
    await pass(2000);
    expect(sockets.all).toHaveLength(expected);
    peer.close();
  });

  test("pagehide leaves, and pageshow looks for a partner again", async () => {
    const posts: string[] = [];
    const { peer, sockets, happen, connect } = peerWith({
      fetch: async (target) => void posts.push(target),
    });
    await connect();
    happen("pagehide");
    expect(posts).toEqual(["https://chat.example/trpc/leave"]);
    happen("pageshow");
    await pass(2000);
    const paths = sockets.last.calls.flatMap(({ params }) => params?.path ?? []);
    expect(paths).toEqual(["events", "join", "leave", "join"]);
    peer.close();
  });

  test("timers are the given ones, called as functions", async () => {
    const waiting = new Map<number, () => void>();
    let started = 0;
    const { peer, connect } = peerWith({
      setTimeout(this: unknown, run) {
        // A browser's throws "Illegal invocation" otherwise.
        if (this !== undefined) throw new TypeError("called as a method");
        waiting.set(++started, run);
        return started as never;
      },
      clearTimeout: (timer) => void waiting.delete(timer as never),
    });
    await connect();
    expect(started).toBeGreaterThan(2);
    peer.close();
    expect([...waiting]).toEqual([]);
  });
});

test("a mutation's id is random with and without WebCrypto, and where a page has replaced Math.random", () => {
  const random = jest.spyOn(Math, "random").mockReturnValue(0);
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  try {
    expect(randomId()).toMatch(/^[0-9a-f]{32}$/);
    expect(randomId()).not.toBe(randomId());
    random.mockRestore();
    Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
    expect(randomId()).toMatch(/^[0-9a-f]{32}$/);
    expect(randomId()).not.toBe(randomId());
  } finally {
    random.mockRestore();
    if (own) Object.defineProperty(globalThis, "crypto", own);
  }
});

describe("the log", () => {
  /** A call and its end, with what must not be logged in all of it. */
  async function lines(options: PeerStreamOptions) {
    const sockets = fakeWebSockets();
    const browser = new FakeNetwork().browser("alice");
    const peer = createPeerStream({ url, rtc: browser, WebSocket: sockets.WebSocket, ...options });
    peer.start({ interests: ["secret interest"] });
    await pass(50);
    sockets.last.open();
    await pass(50);
    const state = { status: "idle" };
    sockets.last.event("1:0", { type: "session", token: "secret token", resumed: false, state });
    sockets.last.event("1:1", {
      type: "create-offer",
      roomId: "room",
      polite: false,
      relayOnly: false,
      sharedInterests: [],
      partnerFacts: {},
      mode: "video",
      iceServers: [{ urls: "turn:secret.example", username: "u", credential: "secret" }],
    });
    await pass(50);
    const candidate = { candidate: "candidate:1 1 udp 1 secret 9 typ host", sdpMid: "0" };
    sockets.last.event("1:2", { type: "add-ice-candidate", roomId: "room", candidate });
    browser.last.ice("connected");
    browser.last.connection("connected");
    browser.last.channel.readyState = "open";
    const data = JSON.stringify({ type: "chat", text: "secret text" });
    browser.last.channel.dispatchEvent(new MessageEvent("message", { data }));
    peer.sendChat("secret answer");
    sockets.last.event("1:3", { type: "partner-disconnected", roomId: "room", reason: "left" });
    await pass(50);
    peer.close();
  }

  test("has states, transports, and signals by kind, and nothing secret", async () => {
    const log: string[] = [];
    const line = (text: string) => void log.push(text);
    await lines({ logger: { debug: line, info: line } });
    expect(log).toEqual(
      expect.arrayContaining([
        "peer-stream: start",
        "peer-stream: waiting",
        "peer-stream: server-event create-offer",
        "peer-stream: connecting",
        "peer-stream: local-signal offer",
        "peer-stream: server-event add-ice-candidate",
        "peer-stream: ice connected",
        "peer-stream: connected",
        "peer-stream: data-channel-message chat",
        "peer-stream: server-event partner-disconnected left",
        "peer-stream: waiting left",
      ]),
    );
    expect(log.filter((text) => text.includes("secret"))).toEqual([]);
  });

  test("has why a peer is idle, with the name of the cause", () => {
    const log: string[] = [];
    const { WebSocket } = fakeWebSockets();
    const logger = { warn: (text: string) => void log.push(text) };
    const rtc = {
      connect: () => {
        throw new SyntaxError("no");
      },
      stream: () => ({}) as never,
    };
    const peer = createPeerStream({ url, WebSocket, rtc, logger });
    peer.close();
    peer.start();
    expect(log).toEqual(["peer-stream: idle closed"]);
  });

  test("is the console's where the storage says so, and of a logger that fails there is none", async () => {
    const written: unknown[] = [];
    const info = jest.spyOn(console, "info").mockImplementation((text) => void written.push(text));
    jest.spyOn(console, "debug").mockImplementation(() => {});
    try {
      const storageWith = (value: string | null) => ({ getItem: () => value, setItem() {} });
      await lines({ deviceStorage: storageWith(null) });
      expect(written).toEqual([]);
      await lines({ deviceStorage: storageWith("1") });
      expect(written).toContain("peer-stream: connected");
    } finally {
      info.mockRestore();
      jest.restoreAllMocks();
    }
    const debug = () => {
      throw new Error("full");
    };
    await lines({ logger: { debug } });
  });
});

describe("start with a signal", () => {
  const start = (...signals: AbortSignal[]) => {
    const { WebSocket } = fakeWebSockets();
    const peer = createPeerStream({ url, WebSocket, rtc: new FakeNetwork().browser("page") });
    for (const signal of signals) peer.start({ signal });
    return peer;
  };

  test("that is aborted is as stop", () => {
    const searching = new AbortController();
    const peer = start(searching.signal);
    expect(peer.state.status).toBe("waiting");
    searching.abort();
    expect(peer.state).toEqual({ status: "idle" });
    peer.close();
  });

  test("that is aborted already does not begin", () => {
    const peer = start(AbortSignal.abort());
    expect(peer.state).toEqual({ status: "idle" });
    peer.close();
  });

  test("ends only what it began: neither a later start nor one after a stop", () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const peer = start(first.signal, second.signal);
    first.abort();
    expect(peer.state.status).toBe("waiting");
    peer.stop();
    peer.start();
    second.abort();
    expect(peer.state.status).toBe("waiting");
    peer.close();
  });
});
