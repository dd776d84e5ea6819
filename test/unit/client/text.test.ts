/** Words through the server, as a page sees them: in rooms for text, which have no connection, and in calls whose words the server relays. */
import type { Rtc } from "../../../src/client/platform.ts";
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createPeer } from "../../../src/client/peer.ts";
import { createPeerStream } from "../../../src/client/peer-stream.ts";
import type { PeerStreamEvent } from "../../../src/client/state.ts";
import { limits, type Mode, type PeerEvent, type PeerState } from "../../../src/protocol.ts";
import { createOffer, FakeConnection, paired, refusal } from "./fake-connection.ts";
import { fakeCamera, FakeNetwork, callCode } from "./fake-rtc.ts";
import { fakeWebSockets } from "./fake-web-socket.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const roomId = "room-1";
const terms = (mode: Mode) => ({
  mode,
  chat: "server" as const,
  media: { audio: mode !== "text", video: mode === "video" },
});
const offered = (mode: Mode) => ({ ...createOffer(roomId), ...terms(mode) }) as PeerEvent;
const inRoom = (mode: Mode, media = terms(mode).media) =>
  ({ ...paired(roomId), ...terms(mode), media }) as PeerState;

/** A browser that has no WebRTC at all. */
const noRtc: Rtc = {
  connect() {
    throw new Error("a connection is made");
  },
  stream() {
    throw new Error("a stream is made");
  },
};

async function alice(mode: Mode, rtc: Rtc = noRtc) {
  const server = new FakeConnection();
  const peer = createPeer({ callCode, connection: server, rtc });
  const events: PeerStreamEvent[] = [];
  const seen: string[] = [];
  peer.onEvent((event) => void events.push(event));
  peer.subscribe(({ status }) => void seen.push(status));
  peer.start({ mode });
  server.session({ status: "idle" }, false);
  server.emit(offered(mode));
  await settle();
  server.take();
  const words = () =>
    events.map((event) => {
      if (event.type === "chat") return `${event.from}: ${event.text}`;
      if (event.type === "typing") return `typing ${event.typing}`;
      return event.type === "chat-undelivered" ? `undelivered ${event.id}` : event.type;
    });
  /** The texts that were sent to the server, and whether somebody types. */
  const said = () =>
    server.take().map(({ name, input }) => `${name} ${String(input["text"] ?? input["typing"])}`);
  const hear = (text: string, at = 5) => server.emit({ type: "message", roomId, text, at });
  return { server, peer, events, seen, words, said, hear };
}

describe("a room for text", () => {
  test("is connected at once, without a connection, a stream or a camera", async () => {
    const { server, peer, seen } = await alice("text");
    expect(peer.state).toEqual({
      status: "connected",
      roomId,
      sharedInterests: ["chess"],
      partnerFacts: {},
      mode: "text",
      chat: "server",
    });
    expect(seen).toEqual(["waiting", "connected"]);
    expect(await peer.stats()).toBeUndefined();
    await pass(60_000);
    // Neither `connected` nor `failed` is due, nor what is sent.
    expect(server.names).toEqual([]);
    peer.next();
    await settle();
    expect(server.names).toEqual(["skip"]);
  });

  test("takes words of both sides, with HTML as it is", async () => {
    const { peer, events, words, said, hear } = await alice("text");
    expect(peer.sendChat("<b>Hi</b>")).toBe(true);
    hear("<i>Hello</i>", 77);
    await settle();
    expect(words()).toEqual(["me: <b>Hi</b>", "partner: <i>Hello</i>"]);
    expect(events[1]).toMatchObject({ roomId, at: 77 });
    expect(said()).toEqual(["say <b>Hi</b>"]);
  });

  test("takes nothing that the server would refuse, and other line ends as LF", async () => {
    const { peer, said } = await alice("text");
    for (const text of ["", " \n", "a\0", "\ud800", "x".repeat(limits.messageCharsMax + 1)])
      expect(peer.sendChat(text)).toBe(false);
    expect(peer.sendChat("a\r\nb\rc")).toBe(true);
    expect(peer.sendChat("👋".repeat(limits.messageCharsMax))).toBe(true);
    await settle();
    expect(said()[0]).toBe("say a\nb\nc");
  });

  test("holds words while the server is away, and sends them in order with the same ids", async () => {
    const { server, peer, words } = await alice("text");
    server.answering = false;
    peer.sendChat("1");
    await settle();
    const [first] = server.take();
    server.drop();
    first?.refuse(new Error("WebSocket closed"));
    expect(peer.state).toMatchObject({ status: "reconnecting", what: "signaling", mode: "text" });
    expect(peer.sendChat("2")).toBe(true);
    peer.sendTyping(true);
    await settle();
    expect(server.names).toEqual([]);
    server.answering = true;
    server.session(inRoom("text"));
    await settle();
    const sent = server.take();
    expect(sent.map(({ name, input }) => [name, input["text"]])).toEqual([
      ["say", "1"],
      ["say", "2"],
    ]);
    expect(sent[0]?.input["id"]).toBe(first?.input["id"]);
    expect(words()).toEqual(["me: 1", "me: 2"]);
    expect(peer.state.status).toBe("connected");
  });

  test("tells which words have not arrived", async () => {
    const { server, peer, events, words } = await alice("text");
    server.answering = false;
    for (const text of ["arrives", "is dropped", "is refused", "is cut off"]) peer.sendChat(text);
    await settle();
    const [arrives, isDropped, isRefused, isCutOff] = server.take();
    arrives?.answer({ delivered: true });
    isDropped?.answer({ delivered: false });
    isRefused?.refuse(refusal({ reason: "not-in-room" }));
    await settle();
    server.drop();
    isCutOff?.refuse(new Error("WebSocket closed"));
    await settle();
    server.session({ status: "waiting", since: 1 });
    await settle();
    const ids = events.flatMap((event) => (event.type === "chat" ? event.id : []));
    expect(new Set(ids).size).toBe(4);
    expect(words().slice(4)).toEqual([
      `undelivered ${ids[1]}`,
      `undelivered ${ids[2]}`,
      `undelivered ${ids[3]}`,
    ]);
    expect(peer.state.status).toBe("waiting");
    expect(peer.sendChat("too late")).toBe(false);
  });

  test("shows that one types, until a message, a stop, or 6 s", async () => {
    const { server, peer, words, said, hear } = await alice("text");
    const typing = (on: boolean) => server.emit({ type: "typing", roomId, typing: on });
    typing(true);
    hear("Hello");
    typing(true);
    typing(false);
    typing(true);
    await pass(6100);
    server.emit({ type: "typing", roomId: "another", typing: true });
    expect(words()).toEqual([
      "typing true",
      "typing false",
      "partner: Hello",
      "typing true",
      "typing false",
      "typing true",
      "typing false",
    ]);
    for (let n = 0; n < 10; n++) peer.sendTyping(true);
    peer.sendChat("x");
    peer.sendTyping(true);
    peer.sendTyping(false);
    await settle();
    expect(said()).toEqual(["typing true", "say x", "typing true", "typing false"]);
  });

  test("takes nothing of another room, and ends like any other", async () => {
    const { server, peer, words } = await alice("text");
    server.emit({ type: "message", roomId: "another", text: "Hi", at: 1 });
    server.emit({ type: "partner-disconnected", roomId, reason: "left" });
    server.emit({ type: "message", roomId, text: "Hi", at: 1 });
    expect(words()).toEqual([]);
    expect(peer.state).toMatchObject({ status: "waiting", ended: "left", again: { roomId } });
  });

  test("of which the server knows nothing any more is over: there is no other way to the partner", async () => {
    const { server, peer } = await alice("text");
    server.drop();
    server.session({ status: "idle" });
    await settle();
    expect(peer.state.status).toBe("waiting");
    expect(server.names).toEqual(["join"]);
  });

  test("with `lost` is over as well", async () => {
    const { server, peer } = await alice("text");
    const deadline = Date.now() + 1000;
    server.emit({ type: "partner-reconnecting", roomId, deadline });
    expect(peer.state).toMatchObject({ status: "reconnecting", what: "partner", deadline });
    expect(peer.sendChat("Are you there?")).toBe(true);
    server.emit({ type: "partner-reconnected", roomId });
    expect(peer.state.status).toBe("connected");
    server.emit({ type: "partner-disconnected", roomId, reason: "lost" });
    expect(peer.state).toMatchObject({ status: "waiting", ended: "lost" });
  });

  test("needs no WebRTC in the environment; other rooms do", () => {
    const real = globalThis.RTCPeerConnection;
    Reflect.deleteProperty(globalThis, "RTCPeerConnection");
    try {
      const peer = createPeerStream({
        url: "ws://127.0.0.1:9/trpc",
        WebSocket: fakeWebSockets().WebSocket,
      });
      peer.start({ mode: "video" });
      expect(peer.state).toMatchObject({ status: "idle", error: { kind: "unsupported" } });
      peer.start({ mode: "text" });
      expect(peer.state.status).toBe("waiting");
      peer.close();
    } finally {
      if (real) globalThis.RTCPeerConnection = real;
    }
  });
});

describe("a call whose words go through the server", () => {
  async function call() {
    const browser = new FakeNetwork().browser("alice");
    const all = await alice("video", browser);
    browser.last.ice("connected");
    browser.last.connection("connected");
    await settle();
    all.server.take();
    browser.last.channel.readyState = "open";
    const frame = (message: object) =>
      browser.last.channel.dispatchEvent(
        new MessageEvent("message", { data: JSON.stringify(message) }),
      );
    return { ...all, browser, frame };
  }

  test("sends them there, and takes none from the data channel", async () => {
    const { peer, words, said, hear, frame } = await call();
    frame({ type: "chat", text: "past the server" });
    frame({ type: "typing", typing: true });
    peer.sendChat("Hi");
    hear("Hello");
    await settle();
    expect(words()).toEqual(["me: Hi", "partner: Hello"]);
    expect(said()).toEqual(["say Hi"]);
  });

  test("can send none once the server has lost the room", async () => {
    const { server, peer } = await call();
    server.drop();
    server.session({ status: "idle" });
    await settle();
    expect(peer.state).toMatchObject({ status: "connected", orphaned: true });
    expect(peer.sendChat("Hi")).toBe(false);
  });

  test("tells the server what it sends, when that is not all or has changed, and takes what the partner sends", async () => {
    const { server, peer } = await call();
    const told = () =>
      server
        .take()
        .flatMap(({ name, input }) => (name === "media" ? [[input["audio"], input["video"]]] : []));
    await pass(1000);
    await peer.replaceTracks(fakeCamera());
    await settle();
    expect(told()).toEqual([[true, true]]);
    await pass(1000);
    peer.setMuted({ audio: true });
    peer.setMuted({ audio: true });
    await settle();
    expect(told()).toEqual([[false, true]]);
    server.emit({ type: "partner-media", roomId, audio: false, video: false });
    expect(peer.state).toMatchObject({ partnerMedia: { audio: false, video: false } });
    server.session(inRoom("video", { audio: false, video: true }));
    expect(peer.state).toMatchObject({ partnerMedia: { audio: false, video: true } });
  });
});
