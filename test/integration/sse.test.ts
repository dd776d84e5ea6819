/** Events over HTTP, as server-sent events, by tRPC's own links: for networks that cut WebSockets. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Elysia } from "elysia";
import { connect } from "node:net";
import { startCluster, type Cluster } from "../support/cluster.ts";
import {
  connectPeer,
  overHttp,
  signalsOf,
  startServer,
  tallySignals,
  type TestPeer,
  type TestServer,
} from "../support/server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

/** Where events come from, and where calls go. */
interface Site {
  events: { ws: string };
  calls: { http: string };
}

const candidate = (n: number) => ({ candidate: String(n), sdpMid: "0" });

const overHttpAt = ({ events, calls }: Site, given: Parameters<typeof connectPeer>[1] = {}) =>
  connectPeer(events, { ...given, over: (parts) => overHttp(parts, calls.http) });

/** The one who came first waits for the offer. */
async function paired(alice: TestPeer, bob: TestPeer): Promise<string> {
  expect(await alice.client.join.mutate({ mode: "audio" })).toEqual({ status: "waiting" });
  expect(await bob.client.join.mutate({ mode: "audio" })).toEqual({ status: "paired" });
  const { roomId } = await alice.next("wait-for-offer");
  expect((await bob.next("create-offer")).roomId).toBe(roomId);
  return roomId;
}

function suite(siteOf: () => Site) {
  test("two peers without any WebSocket are paired, exchange signals, and part", async () => {
    const site = siteOf();
    await using alice = await overHttpAt(site, { name: "Alice" });
    await using bob = await overHttpAt(site, { name: "Bob" });
    const roomId = await paired(alice, bob);
    expect(await bob.client.offer.mutate({ roomId, sdp: "offer é" })).toEqual({ delivered: true });
    expect((await alice.next("offer")).sdp).toBe("offer é");
    await alice.client.answer.mutate({ roomId, sdp: "answer" });
    expect((await bob.next("answer")).sdp).toBe("answer");
    await Promise.all([
      bob.client.addIceCandidate.mutate({ roomId, candidate: candidate(0) }),
      bob.client.connected.mutate({ roomId }),
      alice.client.connected.mutate({ roomId }),
    ]);
    await alice.next("add-ice-candidate");
    expect(await alice.client.leave.mutate()).toEqual({ status: "idle" });
    expect((await bob.next("partner-disconnected")).reason).toBe("left");
    expect(alice.types.filter((type) => type === "session")).toHaveLength(1);
    expect([...alice.errors, ...bob.errors]).toEqual([]);
  });

  test("one over HTTP and one over a WebSocket are paired, and what is sent at once arrives in order", async () => {
    const site = siteOf();
    await using alice = await overHttpAt(site, { name: "Alice" });
    await using bob = await connectPeer(site.events, { name: "Bob" });
    const roomId = await paired(alice, bob);
    for (let n = 0; n < 50; n++)
      void bob.client.addIceCandidate.mutate({ roomId, candidate: candidate(n) });
    const tally = { lost: 0, twice: 0, outOfOrder: 0 };
    await tallySignals(alice, 50, tally);
    await alice.client.offer.mutate({ roomId, sdp: "from HTTP" });
    expect((await bob.next("offer")).sdp).toBe("from HTTP");
    expect(tally).toEqual({ lost: 0, twice: 0, outOfOrder: 0 });
  });

  test("a stream that is cut comes back by itself, and gets what it missed: all, once, in order", async () => {
    const site = siteOf();
    await using alice = await overHttpAt(site, { name: "Alice" });
    await using bob = await connectPeer(site.events, { name: "Bob" });
    const roomId = await paired(alice, bob);
    let sent = 0;
    const send = () => bob.client.addIceCandidate.mutate({ roomId, candidate: candidate(sent++) });
    for (let round = 0; round < 3; round++) {
      await send();
      await send();
      // Wherever the second one is at this moment.
      alice.cut();
      await bob.next("partner-reconnecting");
      await send();
      await bob.next("partner-reconnected");
      await send();
    }
    const tally = { lost: 0, twice: 0, outOfOrder: 0 };
    await tallySignals(alice, sent, tally);
    expect(tally).toEqual({ lost: 0, twice: 0, outOfOrder: 0 });
    expect(signalsOf(alice)).toHaveLength(12);
    expect(alice.types).not.toContain("resync");
    const sessions = alice.told.flatMap(({ event }) => (event.type === "session" ? [event] : []));
    expect(sessions.map(({ resumed }) => resumed)).toEqual([false, true, true, true]);
  }, 20_000);

  test("another tab takes the session over: the stream ends, and its client does not come back", async () => {
    const site = siteOf();
    await using first = await overHttpAt(site, { name: "the first tab" });
    await using second = await overHttpAt(site, { name: "the second tab", token: first.token });
    await until("the first tab is told", () => first.errors.length > 0);
    expect(first.errors).toMatchObject([{ code: "CONFLICT", reason: "taken-over" }]);
    expect(await second.client.join.mutate()).toEqual({ status: "waiting" });
    await using third = await connectPeer(site.events, { token: second.token });
    await until("the second tab is told", () => second.errors.length > 0);
    expect(await third.client.leave.mutate()).toEqual({ status: "idle" });
    expect(first.types.filter((type) => type === "session")).toHaveLength(1);
  });

  test("a client that goes is away at once, and its partner is told", async () => {
    const site = siteOf();
    await using bob = await connectPeer(site.events, { name: "Bob" });
    {
      await using alice = await overHttpAt(site, { name: "Alice" });
      await paired(alice, bob);
    }
    await bob.next("partner-reconnecting");
  });
}

describe("events over HTTP, with the engine in memory", () => {
  let server: TestServer;
  beforeAll(() => void (server = startServer()));
  afterAll(() => server[Symbol.asyncDispose]());
  suite(() => ({ events: server, calls: server }));
});

describe("events over HTTP from one node, calls on another, with the engine in Redis", () => {
  let cluster: Cluster;
  beforeAll(async () => void (cluster = await startCluster(2)), 60_000);
  afterAll(() => cluster[Symbol.asyncDispose]());
  suite(() => ({ events: cluster.at(0), calls: cluster.at(1) }));
});

/** A stream without a client: its response, and what arrives. */
async function openStream(
  { http }: Pick<TestServer, "http">,
  headers: Record<string, string> = {},
  query = "",
) {
  const controller = new AbortController();
  const response = await fetch(`${http}/trpc/events${query}`, {
    headers: { accept: "text/event-stream", ...headers },
    signal: controller.signal,
  });
  let text = "";
  let hasEnded = false;
  const reading = (async () => {
    try {
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? [])
        text += chunk;
    } catch {
      // It was aborted.
    }
    hasEnded = true;
  })();
  return {
    response,
    get text() {
      return text;
    },
    get hasEnded() {
      return hasEnded;
    },
    ended: reading,
    received: (part: string) => until(`${part} is received`, () => text.includes(part)),
    abort: () => controller.abort(),
    async [Symbol.asyncDispose]() {
      controller.abort();
      await reading;
    },
  };
}

describe("a stream of events", () => {
  test("is no thing that a proxy would store, change or hold back, and any accepted page may read it", async () => {
    await using server = startServer();
    await using stream = await openStream(server, { origin: "http://site.example" });
    expect(stream.response.status).toBe(200);
    const { headers } = stream.response;
    expect(headers.get("content-type")).toBe("text/event-stream");
    expect(headers.get("cache-control")).toBe("no-cache, no-transform");
    expect(headers.get("x-accel-buffering")).toBe("no");
    expect(headers.get("access-control-allow-origin")).toBe("http://site.example");
    const preflight = await fetch(`${server.http}/trpc/events`, {
      method: "OPTIONS",
      headers: {
        origin: "http://site.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "authorization,last-event-id",
      },
    });
    const allowed = preflight.headers.get("access-control-allow-headers");
    for (const name of ["authorization", "last-event-id", "trpc-accept", "content-type"])
      expect(allowed?.split(", ")).toContain(name);
    expect(headers.get("access-control-expose-headers")).toBe("retry-after");
    const foreign = await openStream(server, { origin: "http://other.example" });
    expect(foreign.response.status).toBe(403);
  });

  test("takes the token from its header alone, and refuses one that is not valid", async () => {
    await using server = startServer();
    await using peer = await connectPeer(server);
    await using forged = await openStream(server, { authorization: "Bearer forged" });
    await forged.ended;
    expect(forged.text).toContain("event: serialized-error");
    expect(forged.text).toContain('"reason":"unauthorized"');
    const { token } = peer;
    const params = encodeURIComponent(JSON.stringify({ token }));
    await using other = await openStream(server, {}, `?connectionParams=${params}&token=${token}`);
    await other.received('"type":"session"');
    const [session] = token.split(".");
    expect(other.text).not.toContain(session ?? "");
    expect(peer.errors).toEqual([]);
  });

  test("resumes by the id in the header or in the input, which is checked as over a WebSocket", async () => {
    await using server = startServer();
    await using peer = await connectPeer(server);
    await peer.client.join.mutate();
    await peer.next("lobby");
    const authorization = `Bearer ${peer.token}`;
    const id = peer.told[0]?.id ?? "";
    await using byHeader = await openStream(server, { authorization, "last-event-id": id });
    await byHeader.received('"resumed":true');
    await using byInput = await openStream(
      server,
      { authorization },
      `?input=${encodeURIComponent(JSON.stringify({ lastEventId: id }))}`,
    );
    await byInput.received('"resumed":true');
    for (const { text } of [byHeader, byInput])
      expect(text.match(/"type":"\w+"/g)?.slice(0, 2)).toEqual([
        '"type":"lobby"',
        '"type":"session"',
      ]);
    await using unknown = await openStream(server, { authorization, "last-event-id": "made up" });
    await unknown.received('"type":"resync"');
    await using tooLong = await openStream(server, {
      authorization,
      "last-event-id": "x".repeat(129),
    });
    await tooLong.ended;
    expect(tooLong.text).toContain("event: serialized-error");
    expect(tooLong.text).toContain('"reason":"bad-input"');
  });

  test("is pinged while nothing happens, and outlives the time that a host lets connections be idle", async () => {
    await using server = startServer();
    const app = new Elysia({ serve: { idleTimeout: 1 } }).use(server.routes).listen(0);
    await using stream = await openStream({ http: app.server?.url.origin ?? "" });
    await stream.received("event: ping");
    expect(stream.text).toMatch(/^retry: \d+\n\n/);
    expect(stream.text).toContain('"reconnectAfterInactivityMs":12000');
    expect(stream.hasEnded).toBe(false);
    await app.stop(true);
  }, 15_000);

  test("of a client that reads nothing ends before it has taken more than the log of a session", async () => {
    await using server = startServer();
    await using bob = await connectPeer(server, { name: "Bob" });
    const socket = connect(Number(new URL(server.http).port), "127.0.0.1");
    let head = "";
    socket.on("data", (chunk: Buffer) => (head += chunk.toString()));
    socket.write(
      "GET /trpc/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n",
    );
    await until("the session has begun", () => head.includes('"token"'));
    const token = /"token":"([^"]+)"/.exec(head)?.[1] ?? "";
    socket.pause();
    const post = (path: string, body: object) =>
      fetch(`${server.http}/trpc/${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    await post("join", {});
    await bob.client.join.mutate();
    const { roomId } = await bob.next("create-offer");
    let isAway = false;
    bob.onTold(({ type }) => (isAway ||= type === "partner-reconnecting"));
    const sdp = "x".repeat(32_000);
    // What the kernel takes of it, some megabytes, is not ours to bound.
    let sent = 0;
    for (; sent < 2000 && !isAway; sent++) await bob.client.offer.mutate({ roomId, sdp });
    expect(isAway).toBe(true);
    socket.destroy();
  }, 30_000);
});

describe("the limits of sockets", () => {
  test("hold for streams, together with sockets, by address and in all", async () => {
    for (const admission of [{ socketsPerAddress: 2 }, { peersMax: 2 }]) {
      await using server = startServer({ admission });
      await using socket = await connectPeer(server);
      await using stream = await openStream(server);
      await stream.received('"type":"session"');
      await using refused = await openStream(server);
      expect(refused.response.status).toBe(503);
      expect(Number(refused.response.headers.get("retry-after"))).toBeGreaterThan(0);
      stream.abort();
      await until("its place is free", async () => {
        await using next = await openStream(server);
        return next.response.status === 200;
      });
      expect(socket.errors).toEqual([]);
    }
  });

  test("count the beginnings of streams as handshakes", async () => {
    await using server = startServer({ admission: { handshakesPerMin: 2 } });
    await using first = await openStream(server);
    await using second = await openStream(server);
    await using third = await openStream(server);
    expect([first, second, third].map(({ response }) => response.status)).toEqual([200, 200, 429]);
    expect(Number(third.response.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test("give the place of a stream back that is refused, ends by itself, or fails", async () => {
    await using server = startServer({ admission: { socketsPerAddress: 1 } });
    for (let n = 0; n < 3; n++) {
      await using refused = await openStream(server, { authorization: "Bearer forged" });
      await refused.ended;
      expect(refused.response.status).toBe(200);
      await using bad = await openStream(server, { "last-event-id": "x".repeat(129) });
      await bad.ended;
      expect(bad.response.status).toBe(200);
    }
  });
});

describe("a server that shuts down", () => {
  test("ends its streams over the time it has, without the word that would keep clients away, and takes no new ones", async () => {
    await using server = startServer();
    const streams = await Promise.all([1, 2, 3, 4].map(() => openStream(server)));
    for (const stream of streams) await stream.received('"type":"session"');
    const begun = performance.now();
    const draining = server.server.drain(400);
    await streams[0]?.ended;
    expect(streams.filter(({ hasEnded }) => hasEnded).length).toBeLessThan(4);
    const late = await openStream(server);
    expect(late.response.status).toBe(503);
    await draining;
    expect(performance.now() - begun).toBeLessThan(2000);
    await Promise.all(streams.map(({ ended }) => ended));
    for (const { text } of streams) expect(text).not.toContain("event: return");
  });

  test("leaves none when it stops", async () => {
    await using server = startServer();
    await using stream = await openStream(server);
    await stream.received('"type":"session"');
    await server.server.stop();
    await stream.ended;
  });

  test("sends clients to another node, which resumes their sessions", async () => {
    await using cluster = await startCluster(2);
    await using bob = await connectPeer(cluster.at(1), { name: "Bob" });
    // As a load balancer does.
    await using proxy = await createTcpProxy(new URL(cluster.at(0).http));
    await using alice = await connectPeer(proxy, {
      name: "Alice",
      over: (parts) => overHttp(parts, cluster.at(1).http),
    });
    const roomId = await paired(alice, bob);
    proxy.retarget(new URL(cluster.at(1).http));
    const stopped = cluster.nodes[0]?.stop();
    await until("the first node takes nobody", async () => {
      const ready = fetch(`${cluster.at(0).http}/readyz`).then(({ ok }) => ok);
      return !(await ready.catch(() => false));
    });
    await bob.client.offer.mutate({ roomId, sdp: "meanwhile" });
    expect(await alice.next("session")).toMatchObject({ resumed: true });
    await bob.client.offer.mutate({ roomId, sdp: "afterwards" });
    await until(
      "both offers have come",
      () => alice.types.filter((type) => type === "offer").length === 2,
    );
    expect(alice.errors).toEqual([]);
    await stopped;
  }, 60_000);
});
