/**
 * The use cases: what happens when a peer connects, joins, skips, leaves, sends a signal or reports. What decides is in
 * `domain`, what keeps state is behind the engine; this combines them.
 */
import type { Moved } from "../domain/change.ts";
import type { LogEntry } from "../domain/event-log.ts";
import type { Policy } from "../domain/matchmaker.ts";
import type { Party, Subject, Suspension } from "../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import { isRestricted, restrict } from "../domain/room-id.ts";
import { normaliseWishes } from "../domain/ticket.ts";
import type { SiteStats } from "../domain/stats.ts";
import type { Caller, Engine } from "../engine/engine.ts";
import type { Found, NotedReport } from "../engine/operator-view.ts";
import { iceServersFor, relayAvailable, type IceConfig } from "../ice.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type {
  Facts,
  IceServer,
  LoggedEvent,
  ReportReason,
  Signal,
  Stats,
  StatusAnswer,
} from "../protocol.ts";
import type { System } from "../system.ts";
import {
  EventStreams,
  type Completed,
  type EventsRequest,
  type OpenEvents,
} from "./event-streams.ts";
import { Matcher } from "./matching.ts";
import { Sweeper } from "./sweeper.ts";

export interface SignalingParts {
  engine: Engine;
  system: System;
  policy: Policy;
  ice: IceConfig;
  /** Every room is relay-only. */
  forceRelay: boolean;
  /** Called with each reporter's first report of a room; must neither throw nor wait. */
  onReport: (report: ReportNotice) => void;
  log: Log;
  metrics: Metrics;
}

/** A report for an operator: never a token, an address, or anything that peers said. */
export interface ReportNotice {
  /** Epoch milliseconds. */
  at: number;
  roomId: string;
  /** The same as `roomId`, for receivers written for earlier versions. */
  room: string;
  reason: ReportReason;
  /** The beginning of the reporter's session id. */
  reporter: string;
  /** As the operator's calls name it. */
  reported: Party;
  /** Whether it counts as a vote: not from a room that had just begun, nor of one who reports nearly everybody. */
  counted: boolean;
  /** What is suspended because of it, and until when (epoch milliseconds). */
  suspended: (Subject & { until: number })[];
}

export interface Delivered {
  delivered: boolean;
}

/** A signal in JSON, which is parsed only where its room restricts what it may contain. */
export interface SerializedSignal extends Pick<Signal, "type" | "roomId"> {
  readonly json: string;
}

/**
 * All methods answer once the events that they lead to have been delivered. `join`, `skip`, `leave`, `send` and `relay` do
 * so synchronously with an engine that is synchronous, so that a signal costs no promise.
 */
export class Signaling {
  readonly #parts: SignalingParts;
  readonly #matcher: Matcher;
  readonly #sweeper: Sweeper;
  readonly #streams: EventStreams;

  constructor(parts: SignalingParts) {
    const { engine, system, log, metrics } = parts;
    this.#parts = parts;
    this.#matcher = new Matcher({ ...parts, onRetry: () => this.#sweeper.retry() });
    this.#sweeper = new Sweeper({
      engine,
      system,
      log,
      match: (sessionIds) =>
        this.#matcher.matchAll([...sessionIds, ...this.#matcher.takeRetries()]),
    });
    this.#streams = new EventStreams({
      engine,
      complete: (entry, addressHash) => this.#complete(entry, addressHash),
      schedule: system.schedule,
      onBegun: (outcome) => metrics.began(outcome),
      onNewlyWaiting: (sessionIds) => void this.#matcher.matchAll(sessionIds),
      onBug: (bug) => log.bug(bug, "events"),
    });
    engine.onEnded(({ roomId, reason, ending, lastedMs }) => {
      log.info("ended", { room: roomId, reason, by: ending, lastedMs });
      metrics.ended(reason);
    });
    engine.onMetAgain(({ id, mode }) => {
      log.info("met again", { room: id, mode });
      metrics.metAgain(mode);
    });
  }

  /** The missed events, `session`, and then each event as it is appended: one ordered stream, until it is closed. */
  events(request: EventsRequest): OpenEvents {
    return this.#streams.open(request);
  }

  // -------------------------------------------------------------------------------------------
  // The lobby

  join(
    caller: Caller,
    asked: Parameters<typeof normaliseWishes>[0],
    lobby?: string,
    lane?: number,
  ): MaybePromise<StatusAnswer | Rejection> {
    const { engine, ice, log } = this.#parts;
    const wishes = normaliseWishes(asked);
    if (lobby !== undefined) wishes.lobby = lobby;
    if (lane !== undefined) wishes.lane = lane;
    if (wishes.relayOnly && !relayAvailable(ice)) return reject("relay-unavailable");
    return chain(engine.enqueue(caller, wishes), (moved) => {
      if (!isRejection(moved) && moved.newlyWaiting.length > 0)
        log.debug("joined", { session: shortId(caller.sessionId), mode: wishes.mode });
      return this.#settle(caller, moved);
    });
  }

  /**
   * @param claims the facts that the operator states of the caller; absent: as when it joined.
   * @param lane as the operator has just named it; absent: the one it named last.
   */
  skip(
    caller: Caller,
    roomId?: string,
    claims?: Facts,
    lane?: number,
  ): MaybePromise<StatusAnswer | Rejection> {
    const skipping = this.#parts.engine.end(caller, { ending: "skip", roomId, claims, lane });
    return chain(skipping, (moved) => this.#settle(caller, moved));
  }

  leave(caller: Caller): MaybePromise<StatusAnswer | Rejection> {
    const ending = this.#parts.engine.end(caller, { ending: "leave" });
    return chain(ending, (ended) => this.#settle(caller, ended));
  }

  /** Asks to meet the other member of an ended room again. Nothing tells whether that one has asked, until the two are paired. */
  again(caller: Caller, roomId: string): MaybePromise<StatusAnswer | Rejection> {
    const { engine, system } = this.#parts;
    const asking = engine.again(caller, roomId, system.id());
    return chain(asking, (moved) => this.#settle(caller, moved));
  }

  /** Matches those who entered the lobby. The caller's answer says where that leaves it. */
  #settle(caller: Caller, moved: Moved | Rejection): MaybePromise<StatusAnswer | Rejection> {
    if (isRejection(moved)) return moved;
    const matching = this.#matcher.matchAll(moved.newlyWaiting, caller);
    return chain(matching, (isPaired) => ({
      status: moved.status === "waiting" && isPaired ? "paired" : moved.status,
    }));
  }

  // -------------------------------------------------------------------------------------------
  // The room

  send(caller: Caller, signal: Signal): MaybePromise<Delivered | Rejection> {
    const allowed = restrict(signal);
    if (isRejection(allowed)) return allowed;
    return this.#relay(caller, signal, allowed && JSON.stringify(allowed));
  }

  /** As `send`, for a signal that is serialized already. */
  relay(caller: Caller, signal: SerializedSignal): MaybePromise<Delivered | Rejection> {
    const { roomId, type, json } = signal;
    if (isRestricted(roomId, type)) return this.send(caller, JSON.parse(json) as Signal);
    return this.#relay(caller, signal, json);
  }

  /** A signal of which nothing is left is answered like any other: the sender must not learn what is let through. */
  #relay(
    caller: Caller,
    { type, roomId }: Pick<Signal, "type" | "roomId">,
    json: string | undefined,
  ): MaybePromise<Delivered | Rejection> {
    return chain(this.#parts.engine.send(caller, roomId, json), (delivered) => {
      if (isRejection(delivered)) return delivered;
      if (delivered) this.#parts.metrics.signaled(type);
      return { delivered };
    });
  }

  async connected(caller: Caller, roomId: string): Promise<StatusAnswer | Rejection> {
    const { engine, metrics } = this.#parts;
    const confirmed = await engine.confirm(caller, roomId);
    if (isRejection(confirmed)) return confirmed;
    if (confirmed.connectedAfterMs !== undefined) metrics.connected(confirmed.connectedAfterMs);
    return { status: confirmed.status };
  }

  async failed(caller: Caller, roomId: string): Promise<StatusAnswer | Rejection> {
    const ended = await this.#parts.engine.end(caller, { ending: "failed", roomId });
    if (!isRejection(ended) && !ended.known) return reject("not-in-room");
    return this.#settle(caller, ended);
  }

  async report(
    caller: Caller,
    kind: "report" | "block",
    roomId: string,
    reason?: ReportReason,
  ): Promise<{ accepted: true } | Rejection> {
    const { engine, log } = this.#parts;
    const avoided = await engine.avoid(subMutation(caller, "avoid"), roomId);
    if (isRejection(avoided)) return avoided;
    if (kind === "report") await this.#reportPartner(caller, roomId, reason ?? "other");
    else log.info("blocked", { room: roomId, session: shortId(caller.sessionId) });
    const ended = await engine.end(caller, { ending: kind, roomId });
    const settled = await this.#settle(caller, ended);
    return isRejection(settled) ? settled : { accepted: true };
  }

  async #reportPartner(caller: Caller, roomId: string, reason: ReportReason): Promise<void> {
    const { engine, log, system, onReport } = this.#parts;
    const report = await engine.report(caller, roomId, reason);
    if (isRejection(report) || !report.first) return;
    const { reported, counted } = report;
    const suspended = report.suspended.map(({ subject, until }) => ({ ...subject, until }));
    const reporter = shortId(caller.sessionId);
    log.info("reported", {
      room: roomId,
      reason,
      reporter,
      reported: shortId(reported.sessionId),
      counted,
      suspended: suspended.length,
    });
    const at = system.now();
    onReport({ at, roomId, room: roomId, reason, reporter, reported, counted, suspended });
    await this.#matcher.matchAll(report.newlyWaiting);
    // For the console only: if the storage has just become unavailable the report counts all the same.
    await engine.operator.note({ at, roomId, reason, counted, reported });
  }

  // -------------------------------------------------------------------------------------------
  // Queries

  /** With TURN credentials for the address that the caller is connected from, if it is paired. */
  async iceServers(
    caller: Caller | undefined,
    addressHash: string,
  ): Promise<{ iceServers: IceServer[] } | Rejection> {
    const { engine, ice, system } = this.#parts;
    const current = caller && (await engine.status(caller));
    if (isRejection(current)) return current;
    const relayFor = current?.status === "paired" ? addressHash : undefined;
    return { iceServers: iceServersFor(ice, system.now(), relayFor) };
  }

  /** Of one lobby; by default of the one that is always there. */
  async stats(lobby?: string): Promise<Stats | Rejection> {
    return this.#parts.engine.statsOf(lobby);
  }

  // -------------------------------------------------------------------------------------------
  // The operator's calls

  /** Of all lobbies. */
  async siteStats(): Promise<SiteStats | Rejection> {
    return this.#parts.engine.stats();
  }

  /** Takes the subject out of lobby and room, and lets it into neither until then (epoch milliseconds). */
  async suspend(
    subject: Subject,
    until: number,
    because?: ReportReason | "operator",
  ): Promise<Rejection | undefined> {
    const suspended = await this.#parts.engine.suspend(subject, until);
    if (isRejection(suspended)) return suspended;
    this.#parts.log.info("suspended", { ...subject, until, ...(because && { because }) });
    await this.#matcher.matchAll(suspended.newlyWaiting);
    return undefined;
  }

  /** `false` if there was no such suspension. */
  async lift(subject: Subject): Promise<boolean | Rejection> {
    const lifted = await this.#parts.engine.lift(subject);
    if (lifted === true) this.#parts.log.info("lifted", { ...subject });
    return lifted;
  }

  async suspensions(): Promise<Suspension[]> {
    return this.#parts.engine.suspensions();
  }

  /** The newest reports, the newest first. */
  async notedReports(): Promise<NotedReport[] | Rejection> {
    return this.#parts.engine.operator.noted();
  }

  /** Sessions with an open stream whose ids begin with these letters, as the log shows them; at most `max`. */
  async find(letters: string, max: number): Promise<Found | Rejection> {
    return this.#parts.engine.operator.find(letters, max);
  }

  /** An operator's decision: both members are told that the room was `removed`. `false` if there is none that could be ended. */
  async endRoom(roomId: string): Promise<boolean | Rejection> {
    const { engine, log } = this.#parts;
    const closing = await engine.operator.endRoom(roomId);
    if (isRejection(closing)) return closing;
    if (closing.ended) log.info("room ended by an operator", { room: roomId });
    await this.#matcher.matchAll(closing.newlyWaiting);
    return closing.ended;
  }

  /** Has all nodes close the connections of a subject. */
  async disconnect(subject: Subject): Promise<Rejection | undefined> {
    this.#parts.log.info("disconnected", { ...subject });
    return this.#parts.engine.disconnect(subject);
  }

  /** From now on no new session begins here; existing ones continue. */
  drain(): void {
    this.#streams.drain();
  }

  /** Stops sweeping. Open streams stay open. */
  stop(): void {
    this.#sweeper.stop();
  }

  // -------------------------------------------------------------------------------------------

  /** Adds what an event lacks, each time it is sent. */
  #complete({ json, lacks }: LogEntry, addressHash: string): Completed {
    // As text: parsing the event and serializing it again would cost more than creating it.
    if (lacks === "iceServers") {
      const iceServers = JSON.stringify(this.#iceServers(addressHash));
      return { json: `${json.slice(0, -1)},"iceServers":${iceServers}}` };
    }
    const event = JSON.parse(json) as Extract<LoggedEvent, { state: unknown }>;
    const { state } = event;
    if (state.status !== "paired") return { event: { ...event, state } };
    return { event: { ...event, state: { ...state, iceServers: this.#iceServers(addressHash) } } };
  }

  #iceServers(addressHash: string): IceServer[] {
    return iceServersFor(this.#parts.ice, this.#parts.system.now(), addressHash);
  }
}

/** Tells sessions apart in logs without naming one: a sixth of its random bits. */
const shortId = (sessionId: string) => sessionId.slice(0, 4);

/** A part of the same mutation whose result is recorded on its own. */
function subMutation(caller: Caller, name: string): Caller {
  const { mutationId } = caller;
  return mutationId === undefined ? caller : { ...caller, mutationId: `${mutationId} ${name}` };
}
