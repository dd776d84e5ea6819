/** Every engine there is, for suites that must hold on each of them. */
import { afterAll, afterEach } from "bun:test";
import { createMemoryEngine } from "../../src/engine/memory/memory-engine.ts";
import { enginesOn, startRedis } from "./redis.ts";
import { seededRandom } from "./virtual-system.ts";
import { delayed, type OpenEngine } from "./world.ts";

/** Starts what they need, and ends it after the file's last test. */
export async function everyEngine(seed: number): Promise<Record<string, OpenEngine>> {
  const redis = await startRedis(["--appendonly", "no"]);
  const inRedis = enginesOn(redis);
  afterEach(() => inRedis.close());
  afterAll(() => redis[Symbol.asyncDispose]());
  return {
    "in memory": createMemoryEngine,
    "in memory, behind random delays": delayed(createMemoryEngine, seededRandom(seed)),
    "in Redis": inRedis.open,
  };
}
