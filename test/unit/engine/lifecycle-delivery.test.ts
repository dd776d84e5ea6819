/** The order in which lifecycle events are told, and the bounds of those that wait in memory. */
import { expect, test } from "bun:test";
import { lifecycleTypes, type LifecycleEvent } from "../../../src/domain/lifecycle.ts";
import { defaultWishes } from "../../../src/domain/ticket.ts";
import { lifecycleQueueMax } from "../../../src/engine/constants.ts";
import { LifecycleDelivery } from "../../../src/engine/lifecycle-delivery.ts";
import { createMemoryEngine } from "../../../src/engine/memory/memory-engine.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { createVirtualSystem, seededRandom, settled } from "../../support/virtual-system.ts";

function pairedIn(roomId: string, ...peers: [string, string]): LifecycleEvent {
  const [one, other] = peers.map((sessionId) => ({ sessionId }));
  if (!one || !other) throw new Error("a room has two members");
  return {
    type: "paired",
    id: `paired:${roomId}`,
    at: 0,
    roomId,
    mode: "text",
    peers: [one, other],
  };
}
const joined = (sessionId: string, id: string): LifecycleEvent => ({
  type: "joined",
  id,
  at: 0,
  peer: { sessionId },
  mode: "text",
});

/** A listener that answers only when it is let to. */
function delivery(mayBegin?: () => boolean) {
  const begun: string[] = [];
  const told: string[] = [];
  const answers = new Map<string, () => void>();
  const queue = new LifecycleDelivery({
    defer: (task) => void setImmediate(task),
    ...(mayBegin && { mayBegin }),
  });
  queue.listen(({ id }) => {
    begun.push(id);
    return new Promise((resolve) => answers.set(id, resolve));
  });
  const add = (event: LifecycleEvent) => queue.add(event, () => void told.push(event.id));
  const answer = async (id: string) => {
    answers.get(id)?.();
    await settled();
  };
  return { queue, begun, told, add, answer };
}

test("an event waits for those before that concern its room or one of its peers, and for no other", async () => {
  const { begun, told, add, answer } = delivery();
  add(joined("ann", "1"));
  add(joined("bob", "2"));
  add(pairedIn("room", "ann", "bob"));
  add(joined("cem", "3"));
  add(joined("ann", "4"));
  expect(begun).toEqual([]);
  await settled();
  expect(begun).toEqual(["1", "2", "3"]);
  await answer("1");
  expect(begun).toEqual(["1", "2", "3"]);
  await answer("2");
  expect(begun).toEqual(["1", "2", "3", "paired:room"]);
  await answer("paired:room");
  expect(begun.at(-1)).toBe("4");
  expect(told).toEqual(["1", "2", "paired:room"]);
});

test("a hundred are told at the same time", async () => {
  const { begun, add, answer } = delivery();
  for (let n = 0; n < 150; n++) add(joined(`peer ${n}`, String(n)));
  await settled();
  expect(begun).toHaveLength(100);
  await answer("7");
  expect(begun).toHaveLength(101);
});

test("in random order of answers, each peer's events are told one after the other", async () => {
  const random = seededRandom(7);
  const { queue, begun, told, add, answer } = delivery();
  const peerOf = (n: number) => `peer ${n % 20}`;
  const count = 500;
  for (let n = 0; n < count; n++) add(joined(peerOf(n), String(n)));
  while (told.length < count) {
    await settled();
    const running = begun.filter((id) => !told.includes(id));
    expect(new Set(running.map((id) => peerOf(Number(id)))).size).toBe(running.length);
    await answer(running[Math.floor(random() * running.length)] ?? "");
  }
  for (let peer = 0; peer < 20; peer++) {
    const own = begun.map(Number).filter((n) => n % 20 === peer);
    expect(own).toEqual(own.toSorted((a, b) => a - b));
  }
  expect(queue.size).toBe(0);
});

test("what is forgotten is not told, and what is being told still comes before what is added later", async () => {
  const { queue, begun, add, answer } = delivery();
  add(joined("ann", "1"));
  add(joined("ann", "2"));
  await settled();
  add(joined("bob", "3"));
  expect(queue.forget().map(({ id }) => id)).toEqual(["1"]);
  add(joined("ann", "4"));
  await settled();
  expect(begun).toEqual(["1"]);
  expect(queue.size).toBe(2);
  await answer("1");
  expect(begun).toEqual(["1", "4"]);
  const idle = queue.idle();
  await answer("4");
  await idle;
});

test("none begins while it may not", async () => {
  let may = false;
  const { queue, begun, add } = delivery(() => may);
  add(joined("ann", "1"));
  await settled();
  expect(begun).toEqual([]);
  may = true;
  queue.resume();
  await settled();
  expect(begun).toEqual(["1"]);
});

test("in memory so many wait, the newest are lost and counted, and closing waits for the others", async () => {
  const system = createVirtualSystem();
  const engine = createMemoryEngine(system, { ...engineOptions, lifecycle: ["joined"] });
  let told = 0;
  let lost = 0;
  const gate = Promise.withResolvers<void>();
  engine.onLifecycle(
    async () => {
      await gate.promise;
      told += 1;
    },
    (count) => void (lost += count),
  );
  const caller = { sessionId: "alice", generation: 1 };
  await engine.attach({ sessionId: "alice", generation: 0, addressHash: "", wake() {} });
  for (let n = 0; n < lifecycleQueueMax + 5; n++) {
    await engine.enqueue(caller, defaultWishes);
    await engine.end(caller, { ending: "leave" });
  }
  expect(lost).toBe(5);
  const closing = engine.close();
  gate.resolve();
  await closing;
  expect(told).toBe(lifecycleQueueMax);
});

test("without a listener nothing waits for one at the end", async () => {
  const engine = createMemoryEngine(createVirtualSystem(), {
    ...engineOptions,
    lifecycle: lifecycleTypes,
  });
  await engine.attach({ sessionId: "alice", generation: 0, addressHash: "", wake() {} });
  await engine.enqueue({ sessionId: "alice", generation: 1 }, defaultWishes);
  await engine.close();
});
