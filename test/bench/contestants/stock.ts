/** Everything of ours, but with tRPC's own WebSocket handler in the place of the lean one. */
import { createFairPolicy } from "../../../src/domain/matchmaker.ts";
import { createMemoryEngine } from "../../../src/engine/memory/memory-engine.ts";
import { createLog, toStandardOutput } from "../../../src/observe/log.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";
import { createCallLimits } from "../../../src/rpc/call-limits.ts";
import { createContexts } from "../../../src/rpc/context.ts";
import { appRouter } from "../../../src/rpc/router.ts";
import { createSessionTokens } from "../../../src/rpc/session-token.ts";
import { createSignaling } from "../../../src/signaling.ts";
import { createSystem } from "../../../src/system.ts";
import { bunSocketSettings, createUpgrade } from "../../../src/transport/bun.ts";
import { defaultDeadlines } from "../../../src/transport/deadlines.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { createStockSockets } from "../../support/stock.ts";

const system = createSystem();
const engine = createMemoryEngine(system, engineOptions);
const signaling = createSignaling({
  engine,
  system,
  policy: createFairPolicy({ patienceMs: 30_000, windowMs: 2000 }),
  ice: { stunUrls: [], turnUrls: [], turnTtlS: 300 },
  forceRelay: false,
  onReport: () => {},
  metrics: createMetrics(async () => engine.stats()),
  log: createLog("info", toStandardOutput(system.soon)),
});
const rate = { perS: 100_000, burst: 250_000 };
const contexts = createContexts({
  signaling,
  tokens: createSessionTokens(["a secret of the benchmark"]),
  limits: createCallLimits({ signals: rate, intents: rate, bytes: rate }, system.elapsed),
  now: system.now,
  newId: system.id,
});
const accept = createStockSockets({
  router: appRouter,
  createContext: ({ token }, socket, { addressHash }) =>
    contexts.forSocket(token as string | undefined, addressHash, socket),
  onError: () => {},
  deadlines: defaultDeadlines,
});

const upgradeSocket = createUpgrade(system);

interface Listener {
  open(ws: unknown): void;
  message(ws: unknown, frame: unknown): void;
  close(): void;
}

const server = Bun.serve<Listener>({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, bun) {
    const upgraded = upgradeSocket(bun as never, request, accept, {
      addressHash: "",
      release() {},
    });
    return upgraded ? undefined : new Response("stock");
  },
  websocket: {
    ...bunSocketSettings,
    open: (ws) => ws.data.open(ws),
    message: (ws, frame) => ws.data.message(ws, frame),
    close: (ws) => ws.data.close(),
  },
});

process.stdout.write(`${server.url.origin}\n`);
