/**
 * The use cases: what happens when a peer connects, joins, skips, leaves, signals or reports. Everything
 * that decides is in `domain`, everything that keeps state is behind the engine; this puts them together.
 */
import { chain, type MaybePromise } from "./maybe-promise.ts";
import type { Moved } from "./domain/change.ts";
import type { Party, Subject, Suspension } from "./domain/moderation.ts";
import { sharedInterests, type Policy } from "./domain/matchmaker.ts";
import { exceedsMode } from "./domain/media-sections.ts";
import { relayOnlyCandidate, relayOnlyDescription } from "./domain/relay-filter.ts";
import { isRejection, reject, type Rejection } from "./domain/rejection.ts";
import { normaliseWishes, type Ticket, type Wishes } from "./domain/ticket.ts";
import type { Caller, Engine, PairRequest, Stats } from "./engine/engine.ts";
import { iceServersFor, relayAvailable, type IceConfig } from "./ice.ts";
import type { Log } from "./observe/log.ts";
import type { Metrics } from "./observe/metrics.ts";
import type {
  IceServer,
  LoggedEvent,
  Mode,
  PeerEvent,
  PeerState,
  ReportReason,
  Signal,
  StatusAnswer,
} from "./protocol.ts";
import { createStreams, type EventsRequest, type OpenEvents } from "./signaling/streams.ts";
import type { System } from "./system.ts";

export interface Signaling {
  /** The missed events, `session`, and then whatever comes: one ordered stream, until it is closed. */
  events(request: EventsRequest): OpenEvents;
  // These four are done at once, with all that is told because of them, if the engine needs no time.
  join(
    caller: Caller,
    asked: Parameters<typeof normaliseWishes>[0],
  ): MaybePromise<StatusAnswer | Rejection>;
  skip(caller: Caller, roomId?: string): MaybePromise<StatusAnswer | Rejection>;
  leave(caller: Caller): MaybePromise<StatusAnswer | Rejection>;
  send(caller: Caller, signal: Signal): MaybePromise<Delivered | Rejection>;
  /** As `send`, for a signal that is serialized already. */
  relay(caller: Caller, signal: SerializedSignal): MaybePromise<Delivered | Rejection>;
  connected(caller: Caller, roomId: string): Promise<StatusAnswer | Rejection>;
  failed(caller: Caller, roomId: string): Promise<StatusAnswer | Rejection>;
  report(
    caller: Caller,
    kind: "report" | "block",
    roomId: string,
    reason?: ReportReason,
  ): Promise<{ accepted: true } | Rejection>;
  /** With TURN credentials for the address that the caller comes from, if it is paired. */
  iceServers(
    caller: Caller | undefined,
    addressHash: string,
  ): Promise<{ iceServers: IceServer[] } | Rejection>;
  stats(): Promise<Stats | Rejection>;
  /** An operator's word: out, and not let in until then (epoch milliseconds). */
  suspend(subject: Subject, until: number): Promise<Rejection | undefined>;
  lift(subject: Subject): Promise<boolean | Rejection>;
  suspensions(): Promise<Suspension[]>;
  /** From now on no new session begins here; those there are go on. */
  drain(): void;
  /** Stops sweeping. What is open stays open. */
  stop(): void;
}

export interface Delivered {
  delivered: boolean;
}

/** A signal in JSON, which is parsed only where its room restricts what it may contain. */
export interface SerializedSignal extends Pick<Signal, "type" | "roomId"> {
  readonly json: string;
}

export interface SignalingParts {
  engine: Engine;
  system: System;
  policy: Policy;
  ice: IceConfig;
  forceRelay: boolean;
  /** Called with every reporter's first report of a room; must neither throw nor wait. */
  onReport: (report: ReportNotice) => void;
  log: Log;
  metrics: Metrics;
}

/** A report, for an operator: never a token, an address, or anything that was said. */
export interface ReportNotice {
  /** Epoch milliseconds. */
  at: number;
  roomId: string;
  /** The same as `roomId`, for receivers written for earlier versions. */
  room: string;
  reason: ReportReason;
  /** The beginning of its session's id. */
  reporter: string;
  /** As the operator's calls name it. */
  reported: Party;
  /** Whether it counts as a vote: not from a room that had just begun, nor of one who reports nearly everybody. */
  counted: boolean;
  /** Who is suspended because of it, and until when (epoch milliseconds). */
  suspended: (Subject & { until: number })[];
}

/** Makes the use cases over an engine, and carries out the engine's deadlines when they are due. */
export function createSignaling(parts: SignalingParts): Signaling {
  const { engine, system, policy, log, metrics } = parts;

  // -------------------------------------------------------------------------------------------
  // Deadlines

  let cancelSweep = () => {};
  /** When the next sweep is due; an earlier ring brings it forward, a later one changes nothing. */
  let armedAt = Number.POSITIVE_INFINITY;
  /** Tickets whose looking failed by a bug: they look again at the next sweep. */
  let retryQueue: string[] = [];
  let stopped = false;

  function alarm(at: number) {
    if (stopped || at >= armedAt) return;
    armedAt = at;
    cancelSweep();
    cancelSweep = system.schedule(Math.max(0, at - engine.now()), () => {
      armedAt = Number.POSITIVE_INFINITY;
      void sweep();
    });
  }

  async function sweep() {
    try {
      const { newlyWaiting, nextAt } = await engine.sweep();
      if (nextAt !== undefined) alarm(nextAt);
      const again = retryQueue;
      retryQueue = [];
      await matchAll([...newlyWaiting, ...again]);
    } catch (bug) {
      log.bug(bug, "sweep");
      alarm(engine.now() + retryMs);
    }
  }

  // -------------------------------------------------------------------------------------------
  // Matching

  /** Pairs each of these tickets that can be paired now, one after the other. Answers whether `callerId` was. */
  function matchAll(newlyWaiting: readonly string[], callerId?: string): MaybePromise<boolean> {
    let callerPaired = false;
    function paired(sessionId: string, partnerId: string | undefined) {
      if (partnerId === undefined) return;
      callerPaired ||= callerId === sessionId || callerId === partnerId;
    }
    // Whoever has to be waited for lets the others wait too.
    async function wait(first: string, looking: Promise<string | undefined>) {
      paired(first, await looking);
      for (const sessionId of left) paired(sessionId, await tryMatch(sessionId));
      return callerPaired;
    }
    const left = newlyWaiting.values();
    for (const sessionId of left) {
      const looking = tryMatch(sessionId);
      if (looking instanceof Promise) return wait(sessionId, looking);
      paired(sessionId, looking);
    }
    return callerPaired;
  }

  /** Nobody else's ticket may suffer from a bug, the policy's perhaps, nor this one for long. */
  function tryMatch(sessionId: string): MaybePromise<string | undefined> {
    const failed = (bug: unknown) => {
      log.bug(bug, "matching");
      retryQueue.push(sessionId);
      alarm(engine.now() + retryMs);
      return undefined;
    };
    try {
      const found = match(sessionId);
      return found instanceof Promise ? found.catch(failed) : found;
    } catch (bug) {
      return failed(bug);
    }
  }

  function match(sessionId: string): MaybePromise<string | undefined> {
    return chain(engine.matchOptions(sessionId), (offer) => {
      if (!offer || offer.eligible.length === 0) return undefined;
      const { ticket, eligible } = offer;
      const chosen = policy(ticket, eligible, { now: engine.now(), random: system.random });
      if (!chosen) return undefined;
      const request = pairRequest(ticket, chosen);
      return chain(engine.pair(request), (paired) => {
        // Somebody was faster: look again at who is left.
        if (!paired) return match(sessionId);
        note(ticket, chosen, request.roomId);
        return chosen.sessionId;
      });
    });
  }

  function pairRequest(newcomer: Ticket, partner: Ticket): PairRequest {
    const relayOnly = parts.forceRelay || newcomer.wishes.relayOnly || partner.wishes.relayOnly;
    return {
      roomId: roomIdPrefix(relayOnly, newcomer.wishes.mode) + system.id(),
      impolite: newcomer,
      polite: partner,
      relayOnly,
      sharedInterests: sharedInterests(newcomer, partner),
    };
  }

  function note(newcomer: Ticket, partner: Ticket, room: string) {
    const { mode } = newcomer.wishes;
    const now = engine.now();
    const waitedMs = [now - newcomer.since, now - partner.since];
    log.info("paired", { room, mode, waitedMs });
    metrics.paired(mode, waitedMs);
  }

  /** Matches those who entered the lobby; the caller's answer says where that leaves it. */
  function settle(
    caller: Caller,
    moved: Moved | Rejection,
  ): MaybePromise<StatusAnswer | Rejection> {
    if (isRejection(moved)) return moved;
    return chain(matchAll(moved.newlyWaiting, caller.sessionId), (paired) => {
      if (moved.status !== "waiting" || !paired) return { status: moved.status };
      const { mutationId } = caller;
      const amending =
        mutationId === undefined ? undefined : engine.updateRecordedResult(caller, "paired");
      return chain(amending, () => ({ status: "paired" }));
    });
  }

  // -------------------------------------------------------------------------------------------
  // Rooms

  async function reportPartner(caller: Caller, roomId: string, reason: ReportReason) {
    const reported = await engine.report(caller, roomId);
    if (isRejection(reported) || !reported.first) return;
    const suspended = reported.suspended.map(({ subject, until }) => ({ ...subject, until }));
    const { sessionId } = reported.reported;
    log.info("reported", {
      room: roomId,
      reason,
      reporter: shortId(caller.sessionId),
      reported: shortId(sessionId),
      counted: reported.counted,
      suspended: suspended.length,
    });
    parts.onReport({
      at: system.now(),
      roomId,
      room: roomId,
      reason,
      reporter: shortId(caller.sessionId),
      reported: reported.reported,
      counted: reported.counted,
      suspended,
    });
    await matchAll(reported.newlyWaiting);
  }

  function send(caller: Caller, signal: Signal): MaybePromise<Delivered | Rejection> {
    const allowed = restrict(signal);
    const json = isRejection(allowed) ? allowed : allowed && JSON.stringify(allowed);
    return relay(caller, signal, json);
  }

  function relay(
    caller: Caller,
    { type, roomId }: Pick<Signal, "type" | "roomId">,
    json: string | undefined | Rejection,
  ): MaybePromise<Delivered | Rejection> {
    if (isRejection(json)) return json;
    return chain(engine.send(caller, roomId, json), (delivered) => {
      if (isRejection(delivered)) return delivered;
      // A signal that was filtered out is answered like any other: the sender must not learn what is let through.
      if (delivered) metrics.signaled(type);
      return { delivered };
    });
  }

  // -------------------------------------------------------------------------------------------
  // Events

  function enrichState(state: PeerState<unknown>, addressHash: string): PeerState {
    if (state.status !== "paired") return state;
    return { ...state, iceServers: iceServersFor(parts.ice, system.now(), addressHash) };
  }

  /** Puts in what is short-lived; it is made anew whenever an event is sent again. */
  function enrich(event: LoggedEvent, addressHash: string): PeerEvent<unknown> {
    switch (event.type) {
      case "session":
      case "resync":
        return { ...event, state: enrichState(event.state, addressHash) };
      case "create-offer":
      case "wait-for-offer":
        return { ...event, iceServers: iceServersFor(parts.ice, system.now(), addressHash) };
      default:
        return event;
    }
  }

  const streams = createStreams({
    engine,
    enrich,
    schedule: system.schedule,
    began: metrics.began,
    newlyWaiting: (sessionIds) => void matchAll(sessionIds),
    onBug: (bug) => log.bug(bug, "events"),
  });

  engine.onDeadline(alarm);
  engine.onEnded(({ roomId, reason, ending, lastedMs }) => {
    log.info("ended", { room: roomId, reason, by: ending, lastedMs });
    metrics.ended(reason);
  });

  return {
    events: streams.open,

    join(caller, asked) {
      const wishes: Wishes = normaliseWishes(asked);
      if (wishes.relayOnly && !relayAvailable(parts.ice)) return reject("relay-unavailable");
      return chain(engine.enqueue(caller, wishes), (moved) => {
        if (!isRejection(moved) && moved.newlyWaiting.length > 0)
          log.info("joined", { session: shortId(caller.sessionId), mode: wishes.mode });
        return settle(caller, moved);
      });
    },

    skip(caller, roomId) {
      return chain(engine.status(caller), (standing) => {
        if (isRejection(standing)) return standing;
        const moving: MaybePromise<Moved | Rejection> =
          standing.status === "idle"
            ? engine.enqueue(caller)
            : engine.end(caller, { ending: "skip", roomId });
        return chain(moving, (moved) => settle(caller, moved));
      });
    },

    leave(caller) {
      return chain(engine.end(caller, { ending: "leave" }), (ended) => settle(caller, ended));
    },

    send,

    relay(caller, signal) {
      const { roomId, type, json } = signal;
      if (isRestricted(roomId, type)) return send(caller, JSON.parse(json) as Signal);
      return relay(caller, signal, json);
    },

    async connected(caller, roomId) {
      const answer = await engine.confirm(caller, roomId);
      if (isRejection(answer)) return answer;
      if (answer.connectedAfterMs !== undefined) metrics.connected(answer.connectedAfterMs);
      return { status: answer.status };
    },

    async failed(caller, roomId) {
      const answer = await engine.end(caller, { ending: "failed", roomId });
      if (!isRejection(answer) && !answer.known) return reject("not-in-room");
      return settle(caller, answer);
    },

    async report(caller, kind, roomId, reason) {
      const avoided = await engine.avoid(subMutation(caller, "avoid"), roomId);
      if (isRejection(avoided)) return avoided;
      if (kind === "report") await reportPartner(caller, roomId, reason ?? "other");
      else log.info("blocked", { room: roomId, session: shortId(caller.sessionId) });
      const answer = await settle(caller, await engine.end(caller, { ending: kind, roomId }));
      return isRejection(answer) ? answer : { accepted: true };
    },

    async iceServers(caller, addressHash) {
      const standing = caller && (await engine.status(caller));
      if (isRejection(standing)) return standing;
      const relayFor = standing?.status === "paired" ? addressHash : undefined;
      return { iceServers: iceServersFor(parts.ice, system.now(), relayFor) };
    },

    async stats() {
      return engine.stats();
    },

    async suspend(subject, until) {
      const suspended = await engine.suspend(subject, until);
      if (isRejection(suspended)) return suspended;
      log.info("suspended", { ...subject, until });
      await matchAll(suspended.newlyWaiting);
      return undefined;
    },

    async lift(subject) {
      const lifted = await engine.lift(subject);
      if (lifted === true) log.info("lifted", { ...subject });
      return lifted;
    },

    async suspensions() {
      return engine.suspensions();
    },

    drain: streams.drain,

    stop() {
      stopped = true;
      cancelSweep();
    },
  };
}

/** After a bug it is tried again (milliseconds). */
const retryMs = 1000;

/** Tells sessions apart in logs, and names none: a sixth of its random bits. */
const shortId = (sessionId: string) => sessionId.slice(0, 4);

/** The same mutation's part that is recorded on its own. */
function subMutation(caller: Caller, name: string): Caller {
  const { mutationId } = caller;
  return mutationId === undefined ? caller : { ...caller, mutationId: `${mutationId} ${name}` };
}

/**
 * A room's id begins with what its signals must keep to, so that none of them needs a look at the room: one that names
 * another id is refused as not in it.
 */
const relayOnlyPrefix = "relay.";
const modePrefixes = [
  ["audio.", "audio"],
  ["text.", "text"],
] as const satisfies [string, Mode][];

function roomIdPrefix(relayOnly: boolean, mode: Mode): string {
  const [modePrefix = ""] = modePrefixes.find(([, prefixed]) => prefixed === mode) ?? [];
  return (relayOnly ? relayOnlyPrefix : "") + modePrefix;
}

/** What a room's id says about its signals. */
function readRoomId(roomId: string): { isRelayOnly: boolean; mode: Mode } {
  const isRelayOnly = roomId.startsWith(relayOnlyPrefix);
  const rest = isRelayOnly ? roomId.slice(relayOnlyPrefix.length) : roomId;
  const mode = modePrefixes.find(([prefix]) => rest.startsWith(prefix))?.[1] ?? "video";
  return { isRelayOnly, mode };
}

/** Whether signals of this type have to be looked into in this room. */
function isRestricted(roomId: string, type: Signal["type"]): boolean {
  const { isRelayOnly, mode } = readRoomId(roomId);
  return isRelayOnly || (mode !== "video" && type !== "add-ice-candidate");
}

/** The signal as its room lets it through: `undefined` if nothing of it is left. */
function restrict(signal: Signal): Signal | undefined | Rejection {
  const { isRelayOnly, mode } = readRoomId(signal.roomId);
  const passed = isRelayOnly ? relayOnly(signal) : signal;
  // What the partner would get is what counts.
  if (passed && "sdp" in passed && exceedsMode(passed.sdp, mode)) return reject("wrong-mode");
  return passed;
}

/** The signal without anything that says where its sender is; `undefined` if nothing is left. */
function relayOnly(signal: Signal): Signal | undefined {
  if (signal.type !== "add-ice-candidate")
    return { ...signal, sdp: relayOnlyDescription(signal.sdp) };
  const candidate = relayOnlyCandidate(signal.candidate);
  return candidate && { ...signal, candidate };
}
