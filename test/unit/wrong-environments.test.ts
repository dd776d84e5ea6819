/** Wrong environments: each is refused by the name of its variable, with its value unless that is secret, and with the cure. */
import { describe, expect, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readEnvironment, readProgram } from "../../src/config-files.ts";
import { warningsOf } from "../../src/config-warnings.ts";
import { confidentialNames, readConfig, variableNames } from "../../src/config.ts";
import { operating } from "../support/documents.ts";
import { readOptions } from "../../src/app/options.ts";

type Environment = Record<string, string>;

const folder = await mkdtemp(join(tmpdir(), "peer-stream-environment-"));
const written = async (name: string, content: string | Uint8Array) => {
  const path = join(folder, name);
  await Bun.write(path, content);
  return path;
};

const good = "q0V1nGzB7yT3mXk9LwRs4HdJ8cFpA2uE6oNi5vCx";
/** Part of each secret value below: no message may have it. */
const hidden = "Hidden9";
const secretOf = (rest: string) => `${hidden}${rest}`;
const sound = { SESSION_SECRET: good };

const problemsOf = (env: Environment): string[] => {
  const read = readProgram(env);
  return "problems" in read ? read.problems : [];
};

/** One problem each, which has all of these texts. */
const table: [env: Environment, ...texts: string[]][] = [
  // Numbers.
  [{ PORT: "http" }, "PORT: ", '"http"', "whole number from 0 to 65535"],
  [{ PORT: "70000" }, "PORT: ", '"70000"', "at most 65535"],
  [{ PORT: "3000-3010" }, "PORT: ", '"3000-3010"', "whole number"],
  [{ PORT: "tcp://10.0.0.1:3000" }, "PORT: ", '"tcp://10.0.0.1:3000"', "whole number"],
  [{ PORT: "3 000" }, "PORT: ", '"3 000"', "write 3000"],
  [{ PORT: "3000 # the port" }, "PORT: has a comment in it", "line of its own"],
  [{ PORT: '"3000"' }, "PORT: has quotes around it", "remove them"],
  [{ PORT: "${PORT}" }, "PORT: is a reference that nothing has replaced", "write the value"],
  [{ GRACE_MS: "5s" }, "GRACE_MS: ", '"5s"', "write 5000"],
  [{ GRACE_MS: "5m" }, "GRACE_MS: ", '"5m"', "write 300000"],
  [{ GRACE_MS: "1.5 minutes" }, "GRACE_MS: ", '"1.5 minutes"', "write 90000"],
  [{ GRACE_MS: "15_000" }, "GRACE_MS: ", '"15_000"', "write 15000"],
  [{ GRACE_MS: "15,000" }, "GRACE_MS: ", '"15,000"', "write 15000"],
  [{ GRACE_MS: "15.000" }, "GRACE_MS: ", '"15.000"', "from 0 to 3600000"],
  [{ GRACE_MS: "-1" }, "GRACE_MS: ", '"-1"', "from 0 to 3600000"],
  [{ GRACE_MS: "NaN" }, "GRACE_MS: ", '"NaN"', "from 0 to 3600000"],
  [{ GRACE_MS: "Infinity" }, "GRACE_MS: ", '"Infinity"', "from 0 to 3600000"],
  [{ GRACE_MS: "1e999" }, "GRACE_MS: ", '"1e999"', "from 0 to 3600000"],
  [{ GRACE_MS: "0x10" }, "GRACE_MS: ", '"0x10"', "from 0 to 3600000"],
  [{ GRACE_MS: "１５" }, "GRACE_MS: ", '"１５"', "from 0 to 3600000"],
  [{ GRACE_MS: "9".repeat(400) }, "GRACE_MS: ", '"999', "…", "from 0 to 3600000"],
  [{ TURN_TTL_S: "1h" }, "TURN_TTL_S: ", '"1h"', "write 3600"],
  [{ LIMIT_EVIDENCE_BYTES: "16MiB" }, "LIMIT_EVIDENCE_BYTES: ", '"16MiB"', "write 16777216"],
  [{ SUSPEND_STEPS: "1h" }, "SUSPEND_STEPS: ", '"1h"', "write 3600000"],
  [{ SUSPEND_STEPS: "3600000,soon" }, "SUSPEND_STEPS: ", '"3600000,soon"', "whole number"],
  [{ SUSPEND_MS: "1000", SUSPEND_STEPS: "1000" }, "SUSPEND_MS: and SUSPEND_STEPS exclude"],
  [
    { REDIS_SHARDS: "2.5", REDIS_CLUSTER: "1", REDIS_URL: "redis://a", ...sound },
    "REDIS_SHARDS: ",
    '"2.5"',
  ],
  // Words.
  [{ FORCE_RELAY: "yes" }, "FORCE_RELAY: ", '"yes"', "true or false"],
  [{ HINTS: "on" }, "HINTS: ", '"on"', "true or false"],
  [{ AUTH_REQUIRED: "2" }, "AUTH_REQUIRED: ", '"2"', "true or false"],
  [{ NODE_ENV: "prod" }, "NODE_ENV: ", '"prod"', "development, production, test"],
  [{ LOG_LEVEL: "verbose" }, "LOG_LEVEL: ", '"verbose"', "trace, debug, info"],
  [{ CHALLENGE: "true" }, "CHALLENGE: ", '"true"', "off, on, adaptive"],
  [{ CHAT: "both" }, "CHAT: ", '"both"', "direct, server"],
  // Addresses.
  [{ HOST: "http://0.0.0.0" }, "HOST: ", '"http://0.0.0.0"', "without a scheme"],
  [{ HOST: "[::1]" }, "HOST: ", '"[::1]"', "brackets"],
  [{ HOST: "localhost:3000" }, "HOST: ", '"localhost:3000"', "PORT"],
  [{ PUBLIC_URL: "chat.example.com" }, "PUBLIC_URL: ", '"chat.example.com"', "https://example.com"],
  [{ PUBLIC_URL: "https://chat.example.com/" }, "PUBLIC_URL: ", "write https://chat.example.com"],
  [{ CORS_ORIGIN: "*" }, "CORS_ORIGIN: ", '"*"', "name each origin"],
  [
    { CORS_ORIGIN: `https://me:${secretOf("")}@a.example` },
    "CORS_ORIGIN: ",
    '"https://…@a.example"',
    "user name",
  ],
  [{ CORS_ORIGIN: `wss://me:${secretOf("")}@a.example` }, "CORS_ORIGIN: ", "https://…@a.example"],
  [{ CORS_ORIGIN: `https://me:${secretOf(",x@a.example")}` }, "CORS_ORIGIN: ", "…"],
  [{ STUN_URLS: "stun://stun.example" }, "STUN_URLS: ", '"stun://stun.example"', "no slashes"],
  [
    { STUN_URLS: "stun:stun.example:70000" },
    "STUN_URLS: ",
    '"stun:stun.example:70000"',
    "stun:host",
  ],
  [
    { TURN_URLS: `turn:me:${secretOf("")}@turn.example`, TURN_SECRET: good },
    "TURN_URLS: ",
    '"turn:…@turn.example"',
    "turn:host",
  ],
  [{ TRUSTED_PROXIES: "10.0.0.0/33" }, "TRUSTED_PROXIES: ", "10.0.0.0/33"],
  [
    { EVIDENCE_URL: `https://mod.example/?key=${secretOf("")}` },
    "EVIDENCE_URL: ",
    '"https://mod.example/?…"',
    "{caseId}",
  ],
  [
    { AUTH_JWKS_URL: `https://me:${secretOf("")}@keys.example` },
    "AUTH_JWKS_URL: ",
    '"https://…@keys.example"',
    "without a user name",
  ],
  [
    { RULES_URL: "rules.example", RULES_VERSION: "1" },
    "RULES_URL: ",
    '"rules.example"',
    "https://",
  ],
  [{ LOBBIES: `ok,${"x".repeat(65)}` }, "LOBBIES: ", '"xxx', "1 to 64 printable"],
  [{ AUTH_COOKIE: "a b", AUTH_JWT_SECRET: good }, "AUTH_COOKIE: ", '"a b"', "name of a cookie"],
  // Secrets.
  [{ SESSION_SECRET: secretOf("") }, "SESSION_SECRET: ", "at least 16"],
  [
    { SESSION_SECRET: `"${secretOf(good)}"` },
    "SESSION_SECRET: has quotes around it",
    "remove them",
  ],
  [{ SESSION_SECRET: "$(openssl rand -base64 32)" }, "SESSION_SECRET: is a reference"],
  [{ ADMIN_TOKEN: secretOf("-ümläut-in-a-header") }, "ADMIN_TOKEN: ", "printable ASCII", "openssl"],
  [
    { METRICS_TOKEN: secretOf(good), ADMIN_TOKEN: secretOf(good) },
    "ADMIN_TOKEN: is the same as METRICS_TOKEN",
  ],
  [{ NODE_ENV: "production" }, "SESSION_SECRET: is needed in production", "openssl"],
  [
    { TURN_PROVIDER_TOKEN: secretOf(" x"), TURN_PROVIDER: "twilio", TURN_PROVIDER_ID: "AC0" },
    "TURN_PROVIDER_TOKEN: ",
    "without spaces",
  ],
  [
    { MODERATION_WEBHOOK: `hooks.example/${secretOf("")}`, MODERATION_SECRET: good },
    "MODERATION_WEBHOOK: ",
    "https://",
  ],
  [
    { EVENTS_WEBHOOK: `hooks.example/${secretOf("")}`, EVENTS_SECRET: good },
    "EVENTS_WEBHOOK: ",
    "https://",
  ],
  [
    { REDIS_URL: `localhost:${secretOf("")}`, ...sound },
    "REDIS_URL: ",
    "redis://user:password@host:6379",
  ],
  [{ REDIS_URL: `redis://me:${secretOf("#1")}@redis.example`, ...sound }, "REDIS_URL: ", "%23"],
  [{ REDIS_URL: `redis://me:${secretOf("?1")}@redis.example`, ...sound }, "REDIS_URL: ", "%3F"],
  [{ REDIS_URL: `redis://me:${secretOf(",1")}@redis.example`, ...sound }, "REDIS_URL: ", "%2C"],
  [
    { REDIS_URL: `redis://me:${secretOf("")}@redis.example/main`, ...sound },
    "REDIS_URL: ",
    "6379/0",
  ],
  // What does not fit together.
  [
    { TLS_CERT: await written("cert.pem", "-----BEGIN CERTIFICATE-----") },
    "TLS_KEY: TLS_CERT and TLS_KEY are needed together",
  ],
  [{ TURN_URLS: "turn:turn.example" }, "TURN_SECRET: is needed with TURN_URLS"],
  [{ TURN_SECRET: secretOf(good) }, "TURN_SECRET: has no use without TURN_URLS"],
  [{ FORCE_RELAY: "TRUE" }, "TURN_URLS: or TURN_PROVIDER is needed with FORCE_RELAY"],
  [{ REDIS_URL: `redis://:${secretOf("")}@a` }, "SESSION_SECRET: is needed with REDIS_URL"],
  [{ REDIS_SENTINELS: "a:1" }, "REDIS_URL: is needed with REDIS_SENTINELS"],
  [
    { REDIS_SENTINELS: "a:99999", REDIS_URL: "redis://m", ...sound },
    "REDIS_SENTINELS: ",
    '"a:99999"',
    "host:26379",
  ],
  [
    { REDIS_SENTINEL_PASSWORD: secretOf("") },
    "REDIS_SENTINEL_PASSWORD: has no use without REDIS_SENTINELS",
  ],
  [
    {
      REDIS_CA_FILE: await written("ca.pem", "-----BEGIN CERTIFICATE-----"),
      REDIS_URL: "redis://a",
      ...sound,
    },
    "REDIS_CA_FILE: is for TLS",
    "rediss://",
  ],
  [{ EVENTS_TYPES: "ended" }, "EVENTS_TYPES: has no use without EVENTS_WEBHOOK"],
  [
    { MODERATION_SECRET: secretOf(good) },
    "MODERATION_SECRET: and MODERATION_WEBHOOK are needed together",
  ],
  [{ RULES_REQUIRED: "true" }, "RULES_REQUIRED: has no use without RULES_VERSION"],
  [{ AUTH_REQUIRED: "true" }, "AUTH_JWKS_URL: or AUTH_JWT_SECRET is needed with AUTH_REQUIRED"],
  // Files.
  [
    { FACTS_FILE: join(folder, "none.json") },
    "FACTS_FILE: ",
    "ENOENT, there is no such file",
    "none.json",
  ],
  [{ FACTS_FILE: folder }, "FACTS_FILE: is a directory"],
  [{ FACTS_FILE: "/proc/self/mem" }, "FACTS_FILE: can't be read", "/proc/self/mem"],
  [{ FACTS_FILE: "/dev/zero" }, "FACTS_FILE: is no regular file", "/dev/zero"],
  [
    { FACTS_FILE: await written("huge.json", " ".repeat(1_048_577)) },
    "FACTS_FILE: has 1048577 bytes",
    "huge.json",
  ],
  [
    { FACTS_FILE: await written("utf16.json", new Uint8Array([0xff, 0xfe, 0x7b, 0])) },
    "FACTS_FILE: is no text in UTF-8",
  ],
  [{ FACTS_FILE: await written("text.json", "region") }, "FACTS_FILE: is no JSON"],
  [
    {
      TLS_CERT: join(folder, "no.pem"),
      TLS_KEY: await written("key.pem", "-----BEGIN PRIVATE KEY-----"),
    },
    "TLS_CERT: can't be read: ENOENT",
    "no.pem",
  ],
  [
    { TLS_CERT: join(folder, "cert.pem"), TLS_KEY: await written("garbage.pem", "key") },
    "TLS_KEY: is no PEM file",
    "garbage.pem",
  ],
  [{ REDIS_CA_FILE: folder, REDIS_URL: "rediss://a", ...sound }, "REDIS_CA_FILE: is a directory"],
];

describe("a wrong environment", () => {
  test.each(table)("%j", (env, ...texts) => {
    const problems = problemsOf(env);
    const [first = ""] = problems;
    expect(first).toStartWith(texts[0] ?? "");
    for (const text of texts) expect(first).toContain(text);
    const name = first.slice(0, first.indexOf(":"));
    expect(variableNames).toContain(name);
    expect(problems.filter((problem) => !problem.startsWith(`${name}: `))).toEqual([]);
    expect(problems.join()).not.toContain(hidden);
  });

  test("has all its problems reported at once, and none that only follows from another", () => {
    const problems = problemsOf({
      NODE_ENV: "production",
      PORT: "http",
      SESSION_SECRET: "short",
      REDIS_URL: "redis://a",
      TURN_URLS: "turn:turn.example",
      TLS_CERT: join(folder, "none.pem"),
      FACTS_FILE: join(folder, "none.json"),
      ADMIN_TOKEN_FILE: join(folder, "none"),
    });
    expect(problems.map((problem) => problem.slice(0, problem.indexOf(":"))).sort()).toEqual([
      "ADMIN_TOKEN_FILE",
      "FACTS_FILE",
      "PORT",
      "SESSION_SECRET",
      "TLS_CERT",
      "TLS_KEY",
      "TURN_SECRET",
    ]);
  });

  test("is not one that is only written otherwise", async () => {
    for (const text of ["true", "TRUE", "True", "1", " true "])
      expect(readConfig({ HINTS: text })).toMatchObject({ takesHints: true });
    for (const text of ["false", "FALSE", "0", ""])
      expect(readConfig({ HINTS: text })).toMatchObject({ takesHints: false });
    expect(readConfig({ PORT: " 8080\t" })).toMatchObject({ port: 8080 });
    for (const HOST of ["::1", "::", "10.0.0.1", "localhost", "my-host.example"])
      expect(readConfig({ HOST })).toMatchObject({ host: HOST });
    expect(readConfig({ RULES_VERSION: "1", RULES_TEXT: '"Be kind." # really' })).toMatchObject({
      rules: { text: '"Be kind." # really' },
    });
    const REDIS_URL = "redis://me:a%23b%3Fc%2Cd@redis.example:6379/3";
    expect(readConfig({ ...sound, REDIS_URL })).toMatchObject({
      redis: { locations: [REDIS_URL] },
    });
    const FACTS_FILE = await written("bom.json", '\ufeff{ "adult": { "kind": "flag" } }');
    expect(problemsOf({ FACTS_FILE })).toEqual([]);
  });
});

describe("an environment that starts, though probably not as it was meant", () => {
  test.each<[env: Environment, warning: string]>([
    [{ SESION_SECRET: good }, "did you mean SESSION_SECRET?"],
    [{ SESSION_SECRET_FIEL: "/run/secrets/x" }, "did you mean SESSION_SECRET_FILE?"],
    [{ PEER_STREAM_PORT: "80" }, "PEER_STREAM_PORT is not read"],
    [{ PEERSTREAM_REDIS_URL: "redis://a" }, "did you mean REDIS_URL?"],
    [{ SESSIONSECRET: good }, "did you mean SESSION_SECRET?"],
    [{ "GRACE-MS": "1" }, "did you mean GRACE_MS?"],
    [{ GRACE_SECONDS: "15" }, "did you mean GRACE_MS?"],
    [{ SKIP_COOLDOWN: "15" }, "did you mean SKIP_COOLDOWN_MS?"],
    [{ TRUSTED_PROXY: "10.0.0.1" }, "did you mean TRUSTED_PROXIES?"],
    [{ STUN_SERVER: "a", TURN_URL: "turn:a" }, "did you mean TURN_URLS?"],
    [{ REDIS_PREFIX: "mine:" }, "REDIS_PREFIX has no effect without REDIS_URL"],
    [{ TURN_TTL_S: "600" }, "TURN_TTL_S has no effect without TURN_URLS or TURN_PROVIDER"],
    [{ CHALLENGE_DIFFICULTY: "9", CHALLENGE: "off" }, "has no effect without CHALLENGE"],
    [{ EVIDENCE_URL: "https://mod.example/{caseId}" }, "has no effect without ADMIN_TOKEN"],
    [{ NODE_ENV: "production", PUBLIC_URL: "http://chat.example" }, "no camera"],
  ])("%j is warned of", (env, warning) => {
    expect(warningsOf(env)).toEqual([expect.stringContaining(warning)]);
    expect(warningsOf(env).join()).not.toContain(good);
  });

  test("what is somebody else's is not warned of, nor what has its effect", () => {
    const foreign = { PATH: "/bin", REDIS_PORT: "tcp://10.0.0.1:6379", HOSTNAME: "a", PORTS: "1" };
    const own = {
      REDIS_PREFIX: "a:",
      REDIS_URL_FILE: "/run/secrets/redis",
      PUBLIC_URL: "http://a",
    };
    expect(warningsOf({ ...foreign, ...own, NODE_ENV: "development" })).toEqual([]);
  });
});

describe("a secret in a file", () => {
  /** A sound value of each, and what else has to be set with it. */
  const values: Record<string, [value: string, others?: Environment]> = {
    SESSION_SECRET: [good],
    TURN_SECRET: [good, { TURN_URLS: "turn:turn.example" }],
    TURN_PROVIDER_TOKEN: ["a-token", { TURN_PROVIDER: "twilio", TURN_PROVIDER_ID: "AC0" }],
    REDIS_URL: ["redis://me:secret@redis.example", sound],
    REDIS_SENTINEL_PASSWORD: ["secret", { ...sound, REDIS_URL: "redis://a", REDIS_SENTINELS: "b" }],
    AUTH_JWT_SECRET: [good],
    METRICS_TOKEN: [good],
    ADMIN_TOKEN: [good],
    MODERATION_WEBHOOK: ["https://hooks.example/secret", { MODERATION_SECRET: good }],
    MODERATION_SECRET: [good, { MODERATION_WEBHOOK: "https://hooks.example" }],
    EVENTS_WEBHOOK: ["https://hooks.example/secret", { EVENTS_SECRET: good }],
    EVENTS_SECRET: [good, { EVENTS_WEBHOOK: "https://hooks.example" }],
    OTEL_EXPORTER_OTLP_HEADERS: [
      "authorization=secret",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "https://traces.example" },
    ],
  };

  test("is each variable that can hold one, by its name", () => {
    const named = variableNames.filter((name) =>
      /SECRET|TOKEN|PASSWORD|WEBHOOK|REDIS_URL|HEADERS/.test(name),
    );
    expect(confidentialNames.toSorted()).toEqual(named.toSorted());
    expect(Object.keys(values).sort()).toEqual(confidentialNames.toSorted());
    // None of them is already the name of something else.
    for (const name of confidentialNames) expect(variableNames).not.toContain(`${name}_FILE`);
  });

  test("is documented, each by its name", () => {
    const [, section = ""] = operating.split("\n### Secrets in files\n");
    const documented = [...(section.split("\n#")[0] ?? "").matchAll(/`([A-Z][A-Z_]+)`/g)];
    expect(documented.map(([, name = ""]) => name).sort()).toEqual(confidentialNames.toSorted());
  });

  test.each(Object.keys(values))(
    "%s is read like the variable, without one newline at its end",
    async (name) => {
      const [value, others = {}] = values[name] ?? [""];
      const direct = readEnvironment({ ...others, [name]: value });
      expect(direct).toHaveProperty("config");
      for (const end of ["", "\n", "\r\n"]) {
        const path = await written(`${name}${end.length}`, `${value}${end}`);
        const read = readEnvironment({ ...others, [`${name}_FILE`]: ` ${path} ` });
        expect("config" in read && JSON.stringify(read.config)).toBe(
          "config" in direct && JSON.stringify(direct.config),
        );
      }
    },
  );

  test.each(Object.keys(values))(
    "%s: what is wrong with the file is named, and nothing else",
    async (name) => {
      const [value, others = {}] = values[name] ?? [""];
      const variable = `${name}_FILE`;
      const wrong: [path: string, problem: string][] = [
        [join(folder, "nothing"), "ENOENT"],
        [folder, "is a directory"],
        ["/proc/self/mem", "can't be read"],
        [await written("empty", ""), "is empty"],
        [await written("blank", " \n"), "is empty"],
        [await written("large", "x".repeat(65_537)), "has 65537 bytes"],
        [await written("lines", `${value}\n${hidden}\n`), "more than one line"],
        [`"${folder}"`, "has quotes around it"],
        // The secret in place of the path.
        [`${hidden}${good}`, "not the secret itself"],
        [`/${hidden}/${good}`, "not the secret itself"],
      ];
      for (const [path, problem] of wrong) {
        const problems = problemsOf({ ...others, [variable]: path });
        expect(problems).toEqual([expect.stringMatching(new RegExp(`^${variable}: .*${problem}`))]);
        expect(problems.join()).not.toContain(hidden);
      }
      expect(problemsOf({ ...others, [name]: value, [variable]: join(folder, "nothing") })).toEqual(
        [`${variable}: and ${name} exclude each other: set one of them`],
      );
      expect(problemsOf({ ...others, [name]: value, [variable]: " " })).toEqual([]);
    },
  );

  test("that is no proper value is named by its variable, and not shown", async () => {
    const ADMIN_TOKEN_FILE = await written("short", hidden);
    expect(problemsOf({ ADMIN_TOKEN_FILE })).toEqual([
      "ADMIN_TOKEN: it must be at least 16 characters",
    ]);
  });

  test("is also read for a host that is configured by the variables", async () => {
    const SESSION_SECRET_FILE = await written("of-host", `${good}\n`);
    expect(readOptions({ SESSION_SECRET_FILE })).toMatchObject({ sessionSecret: [good] });
    expect(() => readOptions({ SESSION_SECRET_FILE: folder })).toThrow("is a directory");
  });
});
