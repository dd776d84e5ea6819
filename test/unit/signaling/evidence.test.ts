import { expect, test } from "bun:test";
import { createEvidenceStore } from "../../../src/signaling/evidence.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

function setUp(bytesMax = 10_000, isWanted = true) {
  const system = createVirtualSystem();
  const dropped: string[] = [];
  const { schedule } = system;
  const onDropped = (because: string) => void dropped.push(because);
  return {
    system,
    dropped,
    store: createEvidenceStore({ bytesMax, isWanted, schedule, onDropped }),
  };
}

test("what a report shows is held until it is released", () => {
  const { store, dropped } = setUp();
  expect(store.hold("one", { note: "first" })).toBe(true);
  // A repeated report does not replace it.
  expect(store.hold("one", { note: "second" })).toBe(false);
  expect(store.get("one")).toEqual({ note: "first" });
  store.release("one");
  expect(store.get("one")).toBeUndefined();
  expect(dropped).toEqual([]);
});

test("past its bytes the oldest are dropped, and counted; one that is larger than all of them is, too", () => {
  const { store, dropped } = setUp();
  const still = "x".repeat(3000);
  for (let n = 0; n < 5; n++) store.hold(`${n}`, { evidence: { still } });
  expect([0, 1, 2, 3, 4].map((n) => store.get(`${n}`) !== undefined)).toEqual([
    false,
    false,
    true,
    true,
    true,
  ]);
  expect(dropped).toEqual(["full", "full"]);
  store.hold("large", { note: "x".repeat(20_000) });
  expect(store.get("large")).toBeUndefined();
  expect(store.get("4")).toBeDefined();
  expect(dropped).toHaveLength(3);
});

test("past their number the oldest are dropped", () => {
  const { store, dropped } = setUp(1e9);
  for (let n = 0; n < 1200; n++) store.hold(`${n}`, { note: "x" });
  expect(dropped).toHaveLength(200);
  expect(store.get("199")).toBeUndefined();
  expect(store.get("200")).toBeDefined();
});

test("what nobody was told in a quarter of an hour is dropped", async () => {
  const { store, dropped, system } = setUp();
  store.hold("one", { note: "x" });
  await system.advance(15 * 60_000 - 1);
  expect(store.get("one")).toBeDefined();
  await system.advance(1);
  expect(store.get("one")).toBeUndefined();
  expect(dropped).toEqual(["late"]);
});

test("nothing is held where nobody is told of reports", () => {
  const { store } = setUp(10_000, false);
  expect(store.hold("one", { note: "x" })).toBe(false);
  expect(store.get("one")).toBeUndefined();
});
