/** Where Redis is: at a URL, or wherever Sentinels or the nodes of a cluster say that it is at the moment. */
import { createClient } from "@redis/client";
import type { System } from "../../system.ts";

/** A plain URL: redis://[user:password@]host:port[/database], or rediss:// for TLS. */
export type RedisLocation = string | SentinelLocation | ClusterLocation;

export interface SentinelLocation {
  kind: "sentinel";
  /** The same, with the name that the Sentinels know the master by in place of the host. */
  url: string;
  /** `host` or `host:port` of each; the default port is 26379. With rediss:// they are asked over TLS as well. */
  sentinels: readonly string[];
  /** What the Sentinels themselves demand. */
  password?: string | undefined;
}

export interface ClusterLocation {
  kind: "cluster";
  /** URLs of nodes of the cluster, any of which may be asked; user and password of the first are used everywhere. */
  seeds: readonly string[];
}

/** PEM texts for rediss:// beside the authorities that the system trusts. */
export interface RedisTls {
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
}

export interface LocatorOptions {
  location: RedisLocation;
  tls?: RedisTls | undefined;
  /** A key of those that are wanted; in a cluster they are all in one slot. */
  key: string;
  /** One that has not answered by then is given up (milliseconds). */
  timeoutMs: number;
  clock: Pick<System, "schedule">;
}

/** Finds the URL of the Redis that takes writes for `key` now. Rejects if nobody can tell. */
export function createLocator(options: LocatorOptions): () => Promise<string> {
  const { location } = options;
  if (typeof location === "string") return () => Promise.resolve(location);
  return location.kind === "sentinel"
    ? () => askSentinels(location, options)
    : () => askCluster(location, options);
}

/** The first one that answers with a name decides: Sentinels that were elsewhere than the others learn of a change late, at most. */
async function askSentinels(
  { url, sentinels, password }: SentinelLocation,
  options: LocatorOptions,
): Promise<string> {
  return firstOf(sentinels, (sentinel) => askSentinel({ url, password }, sentinel, options));
}

/** The URL of the master by the word of one Sentinel. */
export async function askSentinel(
  { url, password }: Pick<SentinelLocation, "url" | "password">,
  sentinel: string,
  options: Pick<LocatorOptions, "tls" | "timeoutMs" | "clock">,
): Promise<string> {
  const { protocol, hostname } = new URL(url);
  const login = password === undefined ? "" : `:${encodeURIComponent(password)}@`;
  const [master] = await ask(options, `${protocol}//${login}${withPort(sentinel)}`, [
    ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", hostname],
  ]);
  if (!master) throw new Error(`the Sentinels know no master named ${hostname}`);
  const [host, port] = master as [string, string];
  return withAddress(url, host, port);
}

const withPort = (address: string) => (/:\d+$/.test(address) ? address : `${address}:26379`);

async function askCluster({ seeds }: ClusterLocation, options: LocatorOptions): Promise<string> {
  return firstOf(seeds, async (seed) => {
    const [slotReply, slotsReply, stateReply] = await ask(options, loginOf(seeds, seed), [
      ["CLUSTER", "KEYSLOT", options.key],
      ["CLUSTER", "SLOTS"],
      ["CLUSTER", "INFO"],
    ]);
    // A node that is cut off from the others goes on telling what it last knew.
    if (!String(stateReply).includes("cluster_state:ok"))
      throw new Error("CLUSTERDOWN the cluster is not in order");
    const slot = Number(slotReply);
    const ranges = slotsReply as SlotRange[];
    const range = ranges.find(([first, last]) => first <= slot && slot <= last);
    if (!range?.[2]) throw new Error(`CLUSTERDOWN no master serves slot ${slot}`);
    const [host, port] = range[2];
    // A node that does not know its own address, or has no host name to tell: the one that was asked.
    const known = host && host !== "?" ? host : new URL(seed).hostname;
    return withAddress(loginOf(seeds, seed), known, port);
  });
}

/** First and last slot of a range, its master, and its replicas; each with its address. */
export type SlotRange = [first: number, last: number, ...nodes: [string | null, number][]];

/** The seed with user, password and database of the first one. */
export function loginOf([first = ""]: readonly string[], seed: string): string {
  const { hostname, port } = new URL(seed);
  return withAddress(first, hostname, port === "" ? 6379 : port);
}

function withAddress(url: string, host: string, port: string | number): string {
  const { protocol, username, password, pathname } = new URL(url);
  const login = username === "" && password === "" ? "" : `${username}:${password}@`;
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return `${protocol}//${login}${bare.includes(":") ? `[${bare}]` : bare}:${port}${pathname}`;
}

/** Asks all at once. The error of the first one, if none can answer. */
async function firstOf<T>(asked: readonly string[], answerOf: (one: string) => Promise<T>) {
  try {
    return await Promise.any(asked.map(answerOf));
  } catch (error) {
    throw error instanceof AggregateError ? bestOf(error.errors) : error;
  }
}

/** What was answered says more than that another one can't be reached. */
const bestOf = (errors: readonly unknown[]): unknown =>
  errors.find((error) => /^(Error: )?(CLUSTERDOWN|ERR|NO|WRONGPASS|the )/.test(String(error))) ??
  errors[0];

/** The replies of one Redis or Sentinel, on a connection of its own. */
export async function ask(
  { tls, timeoutMs, clock }: Pick<LocatorOptions, "tls" | "timeoutMs" | "clock">,
  url: string,
  commands: string[][],
): Promise<unknown[]> {
  const connection = createClient({
    url,
    RESP: 2,
    disableClientInfo: true,
    commandOptions: { timeout: 0 },
    socket: { ...tls, connectTimeout: timeoutMs, reconnectStrategy: false },
  });
  connection.on("error", () => {});
  const late = Promise.withResolvers<never>();
  const cancel = clock.schedule(timeoutMs, () => late.reject(new Error("no answer in time")));
  const replies = (async () => {
    await connection.connect();
    return Promise.all(commands.map((command) => connection.sendCommand(command)));
  })();
  try {
    return await Promise.race([replies, late.promise]);
  } finally {
    replies.catch(() => {});
    cancel();
    connection.destroy();
  }
}
