import { expect } from "bun:test";
import { isRejection } from "../../src/domain/rejection.ts";
import { defaultWishes } from "../../src/domain/ticket.ts";
import type { Engine, EngineOptions } from "../../src/engine/engine.ts";
import { engineOptions } from "./engine-options.ts";
import { createVirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

const options: EngineOptions = {
  ...engineOptions,
  moderation: {
    windowMs: 1e9,
    sessionReporters: 1,
    addressReporters: 1,
    sessionSteps: [1e9],
    addressSteps: [1e9],
    warns: false,
    decayMs: 0,
    recordsMax: 100,
    voteAfterMs: 5000,
    votesPerHour: 10,
  },
};

type VirtualSystem = ReturnType<typeof createVirtualSystem>;

/**
 * A report about a session that the engine has forgotten suspends that session, and no address.
 * `forget` makes the engine forget bob, whose stream has closed.
 */
export async function expectForgottenToBeAttributed(
  open: OpenEngine,
  forget: (engine: Engine, system: VirtualSystem) => Promise<void>,
) {
  const system = createVirtualSystem();
  const engine = open(system, options);
  const attach = async (sessionId: string) => {
    const request = { sessionId, generation: 0, addressHash: `address of ${sessionId}`, wake() {} };
    const attached = await engine.attach(request);
    if (isRejection(attached)) throw new Error(attached.reason);
    await engine.enqueue({ sessionId, generation: 1 }, defaultWishes);
    return attached.stream;
  };
  await attach("alice");
  const bob = await attach("bob");
  const offer = await engine.matchOptions("bob");
  const [polite] = offer?.eligible ?? [];
  if (!offer || !polite) throw new Error("alice must be on offer");
  const terms = { roomId: "room", relayOnly: false, sharedInterests: [] };
  expect(await engine.pair({ ...terms, impolite: offer.ticket, polite })).toBe(true);
  // Long enough for a report to count.
  await system.advance(5000);
  await engine.end({ sessionId: "bob", generation: 1 }, { ending: "leave" });
  await engine.detach(bob);
  await forget(engine, system);

  const reported = await engine.report({ sessionId: "alice", generation: 1 }, "room");
  if (isRejection(reported)) throw new Error(`refused: ${reported.reason}`);
  expect(reported.counted).toBe(true);
  expect(reported.reported).toEqual({ sessionId: "bob", addressHash: undefined });
  const suspensions = await engine.suspensions();
  if (isRejection(suspensions)) throw new Error(`refused: ${suspensions.reason}`);
  expect(suspensions.map(({ subject }) => subject)).toEqual([{ kind: "session", id: "bob" }]);
}
