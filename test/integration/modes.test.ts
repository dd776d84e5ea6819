/** A room's mode binds what its members may signal, whichever way a signal takes through the server. */
import { describe, expect, test } from "bun:test";
import type { Mode } from "../../src/protocol.ts";
import { connectPeer, refusalOf, startServer, type TestServer } from "../support/server.ts";

const head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendrecv\r\n";
const video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendrecv\r\n";
const data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";

async function room(server: TestServer, mode: Mode, relayOnly = false) {
  const alice = await connectPeer(server);
  const bob = await connectPeer(server);
  await alice.client.join.mutate({ mode });
  await bob.client.join.mutate({ mode, relayOnly });
  const waits = await alice.next("wait-for-offer");
  const makes = await bob.next("create-offer");
  return { alice, bob, waits, makes, roomId: waits.roomId };
}

const turn = {
  turnUrls: ["turn:127.0.0.1:9"],
  turnSecret: "a secret that nobody uses",
  turnTtlS: 300,
};

describe("B7 the mode of a room", () => {
  test.each(["video", "audio", "text"] as const)(
    "B7 %s is told to both, and to those who come back",
    async (mode) => {
      await using server = startServer();
      const { alice, bob, waits, makes, roomId } = await room(server, mode);
      expect([waits.mode, makes.mode]).toEqual([mode, mode]);
      await using again = await connectPeer(server, { token: alice.token });
      expect(again.told.map(({ event }) => event)).toMatchObject([
        { type: "session", state: { status: "paired", roomId, mode } },
      ]);
      await bob[Symbol.asyncDispose]();
      await alice[Symbol.asyncDispose]();
    },
  );

  // As a browser writes it, recognised in its frame, and in a way that goes by the schema.
  const ways = {
    "as usual": (sdp: string) => sdp,
    "in words that are read": (sdp: string) => sdp.replace("s=-", 's="\\'),
  };
  describe.each([false, true])("B7 relayed only: %p", (relayOnly) => {
    test.each(Object.entries(ways))("B7 binds offers and answers, %s", async (_, way) => {
      await using server = startServer({ ice: turn });
      const { alice, bob, roomId } = await room(server, "audio", relayOnly);
      await using _alice = alice;
      await using _bob = bob;
      for (const type of ["offer", "answer"] as const) {
        const sending = bob.client[type].mutate({ roomId, sdp: way(head + audio + video) });
        expect(await refusalOf(sending)).toMatchObject({
          reason: "wrong-mode",
          code: "FORBIDDEN",
        });
        const sdp = way(head + audio + data);
        expect(await bob.client[type].mutate({ roomId, sdp })).toEqual({ delivered: true });
        expect((await alice.next(type)).sdp).toContain("m=audio");
      }
      expect(alice.told.filter(({ event }) => JSON.stringify(event).includes("m=video"))).toEqual(
        [],
      );
      // The room goes on.
      const candidate = { candidate: "", sdpMid: "0", sdpMLineIndex: 0 };
      expect(await alice.client.addIceCandidate.mutate({ roomId, candidate })).toEqual({
        delivered: true,
      });
    });
  });

  test("B7 lets all media into a room for video", async () => {
    await using server = startServer();
    const { alice, bob, roomId } = await room(server, "video");
    await using _alice = alice;
    await using _bob = bob;
    const sdp = head + audio + video + data;
    expect(await bob.client.offer.mutate({ roomId, sdp })).toEqual({ delivered: true });
  });

  describe.each([false, true])("B7 relayed only: %p", (relayOnly) => {
    test.each(Object.entries(ways))(
      "B7 a changed client gets no signal at all into a room for text, %s",
      async (_, way) => {
        // Without TURN: text hides addresses anyway.
        await using server = startServer();
        const { alice, bob, makes, waits, roomId } = await room(server, "text", relayOnly);
        await using _alice = alice;
        await using _bob = bob;
        expect([makes.iceServers, waits.iceServers]).toEqual([[], []]);
        const before = alice.told.length;
        const sdp = way(head + data);
        const candidate = { candidate: way("candidate:1 1 udp 1 192.0.2.1 9 typ host s=-") };
        for (const sending of [
          bob.client.offer.mutate({ roomId, sdp }),
          bob.client.answer.mutate({ roomId, sdp }),
          bob.client.addIceCandidate.mutate({ roomId, candidate }),
          bob.client.addIceCandidate.mutate({ roomId, candidate: { candidate: "" } }),
          bob.client.failed.mutate({ roomId }),
          bob.client.media.mutate({ roomId, audio: true, video: false }),
        ])
          expect(await refusalOf(sending)).toMatchObject({ reason: "wrong-mode" });
        expect(await bob.client.connected.mutate({ roomId })).toEqual({ status: "paired" });
        expect(await bob.client.iceServers.query()).toEqual({ iceServers: [] });
        expect(await bob.client.say.mutate({ roomId, text: "Hello" })).toEqual({ delivered: true });
        expect(await alice.next("message")).toMatchObject({ text: "Hello" });
        expect(alice.told.length).toBe(before + 1);
      },
    );
  });
});
