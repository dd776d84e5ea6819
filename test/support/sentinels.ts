/** Real Sentinels on free ports of this machine, that watch a master and its replicas. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import type { Redis } from "./redis.ts";
import { until } from "./until.ts";

export interface Sentinels extends AsyncDisposable {
  /** As `REDIS_SENTINELS` has it. */
  readonly addresses: string;
  /** The port of the master that most of those that run name. */
  masterPort(): Promise<number>;
  /** Ends one of them. */
  kill(index: number): Promise<void>;
  /** Runs `redis-cli` against one of them. */
  cli(index: number, ...args: string[]): Promise<string>;
}

export interface SentinelSettings {
  /** The name of the master. */
  name: string;
  /** What is demanded of those who ask the Sentinels. */
  password: string;
  /** What the master and the replicas demand. */
  auth: string;
}

/** Three of them, once they know each other and the replicas. */
export async function startSentinels(
  master: Redis,
  replicaCount: number,
  { name, password, auth }: SentinelSettings,
): Promise<Sentinels> {
  const directory = await mkdtemp(join(tmpdir(), "peer-stream-sentinel-"));
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const children = await Promise.all(
    ports.map(async (port) => {
      const file = join(directory, `${port}.conf`);
      const settings = [
        `port ${port}`,
        "bind 127.0.0.1",
        `dir ${directory}`,
        `requirepass ${password}`,
        `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
        `sentinel auth-pass ${name} ${auth}`,
        `sentinel down-after-milliseconds ${name} 1000`,
        `sentinel failover-timeout ${name} 5000`,
      ];
      await Bun.write(file, `${settings.join("\n")}\n`);
      return Bun.spawn(["redis-server", file, "--sentinel"], {
        stdin: "ignore",
        stdout: "ignore",
        stderr: "ignore",
      });
    }),
  );
  const cli = (index: number, ...args: string[]) =>
    Bun.$`redis-cli -p ${ports[index] ?? 0} --no-auth-warning -a ${password} ${args}`.text();
  const isRunning = (index: number) =>
    children[index]?.exitCode === null && children[index].signalCode === null;

  for (const index of ports.keys())
    await until("the Sentinels know each other and the replicas", async () => {
      const known = await cli(index, "sentinel", "master", name);
      const numberOf = (field: string) =>
        Number(new RegExp(`^${field}\\n(\\d+)`, "m").exec(known)?.[1]);
      return (
        numberOf("num-other-sentinels") === ports.length - 1 &&
        numberOf("num-slaves") === replicaCount
      );
    });

  return {
    addresses: ports.map((port) => `127.0.0.1:${port}`).join(),
    cli,
    async masterPort() {
      const named = await Promise.all(
        [...ports.keys()].filter(isRunning).map(async (index) => {
          const reply = await cli(index, "sentinel", "get-master-addr-by-name", name);
          return Number(reply.split("\n")[1]);
        }),
      );
      const sorted = named.sort((a, b) => a - b);
      return sorted[Math.floor(sorted.length / 2)] ?? 0;
    },
    async kill(index) {
      children[index]?.kill("SIGKILL");
      await children[index]?.exited;
    },
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map((child) => child.exited));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
