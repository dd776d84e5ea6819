/** A session's events where nobody can push: as tRPC's own handlers iterate them. */
import { describe, expect, test } from "bun:test";
import type { Caller } from "../../../src/engine/engine.ts";
import { limits, type PeerEvent } from "../../../src/protocol.ts";
import { createCallLimits } from "../../../src/rpc/call-limits.ts";
import { createContexts, type Connection } from "../../../src/rpc/context.ts";
import { EventStream } from "../../../src/rpc/events.ts";
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
  return { signaling, connect };
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
});
