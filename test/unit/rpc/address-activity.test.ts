import { expect, test } from "bun:test";
import { AddressActivity } from "../../../src/rpc/address-activity.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

const minuteMs = 60_000;

test("ten sessions at once and then one a minute are usual", async () => {
  const system = createVirtualSystem();
  const activity = new AddressActivity(system.elapsed);
  const take = () => activity.takeSession("home");
  expect(Array.from({ length: 12 }, take)).toEqual([...Array(10).fill(true), false, false]);
  expect(activity.takeSession("elsewhere")).toBe(true);
  await system.advance(minuteMs - 1);
  expect(take()).toBe(false);
  await system.advance(1);
  expect([take(), take()]).toEqual([true, false]);
  // However long it is quiet, no more than that is saved up.
  await system.advance(600 * minuteMs);
  expect(Array.from({ length: 11 }, take)).toEqual([...Array(10).fill(true), false]);
});

test("with the third report within an hour an address is reported, until that hour is over", async () => {
  const system = createVirtualSystem();
  const activity = new AddressActivity(system.elapsed);
  const isReported = () => activity.isReported("home");
  for (let n = 0; n < 2; n++) {
    activity.reported("home");
    // Asking counts for nothing.
    for (let m = 0; m < 5; m++) expect(isReported()).toBe(false);
  }
  activity.reported("home");
  activity.reported("home");
  expect([isReported(), activity.isReported("elsewhere")]).toEqual([true, false]);
  await system.advance(60 * minuteMs - 1);
  expect(isReported()).toBe(true);
  await system.advance(1);
  expect(isReported()).toBe(false);
});
