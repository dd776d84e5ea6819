/** Limits at n and n + 1: refused by name, told when to try again, and nobody else pays. */
import { describe, expect, test } from "bun:test";
import { createCallLimits, createTurnstile } from "../../src/rpc/call-limits.ts";
import { limits } from "../../src/protocol.ts";
import { openRawSocket } from "../support/raw-socket.ts";
import { connectPeer, httpClient, refusalOf, startServer } from "../support/server.ts";

const rates = {
  signals: { perS: 30, burst: 100 },
  intents: { perS: 2, burst: 5 },
  bytes: { perS: 32_768, burst: 131_072 },
};

describe("the limits of calls", () => {
  test("let a burst through, then the rate, and say when the next is due", () => {
    let now = 0;
    const calls = createCallLimits(rates, () => now);
    const take = () => calls.take("intents", "alice");
    for (let n = 0; n < 5; n++) expect(take()).toBeUndefined();
    expect(take()).toMatchObject({ reason: "rate-limited", retryAfterMs: 500 });
    expect(calls.take("intents", "bob")).toBeUndefined();
    expect(calls.take("signals", "alice")).toBeUndefined();
    now += 499;
    expect(take()).toMatchObject({ retryAfterMs: 1 });
    now += 1;
    expect(take()).toBeUndefined();
  });

  test("hold for the one whose bucket makes others be dropped, too", () => {
    let now = 0;
    const calls = createCallLimits({ ...rates, intents: { perS: 1, burst: 1 } }, () => now);
    for (let n = 0; n < 10_000; n++) calls.take("intents", `peer ${n}`);
    now = 10_000;
    expect(calls.take("intents", "alice")).toBeUndefined();
    expect(calls.take("intents", "alice")).toMatchObject({ retryAfterMs: 1000 });
  });

  test("of one without a session count per connection", () => {
    const calls = createCallLimits(rates, () => 0);
    const [one, other] = [{}, {}];
    for (let n = 0; n < 5; n++) calls.take("intents", one);
    expect(calls.take("intents", one)).toMatchObject({ reason: "rate-limited" });
    expect(calls.take("intents", other)).toBeUndefined();
  });

  test("0 switches a limit off", () => {
    const calls = createCallLimits({ ...rates, intents: { perS: 0, burst: 1 } }, () => 0);
    for (let n = 0; n < 1000; n++) expect(calls.take("intents", "alice")).toBeUndefined();
  });

  test("let so many through at a time, the rest in the order they came", async () => {
    const turnstile = createTurnstile(2);
    const newlyWaiting: number[] = [];
    const come = async (n: number) => {
      await turnstile.enter();
      newlyWaiting.push(n);
    };
    for (let n = 0; n < 5; n++) void come(n);
    await Promise.resolve();
    expect(newlyWaiting).toEqual([0, 1]);
    for (let n = 0; n < 5; n++) {
      turnstile.leave();
      await Promise.resolve();
      await Promise.resolve();
    }
    expect(newlyWaiting).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("on a server with limits", () => {
  test("A13 what a peer sends is limited in bytes, so that its partner's own answers are not behind megabytes", async () => {
    await using server = startServer({ rates });
    await using mallory = await connectPeer(server);
    await using alice = await connectPeer(server);
    await alice.client.join.mutate();
    await mallory.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    const largest = "v=0\r\n".padEnd(limits.sdpBytesMax, "x");
    // In the frames that browsers send and in others, at once and over time.
    const answers: Record<string, unknown>[] = [];
    for (let n = 0; n < 60; n++) {
      const sdp = n % 2 === 0 ? largest : `"${largest.slice(1)}`;
      answers.push(await refusalOf(mallory.client.offer.mutate({ roomId, sdp })));
    }
    const refused = answers.filter(({ reason }) => reason === "rate-limited");
    expect(refused.length).toBeGreaterThan(50);
    expect(refused.every(({ retryAfterMs }) => Number(retryAfterMs) > 0)).toBe(true);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(3);
    const told = JSON.stringify(alice.told).length;
    expect(told).toBeLessThan(rates.bytes.burst + 2 * rates.bytes.perS);
    expect(await alice.client.skip.mutate({ roomId })).toEqual({ status: "waiting" });
  });

  test("A13 a real call's beginning and renegotiations are well within that", async () => {
    await using server = startServer({ rates });
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId } = await alice.next("wait-for-offer");
    const sdp = "v=0\r\n".padEnd(8000, "x");
    const candidate = { candidate: "candidate:".padEnd(150, "1"), sdpMid: "0", sdpMLineIndex: 0 };
    for (const { client } of [bob, alice]) {
      for (let n = 0; n < 10; n++)
        expect(await client.offer.mutate({ roomId, sdp })).toEqual({ delivered: true });
      for (let n = 0; n < 40; n++)
        expect(await client.addIceCandidate.mutate({ roomId, candidate })).toEqual({
          delivered: true,
        });
    }
  });

  test("a skip flood is refused; leaving, the session and everybody else go on", async () => {
    await using server = startServer({ rates });
    await using mallory = await connectPeer(server);
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    const flood = await Promise.all(
      Array.from({ length: 100 }, () => refusalOf(mallory.client.skip.mutate())),
    );
    const refused = flood.filter((answer) => answer["reason"] === "rate-limited");
    expect(refused).toHaveLength(95);
    for (const { code, retryAfterMs } of refused) {
      expect(code).toBe("TOO_MANY_REQUESTS");
      expect(retryAfterMs).toBeGreaterThan(0);
    }
    expect(await mallory.client.leave.mutate()).toEqual({ status: "idle" });
    expect(await alice.client.join.mutate()).toEqual({ status: "waiting" });
    expect(await bob.client.join.mutate()).toEqual({ status: "paired" });
  });

  test("the same session over HTTP has the same bucket", async () => {
    await using server = startServer({ rates });
    await using peer = await connectPeer(server);
    for (let n = 0; n < 5; n++) await peer.client.skip.mutate();
    const http = httpClient(server, peer.token);
    expect(await refusalOf(http.skip.mutate())).toMatchObject({
      reason: "rate-limited",
      httpStatus: 429,
    });
  });

  test("anonymous HTTP calls of one address share one bucket", async () => {
    await using server = startServer({ rates });
    const anonymous = httpClient(server);
    const answers = await Promise.all(
      Array.from({ length: 150 }, () => refusalOf(anonymous.stats.query())),
    );
    const refused = answers.filter((answer) => answer["reason"] === "rate-limited");
    expect(refused.length).toBeGreaterThan(20);
    expect(refused.length).toBeLessThanOrEqual(50);
  });

  test("a socket that calls on and on though it is refused is put out, for good", async () => {
    await using server = startServer({ rates });
    const socket = new WebSocket(`${server.ws}/trpc`);
    const closed = new Promise<number>((resolve) => (socket.onclose = ({ code }) => resolve(code)));
    await new Promise((resolve) => (socket.onopen = resolve));
    const call = (id: number) => ({ id, method: "query", params: { path: "stats" } });
    const batch = JSON.stringify(Array.from({ length: 100 }, (_, id) => call(id)));
    for (let n = 0; n < 40; n++) socket.send(batch);
    expect(await closed).toBe(4500);
  });

  test("one socket can have so many subscriptions, and one more is refused", async () => {
    await using server = startServer({ rates });
    const socket = new WebSocket(`${server.ws}/trpc`);
    const answers = new Map<number, string>();
    let lastEventId: string | undefined;
    let arrived = () => {};
    socket.onmessage = ({ data }) => {
      const { id, result, error } = JSON.parse(String(data));
      if (result?.id) lastEventId ??= result.id;
      if (result?.type === "data" || error) answers.set(id, error?.data.reason ?? "told");
      arrived();
    };
    await new Promise((resolve) => (socket.onopen = resolve));
    // Each a hand-over of the one before: without a position it would take the session over, and end it.
    for (let id = 1; id <= limits.subscriptionsMax + 1; id++) {
      const params = { path: "events", lastEventId };
      socket.send(JSON.stringify({ id, method: "subscription", params }));
      while (!answers.has(id)) await new Promise<void>((resolve) => (arrived = resolve));
      expect(answers.get(id)).toBe(id > limits.subscriptionsMax ? "rate-limited" : "told");
    }
    socket.close();
  });
});

describe("the limits of calls go by the monotonic clock", () => {
  for (const stepMs of [-60_000, -3_600_000, 60_000])
    test(`A5 a socket that calls while the wall clock is set by ${stepMs} ms stays open`, async () => {
      let wallClockAheadMs = 0;
      await using server = startServer({
        wallClockAheadMs: () => wallClockAheadMs,
        rates: {
          signals: { perS: 30, burst: 100 },
          intents: { perS: 2, burst: 5 },
          bytes: { perS: 32_768, burst: 131_072 },
        },
      });
      await using socket = await openRawSocket(`${server.ws}/trpc`);
      const ask = (id: number) =>
        socket.ask(JSON.stringify({ id, method: "query", params: { path: "stats" } }), id);
      expect((await ask(0)).error).toBeUndefined();
      wallClockAheadMs = stepMs;
      for (let id = 1; id <= 20; id++) expect((await ask(id)).error).toBeUndefined();
      expect(socket.closedWith).toBeUndefined();
    });
});

describe("A8 calls are counted as they are parsed", () => {
  const call = (id: number) => `{"id":${id},"method":"query","params":{"path":"stats"}}`;
  const batchOf = (member: (id: number) => string) =>
    `[${Array.from({ length: limits.batchCallsMax }, (_, id) => member(id)).join(",")}]`;
  const members: Record<string, (id: number) => string> = {
    "as they are": call,
    "with an escaped key": (id) => call(id).replace('"method"', '"m\\u0065thod"'),
    "without a method": (id) => `{"id":${id}}`,
    "that are no calls": () => "0",
    "that stop nothing": (id) => `{"id":${id},"method":"subscription.stop"}`,
  };
  for (const [what, member] of Object.entries(members))
    test(`batches of 128 calls ${what} close their socket after 3,000 calls`, async () => {
      await using server = startServer({
        rates: {
          signals: { perS: 30, burst: 100 },
          intents: { perS: 2, burst: 5 },
          bytes: { perS: 32_768, burst: 131_072 },
        },
      });
      const socket = new WebSocket(`${server.ws}/trpc`);
      const closed = new Promise<number>((resolve) => {
        socket.onclose = ({ code }) => resolve(code);
      });
      await new Promise((resolve) => (socket.onopen = resolve));
      // A socket whose frames count as one call each would take 3,000 of them.
      for (let batch = 0; batch < 60; batch++) socket.send(batchOf(member));
      expect(await closed).toBe(4500);
    }, 10_000);
});
