/** Reports with a note and evidence, and what an operator decides about them: over the wire, as hooks, notices and records. */
import { createHmac } from "node:crypto";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Reported } from "../../src/domain/lifecycle.ts";
import type { Caller, Engine } from "../../src/engine/engine.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { limits } from "../../src/protocol.ts";
import type { PeerStreamOptions } from "../../src/server.ts";
import { ends } from "../support/ends.ts";
import { connect, silent, startHost } from "../support/host.ts";
import { base64Of, smallJpeg } from "../support/jpeg.ts";
import { startRedis } from "../support/redis.ts";
import { connectPeer, operatorToken, refusalOf, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(30_000);

const free = { limitIntentsPerS: 1000, reportsAfterMs: 0, skipCooldownMs: 0 };
const still = base64Of(smallJpeg(2000));
const adminToken = "the token of this site's operator";

type Tab = ReturnType<typeof connect>;

async function meet(ws: string, otherWs = ws) {
  const [alice, bob] = [connect(ws), connect(otherWs)];
  for (const tab of [alice, bob]) await tab.next("session");
  const roomId = await meetAgain(alice, bob);
  return { alice, bob, roomId };
}

async function meetAgain(one: Tab, other: Tab): Promise<string> {
  await one.client.join.mutate({ autoRejoin: false });
  await until("they meet", async () => {
    const { status } = await other.client.join.mutate({ autoRejoin: false });
    return status === "paired";
  });
  const { roomId } = await other.next("create-offer");
  await one.next("wait-for-offer");
  return roomId;
}

/** A site that notes each report that its hook is told. */
function siteWithHook(options: PeerStreamOptions = {}) {
  const reports: Reported[] = [];
  const site = startHost({
    ...free,
    on: { reported: (event) => void reports.push(event) },
    ...options,
  });
  return { ...site, reports };
}

describe("a report", () => {
  for (const [how, fail] of Object.entries({
    throws(words: string) {
      throw new Error(words);
    },
    rejects: (words: string) => Promise.reject(new Error(words)) as never,
  }))
    test(`counts, and is told to others, though onReport ${how}; no word of it is logged`, async () => {
      const note = "what nobody else may read";
      const lines: string[] = [];
      const put = (...line: unknown[]) => void lines.push(JSON.stringify(line));
      const bug = (error: unknown, where: string) => put(String(error), where);
      const log = { debug: put, info: put, warn: put, error: put, bug };
      const { ws, reports } = siteWithHook({
        log,
        onReport: (report) => fail(`no ${report.note}`),
      });
      const { alice, bob, roomId } = await meet(ws);
      const { caseId } = await alice.client.report.mutate({ roomId, note });
      await bob.next("partner-disconnected");
      await until("it is told", () => reports.length > 0);
      await until("its fault is logged", () => lines.some((line) => line.includes("onReport")));
      expect(reports).toMatchObject([{ caseId, note }]);
      expect(lines.filter((line) => line.includes(note))).toEqual([]);
    });

  test("goes to the hook with all that it shows, once, also if it counts for nothing", async () => {
    const { ws, reports } = siteWithHook({ reportsAfterMs: 60_000 });
    const { alice, roomId } = await meet(ws);
    const messages = [{ from: "partner" as const, text: "<b>hello</b>", at: 5 }];
    const filed = {
      roomId,
      reason: "hate" as const,
      note: "He said: ‹…›",
      evidence: { still, messages },
    };
    const { caseId } = await alice.client.report.mutate(filed);
    await until("it is told", () => reports.length > 0);
    expect(reports).toEqual([
      {
        id: expect.stringContaining(roomId),
        type: "reported",
        at: expect.any(Number),
        caseId,
        roomId,
        reason: "hate",
        note: "He said: ‹…›",
        evidence: {
          still,
          messages: [{ from: "partner", text: "<b>hello</b>", at: 5, attested: false }],
        },
        reporter: { sessionId: expect.any(String) },
        reported: { sessionId: expect.any(String) },
        counted: false,
        suspended: [],
      },
    ]);
    expect(await alice.client.report.mutate({ ...filed, note: "again" })).toEqual({
      accepted: true,
      caseId,
    });
    await meetAgain(alice, connect(ws)).then((another) =>
      alice.client.report.mutate({ roomId: another }),
    );
    await until("the next one is told", () => reports.length > 1);
    expect(reports.map(({ note }) => note)).toEqual(["He said: ‹…›", undefined]);
  });

  test("is posted to the signed webhooks in the same way", async () => {
    const got: { path: string; body: Record<string, unknown> }[] = [];
    const secrets = { events: "signs what happens here", moderation: "signs the reports here" };
    const receiver = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        const body = await request.text();
        const path = new URL(request.url).pathname.slice(1) as keyof typeof secrets;
        const signature = createHmac("sha256", secrets[path]).update(body).digest("hex");
        expect(request.headers.get("x-peer-stream-signature")).toBe(`sha256=${signature}`);
        got.push({ path, body: JSON.parse(body) });
        return new Response();
      },
    });
    ends.push(() => receiver.stop(true));
    const { ws } = startHost({
      ...free,
      eventsWebhook: `${receiver.url.href}events`,
      eventsSecret: secrets.events,
      eventsTypes: ["reported"],
      moderationWebhook: `${receiver.url.href}moderation`,
      moderationSecret: secrets.moderation,
    });
    const { alice, roomId } = await meet(ws);
    const { caseId } = await alice.client.report.mutate({
      roomId,
      note: "a note",
      evidence: { still },
    });
    await until("both are posted", () => got.length === 2);
    for (const path of ["events", "moderation"])
      expect(got.find((one) => one.path === path)?.body).toMatchObject({
        type: "reported",
        caseId,
        roomId,
        reason: "other",
        note: "a note",
        evidence: { still },
      });
  });

  test("shows no more than fits in memory: then the event says that something is lost, and it is counted", async () => {
    const answer = Promise.withResolvers<void>();
    const reports: Reported[] = [];
    const { ws, http } = startHost({
      ...free,
      limitEvidenceBytes: 5000,
      metricsToken: adminToken,
      on: {
        async reported(event) {
          reports.push(event);
          await answer.promise;
        },
      },
    });
    const tabs = await meet(ws);
    const file = (roomId: string) =>
      tabs.alice.client.report.mutate({ roomId, evidence: { still } });
    await file(tabs.roomId);
    await until("the first is being told", () => reports.length === 1);
    // They wait behind the first one, which is about the same peer.
    for (let n = 0; n < 3; n++) {
      const other = connect(ws);
      await other.next("session");
      await file(await meetAgain(tabs.alice, other));
    }
    answer.resolve();
    await until("all are told", () => reports.length === 4);
    const shown = reports.map(({ evidence, evidenceLost }) => [
      evidence !== undefined,
      evidenceLost,
    ]);
    expect(shown.at(-1)).toEqual([true, undefined]);
    expect(shown).toContainEqual([false, true]);
    const headers = { authorization: `Bearer ${adminToken}` };
    const metrics = await (await fetch(`${http}/metrics`, { headers })).text();
    expect(metrics).toMatch(/peer_stream_evidence_dropped_total\{because="full"[^}]*\} [1-9]/);
  });

  test("has its messages compared with the room's own log", async () => {
    let engine: Engine | undefined;
    const createEngine = (...args: Parameters<typeof createMemoryEngine>) =>
      (engine = createMemoryEngine(...args));
    await using server = startServer({ createEngine });
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    const { roomId } = await alice.next("wait-for-offer");
    const callerOf = ({ token }: { token: string }): Caller => ({
      sessionId: token.split(".")[0] ?? "",
      generation: 1,
    });
    const say = (from: { token: string }, text: string) =>
      engine?.send(
        callerOf(from),
        roomId,
        JSON.stringify({ type: "message", roomId, text, at: 77 }),
      );
    await say(bob, "what he said");
    await say(alice, "what she said");
    const messages = [
      { from: "partner" as const, text: "what he said", at: 5 },
      { from: "me" as const, text: "what she said", at: 6 },
      { from: "partner" as const, text: "what he never said", at: 7 },
    ];
    await alice.client.report.mutate({ roomId, evidence: { messages } });
    expect(server.reports).toMatchObject([
      {
        evidence: {
          messages: [
            { text: "what he said", at: 77, attested: true },
            { text: "what she said", at: 77, attested: true },
            { text: "what he never said", at: 7, attested: false },
          ],
        },
      },
    ]);
  });

  const message = (text: string) => ({ from: "me" as const, text, at: 1 });
  const photo = base64Of(smallJpeg(limits.stillBytesMax));
  test.each([
    ["a note that is too long", { note: "é".repeat(501) }, "note"],
    ["a note without anything", { note: "" }, "note"],
    ["a lone surrogate", { note: "\ud83d" }, "note"],
    [
      "no JPEG",
      { evidence: { still: base64Of(new TextEncoder().encode("GIF89a")) } },
      "evidence.still",
    ],
    ["a data URL", { evidence: { still: `data:image/jpeg;base64,${still}` } }, "evidence.still"],
    ["no base64", { evidence: { still: "äöü=" } }, "evidence.still"],
    [
      "a JPEG that is too large",
      { evidence: { still: base64Of(smallJpeg(36_865)) } },
      "evidence.still",
    ],
    [
      "too many messages",
      { evidence: { messages: Array.from({ length: 31 }, () => message("x")) } },
      "evidence.messages",
    ],
    [
      "messages that are too long together",
      { evidence: { messages: [message("é".repeat(2048)), message("é".repeat(2049))] } },
      "evidence.messages",
    ],
    [
      "a message of nobody",
      { evidence: { messages: [{ ...message("x"), from: "them" }] } },
      "evidence.messages.0.from",
    ],
    [
      "marks of its own",
      { evidence: { messages: [{ ...message("x"), attested: true }] } },
      "evidence.messages.0.attested",
    ],
  ])("with %s is refused by the field's name, and nothing ends", async (_, wrong, field) => {
    await using server = startServer();
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    const { roomId } = await alice.next("wait-for-offer");
    const refused = await refusalOf(alice.client.report.mutate({ roomId, ...wrong } as never));
    expect(refused).toMatchObject({ reason: "bad-input", field });
    expect(server.reports).toEqual([]);
    expect(await bob.client.offer.mutate({ roomId, sdp: "v=0" })).toEqual({ delivered: true });
  });

  test("with the largest still, note and messages fits a frame", async () => {
    await using server = startServer();
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate({});
    await bob.client.join.mutate({});
    const { roomId } = await alice.next("wait-for-offer");
    const messages = Array.from({ length: 30 }, () => message("é".repeat(136)));
    const filed = { roomId, note: "é".repeat(500), evidence: { still: photo, messages } };
    expect(await alice.client.report.mutate(filed)).toMatchObject({ accepted: true });
  });
});

describe("a case", () => {
  const authenticate: PeerStreamOptions["authenticate"] = ({ params }) => ({
    ...(params["auth"] !== undefined && { account: String(params["auth"]) }),
  });

  test("is told to whoever has reported, in any session of its account, and to nobody else", async () => {
    const { ws, strangers } = startHost({ ...free, authenticate });
    const open = async (auth?: string) => {
      const tab = connect(ws, auth === undefined ? {} : { auth });
      await tab.next("session");
      return tab;
    };
    const [ann, bob, anonymous] = [await open("ann"), await open("bob"), await open()];
    const room = await meetAgain(ann, bob);
    const { caseId } = await ann.client.report.mutate({ roomId: room });
    const another = await meetAgain(anonymous, bob);
    const own = await anonymous.client.report.mutate({ roomId: another });
    expect(await ann.client.case.query({ caseId })).toEqual({});
    const foreign = { reason: "not-in-room", code: "FORBIDDEN" };
    for (const tab of [bob, anonymous])
      expect(await refusalOf(tab.client.case.query({ caseId }))).toMatchObject(foreign);
    expect(await refusalOf(ann.client.case.query({ caseId: own.caseId }))).toMatchObject(foreign);
    expect(await refusalOf(ann.client.case.query({ caseId: "made up" }))).toMatchObject(foreign);
    await strangers.suspend({ account: "bob" }, Date.now() + 60_000, { because: "spam", caseId });
    const decided = { decision: "suspended", at: expect.any(Number) };
    expect(await (await open("ann")).client.case.query({ caseId })).toEqual(decided as never);
    const refused = await refusalOf(bob.client.join.mutate({}));
    expect(refused).toMatchObject({ reason: "suspended", because: "spam", caseId });
    await strangers.dismiss(own.caseId, { noteId: "17" });
    expect(await anonymous.client.case.query({ caseId: own.caseId })).toMatchObject({
      decision: "none",
    });
    expect(
      strangers.suspend({ account: "bob" }, Date.now() + 1, { because: "mood" as never }),
    ).rejects.toThrow("because");
    expect(await strangers.decisions()).toMatchObject([
      { decision: "suspended", caseId },
      { decision: "none", noteId: "17" },
    ]);
  });
});

describe("decisions", () => {
  const ask = (server: { http: string }, query = "", token = operatorToken, from = "203.0.113.7") =>
    fetch(`${server.http}/admin/decisions${query}`, {
      headers: { authorization: `Bearer ${token}`, "x-forwarded-for": from },
    });
  const post = (server: { http: string }, path: string, body: object) =>
    fetch(`${server.http}/admin/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${operatorToken}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  test("are JSON lines for whoever has the operator's token, since a time, and counted", async () => {
    await using server = startServer();
    const subject = { kind: "account", id: "42" };
    const untilMs = Date.now() + 60_000;
    const grounds = { because: "minor", noteId: "note-1" };
    expect((await post(server, "suspend", { subject, until: untilMs, ...grounds })).status).toBe(
      200,
    );
    const suspendedBy = Date.now();
    await until("the clock goes on", () => Date.now() > suspendedBy);
    const between = Date.now();
    expect((await post(server, "lift", { subject, noteId: "note-2" })).status).toBe(200);
    const response = await ask(server);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const lines = (await response.text()).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { decision: "suspended", by: "operator", subject, until: untilMs, ...grounds },
      { decision: "lifted", by: "operator", because: "operator", subject, noteId: "note-2" },
    ]);
    expect(await (await ask(server, `?since=${between}`)).text()).toBe(`${lines[1]}\n`);
    const { id } = JSON.parse(lines[0] ?? "");
    expect(await (await ask(server, `?after=${id}`)).text()).toBe(`${lines[1]}\n`);
    expect(await (await ask(server, "?limit=1")).text()).toBe(`${lines[0]}\n`);
    for (const query of ["?since=yesterday", "?since=-1", "?limit=0", "?limit=10001", "?after=x"])
      expect((await ask(server, query)).status).toBe(400);
    const metrics = await fetch(`${server.http}/metrics`, {
      headers: { authorization: `Bearer ${operatorToken}` },
    });
    expect(await metrics.text()).toContain(
      'peer_stream_decisions_total{decision="suspended",reason="minor",by="operator"} 1',
    );
    for (const wrong of [{ because: "mood" }, { noteId: "a\nline" }, { caseId: "short" }])
      expect((await post(server, "suspend", { subject, until: untilMs, ...wrong })).status).toBe(
        400,
      );
  });

  test("are for nobody else, who may not try a hundred tokens either", async () => {
    await using server = startServer({ trustLoopback: true });
    expect((await fetch(`${server.http}/admin/decisions`)).status).toBe(401);
    const statuses: number[] = [];
    for (let n = 0; n < 100; n++) statuses.push((await ask(server, "", `wrong ${n}`)).status);
    expect(new Set(statuses.slice(0, 10))).toEqual(new Set([401]));
    expect(new Set(statuses.slice(11))).toEqual(new Set([429]));
    expect((await ask(server)).status).toBe(200);
  });
});

describe("a warning and a suspension", () => {
  test("come with their reasons and where to object", async () => {
    const appeal = "https://example.com/appeal?a=1,2";
    const { ws } = startHost({ ...free, reportsToSuspend: 1, appeal, trustedProxies: "127.0.0.1" });
    const troll = connect(ws);
    await troll.next("session");
    const file = async () => {
      const witness = connect(ws);
      await witness.next("session");
      const roomId = await meetAgain(troll, witness);
      return witness.client.report.mutate({ roomId, reason: "nudity" });
    };
    const first = await file();
    expect(await troll.next("warning")).toEqual({
      type: "warning",
      because: "nudity",
      caseId: first.caseId,
    });
    const second = await file();
    const { suspended } = await troll.next("resync");
    const notice = { because: "nudity", caseId: second.caseId, appeal } as const;
    expect(suspended).toEqual({ ...notice, until: expect.any(Number) });
    const refused = await refusalOf(troll.client.join.mutate({}));
    expect(refused).toMatchObject({ reason: "suspended", ...notice, until: suspended?.until });
  });
});

test("a note, a still and quoted words are in no log, no metric and no key of Redis", async () => {
  const redis = await startRedis(["--appendonly", "no"]);
  ends.push(() => redis[Symbol.asyncDispose]());
  // So that what is dumped can be read.
  await redis.cli("config", "set", "rdbcompression", "no");
  const lines: unknown[] = [];
  const note = (...line: unknown[]) => void lines.push(line);
  const log = { debug: note, info: note, warn: note, error: note, bug: note };
  const released = Promise.withResolvers<void>();
  const told: Reported[] = [];
  const options: PeerStreamOptions = {
    ...free,
    redisUrl: String(redis.url),
    sessionSecret: "a secret of these two hosts",
    metricsToken: adminToken,
    reportsToSuspend: 1,
    log,
    on: {
      async reported(event) {
        told.push(event);
        await released.promise;
      },
    },
  };
  const [one, other] = [startHost(options), startHost({ ...options, log: { ...silent, ...log } })];
  ends.push(() => released.resolve());
  for (const { strangers } of [one, other])
    await until("the host has Redis", async () => (await strangers.stats()).online === 0);
  const canary = "CANARY";
  const picture = base64Of(smallJpeg(3000));
  const { alice, roomId } = await meet(one.ws, other.ws);
  await alice.client.report.mutate({
    roomId,
    note: `${canary} note`,
    evidence: { still: picture, messages: [{ from: "partner", text: `${canary} words`, at: 1 }] },
  });
  // Also while it has not been told.
  await until("it is being told", () => told.length > 0);
  expect(told[0]).toMatchObject({ note: `${canary} note`, evidence: { still: picture } });
  const dumped: string[] = [];
  for (const key of (await redis.cli("--scan")).trim().split("\n"))
    dumped.push(key, await redis.cli("dump", key));
  const everything = dumped.join("\n");
  expect(everything).toContain("decisions");
  const headers = { authorization: `Bearer ${adminToken}` };
  const metrics = await Promise.all(
    [one, other].map(async ({ http }) => (await fetch(`${http}/metrics`, { headers })).text()),
  );
  const seen = [everything, ...metrics, JSON.stringify(lines)].join("\n");
  expect(seen).toContain("peer_stream_decisions_total");
  for (const secret of [canary, picture.slice(40, 80), "127.0.0.1"])
    expect(seen.split("\n").filter((line) => line.includes(secret))).toEqual([]);
  released.resolve();
});
