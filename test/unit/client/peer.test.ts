import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createPeer } from "../../../src/client/peer.ts";
import type { PeerState } from "../../../src/protocol.ts";
import type { StartOptions, Wishes } from "../../../src/client/types.ts";
import { createOffer, FakeConnection, paired, refusal } from "./fake-connection.ts";
import { fakeCamera, FakeNetwork, callCode } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A peer, its server and its browser. */
function alice() {
  const server = new FakeConnection();
  const browser = new FakeNetwork().browser("alice");
  const peer = createPeer({ callCode, connection: server, rtc: browser });
  const seen: string[] = [];
  peer.subscribe((state) =>
    seen.push(state.status === "reconnecting" ? `reconnecting ${state.what}` : state.status),
  );
  return { server, browser, peer, seen };
}

/** Alice waits in the lobby. */
async function aliceWaiting(options: StartOptions = {}) {
  const all = alice();
  all.peer.start({ stream: fakeCamera(), ...options });
  all.server.session({ status: "idle" }, false);
  await settle();
  all.server.take();
  return all;
}

/** Alice is in room 1; connected to Bob if `connected`. */
async function aliceInRoom({ connected = true, ...wishes }: { connected?: boolean } & Wishes = {}) {
  const all = await aliceWaiting(wishes);
  all.server.emit(createOffer("room-1"));
  await settle();
  if (connected) connect(all.browser);
  await settle();
  all.server.take();
  all.seen.length = 0;
  return all;
}

function connect(browser: ReturnType<FakeNetwork["browser"]>): void {
  browser.last.ice("connected");
  browser.last.connection("connected");
}

const restart = (browser: ReturnType<FakeNetwork["browser"]>) => browser.last.restartIce();

describe("starting", () => {
  test("Alice joins with her wishes once the server has reported a state, not before", async () => {
    const { server, peer } = alice();
    peer.start({ interests: ["chess"], languages: ["en"] });
    await settle();
    expect(server.names).toEqual([]);
    server.session({ status: "idle" }, false);
    expect(server.names).toEqual(["join"]);
    expect(server.calls[0]?.input).toMatchObject({
      interests: ["chess"],
      languages: ["en"],
      mode: "video",
      relayOnly: false,
      autoRejoin: true,
    });
    expect(peer.state.status).toBe("waiting");
  });

  test("every mutation bears an id of its own", async () => {
    const { server, peer } = await aliceWaiting();
    peer.stop();
    peer.start();
    await settle();
    const ids = server.calls.map(({ input }) => input["id"]);
    expect(new Set(ids).size).toBe(2);
    expect(server.names).toEqual(["leave", "join"]);
  });

  test("a room from before a reload is left, not taken up: its partner talks to a page that is gone", async () => {
    const { server, browser, peer } = alice();
    peer.start();
    server.session(paired("old-room"), false);
    await settle();
    expect(server.names).toEqual(["leave", "join"]);
    expect(browser.all).toHaveLength(0);
  });

  test("the lobby's figures are shown", async () => {
    const { server, peer } = await aliceWaiting();
    server.emit({ type: "lobby", waiting: 3, online: 12, estimateMs: 4000 });
    expect(peer.state).toMatchObject({
      status: "waiting",
      waiting: 3,
      online: 12,
      estimateMs: 4000,
    });
  });

  test.each([
    ["suspended", { until: 5 }],
    ["relay-unavailable", {}],
    ["bad-input", { field: "interests.0" }],
  ] as const)("a join refused as %s ends idle with that error", async (reason, fields) => {
    const { server, peer } = alice();
    server.answering = false;
    peer.start();
    server.session({ status: "idle" }, false);
    server.calls[0]?.refuse(refusal({ reason, ...fields }));
    await settle();
    expect(peer.state).toMatchObject({
      status: "idle",
      error: { kind: "rejected", reason, ...fields },
    });
  });

  test("a join refused for being too fast is tried again after the time named", async () => {
    const { server, peer } = alice();
    server.answering = false;
    peer.start();
    server.session({ status: "idle" }, false);
    server.take()[0]?.refuse(refusal({ reason: "rate-limited", retryAfterMs: 700 }));
    await pass(650);
    expect(server.names).toEqual([]);
    await pass(100);
    expect(server.names).toEqual(["join"]);
    expect(peer.state.status).toBe("waiting");
  });
});

describe("a room", () => {
  test("is entered, connected, and reported as such", async () => {
    const { server, browser, peer, seen } = await aliceWaiting();
    seen.length = 0;
    server.emit(createOffer("room-1"));
    await settle();
    expect(peer.state).toMatchObject({ status: "connecting", roomId: "room-1" });
    expect(server.names[0]).toBe("offer");
    connect(browser);
    await settle();
    expect(peer.state).toMatchObject({ status: "connected", sharedInterests: ["chess"] });
    expect(server.names).toContain("connected");
    expect(seen).toEqual(["connecting", "connected"]);
  });

  test("that the partner leaves ends in the lobby, with the reason", async () => {
    const { server, browser, peer } = await aliceInRoom();
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    server.emit({ type: "lobby", waiting: 1, online: 2 });
    expect(peer.state).toMatchObject({ status: "waiting", ended: "left", online: 2 });
    expect(browser.last.connectionState).toBe("closed");
    expect(server.names).toEqual([]);
  });

  test("that the partner leaves ends idle, when Alice does not want another by itself", async () => {
    const { server, peer } = await aliceInRoom({ autoRejoin: false });
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "lost" });
    const again = { roomId: "room-1", until: expect.any(Number) };
    expect(peer.state).toEqual({ status: "idle", ended: "lost", again });
  });

  test("that never connects is reported as failed", async () => {
    const { server, peer } = await aliceInRoom({ connected: false });
    await pass(21_000);
    expect(server.names).toContain("failed");
    expect(peer.state).toMatchObject({ status: "waiting", ended: "connect-failed" });
  });

  test("wishes given in it are sent when it is over", async () => {
    const { server, peer, browser } = await aliceInRoom();
    peer.start({ interests: ["jazz"], stream: fakeCamera() });
    await settle();
    expect(server.names).toEqual([]);
    expect(browser.last.connectionState).toBe("connected");
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    server.emit({ type: "lobby", waiting: 1, online: 2 });
    expect(server.names).toEqual(["join"]);
    expect(server.calls[0]?.input).toMatchObject({ interests: ["jazz"] });
    await settle();
    server.emit({ type: "lobby", waiting: 1, online: 2 });
    expect(server.names).toEqual(["join"]);
  });

  test("the end of another room changes nothing", async () => {
    const { server, peer } = await aliceInRoom();
    server.emit({ type: "partner-disconnected", roomId: "another", reason: "left" });
    expect(peer.state.status).toBe("connected");
  });

  test("a partner whose connection drops is waited for while the video continues", async () => {
    const { server, peer, seen } = await aliceInRoom();
    server.emit({ type: "partner-reconnecting", roomId: "room-1", deadline: 99 });
    expect(peer.state).toMatchObject({ status: "reconnecting", what: "partner", deadline: 99 });
    expect(peer.state).toHaveProperty("remote");
    server.emit({ type: "partner-reconnected", roomId: "room-1" });
    expect(seen).toEqual(["reconnecting partner", "connected"]);
  });

  test("a media path that breaks and is mended is shown", async () => {
    const { browser, seen } = await aliceInRoom();
    browser.last.ice("disconnected");
    browser.last.ice("connected");
    expect(seen).toEqual(["reconnecting media", "connected"]);
  });

  test("chat of both sides is emitted, and only what could be sent", async () => {
    const { browser, peer } = await aliceInRoom();
    const received: string[] = [];
    peer.onEvent((event) => event.type === "chat" && received.push(`${event.from}: ${event.text}`));
    expect(peer.sendChat("too early")).toBe(false);
    browser.last.channel.readyState = "open";
    expect(peer.sendChat("hello")).toBe(true);
    const data = JSON.stringify({ type: "chat", text: "hi" });
    browser.last.channel.dispatchEvent(new MessageEvent("message", { data }));
    expect(received).toEqual(["me: hello", "partner: hi"]);
  });
});

describe("next and stop", () => {
  test("Next names the room it means, and the partner is out of sight at once", async () => {
    const { server, browser, peer } = await aliceInRoom();
    peer.next();
    expect(peer.state.status).toBe("waiting");
    expect(browser.last.connectionState).toBe("closed");
    expect(server.calls[0]).toMatchObject({ name: "skip", input: { roomId: "room-1" } });
  });

  test("Next while waiting does nothing; Next when idle looks again with the last wishes", async () => {
    const { server, peer } = await aliceWaiting({ interests: ["chess"] });
    peer.next();
    expect(server.names).toEqual([]);
    peer.stop();
    peer.next();
    expect(server.names).toEqual(["leave", "join"]);
    expect(server.calls[1]?.input).toMatchObject({ interests: ["chess"] });
  });

  test("Next pressed while the connection is gone does not hit the partner that comes next", async () => {
    const { server, peer } = await aliceInRoom();
    server.drop();
    peer.next();
    await pass(2000);
    expect(server.names).toEqual([]);
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    server.emit(createOffer("room-2"));
    server.session(paired("room-2"));
    await settle();
    expect(server.names).not.toContain("skip");
    expect(peer.state).toMatchObject({ status: "connecting", roomId: "room-2" });
  });

  test("Next pressed while the connection is gone is done when the room is still there", async () => {
    const { server, browser, peer } = await aliceInRoom();
    server.drop();
    peer.next();
    server.session(paired("room-1"));
    await settle();
    expect(server.names).toEqual(["skip"]);
    expect(browser.all).toHaveLength(1);
    expect(peer.state.status).toBe("waiting");
  });

  test("Stop leaves, and what was on its way from the lobby is sent back", async () => {
    const { server, browser, peer } = await aliceWaiting();
    peer.stop();
    await settle();
    server.take();
    server.emit(createOffer("room-1"));
    expect(browser.all).toHaveLength(0);
    expect(server.names).toEqual(["leave"]);
    expect(peer.state).toEqual({ status: "idle" });
  });

  test("Stop and Start at the same moment end in the lobby, even if a room was made in between", async () => {
    const { server, browser, peer } = await aliceWaiting();
    peer.stop();
    peer.start();
    server.emit(createOffer("room-1"));
    await settle();
    server.emit({ type: "lobby", waiting: 1, online: 1 });
    expect(peer.state.status).toBe("waiting");
    expect(browser.last.connectionState).toBe("closed");
  });

  test.each([
    ["Start, Stop, Start", ["join", "leave", "join"], "waiting"],
    ["Start, Stop, Start, Stop", ["join", "leave", "join", "leave"], "idle"],
  ] as const)(
    "%s faster than the server answers ends as pressed last",
    async (_presses, names, end) => {
      const { server, peer } = alice();
      server.answering = false;
      peer.start();
      server.session({ status: "idle" }, false);
      for (const name of names.slice(1)) {
        if (name === "join") peer.start();
        else peer.stop();
      }
      expect(server.names).toEqual([...names]);
      expect(peer.state.status).toBe(end);
      for (const call of server.calls) call.answer({ status: "waiting" });
      await pass(1000);
      expect(server.names).toEqual([...names]);
    },
  );

  test("a report of the partner is out of sight at once, and Alice looks for another", async () => {
    const { server, peer } = await aliceInRoom();
    expect(await peer.report("spam")).toEqual({ ok: true, accepted: true });
    expect(server.calls[0]).toMatchObject({
      name: "report",
      input: { roomId: "room-1", reason: "spam" },
    });
    expect(server.names).toEqual(["report", "join"]);
    expect(peer.state.status).toBe("waiting");
  });

  test("a block that comes a moment late names the room that was", async () => {
    const { server, peer } = await aliceInRoom();
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    await peer.block();
    expect(server.calls[0]).toMatchObject({ name: "block", input: { roomId: "room-1" } });
  });
});

describe("a connection that drops", () => {
  test("in a call lets the call continue, and is shown", async () => {
    const { server, browser, peer, seen } = await aliceInRoom();
    server.drop();
    expect(peer.state).toMatchObject({ status: "reconnecting", what: "signaling" });
    server.session(paired("room-1"));
    expect(seen).toEqual(["reconnecting signaling", "connected"]);
    expect(browser.all).toHaveLength(1);
    expect(browser.last.connectionState).toBe("connected");
  });

  test("in the lobby joins again only if the server has forgotten", async () => {
    const { server, peer } = await aliceWaiting();
    server.drop();
    expect(peer.state).toEqual({ status: "reconnecting", what: "signaling" });
    server.session({ status: "waiting", since: 5 });
    expect(server.names).toEqual([]);
    expect(peer.state).toMatchObject({ status: "waiting", since: 5 });
    server.drop();
    server.session({ status: "idle" }, false);
    expect(server.names).toEqual(["join"]);
  });

  test("repeats what it left unanswered, in order and with the same ids", async () => {
    const { server } = await aliceWaiting();
    server.answering = false;
    server.emit(createOffer("room-1"));
    await settle();
    const before = server.take();
    expect(before.map(({ name }) => name)).toEqual([
      "offer",
      "addIceCandidate",
      "addIceCandidate",
      "addIceCandidate",
    ]);
    before[0]?.answer({ delivered: true });
    for (const call of before.slice(1)) call.refuse(new Error("WebSocket closed"));
    server.drop();
    await pass(1000);
    expect(server.names).toEqual([]);
    server.session(paired("room-1"));
    await settle();
    const after = server.take().filter(({ name }) => name === "addIceCandidate");
    expect(after.map(({ input }) => input)).toEqual(before.slice(1).map(({ input }) => input));
  });

  test("repeats no signal of a room that is over", async () => {
    const { server } = await aliceWaiting();
    server.answering = false;
    server.emit(createOffer("room-1"));
    await settle();
    server.drop();
    server.take();
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "lost" });
    server.session({ status: "waiting", since: 5 });
    await pass(5000);
    expect(server.names).toEqual([]);
  });

  test("while the offer was under way sends that offer again", async () => {
    const { server } = await aliceInRoom({ connected: false });
    server.drop();
    server.session(paired("room-1"));
    await settle();
    expect(server.names).toEqual(["offer"]);
  });

  test("repeats a skip that it left unanswered, with the same id, until it is answered", async () => {
    const { server, peer } = await aliceInRoom();
    server.answering = false;
    peer.next();
    server.drop();
    await settle();
    const [skip] = server.take();
    server.session(paired("room-1"));
    expect(server.names).toEqual(["skip"]);
    expect(server.calls[0]?.input["id"]).toBe(skip?.input["id"]);
    server.calls[0]?.answer({ status: "waiting" });
    await settle();
    server.drop();
    server.session({ status: "waiting", since: 5 });
    await pass(1000);
    expect(server.names).toEqual(["skip"]);
  });

  test("repeats a join whose answer was lost once, which changes nothing for the server", async () => {
    const { server, peer } = alice();
    server.answering = false;
    peer.start();
    server.session({ status: "idle" }, false);
    await settle();
    server.drop();
    await settle();
    const [first] = server.take();
    // It was done; only its answer was lost.
    server.session({ status: "waiting", since: 5 });
    await settle();
    const again = server.take();
    expect(again.map(({ input }) => input)).toEqual([first?.input ?? {}]);
    again[0]?.answer({ status: "waiting" });
    await pass(5000);
    expect(server.names).toEqual([]);
    expect(peer.state.status).toBe("waiting");
  });

  test.each<[string, PeerState]>([
    ["in the lobby", { status: "waiting", since: 5 }],
    ["in a room", paired("room-1")],
  ])("with Stop and Start pressed meanwhile %s, ends in the lobby", async (_where, state) => {
    const { server, peer } = await (state.status === "paired" ? aliceInRoom() : aliceWaiting());
    server.drop();
    peer.stop();
    peer.start({ interests: ["jazz"] });
    await pass(2000);
    expect(server.names).toEqual([]);
    server.session(state);
    await settle();
    expect(server.names).toEqual(["leave", "join"]);
    expect(server.calls[1]?.input).toMatchObject({ interests: ["jazz"] });
    expect(peer.state.status).toBe("waiting");
  });

  test("with new wishes given meanwhile sends them when it is back, and keeps the place", async () => {
    const { server, peer } = await aliceWaiting({ interests: ["chess"] });
    server.drop();
    peer.start({ interests: ["jazz"] });
    server.session({ status: "waiting", since: 5 });
    expect(server.names).toEqual(["join"]);
    expect(server.calls[0]?.input).toMatchObject({ interests: ["jazz"] });
    await settle();
    server.drop();
    server.session({ status: "waiting", since: 5 });
    expect(server.names).toEqual(["join"]);
    expect(peer.state).toMatchObject({ status: "waiting", since: 5 });
  });

  test("for longer than the grace finds out that the partner has hung up, and looks for another", async () => {
    const { server, browser, peer } = await aliceInRoom();
    server.drop();
    browser.last.channel.end();
    await settle();
    expect(peer.state).toMatchObject({ status: "reconnecting", what: "signaling" });
    server.session({ status: "idle" }, false);
    server.emit({ type: "resync", state: { status: "idle" } });
    expect(server.names).toEqual(["join"]);
    expect(peer.state).toMatchObject({ status: "waiting", ended: "left" });
  });

  test("that hides the pairing is made up for by the state that comes with the session", async () => {
    const { server, peer } = await aliceWaiting();
    server.drop();
    server.session({ status: "idle" }, false);
    server.emit({ type: "resync", state: paired("room-2") });
    await settle();
    expect(peer.state).toMatchObject({ status: "connecting", roomId: "room-2" });
  });

  test("and ends in another room ends the call of the first", async () => {
    const { server, browser, peer } = await aliceInRoom();
    server.drop();
    server.session(paired("room-2"));
    await settle();
    expect(browser.all.map(({ connectionState }) => connectionState)).toEqual(["closed", "new"]);
    expect(peer.state).toMatchObject({ status: "connecting", roomId: "room-2" });
  });

  test("with the partner disconnected is shown with the deadline", async () => {
    const { server, peer } = await aliceInRoom();
    server.drop();
    server.session({
      ...paired("room-1"),
      status: "paired",
      partner: "reconnecting",
      deadline: 77,
    } as never);
    expect(peer.state).toMatchObject({ what: "partner", deadline: 77 });
  });
});

describe("again", () => {
  test("is accepted once the server has noted it, and leads to the same partner in the next room", async () => {
    const { server, peer } = await aliceInRoom();
    peer.next();
    server.take();
    server.emit({ type: "lobby", waiting: 1, online: 2 });
    const asked = peer.again();
    expect(await asked).toEqual({ ok: true, accepted: true });
    expect(server.take()).toMatchObject([{ name: "again", input: { roomId: "room-1" } }]);
    expect(await peer.again()).toEqual({ ok: true, accepted: false });
    expect(server.take()).toEqual([]);
    server.emit(createOffer("room-2"));
    await settle();
    expect(peer.state).toMatchObject({ status: "connecting", roomId: "room-2" });
  });

  test("that the server refuses says why, and the search goes on", async () => {
    const { server, peer } = await aliceInRoom();
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "skipped" });
    server.answering = false;
    server.take();
    const asked = peer.again();
    server.take()[0]?.refuse(refusal({ reason: "not-in-room" }));
    expect(await asked).toMatchObject({ ok: false, error: { reason: "not-in-room" } });
    expect(peer.state.status).toBe("waiting");
  });
});

describe("a server that was restarted", () => {
  test("leaves a call alone that stands; Next then joins instead of skipping", async () => {
    const { server, browser, peer } = await aliceInRoom();
    server.drop();
    server.session({ status: "idle" }, false);
    server.emit({ type: "resync", state: { status: "idle" } });
    await settle();
    const [presented] = server.take();
    expect(presented).toMatchObject({ name: "connected", input: { proof: "proof of room-1" } });
    expect(peer.state).toMatchObject({ status: "connected", orphaned: true });
    expect(browser.last.connectionState).toBe("connected");
    peer.next();
    expect(server.names).toEqual(["join"]);
    expect(peer.state.status).toBe("waiting");
  });

  test("takes no report of the room it has forgotten; Alice looks for another all the same", async () => {
    const { server, peer } = await aliceInRoom();
    server.drop();
    server.session({ status: "idle" }, false);
    server.answering = false;
    server.take();
    const outcome = peer.block();
    server.take()[0]?.refuse(refusal({ reason: "not-in-room" }));
    expect(await outcome).toMatchObject({ ok: false, error: { reason: "not-in-room" } });
    expect(server.names).toEqual(["join"]);
    expect(peer.state.status).toBe("waiting");
  });

  test("sends no signals for the room it has forgotten", async () => {
    const { server, browser } = await aliceInRoom();
    server.drop();
    server.session({ status: "idle" }, false);
    browser.last.signalingState = "stable";
    server.take();
    restart(browser);
    await settle();
    expect(server.names).toEqual([]);
  });

  test("notices by the call itself when the partner goes, and joins again", async () => {
    const { server, browser, peer } = await aliceInRoom();
    server.drop();
    server.session({ status: "idle" }, false);
    server.take();
    browser.last.channel.end();
    await settle();
    expect(server.names).toEqual(["join"]);
    expect(peer.state).toMatchObject({ status: "waiting", ended: "left" });
  });

  test("ends a call that does not stand yet, and Alice joins again", async () => {
    const { server, browser, peer } = await aliceInRoom({ connected: false });
    server.drop();
    server.session({ status: "idle" }, false);
    expect(browser.last.connectionState).toBe("closed");
    expect(server.names).toEqual(["join"]);
    expect(peer.state.status).toBe("waiting");
  });

  test("does not bring back a peer that has stopped", async () => {
    const { server, peer } = await aliceWaiting();
    peer.stop();
    await settle();
    server.take();
    server.drop();
    server.session({ status: "idle" }, false);
    expect(server.names).toEqual([]);
    expect(peer.state).toEqual({ status: "idle" });
  });
});

describe("a hand-over to another socket", () => {
  test("is not visible: the state stays, and nothing is sent", async () => {
    const { server, browser, seen } = await aliceInRoom();
    server.handOver();
    server.session(paired("room-1"));
    await pass(5000);
    expect(seen).toEqual([]);
    expect(server.names).toEqual([]);
    expect(browser.last.connectionState).toBe("connected");
  });

  test("in the lobby keeps the place, and does not join again", async () => {
    const { server, peer, seen } = await aliceWaiting();
    const { state } = peer;
    if (state.status !== "waiting") throw new Error("Alice should be waiting");
    seen.length = 0;
    server.handOver();
    server.session({ status: "waiting", since: state.since });
    await pass(5000);
    expect(seen).toEqual([]);
    expect(server.names).toEqual([]);
  });

  test("keeps the order of signals: those on the second socket wait for the answers on the first", async () => {
    const { server } = await aliceWaiting();
    server.answering = false;
    server.emit(createOffer("room-1"));
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    expect(server.names).toEqual(["offer"]);
    server.handOver();
    await settle();
    expect(server.names).toEqual(["offer"]);
    server.calls[0]?.answer({ delivered: true });
    await settle();
    expect(server.names).toEqual(["offer", ...Array<string>(3).fill("addIceCandidate")]);
  });
});

describe("another tab", () => {
  test("that takes the session over ends this one's call, by name", async () => {
    const { server, browser, peer } = await aliceInRoom();
    server.end({ kind: "taken-over", cause: undefined });
    expect(peer.state).toEqual({
      status: "idle",
      error: { kind: "taken-over", cause: undefined },
    });
    expect(browser.last.connectionState).toBe("closed");
    expect(server.names).toEqual([]);
  });

  test("is taken over in turn by Start", async () => {
    const { server, peer } = await aliceInRoom();
    server.end({ kind: "taken-over", cause: undefined });
    peer.start();
    server.session(paired("the-other-tab's-room"));
    expect(server.names).toEqual(["leave", "join"]);
    expect(peer.state.status).toBe("waiting");
  });
});

describe("a page that is hidden", () => {
  test("sends leave, closes the call, and joins again if it is restored", async () => {
    const { server, browser, peer } = await aliceInRoom();
    peer.onPageHide();
    expect(server.unloadLeaves).toBe(1);
    expect(browser.last.connectionState).toBe("closed");
    server.drop();
    peer.onPageShow();
    expect(server.names).toEqual([]);
    server.session({ status: "idle" });
    expect(server.names).toEqual(["join"]);
  });

  test("sends nothing when it was idle", () => {
    const { server, peer } = alice();
    peer.onPageHide();
    peer.close();
    expect(server.unloadLeaves).toBe(0);
    expect(server.closed).toBe(true);
  });

  test("closed for good, ends the iteration of states and leaves no timer behind", async () => {
    const { server, peer } = await aliceInRoom();
    const states = peer.states();
    expect((await states.next()).value).toMatchObject({ status: "connected" });
    peer.close();
    expect((await states.next()).value).toMatchObject({ status: "idle" });
    expect((await states.next()).done).toBe(true);
    expect(server.unloadLeaves).toBe(1);
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe("a moderator", () => {
  test("who takes a peer out of its room ends the call, and the peer learns why by joining", async () => {
    const { server, peer } = await aliceInRoom();
    server.answering = false;
    server.emit({ type: "resync", state: { status: "idle" } });
    await settle();
    expect(peer.state.status).toBe("waiting");
    expect(server.names).toEqual(["join"]);
    server.calls.at(-1)?.refuse(refusal({ reason: "suspended", until: 5 }));
    await settle();
    expect(peer.state).toMatchObject({ status: "idle", error: { reason: "suspended", until: 5 } });
  });
});

describe("a machine that was asleep", () => {
  test("replaces the socket, and restarts a broken path at once", async () => {
    const { server, browser, peer } = await aliceInRoom();
    browser.last.ice("disconnected");
    peer.onResume();
    expect(server.renewals).toBe(1);
    expect(browser.last.restarts).toBe(1);
  });

  test("does nothing while idle", () => {
    const { server, peer } = alice();
    peer.onResume();
    expect(server.renewals).toBe(0);
  });
});

describe("the figures of a call", () => {
  test("contain how long it took to match and to connect", async () => {
    const { server, browser, peer } = await aliceWaiting();
    await pass(1200);
    server.emit(createOffer("room-1"));
    await pass(300);
    expect(await peer.stats()).toMatchObject({ roomId: "room-1", matchMs: 1200 });
    connect(browser);
    expect(await peer.stats()).toMatchObject({ matchMs: 1200, connectMs: 300 });
    peer.stop();
    expect(await peer.stats()).toBeUndefined();
  });

  const path = (bytesReceived: number) => [
    { type: "candidate-pair", nominated: true, state: "succeeded", bytesReceived },
  ];

  test("come to a listener again and again in a room, each with the rates since its previous call, until it unsubscribes", async () => {
    const { server, browser, peer } = await aliceInRoom();
    const rates: string[] = [];
    const stop = peer.onStats(({ roomId, receivedBitsPerS }) => {
      rates.push(`${roomId} ${Math.round(receivedBitsPerS)}`);
    }, 1000);
    let total = 0;
    const second = async (bytes: number) => {
      browser.last.stats = path((total += bytes));
      await pass(500);
      // Another reader takes nothing away from it.
      await peer.stats();
      await pass(500);
    };
    await second(1000);
    await second(2000);
    expect(rates.at(-1)).toBe("room-1 16000");
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    const between = rates.length;
    await pass(5000);
    expect(rates).toHaveLength(between);
    server.emit(createOffer("room-2"));
    await settle();
    connect(browser);
    await pass(1000);
    expect(rates.at(-1)).toMatch(/^room-2 /);
    stop();
    stop();
    const stopped = rates.length;
    await pass(5000);
    expect(rates).toHaveLength(stopped);
  });

  test("come not too often, and not after close()", async () => {
    const { peer } = await aliceInRoom();
    // A timer of more milliseconds than 31 bits have fires at once (HTML, 8.6).
    for (const everyMs of [249, 0, -1, Number.NaN, Infinity, 2 ** 31])
      expect(() => peer.onStats(() => {}, everyMs)).toThrow(RangeError);
    let calls = 0;
    peer.onStats(() => (calls += 1), 250);
    await pass(500);
    expect(calls).toBe(2);
    peer.close();
    peer.onStats(() => (calls += 1), 250);
    await pass(5000);
    expect(calls).toBe(2);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("have the levels of both sides, as of the previous call", async () => {
    const { server, browser, peer } = await aliceInRoom();
    browser.last.stats = [
      { type: "media-source", kind: "audio", audioLevel: 0.25 },
      { type: "inbound-rtp", kind: "audio", audioLevel: 0.5 },
    ];
    expect(peer.levels()).toEqual({});
    await settle();
    expect(peer.levels()).toEqual({ mine: 0.25, partner: 0.5 });
    // What the partner has measured counts more.
    browser.last.levels = [{}, { audioLevel: 0.75 }];
    expect(peer.levels()).toEqual({ mine: 0.25, partner: 0.75 });
    server.emit({ type: "partner-media", roomId: "room-1", audio: false, video: true });
    expect(peer.levels()).toEqual({ mine: 0.25, partner: 0 });
    peer.stop();
    expect(peer.levels()).toEqual({});
    expect(alice().peer.levels()).toEqual({});
  });

  test("make one word of the state, which changes only with the word", async () => {
    const { browser, peer } = await aliceInRoom();
    const words: unknown[] = [];
    peer.subscribe((state) => words.push("quality" in state ? state.quality : state.status));
    const delay = (currentRoundTripTime: number) => {
      browser.last.stats = [
        { type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime },
      ];
    };
    delay(0.02);
    await pass(30_000);
    delay(0.8);
    await pass(30_000);
    expect(words).toEqual(["good", "poor"]);
    // Nothing is measured while the page is hidden.
    peer.onVisibility(true);
    delay(0.02);
    await pass(30_000);
    expect(words).toEqual(["good", "poor"]);
    expect(peer.state).toMatchObject({ status: "connected", quality: "poor" });
    browser.last.ice("disconnected");
    expect(peer.state).not.toHaveProperty("quality");
  });
});

describe("the typing indicator", () => {
  test("of the partner is emitted, with its room", async () => {
    const { browser, peer } = await aliceInRoom();
    const received: unknown[] = [];
    peer.onEvent((event) => received.push(event));
    const data = JSON.stringify({ type: "typing", typing: true });
    browser.last.channel.dispatchEvent(new MessageEvent("message", { data }));
    expect(received).toEqual([{ type: "typing", typing: true, roomId: "room-1" }]);
  });

  test("B17 lapses after 6 s unless it is renewed, and ends with a message", async () => {
    const { browser, peer } = await aliceInRoom();
    const received: unknown[] = [];
    peer.onEvent((event) => received.push(event.type === "typing" ? event.typing : event.type));
    const frame = (message: object) =>
      browser.last.channel.dispatchEvent(
        new MessageEvent("message", { data: JSON.stringify(message) }),
      );
    frame({ type: "typing", typing: true });
    await pass(5000);
    frame({ type: "typing", typing: true });
    await pass(5900);
    expect(received).toEqual([true]);
    await pass(200);
    expect(received).toEqual([true, false]);
    frame({ type: "typing", typing: true });
    frame({ type: "chat", text: "Hello" });
    await pass(10_000);
    expect(received).toEqual([true, false, true, false, "chat"]);
  });

  test("B17 of the own user is one frame for many key presses, renewed every 3 s", async () => {
    const { browser, peer } = await aliceInRoom();
    connect(browser);
    const { channel } = browser.last;
    const sent: unknown[] = [];
    channel.readyState = "open";
    channel.send = (data) => void sent.push(JSON.parse(String(data)).typing);
    for (let key = 0; key < 20; key++) peer.sendTyping(true);
    expect(sent).toEqual([true]);
    await pass(3100);
    for (let key = 0; key < 20; key++) peer.sendTyping(true);
    expect(sent).toEqual([true, true]);
    peer.sendTyping(false);
    peer.sendTyping(false);
    expect(sent).toEqual([true, true, false]);
  });
});

describe("the microphone and the camera", () => {
  test("stay muted for the tracks that come later", async () => {
    const { peer } = await aliceInRoom();
    peer.setMuted({ audio: true });
    const other = fakeCamera();
    await peer.replaceTracks(other);
    expect(other.getAudioTracks()[0]?.enabled).toBe(false);
    expect(other.getVideoTracks()[0]?.enabled).toBe(true);
    peer.setMuted({ audio: false, video: true });
    expect(other.getAudioTracks()[0]?.enabled).toBe(true);
    expect(other.getVideoTracks()[0]?.enabled).toBe(false);
  });
});

describe("B6 what the partner sends", () => {
  test("B6 is part of the state to the end of the call, as the server says; the partner's own word on the data channel is ignored", async () => {
    const { browser, peer, server } = await aliceInRoom();
    connect(browser);
    await settle();
    const media = () => ("partnerMedia" in peer.state ? peer.state.partnerMedia : undefined);
    expect(media()).toEqual({ audio: true, video: true });
    let states = 0;
    peer.subscribe(() => (states += 1));
    for (let times = 0; times < 2; times += 1)
      server.emit({ type: "partner-media", roomId: "room-1", audio: true, video: false });
    await settle();
    expect(media()).toEqual({ audio: true, video: false });
    expect(states).toBe(1);
    const frame = JSON.stringify({ type: "media", audio: false, video: true });
    browser.last.channel.dispatchEvent(new MessageEvent("message", { data: frame }));
    expect(media()).toEqual({ audio: true, video: false });
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    server.emit(createOffer("room-2"));
    await settle();
    connect(browser);
    await settle();
    expect(media()).toEqual({ audio: true, video: true });
  });
});
