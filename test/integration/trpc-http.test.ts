/** tRPC over HTTP beyond plain calls: streamed batches, queries by POST, and the refusals that HTTP has names for. */
import { describe, expect, test } from "bun:test";
import { createTRPCClient, httpBatchStreamLink, httpLink } from "@trpc/client";
import { Elysia } from "elysia";
import { reject } from "../../src/domain/rejection.ts";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { limits } from "../../src/protocol.ts";
import type { AppRouter } from "../../src/rpc/router.ts";
import { connectPeer, operatorToken, refusalOf, startServer } from "../support/server.ts";

type Sent = [method: string, contentType: string | undefined];

/** Fetches as usual, and notes how. */
function recorded() {
  const sent: { url: string; method: string; headers: Headers; contentType: string | null }[] = [];
  const recordingFetch = async (url: unknown, init?: object) => {
    const request = new Request(url as string, init as RequestInit);
    const { method, headers } = request;
    const response = await fetch(request);
    const contentType = response.headers.get("content-type");
    sent.push({ url: request.url, method, headers, contentType });
    return response;
  };
  return { sent, fetch: recordingFetch };
}

describe("a streamed batch", () => {
  test("answers each call as its own, the refused ones too", async () => {
    await using server = startServer();
    await using peer = await connectPeer(server);
    const { sent, fetch: fetching } = recorded();
    const client = createTRPCClient<AppRouter>({
      links: [
        httpBatchStreamLink({
          url: `${server.http}/trpc`,
          headers: { authorization: `Bearer ${peer.token}` },
          fetch: fetching as never,
        }),
      ],
    });
    expect(
      await Promise.all([
        client.stats.query(),
        client.iceServers.query(),
        refusalOf(client.iceServers.query({ nonsense: 1 } as never)),
      ]),
    ).toMatchObject([{ online: 1 }, { iceServers: [] }, { reason: "bad-input" }]);
    expect(
      await Promise.all([
        client.join.mutate(),
        refusalOf(client.offer.mutate({ roomId: "another", sdp: "é" })),
      ]),
    ).toMatchObject([{ status: "waiting" }, { reason: "not-in-room" }]);
    expect(sent.map(({ method }) => method)).toEqual(["GET", "POST"]);
    for (const { headers } of sent) expect(headers.get("trpc-accept")).toBe("application/jsonl");
  });

  test("is limited as any other batch is", async () => {
    await using server = startServer();
    const statusOf = async (calls: number) => {
      const paths = Array(calls).fill("stats").join(",");
      const { status } = await fetch(`${server.http}/trpc/${paths}?batch=1`, {
        headers: { "trpc-accept": "application/jsonl" },
      });
      return status;
    };
    expect(await statusOf(limits.httpBatchCallsMax)).toBe(200);
    expect(await statusOf(limits.httpBatchCallsMax + 1)).toBe(400);
  });

  test("has no subscriptions in it", async () => {
    await using server = startServer();
    for (const accept of ["application/jsonl", "application/json"]) {
      const response = await fetch(`${server.http}/trpc/events,events?batch=1`, {
        headers: { "trpc-accept": accept },
      });
      expect(await response.text()).toContain("Cannot batch subscription calls");
    }
  });
});

test("what is unavailable is answered with 503 and its reason, in the shape that clients read", async () => {
  const unavailable = reject("unavailable", { retryAfterMs: 1000 });
  await using server = startServer({
    createEngine: (...args) =>
      Object.assign(createMemoryEngine(...args), { statsOf: () => unavailable }),
  });
  const response = await fetch(`${server.http}/trpc/stats`);
  const data = { code: "SERVICE_UNAVAILABLE", httpStatus: 503, reason: "unavailable" };
  expect([response.status, await response.json()]).toMatchObject([
    503,
    { error: { code: -32603, data: { ...data, path: "stats", retryAfterMs: 1000 } } },
  ]);
  const client = createTRPCClient<AppRouter>({ links: [httpLink({ url: `${server.http}/trpc` })] });
  expect(await refusalOf(client.stats.query())).toMatchObject(data);
});

test("a query may be made by POST, as tRPC's method override does", async () => {
  await using server = startServer();
  await using peer = await connectPeer(server);
  const { sent, fetch: fetching } = recorded();
  const client = createTRPCClient<AppRouter>({
    links: [
      httpLink({
        url: `${server.http}/trpc`,
        methodOverride: "POST",
        headers: { authorization: `Bearer ${peer.token}` },
        fetch: fetching as never,
      }),
    ],
  });
  expect(await client.stats.query()).toMatchObject({ online: 1 });
  expect(await client.iceServers.query()).toEqual({ iceServers: [] });
  expect(sent.map(({ method }) => method)).toEqual(["POST", "POST"]);
});

describe("a request that HTTP has a refusal for", () => {
  const cases: [what: string, path: string, sent: Sent, status: number, allow?: string][] = [
    ["a mutation by GET", "leave", ["GET", undefined], 405, "POST"],
    ["a query by PUT", "stats", ["PUT", "application/json"], 405, "GET, POST"],
    ["a mutation by DELETE", "leave", ["DELETE", "application/json"], 405, "POST"],
    ["a mutation in plain text", "leave", ["POST", "text/plain"], 415],
    ["a mutation in what no header names", "leave", ["POST", ""], 415],
    ["a procedure that does not exist", "nope", ["POST", "application/json"], 404],
  ];
  for (const [what, path, [method, contentType], status, allow] of cases)
    test(`${what} is answered with ${status}`, async () => {
      await using server = startServer();
      await using peer = await connectPeer(server);
      const response = await fetch(`${server.http}/trpc/${path}`, {
        method,
        headers: {
          authorization: `Bearer ${peer.token}`,
          ...(contentType !== undefined && { "content-type": contentType }),
        },
        ...(method !== "GET" && { body: new TextEncoder().encode("{}") }),
      });
      expect(response.status).toBe(status);
      if (allow !== undefined) expect(response.headers.get("allow")).toBe(allow);
    });

  test("a mutation without a body needs no content type", async () => {
    await using server = startServer();
    await using peer = await connectPeer(server);
    const response = await fetch(`${server.http}/trpc/leave`, {
      method: "POST",
      headers: { authorization: `Bearer ${peer.token}` },
    });
    expect(await response.json()).toEqual({ result: { data: { status: "idle" } } });
  });

  test("an operator's mutation by GET is answered with 405, and lifts nothing", async () => {
    await using server = startServer();
    const response = await fetch(`${server.http}/admin/lift`, {
      headers: { authorization: `Bearer ${operatorToken}` },
    });
    expect(response.status).toBe(405);
  });
});

test("the bodies of a host's own routes are parsed as ever, even under a similar path", async () => {
  await using server = startServer();
  const app = new Elysia()
    .use(server.routes)
    .post("/trpc-of-my-own", ({ body }) => body as object)
    .listen(0);
  const response = await fetch(`${app.server?.url.origin}/trpc-of-my-own`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"mine":1}',
  });
  expect(await response.json()).toEqual({ mine: 1 });
  await app.stop(true);
});
