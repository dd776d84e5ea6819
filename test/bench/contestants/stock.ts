/** The same server, but with tRPC's own WebSocket handler in place of `trpc-ws`. */
import { createLobby } from "../../../src/app/peer-stream.ts";
import { createMemoryEngine } from "../../../src/engine/memory/memory-engine.ts";
import { toStandardOutput } from "../../../src/app/standard-output.ts";
import { createLog } from "../../../src/observe/log.ts";
import { limits } from "../../../src/protocol.ts";
import { createCallLimits } from "../../../src/rpc/call-limits.ts";
import { createContexts } from "../../../src/rpc/context.ts";
import { createAppRouter } from "../../../src/rpc/router.ts";
import { createSessionTokens } from "../../../src/rpc/session-token.ts";
import { createSystem } from "../../../src/system.ts";
import { bunSocketSettings, createUpgrade } from "../../../src/trpc-ws/bun.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { createStockSockets } from "../../support/stock.ts";

const system = createSystem();
const { signaling } = createLobby({
  engine: createMemoryEngine(system, engineOptions),
  system,
  ice: { stunUrls: [], turnUrls: [], turnTtlS: 300 },
  log: createLog("info", toStandardOutput(system)),
});
const rate = { perS: 100_000, burst: 250_000 };
const contexts = createContexts({
  signaling,
  tokens: createSessionTokens(["a secret of the benchmark"]),
  limits: createCallLimits({ signals: rate, intents: rate, bytes: rate }, system.elapsed),
  now: system.now,
  newSessionId: system.id,
});
const accept = createStockSockets({
  router: createAppRouter({ facts: {}, softAfterMs: 0 }),
  createContext: ({ token }, socket) =>
    contexts.forSocket(token as string | undefined, "an address", socket),
  onError: () => {},
  deadlines: { pingMs: 10_000, pongWaitMs: 5000, firstMessageMs: 10_000 },
});
const upgrade = createUpgrade<unknown>(system, accept, limits.logBytesMax);

interface Listener {
  open(ws: unknown): void;
  message(ws: unknown, frame: unknown): void;
  close(): void;
}

const server = Bun.serve<Listener>({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, bun) =>
    upgrade(bun as never, request, undefined) ? undefined : new Response("stock"),
  websocket: {
    ...bunSocketSettings,
    open: (ws) => ws.data.open(ws),
    message: (ws, frame) => ws.data.message(ws, frame),
    close: (ws) => ws.data.close(),
  },
});

process.stdout.write(`${server.url.origin}\n`);
