/** The version of the protocol that a client names: one that the server does not speak is refused by name, before anything else. */
import { describe, expect, test } from "bun:test";
import { protocolVersion } from "../../src/protocol.ts";
import { closeCodes } from "../../src/trpc-ws/close-codes.ts";
import { openRawSocket, type Answer } from "../support/raw-socket.ts";
import { operatorToken, startServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const spoken = String(protocolVersion);
const others = [
  String(protocolVersion + 1),
  "0",
  "-1",
  "1.5",
  `${spoken}.0`,
  "one",
  "",
  ` ${spoken}`,
];

/** A socket that has sent these connection parameters, and what came of its subscription. */
async function subscribe({ ws }: TestServer, params: object) {
  const socket = await openRawSocket(`${ws}/trpc?connectionParams=1`);
  const answers: Answer[] = [];
  socket.onAnswer((answer) => void answers.push(answer));
  socket.send(JSON.stringify({ method: "connectionParams", data: params }));
  socket.send('{"id":1,"method":"subscription","params":{"path":"events"}}');
  return Object.assign(socket, { answers });
}

describe("over a socket", () => {
  test.each([{}, { protocol: spoken }])("%j is served", async (params) => {
    await using server = startServer();
    await using socket = await subscribe(server, params);
    await until("it has its session", () => socket.answers.length >= 2);
    expect(JSON.stringify(socket.answers[1])).toContain('"type":"session"');
    expect(socket.closedWith).toBeUndefined();
  });

  test("any other is refused by name, counted, and closed with the code that means: do not reconnect", async () => {
    await using server = startServer();
    for (const protocol of others) {
      await using socket = await subscribe(server, { protocol });
      await until("it is closed", () => socket.closedWith !== undefined);
      expect([protocol, socket.closedWith]).toEqual([protocol, closeCodes.wrongProtocol]);
      const [first] = socket.answers;
      expect(first).toMatchObject({
        id: null,
        error: { data: { reason: "wrong-protocol", code: "BAD_REQUEST" } },
      });
      expect(first?.error?.message).toBe(`This server speaks version ${spoken} of the protocol`);
      expect(JSON.stringify(socket.answers)).not.toContain('"result"');
    }
    expect(await refusalsIn(server)).toBeGreaterThanOrEqual(others.length);
  });
});

describe("over HTTP", () => {
  const calls: [string, string, string | undefined][] = [
    ["a query", "stats", undefined],
    ["a mutation", "leave", "{}"],
    ["a batch", "stats,site?batch=1", undefined],
    ["a stream of events", "events", undefined],
  ];
  const call = ({ http }: TestServer, path: string, body: string | undefined, protocol: string) =>
    fetch(`${http}/trpc/${path}`, {
      ...(body !== undefined && { method: "POST", body }),
      headers: {
        "x-peer-stream-protocol": protocol,
        ...(body !== undefined && { "content-type": "application/json" }),
      },
    });

  test.each(calls)("%s that names another is refused", async (_, path, body) => {
    await using server = startServer();
    // A header has no blanks around its value (RFC 9110, 5.5).
    const inHeaders = others.filter((protocol) => protocol === protocol.trim());
    for (const protocol of inHeaders) {
      const response = await call(server, path, body, protocol);
      expect([protocol, await response.text()]).toEqual([
        protocol,
        expect.stringContaining('"reason":"wrong-protocol"'),
      ]);
    }
    expect(await refusalsIn(server)).toBeGreaterThanOrEqual(inHeaders.length);
  });

  test("one that names it is served, and a page of another origin may name it", async () => {
    await using server = startServer();
    expect((await call(server, "stats", undefined, spoken)).status).toBe(200);
    const preflight = await fetch(`${server.http}/trpc/stats`, {
      method: "OPTIONS",
      headers: { origin: "http://site.example", "access-control-request-method": "GET" },
    });
    expect(preflight.headers.get("access-control-allow-headers")).toContain(
      "x-peer-stream-protocol",
    );
  });
});

async function refusalsIn({ http }: TestServer): Promise<number> {
  const headers = { authorization: `Bearer ${operatorToken}` };
  const text = await (await fetch(`${http}/metrics`, { headers })).text();
  return Number(/peer_stream_refusals_total\{reason="wrong-protocol".*\} (\d+)/.exec(text)?.[1]);
}
