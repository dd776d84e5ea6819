/** Random histories of the engine in memory; the contract is in test/unit/engine. */
import { createMemoryEngine } from "../../../src/engine/memory/memory-engine.ts";
import { describeProperties } from "../../support/engine-properties.ts";
import { seededRandom } from "../../support/virtual-system.ts";
import { delayed } from "../../support/world.ts";

const runs = Number(process.env["MEMORY_HISTORIES"] ?? 10_000);

describeProperties("in memory", createMemoryEngine, runs);
describeProperties(
  "in memory, behind random delays",
  delayed(createMemoryEngine, seededRandom(5)),
  runs / 10,
);
