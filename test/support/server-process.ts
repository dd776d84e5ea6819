/** The real server as a process of its own, on a port of its own. */
import { join } from "node:path";
import { root } from "./root.ts";
import { until } from "./until.ts";

export interface ServerProcess extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, or `https:` with TLS_CERT */
  readonly origin: string;
  readonly pid: number;
  /** Everything it has printed so far. */
  readonly output: string;
  /** Resolves with its exit code once it has ended; 128 and the signal's number if a signal has ended it. */
  readonly exited: Promise<number>;
  /** Asks it to leave (SIGTERM) and waits until it has. */
  stop(): Promise<void>;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  /** Holds it, as a machine that is out of memory or being moved would be held. */
  pause(): void;
  resume(): void;
}

/** Those that run: none of them outlives this process, however it exits. */
const running = new Set<Bun.Subprocess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

const START_MS_MAX = 15_000;
const STOP_MS_MAX = 40_000;

/** How it is started, if not from its sources. */
export interface Program {
  command: string[];
  cwd: string;
}

/**
 * Starts `src/main.ts`, or what was built of it, and resolves once it says where it listens.
 * @throws with what it printed, when it ends or stays silent instead.
 */
export async function startServer(
  env: Record<string, string> = {},
  program: Program = {
    command: [process.execPath, ...skewedClock(env), "src/main.ts"],
    cwd: root,
  },
  /** Whether a server with REDIS_URL has to be ready, or only to listen. */
  awaitReady = true,
): Promise<ServerProcess> {
  const child = Bun.spawn(program.command, {
    cwd: program.cwd,
    // In development the page reloads itself whenever the server comes back.
    env: {
      NODE_ENV: "production",
      PORT: "0",
      HOST: "127.0.0.1",
      SESSION_SECRET: crypto.randomUUID(),
      ...env,
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  running.add(child);
  void child.exited.then(() => running.delete(child));
  let output = "";
  const found = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      output += text;
      const url = /(https?):\/\/(?:127\.0\.0\.1|localhost):(\d+)/.exec(output);
      if (url) found.resolve(`${url[1]}://127.0.0.1:${url[2]}`);
    }
  };
  const printed = Promise.all([read(child.stdout), read(child.stderr)]);
  const failure = (why: string) => new Error(`the server ${why}; it printed:\n${output}`);
  const fail = (why: string) => found.reject(failure(why));
  const timer = setTimeout(() => fail(`did not start within ${START_MS_MAX} ms`), START_MS_MAX);
  // Its end may be noticed before what it has printed. Something that it started may still have its output open.
  void child.exited.then(async (code) => {
    await Promise.race([printed, Bun.sleep(1000)]);
    fail(`ended with code ${code}`);
  });

  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const stop = async () => {
    if (hasEnded()) return;
    child.kill("SIGCONT");
    child.kill("SIGTERM");
    // Only what does not leave by itself is made to.
    const force = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    await child.exited;
    clearTimeout(force);
  };

  try {
    const origin = await found.promise;
    // It listens before Redis is there, to say so.
    if (env["REDIS_URL"] !== undefined && awaitReady)
      await until(
        "it is ready, or has ended",
        async () => hasEnded() || (await isReady(origin)),
        START_MS_MAX,
      );
    if (hasEnded()) throw failure(`ended with code ${child.exitCode}`);
    return {
      origin,
      pid: child.pid,
      get output() {
        return output;
      },
      exited: child.exited,
      stop,
      async kill() {
        child.kill("SIGKILL");
        await child.exited;
      },
      pause: () => child.kill("SIGSTOP"),
      resume: () => child.kill("SIGCONT"),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

const isReady = async (origin: string) => (await fetch(`${origin}/readyz`)).status === 200;

/** Flags for a server whose wall clock is not right (see skewed-clock.ts). */
function skewedClock(env: Record<string, string>): string[] {
  const isSkewed = Object.keys(env).some((name) => name.startsWith("WALL_CLOCK_"));
  return isSkewed ? ["--preload", join(import.meta.dir, "skewed-clock.ts")] : [];
}
