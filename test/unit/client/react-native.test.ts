/** The client in React Native: all other tests of the client again without a browser's globals, and what is given in their place. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { loadStorage, nativePlatform } from "../../../src/client/native.ts";
import { createPeerStream } from "../../../src/client/peer-stream.ts";
import { root } from "../../support/root.ts";
import { FakeNetwork, fakeCamera, isReactNative } from "./fake-rtc.ts";
import { fakeWebSockets } from "./fake-web-socket.ts";
import { pass } from "./virtual-time.ts";

// Not again within itself.
test.if(!isReactNative)(
  "all tests of the client pass with what react-native-webrtc has, without window, document and navigator",
  async () => {
    const { exited, stderr } = Bun.spawn(
      ["bun", "test", "--preload", "./test/support/react-native.ts", "./test/unit/client"],
      {
        cwd: root,
        env: { ...process.env, PEER_STREAM_TESTS: "react-native" },
        stdout: "ignore",
        stderr: "pipe",
      },
    );
    const output = await new Response(stderr).text();
    await exited;
    expect(output.match(/^\(fail\).*|^ *[1-9]\d* (fail|error).*|^error: .*/gm) ?? []).toEqual([]);
    expect(Number(/^ *(\d+) pass/m.exec(output)?.[1])).toBeGreaterThan(400);
  },
  120_000,
);

/** An app with the modules that `nativePlatform` takes. */
function app(stored: Record<string, string> = {}) {
  const sockets = fakeWebSockets();
  const network = new FakeNetwork().browser("phone");
  const connections: object[] = [];
  const listeners = new Set<(state: string) => void>();
  const written: Record<string, string> = {};
  return {
    sockets,
    connections,
    written,
    change: (state: string) => {
      for (const listener of listeners) listener(state);
    },
    listeners,
    AsyncStorage: {
      getItem: async (key: string) => stored[key] ?? null,
      setItem: async (key: string, value: string) => void (written[key] = value),
    },
    modules: {
      RTCPeerConnection: class {
        constructor(configuration: RTCConfiguration) {
          const made = network.connect(configuration);
          connections.push(made);
          return made;
        }
      },
      MediaStream: class {
        constructor() {
          return network.stream();
        }
      },
      mediaDevices: Object.assign(new EventTarget(), {
        getUserMedia: async () => fakeCamera(),
        enumerateDevices: async () => [],
      }),
      AppState: {
        addEventListener(_: "change", listener: (state: string) => void) {
          listeners.add(listener);
          return { remove: () => void listeners.delete(listener) };
        },
      },
    },
  };
}

describe("nativePlatform", () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  const url = "wss://chat.example/trpc";
  const session = { type: "session", token: "new", resumed: false, state: { status: "idle" } };
  const room = {
    type: "create-offer",
    roomId: "room",
    polite: false,
    relayOnly: false,
    sharedInterests: [],
    partnerFacts: {},
    mode: "video",
    iceServers: [],
  };

  test("gives a peer the app's camera, its WebRTC and its storage", async () => {
    const phone = app({ "peer-stream.token": "old" });
    const storage = await loadStorage(phone.AsyncStorage);
    const { WebSocket } = phone.sockets;
    const peer = createPeerStream({
      ...nativePlatform({ ...phone.modules, storage }),
      url,
      WebSocket,
    });
    expect(await peer.camera.open()).toMatchObject({ ok: true });
    peer.start();
    await pass(50);
    phone.sockets.last.open();
    await pass(50);
    expect(phone.sockets.last.sent[0]).toMatchObject({ data: { token: "old" } });
    phone.sockets.last.event("1:0", session);
    phone.sockets.last.event("1:1", room);
    await pass(50);
    expect(phone.written).toMatchObject({ "peer-stream.token": "new" });
    expect(peer.state).toMatchObject({ status: "connecting", roomId: "room" });
    expect(phone.connections).toMatchObject([{ senders: [{}, {}] }]);
    peer.close();
    expect(phone.listeners.size).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("an app that comes to the front again has a new socket, one that was only looked away from has not", async () => {
    const phone = app();
    const { WebSocket } = phone.sockets;
    const peer = createPeerStream({ ...nativePlatform(phone.modules), url, WebSocket });
    peer.start();
    await pass(50);
    phone.sockets.last.open();
    await pass(50);
    phone.sockets.last.event("1:0", session);
    await pass(50);
    for (const state of ["inactive", "active"]) phone.change(state);
    await pass(2000);
    expect(phone.sockets.all).toHaveLength(1);
    for (const state of ["inactive", "background", "active"]) phone.change(state);
    await pass(2000);
    expect(phone.sockets.all).toHaveLength(2);
    peer.close();
  });

  test("a storage that fails is one in memory", async () => {
    const storage = await loadStorage({
      getItem: () => Promise.reject(new Error("the disk is full")),
      setItem: () => Promise.reject(new Error("the disk is full")),
    });
    expect(storage.getItem("key")).toBeNull();
    storage.setItem("key", "value");
    expect(storage.getItem("key")).toBe("value");
  });
});
