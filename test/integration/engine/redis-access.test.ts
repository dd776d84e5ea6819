/** How a node gets into Redis: over TLS, as a user of the least rights, with a prefix of its own. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createCertificates } from "../../support/certificates.ts";
import { documentedAcl } from "../../support/documents.ts";
import { describeEngine } from "../../support/engine-contract.ts";
import { describeFacts } from "../../support/facts-contract.ts";
import { freePort } from "../../support/ports.ts";
import { enginesOn, startRedis } from "../../support/redis.ts";
import { connectPeer, refusalOf } from "../../support/server.ts";
import { startServer } from "../../support/server-process.ts";
import { until } from "../../support/until.ts";

setDefaultTimeout(40_000);

const secret = { SESSION_SECRET: "the same secret on every node", ALLOW_NO_ORIGIN: "true" };
const wsOf = ({ origin }: { origin: string }) => ({ ws: origin.replace("http", "ws") });

const certificates = await createCertificates();
const tlsPort = await freePort();
const redis = await startRedis([
  ...`--appendonly no --tls-port ${tlsPort} --tls-auth-clients yes`.split(" "),
  ...`--tls-ca-cert-file ${certificates.ca}`.split(" "),
  ...`--tls-cert-file ${certificates.server.cert}`.split(" "),
  ...`--tls-key-file ${certificates.server.key}`.split(" "),
]);
await redis.cli(...documentedAcl());
const url = `rediss://peer-stream:password@127.0.0.1:${tlsPort}`;
const text = (path: string) => Bun.file(path).text();
const engines = enginesOn(
  { url },
  {
    tls: {
      ca: await text(certificates.ca),
      cert: await text(certificates.client.cert),
      key: await text(certificates.client.key),
    },
  },
);
afterEach(() => engines.close());
afterAll(() => redis[Symbol.asyncDispose]());

describeEngine("over TLS, as the user that the document makes", engines.open);
describeFacts("as the user that the document makes", engines.open);

describe("a node", () => {
  const files = {
    REDIS_CA_FILE: certificates.ca,
    REDIS_CERT_FILE: certificates.client.cert,
    REDIS_KEY_FILE: certificates.client.key,
  };

  test("reaches a Redis with a certificate of a private authority, which asks for one as well", async () => {
    await using server = await startServer({ ...secret, ...files, REDIS_URL: url });
    await using alice = await connectPeer(wsOf(server));
    expect(await alice.client.join.mutate()).toEqual({ status: "waiting" });
  });

  test("trusts no authority but those that it is told of, and says so", async () => {
    await using server = await startServer({ ...secret, REDIS_URL: url }, undefined, false);
    await until("it says why", () => /"fault":"unreachable".*certificate/.test(server.output));
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(503);
  });

  test("does not start with a file that is not there", async () => {
    const env = { ...secret, ...files, REDIS_URL: url, REDIS_CA_FILE: "/nowhere/ca.pem" };
    await expect(startServer(env)).rejects.toThrow(/REDIS_CA_FILE: .*"\/nowhere\/ca\.pem"/);
  });
});

test("two sites with prefixes of their own share one Redis, and nobody meets across them", async () => {
  await using one = await startServer({ ...secret, REDIS_URL: redis.url, REDIS_PREFIX: "one:" });
  await using other = await startServer({
    ...secret,
    REDIS_URL: redis.url,
    REDIS_PREFIX: "other:",
  });
  await using alice = await connectPeer(wsOf(one));
  await using bob = await connectPeer(wsOf(other));
  const join = (peer: typeof alice) => peer.client.join.mutate({ interests: ["chess"] });
  expect([await join(alice), await join(bob)]).toEqual([
    { status: "waiting" },
    { status: "waiting" },
  ]);
  await using carol = await connectPeer(wsOf(one));
  expect(await join(carol)).toMatchObject({ status: "paired" });
  expect("answered" in (await refusalOf(bob.client.leave.mutate()))).toBe(true);
  const keys = (await redis.cli("--scan")).split("\n").filter(Boolean);
  const prefixes = new Set(keys.map((key) => key.replace(/\{.*/, "")));
  for (const prefix of ["one:2:", "other:2:"]) expect([...prefixes]).toContain(prefix);
});
