import { expect, test } from "bun:test";
import { outcomeOf, roomInputs, roomStates, roomTable } from "../../../src/domain/room.ts";

test("every input ends a room, in every state, except connected", () => {
  for (const state of roomStates)
    for (const input of roomInputs)
      expect(typeof roomTable[state][input] === "string").toBe(input === "connected");
});

test("only a room that never connected can end as connect-failed", () => {
  expect(outcomeOf("connecting", "failed").reason).toBe("connect-failed");
  expect(outcomeOf("connected", "failed").reason).toBe("skipped");
});

test("a cooldown comes from skip and failed alone", () => {
  for (const state of roomStates)
    for (const input of roomInputs) {
      if (input === "connected") continue;
      expect(outcomeOf(state, input).cooldown).toBe(input === "skip" || input === "failed");
    }
});
