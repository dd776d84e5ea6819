/** Offers that a waiting peer has ready: made, kept with the server, renewed, used and closed. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { createPeer, type Peer, type PeerParts } from "../../../src/client/peer.ts";
import type { StartOptions } from "../../../src/client/types.ts";
import type { PeerEvent, StandingOffer } from "../../../src/protocol.ts";
import { createOffer, FakeConnection, paired } from "./fake-connection.ts";
import { fakeCamera, FakeNetwork, type FakePeerConnection, callCode } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const lobby: PeerEvent = { type: "lobby", waiting: 1, online: 2 };
const unknown = () => Object.assign(new Error("No procedure"), { data: { code: "NOT_FOUND" } });

const created = (roomId: string, terms: { standing?: true; relayOnly?: boolean } = {}) =>
  ({ ...createOffer(roomId), ...terms }) as PeerEvent;

function awaited(roomId: string, offer?: StandingOffer): PeerEvent {
  const event = { ...createOffer(roomId), type: "wait-for-offer", polite: true };
  return { ...event, ...(offer && { offer }) } as unknown as PeerEvent;
}

interface Side {
  readonly server: FakeConnection;
  readonly browser: ReturnType<FakeNetwork["browser"]>;
  readonly network: FakeNetwork;
  readonly peer: Peer;
  /** The offers that it has left with the server, `null` for those that it took back. */
  readonly left: (StandingOffer | null)[];
  /** Of its connections. */
  readonly open: FakePeerConnection[];
  /** The names of the signals that it has sent. */
  readonly signals: string[];
}

/** Somebody on this network, with a server of its own. */
function side(name: string, network = new FakeNetwork(), parts: Partial<PeerParts> = {}): Side {
  const server = new FakeConnection();
  server.fresh = async () => [{ urls: ["turn:turn.example"], username: "u", credential: "c" }];
  const browser = network.browser(name);
  const peer = createPeer({ callCode, connection: server, rtc: browser, ...parts });
  return {
    server,
    browser,
    network,
    peer,
    get left() {
      const calls = server.calls.filter(({ name }) => name === "standby");
      return calls.map(({ input }) => input["offer"] as StandingOffer | null);
    },
    get open() {
      return browser.all.filter(({ signalingState }) => signalingState !== "closed");
    },
    get signals() {
      const names = ["offer", "answer", "addIceCandidate"];
      return server.names.filter((called) => names.includes(called));
    },
  };
}

function enterLobby({ server, peer }: Side, options: StartOptions = {}): void {
  peer.start({ stream: fakeCamera(), ...options });
  server.session({ status: "idle" }, false);
  server.emit(lobby);
}

/** Somebody who waits, with a standing offer unless something prevents it. */
async function waiting(
  name = "alice",
  options: StartOptions = {},
  parts: Partial<PeerParts> = {},
  network = new FakeNetwork(),
): Promise<Side> {
  const someone = side(name, network, parts);
  enterLobby(someone, options);
  await pass(250);
  return someone;
}

/** In steps of a second. */
async function passMinutes(minutes: number): Promise<void> {
  for (let second = 0; second < minutes * 60; second += 1) {
    jest.advanceTimersByTime(1000);
    await settle();
  }
}

/** From now on the signals of each reach the other. */
function connectSignals(one: Side, other: Side): void {
  const forward = (from: Side, to: Side) => {
    const call = from.server.call.bind(from.server);
    from.server.call = ((name: string, input: Record<string, unknown>) => {
      const type = name === "addIceCandidate" ? "add-ice-candidate" : name;
      if (["offer", "answer", "add-ice-candidate"].includes(type))
        queueMicrotask(() => to.server.emit({ ...input, type } as PeerEvent));
      return call(name as "offer", input as never);
    }) as FakeConnection["call"];
  };
  forward(one, other);
  forward(other, one);
}

const newest = ({ left }: Side): StandingOffer => {
  const offer = left.at(-1);
  if (!offer) throw new Error("no offer was left with the server");
  return offer;
};

describe("preparing", () => {
  test("whoever waits leaves its offer with all candidates, made as for a call", async () => {
    const alice = await waiting("alice", { relayOnly: true });
    expect(alice.left).toHaveLength(1);
    const { sdp, candidates } = newest(alice);
    expect(sdp).toContain('"kinds":["audio","video"]');
    expect(candidates.map(({ candidate }) => candidate)).toEqual([
      "candidate:alice-1 1",
      "candidate:alice-1 2",
      "",
    ]);
    expect(alice.browser.last.configuration).toMatchObject({
      iceTransportPolicy: "relay",
      iceServers: [{ urls: ["turn:turn.example"] }],
    });
    expect(alice.peer.state.status).toBe("waiting");
  });

  test("whoever is paired at once prepares nothing", async () => {
    const alice = side("alice");
    enterLobby(alice);
    alice.server.emit(created("room-1"));
    await pass(5000);
    expect(alice.browser.all).toHaveLength(1);
    expect(alice.left).toEqual([]);
  });

  test("where all rooms are relay-only, so is the offer, and it is used", async () => {
    const alice = side("alice");
    alice.server.relayOnly = true;
    enterLobby(alice);
    await pass(250);
    expect(alice.browser.last.configuration.iceTransportPolicy).toBe("relay");
    alice.server.emit(created("room-1", { standing: true, relayOnly: true }));
    await settle();
    expect(alice.browser.all).toHaveLength(1);
  });

  test("the page's own ICE servers are used", async () => {
    const iceServers = [{ urls: ["stun:own.example"] }];
    const alice = await waiting("alice", {}, { iceServers });
    expect(alice.browser.last.configuration.iceServers).toEqual(iceServers);
    expect(alice.left).toHaveLength(1);
  });

  test("candidates that come late follow once", async () => {
    const network = new FakeNetwork();
    network.lateMs = 3000;
    const alice = await waiting("alice", {}, {}, network);
    expect(alice.left).toEqual([]);
    await pass(1000);
    expect(alice.left.map((offer) => offer?.candidates.length)).toEqual([1]);
    await passMinutes(1);
    expect(alice.left.map((offer) => offer?.candidates.length)).toEqual([1, 3]);
    expect(new Set(alice.left.map((offer) => offer?.sdp)).size).toBe(1);
  });

  test("no more candidates are left than the server takes", async () => {
    const network = new FakeNetwork();
    network.lateMs = 3000;
    const alice = await waiting("alice", {}, {}, network);
    const { last } = alice.browser;
    for (let index = 0; index < 40; index += 1) {
      const candidate = { candidate: `candidate:${index}`, sdpMid: "0", sdpMLineIndex: 0 };
      last.dispatchEvent(Object.assign(new Event("icecandidate"), { candidate }));
    }
    await pass(1000);
    expect(newest(alice).candidates).toHaveLength(32);
  });

  test.each<[string, StartOptions, Partial<PeerParts>]>([
    ["in the mode text", { mode: "text" }, {}],
    ["where it is switched off", {}, { standingOffers: false }],
  ])("%s nothing is prepared", async (_, options, parts) => {
    const alice = await waiting("alice", options, parts);
    await pass(10_000);
    expect(alice.browser.all).toHaveLength(0);
    expect(alice.left).toEqual([]);
  });

  test("without ICE servers nothing is prepared, and the server is asked ever more rarely", async () => {
    const alice = side("alice");
    let asked = 0;
    alice.server.fresh = () => {
      asked += 1;
      return Promise.reject(new Error("out of order"));
    };
    enterLobby(alice);
    await passMinutes(10);
    expect(asked).toBeGreaterThan(8);
    expect(asked).toBeLessThan(20);
    expect(alice.browser.all).toHaveLength(0);
  });

  test("a browser that can't make an offer waits all the same, and leaves nothing open", async () => {
    const alice = side("alice");
    const { connect } = alice.browser;
    alice.browser.connect = (configuration) => {
      const pc = connect(configuration);
      pc.setLocalDescription = () => Promise.reject(new DOMException("no", "OperationError"));
      return pc;
    };
    enterLobby(alice);
    await passMinutes(10);
    expect(alice.browser.all).toHaveLength(1);
    expect(alice.open).toEqual([]);
    expect(alice.peer.state.status).toBe("waiting");
  });
});

describe("used", () => {
  test("the partner answers at once, and the two are connected without an offer being sent", async () => {
    const network = new FakeNetwork();
    const alice = await waiting("alice", {}, {}, network);
    const bob = side("bob", network);
    enterLobby(bob);
    connectSignals(alice, bob);
    bob.server.emit(awaited("room-1", newest(alice)));
    alice.server.emit(created("room-1", { standing: true }));
    await pass(50);
    expect(alice.peer.state.status).toBe("connected");
    expect(bob.peer.state.status).toBe("connected");
    expect(alice.signals).toEqual([]);
    expect(bob.signals).toEqual([
      "answer",
      "addIceCandidate",
      "addIceCandidate",
      "addIceCandidate",
    ]);
    await pass(10_000);
    expect(alice.signals).toEqual([]);
    expect([alice.browser.all.length, bob.browser.all.length]).toEqual([1, 1]);
  });

  test("without an answer within 2 s the same offer is sent, once", async () => {
    const alice = await waiting();
    const { sdp } = newest(alice);
    alice.server.take();
    alice.server.emit(created("room-1", { standing: true }));
    await pass(1900);
    expect(alice.signals).toEqual([]);
    await pass(200);
    expect(alice.server.calls).toMatchObject([{ name: "offer", input: { roomId: "room-1", sdp } }]);
    await pass(10_000);
    expect(alice.signals).toEqual(["offer"]);
  });

  test("what the server does not say it has delivered is sent at once, with its candidates", async () => {
    const alice = await waiting();
    const { sdp } = newest(alice);
    alice.server.take();
    alice.server.emit(created("room-1"));
    await settle();
    expect(alice.browser.all).toHaveLength(1);
    expect(alice.signals.slice(0, 4)).toEqual(["offer", ...Array(3).fill("addIceCandidate")]);
    expect(alice.server.calls[0]?.input).toMatchObject({ roomId: "room-1", sdp });
  });

  test("the tracks of the moment are sent, not those that it was prepared with", async () => {
    const alice = await waiting();
    const camera = fakeCamera();
    await alice.peer.replaceTracks(camera);
    alice.server.emit(created("room-1", { standing: true }));
    await settle();
    expect(alice.browser.all).toHaveLength(1);
    const sent = alice.browser.last.senders.map(({ sender }) => sender.track as unknown);
    expect(sent).toEqual(camera.getTracks());
  });

  test("candidates that the server has not got are sent once the two are paired", async () => {
    const network = new FakeNetwork();
    network.lateMs = 3000;
    const alice = await waiting("alice", {}, {}, network);
    await pass(1000);
    alice.server.answering = false;
    // Its last candidates are on the way to the server when the pairing is.
    await pass(2000);
    alice.server.take();
    alice.server.emit(created("room-1", { standing: true }));
    await settle();
    expect(alice.signals).toEqual(["addIceCandidate", "addIceCandidate"]);
  });

  test("candidates that are found after the pairing are sent", async () => {
    const network = new FakeNetwork();
    network.lateMs = 3000;
    const alice = await waiting("alice", {}, {}, network);
    await pass(2000);
    alice.server.emit(created("room-1", { standing: true }));
    await pass(1500);
    expect(alice.signals).toEqual(["addIceCandidate", "addIceCandidate"]);
  });

  test("a room that hides addresses does not use a connection that was not to", async () => {
    const alice = await waiting();
    alice.server.emit(created("room-1", { standing: true, relayOnly: true }));
    await settle();
    expect(alice.browser.all).toHaveLength(2);
    expect(alice.open).toEqual([alice.browser.last]);
    expect(alice.browser.last.configuration.iceTransportPolicy).toBe("relay");
    expect(alice.signals[0]).toBe("offer");
  });

  test("of two that have one, the one that waits for an offer closes its own", async () => {
    const network = new FakeNetwork();
    const alice = await waiting("alice", {}, {}, network);
    const bob = await waiting("bob", {}, {}, network);
    connectSignals(alice, bob);
    bob.server.emit(awaited("room-1", newest(alice)));
    alice.server.emit(created("room-1", { standing: true }));
    await pass(50);
    expect(bob.peer.state.status).toBe("connected");
    expect(bob.browser.all).toHaveLength(2);
    expect(bob.open).toEqual([bob.browser.last]);
  });

  test("after a pairing that it hears of in its state only, the offer is sent", async () => {
    const alice = await waiting();
    const { sdp } = newest(alice);
    alice.server.drop();
    alice.server.take();
    alice.server.session(paired("room-1"));
    await settle();
    expect(alice.server.calls[0]).toMatchObject({ name: "offer", input: { sdp } });
    expect(alice.browser.all).toHaveLength(1);
  });
});

describe("answering", () => {
  /** Bob has received Alice's standing offer. */
  async function answered(offer?: StandingOffer) {
    const network = new FakeNetwork();
    const alice = await waiting("alice", {}, {}, network);
    const bob = side("bob", network);
    enterLobby(bob);
    const given = offer ?? newest(alice);
    bob.server.emit(awaited("room-1", given));
    await settle();
    const receive = (sdp: string) => {
      bob.server.emit({ type: "offer", roomId: "room-1", sdp });
      return settle();
    };
    return { alice, bob, given, receive };
  }
  const answers = ({ signals }: Side) => signals.filter((name) => name === "answer").length;

  test("the same offer that arrives again is ignored once, then answered: the answer may be lost", async () => {
    const { bob, given, receive } = await answered();
    expect(answers(bob)).toBe(1);
    await receive(given.sdp);
    expect(answers(bob)).toBe(1);
    await receive(given.sdp);
    expect(answers(bob)).toBe(2);
  });

  test("nonsense is no reason to end the call: a good offer after it is answered", async () => {
    const nonsense = { sdp: "v=0 of nothing", candidates: [{ candidate: "nonsense" }] };
    const { alice, bob, receive } = await answered(nonsense);
    expect(answers(bob)).toBe(0);
    expect(bob.peer.state.status).toBe("connecting");
    await receive(newest(alice).sdp);
    expect(answers(bob)).toBe(1);
    expect(bob.browser.all).toHaveLength(1);
  });

  test("nonsense that comes again as an offer ends the call as any other does", async () => {
    const nonsense = { sdp: "v=0 of nothing", candidates: [] };
    const { bob, receive } = await answered(nonsense);
    await receive(nonsense.sdp);
    expect(bob.server.names).toContain("failed");
    expect(bob.peer.state).toMatchObject({ status: "waiting", ended: "connect-failed" });
  });
});

describe("renewed", () => {
  test("before credentials expire: the server drops the old one first, and one connection is open", async () => {
    const alice = await waiting();
    await pass(242_000);
    expect(alice.left.map((offer) => offer !== null)).toEqual([true, false, true]);
    expect(newest(alice).sdp).not.toBe(alice.left[0]?.sdp);
    expect(alice.open).toEqual([alice.browser.last]);
    await passMinutes(60);
    expect(alice.browser.all.length).toBeGreaterThan(10);
    expect(alice.browser.all.length).toBeLessThan(20);
    expect(alice.open).toHaveLength(1);
  });

  test("as soon as the server says, where its credentials expire sooner; no later than ever, where they last", async () => {
    for (const [renewAfterMs, expectedMs] of [
      [48_000, 48_000],
      [20_000_000, 240_000],
    ] as const) {
      const alice = side("alice", new FakeNetwork());
      alice.server.renewAfterMs = renewAfterMs;
      enterLobby(alice, {});
      await pass(expectedMs - 1000);
      expect(alice.left).toHaveLength(1);
      await pass(5000);
      expect(alice.left.map((offer) => offer !== null)).toEqual([true, false, true]);
    }
  });

  test("a pairing that comes before the old one was taken back uses that", async () => {
    const alice = await waiting();
    alice.server.answering = false;
    alice.peer.onResume();
    await settle();
    expect(alice.left.at(-1)).toBeNull();
    alice.server.emit(created("room-1", { standing: true }));
    await pass(100);
    alice.server.calls.at(-1)?.answer({ kept: false });
    await pass(500);
    expect(alice.browser.all).toHaveLength(1);
    expect(alice.open).toHaveLength(1);
    expect(alice.signals).toEqual([]);
  });

  test("after sleep or a change of network, but not more often than every few seconds, ever more rarely", async () => {
    const alice = await waiting();
    alice.peer.onResume();
    await pass(3000);
    expect(alice.left.filter((offer) => offer)).toHaveLength(2);
    for (let times = 0; times < 600; times += 1) {
      alice.peer.onResume();
      await pass(500);
    }
    expect(alice.browser.all.length).toBeLessThan(15);
    await pass(61_000);
    expect(alice.left.at(-1)).not.toBeNull();
    expect(alice.open).toHaveLength(1);
  });

  test("tracks of other kinds need another offer, tracks of the same kinds do not", async () => {
    const alice = await waiting("alice", { stream: fakeCamera("audio") });
    expect(newest(alice).sdp).toContain('"kinds":["audio"]');
    const other = fakeCamera("audio");
    await alice.peer.replaceTracks(other);
    await pass(5000);
    expect(alice.browser.all).toHaveLength(1);
    await alice.peer.replaceTracks(fakeCamera());
    await pass(5000);
    expect(newest(alice).sdp).toContain('"kinds":["audio","video"]');
    await alice.peer.replaceTracks(undefined);
    await pass(5000);
    expect(newest(alice).sdp).toContain('"kinds":[]');
    expect(alice.open).toHaveLength(1);
  });

  test("another mode, or addresses that are to be hidden, need another offer", async () => {
    const alice = await waiting();
    alice.peer.start({ relayOnly: true });
    await pass(5000);
    expect(alice.browser.last.configuration.iceTransportPolicy).toBe("relay");
    alice.peer.start({ relayOnly: true, mode: "audio" });
    await pass(5000);
    expect(newest(alice).sdp).toContain('"kinds":["audio"]');
    alice.peer.start({ mode: "text" });
    await pass(5000);
    expect(alice.open).toEqual([]);
  });

  test("after a reconnect it is left again, as the server has dropped it", async () => {
    const alice = await waiting();
    alice.server.drop();
    await pass(5000);
    expect(alice.open).toHaveLength(1);
    alice.server.session({ status: "waiting", since: 0 });
    await settle();
    expect(alice.left).toHaveLength(2);
    expect(alice.left[1]).toEqual(alice.left[0] ?? null);
    expect(alice.browser.all).toHaveLength(1);
  });

  test("what could not be taken back while the server was away is replaced after it", async () => {
    const alice = await waiting();
    alice.server.answering = false;
    alice.peer.onResume();
    alice.server.drop();
    await settle();
    expect(alice.open).toHaveLength(1);
    alice.server.answering = true;
    alice.server.session({ status: "waiting", since: 0 });
    await pass(10_000);
    expect(alice.left.at(-1)?.sdp).not.toBe(alice.left[0]?.sdp);
    expect(alice.browser.all).toHaveLength(2);
    expect(alice.open).toHaveLength(1);
  });

  test("not while the page is hidden: then it is taken back when it gets old, and made when the page is shown", async () => {
    const alice = await waiting();
    alice.peer.onVisibility(true);
    await pass(230_000);
    expect(alice.open).toHaveLength(1);
    await passMinutes(16);
    expect(alice.left.map((offer) => offer !== null)).toEqual([true, false]);
    expect(alice.browser.all).toHaveLength(1);
    expect(alice.open).toEqual([]);
    alice.peer.onVisibility(false);
    await pass(3000);
    expect(alice.left.at(-1)).not.toBeNull();
    expect(alice.open).toHaveLength(1);
  });

  test("a page that is hidden when it begins to wait prepares nothing", async () => {
    const alice = side("alice");
    enterLobby(alice);
    alice.peer.onVisibility(true);
    await passMinutes(1);
    expect(alice.browser.all).toEqual([]);
  });
});

describe("closed", () => {
  test.each<[string, (side: Side) => void]>([
    ["stop", ({ peer }) => peer.stop()],
    ["close", ({ peer }) => peer.close()],
    ["page hide", ({ peer }) => peer.onPageHide()],
    ["another tab", ({ server }) => server.end({ kind: "taken-over", cause: undefined })],
    ["a server that has forgotten it", ({ server }) => server.session({ status: "idle" })],
    [
      "suspension",
      ({ server }) => server.emit({ type: "resync", state: { status: "idle" }, suspended: {} }),
    ],
  ])("with the ticket: %s", async (_, end) => {
    const alice = await waiting();
    expect(alice.open).toHaveLength(1);
    end(alice);
    await settle();
    expect(alice.open).toEqual([]);
  });

  test("stopped while it asks for ICE servers, or makes the offer, it leaves nothing open", async () => {
    const network = new FakeNetwork();
    network.lateMs = 500;
    const alice = side("alice", network);
    let answer = () => {};
    alice.server.fresh = () => new Promise((resolve) => (answer = () => resolve([])));
    enterLobby(alice);
    await pass(250);
    alice.peer.stop();
    answer();
    await pass(5000);
    expect(alice.browser.all).toEqual([]);
    alice.server.fresh = async () => [];
    alice.peer.start();
    alice.server.emit(lobby);
    jest.advanceTimersByTime(200);
    for (let turn = 0; alice.open.length === 0 && turn < 20; turn += 1) await Promise.resolve();
    expect(alice.open).toHaveLength(1);
    alice.peer.stop();
    await pass(5000);
    expect(alice.open).toEqual([]);
    expect(alice.left).toEqual([]);
  });

  test("a server that knows nothing of it is asked once", async () => {
    const alice = side("alice");
    alice.server.answering = false;
    enterLobby(alice);
    await pass(250);
    alice.server.calls.find(({ name }) => name === "standby")?.refuse(unknown());
    await settle();
    expect(alice.open).toEqual([]);
    alice.server.answering = true;
    await passMinutes(10);
    alice.server.emit(created("room-1"));
    await settle();
    expect(alice.signals).toContain("offer");
    alice.server.emit({ type: "partner-disconnected", roomId: "room-1", reason: "left" });
    alice.server.emit(lobby);
    await passMinutes(10);
    expect(alice.left).toHaveLength(1);
    expect(alice.browser.all).toHaveLength(2);
    expect(alice.open).toEqual([]);
  });

  test("another refusal, such as for too many calls, costs only the offer", async () => {
    const alice = side("alice");
    alice.server.answering = false;
    enterLobby(alice);
    await pass(250);
    const refused = Object.assign(new Error("refused"), { data: { reason: "rate-limited" } });
    alice.server.calls.find(({ name }) => name === "standby")?.refuse(refused);
    await settle();
    alice.server.answering = true;
    expect(alice.peer.state.status).toBe("waiting");
    alice.server.emit(created("room-1"));
    await settle();
    expect(alice.signals).toContain("offer");
  });

  test("whatever happens, a connection is open for the call or for the offer at most, and none in the end", async () => {
    type Step = (side: Side, room: string) => void;
    const steps: Record<string, Step> = {
      start: ({ peer }) => peer.start({ stream: fakeCamera() }),
      audio: ({ peer }) => peer.start({ mode: "audio" }),
      text: ({ peer }) => peer.start({ mode: "text" }),
      stop: ({ peer }) => peer.stop(),
      next: ({ peer }) => peer.next(),
      resume: ({ peer }) => peer.onResume(),
      hide: ({ peer }) => peer.onVisibility(true),
      show: ({ peer }) => peer.onVisibility(false),
      unload: ({ peer }) => peer.onPageHide(),
      restore: ({ peer }) => peer.onPageShow(),
      tracks: ({ peer }) => void peer.replaceTracks(fakeCamera("audio")),
      idle: ({ server }) => server.session({ status: "idle" }),
      lobby: ({ server }) => server.emit(lobby),
      wait: ({ server }) => server.session({ status: "waiting", since: 0 }),
      drop: ({ server }) => server.drop(),
      offer: ({ server }, room) => server.emit(created(room, { standing: true })),
      ordinary: ({ server }, room) => server.emit(created(room)),
      answer: ({ server, browser }, room) => {
        const sdp = browser.all.at(-1)?.localDescription?.sdp ?? "nonsense";
        server.emit(awaited(room, { sdp, candidates: [] }));
      },
      away: ({ server }) => void (server.answering = !server.answering),
    };
    const names = fc.constantFrom(...Object.keys(steps));
    const moves = fc.tuple(names, fc.constantFrom(0, 50, 250, 1500, 5000, 250_000));
    await fc.assert(
      fc.asyncProperty(fc.array(moves, { maxLength: 30 }), async (run) => {
        const alice = side("alice");
        const servers = () => new Promise<[]>((resolve) => setTimeout(() => resolve([]), 120));
        alice.server.fresh = servers;
        enterLobby(alice);
        let rooms = 0;
        for (const [name, ms] of run) {
          steps[name]?.(alice, `room-${rooms++}`);
          await (ms === 0 ? settle() : jest.advanceTimersByTime(ms));
          await settle();
          expect(alice.open.length).toBeLessThanOrEqual(1);
        }
        alice.peer.close();
        await settle();
        expect(alice.open).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});
