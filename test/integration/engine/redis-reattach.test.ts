/** A call beside a stream that is to be attached again, as after a failover: it must not be refused for that. */
import { afterAll, expect, test } from "bun:test";
import { isRejection } from "../../../src/domain/rejection.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import type { Caller, Engine } from "../../../src/engine/engine.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const redis = await startRedis(["--appendonly", "no"]);
const engines = enginesOn(redis);
afterAll(async () => {
  await engines.close();
  await redis[Symbol.asyncDispose]();
});

const signal = JSON.stringify({ type: "offer", roomId: "room", sdp: "v=0" });
const calls: Record<string, (engine: Engine, caller: Caller) => unknown> = {
  enqueue: (engine, caller) => engine.enqueue(caller, defaultWishes),
  send: (engine, caller) => engine.send(caller, "room", signal),
  end: (engine, caller) => engine.end(caller, { ending: "skip" }),
  confirm: (engine, caller) => engine.confirm(caller, "room"),
  avoid: (engine, caller) => engine.avoid(caller, "room"),
  report: (engine, caller) => engine.report(caller, "room"),
  status: (engine, caller) => engine.status(caller),
};

async function attach(engine: Engine, generation: number) {
  // Of another life of the log, if it is not the first time.
  const position = generation === 0 ? undefined : { epoch: "gone", offset: 1 };
  const request = { sessionId: "alice", generation, addressHash: "", wake() {}, position };
  const attached = await engine.attach(request);
  if (isRejection(attached)) throw new Error(attached.reason);
  return attached.stream.generation;
}

for (const [name, call] of Object.entries(calls))
  test(`${name}: refused as unavailable until the stream is attached, and as usual for a caller without a stream`, async () => {
    const engine = engines.open(createVirtualSystem(), engineOptions);
    const reasonFor = async (caller: Omit<Caller, "sessionId">) =>
      ((await call(engine, { sessionId: "alice", ...caller })) as { reason?: string }).reason;

    // The node has registered anew, or the session was lost: nothing is attached yet.
    expect(await reasonFor({ generation: 1, streaming: true })).toBe("unavailable");

    expect(await attach(engine, 0)).toBe(1);
    const usual = await reasonFor({ generation: 1 });
    expect(await reasonFor({ generation: 1, streaming: true })).toBe(usual as string);
    expect(usual).not.toBe("unavailable");

    // It is attached, and the socket has yet to learn its new generation.
    expect(await attach(engine, 1)).toBe(2);
    expect(await reasonFor({ generation: 1, streaming: true })).toBe("unavailable");
    expect(await reasonFor({ generation: 1 })).toBe("taken-over");
  });
