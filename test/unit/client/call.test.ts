import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createCall, type Call } from "../../../src/client/call.ts";
import type { CallPath, IceServer, Mode, Signal } from "../../../src/protocol.ts";
import { fakeCamera, FakeNetwork, isReactNative } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

interface SideOptions {
  polite: boolean;
  relayOnly?: boolean;
  local?: MediaStream | undefined;
  canSignal?: () => boolean;
  mode?: Mode;
  iceServers?: IceServer[];
  fetchIceServers?: () => Promise<IceServer[] | undefined>;
}

/** One side of a room: its call, and a log of what the call reports. */
function side(network: FakeNetwork, name: string, options: SideOptions) {
  const browser = network.browser(name);
  const log: string[] = [];
  const sent: Signal[] = [];
  const paths: (CallPath | undefined)[] = [];
  /** What it tells the listener that it sends: audio and video. */
  const told: string[] = [];
  let deliver: ((signal: Signal) => void) | undefined;
  const call = createCall({
    room: {
      roomId: "room",
      polite: options.polite,
      relayOnly: options.relayOnly ?? false,
      mode: options.mode ?? "video",
      iceServers: options.iceServers ?? [{ urls: ["stun:stun.example"] }],
    },
    ...(options.fetchIceServers && { fetchIceServers: options.fetchIceServers }),
    local: "local" in options ? options.local : fakeCamera(),
    rtc: browser,
    ...(options.canSignal && { canSignal: options.canSignal }),
    listener: {
      signal(signal) {
        sent.push(signal);
        deliver?.(signal);
      },
      connected(path) {
        log.push("connected");
        paths.push(path);
      },
      interrupted: (broken) => log.push(broken ? "interrupted" : "mended"),
      failed: () => log.push("failed"),
      media: ({ audio, video }) => told.push(`${audio} ${video}`),
      quality: (word) => log.push(word),
      hungUp: () => log.push("hung up"),
      message(message) {
        if (message.type === "chat") log.push(`chat: ${message.text}`);
        if (message.type === "typing") log.push(`typing: ${message.typing}`);
      },
    },
  });
  const kinds = () => sent.map(({ type }) => type);
  return {
    call,
    log,
    paths,
    told,
    sent,
    kinds,
    pc: browser.last,
    reaches(other: Call) {
      deliver = (signal) => queueMicrotask(() => other.receive(signal));
      for (const signal of sent) deliver(signal);
    },
    silence: () => void (deliver = undefined),
  };
}

/** Alice makes the offer, Bob waits for it; their signals reach each other. */
function room(options: { alice?: MediaStream | undefined; bob?: MediaStream | undefined } = {}) {
  const network = new FakeNetwork();
  const alice = side(network, "alice", {
    polite: false,
    local: fakeCamera(),
    ...("alice" in options && { local: options.alice }),
  });
  const bob = side(network, "bob", {
    polite: true,
    local: fakeCamera(),
    ...("bob" in options && { local: options.bob }),
  });
  const introduce = () => {
    alice.reaches(bob.call);
    bob.reaches(alice.call);
  };
  introduce();
  return { network, alice, bob, introduce };
}

const offerOf = (pc: string, generation = 1): Signal => ({
  type: "offer",
  roomId: "room",
  sdp: JSON.stringify({ connection: pc, generation, kinds: [] }),
});

describe("the path", () => {
  for (const [what, own, partners, path] of [
    ["direct where neither candidate is a relay's", "host", "srflx", "direct"],
    ["relayed by the own TURN server", "relay", "host", "relayed"],
    ["relayed by that of the partner", "prflx", "relay", "relayed"],
  ] as const)
    test(`is ${what}`, async () => {
      const { alice } = room();
      const pair = { local: { type: own }, remote: { type: partners } };
      const transport = alice.pc.sctp?.transport;
      if (transport) transport.iceTransport = { getSelectedCandidatePair: () => pair };
      await settle();
      expect(alice.paths).toEqual([isReactNative ? undefined : path]);
    });

  test("is absent where the browser does not tell it at once, or knows none yet", async () => {
    const { alice, bob } = room();
    const transport = bob.pc.sctp?.transport;
    if (transport) transport.iceTransport = { getSelectedCandidatePair: () => null };
    await settle();
    expect([alice.paths, bob.paths]).toEqual([[undefined], [undefined]]);
  });
});

describe("the first offer", () => {
  test("Alice offers, Bob answers, both connect and see each other's tracks", async () => {
    const { alice, bob } = room();
    await settle();
    expect(alice.log).toEqual(["connected"]);
    expect(bob.log).toEqual(["connected"]);
    expect(alice.kinds()).toContain("offer");
    expect(bob.kinds()).not.toContain("offer");
    expect(alice.call.remote.getTracks().map(({ kind }) => kind)).toEqual(["audio", "video"]);
    expect(bob.call.remote.getTracks()).toHaveLength(2);
  });

  test("Bob, who is polite, never makes it, however long Alice takes", async () => {
    const bob = side(new FakeNetwork(), "bob", { polite: true });
    await pass(15_000);
    expect(bob.sent).toEqual([]);
  });

  test("Alice without a camera still gets Bob's picture", async () => {
    const { alice, bob } = room({ alice: undefined });
    await settle();
    expect(alice.log).toEqual(["connected"]);
    expect(alice.call.remote.getTracks()).toHaveLength(2);
    // Bob's tracks were not in Alice's offer, so he makes the second one.
    expect(bob.call.remote.getTracks()).toHaveLength(0);
  });

  test("the room's ICE servers and its relay-only wish reach the connection", () => {
    const alice = side(new FakeNetwork(), "alice", { polite: false, relayOnly: true });
    expect(alice.pc.configuration).toMatchObject({
      iceServers: [{ urls: ["stun:stun.example"] }],
      iceTransportPolicy: "relay",
    });
  });

  test("what is no SDP ends a call that does not stand yet", async () => {
    const bob = side(new FakeNetwork(), "bob", { polite: true });
    bob.call.receive({ type: "offer", roomId: "room", sdp: "nonsense" });
    await settle();
    expect(bob.log).toEqual(["failed"]);
  });

  test("what is no SDP leaves a call alone that stands", async () => {
    const { alice, bob } = room();
    await settle();
    bob.call.receive({ type: "offer", roomId: "room", sdp: "nonsense" });
    await settle();
    expect([...alice.log, ...bob.log]).toEqual(["connected", "connected"]);
  });

  test("signals of another room are not for this call", async () => {
    const bob = side(new FakeNetwork(), "bob", { polite: true });
    bob.call.receive({ ...offerOf("alice-1"), roomId: "another" });
    await settle();
    expect(bob.pc.remoteDescription).toBeNull();
  });
});

describe("offers that cross", () => {
  test("the impolite one's wins, and both end up agreed", async () => {
    const { alice, bob } = room();
    await settle();
    alice.pc.restartIce();
    bob.pc.restartIce();
    await settle();
    expect(alice.pc.signalingState).toBe("stable");
    expect(bob.pc.signalingState).toBe("stable");
    expect(alice.pc.iceConnectionState).toBe("connected");
    expect(alice.log).toEqual(["connected"]);
  });

  test("Alice, who is impolite, ignores the crossing offer and its candidates", async () => {
    const alice = side(new FakeNetwork(), "alice", { polite: false });
    await settle();
    expect(alice.pc.signalingState).toBe("have-local-offer");
    alice.call.receive(offerOf("bob-1"));
    alice.call.receive({
      type: "add-ice-candidate",
      roomId: "room",
      candidate: { candidate: "x" },
    });
    await settle();
    expect(alice.pc.remoteDescription).toBeNull();
    expect(alice.log).toEqual([]);
  });

  test("Bob, who is polite, rolls back and makes his offer again afterwards", async () => {
    const { alice, bob } = room();
    await settle();
    bob.silence();
    bob.pc.restartIce();
    await settle();
    expect(bob.pc.signalingState).toBe("have-local-offer");
    const offersBefore = bob.pc.offers;
    bob.reaches(alice.call);
    alice.pc.restartIce();
    await settle();
    expect(bob.pc.signalingState).toBe("stable");
    expect(bob.pc.offers).toBeGreaterThanOrEqual(offersBefore);
    expect(bob.pc.iceConnectionState).toBe("connected");
  });

  test("an answer that comes twice is taken once", async () => {
    const { alice, bob } = room();
    await settle();
    const answer = bob.sent.find(({ type }) => type === "answer") as Signal;
    alice.call.receive(answer);
    await settle();
    expect(alice.pc.signalingState).toBe("stable");
    expect(alice.log).toEqual(["connected"]);
  });

  test("an answer that comes twice while the path is not there yet ends nothing", async () => {
    const { network, alice, bob } = room();
    network.whole = false;
    await settle();
    alice.call.receive(bob.sent.find(({ type }) => type === "answer") as Signal);
    await settle();
    network.mend();
    expect(alice.log).toEqual(["connected"]);
  });
});

describe("candidates", () => {
  test("those that come before the offer are kept for it", async () => {
    const network = new FakeNetwork();
    const alice = side(network, "alice", { polite: false });
    const bob = side(network, "bob", { polite: true });
    bob.reaches(alice.call);
    await settle();
    const offer = alice.sent.filter(({ type }) => type === "offer");
    const candidates = alice.sent.filter(({ type }) => type !== "offer");
    for (const signal of [...candidates, ...offer]) bob.call.receive(signal);
    await settle();
    expect(bob.log).toEqual(["connected"]);
  });

  test("the empty string that ends a generation is passed on, null never is", async () => {
    const { alice } = room();
    await settle();
    const lines = alice.sent.flatMap((signal) =>
      signal.type === "add-ice-candidate" ? [signal.candidate.candidate] : [],
    );
    expect(lines).toEqual(["candidate:alice-1 1", "candidate:alice-1 2", ""]);
  });

  test("a partner that sends candidates without end and no offer fills no memory", async () => {
    const bob = side(new FakeNetwork(), "bob", { polite: true });
    for (let n = 0; n < 10_000; n += 1) {
      bob.call.receive({
        type: "add-ice-candidate",
        roomId: "room",
        candidate: { candidate: `c${n}` },
      });
    }
    let added = 0;
    bob.pc.addIceCandidate = async () => void (added += 1);
    bob.call.receive(offerOf("alice-1"));
    await settle();
    expect(added).toBe(200);
  });
});

describe("a call that does not connect", () => {
  test("has failed after 20 s, once", async () => {
    const alice = side(new FakeNetwork(), "alice", { polite: false });
    await pass(19_900);
    expect(alice.log).toEqual([]);
    await pass(60_000);
    expect(alice.log).toEqual(["failed"]);
  });

  test("has failed at once when the encryption could not be agreed on", async () => {
    const { alice } = room();
    await settle();
    alice.pc.failDtls();
    // Without `sctp` nothing tells it from a failure of ICE, which may pass.
    expect(alice.log).toEqual(isReactNative ? ["connected"] : ["connected", "failed"]);
  });

  test("B1 a connection that fails before its ICE state does is mended by a restart", async () => {
    const { alice } = room();
    await settle();
    alice.pc.ice("disconnected");
    // The order in which Chromium changes the two.
    alice.pc.connection("failed");
    alice.pc.ice("failed");
    expect(alice.log).toEqual(["connected", "interrupted"]);
    expect(alice.pc.restarts).toBe(1);
    alice.pc.ice("connected");
    alice.pc.connection("connected");
    expect(alice.log).toEqual(["connected", "interrupted", "mended"]);
  });
});

describe("a path that breaks", () => {
  test("and comes back within 3 s needs no restart", async () => {
    const { alice } = room();
    await settle();
    alice.pc.ice("disconnected");
    await pass(2900);
    alice.pc.ice("connected");
    await pass(60_000);
    expect(alice.pc.restarts).toBe(0);
    expect(alice.log).toEqual(["connected", "interrupted", "mended"]);
  });

  test("for longer is mended by a restart", async () => {
    const { network, alice, bob } = room();
    await settle();
    network.cut();
    await pass(2000);
    network.whole = true;
    await pass(3000);
    expect(alice.log).toEqual(["connected", "interrupted", "mended"]);
    expect(bob.log).toEqual(["connected", "interrupted", "mended"]);
    expect(alice.pc.restarts + bob.pc.restarts).toBeGreaterThan(0);
  });

  test("for good is restarted four times, and then the call has failed", async () => {
    const { network, alice } = room();
    await settle();
    network.cut();
    await pass(26_000);
    expect(alice.log).toEqual(["connected", "interrupted"]);
    await pass(4500);
    expect(alice.pc.restarts).toBe(4);
    expect(alice.log).toEqual(["connected", "interrupted", "failed"]);
    await pass(60_000);
    expect(alice.log).toHaveLength(3);
  });

  test("that the browser calls failed is restarted at once", async () => {
    const { alice } = room();
    await settle();
    alice.pc.ice("failed");
    expect(alice.pc.restarts).toBe(1);
    alice.pc.ice("failed");
    expect(alice.pc.restarts).toBe(1);
  });

  test("is restarted immediately after sleep, with all its attempts", async () => {
    const { network, alice } = room();
    await settle();
    network.cut();
    await pass(20_000);
    expect(alice.pc.restarts).toBe(3);
    alice.call.onResume();
    expect(alice.pc.restarts).toBe(4);
    await pass(23_000);
    expect(alice.log).toEqual(["connected", "interrupted"]);
    expect(alice.pc.restarts).toBe(7);
  });

  test("and is whole when the machine wakes up needs no restart", async () => {
    const { alice } = room();
    await settle();
    alice.call.onResume();
    await pass(30_000);
    expect(alice.pc.restarts).toBe(0);
  });

  test("without signaling is given up when the browser reports it as failed, and not before", async () => {
    const alice = side(new FakeNetwork(), "alice", { polite: false, canSignal: () => false });
    alice.pc.connection("connected");
    alice.pc.ice("connected");
    alice.pc.ice("disconnected");
    await pass(5000);
    alice.pc.ice("connected");
    alice.pc.ice("disconnected");
    await pass(5000);
    expect(alice.log).toEqual(["connected", "interrupted", "mended", "interrupted"]);
    alice.pc.ice("failed");
    expect(alice.log.at(-1)).toBe("failed");
    expect(alice.pc.restarts).toBe(0);
  });

  test("an offer without an answer is sent again after a gap in the signaling", async () => {
    const { alice, bob } = room();
    await settle();
    alice.silence();
    alice.pc.restartIce();
    await settle();
    expect(alice.pc.signalingState).toBe("have-local-offer");
    alice.reaches(bob.call);
    alice.call.repeatOffer();
    await settle();
    expect(alice.pc.signalingState).toBe("stable");
  });
});

describe("chat", () => {
  test("passes both ways", async () => {
    const { alice, bob } = room();
    await settle();
    expect(alice.call.send({ type: "chat", text: "hello" })).toBe(true);
    expect(bob.call.send({ type: "chat", text: "hi 👋" })).toBe(true);
    expect(bob.log).toContain("chat: hello");
    expect(alice.log).toContain("chat: hi 👋");
  });

  test("is announced by a typing sign", async () => {
    const { alice, bob } = room();
    await settle();
    alice.call.send({ type: "typing", typing: true });
    alice.call.send({ type: "typing", typing: false });
    expect(bob.log.slice(-2)).toEqual(["typing: true", "typing: false"]);
  });

  test("is not sent too early, too long, blank, or into a congested channel", async () => {
    const { alice } = room();
    expect(alice.call.send({ type: "chat", text: "hello" })).toBe(false);
    await settle();
    expect(alice.call.send({ type: "chat", text: "x".repeat(2001) })).toBe(false);
    expect(alice.call.send({ type: "chat", text: "  \n" })).toBe(false);
    expect(alice.call.send({ type: "chat", text: "x".repeat(2000) })).toBe(true);
    alice.pc.channel.bufferedAmount = 65 * 1024;
    expect(alice.call.send({ type: "chat", text: "hello" })).toBe(false);
  });

  test.each([
    "not json",
    "null",
    "[]",
    '{"type":"typing"}',
    '{"type":"chat"}',
    '{"type":"chat","text":5}',
    '{"type":"chat","text":" "}',
    JSON.stringify({ type: "chat", text: "x".repeat(2001) }),
  ])("a frame that is no chat message is ignored: %p", async (frame) => {
    const { alice, bob } = room();
    await settle();
    alice.pc.channel.send(frame);
    alice.pc.channel.send(new ArrayBuffer(8) as unknown as string);
    expect(bob.log).toEqual(["connected"]);
  });
});

describe("other media", () => {
  test("takes the place of what was sent, without a new offer", async () => {
    const { alice } = room();
    await settle();
    const offers = alice.pc.offers;
    const camera = fakeCamera();
    await alice.call.replaceTracks(camera);
    await settle();
    expect(alice.pc.senders.map(({ sender }) => sender.track as unknown)).toEqual(
      camera.getTracks(),
    );
    expect(alice.pc.offers).toBe(offers);
  });

  test("of a kind not sent so far is offered; nothing at all sends nothing", async () => {
    const { alice, bob } = room({ alice: fakeCamera("audio") });
    await settle();
    await alice.call.replaceTracks(fakeCamera());
    await settle();
    expect(bob.call.remote.getTracks().map(({ kind }) => kind)).toEqual(["audio", "video"]);
    await alice.call.replaceTracks(undefined);
    expect(alice.pc.senders.map(({ sender }) => sender.track)).toEqual([null, null]);
  });
});

describe("the end", () => {
  test("closes everything, reports nothing more, and leaves no timer behind", async () => {
    const { alice, bob } = room();
    await settle();
    const [track] = alice.call.remote.getTracks();
    alice.call.end();
    alice.call.end();
    await pass(120_000);
    expect(alice.pc.connectionState).toBe("closed");
    expect(alice.pc.channel.readyState).toBe("closed");
    expect(track?.readyState).toBe("ended");
    expect(alice.call.remote.getTracks()).toEqual([]);
    expect(alice.log).toEqual(["connected"]);
    expect(bob.log).toContain("hung up");
    expect(alice.call.send({ type: "chat", text: "hello" })).toBe(false);
    bob.call.end();
    expect(jest.getTimerCount()).toBe(0);
  });

  test("before it ever connected leaves no timer behind", () => {
    const alice = side(new FakeNetwork(), "alice", { polite: false });
    alice.call.end();
    expect(jest.getTimerCount()).toBe(0);
  });

  test("in the middle of making an offer sends none", async () => {
    const alice = side(new FakeNetwork(), "alice", { polite: false });
    await Promise.resolve();
    alice.call.end();
    await settle();
    expect(alice.sent).toEqual([]);
  });
});

describe("B7 the mode of a room", () => {
  test.each([
    ["video", ["audio", "video"]],
    ["audio", ["audio"]],
    ["text", []],
  ] as const)("B7 %s: of a camera that is open is sent %j, also later", async (mode, kinds) => {
    const network = new FakeNetwork();
    const { call, pc } = side(network, "alice", { polite: false, mode });
    const sent = () =>
      pc.senders.flatMap(({ sender }) => (sender.track ? [sender.track.kind] : [])).sort();
    await settle();
    expect(sent()).toEqual([...kinds]);
    await call.replaceTracks(fakeCamera());
    expect(sent()).toEqual([...kinds]);
  });

  test("B7 of what a changed client sends, nothing is taken that the mode has not", async () => {
    const network = new FakeNetwork();
    const alice = side(network, "alice", { polite: false, mode: "video" });
    const bob = side(network, "bob", { polite: true, mode: "audio" });
    alice.reaches(bob.call);
    bob.reaches(alice.call);
    await settle();
    expect(bob.call.remote.getTracks().map(({ kind }) => kind)).toEqual(["audio"]);
    const taken = bob.pc.received.map(({ track, transceiver }) => [
      track.kind,
      track.readyState,
      transceiver.direction,
    ]);
    expect(taken.sort()).toEqual([
      ["audio", "live", "recvonly"],
      ["video", "ended", "inactive"],
    ]);
  });
});

describe("B4 credentials for TURN", () => {
  const turn = (username: string): IceServer[] => [
    { urls: ["turn:turn.example"], username, credential: "of it" },
  ];
  /** Two peers in a call; each renewal of their credentials has a number. */
  async function relayed(answer: (username: string) => Promise<IceServer[] | undefined>) {
    const network = new FakeNetwork();
    const requested: string[] = [];
    const of = (name: string) => () => {
      requested.push(name);
      return answer(`${name} ${requested.length}`);
    };
    const alice = side(network, "alice", {
      polite: false,
      iceServers: turn("alice"),
      fetchIceServers: of("alice"),
    });
    const bob = side(network, "bob", {
      polite: true,
      iceServers: turn("bob"),
      fetchIceServers: of("bob"),
    });
    alice.reaches(bob.call);
    bob.reaches(alice.call);
    await settle();
    expect(requested).toEqual([]);
    const usernames = () =>
      [alice, bob].map(({ pc }) => pc.configuration.iceServers?.[0]?.username);
    return { network, alice, bob, requested, usernames };
  }

  test("B4 are renewed before a restart, and before one is answered; all else stays as it was", async () => {
    const { network, alice, bob, requested, usernames } = await relayed(async (name) => turn(name));
    const before = [alice.pc.configuration, bob.pc.configuration];
    network.cut();
    network.whole = true;
    await pass(3000);
    expect(requested).toEqual(["alice", "bob"]);
    expect(usernames()).toEqual(["alice 1", "bob 2"]);
    for (const [index, { pc, log }] of [alice, bob].entries()) {
      expect({ ...pc.configuration, iceServers: [] }).toEqual({ ...before[index], iceServers: [] });
      expect(log).toEqual(["connected", "interrupted", "mended"]);
    }
  });

  test("B4 that don't come are done without", async () => {
    const { network, alice, bob, usernames } = await relayed(async () => undefined);
    network.cut();
    network.whole = true;
    await pass(3000);
    expect(usernames()).toEqual(["alice", "bob"]);
    expect(alice.log.at(-1)).toBe("mended");
    expect(bob.log.at(-1)).toBe("mended");
  });

  test("B4 keep the signals behind an offer in their order while they are waited for", async () => {
    let give: (servers: IceServer[]) => void = () => {};
    const { network, alice, bob, usernames } = await relayed((name) =>
      name.startsWith("alice")
        ? Promise.resolve(turn(name))
        : new Promise((resolve) => (give = resolve)),
    );
    network.cut();
    network.whole = true;
    await pass(3000);
    // Alice's offer and all of her candidates have come by now.
    expect(bob.log.at(-1)).toBe("interrupted");
    give(turn("bob at last"));
    await settle();
    expect(usernames()[1]).toBe("bob at last");
    expect(alice.log.at(-1)).toBe("mended");
    expect(bob.log.at(-1)).toBe("mended");
  });

  test("B4 that come after the end change nothing", async () => {
    let give: (servers: IceServer[]) => void = () => {};
    const { network, alice } = await relayed(() => new Promise((resolve) => (give = resolve)));
    network.cut();
    await pass(3000);
    alice.call.end();
    give(turn("late"));
    await settle();
    expect(alice.pc.configuration.iceServers).toEqual(turn("alice"));
    expect(alice.pc.restarts).toBe(0);
  });
});

describe("B5 two that restart", () => {
  const ways = {
    "a path that is lost": async (network: FakeNetwork) => {
      network.cut();
      network.whole = true;
      await pass(3000);
    },
    "a path that has failed": async (network: FakeNetwork) => {
      for (const connection of network.connections) connection.lose("failed");
      await settle();
    },
    "machines that wake up": async (network: FakeNetwork, both: Call[]) => {
      network.cut();
      network.whole = true;
      await settle();
      for (const call of both) call.onResume();
      await settle();
    },
  };
  test.each(Object.entries(ways))(
    "B5 by %s never do so at the same moment: the impolite one does",
    async (_, happens) => {
      const { network, alice, bob } = room();
      await settle();
      await happens(network, [alice.call, bob.call]);
      await pass(20_000);
      expect([alice.pc.restarts, bob.pc.restarts]).toEqual([1, 0]);
      for (const { log } of [alice, bob])
        expect(log).toEqual(["connected", "interrupted", "mended"]);
    },
  );

  test("B5 when only the polite one sees the break, it restarts a moment later", async () => {
    const { alice, bob } = room();
    await settle();
    bob.pc.lose("failed");
    await pass(2400);
    expect(bob.pc.restarts).toBe(0);
    await pass(200);
    expect([alice.pc.restarts, bob.pc.restarts]).toEqual([0, 1]);
    expect(bob.log.at(-1)).toBe("mended");
  });

  test("B5 takes over when the impolite one's restart does not help", async () => {
    const { network, alice, bob } = room();
    await settle();
    network.cut();
    await pass(3000 + 100);
    expect([alice.pc.restarts, bob.pc.restarts]).toEqual([1, 0]);
    // Each has its turns; the two never have the same.
    await pass(12_000);
    expect(alice.pc.restarts).toBeGreaterThan(1);
    network.mend();
    await pass(7000);
    expect(alice.log.at(-1)).toBe("mended");
    expect(bob.log.at(-1)).toBe("mended");
  });
});

describe("B6 the partner", () => {
  /** A camera whose devices are turned on and off from outside. */
  function camera() {
    const stream = fakeCamera();
    const [audio] = stream.getAudioTracks();
    const [video] = stream.getVideoTracks();
    if (!audio || !video) throw new Error("a camera has both");
    const happens = (track: MediaStreamTrack, change: object, event: string) => {
      Object.assign(track, change);
      track.dispatchEvent(new Event(event));
    };
    return { stream, audio, video, happens };
  }

  test("B6 is told what is sent when the call begins, and every change", async () => {
    const { stream, audio, video, happens } = camera();
    const { alice, bob } = room({ alice: stream });
    await settle();
    expect(alice.told).toEqual([]);
    const steps = [
      // Turned off by the person; said twice.
      () => {
        video.enabled = false;
        alice.call.mediaChanged();
        alice.call.mediaChanged();
      },
      // By the system, and on again.
      () => happens(audio, { muted: true }, "mute"),
      () => happens(audio, { muted: false }, "unmute"),
      () => {
        video.enabled = true;
        alice.call.mediaChanged();
      },
      // Unplugged, and another one in its place.
      () => happens(video, { readyState: "ended" }, "ended"),
      () => alice.call.replaceTracks(fakeCamera()),
      () => alice.call.replaceTracks(undefined),
    ];
    for (const step of steps) {
      await step();
      await pass(1000);
    }
    expect(alice.told).toEqual([
      "true false",
      "false false",
      "true false",
      "true true",
      "true false",
      "true true",
      "false false",
    ]);
    expect(bob.told).toEqual([]);
  });

  test("is told quick changes once, as they end, and those that end where they began not at all", async () => {
    const { stream, video } = camera();
    const { alice } = room({ alice: stream });
    await settle();
    const toggle = (times: number) => {
      for (let n = 0; n < times; n += 1) {
        video.enabled = !video.enabled;
        alice.call.mediaChanged();
      }
    };
    toggle(6);
    await pass(1000);
    // The first one at once, the last one a moment later.
    expect(alice.told).toEqual(["true false", "true true"]);
    toggle(7);
    expect(alice.told.slice(2)).toEqual(["true false"]);
    await pass(1000);
    expect(alice.told.slice(2)).toEqual(["true false"]);
  });

  test("B6 is told that nothing is sent, and nothing where the mode has no video", async () => {
    const call = (mode: Mode, local: MediaStream | undefined) => {
      const { told, call } = side(new FakeNetwork(), "alice", { polite: false, mode, local });
      call.mediaChanged();
      return told;
    };
    expect(call("video", undefined)).toEqual(["false false"]);
    expect(call("video", fakeCamera("audio"))).toEqual(["true false"]);
    expect(call("audio", fakeCamera())).toEqual([]);
  });

  test("B6 is told nothing after the end", async () => {
    const { stream, video, happens } = camera();
    const { alice } = room({ alice: stream });
    await settle();
    alice.call.mediaChanged();
    happens(video, { muted: true }, "mute");
    happens(video, { muted: false }, "unmute");
    alice.call.end();
    happens(video, { readyState: "ended" }, "ended");
    await pass(1000);
    expect(alice.told).toEqual(["true false"]);
  });
});
