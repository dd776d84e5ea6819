/** The doctor, against real servers: what is well is found well, and what is not is named, with a way out. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtemp } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readConfig } from "../../src/config.ts";
import { checkAuth } from "../../src/doctor/auth.ts";
import { checkTraces } from "../../src/doctor/traces.ts";
import {
  checkCertificate,
  checkClock,
  checkOrigins,
  checkSecrets,
  checkTurn,
} from "../../src/doctor/checks.ts";
import { checkFacts } from "../../src/doctor/facts.ts";
import { checkRedis } from "../../src/doctor/redis.ts";
import { createRedisEngine } from "../../src/engine/redis/redis-engine.ts";
import { secretFingerprint } from "../../src/rpc/session-token.ts";
import { createSystem } from "../../src/system.ts";
import { startCoturn, type Coturn } from "../support/coturn.ts";
import { documentedAcl } from "../support/documents.ts";
import { engineOptions } from "../support/engine-options.ts";
import { freePort } from "../support/ports.ts";
import { startRedis } from "../support/redis.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { root } from "../support/root.ts";
import { startSentinels } from "../support/sentinels.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(30_000);

const system = createSystem();
const good = "q0V1nGzB7yT3mXk9LwRs4HdJ8cFpA2uE6oNi5vCx";
let coturn: Coturn;
beforeAll(async () => void (coturn = await startCoturn()));
afterAll(() => coturn[Symbol.asyncDispose]());

function configOf(env: Record<string, string>) {
  const config = readConfig(env);
  if ("problems" in config) throw new Error(config.problems.join());
  return config;
}

const stunUrl = () => coturn.url.replace("turn:", "stun:").replace(/\?.*/, "");

async function doctor(env: Record<string, string>) {
  const { PATH = "" } = process.env;
  const child = Bun.spawn([process.execPath, "run", "--silent", "doctor"], {
    cwd: root,
    env: { PATH, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const printed = await new Response(child.stdout).text();
  return { printed, exitCode: await child.exited };
}

test("the file of FACTS_FILE: all that is wrong with it", async () => {
  expect(checkFacts(configOf({}).factsFile)).toEqual([]);
  const file = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "facts.json");
  const { factsFile } = configOf({ FACTS_FILE: file });
  const said = () => checkFacts(factsFile).map(({ verdict, what }) => `${verdict} ${what}`);
  expect(said().join()).toMatch(/^fail FACTS_FILE: can't be read: ENOENT/);
  await Bun.write(file, '{ "a": { "kind": "flag" }, "b": { "kind": "one", "of": ["x"] } }');
  expect(said()).toEqual(["ok FACTS_FILE declares facts: a, b"]);
  await Bun.write(file, '{ "a": { "kind": "flags" }, "b": { "kind": "one", "of": [] } }');
  expect(said()).toEqual([
    "fail FACTS_FILE: a.kind: must be one, set, range or flag",
    "fail FACTS_FILE: b.of: must name a value",
  ]);
});

describe("bun run doctor", () => {
  test("finds a sound installation sound, with a real allocation, and ends with 0", async () => {
    const { printed, exitCode } = await doctor({
      NODE_ENV: "production",
      SESSION_SECRET: good,
      CORS_ORIGIN: "https://chat.example",
      STUN_URLS: stunUrl(),
      TURN_URLS: `${coturn.url},turn:127.0.0.1:${coturn.port}?transport=tcp`,
      TURN_SECRET: coturn.secret,
    });
    expect(printed).toContain("ok    the environment is understood");
    expect(printed).toContain("ok    SESSION_SECRET is hard to guess");
    expect(printed).toContain("ok    pages of https://chat.example may connect");
    expect(printed).toMatch(/ok {4}stun:\S+ answers, and sees this machine at 127\.0\.0\.1:\d+/);
    expect(printed.match(/gives the relayed address 127\.0\.0\.1:\d+/g)).toHaveLength(2);
    expect(printed).toContain(", 0 failed, ");
    expect(exitCode).toBe(0);
    expect(coturn.log).toMatch(/ALLOCATE processed, success/);
    for (const secret of [good, coturn.secret]) expect(printed).not.toContain(secret);
  });

  test("names what is wrong and what to do about it, and ends with 1", async () => {
    const { printed, exitCode } = await doctor({
      NODE_ENV: "production",
      SESSION_SECRET: "abcdefghabcdefgh",
      CORS_ORIGIN: "http://chat.example",
      STUN_URLS: "stun:127.0.0.1:9",
      TURN_URLS: coturn.url,
      TURN_SECRET: good,
      REDIS_URL: "redis://127.0.0.1:9",
    });
    expect(printed).toMatch(
      /fail {2}SESSION_SECRET looks like 48 bits .*\n +→ make one with: openssl/,
    );
    expect(printed).toMatch(/fail {2}CORS_ORIGIN lets in http:\/\/chat.example/);
    expect(printed).toMatch(/fail {2}stun:127.0.0.1:9 does not answer: /);
    expect(printed).toMatch(
      /fail {2}turn:\S+ refuses the credentials \(401\)\n.*static-auth-secret/,
    );
    expect(printed).toMatch(/fail {2}Redis at 127.0.0.1:9 does not answer: /);
    expect(printed).toContain(" 5 failed, ");
    expect(exitCode).toBe(1);
  });

  test("says which variable is not understood", async () => {
    const { printed, exitCode } = await doctor({ PORT: "none", GRACE_MS: "soon" });
    expect(printed).toContain("fail  PORT: must be a whole number");
    expect(printed).toContain("fail  GRACE_MS: must be a whole number");
    expect(exitCode).toBe(1);
  });
});

describe("looked at one by one", () => {
  const verdicts = (findings: { verdict: string }[]) => findings.map(({ verdict }) => verdict);

  test("a missing secret is worth a thought in development", () => {
    expect(verdicts(checkSecrets(configOf({})))).toEqual(["warn"]);
  });

  test("a secret that openssl made is hard to guess, a long word is not", () => {
    const secrets = [good, "correcthorsebatterystaple"];
    const findings = checkSecrets(configOf({ SESSION_SECRET: secrets.join(",") }));
    expect(verdicts(findings)).toEqual(["ok", "fail"]);
  });

  test("AUTH_JWT_SECRET is looked at like any other secret", () => {
    const config = configOf({ SESSION_SECRET: good, AUTH_JWT_SECRET: "abcdefgh".repeat(4) });
    expect(checkSecrets(config)).toMatchObject([
      { verdict: "ok" },
      { verdict: "fail", what: expect.stringContaining("AUTH_JWT_SECRET") },
    ]);
  });

  describe("the key set of AUTH_JWKS_URL", () => {
    async function checkKeysAt(url: string, env: Record<string, string> = {}) {
      return checkAuth(configOf({ AUTH_JWKS_URL: url, ...env }).auth, system);
    }

    test("is sound if it has a usable key; that it is accepted for any issuer and audience is worth a thought", async () => {
      const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
        "sign",
        "verify",
      ]);
      const key = { ...(await crypto.subtle.exportKey("jwk", pair.publicKey)), alg: "ES256" };
      using provider = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: () => Response.json({ keys: [key, { kty: "oct", k: "AAAA" }] }),
      });
      const url = provider.url.href;
      const env = { AUTH_ISSUER: "https://accounts.example", AUTH_AUDIENCE: "chat" };
      expect(await checkKeysAt(url, env)).toEqual([
        { verdict: "ok", what: "AUTH_JWKS_URL has usable keys: 1 (ES256)" },
      ]);
      const findings = await checkKeysAt(url);
      expect(verdicts(findings)).toEqual(["ok", "warn", "warn"]);
      expect(findings.map(({ what }) => what).join()).toMatch(/AUTH_ISSUER.*AUTH_AUDIENCE/);
    });

    test("is a fault if nobody answers, or what answers is no key set", async () => {
      const [nobody] = await checkKeysAt(`http://127.0.0.1:${await freePort()}/keys`);
      expect(nobody).toMatchObject({ verdict: "fail", what: expect.stringMatching(/connect/i) });
      using page = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("<p>") });
      const [html] = await checkKeysAt(page.url.href);
      expect(html).toMatchObject({ verdict: "fail", what: expect.stringContaining("not JSON") });
    });

    test("is not looked at where there is none", async () => {
      expect(await checkAuth(undefined, system)).toEqual([]);
      expect(await checkAuth(configOf({ AUTH_JWT_SECRET: good }).auth, system)).toEqual([]);
    });
  });

  test("a receiver of traces is asked whether it takes any; one that does not, or is not there, is a fault", async () => {
    const asked: [path: string, key: string | null, body: unknown][] = [];
    using receiver = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        const key = request.headers.get("x-key");
        asked.push([new URL(request.url).pathname, key, await request.json()]);
        return new Response("", { status: key === "right" ? 200 : 401 });
      },
    });
    const check = (endpoint: string, headers: string) =>
      checkTraces(
        configOf({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_HEADERS: headers })
          .traces,
      );
    expect(verdicts(await check(receiver.url.href, "x-key=right"))).toEqual(["ok"]);
    const [refused] = await check(receiver.url.href, "x-key=wrong");
    expect(refused?.verdict).toBe("fail");
    expect(refused?.what).toContain("401");
    expect(refused?.what).not.toContain("wrong");
    expect(asked).toEqual([
      ["/v1/traces", "right", { resourceSpans: [] }],
      ["/v1/traces", "wrong", { resourceSpans: [] }],
    ]);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    expect(verdicts(await check(nobody, ""))).toEqual(["fail"]);
    expect(await checkTraces(configOf({}).traces)).toEqual([]);
  });

  test("the default origin in production is worth a thought", () => {
    expect(
      verdicts(checkOrigins(configOf({ NODE_ENV: "production", SESSION_SECRET: good }))),
    ).toEqual(["warn"]);
  });

  test("no TURN server is worth a thought", async () => {
    expect(verdicts(await checkTurn(configOf({}), system))).toEqual(["warn"]);
  });

  test("a certificate that is not there is a fault", () => {
    const tls = { cert: "/nowhere/cert.pem", key: "/nowhere/key.pem" };
    expect(verdicts(checkCertificate({ tls, publicUrl: undefined }, 0))).toEqual(["fail"]);
    expect(checkCertificate(configOf({}), 0)).toEqual([]);
  });

  test.each([
    [0, "ok"],
    [10, "warn"],
    [-3600, "fail"],
  ])("a clock that is %d s off is %s", async (offS, verdict) => {
    const server = createSocket("udp4");
    server.on("message", (_, from) => {
      const answer = Buffer.alloc(48);
      answer.writeUInt32BE(Math.floor(Date.now() / 1000) + 2_208_988_800 + offS, 40);
      answer.writeUInt32BE(((Date.now() % 1000) * 4_294_967) >>> 0, 44);
      server.send(answer, from.port, from.address);
    });
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    expect(verdicts(await checkClock({ host: "127.0.0.1", port }, system))).toEqual([verdict]);
    server.close();
  });
});

/** A self-signed certificate for 127.0.0.1 and chat.example, and its key; made by openssl. */
async function certificate(...more: string[]) {
  const directory = await mkdtemp(join(tmpdir(), "peer-stream-doctor-"));
  const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  const names = "subjectAltName=IP:127.0.0.1,DNS:chat.example";
  await Bun.$`openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=chat.example -addext ${names} -keyout ${key} -out ${cert} ${more}`.quiet();
  return { cert, key };
}

const withTls = (tls: { cert: string; key: string }, publicUrl = "https://chat.example") =>
  configOf({ TLS_CERT: tls.cert, TLS_KEY: tls.key, PUBLIC_URL: publicUrl });

describe("D17 a certificate", () => {
  const said = async (tls: { cert: string; key: string }, publicUrl?: string, inDays = 0) =>
    checkCertificate(withTls(tls, publicUrl), Date.now() + inDays * 86_400_000)
      .map(({ verdict, what }) => `${verdict} ${what}`)
      .join("\n");

  test("that nobody else has signed, or that ends soon, is worth a thought", async () => {
    const tls = await certificate();
    expect(await said(tls)).toMatch(/^warn .* self-signed[^\n]*$/);
    expect(await said(tls, "https://127.0.0.1")).toMatch(/^warn .* self-signed[^\n]*$/);
    expect(await said(tls, undefined, 20)).toMatch(/warn .* ends in \d days/);
  });

  test("that can't be used is a fault, with the reason", async () => {
    const [tls, other] = [await certificate(), await certificate()];
    expect(await said({ ...tls, key: other.key })).toMatch(/^fail the key of TLS_KEY is not that/);
    expect(await said({ ...tls, key: tls.cert })).toMatch(/^fail TLS_KEY can't be read/);
    expect(await said({ ...tls, cert: tls.key })).toMatch(/^fail TLS_CERT can't be read/);
    expect(await said(tls, undefined, 31)).toMatch(/^fail .* ended on/);
    expect(await said(tls, undefined, -2)).toMatch(/^fail .* begins on/);
    expect(await said(tls, "https://other.example")).toMatch(/^fail .* not for other\.example/);
    expect(await said(tls, "https://192.0.2.1")).toMatch(/^fail .* not for 192\.0\.2\.1/);
    const encrypted = join(dirname(tls.key), "encrypted.pem");
    await Bun.$`openssl pkey -in ${tls.key} -aes128 -passout pass:word -out ${encrypted}`.quiet();
    expect(await said({ ...tls, key: encrypted })).toMatch(/^fail TLS_KEY can't be read/);
  });
});

describe("D17 Redis", () => {
  const said = async (site: string | Record<string, string>, secrets?: string[]) => {
    const env = typeof site === "string" ? { REDIS_URL: site } : site;
    const { redis } = configOf({ ...env, SESSION_SECRET: good });
    const findings = await checkRedis(redis, secrets, system);
    expect(JSON.stringify(findings)).not.toContain("hidden");
    return findings.map(({ verdict, what }) => `${verdict} ${what}`).join("\n");
  };

  test("is looked at as the nodes use it: replica, database, login, rights, memory, TLS at an IP address", async () => {
    await using stack = new AsyncDisposableStack();
    const tlsPort = await freePort();
    const { cert, key } = await certificate();
    const redis = stack.use(
      await startRedis(
        `--tls-port ${tlsPort} --tls-cert-file ${cert} --tls-key-file ${key} --tls-auth-clients no`.split(
          " ",
        ),
      ),
    );
    expect(await said(redis.url)).toMatch(
      /^ok Redis \d\S+ at 127\.0\.0\.1:\d+ answers, and can be/,
    );
    expect(await said(`${redis.url}/99`)).toMatch(/^fail .* DB index/);
    expect(await said(redis.url.replace("//", "//who:hidden@"))).toMatch(/^fail .*WRONGPASS/);
    expect(await said(`redis://127.0.0.1:${await freePort()}`)).toMatch(/^fail .* does not answer/);
    expect(await said(`rediss://127.0.0.1:${tlsPort}`)).toMatch(/^fail .*self.signed/);

    await redis.cli("ACL", "SETUSER", "narrow", "on", ">hidden", "~other:*", "&*", "+@all");
    const narrow = redis.url.replace("//", "//narrow:hidden@");
    expect(await said(narrow)).toMatch(/^fail .*(NOPERM|permission)/);
    await redis.cli("ACL", "SETUSER", "narrow", "~peer-stream:*", "resetchannels");
    expect(await said(narrow)).toMatch(/^fail .*publish to the channel/);
    await redis.cli("ACL", "SETUSER", "narrow", "&peer-stream:*");
    expect(await said(narrow)).toMatch(/^ok /);

    await redis.cli("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru");
    expect(await said(redis.url)).toMatch(/fail .*maxmemory-policy is allkeys-lru/);
    await redis.cli("CONFIG", "SET", "maxmemory", "1mb", "maxmemory-policy", "noeviction");
    expect(await said(redis.url)).toMatch(/^fail .*OOM/);
    await redis.cli("CONFIG", "SET", "maxmemory", "0", "appendonly", "no");
    expect(await said(redis.url)).toMatch(/warn a restart of Redis loses sessions/);

    const replica = stack.use(await startRedis(["--replicaof", "127.0.0.1", String(redis.port)]));
    expect(await said(replica.url)).toMatch(
      new RegExp(`^fail .* is a replica of 127\\.0\\.0\\.1:${redis.port}`),
    );
    replica.freeze();
    expect(await said(replica.url)).toMatch(/^fail .* no answer within 5 s/);
    replica.thaw();
  });

  test("with a user that lacks rights: which", async () => {
    await using redis = await startRedis();
    await redis.cli(...documentedAcl());
    const url = redis.url.replace("//", "//peer-stream:password@");
    expect(await said(url)).toMatch(/^ok Redis .* can be written$/m);
    await redis.cli("ACL", "SETUSER", "peer-stream", "-zpopmin", "-ssubscribe");
    expect(await said(url)).toMatch(
      /^fail this user of Redis .* may not run ZPOPMIN, SSUBSCRIBE$/m,
    );
    await redis.cli("ACL", "SETUSER", "peer-stream", "+ssubscribe", "-info");
    expect(await said(url)).toMatch(/^fail .* refuses: NOPERM .*'info'/);
  });

  test("with another prefix than the user may use", async () => {
    await using redis = await startRedis();
    await redis.cli(...documentedAcl());
    const REDIS_URL = redis.url.replace("//", "//peer-stream:password@");
    expect(await said({ REDIS_URL, REDIS_PREFIX: "other:" })).toMatch(/^fail .* refuses: NOPERM/);
  });

  test("found by Sentinels: whether each answers, and knows the name", async () => {
    await using stack = new AsyncDisposableStack();
    const redis = stack.use(await startRedis());
    const sentinels = stack.use(
      await startSentinels(redis, 0, { name: "mymaster", password: "hidden", auth: "none" }),
    );
    const [first = "", second = "", third = ""] = sentinels.addresses.split(",");
    const site = {
      REDIS_URL: "redis://mymaster",
      REDIS_SENTINELS: sentinels.addresses,
      REDIS_SENTINEL_PASSWORD: "hidden",
    };
    const sound = await said(site);
    for (const one of [first, second, third])
      expect(sound).toContain(
        `ok the Sentinel ${one} answers: mymaster is at 127.0.0.1:${redis.port}`,
      );
    expect(sound).toMatch(/^ok Redis .* can be written$/m);
    expect(sound).not.toContain("fail");

    expect(await said({ ...site, REDIS_URL: "redis://another" })).toContain(
      `fail the Sentinel ${first} knows no master named another`,
    );
    expect(await said({ ...site, REDIS_SENTINEL_PASSWORD: "wrong" })).toMatch(
      /fail the Sentinel \S+ refuses: WRONGPASS/,
    );
    expect(await said({ ...site, REDIS_SENTINELS: first })).toMatch(/warn there are 1 Sentinels/);
    await sentinels.kill(2);
    const lame = await said(site);
    expect(lame).toContain(`fail the Sentinel ${third} does not answer`);
    expect(lame).toMatch(/^ok Redis .* can be written$/m);
  });

  test("in a cluster: its state, its slots, and masters without a replica", async () => {
    await using cluster = await startRedisCluster();
    const site = { REDIS_URL: cluster.urls, REDIS_CLUSTER: "true" };
    const lonely = await said(site);
    expect(lonely).toMatch(/^warn masters of the cluster have no replica/);
    expect(lonely).not.toMatch(/^fail/m);
    // Each of the three has a part.
    const masters = [...lonely.matchAll(/^ok part \d: Redis \S+ at (\S+) answers, and can be/gm)];
    expect(masters.map(([, host]) => host).sort()).toEqual(
      cluster.masters.map(({ port }) => `127.0.0.1:${port}`).sort(),
    );
    const [first, , last] = cluster.masters;
    expect(await said({ REDIS_URL: first?.url ?? "" })).toMatch(/^fail .* is a node of a cluster/);

    await last?.kill();
    await until("the cluster is not in order", async () =>
      (await first?.cli("cluster", "info"))?.includes("cluster_state:fail"),
    );
    const broken = await said(site);
    expect(broken).toMatch(/^fail the cluster is not in order, says \S+: cluster_state:fail$/m);
    expect(broken).toMatch(/^fail part 0: nobody tells where Redis is: CLUSTERDOWN/m);
  });

  test("D12 whether the session secrets of the nodes that run fit this one's", async () => {
    await using redis = await startRedis();
    const nodes = ["host:1", "host:2"];
    const node = async (...secrets: string[]) => {
      const about = `secrets=${secrets.map(secretFingerprint).join(",")}`;
      const engine = createRedisEngine(system, engineOptions, {
        locations: [redis.url],
        clock: system,
        about,
        name: nodes.shift() ?? "",
      });
      await engine.opened();
      return { [Symbol.asyncDispose]: async () => engine.close() };
    };
    await using _first = await node("old", "new");
    await using _second = await node("old");
    expect(await said(redis.url, ["old"])).toContain("ok SESSION_SECRET fits the 2 running nodes");
    const early = await said(redis.url, ["new", "old"]);
    expect(early.match(/fail node .* does not accept tokens signed with the first/g)).toEqual([
      "fail node host:2 does not accept tokens signed with the first",
    ]);
    expect((await said(redis.url, ["new"])).match(/fail /g)).toHaveLength(2);
    expect(await redis.cli("GET", await redis.cli("KEYS", "*node:*"))).not.toContain("old");
  });
});

test("D17 turns: at an IP address is looked at, and its certificate named", async () => {
  const { cert, key } = await certificate();
  const port = await freePort();
  await using relay = await startCoturn([
    `--tls-listening-port=${port}`,
    `--cert=${cert}`,
    `--pkey=${key}`,
  ]);
  const { printed, exitCode } = await doctor({
    TURN_URLS: `turns:127.0.0.1:${port}?transport=tcp`,
    TURN_SECRET: relay.secret,
    STUN_URLS: stunUrl(),
    REDIS_URL: "rediss://127.0.0.1:9",
    SESSION_SECRET: good,
  });
  expect(printed).toMatch(/fail {2}turns:\S+ does not answer: .*self.signed/);
  expect(printed).toMatch(/fail {2}Redis at 127\.0\.0\.1:9 does not answer/);
  expect(printed).toMatch(/\d+ looked at, 2 failed/);
  expect(exitCode).toBe(1);
});
