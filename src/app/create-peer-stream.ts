/**
 * What a host application creates: one peer stream, with an engine of its own, as an Elysia plugin. The program is the first such
 * host.
 */
import type { Hooks } from "./hook-options.ts";
import { namingOptions } from "./option-names.ts";
import { hostname } from "node:os";
import type { AnyTRPCRouter, TRPCMergeRouters } from "@trpc/server";
import type { DecisionsRequest, ExportedDecision } from "../domain/decisions.ts";
import type { Grounds, Subject, Suspension } from "../domain/moderation.ts";
import { statsByLobby } from "../domain/stats.ts";
import type { Page } from "../http/page.ts";
import type { IceConfig } from "../ice.ts";
import { changeLogLevel } from "../observe/log-level.ts";
import { createLog, logLevels, type Log, type LogLevel } from "../observe/log.ts";
import { createSparingLog } from "../observe/sparing-log.ts";
import { placeOfError } from "../observe/text-of-error.ts";
import { createWebhook, type Webhook, type WebhookOptions } from "../observe/webhook.ts";
import type { Stats } from "../protocol.ts";
import type { FactsDeclaration, NoFacts } from "../protocol/declaration.ts";
import { decisionsRequest, readGrounds } from "../rpc/decisions-input.ts";
import { refusal, unwrap } from "../rpc/errors.ts";
import type { AppRouter } from "../rpc/router.ts";
import type { ReportNotice } from "../signaling/reports.ts";
import { createSystem, type System } from "../system.ts";
import { createProvider } from "../turn-providers.ts";
import { bunSocketSettings } from "../trpc-ws/bun.ts";
import { createWarnRarely, socketsMaxFor, type WarnRarely } from "./capacity.ts";
import { lifecycleTypesFor, tellLifecycle } from "./lifecycle.ts";
import { openEngine } from "./open-engine.ts";
import { configOf, type HostedConfig, type PeerStreamOptions } from "./options.ts";
import { assemble, fairPolicyFor, type Assembly } from "./peer-stream.ts";
import { createPlugin } from "./plugin.ts";
import { openTraces } from "./open-traces.ts";
import { toStandardOutput } from "./standard-output.ts";

/** Whom an operator's decision is about: an account, a session, or an address. */
export type Whom = { account: string } | { session: string } | { address: string };

export interface LobbyStats extends Stats {
  /** By the names of `main`, of those that peers can choose, and of any other in which somebody is. */
  readonly lobbies: Readonly<Record<string, Stats>>;
}

export interface PeerStream<Declared extends FactsDeclaration = NoFacts> extends Pick<
  Assembly,
  "t"
> {
  /**
   * Serves these procedures as well, from the first request on. Its result is typed by them and by the declared facts.
   * @throws once there was a request, or for names that are taken.
   */
  router<Own extends AnyTRPCRouter>(own: Own): TRPCMergeRouters<[AppRouter<Declared>, Own]>;
  /** Serves `/trpc`, under any prefix; `/metrics` and `/admin` if they have tokens, the latter also with `isOperator`. */
  readonly plugin: ReturnType<typeof createPlugin>;
  /**
   * Bun's settings for the sockets, which are those of the whole server: `new Elysia({ websocket: strangers.websocket })`. Without them a slow
   * peer's messages can be dropped silently.
   */
  readonly websocket: typeof bunSocketSettings;
  /**
   * Takes somebody out of lobby and room at once, and keeps them out. It replaces any earlier suspension.
   * @param until epoch milliseconds.
   * @param grounds told along with it, and recorded: see `Grounds`.
   * @throws a TRPCError while the storage is unavailable.
   */
  suspend(whom: Whom, until: number, grounds?: Grounds): Promise<void>;
  /** Ends a suspension; `false` if there was none. @throws a TRPCError while the storage is unavailable. */
  lift(whom: Whom, grounds?: Grounds): Promise<boolean>;
  /** Closes a case without a sanction, as its reporter is told by `case`. @throws a TRPCError while the storage is unavailable. */
  dismiss(caseId: string, grounds?: Omit<Grounds, "caseId">): Promise<void>;
  /**
   * What was decided (warned, suspended, lifted, and cases that were closed), the oldest first; those that follow by `after` with the last `id`.
   * `since`: epoch milliseconds. `limit`: 1,000 by default, 10,000 at most. @throws a TRPCError while the storage is unavailable.
   */
  decisions(request?: Partial<DecisionsRequest>): Promise<ExportedDecision[]>;
  /**
   * Ends the connections of somebody who has logged out, on all nodes: they leave room and lobby at once. A client that may still
   * connect does so again. @throws a TRPCError while the storage is unavailable.
   */
  disconnect(whom: Whom): Promise<void>;
  /**
   * Changes what is logged from now on, and logs that. @throws a TypeError for no level, or where `log` was given, which has a level of its
   * own.
   */
  setLogLevel(level: LogLevel): void;
  /** All suspensions, the first to end first. */
  suspensions(): Promise<Suspension[]>;
  /**
   * Who is online, waits and is in rooms, on all nodes: in all lobbies together, and by lobby. @throws a TRPCError while the storage is
   * unavailable.
   */
  stats(): Promise<LobbyStats>;
  /**
   * For a shutdown without a gap: no new session begins here, and clients are asked to reconnect one by one over `windowMs` milliseconds.
   * Resolves when all have gone, or the window is over.
   */
  drain(windowMs: number): Promise<void>;
  /** Closes every socket with a code that means reconnect, and everything that was opened. Posts what is still to be posted. */
  stop(): Promise<void>;
}

/**
 * @param options see `PeerStreamOptions`; all have defaults.
 * @throws {ConfigError} with all options that are wrong.
 */
export function createPeerStream<const Declared extends FactsDeclaration = NoFacts>(
  given: PeerStreamOptions<Declared> = {},
): PeerStream<Declared> {
  // From here on its facts are known by their schemas alone.
  const options = given as PeerStreamOptions;
  const system = createSystem();
  const config = configOf(options, system.id());
  const log = namingOptions(options.log ?? createLog(config.logLevel, toStandardOutput(system)));
  const { assembly, hashOfAddress, close } = openPeerStream(config, { ...options, system, log });
  const { signaling } = assembly;
  const subjectOf = (whom: Whom): Subject => {
    // Without its id, an account would be that of all who have none.
    for (const id of Object.values(whom))
      if (typeof id !== "string" || id === "") throw new TypeError("whom must have an id, a text");
    if ("account" in whom) return { kind: "account", id: whom.account };
    if ("session" in whom) return { kind: "session", id: whom.session };
    return { kind: "address", id: hashOfAddress(whom.address) };
  };
  const served = [
    ...(config.servesSchema ? ["/schema/*"] : []),
    ...(config.metricsToken === undefined ? [] : ["/metrics"]),
    ...(config.adminToken === undefined && !options.isOperator ? [] : ["/admin", "/admin/*"]),
  ];
  let plugin: ReturnType<typeof createPlugin> | undefined;

  return {
    t: assembly.t,
    router: (own) => assembly.router(own) as never,
    get plugin() {
      return (plugin ??= createPlugin(assembly, served));
    },
    websocket: bunSocketSettings,
    async suspend(whom, until, grounds) {
      if (!Number.isFinite(until))
        throw new TypeError("until must be a number of epoch milliseconds");
      const rejection = await signaling.suspend(subjectOf(whom), until, readGrounds(grounds));
      if (rejection) throw refusal(rejection);
    },
    lift: async (whom, grounds) =>
      unwrap(await signaling.lift(subjectOf(whom), readGrounds(grounds))),
    async dismiss(caseId, grounds) {
      const rejection = await signaling.dismiss(caseId, readGrounds({ ...grounds, caseId }));
      if (rejection) throw refusal(rejection);
    },
    decisions: async (request) => unwrap(await signaling.decisions(decisionsRequest(request))),
    async disconnect(whom) {
      const rejection = await signaling.disconnect(subjectOf(whom));
      if (rejection) throw refusal(rejection);
    },
    setLogLevel(level) {
      if (!logLevels.includes(level)) throw new TypeError(`no level: ${String(level)}`);
      if (changeLogLevel(log, level, "the host") === undefined)
        throw new TypeError("the given log has a level of its own");
    },
    suspensions: () => signaling.suspensions(),
    async stats() {
      const site = unwrap(await signaling.siteStats());
      return { ...site, lobbies: Object.fromEntries(statsByLobby(site, config.lobbies)) };
    },
    drain: (windowMs) => assembly.drain(windowMs),
    async stop() {
      assembly.stop();
      await close();
    },
  };
}

export interface OpenParts extends Pick<
  Hooks,
  | "authenticate"
  | "ice"
  | "admit"
  | "lane"
  | "message"
  | "messageFallback"
  | "isOperator"
  | "on"
  | "policy"
  | "onReport"
> {
  system: System;
  log: Log;
  page?: Page | undefined;
  /** This node can never join the others: what is to be done. */
  onFatal?: ((why: string) => void) | undefined;
}

export interface OpenedPeerStream {
  assembly: Assembly;
  /** What metrics, the console and the other nodes call this one. */
  nodeName: string;
  warnRarely: WarnRarely;
  hashOfAddress: (address: string) => string;
  /** Whether the engine's storage can be reached. */
  isReady: () => boolean;
  /** Reports and events that have not been posted yet. */
  unposted: () => number;
  /** Closes the engine, and posts what is still to be posted. */
  close: () => Promise<void>;
}

/** Opens the engine that a configuration asks for, and builds everything on it. What that logs may be caused by strangers. */
export function openPeerStream(config: HostedConfig, given: OpenParts): OpenedPeerStream {
  const log = createSparingLog(given.log, given.system.elapsed);
  const parts = { ...given, log };
  const { system } = parts;
  const byToken = config.auth && loadJwt().createJwtAuthenticate({ ...config.auth, system, log });
  const onFatal = parts.onFatal ?? ((why) => log.error("this node can't join the others", { why }));
  const told = { on: parts.on, webhook: config.events };
  const lifecycle = lifecycleTypesFor(told);
  const secrets = config.sessionSecrets ?? [system.id() + system.id()];
  const nodeName = `${hostname()}:${process.pid}`;
  const opening = { system, log, nodeName, lifecycle, onFatal, secrets };
  const { engine, marks, loads, addresses, redisMetrics } = openEngine(config, opening);
  const webhook = reportWebhookOf(config, parts, {
    posted: (outcome) => metrics.posted(outcome),
    postFailed: (because) => metrics.postFailed(because),
  });
  const warnRarely = createWarnRarely(log, system);
  const socketsMax = socketsMaxFor(config, log);
  // In memory no hash of an address outlives the process, so a key that changes with the secret will do.
  const [memoryKey = system.id()] = secrets;
  const traces = openTraces(config, nodeName, {
    system,
    warnRarely,
    onLost: (because, count) => metrics.spansLost(because, count),
  });
  const assembly = assemble({
    ...config,
    ...passedOn(parts),
    traces: traces?.rooms,
    ice: iceOf(config, parts.ice),
    engine,
    marks,
    policy: parts.policy ?? fairPolicyFor(config.relaxAfterMs),
    sessionSecrets: secrets,
    nodeName,
    redisMetrics,
    loads,
    onReport(report) {
      void callReportHook(parts.onReport, report, (error) => {
        metrics.hookFailed("onReport");
        warnRarely("the hook onReport failed", { error: placeOfError(error) });
      });
      if (webhook) void webhook.post(withinBytes(report, webhook, config.evidenceBytesMax));
    },
    evidence: { isWanted: lifecycle.includes("reported"), bytesMax: config.evidenceBytesMax },
    authenticate: parts.authenticate ?? byToken,
    // Whoever wants to see the words of peers sees all of them.
    chat: config.chat ?? (parts.message ? "server" : "direct"),
    admission: {
      ...config.admission,
      peersMax: socketsMax,
      hashKey: () => addresses?.key() ?? memoryKey,
      isKeyKnown: () => !addresses || addresses.key() !== undefined,
      shared: addresses,
      ...admissionWarnings(log, warnRarely, socketsMax),
    },
  });
  const { metrics, evidence } = assembly;
  const events = tellLifecycle({ ...told, engine, system, log, metrics, evidence });
  const unposted = () => (webhook?.pending ?? 0) + (events?.pending ?? 0);
  metrics.read({ webhookQueue: unposted });
  return {
    assembly,
    nodeName,
    warnRarely,
    hashOfAddress: (address) => assembly.hashOfAddress(address),
    isReady: () => engine.available(),
    unposted,
    async close() {
      // The engine waits for what is posted, which is no longer retried.
      await Promise.all([engine.close(), webhook?.flush(), events?.flush(), traces?.close()]);
    },
  };
}

/** What is used as it was given. A host's options also have settings, which the configuration was read from. */
const passedOn = ({
  system,
  log,
  page,
  admit,
  lane,
  message,
  messageFallback,
  isOperator,
}: OpenParts) => ({
  system,
  log,
  page,
  admit,
  lane,
  message,
  messageFallback,
  isOperator,
});

const admissionWarnings = (log: Log, warnRarely: WarnRarely, sockets: number) => ({
  onUnannouncedProxy: () =>
    log.warn(
      "Requests come through a proxy that TRUSTED_PROXIES does not name: all peers behind it count as one address",
    ),
  onFull: () =>
    warnRarely("this node is full: sockets are refused", {
      sockets,
      cure: "raise LIMIT_PEERS and the limit of open files (ulimit -n), or add a node",
    }),
});

/** Credentials for TURN come from the hook, from the provider that variables name, or from neither. */
const iceOf = ({ ice, turnProvider }: HostedConfig, hook: Hooks["ice"]): IceConfig => ({
  ...ice,
  provide: hook ?? (turnProvider && createProvider(turnProvider)),
});

function reportWebhookOf(
  { webhook }: HostedConfig,
  { system, log }: OpenParts,
  metrics: WebhookOptions["metrics"],
): Webhook | undefined {
  if (!webhook) return undefined;
  const onGivenUp = (why: string) => log.warn("a report was not posted", { why });
  return createWebhook({ ...webhook, schedule: system.schedule, metrics, onGivenUp });
}

/** Calls it at once. What it throws, also later, is nobody's concern but the operator's. */
async function callReportHook(
  hook: OpenParts["onReport"],
  report: ReportNotice,
  failed: (error: unknown) => void,
): Promise<void> {
  try {
    await hook?.(report);
  } catch (error) {
    failed(error);
  }
}

/** A report as it is posted: without what was shown, while so much waits to be posted. */
function withinBytes(
  { note, evidence, ...report }: ReportNotice,
  { pendingBytes }: Pick<Webhook, "pendingBytes">,
  bytesMax: number,
): ReportNotice {
  if (note === undefined && !evidence) return report;
  const whole = {
    ...report,
    ...(note !== undefined && { note }),
    ...(evidence && { evidence }),
  };
  const fits = pendingBytes + JSON.stringify(whole).length <= bytesMax;
  return fits ? whole : { ...report, evidenceLost: true };
}

/** Synchronously, and only where it is needed: its library takes some megabytes. */
const loadJwt = () => require("./jwt.ts") as typeof import("./jwt.ts");
