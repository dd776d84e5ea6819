/** Real sockets, the stock tRPC client, a real server: the contract as people outside meet it. */
import { describe, expect, test } from "bun:test";
import { Elysia } from "elysia";
import { limits } from "../../src/protocol.ts";
import { createSessionTokens } from "../../src/rpc/session-token.ts";
import { bunSocketSettings } from "../../src/trpc-ws/bun.ts";
import { openRawSocket } from "../support/raw-socket.ts";
import {
  connectPeer,
  httpClient,
  operatorToken,
  refusalOf,
  startServer,
  type TestServer,
} from "../support/server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

async function pairOn(server: TestServer) {
  const alice = await connectPeer(server);
  const bob = await connectPeer(server);
  expect(await alice.client.join.mutate()).toEqual({ status: "waiting" });
  expect(await bob.client.join.mutate()).toEqual({ status: "paired" });
  const { roomId } = await alice.next("wait-for-offer");
  await bob.next("create-offer");
  const stack = new AsyncDisposableStack();
  stack.use(alice);
  stack.use(bob);
  return { alice, bob, roomId, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe("over a WebSocket", () => {
  test("two peers are paired and their signals relayed, to each other alone", async () => {
    await using server = startServer();
    await using carol = await connectPeer(server);
    await using pair = await pairOn(server);
    const { alice, bob, roomId } = pair;

    expect(await bob.client.offer.mutate({ roomId, sdp: "offer" })).toEqual({ delivered: true });
    expect(await alice.next("offer")).toEqual({ type: "offer", roomId, sdp: "offer" });
    await alice.client.answer.mutate({ roomId, sdp: "answer" });
    expect((await bob.next("answer")).sdp).toBe("answer");
    const candidate = {
      candidate: "candidate:1 1 udp 1 192.0.2.1 1 typ host",
      sdpMid: "0",
      sdpMLineIndex: 0,
      usernameFragment: "u",
    };
    await alice.client.addIceCandidate.mutate({ roomId, candidate });
    await alice.client.addIceCandidate.mutate({ roomId, candidate: { candidate: "" } });
    expect((await bob.next("add-ice-candidate")).candidate).toEqual(candidate);
    expect((await bob.next("add-ice-candidate")).candidate).toEqual({ candidate: "" });
    expect(await alice.client.connected.mutate({ roomId })).toEqual({ status: "paired" });
    expect(carol.types).toEqual(["session"]);
  });

  test("signals sent in one batch arrive in order", async () => {
    await using server = startServer();
    await using pair = await pairOn(server);
    const { alice, bob, roomId } = pair;
    const sent = Array.from({ length: 100 }, (_, n) => `candidate ${n}`);
    await Promise.all(
      sent.map((candidate) =>
        alice.client.addIceCandidate.mutate({ roomId, candidate: { candidate } }),
      ),
    );
    const got: string[] = [];
    for (const _ of sent) got.push((await bob.next("add-ice-candidate")).candidate.candidate);
    expect(got).toEqual(sent);
  });

  test("skip, leave, report and a closed socket are told to the partner", async () => {
    await using server = startServer({ engine: { skipCooldownMs: 0, graceMs: 50 } });
    await using pair = await pairOn(server);
    const { alice, bob, roomId } = pair;
    expect(await alice.client.skip.mutate({ roomId })).toEqual({ status: "paired" });
    expect(await bob.next("partner-disconnected")).toMatchObject({ roomId, reason: "skipped" });
    await alice.client.leave.mutate();
    expect((await bob.next("partner-disconnected")).reason).toBe("left");
    await alice.client.join.mutate();
    const { roomId: third } = await alice.next("create-offer");
    await alice[Symbol.asyncDispose]();
    expect((await bob.next("partner-reconnecting")).roomId).toBe(third);
    expect((await bob.next("partner-disconnected")).reason).toBe("lost");
    await bob.next("lobby");
  });

  const refused: [
    string,
    (pair: Awaited<ReturnType<typeof pairOn>>) => Promise<unknown>,
    object,
  ][] = [
    [
      "an unknown key",
      ({ alice }) => alice.client.join.mutate({ color: "red" } as never),
      { code: "BAD_REQUEST", reason: "bad-input", field: "color" },
    ],
    [
      "a wrong type",
      ({ alice }) => alice.client.join.mutate({ interests: "jazz" } as never),
      { code: "BAD_REQUEST", reason: "bad-input", field: "interests" },
    ],
    [
      "a wrong type deep inside",
      ({ alice, roomId }) =>
        alice.client.addIceCandidate.mutate({
          roomId,
          candidate: { candidate: "", sdpMid: 1 },
        } as never),
      { reason: "bad-input", field: "candidate.sdpMid" },
    ],
    [
      "an SDP over the limit",
      ({ alice, roomId }) =>
        alice.client.offer.mutate({ roomId, sdp: "x".repeat(limits.sdpBytesMax + 1) }),
      { code: "BAD_REQUEST", reason: "bad-input", field: "sdp" },
    ],
    [
      "an SDP over the limit in bytes",
      ({ alice, roomId }) =>
        alice.client.offer.mutate({ roomId, sdp: "é".repeat(limits.sdpBytesMax / 2 + 1) }),
      { reason: "bad-input", field: "sdp" },
    ],
    [
      "a frame over the limit",
      ({ alice, roomId }) =>
        alice.client.offer.mutate({ roomId, sdp: "x".repeat(limits.frameBytesMax) }),
      { code: "BAD_REQUEST", reason: "bad-input" },
    ],
    [
      "a room that is not the caller's",
      ({ alice }) => alice.client.offer.mutate({ roomId: "another", sdp: "v=0" }),
      { code: "FORBIDDEN", reason: "not-in-room" },
    ],
    [
      "an unknown procedure",
      ({ alice }) =>
        (alice.client as never as { nope: { mutate(): Promise<unknown> } }).nope.mutate(),
      { code: "NOT_FOUND", reason: "bad-input" },
    ],
    [
      "relayOnly without TURN",
      ({ alice }) => alice.client.join.mutate({ relayOnly: true }),
      { code: "PRECONDITION_FAILED", reason: "relay-unavailable" },
    ],
  ];
  for (const [what, call, expected] of refused)
    test(`${what} is refused by name; socket, session and room are unharmed`, async () => {
      await using server = startServer();
      await using pair = await pairOn(server);
      expect(await refusalOf(call(pair))).toMatchObject(expected);
      const { alice, bob, roomId } = pair;
      expect(await alice.client.offer.mutate({ roomId, sdp: "still here" })).toEqual({
        delivered: true,
      });
      expect((await bob.next("offer")).sdp).toBe("still here");
      expect(alice.types.filter((type) => type === "session")).toHaveLength(1);
    });

  test("what the limit allows passes, to the byte", async () => {
    await using server = startServer();
    await using pair = await pairOn(server);
    const sdp = "x".repeat(limits.sdpBytesMax);
    await pair.alice.client.offer.mutate({ roomId: pair.roomId, sdp });
    expect((await pair.bob.next("offer")).sdp).toBe(sdp);
  });

  test("malformed frames get a named error on a socket that goes on working", async () => {
    await using server = startServer();
    const socket = new WebSocket(`${server.ws}/trpc`);
    const frames: string[] = [];
    let arrived = () => {};
    socket.onmessage = ({ data }) => {
      frames.push(String(data));
      arrived();
    };
    await new Promise((resolve) => (socket.onopen = resolve));
    const answerTo = async (frame: string | Uint8Array) => {
      const before = frames.length;
      socket.send(frame as string);
      while (frames.length === before) await new Promise<void>((resolve) => (arrived = resolve));
      return frames.at(-1) ?? "";
    };
    for (const frame of [
      "{",
      "null",
      "1",
      '"x"',
      "[]x",
      '{"id":1}',
      '{"id":1,"method":"mutation"}',
      "\u0000",
      new Uint8Array([1, 2, 3]),
    ]) {
      const answer = JSON.parse(await answerTo(frame));
      expect(answer.error.data.reason).toBe("bad-input");
      expect(answer.error.data.stack).toBeUndefined();
    }
    expect(await answerTo("PING")).toBe("PONG");
    const stats = await answerTo('{"id":7,"method":"query","params":{"path":"stats"}}');
    expect(JSON.parse(stats)).toMatchObject({ id: 7, result: { data: { online: 0 } } });
    socket.close();
  });

  test.each([
    ['{"method":"connectionParams","data":{"token":null}}', /string values\. Got token: object/],
    ['{"method":"connectionParams","data":{"protocol":1}}', /string values\. Got protocol: number/],
    ['{"id":1,"method":"subscription","params":{"path":"events"}}', /connection params/],
    ["[]", /ConnectionParamsMessage: Message was not an object/],
    // The parser of JSON would quote it.
    ["{ secret", /^Malformed message$/],
  ])(
    "connection parameters that are none (%s) are refused by what is wrong",
    async (frame, why) => {
      await using server = startServer();
      await using socket = await openRawSocket(`${server.ws}/trpc?connectionParams=1`);
      const { error } = await socket.ask(frame, null);
      expect(error?.message).toMatch(why);
      expect(error?.data.reason).toBe("bad-input");
    },
  );

  test("A11 a lone surrogate in a call is bad input, named by its field", async () => {
    await using server = startServer();
    await using socket = await openRawSocket(`${server.ws}/trpc`);
    const refused = async (id: number, path: string, input: string) =>
      (
        await socket.ask(
          `{"id":${id},"method":"mutation","params":{"path":"${path}","input":${input}}}`,
          id,
        )
      ).error?.data;
    expect(await refused(1, "join", String.raw`{"interests":["\ud800x"]}`)).toMatchObject({
      reason: "bad-input",
      field: "interests.0",
    });
    expect(await refused(2, "leave", String.raw`{"id":"\ud800"}`)).toMatchObject({
      reason: "bad-input",
      field: "id",
    });
    expect(server.lines.filter((line) => /"level":[56]0/.test(line))).toEqual([]);
  });

  test("a batch over the limit is refused, each call by name", async () => {
    await using server = startServer();
    await using peer = await connectPeer(server);
    const calls = Array.from({ length: limits.batchCallsMax + 1 }, () => peer.client.stats.query());
    const answers = await Promise.all(calls.map(refusalOf));
    expect(answers.every((answer) => answer["reason"] === "bad-input")).toBe(true);
    expect(await peer.client.stats.query()).toMatchObject({ online: 1 });
  });

  test("streams that begin in one batch are of one session", async () => {
    await using server = startServer();
    const socket = new WebSocket(`${server.ws}/trpc`);
    const tokens = new Set<string>();
    let arrived = () => {};
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(String(data)).result?.data?.data;
      if (event?.type === "session") tokens.add(event.token.split(".")[0]);
      arrived();
    };
    await new Promise((resolve) => (socket.onopen = resolve));
    const call = (id: number) => ({ id, method: "subscription", params: { path: "events" } });
    socket.send(JSON.stringify([1, 2, 3, 4].map(call)));
    while (tokens.size === 0) await new Promise<void>((resolve) => (arrived = resolve));
    expect((await httpClient(server).stats.query()).online).toBe(1);
    expect(tokens.size).toBe(1);
    socket.close();
  });

  test("before events is opened, there is no session to join with", async () => {
    await using server = startServer();
    await using peer = await connectPeer(server);
    peer.unsubscribe();
    // The subscription's end is processed in order before the join that follows it.
    expect(await refusalOf(peer.client.join.mutate())).toMatchObject({
      code: "PRECONDITION_FAILED",
      reason: "not-subscribed",
    });
  });
});

describe("sessions", () => {
  test("a token brings back its session, a forged or foreign one a new session", async () => {
    await using server = startServer();
    await using pair = await pairOn(server);
    const { alice, bob } = pair;
    const forged = `${alice.token.slice(0, -2)}AA`;
    const foreign = createSessionTokens(["another server's secret"]).sign(
      { sessionId: alice.token.split(".")[0] ?? "", generation: 9 },
      Date.now(),
    );
    for (const token of [forged, foreign, "nonsense"]) {
      await using stranger = await connectPeer(server, { token });
      expect(stranger.told[0]?.event).toMatchObject({ resumed: false, state: { status: "idle" } });
      expect(stranger.token.split(".")[0]).not.toBe(alice.token.split(".")[0]);
    }
    expect(bob.types).not.toContain("partner-reconnecting");
    const refused = server.lines.filter((line) => line.includes("a session's token was refused"));
    expect(refused.map((line) => JSON.parse(line))).toMatchObject([
      {
        level: 40,
        msg: "a session's token was refused: signature",
        cure: expect.stringContaining("the same SESSION_SECRET"),
      },
    ]);
    const headers = { authorization: `Bearer ${operatorToken}` };
    const metrics = await (await fetch(`${server.http}/metrics`, { headers })).text();
    expect(metrics).toContain('peer_stream_session_tokens_refused_total{because="signature"} 2');
    expect(metrics).toContain('peer_stream_session_tokens_refused_total{because="malformed"} 1');

    await using secondTab = await connectPeer(server, { token: alice.token });
    expect(secondTab.told[0]?.event).toMatchObject({
      state: { status: "paired", roomId: pair.roomId },
    });
    await until("Alice is refused", () => alice.errors.length > 0);
    expect(alice.errors).toMatchObject([{ reason: "taken-over", code: "CONFLICT" }]);
    expect(await refusalOf(alice.client.leave.mutate())).toMatchObject({ reason: "taken-over" });
    expect(await secondTab.client.leave.mutate()).toEqual({ status: "idle" });
  });

  test("the stock client resumes by itself after its connection was cut", async () => {
    await using server = startServer();
    await using proxy = await createTcpProxy(server.server.url);
    await using alice = await connectPeer(proxy);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    proxy.cut();
    await bob.client.offer.mutate({ roomId, sdp: "while away" });
    expect((await alice.next("offer")).sdp).toBe("while away");
    expect(await alice.next("session")).toMatchObject({ resumed: true, state: { roomId } });
    expect(await alice.client.answer.mutate({ roomId, sdp: "after" })).toEqual({ delivered: true });
    expect((await bob.next("answer")).sdp).toBe("after");
    expect(bob.types).not.toContain("partner-disconnected");
  });

  test("no token, SDP or candidate is ever logged", async () => {
    await using server = startServer();
    await using pair = await pairOn(server);
    const { alice, roomId } = pair;
    await alice.client.offer.mutate({ roomId, sdp: "canary-sdp" });
    await alice.client.addIceCandidate.mutate({
      roomId,
      candidate: { candidate: "canary-candidate" },
    });
    await alice.client.report.mutate({ roomId, reason: "spam" });
    const log = server.lines.join("");
    expect(log).toContain("reported");
    for (const secret of ["canary", alice.token, pair.bob.token, alice.token.split(".")[0] ?? "?"])
      expect(log).not.toContain(secret);
  });
});

describe("over HTTP", () => {
  test("queries and mutations work with the session's token, one by one and batched", async () => {
    await using server = startServer();
    await using pair = await pairOn(server);
    const { alice, bob, roomId } = pair;
    for (const batch of [false, true]) {
      const client = httpClient(server, alice.token, batch);
      const [stats, servers, offer] = await Promise.all([
        client.stats.query(),
        client.iceServers.query(),
        client.offer.mutate({ roomId, sdp: `by ${batch}` }),
      ]);
      expect(stats).toMatchObject({ online: 2, rooms: { video: 1 } });
      expect(servers).toEqual({ iceServers: [] });
      expect(offer).toEqual({ delivered: true });
      expect((await bob.next("offer")).sdp).toBe(`by ${batch}`);
    }
  });

  test("a leave in the goodbye of a page is told at once", async () => {
    await using server = startServer();
    await using pair = await pairOn(server);
    const response = await fetch(`${server.http}/trpc/leave`, {
      method: "POST",
      headers: { authorization: `Bearer ${pair.alice.token}`, "content-type": "application/json" },
      body: "{}",
    });
    expect(await response.json()).toEqual({ result: { data: { status: "idle" } } });
    expect((await pair.bob.next("partner-disconnected")).reason).toBe("left");
  });

  test("without a valid token only stats is answered", async () => {
    await using server = startServer();
    const anonymous = httpClient(server);
    expect(await anonymous.stats.query()).toMatchObject({ online: 0 });
    const unauthorized = { code: "UNAUTHORIZED", reason: "unauthorized", httpStatus: 401 };
    expect(await refusalOf(anonymous.leave.mutate())).toMatchObject(unauthorized);
    expect(await refusalOf(anonymous.iceServers.query())).toMatchObject(unauthorized);
    const forged = httpClient(server, "forged");
    expect(await refusalOf(forged.stats.query())).toMatchObject(unauthorized);
    expect(await refusalOf(forged.join.mutate())).toMatchObject(unauthorized);
  });

  test("bad input is refused as over the socket", async () => {
    await using server = startServer();
    await using peer = await connectPeer(server);
    const client = httpClient(server, peer.token);
    expect(await refusalOf(client.join.mutate({ mode: "smell" } as never))).toMatchObject({
      code: "BAD_REQUEST",
      reason: "bad-input",
      field: "mode",
      httpStatus: 400,
    });
    const malformed = await fetch(`${server.http}/trpc/join`, {
      method: "POST",
      headers: { authorization: `Bearer ${peer.token}`, "content-type": "application/json" },
      body: "{",
    });
    expect(malformed.status).toBe(400);
    expect(await malformed.json()).toMatchObject({ error: { data: { reason: "bad-input" } } });
    const unknown = await fetch(`${server.http}/trpc/nope`);
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ error: { data: { reason: "bad-input" } } });
  });

  test("a body over a frame's size is refused before it is read", async () => {
    await using server = startServer();
    const post = (bytes: number) =>
      fetch(`${server.http}/trpc/leave`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ id: "x".repeat(bytes) }),
      }).then(({ status }) => status);
    expect(await post(limits.frameBytesMax - 100)).toBe(401);
    expect(await post(limits.frameBytesMax)).toBe(413);
  });

  test("a batch is counted as it is read, however its commas are written", async () => {
    await using server = startServer();
    const response = await fetch(
      `${server.http}/trpc/${Array(11).fill("stats").join("%2C")}?batch=1`,
    );
    expect(response.status).toBe(400);
  });

  test("a batch over the limit is refused", async () => {
    await using server = startServer();
    const client = httpClient(server, undefined, true);
    const calls = (count: number) =>
      Promise.all(Array.from({ length: count }, () => refusalOf(client.stats.query())));
    expect((await calls(limits.httpBatchCallsMax))[0]).toHaveProperty("answered");
    expect((await calls(limits.httpBatchCallsMax + 1))[0]).toMatchObject({ reason: "bad-input" });
  });
});

describe("the server", () => {
  test("answers its probes, and 503 on /readyz once it drains", async () => {
    await using server = startServer();
    const status = async (path: string) => (await fetch(server.http + path)).status;
    expect([await status("/livez"), await status("/readyz")]).toEqual([200, 200]);
    expect(await status("/trpc")).toBe(426);
    await server.server.drain(1000);
    expect([await status("/livez"), await status("/readyz")]).toEqual([200, 503]);
    expect(await status("/nothing")).toBe(404);
    expect(await status("/trpc")).toBe(503);
  });

  test("takes sockets by its plugin alone, in an app that has no other route for them", async () => {
    await using server = startServer();
    const app = new Elysia({ websocket: { ...bunSocketSettings } }).use(server.routes).listen(0);
    const http = app.server?.url.origin ?? "";
    const ws = http.replace("http", "ws");
    await using peer = await connectPeer({ ws });
    expect(await peer.client.join.mutate()).toEqual({ status: "waiting" });
    const foreign = await fetch(`${http}/trpc`, { headers: { origin: "http://other.example" } });
    expect(foreign.status).toBe(403);
    await app.stop(true);
  });

  test("lets in the origins on its list and its own page, and no other, before the upgrade", async () => {
    await using server = startServer();
    const upgrade = async (origin?: string) => {
      const response = await fetch(`${server.http}/trpc`, {
        headers: {
          connection: "upgrade",
          upgrade: "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
          ...(origin === undefined ? {} : { origin }),
        },
      });
      return response.status;
    };
    expect(await upgrade("http://evil.example")).toBe(403);
    expect(await upgrade("null")).toBe(403);
    expect(await upgrade("http://site.example.evil.example")).toBe(403);
    for (const origin of ["http://site.example", server.http, undefined])
      expect(await upgrade(origin)).toBe(101);
    const preflight = await fetch(`${server.http}/trpc/leave`, {
      method: "OPTIONS",
      headers: { origin: "http://site.example", "access-control-request-method": "POST" },
    });
    expect(preflight.headers.get("access-control-allow-origin")).toBe("http://site.example");
  });
});
