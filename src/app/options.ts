/**
 * The options of the library: each variable of the program under its name in camel case, and the operator's hooks. Both are
 * checked by the same rules.
 */
import { readFacts, readFactsFile, type ReadFacts } from "../facts-config.ts";
import type { Chat } from "../protocol.ts";
import type { FactsDeclaration } from "../protocol/declaration.ts";
import { hookNames, hookProblems, type Hooks } from "./hook-options.ts";
import { readConfig, readVariables, variableNames, type Config } from "../config.ts";
import { readEnvironment } from "../config-files.ts";
import { inTermsOfOptions, optionOf } from "./option-names.ts";
import type { LogLevel } from "../observe/log.ts";
import { ttlDefaultS } from "../ice-config.ts";

/** A text is split at its commas. */
type List = string | readonly string[];

/** What can also be set by variables. Times in milliseconds; a limit of 0 is none. */
export interface Settings {
  /** For a developer's machine: pages of localhost on any port, clients without an Origin, short cooldowns. Default: false. */
  development?: boolean | undefined;
  /** What is logged, one JSON line each on standard output, unless `log` is given. Default: "warn". */
  logLevel?: LogLevel | undefined;
  /** The origin at which people open the page, when that is this server. Default: none. */
  publicUrl?: string | undefined;
  /** Origins whose pages may connect, besides those of the server's own host. Default: http://localhost:5173. */
  corsOrigin?: List | undefined;
  /** Whether clients that send no Origin (not browsers) may connect. Default: in development. */
  allowNoOrigin?: boolean | undefined;
  /**
   * Signs session tokens, at least 16 characters; of several the first signs, all verify. Needed with `redisUrl`. Default: a random
   * one, with which a restart ends every session.
   */
  sessionSecret?: List | undefined;
  /** How long two who skipped each other are not paired again. Default: 300,000; in development 5000. */
  skipCooldownMs?: number | undefined;
  /** Skips in a row that cost nothing. Default: 20. */
  skipBurst?: number | undefined;
  /** The first delay of one who skips more often; it doubles with each further skip. Default: 1000. */
  skipDelayMs?: number | undefined;
  /** After this wait anybody is accepted, whatever the interests and languages. Default: 10,000. */
  relaxAfterMs?: number | undefined;
  /** After this wait a peer meets those of other lanes as well. Default: 0, there are no lanes. */
  laneAfterMs?: number | undefined;
  /** Lobbies that a peer can choose in `join`, besides `main`: at most 100 names of 1 to 64 characters. Default: none. */
  lobbies?: List | undefined;
  /** How long room and ticket of a peer are kept whose connection has dropped. Default: 15,000. */
  graceMs?: number | undefined;
  /** How long the place of such a peer in its room is kept while its partner says that media flows; 0: no longer than the grace. Default: 300,000. */
  callKeepMs?: number | undefined;
  /** The path of a JSON file with what `facts` takes. Default: none. */
  factsFile?: string | undefined;
  /** STUN servers that browsers are given. Default: stun:stun.l.google.com:19302. */
  stunUrls?: List | undefined;
  /** TURN servers that browsers are given, with credentials made by `turnSecret`. Default: none. */
  turnUrls?: List | undefined;
  /** The TURN servers' shared secret (coturn's `static-auth-secret`). */
  turnSecret?: List | undefined;
  /** Who gives TURN credentials in place of a secret: "cloudflare" or "twilio". Default: nobody. For others: `ice`. */
  turnProvider?: "cloudflare" | "twilio" | undefined;
  /** Cloudflare's id of a TURN key, or Twilio's account SID. */
  turnProviderId?: string | undefined;
  /** The token of that key, or of that account. */
  turnProviderToken?: string | undefined;
  /** The origin of the provider's interface. Default: its own. */
  turnProviderUrl?: string | undefined;
  /** How long TURN credentials are valid (seconds). Default: 300; those of a provider 14,400. */
  turnTtlS?: number | undefined;
  /** Every call goes through TURN, so that no peer learns another's address. Default: false. */
  forceRelay?: boolean | undefined;
  /**
   * Which way the words of rooms for video and audio take: through the server, or from browser to browser. Those of rooms for text always go
   * through the server. Default: "direct"; with a `message` hook "server".
   */
  chat?: Chat | undefined;
  /** Signals and queries of an account or session per second, in bursts of 100. Default: 30. */
  limitSignalsPerS?: number | undefined;
  /** Joins, skips and reports of an account or session per second, in bursts of 5. Default: 2. */
  limitIntentsPerS?: number | undefined;
  /** Bytes of signals of an account or session per second, in bursts of 131,072. Default: 32,768. */
  limitSignalBytesPerS?: number | undefined;
  /** Open sockets per IPv4 address or IPv6 /64. Default: 20. */
  limitSocketsPerAddress?: number | undefined;
  /** Handshakes of an address in a minute. Default: 60. */
  limitHandshakesPerMin?: number | undefined;
  /** Open sockets of this process. Default: 50,000. */
  limitPeers?: number | undefined;
  /** Peers that a process with clearly more than the others asks in a minute to reconnect, at most; with `redisUrl`. Default: 0, none. */
  levelPeersPerMinute?: number | undefined;
  /** Sessions and accounts that are kept while they are gone, because they block another or are blocked. Default: 50,000. */
  limitBlockers?: number | undefined;
  /** The same of one address. Default: 200. */
  limitBlockersPerAddress?: number | undefined;
  /** Bytes of standing offers that are kept at a time, in each Redis if there are several. Default: 67,108,864. */
  limitStandbyBytes?: number | undefined;
  /** The same of one address. Default: 1,048,576. */
  limitStandbyBytesPerAddress?: number | undefined;
  /** Reports from so many distinct reporters within the window suspend an account or session. Default: 3. */
  reportsToSuspend?: number | undefined;
  /** The same for an address. Default: 9. */
  reportsToSuspendAddress?: number | undefined;
  /** How long a report counts. Default: 3,600,000. */
  reportsWindowMs?: number | undefined;
  /** How long a room has to last for reports from it to count, unless media flowed for both. Default: 5000. */
  reportsAfterMs?: number | undefined;
  /** Reports of one network that count in an hour. Default: 10. */
  reportsPerHour?: number | undefined;
  /**
   * For how long reports suspend an account or session: the first time, the second, and so on; the last applies from then on. Default: an hour, a
   * day, a week.
   */
  suspendSteps?: string | readonly number[] | undefined;
  /** The same of an address. Default: an hour, six hours, a day. */
  suspendAddressSteps?: string | readonly number[] | undefined;
  /** In place of `suspendSteps` where it is always the same. Default: none. */
  suspendMs?: number | undefined;
  /** In place of `suspendAddressSteps` likewise. Default: none. */
  suspendAddressMs?: number | undefined;
  /** Whether a warning comes before the first suspension by reports. Default: true. */
  suspendWarning?: boolean | undefined;
  /** After which a warning or suspension no longer counts towards the next step. Default: 2,592,000,000, 30 days. */
  suspendDecayMs?: number | undefined;
  /** Where whoever is suspended can object, a URL or a text of at most 500 characters; told along with the suspension. Default: none. */
  appeal?: string | undefined;
  /** How long decisions are kept for `decisions()`. Default: 15,552,000,000, 180 days, in Redis; in memory until the process ends. */
  decisionsKeepMs?: number | undefined;
  /** Bytes of notes and evidence in memory until they are told; past that the oldest are dropped. Default: 16,777,216. */
  limitEvidenceBytes?: number | undefined;
  /** Proxies whose forwarding headers are believed: addresses, or ranges such as 10.0.0.0/8. Default: none. */
  trustedProxies?: List | undefined;
  /** Where the lobby is shared by several processes; several URLs are as many parts of it. Default: none, in memory. */
  redisUrl?: List | undefined;
  /** Sentinels (`host:26379`) that are asked for the master. Default: none. */
  redisSentinels?: List | undefined;
  redisSentinelPassword?: string | undefined;
  /** Whether `redisUrl` names nodes of a Redis Cluster. Default: false. */
  redisCluster?: boolean | undefined;
  /** The parts of the lobby in a cluster. Default: 3. */
  redisShards?: number | undefined;
  /** Peers per part of the lobby above which one more opens. Default: 40,000. */
  redisShardPeers?: number | undefined;
  /** Before each key and channel. Default: "peer-stream:". */
  redisPrefix?: string | undefined;
  /** Paths of PEM files for TLS to Redis. Default: the system's authorities, no client certificate. */
  redisCaFile?: string | undefined;
  redisCertFile?: string | undefined;
  redisKeyFile?: string | undefined;
  /** Whether `/schema/*` describes the wire to authors of clients. Default: in development. */
  serveSchema?: boolean | undefined;
  /** Gives access to `/metrics`, as a bearer token of at least 16 characters. Default: it is not served. */
  metricsToken?: string | undefined;
  /** Gives access to `/admin`, likewise. Default: it is not served, unless there is `isOperator`. */
  adminToken?: string | undefined;
  /** Where your receiver of reports shows the evidence of a case, with `{caseId}` in place of its id. Default: the console has no link. */
  evidenceUrl?: string | undefined;
  /** Where reports are posted, signed by `moderationSecret`. Default: nowhere. */
  moderationWebhook?: string | undefined;
  moderationSecret?: string | undefined;
  /** Verifies the tokens (JWT) of peers with accounts: secrets of at least 32 characters, any of which may have signed. Default: none. */
  authJwtSecret?: List | undefined;
  /** The URL of the key set that verifies them, in place of a secret. Default: none. */
  authJwksUrl?: string | undefined;
  /** What a token's `iss` must be. Default: any. */
  authIssuer?: string | undefined;
  /** What a token's `aud` must contain one of. Default: any. */
  authAudience?: List | undefined;
  /** The claim that the account is read from. Default: "sub". */
  authAccountClaim?: string | undefined;
  /** The claim that the lobby is read from. Default: none. */
  authLobbyClaim?: string | undefined;
  /** The claim that the facts, an object, are read from. Default: none. */
  authFactsClaim?: string | undefined;
  /** The cookie that a token is in if the page passes none. Default: none. */
  authCookie?: string | undefined;
  /** Whether peers without a token are refused. Default: false. */
  authRequired?: boolean | undefined;
  /**
   * Who has to solve a proof of work before a join: "off", "on" (everybody), or "adaptive" (sessions from addresses that make sessions, or
   * are reported, faster than usual). Default: "off".
   */
  challenge?: "off" | "on" | "adaptive" | undefined;
  /** How much there is to compute: tries on average. Default: 150. */
  challengeDifficulty?: number | undefined;
  /** How long a session that has solved one is not asked again. Default: 1,800,000. */
  challengePassMs?: number | undefined;
  /** The version of the rules that peers agree to, at most 64 characters; another one asks them anew. Default: none, there are no rules. */
  rulesVersion?: string | undefined;
  /** The rules, at most 4000 characters. Default: none. */
  rulesText?: string | undefined;
  /** Where the rules are. Default: none. */
  rulesUrl?: string | undefined;
  /** The least age in years that is asked for with the rules; 0: any. Default: 18. */
  rulesAge?: number | undefined;
  /** Whether a join without the present version of the rules is refused. Default: false. */
  rulesRequired?: boolean | undefined;
  /** Whether hints of classifiers in the peers' own browsers are taken, for reports. Default: false. */
  hints?: boolean | undefined;
  /** Where lifecycle events are posted, signed by `eventsSecret`. Default: nowhere. */
  eventsWebhook?: string | undefined;
  eventsSecret?: string | undefined;
  /** Which types of events are posted. Default: all. */
  eventsTypes?: List | undefined;
}

export interface PeerStreamOptions<Declared extends FactsDeclaration = FactsDeclaration>
  extends Settings, Hooks<Declared> {}

/** A configuration with what its host declares. */
export type HostedConfig = Config & { readonly facts?: FactsDeclaration | undefined };

/** Variables of the program that a library has no use for: it does not listen, nor exit. */
const ofProgram: ReadonlySet<string> = new Set(["HOST", "PORT", "TLS_CERT", "TLS_KEY", "DRAIN_MS"]);

const variableOf = new Map(variableNames.map((name) => [optionOf(name), name]));

/** The options that are also variables, for the test that compares them. */
export const settingNames: readonly string[] = variableNames
  .filter((name) => !ofProgram.has(name))
  .map(optionOf);

/** Options that are wrong, or variables: each problem begins with its name. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(["Peer Stream can't be configured like this:", ...problems].join("\n  "));
    this.problems = problems;
  }
}

/** What else the program's variables say. */
export interface ProgramOptions extends Settings {
  host?: string;
  port?: number;
  /** Paths of PEM files. */
  tlsCert?: string;
  tlsKey?: string;
  drainMs?: number;
}

/**
 * The program's variables as options, for a host that wants to be configured by them. An empty variable counts as unset, and a
 * secret can be in the file that `…_FILE` names.
 * @throws {ConfigError} with everything that is wrong.
 */
export function readOptions(given: Record<string, string | undefined>): ProgramOptions {
  const read = readEnvironment(given);
  if ("problems" in read) throw new ConfigError(read.problems);
  const { env } = read;
  const { TRUSTED_PROXIES: _, NODE_ENV: mode = "development", ...values } = readVariables(env);
  const options = Object.entries(values).map(([name, value]) => [optionOf(name), value]);
  return {
    logLevel: "info",
    ...Object.fromEntries(options),
    development: mode === "development",
    trustedProxies: env["TRUSTED_PROXIES"],
  };
}

/**
 * @param randomSecret signs session tokens if there is no `sessionSecret`; with Redis, other nodes would not know it.
 * @throws {ConfigError} with everything that is wrong.
 */
export function configOf(options: PeerStreamOptions, randomSecret: string): HostedConfig {
  const env: Record<string, string> = { LOG_LEVEL: "warn", NODE_ENV: "production" };
  if (options.redisUrl === undefined) env["SESSION_SECRET"] = randomSecret;
  if (options.ice) env["TURN_TTL_S"] = String(ttlDefaultS.provided);
  const problems: string[] = [];
  for (const [name, value] of Object.entries(options)) {
    const variable = variableOf.get(name);
    if (value === undefined) continue;
    if (hookNames.has(name)) problems.push(...hookProblems(name, value));
    else if (isRelayForced(options, name)) continue;
    else if (variable === undefined) problems.push(`${name}: is no option${didYouMean(name)}`);
    else if (variable === "NODE_ENV") env[variable] = value === true ? "development" : "production";
    else if (!ofProgram.has(variable)) {
      const text = textOf(value);
      if ("problem" in text) problems.push(`${name}: ${text.problem}`);
      else env[variable] = text.text;
    }
  }
  const config = readConfig(env);
  if (options.authenticate && (options.authJwtSecret ?? options.authJwksUrl) !== undefined)
    problems.push("authenticate: is one way to know peers, authJwtSecret and authJwksUrl another");
  if ("problems" in config) problems.push(...config.problems.map(inTermsOfOptions));
  else if (options.lane && config.laneAfterMs === 0)
    problems.push("lane: is asked only where there are lanes: set laneAfterMs as well");
  for (const name of ["turnUrls", "turnProvider"] as const)
    if (options.ice && options[name] !== undefined)
      problems.push(`ice: and ${name} exclude each other: set one of them`);
  if (options.facts && options.factsFile !== undefined)
    problems.push("facts: and factsFile exclude each other: set one of them");
  const declared = readFactsOf(options);
  const at = options.facts ? "facts" : "factsFile";
  problems.push(...(declared?.problems ?? []).map((problem) => `${at}: ${problem}`));
  if (problems.length > 0 || "problems" in config) throw new ConfigError(problems);
  const hosted = isRelayForced(options, "forceRelay") ? { ...config, forceRelay: true } : config;
  return declared?.facts ? { ...hosted, facts: declared.facts } : hosted;
}

/** A variable would have to come with those about TURN, in whose place there is a hook. */
const isRelayForced = ({ ice, forceRelay }: PeerStreamOptions, name: string): boolean =>
  name === "forceRelay" && ice !== undefined && forceRelay === true;

function readFactsOf({ facts, factsFile }: PeerStreamOptions): ReadFacts | undefined {
  if (facts !== undefined) return readFacts(facts);
  return factsFile === undefined || factsFile === "" ? undefined : readFactsFile(factsFile);
}

/** A value as a variable has it. */
function textOf(value: unknown): { text: string } | { problem: string } {
  if (Array.isArray(value)) {
    const texts = value.map(String);
    // It would be taken for two.
    if (texts.some((text) => text.includes(",")))
      return { problem: "no item may have a comma in it" };
    return { text: texts.join(",") };
  }
  if (["string", "number", "boolean"].includes(typeof value)) return { text: String(value) };
  return { problem: "must be a text, a number, true or false, or a list of texts" };
}

function didYouMean(name: string): string {
  const known = [...settingNames, ...hookNames];
  const same = known.find(
    (option) => option.toLowerCase() === name.toLowerCase().replace(/_/g, ""),
  );
  return same === undefined ? "" : `; did you mean ${same}?`;
}
