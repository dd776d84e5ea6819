/** A session's events where nobody can push: as tRPC's own handlers iterate them. */
import { describe, expect, test } from "bun:test";
import type { Caller } from "../../../src/engine/engine.ts";
import { limits, type PeerEvent } from "../../../src/protocol.ts";
import { createCallLimits } from "../../../src/rpc/call-limits.ts";
import { createContexts, type Connection } from "../../../src/rpc/context.ts";
import { EventStream } from "../../../src/rpc/events.ts";
import { nobody } from "../../../src/rpc/identity.ts";
import { createSessionTokens } from "../../../src/rpc/session-token.ts";
import { createWorld } from "../../support/world.ts";

function setUp() {
  const { signaling, system } = createWorld();
  const rate = { perS: 0, burst: 1 };
  const contexts = createContexts({
    signaling,
    tokens: createSessionTokens(["secret"]),
    limits: createCallLimits({ signals: rate, intents: rate, bytes: rate }, system.elapsed),
    now: system.now,
    newSessionId: system.id,
  });
  const connect = () => contexts.forSocket(undefined, "address", { close() {} });
  /** As a request over HTTP is, whose response is closed by `close`. */
  const request = (close?: () => void) =>
    contexts.forRequest(null, "address", nobody, close && { close });
  return { signaling, connect, request };
}

const wishes = {
  mode: "video" as const,
  interests: [],
  languages: [],
  relayOnly: false,
  autoRejoin: true,
};

function callerOf({ caller }: Connection): Caller {
  if (!caller) throw new Error("its session has begun");
  return caller;
}

async function next(events: AsyncIterator<readonly [id: string, event: PeerEvent, ...unknown[]]>) {
  const { value } = await events.next();
  return (value as [string, PeerEvent])[1];
}

describe("events that are iterated", () => {
  test("come in order, and signals as their sender worded them", async () => {
    const { signaling, connect } = setUp();
    const [alice, bob] = [connect(), connect()];
    const told = new EventStream(bob, undefined)[Symbol.asyncIterator]();
    const toldAlice = new EventStream(alice, undefined)[Symbol.asyncIterator]();
    expect(await next(told)).toMatchObject({ type: "session", token: expect.any(String) });
    await toldAlice.next();
    for (const { connection } of [bob, alice]) await signaling.join(callerOf(connection), wishes);
    expect(await next(told)).toMatchObject({ type: "lobby", waiting: 1 });
    const paired = await next(told);
    if (paired.type !== "wait-for-offer") throw new Error("bob waited first");
    const { roomId } = paired;
    const candidate = { candidate: "candidate:1 \u2028", sdpMid: null };
    const signal = { type: "add-ice-candidate", roomId, candidate } as const;
    expect(await signaling.send(callerOf(alice.connection), signal)).toEqual({ delivered: true });
    expect(await next(told)).toEqual(signal);
    await told.return?.();
    await toldAlice.return?.();
  });

  test("end when they are returned: the place is free, a read that waits is over", async () => {
    const context = setUp().connect();
    const { connection } = context;
    for (let n = 0; n < limits.subscriptionsMax + 1; n++) {
      const events = new EventStream(context, undefined)[Symbol.asyncIterator]();
      await events.next();
      const waiting = events.next();
      await events.return?.();
      expect(await waiting).toEqual({ done: true, value: undefined });
      expect(connection.subscriptions).toBe(0);
    }
  });

  test("that are returned before they are read never begin", async () => {
    const { signaling, connect } = setUp();
    const context = connect();
    const events = new EventStream(context, undefined)[Symbol.asyncIterator]();
    await events.return?.();
    expect(context.connection).toMatchObject({ subscriptions: 0, caller: undefined });
    expect(await signaling.stats()).toMatchObject({ online: 0 });
  });

  test("end with the signal of their request: a read that waits, and one that comes too late", async () => {
    const { signaling, request } = setUp();
    for (const when of ["while it waits", "before it begins", "before it is made"] as const) {
      const { signal, abort } = abortable();
      const context = request();
      if (when === "before it is made") abort();
      const events = new EventStream(context, undefined, signal)[Symbol.asyncIterator]();
      if (when === "before it begins") abort();
      if (when === "while it waits") expect(await next(events)).toMatchObject({ type: "session" });
      const waiting = events.next();
      abort();
      expect(await waiting).toEqual({ done: true, value: undefined });
      expect(context.connection.subscriptions).toBe(0);
    }
    expect(await signaling.stats()).toMatchObject({ online: 0 });
  });

  test("that are not taken are no more than the log keeps, twice: then the response is closed, or they end", async () => {
    const { signaling, request, connect } = setUp();
    for (const hasResponse of [true, false]) {
      const { signal, abort } = abortable();
      let closed = 0;
      const alice = request(
        hasResponse
          ? () => {
              closed += 1;
              abort();
            }
          : undefined,
      );
      const bob = connect();
      const events = new EventStream(alice, undefined, signal)[Symbol.asyncIterator]();
      await events.next();
      const told = new EventStream(bob, undefined)[Symbol.asyncIterator]();
      await told.next();
      for (const { connection } of [alice, bob]) await signaling.join(callerOf(connection), wishes);
      await told.next();
      const { roomId } = (await next(told)) as { roomId: string };
      const offer = { type: "offer", roomId, sdp: "x".repeat(1000) } as const;
      let sent = 0;
      while (alice.connection.subscriptions > 0 && sent < 10_000) {
        await signaling.send(callerOf(bob.connection), offer);
        sent += 1;
      }
      expect(sent * 1000).toBeLessThan(2 * limits.logBytesMax);
      expect(sent).toBeGreaterThan(limits.logEventsMax);
      expect(closed).toBe(hasResponse ? 1 : 0);
      expect(await events.next()).toEqual({ done: true, value: undefined });
      await told.return?.();
    }
  });

  test("end with the error that their stream ends with, after what came before it", async () => {
    const { connect, request } = setUp();
    const first = connect();
    const events = new EventStream(first, undefined)[Symbol.asyncIterator]();
    await events.next();
    const { sessionId, generation } = callerOf(first.connection);
    const tab = request();
    tab.connection.caller = { sessionId, generation };
    const other = new EventStream(tab, undefined)[Symbol.asyncIterator]();
    await other.next();
    const toTheEnd = async () => {
      while (!(await events.next()).done);
    };
    expect(await toTheEnd().catch((error: unknown) => error)).toMatchObject({ code: "CONFLICT" });
    expect(await events.next()).toEqual({ done: true, value: undefined });
    expect(first.connection.subscriptions).toBe(0);
    await other.return?.();
  });
});

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
