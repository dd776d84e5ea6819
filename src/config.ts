/** The environment → a frozen configuration. All problems are reported at once, each with the name of its variable. */
import { isIP } from "node:net";
import { z } from "zod";
import { eventsProblems, eventsVariables, readEventsConfig } from "./events-config.ts";
import { mainLobby } from "./domain/lobby.ts";
import { logLevels } from "./observe/log.ts";
import { limits } from "./protocol.ts";
import { parseProxyList } from "./http/client-address.ts";
import { authProblems, authVariables, readAuthConfig } from "./auth-config.ts";
import {
  bearerToken,
  confidential,
  flag,
  integer,
  isConfidential,
  list,
  numberMeantBy,
  oneOf,
  secret,
  shown,
  slipIn,
  withoutSecrets,
} from "./config-values.ts";
import { iceProblems, iceVariables, readIceConfig } from "./ice-config.ts";
import { isName, lobbyCharsMax } from "./rpc/identity.ts";
import {
  moderationProblems,
  moderationVariables,
  readModerationConfig,
} from "./moderation-config.ts";
import { readSafetyConfig, safetyProblems, safetyVariables } from "./safety-config.ts";
import { readRedisConfig, redisProblems, redisVariables } from "./redis-config.ts";

const proxies = z.string().transform((text, context) => {
  const proxyList = parseProxyList(text);
  if (!("problems" in proxyList)) return proxyList;
  for (const message of proxyList.problems) context.addIssue({ code: "custom", message });
  return z.NEVER;
});

/**
 * Why a text is not an origin as browsers send it (RFC 6454, 6.2), and how to write it; `undefined` for an origin. Apps in a web
 * view have schemes of their own, such as `capacitor://localhost`.
 */
function originProblem(text: string): string | undefined {
  const quoted = shown(text);
  if (text.includes("*"))
    return `${quoted} has a wildcard, which is not supported: name each origin, comma-separated`;
  if (text === "null")
    return `${quoted} is sent by every sandboxed frame and local file: it can't be allowed`;
  const [, scheme = "", rest = ""] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/.exec(text) ?? [];
  const example = "an origin is scheme, host and port, like https://example.com";
  if (rest === "") return `${quoted} is not an origin: ${example}`;
  if (/^wss?$/i.test(scheme))
    return `${quoted} is the URL of a socket: name the page's origin, ${withoutSecrets(text).replace(/^ws/i, "http")}`;
  if (noPageSchemes.has(scheme.toLowerCase()))
    return `${quoted} can't be the origin of a page (${scheme}:): ${example}`;
  const isWeb = /^https?$/i.test(scheme);
  // Other schemes are not parsed like these, and their hosts are sent as they were registered.
  const url = URL.parse(isWeb ? text : `https://${rest}`);
  if (!url) return `${quoted} is not an origin: ${example}`;
  const origin = isWeb ? url.origin : `${scheme.toLowerCase()}://${rest.split(/[/?#]/, 1)[0]}`;
  if (url.username !== "" || url.password !== "")
    return `${quoted} has a user name in it: ${example}`;
  if (origin === text) return undefined;
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "" || text.endsWith("/"))
    return `${quoted} has a path or a trailing slash, which an origin has not: write ${origin}`;
  if (/:(80|443)$/.test(text) && url.port === "")
    return `${quoted} names the default port, which browsers leave out: write ${origin}`;
  return `${quoted} is not written as browsers send it: write ${origin}`;
}

/** Schemes by which no page is loaded, or whose pages have no origin. */
const noPageSchemes: ReadonlySet<string> = new Set([
  ..."about blob data file filesystem ftp ftps javascript mailto redis rediss ssh stun stuns".split(
    " ",
  ),
  ..."turn turns urn view-source".split(" "),
]);

const originText = z.string().superRefine((text, context) => {
  const message = originProblem(text);
  if (message !== undefined) context.addIssue({ code: "custom", message });
});

const webOrigin = originText.pipe(
  z
    .string()
    .regex(/^https?:/, "must begin with http:// or https://: it is the address people open"),
);

const secrets = list.pipe(z.array(secret("each secret")).min(1));

/** Lobbies that peers can choose: so many series each metric by lobby has at most. */
const lobbiesMax = 100;

const lobbyNames = list.pipe(
  z
    .array(
      z.string().refine((name) => isName(name, lobbyCharsMax), {
        error: ({ input }) =>
          `${shown(String(input))} is no name of 1 to ${lobbyCharsMax} printable characters`,
      }),
    )
    .max(lobbiesMax, `must be at most ${lobbiesMax} names`),
);

const dayMs = 86_400_000;

/** In development two tabs are often the only peers: after Next they have to meet again soon. */
const skipCooldownDefaultMs = { production: 300_000, test: 300_000, development: 5000 };

/** Each variable: how it is parsed, and its default. `.env.example` explains each. */
const variables = z.object({
  NODE_ENV: oneOf(["development", "production", "test"]).default("development"),
  LOG_LEVEL: oneOf(logLevels).default("info"),
  HOST: z
    .string()
    .refine(
      (text) => isIP(text) !== 0 || /^[\w-]+(\.[\w-]+)*\.?$/.test(text),
      "must be an IP address or a host name, without a scheme, brackets or a port, which is PORT",
    )
    .default("0.0.0.0"),
  PORT: integer(0, 65535).default(3000),
  TLS_CERT: z.string().optional(),
  TLS_KEY: z.string().optional(),
  PUBLIC_URL: webOrigin.optional(),
  CORS_ORIGIN: list.pipe(z.array(originText)).default(["http://localhost:5173"]),
  ALLOW_NO_ORIGIN: flag.optional(),
  SESSION_SECRET: confidential(secrets.optional()),
  SKIP_COOLDOWN_MS: integer(0, 7 * dayMs).optional(),
  SKIP_BURST: integer(0, 10_000).default(20),
  SKIP_DELAY_MS: integer(0, 3_600_000).default(1000),
  RELAX_AFTER_MS: integer(0, dayMs).default(10_000),
  LANE_AFTER_MS: integer(0, dayMs).default(0),
  LOBBIES: lobbyNames.default([]),
  GRACE_MS: integer(0, 3_600_000).default(15_000),
  CALL_KEEP_MS: integer(0, 3_600_000).default(300_000),
  FACTS_FILE: z.string().optional(),
  DRAIN_MS: integer(0, 600_000).default(25_000),
  ...iceVariables,
  CHAT: oneOf(["direct", "server"]).optional(),
  LIMIT_SIGNALS_PER_S: integer(0, 100_000).default(30),
  LIMIT_INTENTS_PER_S: integer(0, 100_000).default(2),
  LIMIT_SIGNAL_BYTES_PER_S: integer(0, 100_000_000).default(32_768),
  LIMIT_SOCKETS_PER_ADDRESS: integer(0, 1_000_000).default(20),
  LIMIT_HANDSHAKES_PER_MIN: integer(0, 1_000_000).default(60),
  LIMIT_PEERS: integer(0, 10_000_000).default(50_000),
  LIMIT_BLOCKERS: integer(0, 10_000_000).default(50_000),
  LIMIT_BLOCKERS_PER_ADDRESS: integer(0, 10_000_000).default(200),
  LIMIT_STANDBY_BYTES: integer(0, 1_000_000_000_000).default(67_108_864),
  LIMIT_STANDBY_BYTES_PER_ADDRESS: integer(0, 1_000_000_000_000).default(1_048_576),
  LEVEL_PEERS_PER_MINUTE: integer(0, 60_000).default(0),
  ...moderationVariables,
  TRUSTED_PROXIES: proxies.prefault(""),
  ...redisVariables,
  ...authVariables,
  ...safetyVariables,
  SERVE_SCHEMA: flag.optional(),
  METRICS_TOKEN: confidential(bearerToken.optional()),
  ADMIN_TOKEN: confidential(bearerToken.optional()),
  EVIDENCE_URL: z
    .string()
    .regex(
      /^https?:\/\/[^\s{}]+\{caseId\}[^\s{}]*$/,
      "must be a URL that begins with https:// or http:// and has {caseId} in its path or query",
    )
    .optional(),
  // Many receivers know their senders by the URL alone.
  MODERATION_WEBHOOK: confidential(
    z
      .url({ protocol: /^https?$/, error: "must be a URL that begins with https:// or http://" })
      .optional(),
  ),
  MODERATION_SECRET: confidential(secret("it").optional()),
  ...eventsVariables(secret("it")),
});

/** The burst for a rate: that of the default, or what a higher rate allows in two and a half seconds. */
const burstOf = (perS: number, burst: number) => Math.max(burst, Math.ceil(2.5 * perS));

/** The names of the variables. */
export const variableNames = Object.keys(variables.shape);

/** Those whose values no message may show. Each can also be read from a file, which the variable `…_FILE` names. */
export const confidentialNames: readonly string[] = Object.entries(variables.shape).flatMap(
  ([name, variable]) => (isConfidential(variable) ? [name] : []),
);

type Environment = z.output<typeof variables>;

/** Each gives access to something else: metrics, suspensions, session tokens, accounts. */
const secretNames = [
  "SESSION_SECRET",
  "METRICS_TOKEN",
  "ADMIN_TOKEN",
  "MODERATION_SECRET",
  "EVENTS_SECRET",
  "AUTH_JWT_SECRET",
] as const;

/** Secrets that are the same: variable and problem. */
function sharedSecrets(env: Environment): [variable: string, problem: string][] {
  const problems: [string, string][] = [];
  const holders = new Map<string, string>();
  for (const name of secretNames)
    for (const value of [env[name] ?? []].flat()) {
      const other = holders.get(value);
      if (other !== undefined && other !== name)
        problems.push([name, `is the same as ${other}: give each a value of its own`]);
      holders.set(value, name);
    }
  return problems;
}

/** What does not fit together: variable and problem. */
function misfitsOf(env: Environment): [variable: string, problem: string][] {
  const problems: [string, string][] = [];
  if (env.REDIS_URL !== undefined && env.SESSION_SECRET === undefined)
    problems.push([
      "SESSION_SECRET",
      "is needed with REDIS_URL: every node must know every node's tokens",
    ]);
  else if (env.NODE_ENV === "production" && env.SESSION_SECRET === undefined)
    problems.push([
      "SESSION_SECRET",
      "is needed in production, or every restart ends every session: make one with openssl rand -base64 32",
    ]);
  if ((env.MODERATION_WEBHOOK === undefined) !== (env.MODERATION_SECRET === undefined))
    problems.push([
      "MODERATION_SECRET",
      "and MODERATION_WEBHOOK are needed together: it signs what is posted",
    ]);
  if ((env.TLS_CERT === undefined) !== (env.TLS_KEY === undefined))
    problems.push([
      env.TLS_CERT === undefined ? "TLS_CERT" : "TLS_KEY",
      "TLS_CERT and TLS_KEY are needed together",
    ]);
  return [
    ...problems,
    ...iceProblems(env),
    ...redisProblems(env),
    ...eventsProblems(env),
    ...authProblems(env),
    ...moderationProblems(env),
    ...safetyProblems(env),
    ...sharedSecrets(env),
  ];
}

const toConfig = (env: Environment) => ({
  production: env.NODE_ENV === "production",
  servesSchema: env.SERVE_SCHEMA ?? env.NODE_ENV !== "production",
  logLevel: env.LOG_LEVEL,
  host: env.HOST,
  port: env.PORT,
  // Paths of PEM files; they are read at the start.
  tls:
    env.TLS_CERT === undefined || env.TLS_KEY === undefined
      ? undefined
      : { cert: env.TLS_CERT, key: env.TLS_KEY },
  origins: {
    allowed: env.PUBLIC_URL === undefined ? env.CORS_ORIGIN : [env.PUBLIC_URL, ...env.CORS_ORIGIN],
    allowNone: env.ALLOW_NO_ORIGIN ?? env.NODE_ENV !== "production",
    allowLoopback: env.NODE_ENV !== "production",
    ownHosts: [env.HOST.toLowerCase()],
  },
  publicUrl: env.PUBLIC_URL,
  sessionSecrets: env.SESSION_SECRET,
  skipCooldownMs: env.SKIP_COOLDOWN_MS ?? skipCooldownDefaultMs[env.NODE_ENV],
  // Without limits on intents, as for a measurement, skipping is free as well.
  skipBurst: env.LIMIT_INTENTS_PER_S === 0 ? 0 : env.SKIP_BURST,
  skipDelayMs: env.SKIP_DELAY_MS,
  relaxAfterMs: env.RELAX_AFTER_MS,
  laneAfterMs: env.LANE_AFTER_MS,
  // The path of a JSON file; it is read at the start.
  factsFile: env.FACTS_FILE,
  moderation: readModerationConfig(env),
  decisionsKeepMs: env.DECISIONS_KEEP_MS,
  evidenceBytesMax: env.LIMIT_EVIDENCE_BYTES,
  blocks: {
    blockersMax: env.LIMIT_BLOCKERS,
    blockersPerAddressMax: env.LIMIT_BLOCKERS_PER_ADDRESS,
  },
  standby: {
    bytesMax: env.LIMIT_STANDBY_BYTES,
    bytesPerAddressMax: env.LIMIT_STANDBY_BYTES_PER_ADDRESS,
  },
  lobbies: [...new Set([mainLobby, ...env.LOBBIES])],
  graceMs: env.GRACE_MS,
  callKeepMs: env.CALL_KEEP_MS,
  drainMs: env.DRAIN_MS,
  ...readIceConfig(env),
  // Absent: as it is without, or with, a hook that sees each text.
  chat: env.CHAT,
  levelPerMinute: env.LEVEL_PEERS_PER_MINUTE,
  admission: {
    socketsPerAddress: env.LIMIT_SOCKETS_PER_ADDRESS,
    handshakesPerMin: env.LIMIT_HANDSHAKES_PER_MIN,
    peersMax: env.LIMIT_PEERS,
    trustedProxies: env.TRUSTED_PROXIES,
  },
  redis: readRedisConfig(env),
  auth: readAuthConfig(env),
  metricsToken: env.METRICS_TOKEN,
  adminToken: env.ADMIN_TOKEN,
  evidenceUrl: env.EVIDENCE_URL,
  webhook:
    env.MODERATION_WEBHOOK === undefined || env.MODERATION_SECRET === undefined
      ? undefined
      : { url: env.MODERATION_WEBHOOK, secret: env.MODERATION_SECRET },
  events: readEventsConfig(env),
  ...readSafetyConfig(env),
  rates: {
    signals: { perS: env.LIMIT_SIGNALS_PER_S, burst: burstOf(env.LIMIT_SIGNALS_PER_S, 100) },
    intents: { perS: env.LIMIT_INTENTS_PER_S, burst: burstOf(env.LIMIT_INTENTS_PER_S, 5) },
    // Four of the largest SDPs at once; a call begins with some 30 KB.
    bytes: {
      perS: env.LIMIT_SIGNAL_BYTES_PER_S,
      burst: Math.max(4 * limits.sdpBytesMax, 4 * env.LIMIT_SIGNAL_BYTES_PER_S),
    },
  },
});

export type Config = Readonly<ReturnType<typeof toConfig>>;

/** The problems of the environment: one line per variable. */
export interface ConfigProblems {
  problems: string[];
}

/** The variables that are set, each as a text. An empty one counts as unset. */
const setIn = (env: Record<string, string | undefined>): Record<string, string> =>
  Object.fromEntries(
    variableNames.flatMap((name) => {
      const value = env[name]?.trim();
      return value === undefined || value === "" ? [] : [[name, value]];
    }),
  );

/** The variables that are set, each parsed by itself. @throws if one is wrong. */
export function readVariables(env: Record<string, string | undefined>): Record<string, unknown> {
  const set = setIn(env);
  const parsed: Record<string, unknown> = variables.parse(set);
  return Object.fromEntries(Object.keys(set).map((name) => [name, parsed[name]]));
}

/** Why a text can't be the value of a variable: one line for each reason, with the value unless it is confidential. */
function problemsOf(name: string, text: string, issues: readonly z.core.$ZodIssue[]): string[] {
  const isSecret = isConfidential(variables.shape[name as keyof Environment]);
  return [...new Set(issues.map(({ message }) => message))].map((message) => {
    // Those of items name the item.
    if (isSecret || message.includes('"')) return `${name}: ${message}`;
    const meant = message.includes("number") ? numberMeantBy(text, name) : undefined;
    const cure = meant === undefined ? "" : `: write ${meant}`;
    return `${name}: ${message} (it is ${shown(text)}${cure})`;
  });
}

/** Texts for people, who may quote and comment. */
const freeTexts: ReadonlySet<string> = new Set(["RULES_TEXT", "APPEAL"]);

/**
 * Reads the configuration.
 * @returns it, or all problems. What does not fit together is looked for also where single variables are wrong, but not what these may
 * be the reason of.
 */
export function readConfig(env: Record<string, string | undefined>): Config | ConfigProblems {
  const set = setIn(env);
  const problems: string[] = [];
  const wrong: string[] = [];
  const parsed = Object.entries(variables.shape).map(([name, variable]) => {
    const text = set[name];
    const slip = text === undefined || freeTexts.has(name) ? undefined : slipIn(text);
    const result = variable.safeParse(text);
    if (slip === undefined && result.success) return [name, result.data];
    wrong.push(name);
    if (slip !== undefined) problems.push(`${name}: ${slip}`);
    else problems.push(...problemsOf(name, text ?? "", result.error?.issues ?? []));
    return [name, variable.parse(undefined)];
  });
  const values = Object.fromEntries(parsed) as Environment;
  for (const [name, problem] of misfitsOf(values))
    if (!wrong.some((other) => new RegExp(`\\b${other}\\b`).test(`${name}: ${problem}`)))
      problems.push(`${name}: ${problem}`);
  return problems.length > 0 ? { problems } : Object.freeze(toConfig(values));
}
