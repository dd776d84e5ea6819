/** What becomes of the answers of the operator's hook `isOperator`. */
import { expect, test } from "bun:test";
import { createAskOperator, type IsOperator } from "../../../src/rpc/operator-hook.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

function setUp(hook: IsOperator) {
  const system = createVirtualSystem();
  const faults: string[] = [];
  const ask = createAskOperator(hook, {
    ...system,
    onHookFault: (name, error) => void faults.push(`${name}: ${String(error)}`),
  });
  return { system, faults, ask: () => ask({ headers: new Headers({ cookie: "a=b" }) }) };
}

test("sees the headers, and answers at once or later", async () => {
  const seen: unknown[] = [];
  const { ask } = setUp(({ headers, ...others }) => {
    seen.push(headers.get("cookie"), others);
    return true;
  });
  expect(ask()).toBe(true);
  expect(seen).toEqual(["a=b", {}]);
  expect(await setUp(async () => false).ask()).toBe(false);
});

test("what is no boolean, or comes too late, lets nobody in, and is a fault", async () => {
  const unavailable = { reason: "unavailable", retryAfterMs: expect.any(Number) as number };
  for (const answer of [undefined, 1, "true", {}] as unknown as boolean[]) {
    const { ask, faults } = setUp(() => answer);
    expect(await ask()).toMatchObject(unavailable);
    expect(faults[0]).toEndWith(`isOperator must return a boolean, not ${typeof answer}`);
    expect(faults).toHaveLength(1);
  }
  const { ask, faults, system } = setUp(() => new Promise(() => {}));
  const asked = ask();
  await system.advance(2000);
  expect(await asked).toMatchObject(unavailable);
  expect(faults).toEqual([expect.stringContaining("did not answer within 2000 ms")]);
});
