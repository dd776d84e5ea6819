/** The hook, in real React: on a server, and in a renderer without a DOM, in StrictMode where effects run twice. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { act, Activity, createElement, StrictMode, useEffect, type ReactElement } from "react";
import { renderToString } from "react-dom/server";
import { create, type ReactTestRenderer } from "react-test-renderer";
import { usePeerStream, type UsedPeerStream } from "../../../src/client/react.ts";
import type { UsePeerStreamOptions } from "../../../src/client/react.ts";
import { encodeMessage } from "../../../src/client/data-channel-message.ts";
import { until } from "../../support/until.ts";
import { FakeNetwork } from "./fake-rtc.ts";
import { fakeWebSockets } from "./fake-web-socket.ts";

const url = "ws://chat.example/trpc";
const otherUrl = "ws://other.example/trpc";

/** The globals that a browser has and the page uses; the devices are granted when the test says so. */
let browser: ReturnType<typeof openBrowser>;
beforeEach(() => void (browser = openBrowser()));
afterEach(() => browser[Symbol.dispose]());

function openBrowser() {
  const sockets = fakeWebSockets();
  const requests: (() => void)[] = [];
  const tracks: { kind: string; readyState: string }[] = [];
  class FakeStream {
    readonly #tracks: object[];
    constructor(given: object[]) {
      this.#tracks = given;
    }
    getTracks = () => this.#tracks;
    getVideoTracks = () => [];
    getAudioTracks = () => [];
  }
  const track = (kind: string) => {
    const made = { kind, readyState: "live", addEventListener() {}, stop };
    function stop() {
      made.readyState = "ended";
    }
    tracks.push(made);
    return made;
  };
  const mediaDevices = Object.assign(new EventTarget(), {
    getUserMedia: () =>
      new Promise((resolve) => {
        requests.push(() => resolve(new FakeStream([track("audio"), track("video")])));
      }),
  });
  const globals: Record<string, unknown> = {
    WebSocket: sockets.WebSocket,
    MediaStream: FakeStream,
    navigator: { mediaDevices },
    // React complains of updates that no `act` encloses, and of this renderer unless it is told that it is not on the web.
    IS_REACT_ACT_ENVIRONMENT: true,
    IS_REACT_NATIVE_TEST_ENVIRONMENT: true,
  };
  const before = Object.keys(globals).map(
    (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const,
  );
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  const complaints = spyOn(console, "error");
  return {
    sockets,
    requests,
    tracks,
    live: () => tracks.filter(({ readyState }) => readyState === "live").length,
    open: () => sockets.all.filter(({ readyState }) => readyState < 2).length,
    [Symbol.dispose]() {
      expect(complaints.mock.calls).toEqual([]);
      complaints.mockRestore();
      for (const [name, descriptor] of before)
        if (descriptor) Object.defineProperty(globalThis, name, descriptor);
        else Reflect.deleteProperty(globalThis, name);
    },
  };
}

const rtc = new FakeNetwork().browser("page");

/** A component with the hook, and all that it was given in each render. */
function component(effect?: (peer: UsedPeerStream["peer"]) => void | (() => void)) {
  const renders: UsedPeerStream[] = [];
  function Chat(options: UsePeerStreamOptions) {
    const used = usePeerStream({ rtc, ...options });
    renders.push(used);
    const { peer } = used;
    useEffect(() => effect?.(peer), [peer]);
    return `${used.state.status} ${used.local ? "with" : "without"} camera`;
  }
  const last = () => {
    const found = renders.at(-1);
    if (!found) throw new Error("it was not rendered");
    return found;
  };
  return { Chat, renders, last };
}

const render = (node: ReactElement): Promise<ReactTestRenderer> => act(async () => create(node));
const strictly = (node: ReactElement) => createElement(StrictMode, undefined, node);

describe("usePeerStream", () => {
  test("is idle on a server, and opens nothing there", () => {
    const { Chat } = component(() => {
      throw new Error("effects don't run on a server");
    });
    const text = renderToString(createElement(Chat, { url: "/trpc" }));
    expect(text).toBe("idle without camera");
    expect([browser.sockets.all.length, browser.requests.length]).toEqual([0, 0]);
  });

  test("renders again with each state, and what it returns besides stays the same", async () => {
    const { Chat, renders, last } = component();
    const root = await render(strictly(createElement(Chat, { url })));
    expect(root.toJSON() as unknown).toBe("idle without camera");
    await act(async () => last().peer.start());
    expect(last().state.status).toBe("waiting");
    // StrictMode renders the first time twice, and discards one of the two peer streams.
    const committed = new Set(renders.slice(2).map(({ peer }) => peer));
    expect([...committed]).toEqual([last().peer]);
    const { start } = last().peer;
    await act(async () => root.update(strictly(createElement(Chat, { url, onEvent() {} }))));
    expect(last().peer.start).toBe(start);
    await act(async () => root.unmount());
  });

  test("in StrictMode an effect that starts at once opens one socket and asks for the camera once", async () => {
    const { Chat, last } = component((peer) => {
      void peer.camera.open();
      peer.start();
    });
    const root = await render(strictly(createElement(Chat, { url })));
    expect([browser.sockets.all.length, browser.requests.length]).toEqual([1, 1]);
    await act(async () => browser.requests[0]?.());
    expect(last().local).toBe(last().peer.camera.stream as MediaStream);
    expect(browser.live()).toBe(2);
    await act(async () => root.unmount());
    expect([browser.live(), browser.open()]).toEqual([0, 0]);
  });

  test("an unmounted component leaves, and what it still had to do opens nothing", async () => {
    const opened = Promise.withResolvers<void>();
    const { Chat, last } = component();
    const root = await render(createElement(Chat, { url }));
    const { peer } = last();
    // As in a click handler: first the camera, then the search.
    void peer.camera.open().then(() => {
      peer.start();
      opened.resolve();
    });
    await act(async () => root.unmount());
    browser.requests[0]?.();
    await opened.promise;
    expect([browser.live(), browser.sockets.all.length]).toEqual([0, 0]);
    expect(peer.state).toMatchObject({ status: "idle", error: { kind: "closed" } });
  });

  test("leaves for the server of another url, and never calls the first one again", async () => {
    const { Chat, last } = component();
    const root = await render(createElement(Chat, { url }));
    const first = last().peer;
    await act(async () => first.start());
    await act(async () => root.update(createElement(Chat, { url: otherUrl })));
    expect(browser.open()).toBe(0);
    expect(last().peer).not.toBe(first);
    expect(last().state).toEqual({ status: "idle" });
    await act(async () => last().peer.start());
    expect(browser.sockets.last.url).toStartWith(otherUrl);
    await act(async () => root.unmount());
    expect(browser.open()).toBe(0);
  });

  test("tells events to the function of the latest render", async () => {
    const heard: string[] = [];
    const { Chat, last } = component();
    const listener = (name: string): UsePeerStreamOptions => ({
      url,
      onEvent: (event) => heard.push(`${name} ${event.type}`),
    });
    const root = await render(strictly(createElement(Chat, listener("first"))));
    await act(async () => root.update(strictly(createElement(Chat, listener("second")))));
    await act(async () => last().peer.start());
    const room = {
      roomId: "room",
      polite: true,
      relayOnly: false,
      sharedInterests: [],
      partnerFacts: {},
      mode: "text",
      iceServers: [],
    };
    await act(async () => {
      browser.sockets.last.open();
      await until("it subscribes", () => browser.sockets.last.subscription !== undefined);
      browser.sockets.last.event("1:0", {
        type: "session",
        token: "token",
        resumed: false,
        state: { status: "idle" },
      });
      browser.sockets.last.event("1:1", { type: "wait-for-offer", ...room });
      await until("it begins the call", () => rtc.all.length > 0);
      const data = encodeMessage({ type: "chat", text: "hello" });
      rtc.last.channel.dispatchEvent(new MessageEvent("message", { data }));
    });
    expect(heard).toEqual(["second chat"]);
    await act(async () => root.unmount());
  });

  test("authenticates by what the latest render gave", async () => {
    const { Chat, last } = component();
    const root = await render(createElement(Chat, { url, auth: () => "first" }));
    await act(async () => root.update(createElement(Chat, { url, auth: "second" })));
    await act(async () => last().peer.start());
    await act(async () => {
      browser.sockets.last.open();
      await until("it sends its parameters", () => browser.sockets.last.sent.length > 0);
    });
    expect(browser.sockets.last.sent[0]).toMatchObject({ data: { auth: "second" } });
    await act(async () => root.unmount());
  });

  test("hidden by <Activity> it leaves, and once shown it is another one that works", async () => {
    const { Chat, last } = component();
    const shown = (mode: "visible" | "hidden") =>
      createElement(Activity, { mode, children: createElement(Chat, { url }) });
    const root = await render(shown("visible"));
    await act(async () => last().peer.start());
    expect(browser.open()).toBe(1);
    await act(async () => root.update(shown("hidden")));
    expect(browser.open()).toBe(0);
    await act(async () => root.update(shown("visible")));
    expect(last().state).toEqual({ status: "idle" });
    await act(async () => last().peer.start());
    expect([last().state.status, browser.open()]).toEqual(["waiting", 1]);
    await act(async () => root.unmount());
    expect(browser.open()).toBe(0);
  });

  test("throws where it is rendered when the url is malformed", () => {
    const { Chat } = component();
    expect(() => renderToString(createElement(Chat, { url: "ftp://chat.example" }))).toThrow(
      TypeError,
    );
  });
});
