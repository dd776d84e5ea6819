import { createMemoryEngine } from "../../src/engine/memory.ts";
import { seededRandom } from "../support/virtual-system.ts";
import { delayed } from "../support/world.ts";
import { describeEngine } from "./contract.ts";
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
