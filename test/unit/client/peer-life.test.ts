/** From the first use of a peer to its `close()`, and what may go wrong in between. */
import type { Rtc } from "../../../src/client/platform.ts";
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { createPagePeer } from "../../../src/client/page-peers.ts";
import { createPeer, type PeerParts } from "../../../src/client/peer.ts";
import type { PeerState } from "../../../src/protocol.ts";
import { createOffer, FakeConnection, paired } from "./fake-connection.ts";
import { fakeCamera, FakeNetwork, type FakePeerConnection, callCode } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A peer, its server and its browser. */
function alice(parts: Partial<PeerParts> = {}) {
  const server = new FakeConnection();
  const browser = new FakeNetwork().browser("alice");
  const peer = createPeer({ callCode, connection: server, rtc: browser, ...parts });
  const seen: string[] = [];
  peer.subscribe(({ status }) => seen.push(status));
  return { server, browser, peer, seen };
}

async function waiting(parts: Partial<PeerParts> = {}) {
  const all = alice(parts);
  all.peer.start({ stream: fakeCamera() });
  all.server.session({ status: "idle" }, false);
  await settle();
  all.server.take();
  return all;
}

/** In room 1, connected, and the chat's channel is open. */
async function inCall() {
  const all = await waiting();
  all.server.emit(createOffer("room-1"));
  await settle();
  const { last } = all.browser;
  last.ice("connected");
  last.connection("connected");
  last.channel.readyState = "open";
  await settle();
  all.server.take();
  all.seen.length = 0;
  return all;
}

const partnerLeft = { type: "partner-disconnected", roomId: "room-1", reason: "left" } as const;

/** A browser in which this step of a call throws. */
function faulty(step: "connect" | "createDataChannel" | "addTrack" | "setLocalDescription"): Rtc & {
  made: FakePeerConnection[];
} {
  const browser = new FakeNetwork().browser("faulty");
  const fault = new DOMException(`${step} failed`, "InvalidAccessError");
  return {
    made: browser.all,
    stream: browser.stream,
    connect(configuration) {
      if (step === "connect") throw fault;
      const pc = browser.connect(configuration);
      const isAsync = step === "setLocalDescription";
      Reflect.set(pc, step, () => {
        if (isAsync) return Promise.reject(fault);
        throw fault;
      });
      return pc;
    },
  };
}

test("the signal of a search ends that search alone, and keeps no listener after it", async () => {
  const { peer, server } = alice();
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...all: Parameters<typeof addEventListener>) => {
    listeners += 1;
    addEventListener.apply(signal, all);
  };
  signal.removeEventListener = (...all: Parameters<typeof removeEventListener>) => {
    listeners -= 1;
    removeEventListener.apply(signal, all);
  };
  for (let searches = 0; searches < 5; searches += 1) peer.start({ signal });
  server.session({ status: "idle" }, false);
  await settle();
  expect([peer.state.status, listeners]).toEqual(["waiting", 1]);
  peer.stop();
  expect(listeners).toBe(0);
  peer.start({ signal });
  peer.start();
  controller.abort();
  expect([peer.state.status, listeners]).toEqual(["waiting", 0]);
  peer.start({ signal });
  expect(peer.state.status).toBe("idle");
  const other = new AbortController();
  peer.start({ signal: other.signal });
  other.abort();
  expect(peer.state.status).toBe("idle");
  peer.close();
});

describe("B3 a browser that can't make calls", () => {
  test("B3 without WebRTC is idle with that error at once, and nothing is sent", async () => {
    const unsupported = {
      kind: "unsupported",
      what: "WebRTC",
      message: "there is no WebRTC here",
      cause: undefined,
    } as const;
    let missing = true;
    const { server, peer, seen } = alice({
      findUnsupported: () => (missing ? unsupported : undefined),
    });
    for (const search of [() => peer.start(), () => peer.next()]) {
      search();
      expect(peer.state).toEqual({ status: "idle", error: unsupported });
    }
    await pass(1000);
    expect(server.opened).toBe(false);
    expect(server.names).toEqual([]);
    expect(seen).not.toContain("waiting");
    missing = false;
    peer.start();
    server.session({ status: "idle" }, false);
    expect(server.names).toEqual(["join"]);
  });

  for (const step of ["connect", "createDataChannel", "addTrack", "setLocalDescription"] as const)
    test(`B3 that throws at ${step} reports the failed call to the server, and is idle with the reason`, async () => {
      const rtc = faulty(step);
      const { server, peer } = await waiting({ rtc });
      server.emit(createOffer("room-1"));
      await pass(100);
      expect(server.names).toEqual(["failed", "leave"]);
      expect(server.calls[0]?.input).toMatchObject({ roomId: "room-1" });
      expect(peer.state).toMatchObject({
        status: "idle",
        error: { kind: "call-setup", message: expect.stringContaining(`${step} failed`) },
      });
      for (const made of rtc.made) expect(made.connectionState).toBe("closed");
      // The server has put it into the lobby before it received of the leaving.
      server.emit({ type: "lobby", waiting: 1, online: 1 });
      await pass(60_000);
      expect(peer.state.status).toBe("idle");
      expect(jest.getTimerCount()).toBe(0);
    });

  test("B3 that can't make an answer does so as well", async () => {
    const rtc = faulty("setLocalDescription");
    const { server, peer } = await waiting({ rtc });
    server.emit({ ...createOffer("room-1"), type: "wait-for-offer", polite: true } as never);
    const sdp = JSON.stringify({ connection: "bob", generation: 1, kinds: [] });
    server.emit({ type: "offer", roomId: "room-1", sdp });
    await pass(100);
    expect(server.names).toEqual(["failed", "leave"]);
    expect(peer.state).toMatchObject({ status: "idle", error: { kind: "call-setup" } });
  });

  test("B3 an invalid description of the partner is not considered a fault of the own browser's fault", async () => {
    const { server, peer } = await waiting();
    server.emit({ ...createOffer("room-1"), type: "wait-for-offer", polite: true } as never);
    server.emit({ type: "offer", roomId: "room-1", sdp: "nonsense" });
    await pass(100);
    expect(server.names).toEqual(["failed"]);
    expect(peer.state).toMatchObject({ status: "waiting", ended: "connect-failed" });
  });
});

describe("B10 a peer that was closed", () => {
  test("B10 does not search: the state has the reason", async () => {
    const { server, peer, seen } = await inCall();
    peer.close();
    seen.length = 0;
    server.take();
    for (const search of [() => peer.start(), () => peer.next()]) {
      search();
      expect(peer.state).toMatchObject({ status: "idle", error: { kind: "closed" } });
    }
    expect(await peer.report()).toMatchObject({ ok: false, error: { kind: "closed" } });
    expect(await peer.block()).toMatchObject({ ok: false, error: { kind: "closed" } });
    expect(await peer.again()).toMatchObject({ ok: false, error: { kind: "closed" } });
    expect(await peer.stats()).toBeUndefined();
    expect(peer.sendChat("hello")).toBe(false);
    expect(server.names).toEqual([]);
    expect(seen).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("B10 sends leave also when Stop has not reached the server yet", async () => {
    const { server, peer } = await inCall();
    server.answering = false;
    peer.stop();
    peer.close();
    expect(server.unloadLeaves).toBe(1);
  });

  type All = ReturnType<typeof alice>;
  /** Everything that can happen to a peer. */
  const inputs: Record<string, (all: All) => unknown> = {
    start: ({ peer }) => peer.start({ stream: fakeCamera() }),
    next: ({ peer }) => peer.next(),
    stop: ({ peer }) => peer.stop(),
    block: ({ peer }) => peer.block(),
    again: ({ peer }) => peer.again(),
    chat: ({ peer }) => peer.sendChat("hello"),
    typing: ({ peer }) => peer.sendTyping(true),
    tracks: ({ peer }) => peer.replaceTracks(fakeCamera()),
    camera: ({ peer }) => peer.cameraChanged(fakeCamera(), true),
    pageHide: ({ peer }) => peer.onPageHide(),
    pageShow: ({ peer }) => peer.onPageShow(),
    resume: ({ peer }) => peer.onResume(),
    idle: ({ server }) => server.session({ status: "idle" }),
    waiting: ({ server }) => server.session({ status: "waiting", since: 5 }),
    paired: ({ server }) => server.session(paired("room-1") as PeerState),
    lobby: ({ server }) => server.emit({ type: "lobby", waiting: 1, online: 1 }),
    offer: ({ server }) => server.emit(createOffer("room-1")),
    another: ({ server }) => server.emit(createOffer("room-2")),
    left: ({ server }) => server.emit(partnerLeft),
    drop: ({ server }) => server.drop(),
    over: ({ server }) => server.end({ kind: "taken-over", cause: undefined }),
    connected({ browser }) {
      browser.all.at(-1)?.ice("connected");
      browser.all.at(-1)?.connection("connected");
    },
    broken: ({ browser }) => browser.all.at(-1)?.ice("disconnected"),
    hungUp: ({ browser }) => browser.all.at(-1)?.channel.end(),
    answer: ({ server }) =>
      server.calls.find(({ settled }) => !settled)?.answer({ status: "idle" }),
    refuse: ({ server }) =>
      server.calls.find(({ settled }) => !settled)?.refuse(new Error("WebSocket closed")),
  };

  test("B10 does nothing, for any sequence of inputs before and after", async () => {
    const name = fc.constantFrom(...Object.keys(inputs));
    const story = fc.array(fc.record({ name, turns: fc.nat({ max: 8 }) }), { maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(story, story, fc.boolean(), async (before, after, answering) => {
        const all = alice();
        const { server, browser, peer } = all;
        server.answering = answering;
        const live = async ({ name, turns }: { name: string; turns: number }) => {
          void inputs[name]?.(all);
          for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        };
        for (const step of before) await live(step);
        peer.close();
        const received: unknown[] = [];
        peer.subscribe((state) => received.push(state));
        peer.onEvent((event) => received.push(event));
        const { unloadLeaves, renewals } = server;
        const calls = server.calls.length;
        const connections = browser.all.length;
        for (const step of after) await live(step);
        await pass(31_000);
        expect(peer.state.status).toBe("idle");
        expect(received).toEqual([]);
        expect(server.calls.length).toBe(calls);
        expect({ unloadLeaves, renewals }).toEqual({
          unloadLeaves: server.unloadLeaves,
          renewals: server.renewals,
        });
        expect(browser.all).toHaveLength(connections);
        for (const { signalingState } of browser.all) expect(signalingState).toBe("closed");
        expect(jest.getTimerCount()).toBe(0);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});

describe("B12 two peers on one page", () => {
  test("B12 keep their tokens apart, and the first finds its own again", () => {
    const [first, second] = [createPagePeer("key"), createPagePeer("key")];
    expect([first.storageKey(), second.storageKey()]).toEqual(["key", "key.2"]);
    expect(first.storageKey()).toBe("key");
    first.release();
    second.release();
    const after = createPagePeer("key");
    expect(after.storageKey()).toBe("key");
    after.release();
  });

  test("B12 that the server pairs with each other part at once and permanently, and continue to search", async () => {
    const [one, two] = await Promise.all(
      ["one", "two"].map((name) => waiting({ pagePeer: createPagePeer(name) })),
    );
    if (!one || !two) throw new Error("there are two");
    one.server.emit(createOffer("room-1"));
    await settle();
    two.server.emit({ ...createOffer("room-1"), type: "wait-for-offer", polite: true } as never);
    await settle();
    expect(two.server.names).toEqual(["block"]);
    expect(one.server.names).not.toContain("block");
    expect([one.peer.state.status, two.peer.state.status]).toEqual(["waiting", "waiting"]);
    expect(two.seen).not.toContain("connecting");
    expect(two.browser.all).toHaveLength(0);
    for (const { server } of [one, two]) server.take();
    one.server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    for (const { server } of [one, two]) server.emit({ type: "lobby", waiting: 2, online: 2 });
    expect(one.peer.state).not.toHaveProperty("ended");
    // Another peer is met as usual.
    two.server.emit(createOffer("room-2"));
    await settle();
    expect(two.peer.state).toMatchObject({ status: "connecting", roomId: "room-2" });
    for (const { peer } of [one, two]) peer.close();
  });
});

describe("B14 a partner that goes while the server is out of reach", () => {
  test("B14 is shown to have left at once; the search continues when the server is connected again", async () => {
    const { server, browser, peer } = await inCall();
    server.drop();
    expect(peer.state).toMatchObject({ status: "reconnecting", roomId: "room-1" });
    browser.last.channel.end();
    await settle();
    const again = { roomId: "room-1", until: expect.any(Number) };
    expect(peer.state).toEqual({
      status: "reconnecting",
      what: "signaling",
      ended: "left",
      again,
    });
    expect(browser.last.connectionState).toBe("closed");
    server.session({ status: "waiting", since: 5 });
    await settle();
    expect(server.names).toEqual([]);
    expect(peer.state).toMatchObject({ status: "waiting", ended: "left" });
  });

  test("B14 and whose room the server still has is skipped there", async () => {
    const { server, browser, peer } = await inCall();
    server.drop();
    browser.last.channel.end();
    await settle();
    server.session(paired("room-1"));
    expect(server.names).toEqual(["skip"]);
    expect(peer.state).toMatchObject({ status: "waiting", ended: "left" });
  });

  test("B14 is waited for while the server is connected and can report the reason", async () => {
    const { server, browser, peer } = await inCall();
    server.emit({ type: "partner-reconnecting", roomId: "room-1", deadline: 99 });
    browser.last.channel.end();
    await settle();
    expect(peer.state).toMatchObject({ status: "reconnecting", what: "partner" });
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "skipped" });
    expect(peer.state).toMatchObject({ status: "waiting", ended: "skipped" });
    expect(server.names).toEqual([]);
  });

  test("B14 but a path that merely breaks leaves the call alone", async () => {
    const { server, browser, peer } = await inCall();
    server.drop();
    browser.last.ice("disconnected");
    await settle();
    expect(peer.state).toMatchObject({ status: "reconnecting", roomId: "room-1" });
    expect(browser.last.connectionState).not.toBe("closed");
  });
});

describe("B15 a call whose partner the server has lost", () => {
  test("B15 continues while the partner is present, outside the lobby, and no other partner ends it", async () => {
    const { server, browser, peer } = await inCall();
    server.emit({ type: "partner-reconnecting", roomId: "room-1", deadline: 99 });
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "lost" });
    server.emit({ type: "lobby", waiting: 1, online: 2 });
    expect(peer.state).toMatchObject({ status: "connected", roomId: "room-1", orphaned: true });
    // Outside the lobby it waits for its room to exist again.
    expect(server.names).toEqual(["leave", "connected"]);
    await settle();
    server.take();
    server.emit(createOffer("room-2"));
    expect(server.names).toEqual(["leave", "connected"]);
    await settle();
    server.take();
    expect(browser.all).toHaveLength(1);
    expect(peer.state).toMatchObject({ status: "connected", roomId: "room-1", orphaned: true });
    // It ends as any orphaned call does.
    browser.last.channel.end();
    await settle();
    expect(server.names).toEqual(["join"]);
    expect(peer.state).toMatchObject({ status: "waiting", ended: "left" });
  });

  test.each<[string, (pc: FakePeerConnection) => void]>([
    ["the path is broken", (pc) => pc.ice("disconnected")],
    ["the partner has closed it", (pc) => pc.channel.end()],
  ])("B15 ends as lost, or left, when %s", async (_why, happens) => {
    const { server, browser, peer } = await inCall();
    happens(browser.last);
    await settle();
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "lost" });
    expect(peer.state).toMatchObject({ status: "waiting", ended: "lost" });
    expect(browser.last.connectionState).toBe("closed");
  });

  test("B15 of a partner that a moderator removed ends, however alive it is", async () => {
    const { server, peer } = await inCall();
    server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "removed" });
    expect(peer.state).toMatchObject({ status: "waiting", ended: "removed" });
  });
});

describe("B11 the page's own tracks", () => {
  const sent = ({ browser }: Awaited<ReturnType<typeof inCall>>) =>
    browser.last.senders.map(({ sender }) => sender.track as unknown as MediaStreamTrack);

  test("B11 stay in this call and the next, for any change of the camera", async () => {
    const all = await inCall();
    const { peer, server, browser } = all;
    const raw = fakeCamera();
    peer.cameraChanged(raw, true);
    const blurred = fakeCamera();
    await peer.replaceTracks(blurred);
    peer.cameraChanged(fakeCamera(), false);
    await settle();
    expect(sent(all)).toEqual(blurred.getTracks());
    peer.next();
    server.emit(partnerLeft);
    // Wishes alone do not change what is sent.
    peer.start();
    server.emit(createOffer("room-2"));
    await settle();
    expect(browser.all).toHaveLength(2);
    expect(sent(all)).toEqual(blurred.getTracks());
  });

  test("B11 given to start in a call are sent and muted in that call", async () => {
    const all = await inCall();
    const given = fakeCamera();
    all.peer.start({ stream: given });
    await settle();
    expect(sent(all)).toEqual(given.getTracks());
    all.peer.setMuted({ video: true });
    expect(given.getVideoTracks()[0]?.enabled).toBe(false);
  });

  test("a camera that is off is not sent, which the server is told, and sent again without a new offer", async () => {
    const all = await inCall();
    const { peer, server, browser } = all;
    const both = fakeCamera();
    peer.cameraChanged(both, true);
    await peer.replaceTracks(both);
    await pass(1000);
    server.take();
    const { offers } = browser.last;
    peer.setMuted({ video: true });
    peer.cameraChanged(fakeCamera("audio"), false);
    await pass(1000);
    expect(sent(all).map((track) => track?.kind)).toEqual(["audio", undefined as never]);
    const again = fakeCamera();
    peer.setMuted({ video: false });
    peer.cameraChanged(again, false);
    await pass(1000);
    expect(sent(all)).toEqual(again.getTracks());
    const told = server.take().flatMap(({ name, input }) => (name === "media" ? [input] : []));
    expect(told).toMatchObject([
      { roomId: "room-1", audio: true, video: false },
      { roomId: "room-1", audio: true, video: true },
    ]);
    expect(browser.last.offers).toBe(offers);
  });
});
