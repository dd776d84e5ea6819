/** `again` as it is on the wire: over a socket and HTTP, its refusals, its limit, and what is counted. */
import { expect, test } from "bun:test";
import {
  connectPeer,
  httpClient,
  operatorToken,
  refusalOf,
  startServer,
  type TestServer,
} from "../support/server.ts";

async function skippedRoom(server: TestServer, use: AsyncDisposableStack) {
  const alice = use.use(await connectPeer(server));
  const bob = use.use(await connectPeer(server));
  await alice.client.join.mutate();
  await bob.client.join.mutate();
  const { roomId } = await alice.next("wait-for-offer");
  await bob.next("create-offer");
  await alice.client.skip.mutate({ roomId });
  await bob.next("partner-disconnected");
  await bob.next("lobby");
  return { alice, bob, roomId };
}

async function countMeetings(server: TestServer) {
  const headers = { authorization: `Bearer ${operatorToken}` };
  const text = await (await fetch(`${server.http}/metrics`, { headers })).text();
  return Number(/^peer_stream_met_again_total\{.*mode="video".*\} (\d+)$/m.exec(text)?.[1]);
}

test("two who both call it, over the socket and over HTTP, are in a room as any other", async () => {
  await using use = new AsyncDisposableStack();
  const server = use.use(startServer());
  const { alice, bob, roomId } = await skippedRoom(server, use);
  expect(await countMeetings(server)).toBe(0);
  const told = bob.told.length;
  expect(await alice.client.again.mutate({ roomId, id: "1" })).toEqual({ status: "waiting" });
  expect(await alice.client.again.mutate({ roomId, id: "1" })).toEqual({ status: "waiting" });
  expect(bob.told.length).toBe(told);
  const http = httpClient(server, bob.token);
  expect(await http.again.mutate({ roomId })).toEqual({ status: "paired" });
  const offer = await bob.next("create-offer");
  const wait = await alice.next("wait-for-offer");
  expect(wait.roomId).toBe(offer.roomId);
  expect(offer.iceServers).toBeArray();
  const sdp = "v=0 again";
  expect(await bob.client.offer.mutate({ roomId: offer.roomId, sdp })).toEqual({ delivered: true });
  expect((await alice.next("offer")).sdp).toBe(sdp);
  expect(await countMeetings(server)).toBe(1);
  expect(server.lines.filter((line) => line.includes("met again"))).toHaveLength(1);
});

test("it is refused for other rooms, without a room, and too often", async () => {
  const rates = {
    signals: { perS: 30, burst: 100 },
    intents: { perS: 1, burst: 6 },
    bytes: { perS: 32_768, burst: 131_072 },
  };
  await using use = new AsyncDisposableStack();
  const server = use.use(startServer({ rates }));
  const { alice, roomId } = await skippedRoom(server, use);
  const { client } = alice;
  expect(await refusalOf(client.again.mutate({ roomId: "another" }))).toMatchObject({
    reason: "not-in-room",
    code: "FORBIDDEN",
  });
  expect(await refusalOf(client.again.mutate({} as never))).toMatchObject({
    reason: "bad-input",
    field: "roomId",
  });
  const calls = Array.from({ length: 20 }, () => refusalOf(client.again.mutate({ roomId })));
  const refused = (await Promise.all(calls)).filter((one) => one["reason"] === "rate-limited");
  expect(refused.length).toBeGreaterThan(10);
});
