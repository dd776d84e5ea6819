/**
 * The use cases: what happens when a peer connects, joins, skips, leaves, sends a signal or reports. What decides is in
 * `domain`, what keeps state is behind the engine; this combines them.
 */
import type { Moved } from "../domain/change.ts";
import type { DecisionsRequest, ExportedDecision } from "../domain/decisions.ts";
import type { Grounds, Subject, Suspension } from "../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import { isRestricted, readRoomId, restrict } from "../domain/room-id.ts";
import { normaliseWishes } from "../domain/ticket.ts";
import type { SiteStats } from "../domain/stats.ts";
import type { Caller } from "../engine/engine.ts";
import type { Found, NotedReport } from "../engine/operator-view.ts";
import { iceServersFor, relayAvailable, renewAfterMs, type IceSource } from "../ice.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type {
  CallPath,
  CaseAnswer,
  Delivered,
  Facts,
  Hint,
  IceAnswer,
  Kept,
  Signal,
  StandingOffer,
  Stats,
  StatusAnswer,
} from "../protocol.ts";
import { createCompletion } from "./event-completion.ts";
import { Journal } from "./journal.ts";
import { EventStreams, type EventsRequest, type OpenEvents } from "./event-streams.ts";
import { Matcher } from "./matching.ts";
import { withProvided } from "./provided-ice.ts";
import { about, Reports, type FiledReport } from "./reports.ts";
import type { SignalingParts } from "./signaling-parts.ts";
import { Sweeper } from "./sweeper.ts";
import { Talk } from "./talk.ts";

/** A signal in JSON, which is parsed only where its room restricts what it may contain. */
export interface SerializedSignal extends Pick<Signal, "type" | "roomId"> {
  readonly json: string;
}

/**
 * All methods answer once the events that they lead to have been delivered. `join`, `skip`, `leave`, `send` and `relay` do
 * so synchronously with an engine that is synchronous, so that a signal costs no promise.
 */
export class Signaling {
  /** What the members of a room tell each other besides signals. */
  readonly talk: Talk;
  readonly #parts: SignalingParts & { ice: IceSource };
  readonly #matcher: Matcher;
  readonly #sweeper: Sweeper;
  readonly #streams: EventStreams;
  readonly #reports: Reports;
  readonly #journal: Journal;

  constructor(given: SignalingParts) {
    const parts = { ...given, ice: withProvided(given.ice, given) };
    const { engine, system, log, metrics } = parts;
    const journal = new Journal(parts);
    this.#parts = parts;
    this.#journal = journal;
    this.talk = new Talk(parts);
    this.#reports = new Reports(parts);
    this.#matcher = new Matcher({ ...parts, journal, onRetry: () => this.#sweeper.retry() });
    this.#sweeper = new Sweeper({
      engine,
      system,
      log,
      match: (sessionIds) =>
        this.#matcher.matchAll([...sessionIds, ...this.#matcher.takeRetries()]),
    });
    this.#streams = new EventStreams({
      engine,
      complete: createCompletion(parts),
      schedule: system.schedule,
      onBegun: (sessionId, outcome) => journal.streamBegan(sessionId, outcome),
      onStopped: (sessionId) => journal.streamEnded(sessionId),
      onNewlyWaiting: (sessionIds) => void this.#matcher.matchAll(sessionIds),
      onBug: (bug) => log.bug(bug, "events"),
    });
    engine.onEnded((end) => journal.ended(end));
    engine.onMetAgain((room) => journal.metAgain(room));
    metrics.read({ peers: () => this.#streams.size });
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
    addressHash?: string,
  ): MaybePromise<StatusAnswer | Rejection> {
    const { engine, ice, forceRelay } = this.#parts;
    const wishes = normaliseWishes(asked);
    if (lobby !== undefined) wishes.lobby = lobby;
    if (lane !== undefined) wishes.lane = lane;
    const enter = () =>
      chain(engine.enqueue(caller, wishes), (moved) => {
        if (!isRejection(moved) && moved.newlyWaiting.length > 0)
          this.#journal.joined(caller.sessionId, wishes.mode);
        return this.#settle(caller, moved);
      });
    // Text needs no relay to hide addresses.
    if (wishes.mode === "text") return enter();
    if (wishes.relayOnly || (forceRelay && ice.provided))
      return chain(relayAvailable(ice, addressHash), (isAvailable) =>
        isAvailable ? enter() : reject("relay-unavailable"),
      );
    // Begun now, so that nobody has to wait for it once paired.
    if (addressHash !== undefined) void ice.provided?.serversFor(addressHash, "none");
    return enter();
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

  /** Whether the caller neither waits nor is in a room. */
  isIdle(caller: Caller): MaybePromise<boolean | Rejection> {
    return chain(this.#parts.engine.status(caller), (current) =>
      isRejection(current) ? current : current.status === "idle",
    );
  }

  leave(caller: Caller): MaybePromise<StatusAnswer | Rejection> {
    const ending = this.#parts.engine.end(caller, { ending: "leave" });
    return chain(ending, (ended) => this.#settle(caller, ended));
  }

  /** Leaves an offer for whoever is paired with the caller next; `null` takes it back. */
  standby(caller: Caller, offer: StandingOffer | null): MaybePromise<Kept | Rejection> {
    return chain(this.#parts.engine.standby(caller, offer), (left) => {
      if (isRejection(left)) return left;
      const { kept, full } = left;
      this.#parts.metrics.stoodBy(kept ? "kept" : full ? "full" : "none");
      return { kept };
    });
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

  /** @param stated the caller's proof of the room: one that is not genuine counts as none; and the path, which is only counted. */
  async connected(
    caller: Caller,
    roomId: string,
    stated: { proof?: string | undefined; path?: CallPath | undefined } = {},
  ): Promise<StatusAnswer | Rejection> {
    const { engine, proofs } = this.#parts;
    const proof = stated.proof === undefined ? undefined : proofs?.open(stated.proof);
    const known = proof?.roomId === roomId ? proof : undefined;
    const confirmed = await engine.confirm(caller, roomId, known);
    if (isRejection(confirmed)) return confirmed;
    // The proof may be either member's.
    const members = known ? [known.sessionId, known.partnerId] : [];
    const partnerId = members.find((id) => id !== caller.sessionId);
    this.#journal.confirmed(roomId, caller.sessionId, confirmed, { partnerId, path: stated.path });
    return { status: confirmed.status };
  }

  async failed(caller: Caller, roomId: string, path?: CallPath): Promise<StatusAnswer | Rejection> {
    if (readRoomId(roomId).mode === "text") return reject("wrong-mode");
    const ended = await this.#parts.engine.end(caller, { ending: "failed", roomId });
    if (isRejection(ended)) return ended;
    if (!ended.known) return reject("not-in-room");
    if (ended.failedWhile) this.#parts.metrics.connectFailed(ended.failedWhile, path);
    return this.#settle(caller, ended);
  }

  /** `accepted: false` where no hints are taken, and for a room that has ended. */
  async hint(
    caller: Caller,
    roomId: string,
    hint: Hint,
  ): Promise<{ accepted: boolean } | Rejection> {
    const { engine, hints } = this.#parts;
    const isPresent = await engine.send(caller, roomId, undefined);
    if (isRejection(isPresent)) return isPresent;
    if (!isPresent || !hints) return { accepted: false };
    return (await hints.take(caller.sessionId, roomId, hint)) ?? { accepted: true };
  }

  /** Blocks the other member of a present or recent room, and ends it. */
  async block(caller: Caller, roomId: string): Promise<{ accepted: true } | Rejection> {
    const { engine } = this.#parts;
    const avoided = await engine.avoid(subMutation(caller, "avoid"), roomId);
    if (isRejection(avoided)) return avoided;
    this.#journal.blocked(roomId, caller.sessionId);
    return this.#endFor(caller, "block", roomId);
  }

  /** The same, and files a report. */
  async report(
    caller: Caller,
    roomId: string,
    filed: FiledReport = {},
  ): Promise<{ accepted: true; caseId: string } | Rejection> {
    const { engine } = this.#parts;
    const avoided = await engine.avoid(subMutation(caller, "avoid"), roomId);
    if (isRejection(avoided)) return avoided;
    const reported = await this.#reports.file(caller, roomId, filed);
    if (isRejection(reported)) return reported;
    await this.#matcher.matchAll(reported.newlyWaiting);
    const ended = await this.#endFor(caller, "report", roomId);
    return isRejection(ended) ? ended : { ...ended, caseId: reported.caseId };
  }

  async #endFor(
    caller: Caller,
    ending: "report" | "block",
    roomId: string,
  ): Promise<{ accepted: true } | Rejection> {
    const ended = await this.#parts.engine.end(caller, { ending, roomId });
    const settled = await this.#settle(caller, ended);
    return isRejection(settled) ? settled : { accepted: true };
  }

  // -------------------------------------------------------------------------------------------
  // Queries

  /** With TURN credentials for the address that the caller comes from, if it waits or is paired. */
  async iceServers(
    caller: Caller | undefined,
    addressHash: string,
  ): Promise<IceAnswer | Rejection> {
    const { engine, ice, system, forceRelay } = this.#parts;
    const current = caller && (await engine.status(caller));
    if (isRejection(current)) return current;
    const { status = "idle", roomId = "" } = current ?? {};
    if (status === "paired" && readRoomId(roomId).mode === "text") return { iceServers: [] };
    const relayFor = status === "idle" ? undefined : addressHash;
    const iceServers = await iceServersFor(ice, system.now(), relayFor, "full");
    const renewal = relayFor === undefined ? undefined : renewAfterMs(ice, relayFor);
    return {
      iceServers,
      ...(forceRelay && { relayOnly: true }),
      ...(renewal !== undefined && { renewAfterMs: renewal }),
    };
  }

  /** What was decided of a report; `not-in-room` for anybody but its author, or another session of its account. */
  caseOf(
    caller: Caller,
    account: string | undefined,
    caseId: string,
  ): Promise<CaseAnswer | Rejection> {
    return this.#reports.caseOf(caller, account, caseId);
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
    grounds?: Grounds,
  ): Promise<Rejection | undefined> {
    const suspended = await this.#reports.suspend(subject, until, grounds);
    if (isRejection(suspended)) return suspended;
    await this.#matcher.matchAll(suspended.newlyWaiting);
    return undefined;
  }

  /** `false` if there was no such suspension. */
  lift(subject: Subject, grounds?: Grounds): Promise<boolean | Rejection> {
    return this.#reports.lift(subject, grounds);
  }

  /** Closes a case without a sanction. */
  dismiss(caseId: string, grounds?: Grounds): Promise<Rejection | undefined> {
    return this.#reports.dismiss(caseId, grounds);
  }

  /** What was decided, the oldest first. */
  async decisions(request: DecisionsRequest): Promise<ExportedDecision[] | Rejection> {
    return this.#parts.engine.decisions(request);
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
    this.#parts.log.info("disconnected", about(subject));
    return this.#parts.engine.disconnect(subject);
  }

  /** From now on no new session begins here; existing ones continue. */
  drain(): void {
    this.#streams.drain();
  }

  /** Stops sweeping. Open streams stay open. */
  stop(): void {
    this.#sweeper.stop();
    this.#parts.ice.provided?.stop();
  }
}

/** A part of the same mutation whose result is recorded on its own. */
function subMutation(caller: Caller, name: string): Caller {
  const { mutationId } = caller;
  return mutationId === undefined ? caller : { ...caller, mutationId: `${mutationId} ${name}` };
}
