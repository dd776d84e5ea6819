/**
 * The one place where the parts are put together: engine, signaling, RPC, sockets and routes. The program, the tests and the
 * benchmarks all begin here.
 */
import type { AnyTRPCRouter, TRPCMergeRouters } from "@trpc/server";
import { networkHashChars } from "../domain/moderation.ts";
import { mainLobby } from "../domain/lobby.ts";
import { createFairPolicy, type Policy } from "../domain/matchmaker.ts";
import type { Engine } from "../engine/engine.ts";
import { createMarks, type Marks } from "../engine/marks.ts";
import type { NodeLoads } from "../engine/node-loads.ts";
import { Admission, type AdmissionOptions } from "../http/admission.ts";
import type { OriginPolicy } from "../http/origin.ts";
import type { Page } from "../http/page.ts";
import type { IceConfig } from "../ice.ts";
import { changeLogLevel } from "../observe/log-level.ts";
import type { Log } from "../observe/log.ts";
import { createMetrics, type Metrics } from "../observe/metrics.ts";
import type { RoomTraces } from "../observe/room-traces.ts";
import type { RedisMetrics } from "../observe/redis-metrics.ts";
import type { ChallengeConfig } from "../safety-config.ts";
import { limits, type Chat, type Rules } from "../protocol.ts";
import type { FactsDeclaration } from "../protocol/declaration.ts";
import { createCallLimits, type CallRates } from "../rpc/call-limits.ts";
import { createAdmit, type AdmitHook } from "../rpc/admit.ts";
import { createContexts, type Context } from "../rpc/context.ts";
import { createJoinClaims } from "../rpc/facts-input.ts";
import { handleUsualFrame } from "../rpc/fast-path.ts";
import { createAuthenticator, type Authenticate } from "../rpc/identity.ts";
import { createAskLane, type LaneHook } from "../rpc/lane.ts";
import { createAskOperator, type AskOperator, type IsOperator } from "../rpc/operator-hook.ts";
import { mergeOwn, ownBuilder } from "../rpc/own-procedures.ts";
import { MessageReview, type MessageFallback, type MessageHook } from "../rpc/message-review.ts";
import { createAppRouter, type AppRouter } from "../rpc/router.ts";
import { closeCodeOf } from "../rpc/protocol-version.ts";
import { createSessionTokens } from "../rpc/session-token.ts";
import { createCaseIds } from "../signaling/case-ids.ts";
import { createEvidenceStore, type EvidenceStore } from "../signaling/evidence.ts";
import { createHints } from "../signaling/hints.ts";
import type { ReportNotice } from "../signaling/reports.ts";
import { createRoomProofs } from "../signaling/room-proofs.ts";
import { Signaling } from "../signaling/signaling.ts";
import type { System } from "../system.ts";
import { createUpgrade } from "../trpc-ws/bun.ts";
import type { KeepAliveOptions, TrpcWebSocketLimits } from "../trpc-ws/options.ts";
import type { AcceptSocket } from "../trpc-ws/socket.ts";
import { TrpcWebSocket } from "../trpc-ws/trpc-web-socket.ts";
import { Arrivals } from "./arrivals.ts";
import { createConsole } from "./console.ts";
import { createOnError, createTokenFaults } from "./failures.ts";
import { createGate, type Gate } from "./gate.ts";
import { createClaimFaults, createHookFaults } from "./hook-faults.ts";
import { startLevelling } from "./levelling.ts";
import { nodeStateOf, packageVersion } from "./node-state.ts";
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
  /** Which way the words of rooms for video and audio take. Default: `direct`. */
  chat?: Chat | undefined;
  /** Called with each reporter's first report of a room; must neither throw nor wait. */
  onReport?: (report: ReportNotice) => void;
  /** Notes and evidence that are held until lifecycle events are told. Default: none are wanted. */
  evidence?: { isWanted: boolean; bytesMax: number };
  /** As in `AssemblyOptions`. Default: one that nobody knows. */
  sessionSecrets?: readonly string[];
  /** Whether hints are taken. Default: false. */
  takesHints?: boolean;
  /** What all nodes know for a while. Default: kept in memory. */
  marks?: Marks;
  /** Of rooms. Default: none. */
  traces?: RoomTraces | undefined;
  /** Names this node in its metrics. */
  nodeName?: string;
  /** Those that the engine is measured by, if it is in Redis. */
  redisMetrics?: RedisMetrics | undefined;
  /** How many peers each node has, where there can be several. */
  loads?: NodeLoads | undefined;
  /** The names of the lobbies that peers can choose. Default: `main`. */
  lobbies?: readonly string[];
}

export interface AssemblyOptions extends SignalingOptions {
  /** The first signs session tokens, all verify them. */
  sessionSecrets: readonly string[];
  rates: CallRates;
  origins: OriginPolicy;
  admission: Omit<AdmissionOptions, "networkHashChars" | "elapsed" | "keepsAddresses">;
  /** Who each peer is; without it all are anonymous. */
  authenticate?: Authenticate | undefined;
  /** Asked before each join; without it everybody may. */
  admit?: AdmitHook | undefined;
  /** Asked for a peer's lane before each join; without it lanes are decided by conduct. */
  lane?: LaneHook | undefined;
  /** Sees each text before it is delivered; without it each is. */
  message?: MessageHook | undefined;
  /** What becomes of a text when that hook fails. Default: `drop`. */
  messageFallback?: MessageFallback | undefined;
  /** The dimensions of facts that the engine was made with. Default: none. */
  facts?: FactsDeclaration | undefined;
  /** After which a want gives way that says nothing of it (milliseconds). Default: 10,000. */
  relaxAfterMs?: number;
  /** Who has to solve a proof of work. Default: nobody. */
  challenge?: ChallengeConfig | undefined;
  /** What pages show before the first search. Default: nothing. */
  rules?: Rules | undefined;
  /** Peers that are asked in a minute to reconnect to nodes with fewer, at most. Default: 0, none. */
  levelPerMinute?: number;
  page?: Page | undefined;
  metricsToken?: string | undefined;
  adminToken?: string | undefined;
  /** Gives access to `/admin` as well. */
  isOperator?: IsOperator | undefined;
  /** Where the evidence of a case is shown, with `{caseId}` in place of its id. */
  evidenceUrl?: string | undefined;
  /** Whether the console is bundled only once. Default: true. */
  production?: boolean;
  /** Whether the wire is described at `/schema/*`. Default: false. */
  servesSchema?: boolean;
  keepAlive?: KeepAliveOptions;
  /** How long the first message of a socket that announces one may take (milliseconds). Default: 10,000. */
  initTimeoutMs?: number;
}

/** The defaults of the fair policy (milliseconds). */
const relaxAfterMsDefault = 10_000;
const windowMs = 2000;

/** @param relaxAfterMs after which a ticket accepts anybody; a ticket is served first once it has waited three times as long. */
export function fairPolicyFor(relaxAfterMs: number): Policy {
  return createFairPolicy({ patienceMs: 3 * relaxAfterMs, windowMs });
}

export interface Lobby {
  signaling: Signaling;
  metrics: Metrics;
  evidence: EvidenceStore;
}

/** Signaling over an engine, without any network. */
export function createLobby({
  engine,
  system,
  log,
  ice,
  policy = fairPolicyFor(relaxAfterMsDefault),
  forceRelay = false,
  chat = "direct",
  onReport = () => {},
  nodeName,
  redisMetrics,
  lobbies = [mainLobby],
  sessionSecrets = [system.id()],
  evidence = { isWanted: false, bytesMax: 0 },
  marks = createMarks(system.elapsed),
  takesHints = false,
  traces,
}: SignalingOptions): Lobby {
  const metrics = createMetrics({
    engine,
    lobbies,
    schedule: system.schedule,
    node: nodeName,
    build: { version: packageVersion(), bun: process.versions["bun"] ?? "" },
    redis: redisMetrics,
    droppedLines: () => log.dropped?.() ?? {},
    onBug: (bug) => log.bug(bug, "metrics"),
  });
  const store = createEvidenceStore({
    ...evidence,
    schedule: system.schedule,
    onDropped: (because) => metrics.evidenceDropped(because),
  });
  const signaling = new Signaling({
    engine,
    system,
    policy,
    ice,
    forceRelay,
    chat,
    onReport,
    evidence: store,
    caseIds: createCaseIds(sessionSecrets),
    proofs: createRoomProofs(sessionSecrets),
    hints: takesHints ? createHints(marks) : undefined,
    log,
    metrics,
    traces,
  });
  return { signaling, metrics, evidence: store };
}

/** What a server is made of, on any transport: the program, the library and the tests build on it. */
export interface Assembly extends Omit<Http, "responses"> {
  readonly signaling: Signaling;
  readonly metrics: Metrics;
  readonly evidence: EvidenceStore;
  /** Keyed hash of the bucket of an IP address, as suspensions name it. */
  hashOfAddress(address: string): string;
  /** Given once the server listens: the address at the other end of a request's connection. */
  setAddressLookup(addressOf: (request: Request) => string | undefined): void;
  /** tRPC's builder for the operator's own procedures. */
  readonly t: typeof ownBuilder;
  /** Serves these procedures as well, from the first request on. @throws once there was one, or for names that are taken. */
  router<Own extends AnyTRPCRouter>(own: Own): TRPCMergeRouters<[AppRouter, Own]>;
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

export function assemble(options: AssemblyOptions): Assembly {
  const { system, engine, facts = {}, lobbies, rules } = options;
  const softAfterMs = options.relaxAfterMs ?? relaxAfterMsDefault;
  const { marks = createMarks(system.elapsed) } = options;
  const { gate, onReport } = createGate({ ...options, marks });
  const lobby = createLobby({ ...options, marks, onReport });
  const { signaling, metrics } = lobby;
  const admission = new Admission({
    ...options.admission,
    networkHashChars,
    elapsed: system.elapsed,
    keepsAddresses: options.authenticate !== undefined,
  });
  const peers = createPeers(options, { signaling, metrics, gate });
  let isDraining = false;
  let addressOf: (request: Request) => string | undefined = () => undefined;

  const arrivals = new Arrivals({
    ...peers,
    admission,
    signaling,
    system,
    addressOf: (request) => addressOf(request),
  });
  const parts: ServingParts = {
    ...options,
    marks,
    signaling,
    metrics,
    admission,
    arrivals,
    askOperator: peers.askOperator,
    isDraining: () => isDraining,
    addressOf: (request) => addressOf(request),
  };

  // Built with the first request, as the operator's procedures are added before that.
  let router: AnyTRPCRouter = createAppRouter({ facts, softAfterMs, lobbies, rules });
  let built: ReturnType<typeof serve> | undefined;
  const server = () => (built ??= serve(parts, router));
  engine.onDisconnect((subject) => arrivals.disconnect(subject, built?.sockets.contexts() ?? []));

  return {
    ...lobby,
    hashOfAddress: (address) => admission.hashOf(address),
    t: ownBuilder,
    router(own) {
      if (built) throw new Error("router() must be called before the plugin is used");
      router = mergeOwn(router, own);
      return router as never;
    },
    get routes() {
      return server().routes;
    },
    upgrade: (request, bun) => server().upgrade(request, bun),
    accept: (socket, request) => server().accept(socket, request),
    setAddressLookup: (lookup) => void (addressOf = lookup),
    askToReconnect: () => built?.sockets.askToReconnect(),
    async drain(windowMs) {
      isDraining = true;
      options.loads?.drain();
      signaling.drain();
      if (built)
        await Promise.all([built.sockets.drain(windowMs), built.responses.drain(windowMs)]);
    },
    stop() {
      isDraining = true;
      built?.stopLevelling();
      built?.sockets.closeAll();
      built?.responses.closeAll();
      signaling.stop();
    },
  };
}

/** Who peers are, and in which contexts they call. */
function createPeers(
  options: AssemblyOptions,
  { signaling, metrics, gate }: Pick<Assembly, "signaling" | "metrics"> & Pick<Gate, "gate">,
) {
  const { engine, log, system, lobbies, facts = {}, message } = options;
  const hooks = { ...system, onHookFault: createHookFaults(log, metrics, system) };
  const { messageFallback: fallback = "drop" } = options;
  const { authenticate, admit, lane, isOperator } = options;
  const contexts = createContexts({
    signaling,
    tokens: createSessionTokens(options.sessionSecrets, createTokenFaults(log, metrics, system)),
    limits: createCallLimits(options.rates, system.elapsed),
    now: system.now,
    newSessionId: (account) => engine.newSessionId(system.id(), account),
    admit: admit && createAdmit(admit, hooks),
    askLane: lane && createAskLane(lane, hooks),
    review: message && new MessageReview({ hook: message, fallback }, signaling.talk, hooks),
    gate,
    lobbies,
    claims: createJoinClaims(facts, createClaimFaults(log, system)),
  });
  return {
    authenticate: authenticate && createAuthenticator({ ...hooks, authenticate }),
    contexts,
    askOperator: isOperator && createAskOperator(isOperator, hooks),
  };
}

interface ServingParts extends Omit<AssemblyOptions, "admission"> {
  marks: Marks;
  signaling: Signaling;
  metrics: Metrics;
  admission: Admission;
  arrivals: Arrivals;
  askOperator: AskOperator | undefined;
  isDraining: () => boolean;
  addressOf: (request: Request) => string | undefined;
}

/** Sockets and routes, for this router. */
function serve(parts: ServingParts, router: AnyTRPCRouter) {
  const { arrivals, engine, metrics, rates, system } = parts;
  const onError = createOnError(parts);
  const sockets = new TrpcWebSocket<Context, AdmittedSocket>({
    router,
    createContext: (request) => arrivals.ofSocket(request),
    fastPath: handleUsualFrame,
    onError,
    onClose(admitted, code) {
      metrics.socketClosed(code);
      arrivals.leave(admitted);
    },
    closeCodeOf,
    limits: socketLimitsFor(rates),
    ...(parts.keepAlive && { keepAlive: parts.keepAlive }),
    ...(parts.initTimeoutMs !== undefined && { initTimeoutMs: parts.initTimeoutMs }),
    elapsed: system.elapsed,
    schedule: system.schedule,
  });
  const accept: AcceptSocket<AdmittedSocket> = (socket, request) => {
    metrics.socketOpened();
    return sockets.accept(socket, request);
  };
  const http = createHttp({
    ...parts,
    router,
    console: createConsole({ production: parts.production ?? true }),
    ...nodeStateOf(parts),
    setLogLevel: (level) => changeLogLevel(parts.log, level, "an operator"),
    contextOfRequest: (request, response) => arrivals.ofRequest(request, response),
    credentials: parts.authenticate !== undefined,
    upgrade: createUpgrade(system, accept, limits.logBytesMax),
    onError,
    unreadiness() {
      if (parts.isDraining()) return "draining";
      return engine.available() ? undefined : "Redis is unavailable: the log says why";
    },
  });
  metrics.read({
    sockets: () => sockets.size,
    draining: parts.isDraining,
    drainPeersLeft: () => (parts.isDraining() ? sockets.size + http.responses.size : 0),
  });
  const stopLevelling = startLevelling({ ...parts, sockets });
  return { sockets, accept, stopLevelling, ...http };
}
