/**
 * The one place where the parts are put together: engine, signaling, RPC, sockets and routes. The program, the tests and the
 * benchmarks all begin here.
 */
import { networkHashChars } from "../domain/moderation.ts";
import { createFairPolicy, type Policy } from "../domain/matchmaker.ts";
import type { Engine } from "../engine/engine.ts";
import { Admission, type AdmissionOptions } from "../http/admission.ts";
import type { OriginPolicy } from "../http/origin.ts";
import type { Page } from "../http/page.ts";
import type { IceConfig } from "../ice.ts";
import type { Log } from "../observe/log.ts";
import { createMetrics, type Metrics } from "../observe/metrics.ts";
import { limits } from "../protocol.ts";
import { createCallLimits, type CallRates } from "../rpc/call-limits.ts";
import { createContexts } from "../rpc/context.ts";
import { isBug, reasonOf } from "../rpc/errors.ts";
import { handleUsualFrame } from "../rpc/fast-path.ts";
import { appRouter } from "../rpc/router.ts";
import { createSessionTokens } from "../rpc/session-token.ts";
import { Signaling, type ReportNotice } from "../signaling/signaling.ts";
import type { System } from "../system.ts";
import { createUpgrade } from "../trpc-ws/bun.ts";
import type { Failure, KeepAliveOptions, TrpcWebSocketLimits } from "../trpc-ws/options.ts";
import type { AcceptSocket } from "../trpc-ws/socket.ts";
import { TrpcWebSocket } from "../trpc-ws/trpc-web-socket.ts";
import { createHttp, type Http } from "./routes.ts";
import type { AdmittedSocket } from "./upgrade.ts";

export interface SignalingOptions {
  system: System;
  engine: Engine;
  log: Log;
  /** How partners are chosen. Default: the fair policy. */
  policy?: Policy | undefined;
  ice: IceConfig;
  /** Every room is relay-only. Default: false. */
  forceRelay?: boolean;
  /** Called with each reporter's first report of a room; must neither throw nor wait. */
  onReport?: (report: ReportNotice) => void;
  /** Names this node in its metrics. */
  nodeName?: string;
}

export interface PeerStreamOptions extends SignalingOptions {
  /** The first signs session tokens, all verify them. */
  sessionSecrets: readonly string[];
  rates: CallRates;
  origins: OriginPolicy;
  admission: Omit<AdmissionOptions, "networkHashChars" | "elapsed">;
  page?: Page | undefined;
  metricsToken?: string | undefined;
  adminToken?: string | undefined;
  keepAlive?: KeepAliveOptions;
  /** How long the first message of a socket that announces one may take (milliseconds). Default: 10,000. */
  initTimeoutMs?: number;
}

/** The defaults of the fair policy (milliseconds). */
const patienceMsDefault = 30_000;
const windowMs = 2000;

/** @param relaxAfterMs after which a ticket accepts anybody; a ticket is served first once it has waited three times as long. */
export function fairPolicyFor(relaxAfterMs: number): Policy {
  return createFairPolicy({ patienceMs: 3 * relaxAfterMs, windowMs });
}

/** Signaling over an engine, without any network. */
export function createLobby({
  engine,
  system,
  log,
  ice,
  policy = createFairPolicy({ patienceMs: patienceMsDefault, windowMs }),
  forceRelay = false,
  onReport = () => {},
  nodeName,
}: SignalingOptions): { signaling: Signaling; metrics: Metrics } {
  const metrics = createMetrics(async () => engine.stats(), nodeName);
  const signaling = new Signaling({
    engine,
    system,
    policy,
    ice,
    forceRelay,
    onReport,
    log,
    metrics,
  });
  return { signaling, metrics };
}

export interface PeerStream extends Omit<Http, "responses"> {
  readonly signaling: Signaling;
  readonly metrics: Metrics;
  /** Given once the server listens: the address at the other end of a request's connection. */
  setAddressLookup(addressOf: (request: Request) => string | undefined): void;
  /** Takes a socket that has just opened, however it came about. */
  accept: AcceptSocket<AdmittedSocket>;
  /** Asks every client at once to reconnect. */
  askToReconnect(): void;
  /**
   * From now on `/readyz` and every upgrade are answered with 503, no new session begins, and the clients are asked to
   * reconnect one by one over `windowMs` milliseconds. Resolves when all have gone, or the window is over.
   */
  drain(windowMs: number): Promise<void>;
  /** Closes every socket with the code that means reconnect, and stops sweeping. */
  stop(): void;
}

const socketLimitsFor = ({ signals }: CallRates): Partial<TrpcWebSocketLimits> => ({
  frameBytesMax: limits.frameBytesMax,
  batchCallsMax: limits.batchCallsMax,
  // Where calls are not limited, as for a measurement, neither are frames.
  ...(signals.perS === 0 && { calls: { perS: 0, burst: 1 } }),
});

export function createPeerStream(options: PeerStreamOptions): PeerStream {
  const { system, engine, log, origins, page, metricsToken, adminToken } = options;
  const { elapsed } = system;
  const { signaling, metrics } = createLobby(options);
  const admission = new Admission({ ...options.admission, networkHashChars, elapsed });
  const contexts = createContexts({
    signaling,
    tokens: createSessionTokens(options.sessionSecrets),
    limits: createCallLimits(options.rates, elapsed),
    now: system.now,
    newSessionId: () => engine.newSessionId(system.id()),
  });
  let isDraining = false;
  let addressOf: (request: Request) => string | undefined = () => undefined;

  function onError({ error, path }: Pick<Failure, "error" | "path">): void {
    const reason = reasonOf(error);
    if (reason) {
      metrics.refused(reason);
      log.debug("refused", { reason, path });
    } else if (isBug(error)) log.bug(error.cause ?? error, path ?? "unknown procedure");
  }

  const sockets = new TrpcWebSocket<ReturnType<typeof contexts.forSocket>, AdmittedSocket>({
    router: appRouter,
    createContext: ({ connectionParams: { token }, data, socket }) =>
      contexts.forSocket(typeof token === "string" ? token : undefined, data.addressHash, socket),
    fastPath: handleUsualFrame,
    onError,
    onClose: (admitted) => admitted.release(),
    limits: socketLimitsFor(options.rates),
    ...(options.keepAlive && { keepAlive: options.keepAlive }),
    ...(options.initTimeoutMs !== undefined && { initTimeoutMs: options.initTimeoutMs }),
    elapsed,
    schedule: system.schedule,
  });

  const accept: AcceptSocket<AdmittedSocket> = (socket, request) => sockets.accept(socket, request);
  const { routes, upgrade, responses } = createHttp({
    signaling,
    contexts,
    admission,
    upgrade: createUpgrade(system, accept, limits.logBytesMax),
    origins,
    page,
    metricsToken,
    adminToken,
    metrics,
    log,
    onError,
    system,
    isDraining: () => isDraining,
    unreadiness: () =>
      isDraining ? "draining" : engine.available() ? undefined : "the engine's storage is away",
    addressOf: (request) => addressOf(request),
  });

  return {
    signaling,
    metrics,
    routes,
    upgrade,
    accept,
    setAddressLookup(lookup) {
      addressOf = lookup;
    },
    askToReconnect: () => sockets.askToReconnect(),
    async drain(windowMs) {
      isDraining = true;
      signaling.drain();
      await Promise.all([sockets.drain(windowMs), responses.drain(windowMs)]);
    },
    stop() {
      isDraining = true;
      sockets.closeAll();
      responses.closeAll();
      signaling.stop();
    },
  };
}
