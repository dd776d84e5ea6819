import { describe, expect, test } from "bun:test";
import { readConfig, variableNames } from "../../src/config.ts";
import { warningsOf } from "../../src/config-warnings.ts";
import { lifecycleTypes } from "../../src/domain/lifecycle.ts";
import { join } from "node:path";
import { root } from "../support/root.ts";

describe("the configuration", () => {
  test("has defaults that suit a developer's machine", () => {
    expect(readConfig({})).toMatchObject({
      port: 3000,
      host: "0.0.0.0",
      origins: { allowed: ["http://localhost:5173"], allowNone: true },
      graceMs: 15_000,
    });
    const SESSION_SECRET = "a secret of the tests";
    expect(readConfig({ NODE_ENV: "production", SESSION_SECRET })).toMatchObject({
      skipCooldownMs: 300_000,
    });
    expect(readConfig({ NODE_ENV: "test" })).toMatchObject({ skipCooldownMs: 300_000 });
  });

  test("B13 in development two who skipped meet again after 5 s, unless the operator says otherwise", () => {
    expect(readConfig({})).toMatchObject({ skipCooldownMs: 5000 });
    expect(readConfig({ NODE_ENV: "development" })).toMatchObject({ skipCooldownMs: 5000 });
    expect(readConfig({ SKIP_COOLDOWN_MS: "300000" })).toMatchObject({ skipCooldownMs: 300_000 });
    expect(readConfig({ SKIP_COOLDOWN_MS: "0" })).toMatchObject({ skipCooldownMs: 0 });
  });

  test("reports every problem at once, each with its variable's name", () => {
    const answer = readConfig({
      PORT: "http",
      GRACE_MS: "-1",
      CORS_ORIGIN: "https://a.example, https://b.example/path",
      SESSION_SECRET: "short",
      TURN_URLS: "http://turn.example",
    });
    if (!("problems" in answer)) throw new Error("it must be refused");
    for (const name of ["PORT", "GRACE_MS", "CORS_ORIGIN", "SESSION_SECRET", "TURN_URLS"])
      expect(answer.problems.filter((problem) => problem.startsWith(`${name}: `))).toHaveLength(1);
  });

  test.each([
    ["https://*.example.com", "has a wildcard"],
    ["*", "has a wildcard"],
    ["ftp://example.com", "can't be the origin of a page (ftp:)"],
    ["file:///index.html", "can't be the origin of a page (file:)"],
    ["wss://example.com", "name the page's origin, https://example.com"],
    ["ws://localhost:3000", "name the page's origin, http://localhost:3000"],
    [
      "https://example.com:443",
      "names the default port, which browsers leave out: write https://example.com",
    ],
    [
      "http://example.com:80",
      "names the default port, which browsers leave out: write http://example.com",
    ],
    [
      "https://example.com/",
      "has a path or a trailing slash, which an origin has not: write https://example.com",
    ],
    [
      "https://example.com:443/chat",
      "has a path or a trailing slash, which an origin has not: write https://example.com",
    ],
    ["capacitor://localhost/", "write capacitor://localhost"],
    ["https://Example.com", "is not written as browsers send it: write https://example.com"],
    ["https://bücher.example", "write https://xn--bcher-kva.example"],
    ["https://user@example.com", "has a user name in it"],
    ["null", "can't be allowed"],
    ["example.com", "is not an origin"],
    ["localhost:5173", "is not an origin"],
    ["https://", "is not an origin"],
    ["javascript:alert(1)", "is not an origin"],
  ])("D16 CORS_ORIGIN=%s is refused by name, with the cure", (origin, cure) => {
    expect(readConfig({ CORS_ORIGIN: `https://good.example, ${origin}` })).toEqual({
      problems: [expect.stringMatching(/^CORS_ORIGIN: /)],
    });
    expect(JSON.stringify(readConfig({ CORS_ORIGIN: origin }))).toContain(cure);
  });

  test("C the origins of apps in a web view can be allowed", () => {
    const allowed = [
      "capacitor://localhost",
      "ionic://localhost",
      "tauri://localhost",
      "https://tauri.localhost",
      "app://-",
      "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ];
    expect(readConfig({ CORS_ORIGIN: allowed.join() })).toMatchObject({ origins: { allowed } });
  });

  test("A14 PUBLIC_URL is one more origin, and is one", () => {
    expect(
      readConfig({ PUBLIC_URL: "https://chat.example", CORS_ORIGIN: "https://a.example" }),
    ).toMatchObject({ origins: { allowed: ["https://chat.example", "https://a.example"] } });
    for (const PUBLIC_URL of ["chat.example", "https://chat.example/path", "wss://chat.example"])
      expect(readConfig({ PUBLIC_URL })).toMatchObject({
        problems: [expect.stringMatching(/^PUBLIC_URL: /)],
      });
    expect(readConfig({ PUBLIC_URL: "tauri://localhost" })).toMatchObject({
      problems: [expect.stringContaining("must begin with http:// or https://")],
    });
  });

  test("B9 in development, and only there, pages of this machine may connect from any port", () => {
    expect(readConfig({})).toMatchObject({ origins: { allowLoopback: true } });
    const SESSION_SECRET = "a secret of the tests";
    expect(readConfig({ NODE_ENV: "production", SESSION_SECRET })).toMatchObject({
      origins: { allowLoopback: false },
    });
  });

  test("refuses what could not work", () => {
    for (const [env, name] of [
      [{ TURN_URLS: "turn:turn.example" }, "TURN_SECRET"],
      [{ FORCE_RELAY: "true" }, "TURN_URLS"],
      [{ TURN_PROVIDER: "cloudflare", TURN_PROVIDER_TOKEN: "a-token" }, "TURN_PROVIDER_ID"],
      [{ TURN_PROVIDER: "twilio", TURN_PROVIDER_ID: "AC0" }, "TURN_PROVIDER_TOKEN"],
      [{ TURN_PROVIDER_TOKEN: "a-token" }, "TURN_PROVIDER_TOKEN"],
      [{ TLS_CERT: "cert.pem" }, "TLS_KEY"],
      [{ TLS_KEY: "key.pem" }, "TLS_CERT"],
    ] as const) {
      const answer = readConfig(env);
      expect("problems" in answer && answer.problems.join()).toStartWith(name);
    }
  });

  test("an empty variable is an unset one", () => {
    expect(readConfig({ PORT: "", SESSION_SECRET: " " })).toMatchObject({ port: 3000 });
  });

  test("in production lets in nobody without an Origin, unless told to", () => {
    const env = { NODE_ENV: "production", SESSION_SECRET: "a secret of the tests" };
    expect(readConfig(env)).toMatchObject({ origins: { allowNone: false } });
    expect(readConfig({ ...env, ALLOW_NO_ORIGIN: "1" })).toMatchObject({
      origins: { allowNone: true },
    });
  });

  test("refuses Redis without a secret that all nodes share, and what is no URL of a Redis", () => {
    expect(readConfig({ REDIS_URL: "redis://localhost" })).toMatchObject({
      problems: [expect.stringMatching(/^SESSION_SECRET: is needed with REDIS_URL/)],
    });
    const SESSION_SECRET = "a secret of the tests";
    expect(readConfig({ REDIS_URL: "localhost:6379", SESSION_SECRET })).toMatchObject({
      problems: [expect.stringMatching(/^REDIS_URL: /)],
    });
    const url = "rediss://user:password@redis.example:6380/1";
    expect(readConfig({ REDIS_URL: url, SESSION_SECRET })).toMatchObject({
      redis: { locations: [url], prefix: "peer-stream:" },
    });
  });

  test("the lobbies that peers can choose, each once, and main among them in any case", () => {
    expect(readConfig({})).toMatchObject({ lobbies: ["main"] });
    expect(readConfig({ LOBBIES: " berlin, Ünï 💬 ,,berlin,main" })).toMatchObject({
      lobbies: ["main", "berlin", "Ünï 💬"],
    });
    expect(readConfig({ LOBBIES: `a\u0007b,ok,${"x".repeat(65)}` })).toEqual({
      problems: [
        'LOBBIES: "a\\u0007b" is no name of 1 to 64 printable characters',
        `LOBBIES: "${"x".repeat(65)}" is no name of 1 to 64 printable characters`,
      ],
    });
    const names = (count: number) => Array.from({ length: count }, (_, n) => `lobby ${n}`).join();
    expect(readConfig({ LOBBIES: names(100) })).toHaveProperty("lobbies.length", 101);
    expect(readConfig({ LOBBIES: names(101) })).toEqual({
      problems: [expect.stringMatching(/^LOBBIES: must be at most 100 names/)],
    });
  });

  describe("finds one location of Redis for each part of the lobby", () => {
    const SESSION_SECRET = "a secret of the tests";
    const redisOf = (env: Record<string, string>) => {
      const config = readConfig({ SESSION_SECRET, ...env });
      if ("problems" in config) throw new Error(config.problems.join());
      return config.redis as object | undefined;
    };

    test("of Sentinels: the name of each master, and whom to ask", () => {
      expect(
        redisOf({
          REDIS_URL: "redis://user:word@first/2, redis://second",
          REDIS_SENTINELS: "10.0.0.1:26379, sentinel.example,[::1]:5000",
          REDIS_SENTINEL_PASSWORD: "theirs",
        }),
      ).toHaveProperty(
        "locations",
        ["redis://user:word@first/2", "redis://second"].map((url) => ({
          kind: "sentinel" as const,
          url,
          sentinels: ["10.0.0.1:26379", "sentinel.example", "[::1]:5000"],
          password: "theirs",
        })),
      );
    });

    test("of a cluster: as many as REDIS_SHARDS says, each with all seeds", () => {
      const seeds = ["redis://a:7000", "redis://b:7000"];
      const location = { kind: "cluster" as const, seeds };
      const env = { REDIS_URL: seeds.join(), REDIS_CLUSTER: "true" };
      expect(redisOf(env)).toHaveProperty("locations", Array(3).fill(location));
      expect(redisOf({ ...env, REDIS_SHARDS: "1" })).toHaveProperty("locations", [location]);
    });

    test("with a prefix and files for TLS", () => {
      const files = {
        REDIS_CA_FILE: "ca.pem",
        REDIS_CERT_FILE: "cert.pem",
        REDIS_KEY_FILE: "key.pem",
      };
      expect(redisOf({ REDIS_URL: "rediss://a", REDIS_PREFIX: "another-site:", ...files })).toEqual(
        {
          locations: ["rediss://a"],
          peersPerShard: 40_000,
          prefix: "another-site:",
          files: { ca: "ca.pem", cert: "cert.pem", key: "key.pem" },
        },
      );
    });

    const url = { REDIS_URL: "redis://a" };
    test.each<[env: Record<string, string>, problem: RegExp]>([
      [{ REDIS_SENTINELS: "a:1" }, /^REDIS_URL: is needed with REDIS_SENTINELS/],
      [{ REDIS_CA_FILE: "ca.pem" }, /^REDIS_URL: is needed with REDIS_CA_FILE/],
      [{ REDIS_CLUSTER: "true" }, /^REDIS_URL: is needed with REDIS_CLUSTER/],
      [{ ...url, REDIS_CLUSTER: "true", REDIS_SENTINELS: "a:1" }, /^REDIS_SENTINELS: has no use/],
      [{ REDIS_URL: "redis://a/1", REDIS_CLUSTER: "true" }, /^REDIS_URL: can't name a database/],
      [{ ...url, REDIS_SHARDS: "2" }, /^REDIS_SHARDS: is for REDIS_CLUSTER/],
      [{ ...url, REDIS_CLUSTER: "1", REDIS_SHARDS: "0" }, /^REDIS_SHARDS: must be at least 1/],
      [{ REDIS_URL: "redis://a:6379", REDIS_SENTINELS: "b" }, /^REDIS_URL: has a port/],
      [{ ...url, REDIS_SENTINELS: "redis://b:1" }, /^REDIS_SENTINELS: must be addresses/],
      [
        { REDIS_URL: "rediss://a", REDIS_CERT_FILE: "cert.pem" },
        /^REDIS_CERT_FILE: and REDIS_KEY_FILE/,
      ],
      [{ ...url, REDIS_PREFIX: "{0}" }, /^REDIS_PREFIX: must be/],
      [{ REDIS_URL: "redis://a,http://b" }, /^REDIS_URL: must be a URL like/],
    ])("refuses %j", (env, problem) => {
      expect(readConfig({ SESSION_SECRET, ...env })).toMatchObject({
        problems: [expect.stringMatching(problem)],
      });
    });
  });

  describe("finds what tokens are verified by", () => {
    const [first, second] = ["a secret of the tests: long enough", "0123456789".repeat(4)];
    const AUTH_JWKS_URL = "https://accounts.example/keys";

    test("nothing, unless there is a key: then everybody is anonymous", () => {
      expect(readConfig({})).toMatchObject({ auth: undefined });
      expect(readConfig({ AUTH_REQUIRED: "false" })).toMatchObject({ auth: undefined });
    });

    test("secrets, or the URL of a key set; issuer, audiences, claims and cookie", () => {
      const claims = { account: "sub", lobby: undefined, facts: undefined };
      const rest = { issuer: undefined, audience: undefined, cookie: undefined, required: false };
      expect(readConfig({ AUTH_JWT_SECRET: `${first}, ${second}` })).toHaveProperty("auth", {
        key: { secrets: [first, second] },
        claims,
        ...rest,
      });
      expect(
        readConfig({
          AUTH_JWKS_URL,
          AUTH_ISSUER: "https://accounts.example/",
          AUTH_AUDIENCE: "chat, phone",
          AUTH_ACCOUNT_CLAIM: "https://example.com/id",
          AUTH_LOBBY_CLAIM: "room",
          AUTH_FACTS_CLAIM: "app_metadata",
          AUTH_COOKIE: "__Host-token",
          AUTH_REQUIRED: "1",
        }),
      ).toHaveProperty("auth", {
        key: { jwksUrl: AUTH_JWKS_URL },
        issuer: "https://accounts.example/",
        audience: ["chat", "phone"],
        claims: { account: "https://example.com/id", lobby: "room", facts: "app_metadata" },
        cookie: "__Host-token",
        required: true,
      });
    });

    test.each(["http://localhost:8080/keys", "http://127.0.0.1/keys", "http://[::1]:1/keys"])(
      "the key set of this machine needs no TLS: %s",
      (url) => {
        expect(readConfig({ AUTH_JWKS_URL: url })).toMatchObject({
          auth: { key: { jwksUrl: url } },
        });
      },
    );

    const notAUrl = /^AUTH_JWKS_URL: must be a URL that begins with https/;
    test.each<[env: Record<string, string>, problem: RegExp]>([
      [{ AUTH_JWT_SECRET: "shorter than 32 characters" }, /^AUTH_JWT_SECRET: .*at least 32/],
      [{ AUTH_JWT_SECRET: "ab".repeat(20) }, /^AUTH_JWT_SECRET: .*easy to guess/],
      [{ AUTH_JWKS_URL: "http://accounts.example/keys" }, notAUrl],
      [{ AUTH_JWKS_URL: "http://localhost.example/keys" }, notAUrl],
      [{ AUTH_JWKS_URL: "http://127.0.0.1.example/keys" }, notAUrl],
      [{ AUTH_JWKS_URL: "https://me:pass@accounts.example/keys" }, notAUrl],
      [{ AUTH_JWKS_URL: "accounts.example/keys" }, notAUrl],
      [{ AUTH_JWKS_URL: "file:///keys" }, notAUrl],
      [{ AUTH_JWKS_URL, AUTH_COOKIE: "a b" }, /^AUTH_COOKIE: must be the name of a cookie/],
      [{ AUTH_JWKS_URL, AUTH_AUDIENCE: "," }, /^AUTH_AUDIENCE: must name an audience/],
      [{ AUTH_JWKS_URL, AUTH_REQUIRED: "yes" }, /^AUTH_REQUIRED: must be true or false/],
      [
        { AUTH_JWKS_URL, AUTH_JWT_SECRET: second },
        /^AUTH_JWKS_URL: and AUTH_JWT_SECRET exclude each other/,
      ],
      [
        { AUTH_REQUIRED: "true" },
        /^AUTH_JWKS_URL: or AUTH_JWT_SECRET is needed with AUTH_REQUIRED/,
      ],
      [
        { AUTH_ISSUER: "x", AUTH_COOKIE: "token" },
        /^AUTH_JWKS_URL: or AUTH_JWT_SECRET is needed with AUTH_ISSUER, AUTH_COOKIE/,
      ],
      [
        { AUTH_JWT_SECRET: second, SESSION_SECRET: second },
        /^AUTH_JWT_SECRET: is the same as SESSION_SECRET/,
      ],
    ])("refuses %j", (env, problem) => {
      const answer = readConfig(env);
      expect(answer).toEqual({ problems: [expect.stringMatching(problem)] });
      const { AUTH_JWT_SECRET: value } = env;
      if (value !== undefined) expect(JSON.stringify(answer)).not.toContain(value);
    });
  });

  const TURN_SECRET = "a secret of the tests";
  const refused: [line: string, env: Record<string, string>, problem: RegExp][] = [
    ["B2", { STUN_URLS: "stun:127.0.0.1:3478?transport=udp" }, /^STUN_URLS: .*no query/],
    ["B2", { STUN_URLS: "stun://127.0.0.1:3478" }, /^STUN_URLS: .*no slashes/],
    ["B2", { STUN_URLS: "stun:" }, /^STUN_URLS: /],
    ["B2", { STUN_URLS: "stun:a:99999" }, /^STUN_URLS: /],
    ["B2", { STUN_URLS: "stun:a:0" }, /^STUN_URLS: /],
    ["B2", { TURN_URLS: "turn:a:00?transport=udp", TURN_SECRET }, /^TURN_URLS: /],
    ["B2", { TURN_URLS: "turn://127.0.0.1:3478", TURN_SECRET }, /^TURN_URLS: .*no slashes/],
    ["B2", { TURN_URLS: "turn:a?transport=tls", TURN_SECRET }, /^TURN_URLS: /],
    ["B2", { TURN_URLS: "turn:user@a", TURN_SECRET }, /^TURN_URLS: /],
    ["D16", { SESSION_SECRET: "a".repeat(16) }, /^SESSION_SECRET: .*openssl/],
    ["D16", { ADMIN_TOKEN: "abab".repeat(8) }, /^ADMIN_TOKEN: .*openssl/],
    ["D16", { NODE_ENV: "production" }, /^SESSION_SECRET: is needed in production.*openssl/],
    [
      "D16",
      { METRICS_TOKEN: TURN_SECRET, ADMIN_TOKEN: TURN_SECRET },
      /^ADMIN_TOKEN: is the same as METRICS_TOKEN/,
    ],
    [
      "D16",
      { SESSION_SECRET: TURN_SECRET, METRICS_TOKEN: TURN_SECRET },
      /^METRICS_TOKEN: is the same/,
    ],
    [
      "D16",
      { MODERATION_WEBHOOK: "javascript:alert(1)", MODERATION_SECRET: TURN_SECRET },
      /^MODERATION_WEBHOOK: .*https/,
    ],
    // It becomes a link: of no other scheme, and of each case.
    ["", { EVIDENCE_URL: "javascript:alert({caseId})" }, /^EVIDENCE_URL: .*https/],
    ["", { EVIDENCE_URL: "https://mod.example/cases" }, /^EVIDENCE_URL: .*\{caseId\}/],
    ["", { EVIDENCE_URL: "https://{caseId}.mod.example/{all}" }, /^EVIDENCE_URL: /],
  ];
  for (const [line, env, problem] of refused)
    test(`${line} ${JSON.stringify(env)} is refused by name, with the cure`, () => {
      expect(readConfig(env)).toMatchObject({ problems: [expect.stringMatching(problem)] });
    });

  test("B2 what browsers take is taken", () => {
    const STUN_URLS = "stun:stun.example, stuns:stun.example:5349, stun:[2001:db8::1]:3478";
    const TURN_URLS = "turn:turn.example?transport=tcp, turns:turn.example:443, turn:192.0.2.1";
    expect(readConfig({ STUN_URLS, TURN_URLS, TURN_SECRET })).not.toHaveProperty("problems");
  });

  test("events are posted with a secret of their own, and only those types that exist", () => {
    const EVENTS_WEBHOOK = "https://receiver.example/events";
    const EVENTS_SECRET = "what the receiver knows";
    const read = (env: Record<string, string>) =>
      readConfig({ EVENTS_WEBHOOK, EVENTS_SECRET, ...env });
    expect(read({})).toMatchObject({
      events: { url: EVENTS_WEBHOOK, secret: EVENTS_SECRET, types: [...lifecycleTypes] },
    });
    expect(read({ EVENTS_TYPES: "ended, paired,ended" })).toMatchObject({
      events: { types: ["ended", "paired"] },
    });
    const problems = (env: Record<string, string>) => {
      const config = readConfig(env);
      return "problems" in config ? config.problems : [];
    };
    expect(problems({ EVENTS_WEBHOOK, EVENTS_SECRET, EVENTS_TYPES: "ended,began" })).toEqual([
      expect.stringContaining('EVENTS_TYPES: "began" is no type of an event: joined, paired'),
    ]);
    expect(problems({ EVENTS_WEBHOOK })).toEqual([expect.stringContaining("EVENTS_SECRET")]);
    expect(problems({ EVENTS_SECRET })).toEqual([expect.stringContaining("EVENTS_SECRET")]);
    expect(problems({ EVENTS_TYPES: "ended" })).toEqual([expect.stringContaining("EVENTS_TYPES")]);
    expect(problems({ EVENTS_WEBHOOK: "ftp://receiver.example", EVENTS_SECRET })).toEqual([
      expect.stringContaining("EVENTS_WEBHOOK"),
    ]);
    const shared = { EVENTS_WEBHOOK, EVENTS_SECRET, SESSION_SECRET: EVENTS_SECRET };
    expect(problems(shared)).toEqual([
      "EVENTS_SECRET: is the same as SESSION_SECRET: give each a value of its own",
    ]);
  });

  test("traces are sent where OpenTelemetry's own variables say, and their headers are in no message", () => {
    const OTEL_EXPORTER_OTLP_ENDPOINT = "http://collector.example:4318/";
    const read = (env: Record<string, string>) => {
      const config = readConfig({ OTEL_EXPORTER_OTLP_ENDPOINT, ...env });
      return "problems" in config ? config.problems : config.traces;
    };
    expect(readConfig({ OTEL_SERVICE_NAME: "strangers" })).not.toContainKey("problems");
    expect(readConfig({})).toMatchObject({ traces: undefined });
    expect(read({})).toEqual({
      url: "http://collector.example:4318/v1/traces",
      headers: {},
      serviceName: "peer-stream",
      ratio: 1,
      everyMs: 5000,
    });
    const OTEL_EXPORTER_OTLP_HEADERS = "Api-Key=a%2Cb=, x-team = chat";
    expect(read({ OTEL_EXPORTER_OTLP_HEADERS })).toMatchObject({
      headers: { "api-key": "a,b=", "x-team": "chat" },
    });
    const OTEL_TRACES_SAMPLER_ARG = "0.25";
    for (const [OTEL_TRACES_SAMPLER, ratio] of [
      ["always_on", 1],
      ["parentbased_always_off", 0],
      ["traceidratio", 0.25],
      ["parentbased_traceidratio", 0.25],
    ] as const)
      expect(read({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG })).toMatchObject({ ratio });
    for (const [variable, value] of [
      ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector.example:4318"],
      ["OTEL_EXPORTER_OTLP_HEADERS", "secret"],
      ["OTEL_EXPORTER_OTLP_HEADERS", "a key=secret"],
      ["OTEL_EXPORTER_OTLP_HEADERS", "key=secret%"],
      ["OTEL_EXPORTER_OTLP_HEADERS", "key=secret%01"],
      ["OTEL_EXPORTER_OTLP_HEADERS", "key=secret\x7f"],
      ["OTEL_TRACES_SAMPLER", "jaeger_remote"],
      ["OTEL_TRACES_SAMPLER_ARG", "2"],
      ["OTEL_TRACES_SAMPLER_ARG", "25%"],
      ["OTEL_BSP_SCHEDULE_DELAY", "often"],
    ] as const) {
      const problems = read({ [variable]: value });
      expect(problems).toEqual([expect.stringContaining(variable)]);
      expect(String(problems)).not.toContain("secret");
    }
  });

  test("D16 a misspelt variable is noticed, and what is somebody else's is not", () => {
    const notice = (name: string) => warningsOf({ [name]: "1" });
    for (const name of ["SESSION_SECERT", "GRACE_M", "TURN_URL", "CORS_ORIGINS", "redis_url"])
      expect(notice(name)).toEqual([expect.stringContaining(`${name} is not read; did you mean`)]);
    for (const name of ["PATH", "HOME", "HOSTNAME", "PORTS", "SECRET", "NODE_OPTIONS", "GRACE_MS"])
      expect(notice(name)).toEqual([]);
  });

  test("is described, each variable with its default, in .env.example", async () => {
    const example = await Bun.file(join(root, ".env.example")).text();
    const described = [...example.matchAll(/^#?\s?([A-Z][A-Z_]+)=/gm)].map(
      ([, name]) => name ?? "",
    );
    expect(described.sort()).toEqual([...variableNames].sort());
    // Uncommented, the example must itself be a configuration that starts.
    const env = Object.fromEntries(
      [...example.matchAll(/^#?\s?([A-Z][A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
    );
    const plain = (read: unknown) => JSON.parse(JSON.stringify(read)) as unknown;
    expect(plain(readConfig(env))).toEqual(plain(readConfig({})));
  });

  test("reads challenges, rules and hints, and says what does not fit together", () => {
    expect(readConfig({})).toMatchObject({
      challenge: { mode: "off", difficulty: 150, passMs: 1_800_000 },
      rules: undefined,
      takesHints: false,
    });
    const challenge = {
      CHALLENGE: "adaptive",
      CHALLENGE_DIFFICULTY: "9",
      CHALLENGE_PASS_MS: "60000",
    };
    expect(readConfig({ ...challenge, HINTS: "true" })).toMatchObject({
      challenge: { mode: "adaptive", difficulty: 9, passMs: 60_000 },
      takesHints: true,
    });
    const RULES_URL = "https://rules.example/";
    const rulesOf = (env: Record<string, string>) => {
      const config = readConfig(env);
      return "problems" in config ? config.problems : config.rules;
    };
    expect(rulesOf({ RULES_VERSION: "1", RULES_URL })).toEqual({
      version: "1",
      url: RULES_URL,
      age: 18,
      required: false,
    });
    const all = { RULES_VERSION: "1", RULES_TEXT: "Be kind.", RULES_AGE: "0" };
    expect(rulesOf({ ...all, RULES_REQUIRED: "true" })).toEqual({
      version: "1",
      text: "Be kind.",
      required: true,
    });
    const wrong: [Record<string, string>, string][] = [
      [{ CHALLENGE: "maybe" }, "CHALLENGE: must be one of off, on, adaptive"],
      [{ CHALLENGE_DIFFICULTY: "0" }, "CHALLENGE_DIFFICULTY: must be at least 1"],
      [{ CHALLENGE_PASS_MS: "59999" }, "CHALLENGE_PASS_MS: must be at least 60000"],
      [
        { RULES_VERSION: "x".repeat(65), RULES_URL },
        "RULES_VERSION: must be at most 64 characters",
      ],
      [{ RULES_VERSION: "1" }, "RULES_TEXT: or RULES_URL is needed with RULES_VERSION"],
      [{ RULES_VERSION: "1", RULES_URL: "javascript:alert(1)" }, "RULES_URL: must be a URL"],
      [{ RULES_URL }, "RULES_URL: has no use without RULES_VERSION"],
      [{ RULES_REQUIRED: "true" }, "RULES_REQUIRED: has no use without RULES_VERSION"],
    ];
    for (const [env, problem] of wrong)
      expect(rulesOf(env)).toEqual([expect.stringContaining(problem)]);
  });
});

describe("a provider of TURN credentials", () => {
  const provider = {
    TURN_PROVIDER: "cloudflare",
    TURN_PROVIDER_ID: "f00d",
    TURN_PROVIDER_TOKEN: "a-token",
  };

  test("is read with a time that is longer than calls are, and is enough for FORCE_RELAY", () => {
    expect(readConfig({ ...provider, FORCE_RELAY: "true" })).toMatchObject({
      turnProvider: { kind: "cloudflare", id: "f00d", token: "a-token" },
      ice: { turnTtlS: 14_400, turnUrls: [] },
      forceRelay: true,
    });
    expect(readConfig({ ...provider, TURN_TTL_S: "600" })).toMatchObject({
      ice: { turnTtlS: 600 },
    });
    expect(readConfig({})).toMatchObject({ ice: { turnTtlS: 300 } });
  });

  test.each([
    [
      { TURN_PROVIDER: "coturn" },
      /^TURN_PROVIDER: must be one of cloudflare, twilio \(it is "coturn"\)$/,
    ],
    [{ TURN_PROVIDER_ID: "../admin" }, /^TURN_PROVIDER_ID: must be an id/],
    [{ TURN_PROVIDER_TOKEN: "two words" }, /^TURN_PROVIDER_TOKEN: must be a token/],
    [{ TURN_PROVIDER_URL: "http://turn.example" }, /^TURN_PROVIDER_URL: must be a URL .*https/],
    [{ TURN_PROVIDER_URL: "https://turn.example/v1" }, /^TURN_PROVIDER_URL: .*without a path/],
    [
      { TURN_URLS: "turn:turn.example", TURN_SECRET: "a secret of the tests" },
      /^TURN_PROVIDER: and TURN_URLS exclude each other/,
    ],
  ])("%j is refused by name", (env, problem) => {
    const config = readConfig({ ...provider, ...env });
    expect("problems" in config ? config.problems : []).toEqual([expect.stringMatching(problem)]);
  });
});
