/** Standing offers from end to end: what is accepted, what a partner gets of one by the rules of the room, and who pays for how many bytes. */
import { describe, expect, test } from "bun:test";
import { measured } from "../../src/domain/standby.ts";
import { isRejection } from "../../src/domain/rejection.ts";
import { limits, type StandingOffer } from "../../src/protocol.ts";
import { startCluster } from "../support/cluster.ts";
import { everyEngine } from "../support/engines.ts";
import {
  connectPeer,
  httpClient,
  operatorToken,
  refusalOf,
  startServer,
  type TestServer,
} from "../support/server.ts";
import { offerNamed } from "../support/standby-contract.ts";
import { createWorld, type Asked, type Peer, type World } from "../support/world.ts";

const engines = await everyEngine(7);
const turn = {
  turnUrls: ["turn:127.0.0.1:9"],
  turnSecret: "a secret that nobody uses",
  turnTtlS: 300,
};

const head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const sectionOf = (kind: string) =>
  `m=${kind} 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n`;
const hostLine = "candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host";
const reflexiveLine =
  "candidate:2 1 udp 1677729535 203.0.113.9 50000 typ srflx raddr 192.0.2.7 rport 50000";
const relayLine =
  "candidate:3 1 udp 33562367 198.51.100.5 60000 typ relay raddr 203.0.113.9 rport 50000";
const hiddenRelayLine =
  "candidate:3 1 udp 33562367 198.51.100.5 60000 typ relay raddr 0.0.0.0 rport 9";

function offerWith(...lines: string[]): StandingOffer {
  return {
    sdp: head + sectionOf("audio") + lines.map((line) => `a=${line}\r\n`).join(""),
    candidates: lines.map((candidate) => ({ candidate, sdpMid: "0", sdpMLineIndex: 0 })),
  };
}

describe.each(Object.entries(engines))("a relay-only room: %s", (_, open) => {
  async function pairWith(world: World, offer: StandingOffer, own: Asked, others: Asked) {
    const alice = await world.connect("Alice");
    await alice.join(own);
    expect(await world.signaling.standby(alice.caller, offer)).toEqual({ kept: true });
    const bob = await world.connect("Bob");
    expect(await bob.join(others)).toBe("paired");
    return { alice, bob };
  }
  const offerTo = (peer: Peer) => peer.last("wait-for-offer")?.offer;

  for (const mode of ["video", "audio"] as const)
    for (const [whose, others] of [
      ["its owner's", { mode }],
      ["both peers'", { mode, relayOnly: true }],
    ] as const)
      test(`by ${whose} wish: of a standing offer for ${mode} only relayed candidates reach the partner`, async () => {
        const world = createWorld({ open, ice: turn });
        const offer = offerWith(hostLine, relayLine, reflexiveLine);
        const { alice, bob } = await pairWith(world, offer, { mode, relayOnly: true }, others);
        expect(alice.last("create-offer")).toMatchObject({ standing: true, relayOnly: true });
        const got = offerTo(bob);
        expect(got?.candidates).toEqual([
          { candidate: hiddenRelayLine, sdpMid: "0", sdpMLineIndex: 0 },
        ]);
        expect(got?.sdp.match(/a=candidate.*/g)).toEqual([`a=${hiddenRelayLine}`]);
        const told = JSON.stringify(bob.told);
        for (const address of ["192.0.2.7", "203.0.113.9"]) expect(told).not.toContain(address);
        // It gets it as signals would arrive, and the ICE servers as ever.
        expect(bob.last("wait-for-offer")).toMatchObject({ relayOnly: true, mode });
        expect(JSON.stringify(bob.last("wait-for-offer"))).toContain('"credential"');
      });

  test("by the partner's wish alone: nothing of a standing offer is used, and an offer is made in the room", async () => {
    const world = createWorld({ open, ice: turn });
    const offer = offerWith(hostLine, relayLine, reflexiveLine);
    const { alice, bob } = await pairWith(world, offer, {}, { relayOnly: true });
    expect(bob.last("create-offer")).toMatchObject({ relayOnly: true });
    expect(alice.last("wait-for-offer")).toMatchObject({ relayOnly: true });
    const told = JSON.stringify([alice.told, bob.told]);
    for (const part of ["standing", "candidate", "192.0.2.7", "198.51.100.5", "m=audio"])
      expect(told).not.toContain(part);
  });

  test("of an offer of which nothing relayed is there the description is left, as candidates may follow", async () => {
    const world = createWorld({ open, ice: turn });
    const { alice, bob } = await pairWith(world, offerWith(hostLine), { relayOnly: true }, {});
    expect(alice.last("create-offer")).toMatchObject({ standing: true });
    expect(offerTo(bob)?.candidates).toEqual([]);
    expect(offerTo(bob)?.sdp).toContain("m=audio");
    expect(offerTo(bob)?.sdp).not.toContain("candidate");
  });

  test("a replay has the same of it", async () => {
    const world = createWorld({ open, ice: turn });
    const offer = offerWith(hostLine, relayLine);
    const { bob } = await pairWith(world, offer, { relayOnly: true }, {});
    const before = bob.told.findIndex(({ event }) => event.type === "wait-for-offer") - 1;
    const first = offerTo(bob);
    expect(first?.candidates).toHaveLength(1);
    const again: string[] = [];
    const stream = world.signaling.events({
      known: bob.caller,
      account: undefined,
      newSessionId: "",
      graceMsMax: () => Number.POSITIVE_INFINITY,
      addressHash: "address of Bob",
      lastEventId: bob.told[before]?.id ?? "",
      onIdentified() {},
      deliver(delivery) {
        if ("json" in delivery) again.push(delivery.json);
      },
    });
    await world.system.settled();
    stream.close();
    const replayed = again.find((json) => json.includes('"wait-for-offer"')) ?? "{}";
    expect(JSON.parse(replayed)).toMatchObject({ offer: first });
  });

  test("in any other room the offer is as it was left", async () => {
    const world = createWorld({ open, ice: turn });
    const offer = offerWith(
      hostLine,
      relayLine,
      reflexiveLine,
      "candidate:$1 {{x}} %d ' \" \\ ü\u2028",
    );
    const { bob } = await pairWith(world, offer, {}, {});
    expect(offerTo(bob)).toEqual(offer);
  });

  test("nothing of an offer is logged", async () => {
    const world = createWorld({ open, ice: turn });
    await pairWith(world, offerWith(hostLine), {}, {});
    const carol = await world.connect("Carol");
    await carol.join({ mode: "audio" });
    const video = { sdp: head + sectionOf("video"), candidates: [] };
    expect(isRejection(await world.signaling.standby(carol.caller, video))).toBe(true);
    const logged = JSON.stringify(world.logged);
    expect(logged).toContain("paired");
    for (const part of ["192.0.2.7", "m=audio", "m=video"]) expect(logged).not.toContain(part);
  });
});

describe("the call", () => {
  const whole = offerWith(hostLine);
  async function waiting(server: TestServer, mode: "video" | "audio" | "text" = "video") {
    const peer = await connectPeer(server);
    await peer.client.join.mutate({ mode });
    return peer;
  }

  test("is answered, and its offer sent with the pairing, with TURN for both", async () => {
    await using server = startServer({ ice: turn });
    await using alice = await waiting(server);
    expect(await alice.client.standby.mutate({ offer: whole })).toEqual({ kept: true });
    await using bob = await waiting(server);
    const toBob = await bob.next("wait-for-offer");
    const toAlice = await alice.next("create-offer");
    expect(toBob.offer).toEqual(whole);
    expect(toAlice.standing).toBe(true);
    for (const { iceServers } of [toBob, toAlice])
      expect(iceServers).toMatchObject([{ urls: turn.turnUrls, credential: expect.any(String) }]);
    expect(await alice.client.standby.mutate({ offer: whole })).toEqual({ kept: false });
    const { roomId } = toBob;
    expect(await bob.client.answer.mutate({ roomId, sdp: "v=0" })).toEqual({ delivered: true });
    expect((await alice.next("answer")).sdp).toBe("v=0");
  });

  test("works over HTTP, once per id", async () => {
    await using server = startServer();
    await using alice = await waiting(server);
    const http = httpClient(server, alice.token);
    const other = offerNamed("other");
    expect(await http.standby.mutate({ id: "1", offer: whole })).toEqual({ kept: true });
    expect(await http.standby.mutate({ id: "2", offer: other })).toEqual({ kept: true });
    expect(await alice.client.standby.mutate({ id: "1", offer: whole })).toEqual({ kept: true });
    await using bob = await waiting(server);
    expect((await bob.next("wait-for-offer")).offer).toEqual(other);
  });

  test("gives nobody anything who may not call: without a session, idle, waiting for text", async () => {
    await using server = startServer();
    const stranger = httpClient(server);
    expect(await refusalOf(stranger.standby.mutate({ offer: whole }))).toMatchObject({
      reason: "unauthorized",
    });
    await using idle = await connectPeer(server);
    expect(await idle.client.standby.mutate({ offer: whole })).toEqual({ kept: false });
    await using text = await waiting(server, "text");
    expect(await text.client.standby.mutate({ offer: whole })).toEqual({ kept: false });
    expect(await text.client.standby.mutate({ offer: null })).toEqual({ kept: false });
  });

  test("of an offer with video is refused as the signal would be where audio is waited for", async () => {
    await using server = startServer();
    await using alice = await waiting(server, "audio");
    const video = { sdp: head + sectionOf("video"), candidates: [] };
    expect(await refusalOf(alice.client.standby.mutate({ offer: video }))).toMatchObject({
      reason: "wrong-mode",
      code: "FORBIDDEN",
    });
    expect(await alice.client.standby.mutate({ offer: whole })).toEqual({ kept: true });
  });

  const [candidate] = whole.candidates;
  const nonsense: [what: string, field: string, offer: unknown][] = [
    ["nothing", "offer", undefined],
    ["a text", "offer", "v=0"],
    ["a list", "offer", [whole]],
    ["no description", "offer.sdp", { candidates: [] }],
    ["an empty description", "offer.sdp", { sdp: "", candidates: [] }],
    ["a description that is no text", "offer.sdp", { ...whole, sdp: 7 }],
    ["half a character", "offer.sdp", { ...whole, sdp: "v=0\ud800" }],
    ["no candidates", "offer.candidates", { sdp: "v=0" }],
    ["candidates that are no list", "offer.candidates", { ...whole, candidates: candidate }],
    ["a candidate that is a text", "offer.candidates.0", { ...whole, candidates: [hostLine] }],
    ["null for a candidate", "offer.candidates.1", { ...whole, candidates: [candidate, null] }],
    [
      "an unknown field of a candidate",
      "offer.candidates.0.foo",
      { ...whole, candidates: [{ ...candidate, foo: 1 }] },
    ],
    ["an unknown field", "offer.roomId", { ...whole, roomId: "room" }],
    ["a type", "offer.type", { ...whole, type: "offer" }],
  ];
  test.each(nonsense)("is bad input with %s: %s", async (_, field, offer) => {
    await using server = startServer();
    await using alice = await waiting(server);
    expect(await alice.client.standby.mutate({ offer: whole })).toEqual({ kept: true });
    expect(await refusalOf(alice.client.standby.mutate({ offer } as never))).toMatchObject({
      reason: "bad-input",
      field,
    });
    // The one before stays.
    await using bob = await waiting(server);
    expect((await bob.next("wait-for-offer")).offer).toEqual(whole);
  });

  test("may be so large as JSON in UTF-8, and not a byte more, whatever it is made of", async () => {
    await using server = startServer({
      engine: { standby: { bytesMax: 0, bytesPerAddressMax: 0 } },
    });
    await using alice = await waiting(server);
    const { standingBytesMax: max } = limits;
    const filler = (text: string, count: number) => ({
      sdp: "v=0",
      candidates: Array.from({ length: 32 }, () => ({ candidate: text.repeat(count) })),
    });
    for (const part of [
      filler("x", 500),
      filler("ü", 300),
      filler('"', 300),
      filler("\u{1f600}", 150),
    ]) {
      const rest = max - measured(part).bytes;
      const exact = { ...part, sdp: part.sdp + "y".repeat(rest) };
      expect(measured(exact).bytes).toBe(max);
      expect(await alice.client.standby.mutate({ offer: exact })).toEqual({ kept: true });
      const over = { ...part, sdp: `${exact.sdp}y` };
      expect(await refusalOf(alice.client.standby.mutate({ offer: over }))).toMatchObject({
        reason: "bad-input",
        field: "offer",
      });
    }
  });

  test("counts as a signal does, by number and by bytes", async () => {
    const rates = {
      signals: { perS: 0.01, burst: 6 },
      intents: { perS: 0, burst: 1 },
      bytes: { perS: 0.01, burst: 100_000 },
    };
    await using server = startServer({ rates });
    await using alice = await waiting(server);
    await using bob = await waiting(server, "audio");
    for (let n = 0; n < 6; n++)
      expect(await alice.client.standby.mutate({ offer: null })).toEqual({ kept: false });
    expect(await refusalOf(alice.client.standby.mutate({ offer: null }))).toMatchObject({
      reason: "rate-limited",
    });
    const large = offerNamed("large", limits.standingBytesMax);
    for (let n = 0; n < 2; n++)
      expect(await bob.client.standby.mutate({ offer: large })).toEqual({ kept: true });
    expect(await refusalOf(bob.client.standby.mutate({ offer: large }))).toMatchObject({
      reason: "rate-limited",
    });
  });
});

test("who waits is given TURN servers under the name of its address, as in a room, and who is idle none", async () => {
  await using server = startServer({ ice: turn, trustLoopback: true });
  const peers = new AsyncDisposableStack();
  await using _peers = peers;
  const at = async (address: string) => peers.use(await connectPeer(server, { address }));
  const nameOf = async ({ client }: Awaited<ReturnType<typeof at>>) => {
    const { iceServers } = await client.iceServers.query();
    return iceServers[0]?.username?.split(":")[1];
  };
  const alice = await at("192.0.2.1");
  expect(await alice.client.iceServers.query()).toEqual({ iceServers: [] });
  await alice.client.join.mutate({ interests: ["one"] });
  const name = await nameOf(alice);
  expect(name).toBeString();
  const tab = await at("192.0.2.1");
  await tab.client.join.mutate({ interests: ["two"] });
  expect(await nameOf(tab)).toBe(name as string);
  const other = await at("198.51.100.1");
  await other.client.join.mutate({ interests: ["one"] });
  const { iceServers } = await alice.next("wait-for-offer");
  expect(iceServers[0]?.username?.split(":")[1]).toBe(name as string);
  expect(await nameOf(other)).not.toBe(name as string);
  await alice.client.leave.mutate();
  expect(await alice.client.iceServers.query()).toEqual({ iceServers: [] });
});

test("a flood of large offers from one address stays within its bytes, is counted, and takes nothing from others", async () => {
  const bytesPerAddressMax = 4 * limits.standingBytesMax;
  await using server = startServer({
    trustLoopback: true,
    engine: { standby: { bytesMax: 1_000_000, bytesPerAddressMax } },
  });
  const peers = new AsyncDisposableStack();
  await using _peers = peers;
  const flooding = await Promise.all(
    Array.from({ length: 30 }, async (_, n) => {
      const peer = peers.use(await connectPeer(server, { address: "203.0.113.7" }));
      await peer.client.join.mutate({ interests: [`nobody else ${n}`] });
      return peer;
    }),
  );
  const honest = peers.use(await connectPeer(server, { address: "198.51.100.7" }));
  await honest.client.join.mutate({ interests: ["jazz"] });
  let kept = 0;
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(
      flooding.map(({ client }, n) =>
        client.standby.mutate({ offer: offerNamed(`${round} ${n}`, limits.standingBytesMax) }),
      ),
    );
    kept = answers.filter((answer) => answer.kept).length;
    expect(kept).toBe(4);
  }
  const offer = offerNamed("honest", limits.standingBytesMax);
  expect(await honest.client.standby.mutate({ offer })).toEqual({ kept: true });
  const partner = peers.use(await connectPeer(server, { address: "192.0.2.7" }));
  await partner.client.join.mutate({ interests: ["jazz"] });
  expect((await partner.next("wait-for-offer")).offer).toEqual(offer);
  const response = await fetch(`${server.http}/metrics`, {
    headers: { authorization: `Bearer ${operatorToken}` },
  });
  const metrics = await response.text();
  expect(metrics).toContain('peer_stream_standby_total{outcome="kept"} 13');
  expect(metrics).toContain('peer_stream_standby_total{outcome="full"} 78');
  expect(metrics).toContain('peer_stream_standby_total{outcome="none"} 0');
}, 30_000);

test("of two nodes one has the offer and the other its reader, and the bounds hold over both", async () => {
  await using cluster = await startCluster(2, {
    LIMIT_STANDBY_BYTES_PER_ADDRESS: "2000",
    TRUSTED_PROXIES: "127.0.0.1",
  });
  await using peers = new AsyncDisposableStack();
  const at = async (node: number, address: string, interest: string) => {
    const peer = peers.use(await connectPeer(cluster.at(node), { address }));
    await peer.client.join.mutate({ interests: [interest] });
    return peer;
  };
  for (const [owner, reader] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const alice = await at(owner, `192.0.2.${owner}`, `of ${owner}`);
    const offer = offerNamed(`of ${owner}`);
    expect(await alice.client.standby.mutate({ offer })).toEqual({ kept: true });
    const bob = await at(reader, `198.51.100.${reader}`, `of ${owner}`);
    expect((await bob.next("wait-for-offer")).offer).toEqual(offer);
    expect((await alice.next("create-offer")).standing).toBe(true);
  }
  const kept: boolean[] = [];
  for (const node of [0, 1, 0, 1]) {
    const peer = await at(node, "203.0.113.7", `alone ${kept.length}`);
    const offer = offerNamed("large", 1000);
    kept.push((await peer.client.standby.mutate({ offer })).kept);
  }
  expect(kept).toEqual([true, true, false, false]);
}, 30_000);
