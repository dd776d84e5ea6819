/**
 * Everything that a real server sends through whole stories is what the documents of the wire say: each frame, answer, event and refusal is
 * validated, and a field that they do not list is a fault.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { createConnection } from "../../src/client/connection.ts";
import { createTokenStore } from "../../src/client/token-store.ts";
import { reject } from "../../src/domain/rejection.ts";
import { rejectionReasons } from "../../src/protocol.ts";
import type { AppRouter } from "../../src/rpc/router.ts";
import { adminAnswers } from "../../src/rpc/wire/admin-answers.ts";
import { answers } from "../../src/rpc/wire/answers.ts";
import { events } from "../../src/rpc/wire/events.ts";
import { createOpenApi } from "../../src/rpc/wire/openapi.ts";
import { solutionOf } from "../support/challenges.ts";
import { engineOptions } from "../support/engine-options.ts";
import { fuzzedFacts } from "../support/fuzz.ts";
import { base64Of, smallJpeg } from "../support/jpeg.ts";
import type { Answer } from "../support/raw-socket.ts";
import { operatorToken, startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";
import { openPeer, type Seen } from "../support/wire-peer.ts";
import { createWireSchema } from "../support/wire-schema.ts";

setDefaultTimeout(30_000);

const schema = createWireSchema(fuzzedFacts);
/** In all stories together. */
const seen: Seen = { events: new Set(), answers: new Set(), reasons: new Set() };

const open = (server: TestServer, params?: object) => openPeer(server, { schema, seen, params });
type Peer = Awaited<ReturnType<typeof open>>;

async function online(server: TestServer, params?: object): Promise<Peer> {
  const peer = await open(server, params);
  peer.subscribe();
  await peer.event("session");
  return peer;
}

/** Both join, and meet. */
async function meet(ann: Peer, bob: Peer, join: object = {}): Promise<string> {
  await ann.call("join", join);
  await bob.call("join", join);
  const { roomId } = await bob.event("create-offer");
  await ann.event("wait-for-offer", (event) => event.roomId === roomId);
  return roomId;
}

const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
const line = "candidate:1 1 udp 1 192.0.2.1 9 typ host";
const candidate = { candidate: line, sdpMid: "0", sdpMLineIndex: 0 };
const turn = { stunUrls: ["stun:s.example"], turnUrls: ["turn:t.example"], turnSecret: "secret" };
const rules = { version: "1", text: "Be kind.", url: "https://site.example", age: 18 };
const reasonOf = ({ error }: Answer) => error?.data.reason;

describe("a story", () => {
  test("from the first join to the end of a call, with signals, words, a drop and a resume", async () => {
    await using server = startServer({
      facts: fuzzedFacts,
      chat: "server",
      ice: turn,
      safety: { takesHints: true, rules: { ...rules, required: false } },
    });
    const offer = { sdp, candidates: [candidate] };
    const join = {
      id: "join-1",
      interests: ["chess"],
      languages: ["en"],
      facts: { age: 31, topics: ["go"], adult: true },
      wants: { age: { from: 18, to: 99 } },
    };
    await using ann = await online(server, { protocol: "1" });
    await ann.call("site");
    await ann.call("stats", { lobby: "main" });
    await ann.call("join", join);
    await ann.event("lobby");
    await ann.call("standby", { offer });
    await ann.call("iceServers");
    await using bob = await online(server);
    await bob.call("join", join);
    const { roomId } = await ann.event("create-offer", ({ standing }) => standing === true);
    expect((await bob.event("wait-for-offer")).offer).toEqual(offer);
    await bob.call("answer", { roomId, sdp });
    await bob.call("addIceCandidate", { id: "c-1", roomId, candidate });
    await ann.call("offer", { roomId, sdp });
    for (const type of ["answer", "add-ice-candidate"] as const) await ann.event(type);
    await ann.call("say", { roomId, text: "Hello" });
    await ann.call("typing", { roomId, typing: true });
    await ann.call("media", { roomId, audio: true, video: false });
    for (const type of ["offer", "message", "typing", "partner-media"] as const)
      await bob.event(type);
    for (const peer of [ann, bob]) await peer.call("connected", { roomId });
    await ann.call("hint", { roomId, label: "nudity", score: 0.5 });

    // The drop, seen by the partner; the resume, with what was missed; a resync, where nothing can be replayed.
    await bob[Symbol.asyncDispose]();
    await ann.event("partner-reconnecting");
    await ann.call("say", { roomId, text: "Are you there?" });
    await using back = await open(server, { token: bob.token });
    back.subscribe(bob.lastEventId);
    await back.event("message", ({ text }) => text === "Are you there?");
    await back.event("session", ({ resumed, state }) => resumed && state.status === "paired");
    await ann.event("partner-reconnected");
    await using other = await open(server, { token: bob.token });
    other.subscribe("another:7");
    await other.event("resync", ({ state }) => state.status === "paired");
    await other.call("skip", { roomId });
    await ann.event("partner-disconnected");
    for (const peer of [ann, other]) await peer.call("again", { roomId });
    const met = await ann.event(
      ["create-offer", "wait-for-offer"],
      (event) => event.roomId !== roomId,
    );
    await ann.call("failed", { roomId: met.roomId });
    await other.call("leave");
  });

  test("of a room for text, with a batch, frames that are none, and the end of a subscription", async () => {
    await using server = startServer();
    await using ann = await online(server);
    await using bob = await online(server);
    const roomId = await meet(ann, bob, { mode: "text" });
    ann.send([ann.callFrame("say", { roomId, text: "Hi" }), ann.callFrame("stats")]);
    await bob.event("message");
    const call = { id: 1000, jsonrpc: "2.0", method: "query", params: { path: "site" } };
    expect(schema.faults("SiteCall", call)).toEqual([]);
    const answer = await ann.socket.ask(JSON.stringify(call), 1000);
    expect(schema.faults("SiteResponse", answer)).toEqual([]);
    expect(reasonOf(await ann.socket.ask("{", null))).toBe("bad-input");
    const stop = { id: "events", method: "subscription.stop" };
    const stopped = await ann.socket.ask(JSON.stringify(stop), "events");
    expect(schema.faults("Unsubscribe", stop)).toEqual([]);
    expect(schema.faults("Stopped", stopped)).toEqual([]);
    const asked: Answer[] = [];
    bob.socket.onAnswer((frame) => void asked.push(frame));
    server.server.askToReconnect();
    await until("it is asked to reconnect", () => asked.length > 0);
    expect(schema.faults("Reconnect", asked[0])).toEqual([]);
  });

  test("of reports: a warning, a suspension, and what operators are answered", async () => {
    const moderation = {
      ...engineOptions.moderation,
      sessionReporters: 1,
      warns: true,
      voteAfterMs: 0,
    };
    await using server = startServer({ engine: { moderation } });
    await using troll = await online(server);
    const report = async (input: object) => {
      await using witness = await online(server);
      const roomId = await meet(troll, witness, { autoRejoin: false });
      const reported = await witness.call("report", { roomId, ...input });
      const caseId = String((reported.result?.data as { caseId?: string } | undefined)?.caseId);
      await witness.call("case", { caseId });
      await witness.call("block", { roomId });
      return { roomId, caseId };
    };
    const evidence = {
      still: base64Of(smallJpeg()),
      messages: [{ from: "partner", text: "Boo", at: 5 }],
    };
    await report({ reason: "nudity", note: "Look.", evidence });
    await troll.event("warning");
    const { caseId } = await report({ reason: "hate" });
    await troll.event("resync", ({ suspended }) => suspended !== undefined);
    expect(reasonOf(await troll.call("join"))).toBe("suspended");

    await operate(server, "overview");
    await operate(server, "reports");
    await operate(server, "dismiss", { caseId });
    await operate(server, "logLevel", { level: "warn" });
    const { suspensions } = await operate(server, "list");
    for (const { subject } of suspensions as { subject: object }[])
      await operate(server, "lift", { subject, because: "operator" });
    await using ann = await online(server);
    await using bob = await online(server);
    await operate(server, "endRoom", { roomId: await meet(ann, bob) });
    await ann.event("partner-disconnected", ({ reason }) => reason === "removed");
    const subject = { kind: "account", id: "alice" };
    await operate(server, "suspend", { subject, until: Date.now() + 60_000, noteId: "7" });
    await operate(server, "find", { letters: "none" });
  });
});

/** What an operator's call is answered. */
async function operate(
  server: TestServer,
  path: string,
  input?: object,
): Promise<Record<string, unknown>> {
  const isQuery = input === undefined || path === "find";
  const name = `Admin${path[0]?.toUpperCase()}${path.slice(1)}`;
  if (input) expect(schema.faults(`${name}Input`, input)).toEqual([]);
  const query = isQuery && input ? `?input=${encodeURIComponent(JSON.stringify(input))}` : "";
  const response = await fetch(`${server.http}/admin/${path}${query}`, {
    headers: { authorization: `Bearer ${operatorToken}`, "content-type": "application/json" },
    ...(!isQuery && { method: "POST", body: JSON.stringify(input) }),
  });
  const { result } = (await response.json()) as { result?: { data: Record<string, unknown> } };
  expect(schema.faults(`${name}Answer`, result?.data)).toEqual([]);
  seen.answers.add(path);
  return result?.data ?? {};
}

describe("a refusal", () => {
  test("of each kind that depends on what the peer does", async () => {
    await using server = startServer({ facts: fuzzedFacts, safety: { takesHints: true } });
    await using ann = await open(server);
    expect(reasonOf(await ann.call("join"))).toBe("not-subscribed");
    ann.subscribe();
    await ann.event("session");
    expect(reasonOf(await ann.call("join", { facts: { age: 7 } }, false))).toBe("bad-input");
    expect(reasonOf(await ann.call("leave", { later: 1 }, false))).toBe("bad-input");
    expect(reasonOf(await ann.call("join", { relayOnly: true }))).toBe("relay-unavailable");
    expect(reasonOf(await ann.call("failed", { roomId: "none" }))).toBe("not-in-room");
    await using bob = await online(server);
    const roomId = await meet(ann, bob, { mode: "text" });
    expect(reasonOf(await ann.call("offer", { roomId, sdp }))).toBe("wrong-mode");
    await using tab = await online(server, { token: ann.token });
    await tab.event("session", ({ state }) => state.status === "paired");
    expect(reasonOf(await ann.call("leave"))).toBe("taken-over");
    await using later = await open(server, { protocol: "2" });
    await until("it is closed", () => later.socket.closedWith !== undefined);
    // A session that would begin while its node shuts down.
    await using late = await open(server);
    await late.call("stats");
    void server.server.drain(60_000);
    late.subscribe();
    await until("it is refused", () => seen.reasons.has("draining"));
  });

  test.each([
    ["challenge", { rules: { ...rules, required: true } }, "RulesChallenge"],
    [
      "challenge",
      { challenge: { mode: "on", difficulty: 2, passMs: 1000 } },
      "ProofOfWorkChallenge",
    ],
    ["unavailable", { admit: () => reject("unavailable", { retryAfterMs: 500 }) }, undefined],
  ] as const)("as %s, by what the operator has set", async (reason, safety, asks) => {
    await using server = startServer({ safety });
    await using ann = await online(server);
    const answer = await ann.call("join");
    expect(reasonOf(answer)).toBe(reason);
    if (asks) expect(schema.faults(asks, answer.error?.data.challenge)).toEqual([]);
  });

  test("whose proof of work is solved as its schema says", async () => {
    const safety = { challenge: { mode: "on", difficulty: 2, passMs: 1000 } } as const;
    await using server = startServer({ safety });
    await using ann = await online(server);
    const { error } = await ann.call("join");
    if (!error?.data.challenge) throw new Error("there is no challenge");
    const solution = await solutionOf(error.data.challenge);
    const solved: unknown = JSON.parse(Buffer.from(solution, "base64").toString());
    expect(schema.faults("ProofOfWorkSolution", solved)).toEqual([]);
    expect((await ann.call("join", { solution })).error).toBeUndefined();
  });

  test("as rate-limited", async () => {
    const free = { perS: 0, burst: 1 };
    const rates = { signals: free, intents: { perS: 0.001, burst: 1 }, bytes: free };
    await using server = startServer({ rates });
    await using ann = await online(server);
    await ann.call("join");
    expect(reasonOf(await ann.call("join"))).toBe("rate-limited");
  });
});

describe("over HTTP", () => {
  test("answers, refusals, batches and the stream of events are as described", async () => {
    await using server = startServer();
    await using ann = await online(server);
    await using bob = await online(server);
    await meet(ann, bob, { mode: "text" });
    const headers = { "content-type": "application/json", authorization: `Bearer ${ann.token}` };
    const ask = async (path: string, body?: string, more = headers) => {
      const post = body !== undefined && { method: "POST", body };
      const response = await fetch(`${server.http}/trpc/${path}`, { headers: more, ...post });
      return (await response.json()) as never;
    };
    type Envelope = { result: { data: unknown }; error?: { data: { reason: string } } };
    const answered = ({ result }: Envelope, name: string) =>
      expect(schema.faults(name, result.data)).toEqual([]);
    const refused = ({ error }: Envelope) => {
      expect(schema.faults("Refusal", error)).toEqual([]);
      seen.reasons.add(error?.data.reason ?? "");
    };
    answered(await ask("stats"), "StatsAnswer");
    answered(await ask("leave", "{}"), "LeaveAnswer");
    const [site, wrong]: Envelope[] = await ask("site,case?batch=1&input={}");
    answered(site as Envelope, "SiteAnswer");
    refused(wrong as Envelope);
    refused(await ask("leave"));
    refused(await ask("nothing"));
    refused(await ask("leave", "{}", { ...headers, "content-type": "text/plain" }));
    refused(await ask("stats", undefined, { ...headers, authorization: "Bearer forged" }));
    expect([...seen.reasons]).toContain("unauthorized");

    const stream = await fetch(`${server.http}/trpc/events`, { headers });
    const [connected, ...data] = await firstData(stream, /"type":"(?:resync|session)"/);
    const { paths } = createOpenApi({ release: "1.2.3" }) as { paths: Record<string, EventsPath> };
    const ofConnected = paths["/trpc/events"]?.get.responses["200"]["x-events"].connected;
    expect(Object.keys(connected as object)).toEqual(Object.keys(ofConnected?.properties ?? {}));
    for (const event of data) expect(schema.faults("Event", event)).toEqual([]);
    const forged = { authorization: "Bearer forged" };
    const refusedStream = await fetch(`${server.http}/trpc/events`, { headers: forged });
    refused({
      error: JSON.parse(/^data: (.*"reason".*)$/m.exec(await refusedStream.text())?.[1] ?? ""),
    } as never);
  });
});

/** What the document says of the stream of events. */
interface EventsPath {
  get: { responses: { "200": { "x-events": { connected: { properties: object } } } } };
}

/** The JSON of a stream's events, until one matches; then the stream is left. */
async function firstData(response: Response, last: RegExp): Promise<unknown[]> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!last.test(text)) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done) throw new Error(`the stream ended after ${text}`);
    text += value;
  }
  await reader?.cancel();
  return [...text.matchAll(/^data: (\{.*)$/gm)].map(([, json = ""]) => JSON.parse(json) as unknown);
}

describe("clients", () => {
  /** A WebSocket that keeps what goes over it. */
  function recording() {
    const frames: { sent: unknown[]; received: unknown[] } = { sent: [], received: [] };
    const isText = (data: unknown) => data === "PING" || data === "PONG";
    class Recording extends WebSocket {
      constructor(url: string | URL) {
        super(url);
        this.addEventListener("message", ({ data }: MessageEvent<string>) => {
          if (!isText(data)) frames.received.push(JSON.parse(data));
        });
      }
      override send(data: string): void {
        if (!isText(data)) frames.sent.push(JSON.parse(data));
        super.send(data);
      }
    }
    return { frames, WebSocket: Recording as typeof WebSocket };
  }

  test("send what is described: ours", async () => {
    await using server = startServer();
    const { frames, WebSocket } = recording();
    const told: string[] = [];
    const tokens = createTokenStore(undefined);
    const connection = createConnection({ url: `${server.ws}/trpc`, tokens, WebSocket });
    connection.open({
      event: ({ type }) => void told.push(type),
      disconnected() {},
      opened() {},
      transportChanged() {},
      ended() {},
    });
    await until("it has a session", () => told.includes("session"));
    await connection.call("join", { id: "1", mode: "audio" });
    await Promise.all([connection.site(), connection.counts(), connection.iceServers()]);
    await connection.call("leave", { id: "2" });
    connection.close();
    expect(frames.sent.length).toBeGreaterThan(4);
    for (const frame of frames.sent) expect(schema.faults("ClientFrame", frame)).toEqual([]);
    expect(frames.received.length).toBeGreaterThan(4);
    for (const frame of frames.received) expect(schema.faults("ServerFrame", frame)).toEqual([]);
    expect(frames.sent[0]).toEqual({ method: "connectionParams", data: { protocol: "1" } });
  });

  test("send what is described: tRPC's own, in batches and after a drop", async () => {
    await using server = startServer();
    const { frames, WebSocket } = recording();
    const socket = createWSClient({ url: `${server.ws}/trpc`, WebSocket, retryDelayMs: () => 10 });
    const client = createTRPCClient<AppRouter>({ links: [wsLink({ client: socket })] });
    const told: string[] = [];
    const subscription = client.events.subscribe(undefined, {
      onData: ({ data }) => void told.push(data.type),
    });
    await until("it has a session", () => told.includes("session"));
    await Promise.all([client.stats.query(), client.site.query(), client.join.mutate()]);
    server.server.askToReconnect();
    await until(
      "it has a second session",
      () => told.indexOf("session") !== told.lastIndexOf("session"),
    );
    subscription.unsubscribe();
    await until("the end is sent", () => JSON.stringify(frames.sent).includes("subscription.stop"));
    await socket.close();
    for (const frame of frames.sent) expect(schema.faults("ClientFrame", frame)).toEqual([]);
    for (const frame of frames.received) expect(schema.faults("ServerFrame", frame)).toEqual([]);
    const kinds = JSON.stringify([frames.sent, frames.received]);
    for (const part of ["lastEventId", '"method":"reconnect"'])
      expect([part, kinds.includes(part)]).toEqual([part, true]);
    expect(frames.sent.some((frame) => Array.isArray(frame))).toBe(true);
  });
});

describe("the stories together", () => {
  test("have had each event, each answer, and each refusal", () => {
    expect([...seen.events].sort()).toEqual(Object.keys(events).sort());
    const all = [...Object.keys(answers), ...Object.keys(adminAnswers)];
    expect([...seen.answers].sort()).toEqual(all.sort());
    expect(rejectionReasons.filter((reason) => !seen.reasons.has(reason))).toEqual([]);
  });

  test("would have shown a field that is not listed", () => {
    const event = { type: "partner-reconnected", roomId: "r" };
    expect(schema.faults("Event", event)).toEqual([]);
    expect(schema.faults("Event", { ...event, later: 1 })).toHaveLength(1);
    expect(schema.faults("Event", { ...event, roomId: 1 })).toHaveLength(1);
    expect(schema.faults("Event", { type: "waves" })).toHaveLength(1);
    expect(
      schema.faults("ServerFrame", { id: 1, result: { type: "data", data: { kept: 1 } } }),
    ).toHaveLength(1);
  });
});
