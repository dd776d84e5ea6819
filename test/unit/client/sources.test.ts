/** What a peer sends, seen from its call and its state: the camera, a stream, a screen; and messages of the application. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { MediaSource } from "../../../src/client/camera.ts";
import { createPeer } from "../../../src/client/peer.ts";
import type { PeerStreamEvent } from "../../../src/client/state.ts";
import { createOffer, FakeConnection } from "./fake-connection.ts";
import { fakeCamera, FakeNetwork, callCode } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A peer whose user chooses a screen when the test says so. */
function alice(media: "screens" | "none" = "screens") {
  const server = new FakeConnection();
  const browser = new FakeNetwork().browser("alice");
  const choices: { choose(): MediaStreamTrack; refuse(name: string): void }[] = [];
  const source = {
    getDisplayMedia() {
      const { promise, resolve, reject } = Promise.withResolvers<MediaStream>();
      choices.push({
        choose() {
          const stream = fakeCamera("video");
          resolve(stream);
          return stream.getVideoTracks()[0] as MediaStreamTrack;
        },
        refuse: (name) => reject(new DOMException("no", name)),
      });
      return promise;
    },
  } as unknown as MediaSource;
  const peer = createPeer({
    callCode,
    connection: server,
    rtc: browser,
    media: () => (media === "screens" ? source : undefined),
  });
  const events: PeerStreamEvent[] = [];
  peer.onEvent((event) => events.push(event));
  const screen = () => {
    const choice = choices.shift();
    if (!choice) throw new Error("nobody was asked for a screen");
    return choice;
  };
  /** What is sent in the call, by kind. */
  const sent = () =>
    Object.fromEntries(
      browser.last.senders.flatMap(({ sender, receiver }) =>
        sender.track ? [[receiver.track.kind, sender.track as unknown as MediaStreamTrack]] : [],
      ),
    );
  const share = async () => {
    const sharing = peer.shareScreen();
    const track = screen().choose();
    expect(await sharing).toEqual({ ok: true });
    return track;
  };
  return { server, browser, peer, events, screen, sent, share };
}

/** Alice is in a room, connected, and sends what her camera gives. */
async function aliceInCall() {
  const all = alice();
  const camera = fakeCamera();
  all.peer.cameraChanged(camera, true);
  all.peer.start();
  all.server.session({ status: "idle" }, false);
  all.server.emit(createOffer("room-1"));
  await settle();
  all.browser.last.ice("connected");
  all.browser.last.connection("connected");
  await settle();
  all.server.take();
  const [audio, video] = ["audio", "video"].map((kind) =>
    camera.getTracks().find((track) => track.kind === kind),
  ) as [MediaStreamTrack, MediaStreamTrack];
  return { ...all, camera, audio, video };
}

describe("sharing a screen", () => {
  test("sends its picture with the microphone, says so in the state, and gives the camera back", async () => {
    const { peer, share, sent, audio, video } = await aliceInCall();
    expect(sent()).toEqual({ audio, video });
    const screen = await share();
    expect(sent()).toEqual({ audio, video: screen });
    expect(peer.state).toMatchObject({ status: "connected", source: "screen" });
    peer.stopSharing();
    await settle();
    expect(sent()).toEqual({ audio, video });
    expect(peer.state).not.toHaveProperty("source");
    expect(screen.readyState).toBe("ended");
  });

  test("is over when the browser's own button is pressed, with an event", async () => {
    const { peer, share, sent, audio, video, events } = await aliceInCall();
    const screen = await share();
    screen.stop();
    screen.dispatchEvent(new Event("ended"));
    await settle();
    expect(sent()).toEqual({ audio, video });
    expect(peer.state).not.toHaveProperty("source");
    expect(events).toEqual([{ type: "source-ended", source: "screen", kind: "video" }]);
  });

  test.each([
    ["NotAllowedError", "denied"],
    ["NotReadableError", "in-use"],
    ["InvalidStateError", "unknown"],
  ])("that fails with %s is called %s, and changes nothing", async (name, kind) => {
    const { peer, screen, sent, audio, video } = await aliceInCall();
    const sharing = peer.setSource("screen");
    screen().refuse(name);
    expect(await sharing).toMatchObject({ ok: false, error: { kind, cause: { name } } });
    expect(sent()).toEqual({ audio, video });
    expect(peer.state).not.toHaveProperty("source");
  });

  test("is unsupported where the browser has no screens, and closed after close", async () => {
    const { peer } = alice("none");
    expect(await peer.shareScreen()).toEqual({
      ok: false,
      error: { kind: "unsupported", cause: undefined },
    });
    peer.close();
    expect(await peer.shareScreen()).toMatchObject({ error: { kind: "closed" } });
    expect(await peer.setSource("camera")).toMatchObject({ error: { kind: "closed" } });
  });

  test.each(["stop", "close", "stopSharing", "setSource"] as const)(
    "and %s releases the screen, also one that is chosen later",
    async (end) => {
      for (const isLate of [false, true]) {
        const { peer, share, screen, sent, audio, video } = await aliceInCall();
        const sharing = isLate ? peer.shareScreen() : undefined;
        const early = isLate ? undefined : await share();
        if (end === "setSource") await peer.setSource("camera");
        else peer[end]();
        const late = isLate ? screen().choose() : undefined;
        if (sharing) expect(await sharing).toMatchObject({ error: { kind: "superseded" } });
        await settle();
        expect((early ?? late)?.readyState).toBe("ended");
        expect(peer.state).not.toHaveProperty("source");
        if (end === "stopSharing" || end === "setSource") expect(sent()).toEqual({ audio, video });
      }
    },
  );

  test("goes on in the next room, and ends when the peer is suspended", async () => {
    const { peer, server, share, sent, browser } = await aliceInCall();
    const screen = await share();
    peer.next();
    await settle();
    server.emit(createOffer("room-2"));
    await settle();
    expect(browser.all).toHaveLength(2);
    expect(sent()["video"]).toBe(screen);
    server.end({ kind: "taken-over", cause: undefined });
    await settle();
    expect(peer.state.status).toBe("idle");
    expect(screen.readyState).toBe("ended");
    expect(peer.state).not.toHaveProperty("source");
  });
});

describe("a stream of the page", () => {
  test("that ends is not sent any more, the partner is told, and the state says so", async () => {
    const { peer, server, sent, events } = await aliceInCall();
    const own = fakeCamera();
    expect(await peer.setSource(own)).toEqual({ ok: true });
    for (const track of own.getTracks()) {
      track.stop();
      track.dispatchEvent(new Event("ended"));
    }
    await settle();
    expect(sent()).toEqual({});
    expect(peer.state).toMatchObject({ status: "connected", source: "none" });
    expect(events.map((event) => event.type === "source-ended" && event.kind)).toEqual([
      "audio",
      "video",
    ]);
    // The second change follows the first one after a pause.
    await pass(300);
    expect(server.calls.filter(({ name }) => name === "media").at(-1)?.input).toMatchObject({
      audio: false,
      video: false,
    });
    expect(await peer.setSource("camera")).toEqual({ ok: true });
    expect(Object.keys(sent()).sort()).toEqual(["audio", "video"]);
    expect(peer.state).not.toHaveProperty("source");
  });

  test("that the browser can't send is named, with what it threw", async () => {
    const { peer, browser } = await aliceInCall();
    const cause = new DOMException("no", "InvalidModificationError");
    for (const { sender } of browser.last.senders)
      sender.replaceTrack = () => Promise.reject(cause);
    expect(await peer.replaceTracks(fakeCamera())).toEqual({
      ok: false,
      error: { kind: "unknown", cause },
    });
  });
});

describe("messages of the application", () => {
  test("are events of the room they came in, and go apart from the chat", async () => {
    const { peer, browser, events } = await aliceInCall();
    expect(peer.send({ move: "e4" })).toBe(false);
    const { channel } = browser.last;
    const frames: string[] = [];
    channel.readyState = "open";
    channel.send = (frame) => void frames.push(frame);
    const heard: unknown[] = [];
    const stop = peer.onData((data, roomId) => heard.push([roomId, data]));
    expect(peer.send({ move: "e4" })).toBe(true);
    const receive = (data: string) => channel.dispatchEvent(new MessageEvent("message", { data }));
    receive('{"type":"data","data":[1]}');
    receive('{"type":"chat","text":"Hi"}');
    stop();
    receive('{"type":"data","data":2}');
    expect(frames.at(-1)).toBe('{"type":"data","data":{"move":"e4"}}');
    expect(heard).toEqual([["room-1", [1]]]);
    expect(events.map(({ type }) => type)).toEqual(["data", "chat", "data"]);
    expect(peer.recentMessages()).toHaveLength(1);
  });
});
