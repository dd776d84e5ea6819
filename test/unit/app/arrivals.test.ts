import { expect, test } from "bun:test";
import { Arrivals, type ArrivalsParts } from "../../../src/app/arrivals.ts";
import type { Identity } from "../../../src/rpc/identity.ts";

/** Streams of events over HTTP, whose `authenticate` answers when the test says so. */
function setUp() {
  const timers = new Set<object>();
  const answer = Promise.withResolvers<Identity>();
  let asked = 0;
  const arrivals = new Arrivals({
    authenticate() {
      asked += 1;
      return answer.promise;
    },
    admission: { addressOf: () => "192.0.2.1", hashOf: () => "hash" },
    addressOf: () => undefined,
    contexts: {
      forRequest: (_: string | null, addressHash: string, identity: Identity) => ({
        connection: { identity, addressHash, caller: undefined },
      }),
    },
    signaling: {},
    system: {
      now: () => 0,
      random: () => 0,
      schedule() {
        const timer = {};
        timers.add(timer);
        return () => void timers.delete(timer);
      },
    },
  } as unknown as ArrivalsParts);
  const client = new AbortController();
  const request = new Request("http://localhost/trpc/events", { signal: client.signal });
  let closed = 0;
  const context = arrivals.ofRequest(request, { request, close: () => void (closed += 1) });
  const disconnect = () => arrivals.disconnect({ kind: "account", id: "alice" }, []);
  return {
    arrivals,
    client,
    answer,
    context,
    timers,
    disconnect,
    closed: () => closed,
    asked: () => asked,
  };
}

const alice: Identity = { account: "alice", expiresAt: 60_000 };

test("a stream of events is ended with its account's connections, and by the time that was granted", async () => {
  const { answer, context, timers, disconnect, closed } = setUp();
  answer.resolve(alice);
  await context;
  expect(timers.size).toBe(1);
  disconnect();
  expect(closed()).toBe(1);
});

test("nothing is left of a stream whose client went before or after it was known", async () => {
  for (const goesFirst of [true, false]) {
    const { client, answer, context, timers, disconnect, closed } = setUp();
    if (goesFirst) client.abort();
    answer.resolve(alice);
    await context;
    client.abort();
    expect([goesFirst, timers.size]).toEqual([goesFirst, 0]);
    disconnect();
    expect([goesFirst, closed()]).toEqual([goesFirst, 0]);
  }
});

test("a client that names another version of the protocol is refused before the operator is asked who it is", () => {
  const { arrivals, asked } = setUp();
  const before = asked();
  const headers = { "x-peer-stream-protocol": "2" };
  expect(() => arrivals.ofRequest(new Request("http://localhost/trpc/stats", { headers }))).toThrow(
    "version 1 of the protocol",
  );
  const socket = { data: {}, connectionParams: { protocol: "2" } } as unknown;
  type Connect = Parameters<Arrivals["ofSocket"]>[0];
  expect(() => arrivals.ofSocket(socket as Connect)).toThrow("version 1 of the protocol");
  expect(asked()).toBe(before);
});
