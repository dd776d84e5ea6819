/** `connected` with the proof of a room as it is on the wire: a room that a server has lost, and what a proof is worth nothing for. */
import { describe, expect, test } from "bun:test";
import { isDeepStrictEqual } from "node:util";
import { limits } from "../../src/protocol.ts";
import { createRoomProofs } from "../../src/signaling/room-proofs.ts";
import { startCluster } from "../support/cluster.ts";
import {
  connectPeer,
  httpClient,
  refusalOf,
  startServer,
  type TestPeer,
  type TestServer,
} from "../support/server.ts";
import { until } from "../support/until.ts";

const secrets = ["the secret of proofs and tokens"];
const engine = { callKeepMs: 60_000, skipCooldownMs: 0, seal: createRoomProofs(secrets).seal };

interface Couple extends AsyncDisposable {
  alice: TestPeer;
  bob: TestPeer;
  roomId: string;
  /** Of Alice, and of Bob. */
  proofs: [string, string];
}

/** Two in a call, who do not go back into the lobby by themselves. */
async function coupleOn(site: { ws: string | (() => string) }): Promise<Couple> {
  await using setUp = new AsyncDisposableStack();
  const alice = setUp.use(await connectPeer(site, { name: "Alice" }));
  const bob = setUp.use(await connectPeer(site, { name: "Bob" }));
  for (const { client } of [alice, bob]) await client.join.mutate({ autoRejoin: false });
  const [one, other] = await Promise.all([alice.next("wait-for-offer"), bob.next("create-offer")]);
  const { roomId } = one;
  for (const { client } of [alice, bob]) await client.connected.mutate({ roomId });
  const owned = setUp.move();
  return {
    alice,
    bob,
    roomId,
    proofs: [one.proof, other.proof],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The same, after their server was started again and knows nothing of them. */
async function forgotten(use: AsyncDisposableStack): Promise<Couple & { server: TestServer }> {
  const first = startServer({ secrets, engine });
  const couple = use.use(await coupleOn(first));
  await first[Symbol.asyncDispose]();
  const server = use.use(startServer({ secrets, engine, port: Number(first.server.url.port) }));
  for (const peer of [couple.alice, couple.bob])
    expect(await peer.next("resync")).toMatchObject({ state: { status: "idle" } });
  return { ...couple, server };
}

describe("a room that the server has lost", () => {
  test("exists again once both have presented its proof, over a socket or HTTP, and once per id", async () => {
    await using use = new AsyncDisposableStack();
    const { server, alice, bob, roomId, proofs } = await forgotten(use);
    const [mine, theirs] = proofs;
    const presented = { roomId, proof: mine, id: "1" };
    expect(await alice.client.connected.mutate(presented)).toEqual({ status: "idle" });
    const http = httpClient(server, bob.token);
    expect(await http.connected.mutate({ roomId, proof: theirs })).toEqual({ status: "paired" });
    for (const peer of [alice, bob])
      expect(await peer.next("resync")).toMatchObject({
        state: { status: "paired", partner: "here", roomId, mode: "video" },
      });
    // What was answered before is answered again, and undoes nothing.
    expect(await alice.client.connected.mutate(presented)).toEqual({ status: "idle" });
    await bob.client.offer.mutate({ roomId, sdp: "v=0 again" });
    expect((await alice.next("offer")).sdp).toBe("v=0 again");
    expect(server.lines.filter((line) => line.includes('"restored"'))).toHaveLength(1);
    expect(server.lines.join("\n")).not.toContain(mine);
  });

  test("does not by a proof that is forged, damaged, of another secret, another room or the partner", async () => {
    await using use = new AsyncDisposableStack();
    const { alice, bob, roomId, proofs } = await forgotten(use);
    const [mine, theirs] = proofs;
    const bytes = Buffer.from(mine, "base64url");
    const damaged = [0, 11, 12, bytes.length >> 1, bytes.length - 1].map((at) => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy.toString("base64url");
    });
    const foreign = createRoomProofs(["quite another secret"]).seal({
      roomId,
      sessionId: alice.token.split(".")[0] ?? "",
      partnerId: bob.token.split(".")[0] ?? "",
      polite: true,
      sharedInterests: [],
      since: 0,
      until: Number.MAX_SAFE_INTEGER,
    });
    const worthless = [
      "",
      "AAAA",
      "🙂",
      mine.slice(0, -4),
      `${mine}AAAA`,
      ...damaged,
      foreign,
      theirs,
    ];
    for (const proof of worthless)
      expect(await refusalOf(alice.client.connected.mutate({ roomId, proof }))).toMatchObject({
        reason: "not-in-room",
      });
    const elsewhere = { roomId: `${roomId}x`, proof: mine };
    expect(await refusalOf(alice.client.connected.mutate(elsewhere))).toMatchObject({
      reason: "not-in-room",
    });
    for (const proof of ["a".repeat(limits.proofCharsMax + 1), 1, null, { roomId }])
      expect(
        await refusalOf(alice.client.connected.mutate({ roomId, proof } as never)),
      ).toMatchObject({ reason: "bad-input", field: "proof" });
    // Bob alone makes no room of it, however often he says so.
    for (const _ of [1, 2])
      expect(await bob.client.connected.mutate({ roomId, proof: theirs })).toEqual({
        status: "idle",
      });
    for (const peer of [alice, bob]) expect(peer.types.at(-1)).toBe("resync");
  });
});

test("in a room that exists, while the partner is there, a proof changes nothing and tells nobody", async () => {
  await using server = startServer({ secrets, engine });
  await using couple = await coupleOn(server);
  const { alice, bob, roomId, proofs } = couple;
  const told = [alice.told.length, bob.told.length];
  for (const _ of [1, 2, 3])
    expect(await alice.client.connected.mutate({ roomId, proof: proofs[0] })).toEqual({
      status: "paired",
    });
  expect(await bob.client.offer.mutate({ roomId, sdp: "v=0" })).toEqual({ delivered: true });
  await alice.next("offer");
  expect([alice.told.length, bob.told.length]).toEqual([(told[0] ?? 0) + 1, told[1] ?? 0]);
});

for (const ending of ["skip", "leave", "report", "block"] as const)
  test(`a room that has ended by ${ending} does not exist again, on this server`, async () => {
    await using server = startServer({ secrets, engine });
    await using couple = await coupleOn(server);
    const { alice, bob, roomId, proofs } = couple;
    if (ending === "leave") await alice.client.leave.mutate();
    else await alice.client[ending].mutate({ roomId });
    await bob.next("partner-disconnected");
    await alice.client.leave.mutate();
    const idle = { answered: { status: "idle" } };
    for (const _ of [1, 2])
      for (const [index, peer] of [alice, bob].entries())
        expect(
          await refusalOf(peer.client.connected.mutate({ roomId, proof: proofs[index] ?? "" })),
        ).toEqual(idle);
    expect(await alice.client.stats.query()).toMatchObject({ rooms: { video: 0 } });
    expect([...alice.types, ...bob.types]).not.toContain("resync");
  });

test("two who present it at the same time on two nodes are in one room, and each is told once", async () => {
  await using cluster = await startCluster(2, { GRACE_MS: "300", SKIP_COOLDOWN_MS: "0" });
  for (let round = 0; round < 5; round += 1) {
    let isDown = false;
    // Nobody comes back while the network is down.
    const at = (index: number) => () => (isDown ? "ws://127.0.0.1:9" : cluster.at(index).ws);
    await using alice = await connectPeer({ ws: at(0) }, { name: "Alice" });
    await using bob = await connectPeer({ ws: at(1) }, { name: "Bob" });
    for (const { client } of [alice, bob]) await client.join.mutate({ autoRejoin: false });
    const [one, other] = await Promise.all([
      alice.next("wait-for-offer"),
      bob.next("create-offer"),
    ]);
    const { roomId } = one;
    for (const { client } of [alice, bob]) await client.connected.mutate({ roomId });
    isDown = true;
    for (const peer of [alice, bob]) peer.cut();
    const http = httpClient(cluster.at(0));
    await until("the room is lost", async () =>
      isDeepStrictEqual((await http.stats.query()).rooms, { video: 0, audio: 0, text: 0 }),
    );
    const before = [alice.told.length, bob.told.length];
    isDown = false;
    // `session`, and what came before it.
    for (const peer of [alice, bob])
      await until("it is back", () => peer.types.lastIndexOf("session") > 1);
    const answers = await Promise.all([
      alice.client.connected.mutate({ roomId, proof: one.proof }),
      bob.client.connected.mutate({ roomId, proof: other.proof }),
    ]);
    expect(answers).toContainEqual({ status: "paired" });
    for (const [index, peer] of [alice, bob].entries()) {
      const restored = () =>
        peer.told
          .slice(before[index])
          .flatMap(({ event }) =>
            event.type === "resync" && event.state.status === "paired" ? [event.state] : [],
          );
      await until("it is told of its room", () => restored().length > 0);
      expect(restored()).toMatchObject([{ roomId, partner: "here" }]);
    }
    expect(await alice.client.offer.mutate({ roomId, sdp: "v=0" })).toEqual({ delivered: true });
    await bob.next("offer");
    await alice.client.leave.mutate();
    await bob.next("partner-disconnected");
  }
}, 60_000);
