/**
 * What happens to peers and rooms, as an operator is told it by hooks and webhooks: derived from a change, or from the effect of a
 * report or decision, in the same way for every engine. Metadata only: never a token, an address, or a word of a peer, but for what a
 * reporter shows, which no engine has; a suspension of an address names it by its keyed hash, as the operator's calls do.
 */
import type {
  EndReason,
  Evidence,
  Mode,
  QuotedMessage,
  ReportReason,
  SanctionReason,
} from "../protocol.ts";
import type { Change } from "./change.ts";
import type { Grounds, Party, Report, Subject, Suspension, Verdict } from "./moderation.ts";
import type { Ending } from "./room.ts";
import type { Room, Session } from "./session.ts";

export const lifecycleTypes = [
  "joined",
  "paired",
  "connected",
  "ended",
  "reported",
  "suspended",
  "lifted",
] as const;
export type LifecycleType = (typeof lifecycleTypes)[number];

export interface LifecyclePeer {
  sessionId: string;
  /** The operator's id of whoever it is; absent for one who is anonymous. */
  account?: string;
}

interface Told<Type extends LifecycleType> {
  /** The same each time the same event is told, and no other event's; at most a few hundred characters. */
  id: string;
  type: Type;
  /** Epoch milliseconds. */
  at: number;
}

/** A ticket enters the lobby: by a join or a skip, or because a room has ended. */
export interface Joined extends Told<"joined"> {
  peer: LifecyclePeer;
  mode: Mode;
}

export interface Paired extends Told<"paired"> {
  roomId: string;
  mode: Mode;
  peers: [LifecyclePeer, LifecyclePeer];
}

/** Media flows, as the first of these two peers was the first to say; a room for text is connected as soon as the two are paired. */
export interface Connected extends Told<"connected"> {
  roomId: string;
  mode: Mode;
  peers: [LifecyclePeer, LifecyclePeer];
  /** Milliseconds since the two were paired. */
  afterMs: number;
}

export interface RoomEnded extends Told<"ended"> {
  roomId: string;
  mode: Mode;
  /** The one through whom it ended comes first. */
  peers: [LifecyclePeer, LifecyclePeer];
  /** What the second peer was sent. */
  reason: EndReason;
  /** What the first peer did, or what happened to it (`lost`, `removed`). */
  by: Ending;
  lastedMs: number;
  /** Whether media flowed. */
  connected: boolean;
}

/** Evidence, with whether each message is in the room's own log. */
export interface CheckedEvidence extends Pick<Evidence, "still"> {
  messages?: (QuotedMessage & { attested: boolean })[];
}

/** A reporter's first report of a room. */
export interface Reported extends Told<"reported"> {
  /** Names the report: see `case`. */
  caseId?: string;
  roomId: string;
  reason: ReportReason;
  /** What the reporter has written and shown. Only in the memory of the process that received it, until the event is told. */
  note?: string;
  evidence?: CheckedEvidence;
  /** There was a note or evidence, but the process that had it is gone, or there was too much of it. */
  evidenceLost?: true;
  reporter: LifecyclePeer;
  reported: LifecyclePeer;
  /** Whether it counts as a vote towards a suspension. */
  counted: boolean;
  /** What is suspended because of it, and until when (epoch milliseconds). */
  suspended: (Subject & { until: number })[];
}

export interface Suspended extends Told<"suspended"> {
  subject: Subject;
  /** Epoch milliseconds. */
  until: number;
  by: Suspension["by"];
  because: SanctionReason;
  caseId?: string;
}

export interface Lifted extends Told<"lifted"> {
  subject: Subject;
  by: "operator";
}

/** The process that has what belongs to an event: no part of what is told. */
export interface Held {
  heldBy?: string;
}

export type LifecycleEvent =
  Joined | Paired | Connected | RoomEnded | Reported | Suspended | Lifted;

/** What an event is about. Two events that have anything of it in common are told one after the other. */
export function concernsOf(event: LifecycleEvent): string[] {
  switch (event.type) {
    case "joined":
      return [event.peer.sessionId];
    case "paired":
    case "connected":
    case "ended":
      return [event.roomId, ...event.peers.map(({ sessionId }) => sessionId)];
    case "reported":
      return [event.roomId, event.reporter.sessionId, event.reported.sessionId];
    case "suspended":
    case "lifted":
      return [event.subject.id];
  }
}

/** The sessions of a change as they were before it. */
export interface Before {
  member: Session;
  partner: Session | undefined;
}

/**
 * What a change means to an operator, in the order in which it happened.
 * @param now the engine's clock, by which rooms begin and end; `at` the same moment by the wall clock (both epoch milliseconds).
 */
export function lifecycleOfChange(
  change: Change<unknown>,
  before: Before,
  { now, at }: { now: number; at: number },
  wanted: readonly LifecycleType[],
): LifecycleEvent[] {
  const events: LifecycleEvent[] = [];
  const { member, partner, room } = change;
  if (room && partner) {
    const { id: roomId, mode } = room.room;
    const peers: [LifecyclePeer, LifecyclePeer] = [peerOf(member), peerOf(partner)];
    const type = roomEventOf(change, before);
    // Of a room that exists again its first end has been told, perhaps.
    const { restoredAt } = room.room;
    const again = restoredAt === undefined ? "" : `:${restoredAt}`;
    const common = { id: `${type}:${roomId}${again}`, at, roomId, mode, peers };
    switch (type) {
      case "paired":
        events.push({ type, ...common });
        if (room.room.state === "connected")
          events.push({ type: "connected", ...common, id: `connected:${roomId}`, afterMs: 0 });
        break;
      case "connected":
        events.push({ type, ...common, afterMs: now - room.room.since });
        break;
      case "ended":
        if (room.kind === "ended") events.push({ type, ...common, ...endOf(room) });
    }
  }
  // The partner of a room that ends returns to the lobby first.
  for (const [was, is] of [[before.partner, partner] as const, [before.member, member] as const])
    if (is?.ticket && !was?.ticket) {
      const { revision, wishes } = is.ticket;
      // A session that was forgotten counts its tickets from the start, but later.
      const id = `joined:${is.id}:${revision}:${at}`;
      events.push({ type: "joined", id, at, peer: peerOf(is), mode: wishes.mode });
    }
  return wanted.length === lifecycleTypes.length
    ? events
    : events.filter(({ type }) => wanted.includes(type));
}

/** What a change means to its room, if anything that is told. */
function roomEventOf(
  { room }: Change<unknown>,
  before: Before,
): "paired" | "connected" | "ended" | undefined {
  switch (room?.kind) {
    case "began":
      return "paired";
    case "restored":
      return "connected";
    case "ended":
      return "ended";
    case "updated": {
      const isFirst = before.member.room?.state === "connecting";
      return isFirst && room.room.state === "connected" ? "connected" : undefined;
    }
    default:
      return undefined;
  }
}

function endOf({ room, end }: { room: Room; end: EndOfRoom }) {
  const { reason, ending, lastedMs } = end;
  return { reason, by: ending, lastedMs, connected: room.state === "connected" };
}

type EndOfRoom = Pick<RoomEnded, "reason" | "lastedMs"> & { ending: Ending };

/** A report, or a decision of an operator; `at` in epoch milliseconds. */
export type Decision = { at: number } & (
  | ({
      kind: "report";
      /** The process that has its note and evidence; absent without any. */
      heldBy?: string | undefined;
    } & Report)
  | ({ kind: "suspend"; subject: Subject; until: number } & Grounds)
  | ({ kind: "lift"; subject: Subject } & Grounds)
  /** A case is closed without a sanction. */
  | ({ kind: "dismiss"; caseId: string } & Grounds)
);

/** What a report or a decision has led to. */
export function lifecycleOfDecision(
  decision: Decision,
  verdict: Verdict,
  wanted: readonly LifecycleType[],
): LifecycleEvent[] {
  const { at, kind } = decision;
  const events: LifecycleEvent[] = [];
  if (kind === "report" && verdict.first) events.push(reportedOf(decision, verdict));
  for (const { subject, since, until, by, because, caseId } of verdict.suspended) {
    // One that was suspended for longer already stays as it is.
    if (since !== at) continue;
    const id = `suspended:${subject.kind}:${subject.id}:${since}:${until}`;
    const reasons = caseId === undefined ? { because } : { because, caseId };
    events.push({ type: "suspended", id, at, subject, until, by, ...reasons });
  }
  if (kind === "lift" && verdict.counted) {
    const { subject } = decision;
    const id = `lifted:${subject.kind}:${subject.id}:${at}`;
    events.push({ type: "lifted", id, at, subject, by: "operator" });
  }
  return events.filter(({ type }) => wanted.includes(type));
}

function reportedOf(
  report: Extract<Decision, { kind: "report" }>,
  { counted, suspended }: Verdict,
): Reported & Held {
  const { at, roomId, reason = "other", caseId, heldBy } = report;
  const reporter = partyOf(report.reporter);
  return {
    type: "reported",
    id: `reported:${roomId}:${reporter.sessionId}`,
    at,
    ...(caseId !== undefined && { caseId }),
    roomId,
    reason,
    reporter,
    reported: partyOf(report.reported),
    counted,
    suspended: suspended.map(({ subject, until }) => ({ ...subject, until })),
    ...(heldBy !== undefined && { heldBy }),
  };
}

const peerOf = ({ id, account }: Session): LifecyclePeer => nameOf(id, account);

const partyOf = ({ sessionId, account }: Party): LifecyclePeer => nameOf(sessionId, account);

const nameOf = (sessionId: string, account: string | undefined): LifecyclePeer =>
  account === undefined ? { sessionId } : { sessionId, account };
