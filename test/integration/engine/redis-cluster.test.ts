/** The engine in a Redis Cluster: the same contract, and what becomes of it when slots move and masters die. */
import { afterAll, afterEach, setDefaultTimeout } from "bun:test";
import { describeEngine } from "../../support/engine-contract.ts";
import { enginesOn } from "../../support/redis.ts";
import { startRedisCluster } from "../../support/redis-cluster.ts";

setDefaultTimeout(60_000);

const cluster = await startRedisCluster();
const engines = enginesOn({ url: cluster.location });
afterEach(() => engines.close());
afterAll(() => cluster[Symbol.asyncDispose]());

describeEngine("in a Redis Cluster", engines.open);
