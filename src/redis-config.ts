/** The variables about Redis → where it is, one location for each part of the lobby, and how it is reached. */
import { z } from "zod";
import { confidential, flag, integer } from "./config-values.ts";

/** A URL; or how Sentinels, or the nodes of a cluster, are asked for it. The engine knows the same shapes. */
type Location =
  | string
  | {
      kind: "sentinel";
      url: string;
      sentinels: readonly string[];
      password: string | undefined;
    }
  | { kind: "cluster"; seeds: readonly string[] };

export interface RedisConfig {
  /** One for each part of the lobby. */
  locations: readonly [Location, ...Location[]];
  /** Sessions online per open part above which one more opens. */
  peersPerShard: number;
  /** Before each key and channel. */
  prefix: string;
  /** Paths of PEM files; they are read at the start. */
  files: { ca: string | undefined; cert: string | undefined; key: string | undefined };
}

const shardsDefault = 3;
const hostAndPort = /^(?:\[[0-9a-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/i;

/** A `#` or `?` in a password would end the URL before it, and another host would be asked. */
function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || !/^rediss?:\/\/./.test(text)) return false;
  return url.hostname !== "" && !/[?#]/.test(text) && /^\/?\d*$/.test(url.pathname);
}

function isAddress(text: string): boolean {
  const match = hostAndPort.exec(text);
  return match !== null && Number(match[1] ?? 1) <= 65_535;
}

const list = (isItem: (text: string) => boolean, message: string) =>
  z
    .string()
    .transform((text) => text.split(",").map((item) => item.trim()))
    .pipe(z.array(z.string().refine(isItem, message)).min(1));

export const redisVariables = {
  REDIS_URL: confidential(
    list(
      isRedisUrl,
      "must be a URL like redis://user:password@host:6379/0; in a password write , # ? / @ as %2C %23 %3F %2F %40",
    ).optional(),
  ),
  REDIS_SENTINELS: list(isAddress, "must be addresses like host:26379, comma-separated").optional(),
  REDIS_SENTINEL_PASSWORD: confidential(z.string().optional()),
  REDIS_CLUSTER: flag.default(false),
  REDIS_SHARDS: integer(1, 9999).optional(),
  REDIS_SHARD_PEERS: integer(1, 999_999_999).default(40_000),
  // Braces would decide on which master of a cluster the keys are.
  REDIS_PREFIX: z
    .string()
    .regex(/^[\w:./-]{1,64}$/, "must be at most 64 letters, digits and :./_-")
    .default("peer-stream:"),
  REDIS_CA_FILE: z.string().optional(),
  REDIS_CERT_FILE: z.string().optional(),
  REDIS_KEY_FILE: z.string().optional(),
};

type Environment = z.output<z.ZodObject<typeof redisVariables>>;

/** What does not fit together: variable and problem. */
export function redisProblems(env: Environment): [variable: string, problem: string][] {
  const problems: [string, string][] = [];
  const urls = env.REDIS_URL ?? [];
  if (urls.length === 0)
    for (const name of ["REDIS_SENTINELS", "REDIS_CA_FILE", "REDIS_CERT_FILE"] as const)
      if (env[name] !== undefined) problems.push(["REDIS_URL", `is needed with ${name}`]);
  if (env.REDIS_CLUSTER && urls.length === 0)
    problems.push(["REDIS_URL", "is needed with REDIS_CLUSTER: some nodes of the cluster"]);
  if (env.REDIS_CLUSTER && env.REDIS_SENTINELS)
    problems.push(["REDIS_SENTINELS", "has no use with REDIS_CLUSTER: a cluster has none"]);
  if (env.REDIS_CLUSTER && urls.some((url) => !/^\/?0?$/.test(new URL(url).pathname)))
    problems.push(["REDIS_URL", "can't name a database of a cluster, which has only one"]);
  if (env.REDIS_SHARDS !== undefined && !env.REDIS_CLUSTER)
    problems.push(["REDIS_SHARDS", "is for REDIS_CLUSTER=true"]);
  if (env.REDIS_SENTINELS && urls.some((url) => new URL(url).port !== ""))
    problems.push([
      "REDIS_URL",
      "has a port: with REDIS_SENTINELS it has the name of the master, such as redis://mymaster",
    ]);
  if (env.REDIS_SENTINEL_PASSWORD !== undefined && !env.REDIS_SENTINELS)
    problems.push(["REDIS_SENTINEL_PASSWORD", "has no use without REDIS_SENTINELS"]);
  if (urls.length > 0 && !urls.some((url) => url.startsWith("rediss:")))
    for (const name of ["REDIS_CA_FILE", "REDIS_CERT_FILE"] as const)
      if (env[name] !== undefined)
        problems.push([name, "is for TLS: begin REDIS_URL with rediss://"]);
  if ((env.REDIS_CERT_FILE === undefined) !== (env.REDIS_KEY_FILE === undefined))
    problems.push(["REDIS_CERT_FILE", "and REDIS_KEY_FILE are needed together"]);
  return problems;
}

export function readRedisConfig(env: Environment): RedisConfig | undefined {
  const { REDIS_URL: urls = [], REDIS_SENTINELS: sentinels } = env;
  const count = env.REDIS_SHARDS ?? shardsDefault;
  const [first, ...others]: Location[] = env.REDIS_CLUSTER
    ? Array.from({ length: count }, () => ({ kind: "cluster" as const, seeds: urls }))
    : urls.map((url) =>
        sentinels
          ? { kind: "sentinel" as const, url, sentinels, password: env.REDIS_SENTINEL_PASSWORD }
          : url,
      );
  if (first === undefined) return undefined;
  return {
    locations: [first, ...others],
    peersPerShard: env.REDIS_SHARD_PEERS,
    prefix: env.REDIS_PREFIX,
    files: { ca: env.REDIS_CA_FILE, cert: env.REDIS_CERT_FILE, key: env.REDIS_KEY_FILE },
  };
}
