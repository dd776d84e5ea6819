import { createMemoryEngine } from "../../src/engine/memory.ts";
import { seededRandom } from "../support/virtual-system.ts";
import { delayed } from "../support/world.ts";
import { describeEngine } from "./contract.ts";

describeEngine("in memory", createMemoryEngine);
describeEngine("in memory, behind random delays", delayed(createMemoryEngine, seededRandom(3)));
