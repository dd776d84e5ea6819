/** The engine in a Redis Cluster: the same contract, and what becomes of it when slots move and masters die. */
import { afterAll, afterEach, setDefaultTimeout } from "bun:test";
import { documentedAcl } from "../../support/documents.ts";
import { describeEngine } from "../../support/engine-contract.ts";
import { describeProperties } from "../../support/engine-properties.ts";
import { describeFacts } from "../../support/facts-contract.ts";
import { enginesOn } from "../../support/redis.ts";
import { startRedisCluster } from "../../support/redis-cluster.ts";

setDefaultTimeout(60_000);

/** A history takes a thousand round trips and more. */
const runs = Number(process.env["REDIS_HISTORIES"] ?? 50);

const cluster = await startRedisCluster();
// With no more rights than the document asks for.
for (const { cli } of cluster.masters) await cli(...documentedAcl());
const seeds = cluster.masters.map(({ url }) => url.replace("//", "//peer-stream:password@"));
const engines = enginesOn({ url: { kind: "cluster", seeds } });
afterEach(() => engines.close());
afterAll(() => cluster[Symbol.asyncDispose]());

describeEngine("in a Redis Cluster", engines.open);
describeFacts("in a Redis Cluster", engines.open);
describeProperties("in a Redis Cluster", engines.open, runs);
