/** The moderators' console as it is served, who may use it, and what its procedures answer: with one node, and with two on Redis. */
import { createTRPCClient, httpLink } from "@trpc/client";
import { describe, expect, test } from "bun:test";
import type { adminRouter } from "../../src/rpc/admin.ts";
import { startCluster } from "../support/cluster.ts";
import { connect, silent, startHost } from "../support/host.ts";
import {
  connectPeer,
  operatorToken,
  refusalOf,
  startServer,
  type TestPeer,
} from "../support/server.ts";
import { startServer as startProgram } from "../support/server-process.ts";
import { until } from "../support/until.ts";

const clientOf = (http: string, headers: Record<string, string>) =>
  createTRPCClient<typeof adminRouter>({ links: [httpLink({ url: `${http}/admin`, headers })] });
const admin = ({ http }: { http: string }, token = operatorToken) =>
  clientOf(http, { authorization: `Bearer ${token}` });

const idOf = ({ token }: TestPeer) => token.split(".")[0] ?? "";

async function pair(one: TestPeer, other: TestPeer): Promise<string> {
  const wishes = { interests: [crypto.randomUUID().slice(0, 8)], autoRejoin: false };
  await one.client.join.mutate(wishes);
  await other.client.join.mutate(wishes);
  return (await one.next("wait-for-offer")).roomId;
}

describe("the page", () => {
  test("is served under any prefix, with all that it names, and forbids all else", async () => {
    const { http } = startHost({ adminToken: operatorToken });
    const response = await fetch(`${http}/admin`);
    const { status, headers } = response;
    expect(status).toBe(200);
    expect(headers.get("content-type")).toStartWith("text/html");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("permissions-policy")).toStartWith("camera=(), microphone=(), ");
    expect(headers.get("content-security-policy")?.split("; ")).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "worker-src 'none'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
    const html = await response.text();
    expect(html).not.toMatch(/<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)/i);
    const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = ""]) => path);
    expect(assets).toHaveLength(3);
    for (const path of assets) {
      const asset = await fetch(new URL(path, `${http}/admin`));
      expect([path, asset.status]).toEqual([path, 200]);
      expect(new URL(asset.url).pathname).toStartWith("/strangers/admin/page/");
      expect(asset.headers.get("content-security-policy")).toContain("default-src 'none'");
    }
    expect((await fetch(`${http}/admin/page/nothing.js`)).status).toBe(404);
  });

  test("is not there, nor anything at /admin, without a token or a hook", async () => {
    await using program = await startProgram({ ALLOW_NO_ORIGIN: "true" });
    const { http } = startHost();
    for (const root of [program.origin, http])
      for (const path of ["/admin", "/admin/overview", "/admin/list", "/admin/page/console.js"]) {
        const headers = { authorization: "Bearer ", "content-type": "application/json" };
        expect([path, (await fetch(root + path, { headers })).status]).toEqual([path, 404]);
        const posted = await fetch(root + path, { method: "POST", headers, body: "{}" });
        expect([path, posted.status]).toEqual([path, 404]);
      }
  });
});

describe("by token", () => {
  test("tells who is online, waits and is in rooms by lobby, and of the node", async () => {
    await using server = startServer();
    await using ann = await connectPeer(server);
    await using bob = await connectPeer(server);
    await using cem = await connectPeer(server);
    await pair(ann, bob);
    await cem.client.join.mutate({ mode: "text" });
    const none = { video: 0, audio: 0, text: 0 };
    const counts = { online: 3, waiting: { ...none, text: 1 }, rooms: { ...none, video: 1 } };
    const overview = await admin(server).overview.query();
    expect(overview).toMatchObject({
      all: counts,
      lobbies: [{ name: "main", ...counts }],
      moreLobbies: 0,
      node: { draining: false, version: expect.stringMatching(/^\d+\.\d+\.\d+$/) },
    });
    expect(Math.abs(overview.at - Date.now())).toBeLessThan(60_000);
    expect(overview.node.uptimeMs).toBeWithin(0, 60_000);
    void server.server.drain(0);
    expect((await admin(server).overview.query()).node.draining).toBe(true);
  });

  test("lists reports without what was said or who reported, and finds their session", async () => {
    await using server = startServer();
    await using ann = await connectPeer(server);
    await using troll = await connectPeer(server);
    const roomId = await pair(ann, troll);
    await ann.client.report.mutate({ roomId, reason: "hate" });
    await ann.client.report.mutate({ roomId, reason: "spam" });
    const { reports } = await admin(server).reports.query();
    expect(reports).toEqual([
      {
        at: expect.any(Number) as number,
        roomId,
        caseId: expect.any(String) as string,
        reason: "hate",
        counted: false,
        reported: { sessionId: idOf(troll), addressHash: expect.any(String) as string },
      },
    ]);
    expect(JSON.stringify(reports)).not.toContain(idOf(ann).slice(0, 4));
    const letters = /"reported":"([\w-]{4})"/.exec(server.lines.join(""))?.[1] ?? "";
    expect(await admin(server).find.query({ letters })).toEqual({
      sessions: [{ id: idOf(troll), status: "idle", lobby: "main" }],
      more: false,
    });
  });

  test("ends a room, with a line in the log; a second time there is none", async () => {
    await using server = startServer();
    await using ann = await connectPeer(server);
    await using bob = await connectPeer(server);
    const roomId = await pair(ann, bob);
    const { endRoom } = admin(server);
    expect(await endRoom.mutate({ roomId })).toEqual({ ended: true });
    for (const peer of [ann, bob])
      expect(await peer.next("partner-disconnected")).toEqual({
        type: "partner-disconnected",
        roomId,
        reason: "removed",
      });
    expect(await endRoom.mutate({ roomId })).toEqual({ ended: false });
    const lines = server.lines.filter((line) => line.includes("room ended by an operator"));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ room: roomId }]);
  });

  test("refuses what can't be meant by the field's name", async () => {
    await using server = startServer();
    const { find, endRoom, suspend } = admin(server);
    for (const letters of ["", "abc", "ab*d", "abcd ", "x".repeat(23)])
      expect(await refusalOf(find.query({ letters }))).toMatchObject({
        reason: "bad-input",
        field: "letters",
      });
    for (const roomId of ["", "x".repeat(65)])
      expect(await refusalOf(endRoom.mutate({ roomId }))).toMatchObject({
        reason: "bad-input",
        field: "roomId",
      });
    const subject = { kind: "account", id: "42" } as const;
    const odd = { subject, until: Date.now() + 60_000, because: "dislike" as "spam" };
    expect(await refusalOf(suspend.mutate(odd))).toMatchObject({ field: "because" });
  });

  test("a token tried a hundred times gets no further than ten, and does not lock the operator out", async () => {
    await using server = startServer();
    const refusals: Record<string, unknown>[] = [];
    for (let n = 0; n < 100; n++)
      refusals.push(await refusalOf(admin(server, `guess ${n}`).overview.query()));
    const wrong = refusals.filter(({ reason }) => reason === "unauthorized");
    const limited = refusals.filter(({ reason }) => reason === "rate-limited");
    // One more each six seconds.
    expect(wrong.length).toBeWithin(10, 13);
    expect(limited).toHaveLength(100 - wrong.length);
    for (const refusal of wrong) expect(refusal).toMatchObject({ field: "authorization" });
    for (const { httpStatus, retryAfterMs } of limited) {
      expect(httpStatus).toBe(429);
      expect(Number(retryAfterMs)).toBeWithin(1, 6001);
    }
    expect((await admin(server).overview.query()).all.online).toBe(0);
    const lines = server.lines.filter((line) => line.includes("a wrong operator's token"));
    expect(lines).toHaveLength(1);
    expect(server.lines.join("")).not.toContain("guess");
  });
});

describe("by the hook isOperator", () => {
  const cookie = "moderator=yes";
  const isOperator = ({ headers }: { headers: Headers }) => headers.get("cookie") === cookie;
  const subject = { kind: "account", id: "42" } as const;
  const until = Date.now() + 3_600_000;

  test("whoever it lets in needs no token; anybody else is told so, and is not asked for one", async () => {
    const { http, ws } = startHost({ isOperator });
    expect((await fetch(`${http}/admin`)).status).toBe(200);
    await connect(ws).next("session");
    const { origin } = new URL(http);
    const own = clientOf(http, { cookie, origin });
    expect((await own.overview.query()).all.online).toBe(1);
    expect(await own.suspend.mutate({ subject, until })).toEqual({ suspended: true });
    expect(await own.lift.mutate({ subject })).toEqual({ lifted: true });
    for (const headers of [{}, { cookie: "moderator=no" }, { authorization: "Bearer x" }]) {
      const refused = await refusalOf(clientOf(http, headers).overview.query());
      expect(refused).toMatchObject({ reason: "unauthorized", httpStatus: 401 });
      expect(refused).not.toHaveProperty("field");
    }
  });

  test("another site can't use its cookies, whichever way it makes the browser send a request", async () => {
    const corsOrigin = "https://chat.example";
    const { http, strangers } = startHost({ isOperator, corsOrigin });
    const { origin, host } = new URL(http);
    const forged: Record<string, string>[] = [
      { origin: "https://evil.example" },
      { origin: "null" },
      // A page that may connect as a peer is another site all the same.
      { origin: corsOrigin },
      { origin: corsOrigin, "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { "sec-fetch-site": "none" },
      { origin, "sec-fetch-site": "same-site" },
      // The name of the attacker's own, pointed at this server.
      { origin: "http://evil.example", host: "evil.example", "sec-fetch-site": "same-origin" },
      {},
    ];
    for (const headers of forged) {
      const forging = clientOf(http, { cookie, ...headers });
      const refusals = await Promise.all(
        [
          forging.suspend.mutate({ subject, until }),
          forging.lift.mutate({ subject }),
          forging.endRoom.mutate({ roomId: "room" }),
        ].map(refusalOf),
      );
      for (const refusal of refusals)
        expect([headers, refusal]).toMatchObject([
          headers,
          { reason: "unauthorized", httpStatus: 401 },
        ]);
    }
    expect(await strangers.suspensions()).toEqual([]);
    // Nor may it read, where its pages could see the answer.
    for (const headers of [{ origin: corsOrigin }, { "sec-fetch-site": "cross-site" }])
      expect(
        await refusalOf(clientOf(http, { cookie, ...headers }).overview.query()),
      ).toMatchObject({ reason: "unauthorized" });
    for (const headers of [{ "sec-fetch-site": "same-origin" }, { origin, host }] as const) {
      const own = clientOf(http, { cookie, ...headers } as Record<string, string>);
      expect(await own.suspend.mutate({ subject, until })).toEqual({ suspended: true });
    }
  });

  test("one that fails lets nobody in, and says when to try again", async () => {
    const faults: string[] = [];
    const log = {
      ...silent,
      warn: (message: string) => void faults.push(message),
    };
    for (const hook of [
      () => {
        throw new Error("the database is away");
      },
      () => Promise.reject(new Error("the database is away")),
      () => "yes" as unknown as boolean,
    ]) {
      const { http } = startHost({ isOperator: hook, log });
      expect(await refusalOf(clientOf(http, { cookie }).overview.query())).toMatchObject({
        reason: "unavailable",
        httpStatus: 503,
        retryAfterMs: expect.any(Number) as number,
      });
    }
    expect(faults).toEqual(Array(3).fill("the hook isOperator failed"));
  });

  test("beside a token either will do, and only a token counts as one", async () => {
    const { http } = startHost({ isOperator, adminToken: operatorToken });
    expect((await admin({ http }).overview.query()).all.online).toBe(0);
    expect((await clientOf(http, { cookie }).overview.query()).all.online).toBe(0);
    const basic = { authorization: "Basic bW9kOm1vZA==", cookie };
    for (let n = 0; n < 15; n++)
      expect((await clientOf(http, basic).overview.query()).all.online).toBe(0);
    // Behind it there are no cookies, so it may come from anywhere.
    expect(await admin({ http }).suspend.mutate({ subject, until })).toEqual({ suspended: true });
    expect(await refusalOf(clientOf(http, {}).overview.query())).toMatchObject({
      field: "authorization",
    });
  });
});

test("on Redis each node shows the reports, sessions and rooms of all, and ends any room", async () => {
  const ADMIN_TOKEN = operatorToken;
  await using cluster = await startCluster(2, { ADMIN_TOKEN, LOG_LEVEL: "info" });
  const [first, second] = [cluster.at(0), cluster.at(1)];
  await using ann = await connectPeer(first);
  await using bob = await connectPeer(second);
  const reported = await pair(ann, bob);
  await bob.client.report.mutate({ roomId: reported, reason: "minor" });
  await ann.next("partner-disconnected");
  await using cem = await connectPeer(second);
  await using dan = await connectPeer(second);
  const roomId = await pair(cem, dan);
  for (const node of [first, second]) {
    const { reports } = await admin(node).reports.query();
    expect(reports).toMatchObject([{ roomId: reported, reported: { sessionId: idOf(ann) } }]);
    expect(await admin(node).find.query({ letters: idOf(cem).slice(0, 4) })).toMatchObject({
      sessions: [{ id: idOf(cem), status: "paired", roomId, lobby: "main" }],
    });
    expect((await admin(node).overview.query()).all).toMatchObject({ online: 4 });
  }
  const names = await Promise.all(
    [first, second].map(async (node) => (await admin(node).overview.query()).node.name),
  );
  expect(new Set(names).size).toBe(2);
  // By the node that has the streams of neither.
  expect(await admin(first).endRoom.mutate({ roomId })).toEqual({ ended: true });
  for (const peer of [cem, dan])
    expect(await peer.next("partner-disconnected")).toMatchObject({ roomId, reason: "removed" });
  await until("the node that has ended it says so", () =>
    cluster.nodes[0]?.output.includes("room ended by an operator"),
  );
}, 30_000);
