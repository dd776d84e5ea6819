/** Hooks that are slow, throw, reject or hang: logged once in a while, counted, and nobody else's concern. */
import { expect, test } from "bun:test";
import type { LifecycleEvent } from "../../../src/domain/lifecycle.ts";
import { createLifecycleHooks, type LifecycleHooks } from "../../../src/observe/lifecycle-hooks.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const joined = (n: number): LifecycleEvent => ({
  type: "joined",
  id: `joined:${n}`,
  at: 0,
  peer: { sessionId: "alice" },
  mode: "text",
});
const lifted: LifecycleEvent = {
  type: "lifted",
  id: "lifted",
  at: 0,
  subject: { kind: "session", id: "alice" },
  by: "operator",
};

function hooks(on: LifecycleHooks) {
  const system = createVirtualSystem();
  const lines: { what: string; fields: object }[] = [];
  const faults: string[] = [];
  const call = createLifecycleHooks({
    on,
    log: { warn: (what, fields = {}) => void lines.push({ what, fields }) },
    metrics: { hookFailed: (hook) => void faults.push(hook) },
    system,
  });
  return { system, lines, faults, call };
}

test("a hook gets the events of its type, and is awaited", async () => {
  const got: string[] = [];
  const answer = Promise.withResolvers<void>();
  const { call, faults, system } = hooks({
    async joined({ id, peer }) {
      got.push(`${id} ${peer.sessionId}`);
      await answer.promise;
    },
  });
  await call(lifted);
  let isDone = false;
  const calling = call(joined(1)).then(() => (isDone = true));
  await system.advance(9000);
  expect({ got, isDone }).toEqual({ got: ["joined:1 alice"], isDone: false });
  answer.resolve();
  await calling;
  // Its time limit has gone with it.
  await system.advance(60_000);
  expect(faults).toEqual([]);
});

for (const [what, fault] of Object.entries({
  throws() {
    throw new Error("of its own");
  },
  rejects: () => Promise.reject(new Error("of its own")),
  "throws no error": () => {
    // oxlint-disable-next-line no-throw-literal
    throw "of its own";
  },
}))
  test(`a hook that ${what} is counted each time, and logged once a minute`, async () => {
    const { system, lines, faults, call } = hooks({ joined: fault, lifted: fault });
    for (let n = 0; n < 5; n++) await call(joined(n));
    expect(faults).toEqual(Array(5).fill("joined"));
    expect(lines).toMatchObject([
      {
        what: 'the hook "joined" has failed',
        fields: { event: "joined:0", why: expect.stringContaining("of its own") },
      },
    ]);
    await call(lifted);
    expect(lines).toHaveLength(2);
    await system.advance(61_000);
    await call(joined(6));
    expect(lines).toHaveLength(3);
  });

test("what a hook for reports throws is logged without its message, which may quote what peers said", async () => {
  const note = "the words of a note";
  const reported: LifecycleEvent = {
    type: "reported",
    id: "reported:room",
    at: 0,
    roomId: "room",
    reason: "hate",
    note,
    reporter: { sessionId: "alice" },
    reported: { sessionId: "bob" },
    counted: true,
    suspended: [],
  };
  for (const error of [
    new Error(`can't store ${note}`),
    new Error(`can't store:\n    at ${note}:1:2\n    at ${note} (/a.ts:3:4)`),
    note,
    { note },
  ]) {
    const { lines, faults, call } = hooks({ reported: () => Promise.reject(error) });
    await call(reported);
    expect(faults).toEqual(["reported"]);
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).toContain("reported:room");
    expect(JSON.stringify(lines)).not.toContain(note);
  }
});

test("a hook that never answers is given up after ten seconds, and what it does later is nobody's concern", async () => {
  const answer = Promise.withResolvers<void>();
  const { system, lines, faults, call } = hooks({ joined: () => answer.promise });
  const calling = call(joined(1));
  await system.advance(9999);
  expect(faults).toEqual([]);
  await system.advance(1);
  await calling;
  expect(faults).toEqual(["joined"]);
  answer.reject(new Error("too late to count"));
  await system.settled();
  expect(faults).toEqual(["joined"]);
  expect(lines[0]?.fields).toMatchObject({ why: "it has not answered within 10000 ms" });
});
