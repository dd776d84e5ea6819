/** What an operator has: moderation, the admin calls, the webhook, metrics, and admission by address. */
import { createHmac } from "node:crypto";
import { createTRPCClient, httpLink } from "@trpc/client";
import { describe, expect, test } from "bun:test";
import { networkHashChars } from "../../src/domain/moderation.ts";
import { createWebhook } from "../../src/observe/webhook.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import type { adminRouter } from "../../src/rpc/admin.ts";
import { Admission } from "../../src/http/admission.ts";
import { parseProxyList } from "../../src/http/client-address.ts";
import { operating } from "../support/documents.ts";
import { freePort } from "../support/ports.ts";
import {
  connectPeer,
  operatorToken,
  refusalOf,
  startServer,
  type TestPeer,
  type TestServer,
} from "../support/server.ts";

const admin = ({ http }: TestServer, token = operatorToken) =>
  createTRPCClient<typeof adminRouter>({
    links: [httpLink({ url: `${http}/admin`, headers: { authorization: `Bearer ${token}` } })],
  });

const sessionIdOf = (peer: TestPeer) => peer.token.split(".")[0] ?? "";

/** One more peer comes from this address, is connected with the one that waits, reports it twice, and goes. */
async function reportedBy(server: TestServer, reported: TestPeer, address: string) {
  await using witness = await connectPeer(server, { address });
  await witness.client.join.mutate({ autoRejoin: false });
  const { roomId } = await witness.next("create-offer");
  for (const { client } of [witness, reported]) await client.connected.mutate({ roomId });
  const answer = await witness.client.report.mutate({ roomId, reason: "harassment" });
  expect(answer).toEqual({ accepted: true, caseId: expect.any(String) });
  expect(await witness.client.report.mutate({ roomId, reason: "hate" })).toEqual(answer);
}

describe("moderation", () => {
  test("three reporters from distinct addresses suspend a session, and each is heard once per room", async () => {
    await using server = startServer({ trustLoopback: true });
    await using troll = await connectPeer(server, { address: "192.0.2.66" });
    await troll.client.join.mutate();
    for (const address of ["198.51.100.1", "203.0.113.2"]) {
      await reportedBy(server, troll, address);
      expect((await troll.next("partner-disconnected")).reason).toBe("left");
    }
    await reportedBy(server, troll, "100.64.0.3");
    expect((await troll.next("resync")).state).toEqual({ status: "idle" });
    const refused = await refusalOf(troll.client.join.mutate());
    expect(refused).toMatchObject({ code: "FORBIDDEN", reason: "suspended" });
    expect(Number(refused["until"])).toBeGreaterThan(Date.now());
    // Two reports of each witness, one voice.
    expect(server.reports).toHaveLength(3);
    expect(server.reports[2]).toMatchObject({
      reason: "harassment",
      reported: { sessionId: sessionIdOf(troll) },
      suspended: [{ kind: "session", id: sessionIdOf(troll) }, { kind: "address" }],
    });
    const log = server.lines.join("");
    for (const secret of ["192.0.2.66", "198.51.100", "203.0.113", troll.token, sessionIdOf(troll)])
      expect(log).not.toContain(secret);
  });

  test("A3 three sockets of one IPv6 /48 that report every newcomer at once suspend nobody", async () => {
    await using server = startServer({ trustLoopback: true });
    for (let n = 0; n < 10; n++) {
      await using newcomer = await connectPeer(server, { address: `198.51.${n}.1` });
      for (const network of ["1", "2", "3"]) {
        await using attacker = await connectPeer(server, { address: `2001:db8:7:${network}::1` });
        await newcomer.client.join.mutate();
        await attacker.client.join.mutate({ autoRejoin: false });
        const { roomId } = await attacker.next("create-offer");
        const reported = await attacker.client.report.mutate({ roomId, reason: "hate" });
        expect(reported).toMatchObject({ accepted: true });
      }
      expect(await newcomer.client.join.mutate()).toMatchObject({ status: "waiting" });
      await newcomer.client.leave.mutate();
    }
    expect((await admin(server).list.query()).suspensions).toEqual([]);
    // An operator hears of each all the same.
    expect(server.reports).toHaveLength(30);
    expect(server.reports.every((report) => "counted" in report && !report.counted)).toBe(true);
  });

  test("A7 a bot that blocks everybody it gets does not get everybody", async () => {
    await using server = startServer({
      engine: { skipping: { burst: 10, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 } },
    });
    await using bot = await connectPeer(server);
    await using honest = await connectPeer(server);
    const got = { bot: 0, honest: 0 };
    // The two do not fit each other, and newcomers fit both: the one whose place is older gets them.
    await bot.client.join.mutate({ interests: ["one"] });
    await honest.client.join.mutate({ interests: ["two"] });
    for (let n = 0; n < 20; n++) {
      await using newcomer = await connectPeer(server);
      await newcomer.client.join.mutate({ interests: ["one", "two"], autoRejoin: false });
      const { roomId } = await newcomer.next("create-offer");
      if (bot.told.some(({ event }) => "roomId" in event && event.roomId === roomId)) {
        got.bot += 1;
        await bot.client.block.mutate({ roomId });
      } else {
        got.honest += 1;
        await newcomer.client.leave.mutate();
      }
    }
    expect(got.honest).toBeGreaterThanOrEqual(8);
    expect(got.bot).toBeLessThanOrEqual(12);
  });

  test("D10 a suspension that ends a room is logged and counted as such", async () => {
    await using server = startServer();
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    const subject = { kind: "session", id: sessionIdOf(bob) } as const;
    await admin(server).suspend.mutate({ subject, until: Date.now() + 60_000 });
    const lines = server.lines.filter((line) => line.includes('"ended"'));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { room: roomId, reason: "removed", by: "removed" },
    ]);
    const headers = { authorization: `Bearer ${operatorToken}` };
    expect(await (await fetch(`${server.http}/metrics`, { headers })).text()).toContain(
      'peer_stream_rooms_ended_total{reason="removed"} 1',
    );
  });

  test("many reporters behind one address are one voice", async () => {
    await using server = startServer({ trustLoopback: true });
    await using troll = await connectPeer(server, { address: "192.0.2.66" });
    await troll.client.join.mutate();
    for (let n = 0; n < 5; n++) {
      await reportedBy(server, troll, "198.51.100.1");
      await troll.next("partner-disconnected");
    }
    expect(await troll.client.join.mutate()).toMatchObject({ status: "waiting" });
  });

  test("an operator suspends, lists and lifts; whoever is in a room is put out of it", async () => {
    await using server = startServer();
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    const subject = { kind: "session", id: sessionIdOf(bob) } as const;
    const until = Date.now() + 60_000;
    await admin(server).suspend.mutate({ subject, until });
    expect(await alice.next("partner-disconnected")).toMatchObject({ roomId, reason: "removed" });
    expect(await refusalOf(bob.client.join.mutate())).toMatchObject({ reason: "suspended", until });
    expect((await admin(server).list.query()).suspensions).toMatchObject([
      { subject, until, by: "operator" },
    ]);
    expect(await admin(server).lift.mutate({ subject })).toEqual({ lifted: true });
    expect(await bob.client.join.mutate()).toEqual({ status: "paired" });
  });

  test("nobody else may", async () => {
    await using server = startServer();
    for (const token of ["", "wrong", `${operatorToken}x`])
      expect(await refusalOf(admin(server, token).list.query())).toMatchObject({
        reason: "unauthorized",
        httpStatus: 401,
      });
  });
});

describe("D11 moderation by hand", () => {
  const until = Date.now() + 60_000;
  const session = { kind: "session", id: "0F0AgDJ0Xd2zCv9VqAxPcQ" } as const;

  test("D11 an id or a time that can't be meant is refused by the field's name", async () => {
    await using server = startServer();
    const refused = async (subject: typeof session | object, till: number) =>
      refusalOf(admin(server).suspend.mutate({ subject: subject as typeof session, until: till }));
    const id = { reason: "bad-input", field: "subject.id", httpStatus: 400 };
    expect(await refused({ kind: "session", id: "0F0A" }, until)).toMatchObject(id);
    expect(await refused({ kind: "session", id: "203.0.113.7" }, until)).toMatchObject(id);
    expect(await refused({ kind: "address", id: "203.0.113" }, until)).toMatchObject(id);
    expect(await refused({ kind: "address", id: "203.0.113.7:80" }, until)).toMatchObject(id);
    const time = { reason: "bad-input", field: "until", httpStatus: 400 };
    for (const wrong of [Math.floor(until / 1000), Date.now() - 1, until * 1000])
      expect(await refused(session, wrong)).toMatchObject(time);
    const lifting = admin(server).lift.mutate({ subject: { kind: "session", id: "0F0A" } });
    expect(await refusalOf(lifting)).toMatchObject(id);
    expect((await admin(server).list.query()).suspensions).toEqual([]);
  });

  test("D11 an IP address is suspended and lifted as the bucket that it belongs to", async () => {
    await using server = startServer({ trustLoopback: true });
    await using v4 = await connectPeer(server, { address: "203.0.113.7" });
    await using v6 = await connectPeer(server, { address: "2001:db8:1:2::99" });
    for (const id of ["203.0.113.7", "2001:db8:1:2::1"])
      await admin(server).suspend.mutate({ subject: { kind: "address", id }, until });
    for (const { client } of [v4, v6])
      expect(await refusalOf(client.join.mutate())).toMatchObject({ reason: "suspended", until });
    const { suspensions } = await admin(server).list.query();
    expect(suspensions.map(({ subject }) => subject.id)).not.toContain("203.0.113.7");
    const subject = { kind: "address", id: "203.0.113.7" } as const;
    expect(await admin(server).lift.mutate({ subject })).toEqual({ lifted: true });
    expect(await v4.client.join.mutate()).toMatchObject({ status: "waiting" });
  });

  test("an account is suspended and lifted by the operator's own name for it", async () => {
    let engine: Engine | undefined;
    const createEngine = (...args: Parameters<typeof createMemoryEngine>) =>
      (engine = createMemoryEngine(...args));
    await using server = startServer({ createEngine });
    const id = "auth0|Ünï 💬/42";
    const account = { kind: "account", id } as const;
    const request = { sessionId: "tab", generation: 0, addressHash: "" };
    await engine?.attach({ ...request, account: id, wake() {} });
    const join = () => engine?.enqueue({ sessionId: "tab", generation: 1 });
    expect(await join()).toMatchObject({ status: "waiting" });
    await admin(server).suspend.mutate({ subject: account, until });
    expect(await join()).toMatchObject({ reason: "suspended", until });
    expect((await admin(server).list.query()).suspensions).toMatchObject([
      { subject: account, until, by: "operator" },
    ]);
    expect(await admin(server).lift.mutate({ subject: account })).toEqual({ lifted: true });
    expect(await join()).toMatchObject({ status: "waiting" });
    for (const wrong of ["", "x".repeat(129), "half of a pair: \ud83d"]) {
      const subject = { kind: "account", id: wrong } as const;
      expect(await refusalOf(admin(server).suspend.mutate({ subject, until }))).toMatchObject({
        reason: "bad-input",
        field: "subject.id",
      });
    }
  });

  test("D11 a wrong operator's token is called that, logged once, counted, and limited by address", async () => {
    await using server = startServer({ trustLoopback: true });
    const ask = async (path: string, token: string, from = "203.0.113.7") =>
      fetch(server.http + path, {
        headers: { authorization: `Bearer ${token}`, "x-forwarded-for": from },
      });
    const wrong = await ask("/admin/list", "wrong");
    expect(wrong.status).toBe(401);
    const text = await wrong.text();
    expect(text).toContain("ADMIN_TOKEN");
    expect(text).not.toContain("session");
    // One budget for both paths.
    for (let n = 0; n < 9; n++) expect((await ask("/metrics", `wrong ${n}`)).status).toBe(404);
    expect((await ask("/admin/list", "wrong")).status).toBe(429);
    const { status, headers } = await ask("/metrics", "wrong");
    expect([status, Number(headers.get("retry-after")) > 0]).toEqual([429, true]);
    // Nobody shuts the operator out by that.
    for (const path of ["/admin/list", "/metrics"])
      expect((await ask(path, operatorToken)).status).toBe(200);
    expect((await ask("/admin/list", operatorToken, "203.0.113.8")).status).toBe(200);
    expect(await (await ask("/metrics", operatorToken, "203.0.113.8")).text()).toContain(
      'peer_stream_requests_turned_away_total{because="operator-token"} 10',
    );
    const logged = server.lines.filter((line) => line.includes("a wrong operator's token"));
    expect(logged).toHaveLength(1);
    expect(logged[0]).not.toContain("203.0.113.7");
  });

  test("D11 a report's body has the fields that are documented", async () => {
    await using server = startServer({ trustLoopback: true });
    await using troll = await connectPeer(server, { address: "192.0.2.66" });
    await troll.client.join.mutate();
    await reportedBy(server, troll, "198.51.100.1");
    const shown = JSON.parse(
      /```json\n(\{\n {2}"id": "reported[\s\S]*?)```/.exec(operating)?.[1] ?? "null",
    );
    const [report] = server.reports as (typeof shown)[];
    expect(Object.keys(report)).toEqual(Object.keys(shown));
    expect(Object.keys(report.reported)).toEqual(Object.keys(shown.reported));
    expect(report.room).toBe(report.roomId);
  });
});

describe("the webhook", () => {
  test("D11 posts what is pending at once when it is flushed, each once more", async () => {
    const got: unknown[] = [];
    let accepting = false;
    const refusedOnce = Promise.withResolvers<void>();
    await using stack = new AsyncDisposableStack();
    const receiver = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        const { n } = (await request.json()) as { n: number };
        if (!accepting || n === 2) return new Response(null, { status: 500 });
        got.push(n);
        return new Response();
      },
    });
    stack.defer(() => receiver.stop(true));
    const givenUp: string[] = [];
    const webhook = createWebhook({
      url: receiver.url.href,
      secret: "shared with the receiver",
      onGivenUp: (why) => void givenUp.push(why),
      // Pauses never end by themselves.
      schedule(delayMs) {
        if (delayMs === 1000) refusedOnce.resolve();
        return () => {};
      },
    });
    for (const n of [1, 2, 3]) webhook.post({ n });
    await refusedOnce.promise;
    expect(webhook.pending).toBe(3);
    accepting = true;
    await webhook.flush();
    expect(webhook.pending).toBe(0);
    expect(got).toEqual([1, 3]);
    expect(givenUp).toEqual(["given up after attempt 1: the receiver answered 500"]);
  });

  test("what is given up is told with what the receiver did, and without its URL", async () => {
    const port = await freePort();
    const givenUp: string[] = [];
    const webhook = createWebhook({
      url: `http://127.0.0.1:${port}/secret`,
      secret: "shared with the receiver",
      onGivenUp: (why) => void givenUp.push(why),
      schedule: () => () => {},
    });
    webhook.post({ n: 1 });
    await webhook.flush();
    expect(givenUp).toEqual([expect.stringMatching(/^given up after attempt [12]: \w+$/)]);
    expect(givenUp[0]).toContain("ECONNREFUSED");
  });

  test("posts each notice signed, and again until it is accepted", async () => {
    const got: { body: string; signature: string | null }[] = [];
    let arrived = () => {};
    let refusals = 2;
    await using stack = new AsyncDisposableStack();
    const receiver = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        if (refusals-- > 0) return new Response(null, { status: 500 });
        const signature = request.headers.get("x-peer-stream-signature");
        got.push({ body: await request.text(), signature });
        arrived();
        return new Response();
      },
    });
    stack.defer(() => receiver.stop(true));
    const pauses: number[] = [];
    const webhook = createWebhook({
      url: receiver.url.href,
      secret: "shared with the receiver",
      onGivenUp: (why) => expect(why).toBeUndefined(),
      schedule(delayMs, task) {
        if (delayMs < 10_000) {
          pauses.push(delayMs);
          queueMicrotask(task);
        }
        return () => {};
      },
    });
    webhook.post({ n: 1 });
    webhook.post({ n: 2 });
    while (got.length < 2) await new Promise<void>((resolve) => (arrived = resolve));
    expect(got.map(({ body }) => JSON.parse(body))).toEqual([{ n: 1 }, { n: 2 }]);
    for (const { body, signature } of got)
      expect(signature).toBe(
        `sha256=${createHmac("sha256", "shared with the receiver").update(body).digest("hex")}`,
      );
    expect(pauses).toEqual([1000, 2000]);
  });

  test("gives up what nobody accepts, and what is too much, by name", async () => {
    const givenUp: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const webhook = createWebhook({
      url: "http://127.0.0.1:9/",
      secret: "shared with the receiver",
      onGivenUp(why) {
        givenUp.push(why);
        if (givenUp.length === 2) resolve();
      },
      schedule(_, task) {
        queueMicrotask(task);
        return () => {};
      },
    });
    for (let n = 0; n < 1002; n++) webhook.post({ n });
    expect(givenUp).toEqual(["the queue is full"]);
    await promise;
    expect(givenUp[1]).toBe("given up after attempt 6: no answer within 10 s");
  });
});

describe("metrics", () => {
  test("tell what happened, to whoever bears the token", async () => {
    await using server = startServer();
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    await bob.client.offer.mutate({ roomId, sdp: "v=0" });
    await bob.client.connected.mutate({ roomId });
    await refusalOf(bob.client.offer.mutate({ roomId: "another", sdp: "v=0" }));
    await alice.client.skip.mutate({ roomId });
    const read = (headers: Record<string, string> = {}) =>
      fetch(`${server.http}/metrics`, { headers });
    expect((await read()).status).toBe(404);
    expect((await read({ authorization: "Bearer wrong" })).status).toBe(404);
    const text = await (await read({ authorization: `Bearer ${operatorToken}` })).text();
    for (const line of [
      "peer_stream_site_peers_online 2",
      'peer_stream_site_peers_waiting{mode="video"} 2',
      'peer_stream_site_rooms{mode="video"} 0',
      'peer_stream_match_wait_seconds_count{mode="video"} 2',
      'peer_stream_connect_seconds_count{mode="video"} 1',
      'peer_stream_connects_total{path="unknown"} 1',
      'peer_stream_pairings_total{mode="video"} 1',
      'peer_stream_rooms_ended_total{reason="skipped"} 1',
      "peer_stream_streams_total 2",
      "peer_stream_peers 2",
      'peer_stream_scrapes_total{outcome="refused"} 2',
      'peer_stream_signals_total{type="offer"} 1',
      'peer_stream_refusals_total{reason="not-in-room"} 1',
    ])
      expect(text).toContain(line);
    expect(text).not.toContain(roomId);
  });
});

test("A6 whoever adds a forwarding header gets no other address: the request is refused, counted and logged", async () => {
  await using server = startServer({ trustLoopback: true });
  const until = Date.now() + 60_000;
  const id = "203.0.113.7";
  await admin(server).suspend.mutate({ subject: { kind: "address", id }, until });
  await using suspended = await connectPeer(server, { address: id });
  expect(await refusalOf(suspended.client.join.mutate())).toMatchObject({ reason: "suspended" });
  for (const forwarded of ["x", "for=198.51.100.9", 'for="', ""])
    for (const path of ["/trpc", "/trpc/stats", "/admin/list", "/metrics", "/"]) {
      const headers = { "x-forwarded-for": id, forwarded, upgrade: "websocket" };
      const { status } = await fetch(server.http + path, { headers });
      expect([forwarded, path, status]).toEqual([forwarded, path, 400]);
    }
  const agreeing = { "x-forwarded-for": id, forwarded: `for=${id}` };
  expect((await fetch(`${server.http}/trpc/stats`, { headers: agreeing })).status).toBe(200);
  const headers = { authorization: `Bearer ${operatorToken}` };
  expect(await (await fetch(`${server.http}/metrics`, { headers })).text()).toContain(
    'peer_stream_requests_turned_away_total{because="forwarded"} 16',
  );
  expect(await (await fetch(`${server.http}/metrics`, { headers })).text()).toContain(
    'peer_stream_handshakes_refused_total{reason="forwarded"} 4',
  );
  const lines = server.lines.filter((line) => line.includes("forwarding headers contradict"));
  expect(lines).toHaveLength(1);
});

describe("admission", () => {
  const trusted = parseProxyList("127.0.0.1");
  if ("problems" in trusted) throw new Error("it is a list");
  let now = 0;
  const options = {
    socketsPerAddress: 2,
    handshakesPerMin: 5,
    peersMax: 3,
    trustedProxies: trusted,
    hashKey: () => "key",
    isKeyKnown: () => true,
    elapsed: () => now,
    networkHashChars,
    onUnannouncedProxy: () => {},
    onFull: () => {},
  };
  const from = (address: string) => new Headers({ "x-forwarded-for": address });

  test("lets in so many sockets per address and in all, at n and not at n + 1", async () => {
    const admission = new Admission(options);
    const come = async (address: string) => admission.admit(from(address), "127.0.0.1");
    const first = await come("192.0.2.1");
    expect(first).toHaveProperty("addressHash");
    expect(await come("192.0.2.1")).toHaveProperty("addressHash");
    expect(await come("192.0.2.1")).toEqual({
      status: 503,
      reason: "address-full",
      retryAfterS: 5,
    });
    expect(await come("192.0.2.2")).toHaveProperty("addressHash");
    expect(await come("192.0.2.3")).toEqual({ status: 503, reason: "node-full", retryAfterS: 5 });
    if ("release" in first) {
      first.release();
      first.release();
    }
    expect(await come("192.0.2.3")).toHaveProperty("addressHash");
    expect(await come("192.0.2.4")).toHaveProperty("status");
  });

  test("refuses one handshake too many in a minute, an IPv6 network as one", async () => {
    const admission = new Admission({ ...options, socketsPerAddress: 0, peersMax: 0 });
    for (let n = 1; n <= 5; n++)
      expect(await admission.admit(from(`2001:db8:0:1::${n}`), "127.0.0.1")).toHaveProperty(
        "addressHash",
      );
    const refused = await admission.admit(from("2001:db8:0:1::6"), "127.0.0.1");
    expect(refused).toEqual({ status: 429, reason: "rate-limited", retryAfterS: 12 });
    expect(await admission.admit(from("2001:db8:0:2::1"), "127.0.0.1")).toHaveProperty(
      "addressHash",
    );
    now += 12_000;
    expect(await admission.admit(from("2001:db8:0:1::6"), "127.0.0.1")).toHaveProperty(
      "addressHash",
    );
  });

  test("ten thousand forged headers of one who is no proxy are one address, told once", async () => {
    let told = 0;
    const admission = new Admission({
      ...options,
      handshakesPerMin: 0,
      socketsPerAddress: 1,
      onUnannouncedProxy: () => (told += 1),
    });
    expect(await admission.admit(from("192.0.2.0"), "203.0.113.9")).toHaveProperty("addressHash");
    for (let n = 1; n <= 10_000; n++)
      expect(
        await admission.admit(from(`10.0.${n >> 8}.${n & 255}`), "203.0.113.9"),
      ).toHaveProperty("status");
    expect(told).toBe(1);
  });

  test("on a server: 429 and 503 before the upgrade, with Retry-After, and a place again once one has gone", async () => {
    await using server = startServer({ admission: { socketsPerAddress: 1 } });
    const first = await connectPeer(server);
    const upgrade = {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const refused = await fetch(`${server.http}/trpc`, { headers: upgrade });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
    await first[Symbol.asyncDispose]();
    await using second = await connectPeer(server);
    expect(second.types).toEqual(["session"]);
  });
});
