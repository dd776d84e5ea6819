/** A real Redis on a free port of this machine, that can be killed, frozen and started again. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine, EngineOptions } from "../../src/engine/engine.ts";
import { defaultPrefix } from "../../src/engine/redis/keys.ts";
import { createRedisEngine, type RedisEngine } from "../../src/engine/redis/redis-engine.ts";
import type { RedisOptions } from "../../src/engine/redis/redis-options.ts";
import type { RedisLocation } from "../../src/engine/redis/location.ts";
import { createSystem, steadyClock } from "../../src/system.ts";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";
import { settled, type VirtualSystem } from "./virtual-system.ts";
import type { OpenEngine } from "./world.ts";

export interface Redis extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  readonly isRunning: boolean;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  /** Starts it again on the same port; with what it had saved, unless told to forget. */
  start(options?: { forget?: boolean }): Promise<void>;
  freeze(): void;
  thaw(): void;
  /** Runs `redis-cli` against it. */
  cli(...args: string[]): Promise<string>;
}

const startMsMax = 10_000;

/**
 * Starts `redis-server`.
 * @throws if there is none: a test that needs it is never skipped.
 */
export async function startRedis(settings: string[] = []): Promise<Redis> {
  const program = Bun.which("redis-server") ?? "";
  if (program === "")
    throw new Error(
      "There is no redis-server (Debian's package). The README's test line installs it.",
    );
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), "peer-stream-redis-"));
  const base = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory];
  base.push("--save", "", "--appendonly", "yes", "--appendfsync", "everysec");
  let child: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;

  async function start({ forget = false } = {}) {
    if (forget) await rm(join(directory, "appendonlydir"), { recursive: true, force: true });
    child = Bun.spawn([program, ...base, ...settings], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const late = setTimeout(() => child?.kill("SIGKILL"), startMsMax);
    let log = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      log += text;
      if (log.includes("Ready to accept connections")) break;
    }
    clearTimeout(late);
    if (child.exitCode !== null) throw new Error(`redis-server did not start: ${log}`);
  }

  async function kill() {
    child?.kill("SIGKILL");
    await child?.exited;
  }

  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      return child?.pid ?? 0;
    },
    get isRunning() {
      return child?.exitCode === null && child.signalCode === null;
    },
    start,
    kill,
    freeze: () => child?.kill("SIGSTOP"),
    thaw: () => child?.kill("SIGCONT"),
    cli: (...args) => Bun.$`redis-cli -p ${port} ${args}`.text(),
    async [Symbol.asyncDispose]() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/**
 * Waits until a replica has everything that its master has now. That it has loaded the data and its link is up does not say so: a
 * master sends what comes after only once the replica has acknowledged that, up to a second later.
 */
export async function untilReplicated(master: Redis, replica: Redis, auth: string[] = []) {
  const offsetOf = async (redis: Redis, field: string) => {
    const info = await redis.cli(...auth, "info", "replication");
    return Number(new RegExp(`^${field}:(\\d+)`, "m").exec(info)?.[1]);
  };
  const offset = await offsetOf(master, "master_repl_offset");
  await until(
    `the replica has the first ${offset} bytes`,
    async () => (await offsetOf(replica, "slave_repl_offset")) >= offset,
  );
}

let sites = 0;

/** Opens engines on one Redis, each a site of its own, for tests that go by virtual time. */
export function enginesOn(redis: { url: RedisLocation }, options: Partial<RedisOptions> = {}) {
  const clock = createSystem();
  const opened: RedisEngine[] = [];
  const open: OpenEngine = (system: VirtualSystem, engineOptions: EngineOptions) => {
    const prefix = `${defaultPrefix}site-${process.pid}-${++sites}:`;
    const engine = createRedisEngine(system, engineOptions, {
      locations: [redis.url],
      prefix,
      deadlineClock: steadyClock(system),
      // Nobody's lease may end because a test takes its time.
      leaseMs: 60_000,
      timeoutMs: 10_000,
      // Verbs come one after the other here, and each signal would wait for one that does not come.
      batchMs: 0,
      clock,
      ...options,
    });
    opened.push(engine);
    let inFlight = 0;
    let begun = 0;
    const landed: (() => void)[] = [];
    const counted = new Proxy(engine, {
      get(target, verb: keyof Engine) {
        if (verb === "operator") return target.operator;
        const call = (target[verb] as (...args: never[]) => unknown).bind(target);
        if (/^(on[A-Z].*|available|now|newSessionId)$/.test(verb)) return call;
        return async (...args: never[]) => {
          inFlight += 1;
          begun += 1;
          try {
            // What has been published must have come, as it has by itself in time.
            if (verb !== "close" && (verb === "read" || !target.available()))
              await target.caughtUp();
            return await call(...args);
          } finally {
            inFlight -= 1;
            if (inFlight === 0) for (const resolve of landed.splice(0)) resolve();
          }
        };
      },
    });
    system.settleBy(async () => {
      for (let before = -1; before !== begun;) {
        before = begun;
        await settled();
        if (inFlight > 0) await new Promise<void>((resolve) => landed.push(resolve));
        await engine.caughtUp();
        await settled();
      }
    });
    return counted;
  };
  return {
    open,
    async close() {
      for (const engine of opened.splice(0)) await engine.close();
    },
  };
}
