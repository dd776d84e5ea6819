/** A real server for a transcript: what its lines that begin with `-` do to it. */
import { listen, type RunningServer } from "../../src/app/listen.ts";
import { openPeerStream, type OpenedPeerStream } from "../../src/app/create-peer-stream.ts";
import { readConfig } from "../../src/config.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";
import { createLog } from "../../src/observe/log.ts";
import { createSystem } from "../../src/system.ts";
import type { Redis } from "./redis.ts";
import { until } from "./until.ts";

const adminToken = "the token of a transcript's operator";

/** What every site of a transcript has, unless the transcript says otherwise: nothing that takes time or counts. */
const settings = {
  NODE_ENV: "production",
  SESSION_SECRET: "the secret of a transcript's site",
  ALLOW_NO_ORIGIN: "true",
  STUN_URLS: "stun:stun.example.com:3478",
  ADMIN_TOKEN: adminToken,
  LIMIT_SOCKETS_PER_ADDRESS: "0",
  LIMIT_HANDSHAKES_PER_MIN: "0",
  LIMIT_INTENTS_PER_S: "1000",
  REPORTS_AFTER_MS: "0",
};

export interface TranscriptSite extends AsyncDisposable {
  /** `ws:`, without a path. */
  readonly ws: string;
  askToReconnect(): void;
  /** Begins to drain. */
  drain(): void;
  /** Restarts it with the same secret and nothing else. */
  restart(): Promise<void>;
  loseRedis(): Promise<void>;
  /** Ends the connections of a session, as only the library can. */
  disconnect(sessionId: string): Promise<void>;
  /** Calls a procedure of the operator's. @throws if it is refused. */
  operate(procedure: string, input: object): Promise<void>;
}

let sites = 0;

/**
 * @param env further variables.
 * @param facts what it has declared, as a file of `FACTS_FILE` would.
 * @param redis where it keeps everything; without it in memory.
 */
export async function startTranscriptSite(
  env: Record<string, string>,
  facts: FactsDeclaration,
  redis?: Redis,
): Promise<TranscriptSite> {
  const system = createSystem();
  let running: { opened: OpenedPeerStream; server: RunningServer };
  const start = async () => {
    const config = readConfig({
      ...settings,
      ...(redis && { REDIS_URL: redis.url, REDIS_PREFIX: `transcript-${process.pid}-${++sites}:` }),
      ...env,
    });
    if ("problems" in config) throw new Error(config.problems.join("\n"));
    const log = createLog("error", { write: (line: string) => void console.error(line) });
    const opened = openPeerStream({ ...config, facts }, { system, log });
    running = { opened, server: listen(opened.assembly, { host: "127.0.0.1", port: 0 }) };
    await until("the site is ready", async () => (await fetch(`${origin()}/readyz`)).ok);
  };
  const stop = async () => {
    await running.server.stop();
    await running.opened.close();
  };
  const origin = () => running.server.url.origin;
  await start();
  return {
    get ws() {
      return origin().replace("http", "ws");
    },
    askToReconnect: () => running.opened.assembly.askToReconnect(),
    drain: () => void running.opened.assembly.drain(60_000),
    async restart() {
      await stop();
      await start();
    },
    async loseRedis() {
      await redis?.kill();
      const isReady = async () => (await fetch(`${origin()}/readyz`)).ok;
      await until("the site has lost Redis", async () => !(await isReady()));
    },
    async disconnect(id) {
      const rejection = await running.opened.assembly.signaling.disconnect({ kind: "session", id });
      if (rejection) throw new Error(rejection.reason);
    },
    async operate(procedure, input) {
      const answer = await fetch(`${origin()}/admin/${procedure}`, {
        method: "POST",
        headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
        body: JSON.stringify(input),
      });
      if (!answer.ok) throw new Error(`${procedure}: ${await answer.text()}`);
    },
    [Symbol.asyncDispose]: stop,
  };
}
