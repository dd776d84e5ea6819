import { describe, expect, test } from "bun:test";
import { readConfig, variableNames } from "../src/config.ts";

describe("the configuration", () => {
  test("has the defaults of the systems it replaces", () => {
    expect(readConfig({})).toMatchObject({
      port: 3000,
      host: "0.0.0.0",
      origins: { allowed: ["http://localhost:5173"], allowNone: true },
      skipCooldownMs: 300_000,
      graceMs: 15_000,
    });
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

  test("refuses what could not work", () => {
    for (const [env, name] of [
      [{ TURN_URLS: "turn:turn.example" }, "TURN_SECRET"],
      [{ FORCE_RELAY: "true" }, "TURN_URLS"],
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
    expect(readConfig({ NODE_ENV: "production" })).toMatchObject({ origins: { allowNone: false } });
    expect(readConfig({ NODE_ENV: "production", ALLOW_NO_ORIGIN: "1" })).toMatchObject({
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
    const redisUrl = "rediss://user:password@redis.example:6380/1";
    expect(readConfig({ REDIS_URL: redisUrl, SESSION_SECRET })).toMatchObject({ redisUrl });
  });

  test("is described, each variable with its default, in .env.example", async () => {
    const example = await Bun.file(new URL("../.env.example", import.meta.url)).text();
    const described = [...example.matchAll(/^#?\s?([A-Z][A-Z_]+)=/gm)].map(
      ([, name]) => name ?? "",
    );
    expect(described.sort()).toEqual([...variableNames].sort());
    // Uncommented, the example must itself be a configuration that starts.
    const env = Object.fromEntries(
      [...example.matchAll(/^#?\s?([A-Z][A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
    );
    expect(JSON.stringify(readConfig(env))).toBe(JSON.stringify(readConfig({})));
  });
});
