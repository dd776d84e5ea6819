/** What the client takes of the browser, when, and what options give in its place. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createPeerStream, type PeerStreamOptions } from "../../../src/client/peer-stream.ts";
import type { LifecycleEvent } from "../../../src/client/platform.ts";
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
