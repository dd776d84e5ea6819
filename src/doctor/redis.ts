/** What can be wrong with the Redis of `REDIS_URL`, found with the same client and login that the nodes use. */
import { createClient, ErrorReply } from "@redis/client";
import type { RedisConfig } from "../redis-config.ts";
import { clusterFault, namedFault } from "../engine/redis/faults.ts";
import { absentKey, createKeys, versionedPrefix, type Keys } from "../engine/redis/keys.ts";
import type { Asking, RedisLocation } from "../engine/redis/location.ts";
import { locate } from "../engine/redis/locator.ts";
import { clusterRights, databaseRights, rights } from "../engine/redis/rights.ts";
import { secretFingerprint } from "../rpc/session-token.ts";
import type { System } from "../system.ts";
import { pemBytesMax, readText } from "../text-file.ts";
import { fail, messageOf, ok, warn, type Finding } from "./finding.ts";
import { checkCluster, checkSentinels } from "./redis-site.ts";

/** The oldest major version of Redis that runs the engine's scripts. */
const redisMajorMin = 7;
const connectMs = 5000;
/** The tolerated difference between the clocks of this machine and of Redis (milliseconds). */
const clockSkewMs = 2000;

/** Writes and publishes as the engine does. Then ARGV has commands, one a line: answers those that this user may not run. */
const probe = `
local k = KEYS[1]
redis.call('SET', k, 1, 'PX', 5000)
redis.call('DEL', k)
redis.call('SPUBLISH', k, '')
local refused = {}
for _, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '[^\\n]+') do words[#words + 1] = word end
  if not redis.acl_check_cmd(unpack(words)) then refused[#refused + 1] = words[1] end
end
local time = redis.call('TIME')
return { time[1], time[2], refused }`;

/**
 * Whether the nodes can work with each Redis that is configured, and whether they accept the session tokens of this
 * environment.
 * @param config without it nothing is checked.
 * @param sessionSecrets those of this environment; the first signs.
 */
export async function checkRedis(
  config: RedisConfig | undefined,
  sessionSecrets: readonly string[] | undefined,
  system: Pick<System, "now" | "schedule">,
): Promise<Finding[]> {
  if (!config) return [];
  const { tls, unread } = readTls(config.files);
  if (unread.length > 0) return unread;
  const asking: Asking = { tls, timeoutMs: connectMs, clock: system };
  const findings: Finding[] = [];
  for (const [shard, location] of config.locations.entries()) {
    if (typeof location !== "string" && location.kind === "sentinel")
      findings.push(...(await checkSentinels(location, asking)));
    // All parts are on the same one.
    if (typeof location !== "string" && location.kind === "cluster" && shard === 0)
      findings.push(...(await checkCluster(location, asking)));
    const found = await checkShard(config, shard, asking, sessionSecrets, system);
    const part = config.locations.length > 1 ? `part ${shard}: ` : "";
    findings.push(...found.map((one) => ({ ...one, what: part + one.what })));
  }
  return findings;
}

/** The PEM files, and those of them that can't be read. */
function readTls({ ca, cert, key }: RedisConfig["files"]): {
  tls: Asking["tls"];
  unread: Finding[];
} {
  const unread: Finding[] = [];
  const read = (name: string, path: string | undefined) => {
    if (path === undefined) return undefined;
    const file = readText(path, pemBytesMax);
    if ("text" in file) return file.text;
    unread.push(
      fail(`${name} ${file.problem}: ${path}`, "name a PEM file that this user can read"),
    );
    return undefined;
  };
  const tls = {
    ca: read("REDIS_CA_FILE", ca),
    cert: read("REDIS_CERT_FILE", cert),
    key: read("REDIS_KEY_FILE", key),
  };
  return { tls, unread };
}

async function checkShard(
  { locations, prefix }: RedisConfig,
  shard: number,
  asking: Asking,
  sessionSecrets: readonly string[] | undefined,
  system: Pick<System, "now" | "schedule">,
): Promise<Finding[]> {
  const location: RedisLocation = locations[shard] ?? locations[0];
  let url: string;
  try {
    url = await locate({ ...asking, location, key: absentKey(prefix, shard) });
  } catch (error) {
    // Why was found out by those who looked at the Sentinels or the cluster.
    return [fail(`nobody tells where Redis is: ${messageOf(error)}`, "see the findings above")];
  }
  const { host, pathname } = new URL(url);
  const client = createClient({
    url,
    disableClientInfo: true,
    maintNotifications: "disabled",
    socket: { ...asking.tls, connectTimeout: connectMs, reconnectStrategy: false },
  });
  // Each failure also rejects the pending command.
  client.on("error", () => {});
  /** A Redis that is frozen, or behind a half-open connection, does not answer. */
  function inTime<T>(answer: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const tooLate = new Error(`no answer within ${connectMs / 1000} s`);
    const cancel = system.schedule(connectMs, () => late.reject(tooLate));
    return Promise.race([answer, late.promise]).finally(cancel);
  }
  try {
    await inTime(client.connect());
    const command = (...words: string[]) => inTime(client.sendCommand(words));
    const server = infoOf(String(await command("INFO")));
    const unfit = unfitness(host, server, location);
    if (unfit) return [unfit];
    const key = `${versionedPrefix(prefix, shard)}doctor`;
    const wanted = [
      ...rights,
      ...(server.get("cluster_enabled") === "1" ? clusterRights : []),
      ...(/^\/?0?$/.test(pathname) ? [] : databaseRights),
    ].map((words) => words.map((word) => (/^(KEY|CHANNEL)$/.test(word) ? key : word || "-")));
    const lines = wanted.map((words) => words.join("\n"));
    const reply = await command("EVAL", probe, "1", key, ...lines);
    const [seconds, micros, refused] = reply as unknown as [string, string, string[]];
    const findings = [
      ok(`Redis ${server.get("redis_version")} at ${host} answers, and can be written`),
      ...(refused.length > 0 ? [missingRights(host, refused)] : []),
      ...settings(server),
      ...skew(Number(seconds) * 1000 + Number(micros) / 1000 - system.now()),
      ...(await secretsOfNodes(command, sessionSecrets, createKeys(prefix, shard))),
    ];
    if (refused.length === 0) await inTime(client.sSubscribe(key, () => {}));
    return findings;
  } catch (error) {
    return [failure(host, error)];
  } finally {
    client.destroy();
  }
}

const missingRights = (host: string, refused: readonly string[]): Finding =>
  fail(
    `this user of Redis at ${host} may not run ${refused.join(", ").toUpperCase()}`,
    namedFault("NOPERM")?.cure ?? "",
  );

/** The lines `name:value` of the reply to INFO. */
function infoOf(text: string): Map<string, string> {
  return new Map(
    text.split("\r\n").flatMap((line) => {
      const [, name, value] = /^(\w+):(.*)$/.exec(line) ?? [];
      return name === undefined || value === undefined ? [] : [[name, value]];
    }),
  );
}

/** The problem that makes this Redis server unusable, which no setting would solve. */
function unfitness(
  host: string,
  server: Map<string, string>,
  location: RedisLocation,
): Finding | undefined {
  const version = server.get("redis_version") ?? "";
  if (server.get("role") === "slave")
    return fail(
      `Redis at ${host} is a replica of ${server.get("master_host")}:${server.get("master_port")}: it takes no writes`,
      "name the master in REDIS_URL, or a name that always leads to it",
    );
  if (Number.parseInt(version, 10) < redisMajorMin)
    return fail(`Redis at ${host} is of version ${version}`, `use ${redisMajorMin}.0 or newer`);
  if (server.get("cluster_enabled") === "1" && typeof location === "string")
    return fail(`Redis at ${host} is a node of a cluster`, clusterFault.cure);
  return undefined;
}

function settings(server: Map<string, string>): Finding[] {
  const findings: Finding[] = [];
  const max = Number(server.get("maxmemory") ?? 0);
  const policy = server.get("maxmemory_policy");
  if (max > 0 && policy !== "noeviction")
    findings.push(
      fail(
        `Redis' maxmemory-policy is ${policy}: it deletes sessions and rooms when it is full`,
        "set maxmemory-policy noeviction",
      ),
    );
  if (max > 0 && Number(server.get("used_memory")) > 0.8 * max)
    findings.push(warn("Redis uses more than 80 % of its maxmemory", "give it more"));
  if (server.get("aof_enabled") === "0")
    findings.push(
      warn("a restart of Redis loses sessions: appendonly is no", "set appendonly yes"),
    );
  return findings;
}

function skew(ms: number): Finding[] {
  if (Math.abs(ms) <= clockSkewMs) return [];
  const seconds = Math.round(Math.abs(ms) / 100) / 10;
  const which = ms > 0 ? "ahead of" : "behind";
  return [warn(`Redis' clock is ${seconds} s ${which} this machine's`, "keep both by NTP")];
}

/**
 * Whether the tokens of each running node and those of this environment are accepted by the other. While a secret is
 * rotated in the documented order they always are.
 */
async function secretsOfNodes(
  command: (...words: string[]) => Promise<unknown>,
  sessionSecrets: readonly string[] | undefined,
  keys: Keys,
): Promise<Finding[]> {
  if (!sessionSecrets) return [];
  const own = sessionSecrets.map(secretFingerprint);
  const ids = (await command("ZRANGE", keys.nodes(), "0", "-1")) as string[];
  const findings: Finding[] = [];
  let running = 0;
  for (const id of ids) {
    const about = await command("GET", keys.node(id));
    // Nodes whose lease has ended have none; those of earlier versions publish no fingerprints.
    const theirs = typeof about === "string" ? /^secrets=(.+)$/.exec(about)?.[1]?.split(",") : [];
    if (!theirs?.[0] || !own[0]) continue;
    running += 1;
    // As `SharedLoads` writes it: its name is what logs and metrics call it.
    const load = await command("HGET", keys.loads(), id);
    const name = (typeof load === "string" && /^\d+ [01] (.+)$/.exec(load)?.[1]) || id;
    if (!theirs.includes(own[0]))
      findings.push(
        fail(
          `node ${name} does not accept tokens signed with the first secret of this SESSION_SECRET`,
          "append the new secret on every node before any node has it first",
        ),
      );
    else if (!own.includes(theirs[0]))
      findings.push(
        fail(
          `this SESSION_SECRET does not accept the tokens that node ${name} signs`,
          "keep the old secret behind the new one until its tokens have expired, after 7 days",
        ),
      );
  }
  if (running > 0 && findings.length === 0)
    findings.push(ok(`SESSION_SECRET fits the ${running} running nodes`));
  return findings;
}

/** What Redis refused, or why it can't be reached. Error replies name no secret (RESP, simple errors). */
function failure(host: string, error: unknown): Finding {
  const message = messageOf(error);
  if (!(error instanceof ErrorReply))
    return fail(
      `Redis at ${host} does not answer: ${message}`,
      "check REDIS_URL, that it runs, and for rediss: its certificate",
    );
  return fail(
    `Redis at ${host} refuses: ${message}`,
    namedFault(message)?.cure ?? "see Redis' log",
  );
}
