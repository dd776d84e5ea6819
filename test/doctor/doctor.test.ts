/** The doctor, against real servers: what is well is found well, and what is not is named, with a way out. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createSocket } from "node:dgram";
import type { AddressInfo } from "node:net";
import { readConfig } from "../../src/config.ts";
import {
  checkCertificate,
  checkClock,
  checkOrigins,
  checkRedis,
  checkSecrets,
  checkTurn,
} from "../../src/doctor/checks.ts";
import { createSystem } from "../../src/system.ts";
import { startCoturn, type Coturn } from "../support/coturn.ts";

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
    cwd: new URL("../..", import.meta.url).pathname,
    env: { PATH, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const printed = await new Response(child.stdout).text();
  return { printed, exitCode: await child.exited };
}

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
    expect(printed).toMatch(/fail {2}Redis at 127.0.0.1 does not answer: /);
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
    expect(verdicts(checkCertificate(tls, 0))).toEqual(["fail"]);
    expect(checkCertificate(undefined, 0)).toEqual([]);
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

  test.each([
    ["redis://127.0.0.1", "+PONG\r\n", "ok"],
    ["redis://:word@127.0.0.1", "+OK\r\n+PONG\r\n", "ok"],
    ["redis://:word@127.0.0.1", "-WRONGPASS invalid\r\n-NOAUTH required\r\n", "fail"],
    ["redis://127.0.0.1", "-NOAUTH required\r\n", "fail"],
    ["http://127.0.0.1", "", "fail"],
  ])("Redis at %s that says %j is %s", async (url, says, verdict) => {
    using redis = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.write(says) },
    });
    const at = url.replace("127.0.0.1", `127.0.0.1:${redis.port}`);
    const findings = await checkRedis(at, system);
    expect(verdicts(findings)).toEqual([verdict]);
    expect(JSON.stringify(findings)).not.toContain("word@");
  });
});
