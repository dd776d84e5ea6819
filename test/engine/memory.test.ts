import { test } from "bun:test";
import { createMemoryEngine } from "../../src/engine/memory.ts";
import { seededRandom } from "../support/virtual-system.ts";
import { delayed } from "../support/world.ts";
import { describeEngine } from "./contract.ts";
import { expectForgottenToBeAttributed } from "./forgotten.ts";
import { describeProperties } from "./properties.ts";

const runs = 10_000;

describeEngine("in memory", createMemoryEngine);
describeEngine("in memory, behind random delays", delayed(createMemoryEngine, seededRandom(3)));
describeProperties("in memory", createMemoryEngine, runs);
describeProperties(
  "in memory, behind random delays",
  delayed(createMemoryEngine, seededRandom(5)),
  runs / 10,
);

test("A16 a report about a session that was forgotten counts against that session, and against no address", () =>
  expectForgottenToBeAttributed(createMemoryEngine, async (engine, system) => {
    // The first sweep ends bob's grace, the second one his retention.
    for (let sweeps = 0; sweeps < 2; sweeps++) {
      await system.advance(3_600_000);
      await engine.sweep();
    }
  }));
