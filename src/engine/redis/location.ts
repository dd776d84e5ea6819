/** How the place of Redis is configured, and how those are asked who know where it is. */
import { createClient, ErrorReply } from "@redis/client";
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

/** How those who know are asked. */
export interface Asking {
  tls?: RedisTls | undefined;
  /** One that has not answered by then is given up (milliseconds). */
  timeoutMs: number;
  clock: Pick<System, "schedule">;
}

/** The URL with another address in place of its own. */
export function withAddress(url: string, host: string, port: string | number): string {
  const { protocol, username, password, pathname } = new URL(url);
  const login = username === "" && password === "" ? "" : `${username}:${password}@`;
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return `${protocol}//${login}${bare.includes(":") ? `[${bare}]` : bare}:${port}${pathname}`;
}

/** Asks all at once. The error of the first one, if none can answer. */
export async function firstOf<T>(asked: readonly string[], answerOf: (one: string) => Promise<T>) {
  try {
    return await Promise.any(asked.map(answerOf));
  } catch (error) {
    throw error instanceof AggregateError ? bestOf(error.errors) : error;
  }
}

/** What was answered says more than that another one can't be reached. */
const bestOf = (errors: readonly unknown[]): unknown =>
  errors.find(
    (error) => error instanceof ErrorReply || /^(CLUSTERDOWN|the )/.test(messageOf(error)),
  ) ?? errors[0];

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** The replies of one Redis or Sentinel, on a connection of its own. */
export async function ask(
  { tls, timeoutMs, clock }: Asking,
  url: string,
  commands: string[][],
): Promise<unknown[]> {
  const connection = createClient({
    url,
    RESP: 2,
    disableClientInfo: true,
    maintNotifications: "disabled",
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
