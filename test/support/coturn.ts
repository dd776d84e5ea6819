/** A real TURN server on a free port of this machine. */
import { createSocket } from "node:dgram";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";

export interface Coturn extends AsyncDisposable {
  readonly port: number;
  /** `turn:` URL, over UDP. */
  readonly url: string;
  readonly secret: string;
  /** Everything it has logged so far. */
  readonly log: string;
  /** From now on it neither relays nor answers; and does again. */
  pause(): void;
  resume(): void;
}

const startMsMax = 10_000;

/**
 * Starts `turnserver` with time-limited credentials (`use-auth-secret`).
 * @param settings more of its own, such as `--user-quota=4`.
 * @throws if there is none: a test that needs it is never skipped.
 */
export async function startCoturn(settings: readonly string[] = []): Promise<Coturn> {
  const program = Bun.which("turnserver");
  if (!program)
    throw new Error(
      "There is no turnserver (Debian's package coturn). The README's test line installs it.",
    );
  const secret = crypto.randomUUID();
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), "peer-stream-coturn-"));
  const child = Bun.spawn(
    [
      program,
      "-n",
      `--listening-port=${port}`,
      "--listening-ip=127.0.0.1",
      "--relay-ip=127.0.0.1",
      // Both peers are on this machine; a public server denies this, and private addresses too.
      "--allow-loopback-peers",
      "--realm=peer-stream.test",
      "--use-auth-secret",
      `--static-auth-secret=${secret}`,
      `--userdb=${join(directory, "turndb")}`,
      `--pidfile=${join(directory, "pid")}`,
      "--fingerprint",
      "--verbose",
      ...(settings.some((setting) => setting.startsWith("--cert="))
        ? []
        : ["--no-tls", "--no-dtls"]),
      "--no-cli",
      "--log-file=stdout",
      "--simple-log",
      ...settings,
    ],
    { cwd: directory, stdout: "pipe", stderr: "ignore" },
  );
  let log = "";
  void (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) log += text;
  })();
  const dispose = async () => {
    child.kill("SIGCONT");
    child.kill("SIGTERM");
    const force = setTimeout(() => child.kill("SIGKILL"), 5000);
    await child.exited;
    clearTimeout(force);
    await rm(directory, { recursive: true });
  };
  const deadline = performance.now() + startMsMax;
  while (!(await answersStun(port))) {
    if (performance.now() < deadline && child.exitCode === null) continue;
    await dispose();
    throw new Error(`turnserver did not start; it logged:\n${log}`);
  }
  return {
    port,
    url: `turn:127.0.0.1:${port}?transport=udp`,
    secret,
    get log() {
      return log;
    },
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    [Symbol.asyncDispose]: dispose,
  };
}

/** Whether something answers a STUN binding request (RFC 8489, 2) there within 100 ms. */
async function answersStun(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  try {
    const answered = new Promise<boolean>((resolve) => {
      socket.once("message", () => resolve(true));
      socket.once("error", () => resolve(false));
      setTimeout(() => resolve(false), 100);
    });
    const request = Buffer.alloc(20);
    request.writeUInt16BE(0x0001, 0);
    request.writeUInt32BE(0x2112a442, 4);
    socket.send(request, port, "127.0.0.1");
    return await answered;
  } finally {
    socket.close();
  }
}
