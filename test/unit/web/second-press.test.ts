import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { createSecondPress } from "../../../src/web/second-press.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function button(needed = true) {
  const diary: string[] = [];
  const press = createSecondPress({
    needed: () => needed,
    armed: (armed) => diary.push(armed ? "armed" : "disarmed"),
    act: () => diary.push("acted"),
  });
  return { ...press, diary };
}

test("the first press asks, the second within four seconds acts", () => {
  const { press, diary } = button();
  press();
  jest.advanceTimersByTime(3900);
  expect(diary).toEqual(["armed"]);
  press();
  expect(diary).toEqual(["armed", "disarmed", "acted"]);
});

test("a second press that comes too late is a first one", () => {
  const { press, diary } = button();
  press();
  jest.advanceTimersByTime(4000);
  press();
  expect(diary).toEqual(["armed", "disarmed", "armed"]);
});

test("another stranger meanwhile forgets the first press", () => {
  const { press, disarm, diary } = button();
  press();
  disarm();
  disarm();
  expect(diary).toEqual(["armed", "disarmed"]);
});

test("with nobody to lose one press is enough", () => {
  const { press, diary } = button(false);
  press();
  expect(diary).toEqual(["acted"]);
});
