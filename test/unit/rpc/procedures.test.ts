/** How many calls of one connection are in work at a time, made by its socket and answered when the test says so. */
import { expect, test } from "bun:test";
import { limits } from "../../../src/protocol.ts";
import { createCallLimits } from "../../../src/rpc/call-limits.ts";
import { createContexts } from "../../../src/rpc/context.ts";
import { createAppRouter } from "../../../src/rpc/router.ts";
import { createSessionTokens } from "../../../src/rpc/session-token.ts";
import { createSockets, fakeSocket, requestFor } from "../../support/trpc-sockets.ts";
import { override } from "../../support/override.ts";
import { createWorld } from "../../support/world.ts";

test("a few calls at a time, the rest in order; what is done at once leaves no trace", async () => {
  const { signaling, system } = createWorld();
  const pending: ((stats: Awaited<ReturnType<typeof signaling.stats>>) => void)[] = [];
  const slow = override(signaling, {
    stats: () => new Promise<never>((done) => pending.push(done as never)),
  });
  const rate = { perS: 0, burst: 1 };
  const contexts = createContexts({
    signaling: slow,
    tokens: createSessionTokens(["secret"]),
    limits: createCallLimits({ signals: rate, intents: rate, bytes: rate }, system.elapsed),
    now: system.now,
    newSessionId: system.id,
  });
  const answered: number[] = [];
  const socket = fakeSocket({
    open: true,
    send: (text: string) => void answered.push((JSON.parse(text) as { id: number }).id),
    close() {},
    terminate() {},
  });
  const context = contexts.forSocket(undefined, "address", socket);
  const listener = createSockets({
    router: createAppRouter({ facts: {}, softAfterMs: 0 }),
    createContext: () => context,
    onError: () => {},
    deadlines: { pingMs: 60_000, pongWaitMs: 60_000, firstMessageMs: 500 },
    elapsed: system.elapsed,
    schedule: system.schedule,
  })(socket, requestFor("/trpc"));
  const call = (id: number, path: string, method = "query") =>
    listener.message(JSON.stringify({ id, method, params: { path } }));
  const settle = () => new Promise((resolve) => setImmediate(resolve));

  call(1, "leave", "mutation");
  expect(answered).toEqual([1]);
  expect(context.connection.turnstile).toBeUndefined();

  const max = limits.callsInFlightMax;
  for (let id = 2; id < 2 + max + 2; id++) call(id, "stats");
  await settle();
  expect(pending).toHaveLength(max);
  // Also one that would be done at once waits for its turn.
  call(100, "leave", "mutation");
  await settle();
  expect(answered).toEqual([1]);

  for (let done = 0; done < max + 2; done++) {
    pending[done]?.({
      online: 0,
      waiting: { video: 0, audio: 0, text: 0 },
      rooms: { video: 0, audio: 0, text: 0 },
    });
    await settle();
    expect(pending).toHaveLength(Math.min(max + 2, max + done + 1));
  }
  expect(answered.toSorted((a, b) => a - b)).toEqual([
    ...Array.from({ length: max + 3 }, (_, n) => n + 1),
    100,
  ]);
  call(101, "leave", "mutation");
  expect(answered.at(-1)).toBe(101);
  listener.close();
});
