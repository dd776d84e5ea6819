/** The options of the library, compared with the variables of the program. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import {
  configOf,
  readOptions,
  settingNames,
  type PeerStreamOptions,
  type Settings,
} from "../../src/app/options.ts";
import { readConfig, variableNames } from "../../src/config.ts";
import { root } from "../support/root.ts";

const randomSecret = "a random secret of the tests";
const text = await Bun.file(join(root, "src/app/options.ts")).text();
const declared = text.slice(
  text.indexOf("export interface Settings"),
  text.indexOf("export interface PeerStreamOptions"),
);

test("each variable that a library has a use for is an option, and each option is one", () => {
  const names = [...declared.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name = ""]) => name);
  expect(names.toSorted()).toEqual(settingNames.toSorted());
});

test("each option says what it is, and its default", () => {
  const blocks = [...declared.matchAll(/((?: {2}\/\*\*[\s\S]*?\*\/\n)?) {2}(\w+)\?:/g)];
  const undocumented = blocks.flatMap(([, comment = "", name = ""]) =>
    comment === "" ? [name] : [],
  );
  // Each of these belongs to the option before it.
  expect(undocumented).toEqual([
    "redisSentinelPassword",
    "redisCertFile",
    "redisKeyFile",
    "moderationSecret",
    "eventsSecret",
  ]);
});

test("without any option the library is configured as the program is in production", () => {
  const program = readConfig({
    NODE_ENV: "production",
    SESSION_SECRET: randomSecret,
    LOG_LEVEL: "warn",
  });
  expect(JSON.stringify(configOf({}, randomSecret))).toBe(JSON.stringify(program));
});

test("an option has the effect of its variable", () => {
  const options: Settings = {
    graceMs: 1000,
    corsOrigin: ["https://a.example", "https://b.example"],
    forceRelay: true,
    turnUrls: "turn:turn.example:3478",
    turnSecret: "a shared secret of coturn",
    trustedProxies: ["10.0.0.0/8"],
  };
  const env = {
    NODE_ENV: "production",
    LOG_LEVEL: "warn",
    SESSION_SECRET: randomSecret,
    GRACE_MS: "1000",
    CORS_ORIGIN: "https://a.example,https://b.example",
    FORCE_RELAY: "true",
    TURN_URLS: "turn:turn.example:3478",
    TURN_SECRET: "a shared secret of coturn",
    TRUSTED_PROXIES: "10.0.0.0/8",
  };
  const [ours, theirs] = [configOf(options, randomSecret), readConfig(env)];
  expect(JSON.stringify(ours)).toBe(JSON.stringify(theirs));
});

test("with Redis a secret is needed, as the nodes must know each other's tokens", () => {
  expect(() => configOf({ redisUrl: "redis://127.0.0.1:6379" }, randomSecret)).toThrow(
    "sessionSecret: is needed with redisUrl",
  );
});

test("a secret with a comma is not taken for two", () => {
  const sessionSecret = ["a secret, with a comma in it"];
  expect(() => configOf({ sessionSecret }, randomSecret)).toThrow(
    "sessionSecret: no item may have a comma",
  );
});

test("the variables are options of the program: what is read from them configures the same", () => {
  const env = {
    GRACE_MS: "1000",
    CORS_ORIGIN: "https://a.example",
    TRUSTED_PROXIES: "10.0.0.0/8",
    PORT: "8080",
  };
  const options = readOptions(env);
  expect(options).toMatchObject({ graceMs: 1000, corsOrigin: ["https://a.example"], port: 8080 });
  const [ours, theirs] = [
    configOf(options, randomSecret),
    readConfig({ ...env, SESSION_SECRET: randomSecret }),
  ];
  expect(JSON.stringify({ ...ours, port: 8080 })).toBe(JSON.stringify(theirs));
  expect(() => readOptions({ GRACE_MS: "soon" })).toThrow("GRACE_MS: must be a whole number");
  expect(variableNames).toContain("GRACE_MS");
});

test("the hook for messages is a function, and what becomes of a text without its word one of two", () => {
  const wrong = { message: "x", messageFallback: "ask" } as unknown as PeerStreamOptions;
  expect(() => configOf(wrong, randomSecret)).toThrow("message: must be a function");
  expect(() => configOf(wrong, randomSecret)).toThrow(
    "messageFallback: must be one of drop, deliver",
  );
  const { chat } = configOf({ message: () => undefined, messageFallback: "deliver" }, randomSecret);
  expect(chat).toBeUndefined();
  expect(configOf({ chat: "server" }, randomSecret).chat).toBe("server");
  expect(() => configOf({ chat: "both" as never }, randomSecret)).toThrow("chat: ");
});

test("`ice` is a function in place of variables about TURN, whose credentials are valid for longer than calls are", () => {
  const ice = () => [];
  expect(configOf({ ice, forceRelay: true }, randomSecret)).toMatchObject({
    ice: { turnTtlS: 14_400 },
    forceRelay: true,
  });
  expect(configOf({ ice, turnTtlS: 600 }, randomSecret).ice.turnTtlS).toBe(600);
  expect(configOf({ ice }, randomSecret).forceRelay).toBe(false);
  const wrong = { ice: [{ urls: "turn:turn.example" }] } as unknown as PeerStreamOptions;
  expect(() => configOf(wrong, randomSecret)).toThrow("ice: must be a function");
  const both: PeerStreamOptions = {
    ice,
    turnUrls: "turn:turn.example",
    turnSecret: "a shared secret of coturn",
  };
  expect(() => configOf(both, randomSecret)).toThrow("ice: and turnUrls exclude each other");
  const provider = { turnProvider: "twilio", turnProviderId: "AC0" } as const;
  expect(() => configOf({ ...provider, ice, turnProviderToken: "t" }, randomSecret)).toThrow(
    "ice: and turnProvider exclude each other",
  );
  expect(() => configOf(provider, randomSecret)).toThrow(
    "turnProviderToken: is needed with turnProvider",
  );
});
