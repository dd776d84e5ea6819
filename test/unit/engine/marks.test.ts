import { expect, test } from "bun:test";
import { createMarks } from "../../../src/engine/marks.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

function create(marksMax?: number) {
  const system = createVirtualSystem();
  return { system, marks: createMarks(system.elapsed, marksMax) };
}

test("a mark lasts as long as it was set for", async () => {
  const { system, marks } = create();
  marks.set("a", "text", 1000);
  expect(marks.get("a")).toBe("text");
  await system.advance(999);
  expect(marks.get("a")).toBe("text");
  marks.set("a", "another", 1000);
  await system.advance(999);
  expect(marks.get("a")).toBe("another");
  await system.advance(1);
  expect(marks.get("a")).toBeUndefined();
});

test("one that is claimed can be claimed again only after its time", async () => {
  const { system, marks } = create();
  expect(marks.claim("a", 1000)).toBe(true);
  expect(marks.claim("a", 1000)).toBe(false);
  expect(marks.claim("b", 1000)).toBe(true);
  await system.advance(999);
  expect(marks.claim("a", 1000)).toBe(false);
  await system.advance(1);
  expect(marks.claim("a", 1000)).toBe(true);
});

test("there are never more than the bound: those whose time is over go first, then the oldest", async () => {
  const { system, marks } = create(3);
  marks.set("long", "1", 10_000);
  marks.set("short", "1", 10);
  marks.set("renewed", "1", 10_000);
  await system.advance(10);
  marks.set("fourth", "1", 10_000);
  expect(["long", "renewed", "fourth"].map((name) => marks.get(name))).toEqual(["1", "1", "1"]);
  marks.set("long", "2", 10_000);
  marks.set("fifth", "1", 10_000);
  const names = ["long", "short", "renewed", "fourth", "fifth"];
  expect(names.filter((name) => marks.get(name) !== undefined)).toEqual([
    "long",
    "fourth",
    "fifth",
  ]);
});

test("one more costs little, however many there are", () => {
  const { marks } = create();
  const timeOf = (prefix: string, count: number) => {
    const begun = performance.now();
    for (let n = 0; n < count; n++) marks.set(`${prefix} ${n}`, "1", 10_000);
    return performance.now() - begun;
  };
  const filling = timeOf("first", 100_000);
  expect(timeOf("further", 2000)).toBeLessThan(filling);
  expect(marks.get("further 1999")).toBe("1");
  expect(marks.get("first 99999")).toBe("1");
});
