/** What a real server counts: of sockets, handshakes, joins, resumes, paths and reports, each once. */
import { describe, expect, test } from "bun:test";
import { assertPaired } from "../support/pairs.ts";
import { readMetrics } from "../support/metric-text.ts";
import {
  connectPeer,
  httpClient,
  operatorToken,
  overHttp,
  refusalOf,
  startServer,
  type TestServer,
} from "../support/server.ts";
import { until } from "../support/until.ts";

const headers = { authorization: `Bearer ${operatorToken}` };

async function read({ http }: Pick<TestServer, "http">) {
  const response = await fetch(`${http}/metrics`, { headers });
  const { value } = readMetrics(await response.text());
  return (name: string, labels?: Record<string, string>) => value(`peer_stream_${name}`, labels);
}

/** Once a socket has closed, which its peer notices first. */
const untilValue = (
  server: Pick<TestServer, "http">,
  expected: number,
  name: string,
  labels?: Record<string, string>,
) =>
  until(`${name} ${JSON.stringify(labels ?? {})} is ${expected}`, async () => {
    const value = (await read(server))(name, labels);
    if (value !== expected) throw new Error(`it is ${value}`);
    return true;
  });

test("sockets are counted when they open and by the code that they close by", async () => {
  await using server = startServer();
  const url = `${server.ws}/trpc`;
  const open = async () => {
    const socket = new WebSocket(url);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    return socket;
  };
  const [kept, left, broken, strange] = [await open(), await open(), await open(), await open()];
  await untilValue(server, 4, "sockets");
  left.close(1000);
  strange.close(3999);
  (broken as unknown as { terminate(): void }).terminate();
  await untilValue(server, 1, "sockets");
  const value = await read(server);
  expect(value("sockets_opened_total")).toBe(4);
  const closed = (code: string) => value("sockets_closed_total", { code });
  expect(["1000", "1006", "other", "4000"].map(closed)).toEqual([1, 1, 1, 0]);
  kept.close();
  await untilValue(server, 1, "sockets_closed_total", { code: "1005" });
});

test("the server's own codes are counted as such", async () => {
  await using server = startServer({
    rates: {
      signals: { perS: 1, burst: 1 },
      intents: { perS: 1, burst: 1 },
      bytes: { perS: 0, burst: 1 },
    },
    initTimeoutMs: 50,
  });
  const mute = new WebSocket(`${server.ws}/trpc?connectionParams=1`);
  await new Promise((resolve) => mute.addEventListener("close", resolve));
  await untilValue(server, 1, "sockets_closed_total", { code: "4002" });
  const flooding = new WebSocket(`${server.ws}/trpc`);
  await new Promise((resolve) => flooding.addEventListener("open", resolve));
  const closed = new Promise((resolve) => flooding.addEventListener("close", resolve));
  for (let n = 0; n < 5000; n++) flooding.send("x");
  await closed;
  await untilValue(server, 1, "sockets_closed_total", { code: "4500" });
});

describe("handshakes that are refused", () => {
  const shake = ({ http }: TestServer, more: Record<string, string> = {}) =>
    fetch(`${http}/trpc`, {
      headers: {
        connection: "upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...more,
      },
    });

  test("are told apart by reason, and from calls and other requests", async () => {
    await using server = startServer({ trustLoopback: true });
    expect((await shake(server, { origin: "http://evil.example" })).status).toBe(403);
    const forwarding = { forwarded: "for=192.0.2.1", "x-forwarded-for": "192.0.2.2" };
    expect((await shake(server, forwarding)).status).toBe(400);
    expect((await shake(server, { "sec-websocket-key": "" })).status).toBe(426);
    const from = { origin: "http://evil.example" };
    expect((await fetch(`${server.http}/trpc/stats`, { headers: from })).status).toBe(403);
    expect(await refusalOf(httpClient(server).stats.query({ x: 1 } as never))).toMatchObject({
      reason: "bad-input",
    });
    const value = await read(server);
    const refused = (reason: string) => value("handshakes_refused_total", { reason });
    expect(["origin", "forwarded", "malformed"].map(refused)).toEqual([1, 1, 1]);
    expect(value("handshakes_refused_total")).toBe(3);
    expect(value("requests_turned_away_total", { because: "origin" })).toBe(1);
    expect(value("refusals_total", { reason: "bad-input" })).toBe(1);
    expect(value("refusals_total")).toBe(1);
  });

  test("by limits and a drain, for streams over HTTP as well", async () => {
    await using server = startServer({
      trustLoopback: true,
      admission: { socketsPerAddress: 1, handshakesPerMin: 3, peersMax: 2 },
    });
    await using _one = await connectPeer(server, { address: "192.0.2.1" });
    expect((await shake(server, { "x-forwarded-for": "192.0.2.1" })).status).toBe(503);
    await using _two = await connectPeer(server, { address: "192.0.2.2" });
    expect((await shake(server, { "x-forwarded-for": "192.0.2.3" })).status).toBe(503);
    const stream = await fetch(`${server.http}/trpc/events`, {
      headers: { accept: "text/event-stream", "x-forwarded-for": "192.0.2.3" },
    });
    expect(stream.status).toBe(503);
    await shake(server, { "x-forwarded-for": "192.0.2.1" });
    expect((await shake(server, { "x-forwarded-for": "192.0.2.1" })).status).toBe(429);
    const draining = server.server.drain(60_000);
    expect((await shake(server)).status).toBe(503);
    const value = await read(server);
    const refused = (reason: string) => value("handshakes_refused_total", { reason });
    expect(["address-full", "node-full", "rate-limited", "draining"].map(refused)).toEqual([
      1, 3, 1, 1,
    ]);
    expect(value("refusals_total")).toBe(0);
    void draining;
  });
});

test("a drain can be followed to its end", async () => {
  await using server = startServer();
  let value = await read(server);
  expect([value("draining"), value("drain_peers_left")]).toEqual([0, 0]);
  // Neither does what it is asked to.
  const sockets = [1, 2].map(() => new WebSocket(`${server.ws}/trpc`));
  // Of these the first is asked at once, and comes back in vain; the other one half a minute later.
  await using _first = await connectPeer(server, { over: overHttp });
  await using second = await connectPeer(server, { over: overHttp });
  await untilValue(server, 2, "sockets");
  const draining = server.server.drain(60_000);
  await untilValue(server, 3, "drain_peers_left");
  value = await read(server);
  expect(value("draining")).toBe(1);
  expect(value("scrapes_total", { outcome: "refused" })).toBe(0);
  sockets[0]?.close();
  second.unsubscribe();
  await untilValue(server, 1, "drain_peers_left");
  sockets[1]?.close();
  await draining;
  await untilValue(server, 0, "drain_peers_left");
});

test("joins that are refused, by reason", async () => {
  await using server = startServer();
  const anonymous = httpClient(server);
  for (const call of [anonymous.join.mutate({}), anonymous.skip.mutate({})])
    expect(await refusalOf(call)).toHaveProperty("reason");
  await using peer = await connectPeer(server);
  for (const call of [
    peer.client.join.mutate({ relayOnly: true }),
    peer.client.join.mutate({ lobby: "of nobody" }),
    peer.client.again.mutate({ roomId: "of nobody" }),
    peer.client.offer.mutate({ roomId: "of nobody", sdp: "v=0" }),
  ])
    expect(await refusalOf(call)).toHaveProperty("reason");
  const value = await read(server);
  const refused = (reason: string) => value("joins_refused_total", { reason });
  const reasons = ["unauthorized", "relay-unavailable", "bad-input", "not-in-room"];
  expect(reasons.map(refused)).toEqual([2, 1, 1, 1]);
  expect(value("joins_refused_total")).toBe(5);
  expect(value("refusals_total", { reason: "not-in-room" })).toBe(2);
});

async function tokenOf(server: TestServer): Promise<string> {
  await using peer = await connectPeer(server);
  return peer.token;
}

test("who comes back, with all that was missed, with the present state, or to nothing", async () => {
  await using server = startServer();
  await using other = startServer();
  const peer = await connectPeer(server);
  const value = await read(server);
  expect([value("resumes_total"), value("streams_total")]).toEqual([0, 1]);
  peer.cut();
  await peer.next("session");
  await untilValue(server, 1, "resumes_total", { outcome: "whole" });
  const { token } = peer;
  await peer[Symbol.asyncDispose]();
  await untilValue(server, 0, "peers");
  // A page that was reloaded has its session, and asks for no missed events.
  await (await connectPeer(server, { token }))[Symbol.asyncDispose]();
  const strange = { token, lastEventId: "of-another-epoch:7" };
  await (await connectPeer(server, strange))[Symbol.asyncDispose]();
  const then = await read(server);
  const outcome = (of: string) => then("resumes_total", { outcome: of });
  expect(["whole", "partial", "failed"].map(outcome)).toEqual([1, 1, 0]);
  expect(then("streams_total")).toBe(4);
  // The same secrets, and no such session.
  await (await connectPeer(other, strange))[Symbol.asyncDispose]();
  await (await connectPeer(other, { ...strange, token: "forged" }))[Symbol.asyncDispose]();
  await (await connectPeer(other, { token: await tokenOf(server) }))[Symbol.asyncDispose]();
  const there = await read(other);
  expect(there("resumes_total", { outcome: "failed" })).toBe(1);
  expect([there("resumes_total"), there("streams_total")]).toEqual([1, 3]);
});

test("a call that never connected counts once as that, whatever path its members name, and however often they say so", async () => {
  await using server = startServer();
  await using alice = await connectPeer(server);
  await using bob = await connectPeer(server);
  await alice.client.join.mutate({});
  await bob.client.join.mutate({});
  const failed = { roomId: await assertPaired(alice, bob), path: "direct", id: "once" } as const;
  for (const { client } of [alice, alice, bob]) await client.failed.mutate(failed);
  const value = await read(server);
  expect(value("connects_failed_total", { path: "never" })).toBe(1);
  expect(await refusalOf(alice.client.failed.mutate({ roomId: "x", path: "x" } as never))).toEqual(
    expect.objectContaining({ reason: "bad-input", field: "path" }),
  );
  expect((await read(server))("connects_failed_total")).toBe(1);
});

for (const path of ["direct", "relayed", undefined] as const)
  test(`a call whose path was ${path ?? "not said"} connects, and is lost`, async () => {
    await using server = startServer();
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    const roomId = await assertPaired(alice, bob);
    const stated = path === undefined ? {} : { path };
    for (const { client } of [alice, bob]) await client.connected.mutate({ roomId, ...stated });
    for (const { client } of [alice, bob]) await client.failed.mutate({ roomId, ...stated });
    const value = await read(server);
    const shown = { path: path ?? "unknown" };
    expect(value("connects_total", shown)).toBe(1);
    expect(value("connects_total")).toBe(1);
    expect(value("connects_failed_total", shown)).toBe(1);
    expect(value("connects_failed_total")).toBe(1);
    expect(value("connect_seconds_count", { mode: "video" })).toBe(1);
    expect(value("pairings_total", { mode: "video" })).toBe(1);
  });

test("reports by reason, and suspensions in force", async () => {
  await using server = startServer();
  await using alice = await connectPeer(server);
  await using bob = await connectPeer(server);
  await alice.client.join.mutate({});
  await bob.client.join.mutate({});
  const roomId = await assertPaired(alice, bob);
  for (let n = 0; n < 2; n++) await alice.client.report.mutate({ roomId, reason: "spam" });
  await fetch(`${server.http}/admin/suspend`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({
      subject: { kind: "account", id: "42" },
      until: Date.now() + 60_000,
    }),
  });
  const value = await read(server);
  expect([value("reports_total", { reason: "spam" }), value("reports_total")]).toEqual([1, 1]);
  expect(value("site_suspensions")).toBe(1);
  expect(value("decisions_total", { decision: "suspended", by: "operator" })).toBe(1);
});

test("a scrape without the token is answered 404, counted, and logged once with its cure", async () => {
  await using server = startServer();
  for (let n = 0; n < 3; n++) expect((await fetch(`${server.http}/metrics`)).status).toBe(404);
  const value = await read(server);
  expect(value("scrapes_total", { outcome: "refused" })).toBe(3);
  expect(value("scrapes_total", { outcome: "whole" })).toBe(1);
  const logged = server.lines.filter((line) => line.includes("without their token"));
  expect(logged).toHaveLength(1);
  expect(logged[0]).toContain("METRICS_TOKEN");
});
