/**
 * A change of one or two sessions as a value, and the two steps that most transitions are made of: a session enters the
 * lobby, and a room ends.
 */
import { afterEvidence, evidenceOf } from "./conduct.ts";
import type { Dimensions } from "./facts.ts";
import { hasLanes, inLane, laneOf, requiredOfTicket } from "./lanes.ts";
import type { LoggedEvent, Mode, Status, SuspensionNotice } from "../protocol.ts";
import { lobbyOf } from "./lobby.ts";
import { reject, type Rejection } from "./rejection.ts";
import { outcomeOf, type Ending } from "./room.ts";
import {
  copyOf,
  rememberRoom,
  statusOf,
  type Room,
  type RoomEnd,
  type Session,
  type SessionDraft,
  type RoomProof,
} from "./session.ts";
import {
  afterFailure,
  afterSkip,
  isFrequent,
  penaltyRemainingMs,
  type SkipLimits,
} from "./skip-penalty.ts";
import { acceptanceAfter, type RelaxSteps, type Wishes } from "./ticket.ts";
import { takeToken, type Rate } from "./token-bucket.ts";

export interface TransitionOptions {
  /** How long room and ticket of an absent session are kept (milliseconds). */
  graceMs: number;
  /** How long two who skipped avoid each other (milliseconds); 0: not at all. */
  skipCooldownMs: number;
  relax: RelaxSteps;
  /** Of facts; absent: none are declared. */
  dimensions?: Dimensions | undefined;
  skipping: SkipLimits;
  /** Of the intents of one account that are carried out: `join`, `skip`, `failed`, `report` and `block`. */
  intents: Rate;
  /** How long a room has to last (milliseconds) for reports from it to count, unless media flowed for both. */
  voteAfterMs: number;
  /** How long the place of a member is kept at most while media flows to its partner (milliseconds); 0: rooms are as lost as their members. */
  callKeepMs: number;
  /** Seals a proof for the member that is sent it. Default: there are none. */
  seal?: ((proof: RoomProof) => string) | undefined;
}

/** What a transition may look at besides the sessions it concerns. */
export interface Surroundings {
  /** The engine's clock (epoch milliseconds, never steps). */
  readonly now: number;
  /** By how much the wall clock is ahead of it: peers are sent wall-clock times. */
  readonly wallOffsetMs: number;
  readonly options: TransitionOptions;
  /** A lobby before the change. */
  lobby(mode: Mode, lobby: string | undefined): LobbyCounts;
  /** `suspended` for a session that must stay out. */
  suspended(session: Session): Rejection | undefined;
}

export interface LobbyCounts {
  /** Tickets of the mode in the lobby. */
  waiting: number;
  /** Sessions with an open stream that are in the lobby (see `lobbyOf`), also those that are in a room. */
  online: number;
  estimateMs?: number | undefined;
}

/** `sessionId` does not want to meet `otherId` until then (epoch milliseconds); a block lasts until Infinity. */
export interface Avoidance {
  sessionId: string;
  otherId: string;
  until: number;
}

export interface Change<Result> {
  /** The session that the verb is about as it becomes, whole. */
  readonly member: Session;
  /** The other session that was given, if it becomes different. */
  readonly partner: Session | undefined;
  readonly room: RoomChange | undefined;
  /** In the order in which they are appended, each to one of the two; a session that has no log any more is sent none. */
  readonly events: readonly AddressedEvent[];
  readonly avoidances: readonly Avoidance[];
  readonly result: Result;
}

export type RoomChange =
  /** `waitedMs` is absent when the two meet again because they have asked for it: it says nothing of how long others wait. */
  | { kind: "began"; room: Room; waitedMs?: number }
  | { kind: "updated"; room: Room }
  /** It exists again, having been lost. */
  | { kind: "restored"; room: Room }
  | { kind: "ended"; room: Room; end: RoomEnd };

export interface AddressedEvent {
  sessionId: string;
  event: LoggedEvent;
  /** The session whose standing offer, as it was before the change, the event is to contain: see `withOffer` in event-log.ts. */
  offerOf?: string | undefined;
}

/** Whose tickets entered the lobby or changed: each should look for a partner. */
export interface Entered {
  newlyWaiting: string[];
}

export interface Moved extends Entered {
  status: Status;
}

// ---------------------------------------------------------------------------------------------
// The change in the making

/** A change while a transition works it out. Only the transitions see one. */
export interface ChangeDraft {
  readonly before: Session;
  readonly member: SessionDraft;
  /** The partner as it was; and as it becomes, once `changePartner` was called. */
  readonly partnerBefore: Session | undefined;
  partner: SessionDraft | undefined;
  room: RoomChange | undefined;
  readonly events: AddressedEvent[];
  /** Replaced, not extended, as most changes have none. */
  avoidances: readonly Avoidance[];
  readonly newlyWaiting: string[];
}

const none: readonly never[] = [];

export function startChange(member: Session, partner: Session | undefined): ChangeDraft {
  return {
    before: member,
    member: copyOf(member),
    partnerBefore: partner,
    partner: undefined,
    room: undefined,
    events: [],
    avoidances: none,
    newlyWaiting: [],
  };
}

/** The partner, to be changed. @throws if there is none. */
export function changePartner(draft: ChangeDraft): SessionDraft {
  if (!draft.partnerBefore) throw new Error("a room has two members");
  return (draft.partner ??= copyOf(draft.partnerBefore));
}

export function finishChange<Result>(draft: ChangeDraft, result: Result): Change<Result> {
  const { before, partnerBefore, member, partner, room, events, avoidances } = draft;
  if (!keepsOffer(before, member)) member.standby = undefined;
  if (partner && !keepsOffer(partnerBefore, partner)) partner.standby = undefined;
  return { member, partner, room, events, avoidances, result };
}

/**
 * A standing offer belongs to one ticket of one page, as its mode and the candidates that it may contain do: it is dropped when the ticket is, when
 * the session is absent or taken over, and when the ticket comes to be for another mode, or comes to hide addresses or no longer does.
 */
function keepsOffer(before: Session | undefined, after: SessionDraft): boolean {
  if (!after.standby) return true;
  const [from, to] = [before?.ticket?.wishes, after.ticket?.wishes];
  if (!before || !from || !to || !after.present) return false;
  const isSame = from.mode === to.mode && from.relayOnly === to.relayOnly;
  return isSame && before.generation === after.generation;
}

/** A verb that changes nothing. */
export function unchanged<Result>(session: Session, result: Result): Change<Result> {
  return finishChange(startChange(session, undefined), result);
}

/** @param offerOf see `AddressedEvent`. */
export function send(
  draft: ChangeDraft,
  { id }: Session,
  event: LoggedEvent,
  offerOf?: string,
): void {
  draft.events.push(
    offerOf === undefined ? { sessionId: id, event } : { sessionId: id, event, offerOf },
  );
}

/** From now on `session` avoids `other` (until: epoch milliseconds; Infinity for a block). */
export function avoid(draft: ChangeDraft, session: Session, other: Session, until: number): void {
  draft.avoidances = [...draft.avoidances, { sessionId: session.id, otherId: other.id, until }];
}

/** Tickets with this mode and lobby that the change has added so far. */
function countAdded({ member, partner, newlyWaiting }: ChangeDraft, wishes: Wishes): number {
  let added = 0;
  for (const one of [member, partner]) {
    if (!one?.present || !one.ticket || !newlyWaiting.includes(one.id)) continue;
    const { mode, lobby } = one.ticket.wishes;
    if (mode === wishes.mode && lobby === wishes.lobby) added += 1;
  }
  return added;
}

/** How many more are online in a lobby by the change so far: no partner connects, or goes to another lobby. */
function countArrived({ before, member }: ChangeDraft, lobby: string | undefined): number {
  const wasThere = before.present && lobbyOf(before) === lobby;
  const isThere = member.present && lobbyOf(member) === lobby;
  return Number(isThere) - Number(wasThere);
}

// ---------------------------------------------------------------------------------------------
// Tickets

/**
 * Gives the session a new version of its ticket, with what it accepts by now. Versions seen before become invalid.
 * @param wishes those of the session.
 */
export function setTicket(
  session: SessionDraft,
  { wishes, since, queuedSince }: { wishes: Wishes; since: number; queuedSince: number },
  { now, options: { relax } }: Surroundings,
): void {
  const waitedMs = now - since;
  const stated = hasLanes(relax)
    ? inLane(wishes, { lane: laneOf(session, now), waitedMs }, relax)
    : wishes;
  session.revision += 1;
  session.ticket = {
    sessionId: session.id,
    wishes: stated,
    since,
    queuedSince,
    accepts: acceptanceAfter(wishes, waitedMs, relax).accepts,
    required: requiredOfTicket(stated, waitedMs),
    revision: session.revision,
  };
}

export function renewTicket(session: SessionDraft, around: Surroundings): void {
  const { ticket } = session;
  if (!ticket) return;
  // The ticket's own may have a lane.
  const { wishes = ticket.wishes } = session;
  setTicket(session, { ...ticket, wishes }, around);
}

/** Gives the session a ticket, and sends it `lobby`. */
export function enter(
  draft: ChangeDraft,
  session: SessionDraft,
  { wishes, place }: { wishes: Wishes; place: "kept" | "new" },
  around: Surroundings,
): void {
  const { now } = around;
  const queuedSince = place === "new" ? now : (session.queuedSince ?? now);
  session.wishes = wishes;
  session.queuedSince = queuedSince;
  setTicket(session, { wishes, since: now, queuedSince }, around);
  draft.newlyWaiting.push(session.id);
  // The counts are those from before the change.
  const counts = around.lobby(wishes.mode, wishes.lobby);
  const waiting = counts.waiting + countAdded(draft, wishes);
  const online = counts.online + countArrived(draft, wishes.lobby);
  const { estimateMs } = counts;
  if (estimateMs === undefined) send(draft, session, { type: "lobby", waiting, online });
  else send(draft, session, { type: "lobby", waiting, online, estimateMs });
}

/** `rate-limited` while the session still has to wait for having skipped too often. */
export function penalized({ skipPenalty }: Session, now: number): Rejection | undefined {
  if (!skipPenalty) return undefined;
  const retryAfterMs = penaltyRemainingMs(skipPenalty, now);
  return retryAfterMs > 0 ? reject("rate-limited", { retryAfterMs }) : undefined;
}

/**
 * Counts an intent of the member's account, over all its sessions; `rate-limited` if there were too many, and then nothing is counted.
 * Sessions without an account are limited where they call.
 */
export function takeIntent(
  member: SessionDraft,
  { now, options }: Surroundings,
): Rejection | undefined {
  if (member.account === undefined) return undefined;
  const bucket = { fullAt: member.intentsFullAt };
  const retryAfterMs = takeToken(bucket, options.intents, now);
  if (retryAfterMs > 0) return reject("rate-limited", { retryAfterMs });
  member.intentsFullAt = bucket.fullAt;
  return undefined;
}

// ---------------------------------------------------------------------------------------------
// Rooms

/** Reports count from a room in which media flowed for both, or that lasted; not from one that was just made. */
export function earnsVote(room: Room, { now, options }: Surroundings): boolean {
  if (room.mode !== "text" && room.politeConnected && room.impoliteConnected) return true;
  return now - room.since >= options.voteAfterMs;
}

/** The ending that counts: a member whose calls fail again and again is treated as one who skips. */
function effectiveEnding(member: SessionDraft, room: Room, ending: Ending, now: number): Ending {
  if (ending !== "failed" || room.state !== "connecting") return ending;
  const { penalty, tolerated } = afterFailure(member.skipPenalty, now);
  member.skipPenalty = penalty;
  return tolerated ? ending : "skip";
}

/** To one who may expect to be in the lobby: a server that has lost its sessions does not know what they wish. */
const idle: LoggedEvent = { type: "resync", state: { status: "idle" } };

/** Ends the member's room. The partner returns to the lobby if it wishes to, and so does the member by the room's table. */
export function endRoom(
  draft: ChangeDraft,
  room: Room,
  ending: Ending,
  around: Surroundings,
): void {
  const { now, options } = around;
  const { member } = draft;
  const partner = changePartner(draft);
  const outcome = outcomeOf(room.state, effectiveEnding(member, room, ending, now));
  const isRejecting = ending === "report" || ending === "block";
  const { reason } = outcome;
  const { id: roomId, since } = room;
  const ids = { roomId, sessionId: member.id, partnerId: partner.id };
  const end = { ...ids, reason, ending, lastedMs: now - since };
  draft.room = { kind: "ended", room, end };
  if (hasLanes(options.relax)) {
    const evidence = evidenceOf(end);
    if (evidence.member) member.conduct = afterEvidence(member.conduct, evidence.member, now);
    if (evidence.partner) partner.conduct = afterEvidence(partner.conduct, evidence.partner, now);
  }
  const votes = earnsVote(room, around);
  member.room = undefined;
  partner.room = undefined;
  const ofMember = { partnerId: partner.id, partnerAccount: partner.account };
  const ofPartner = { partnerId: member.id, partnerAccount: member.account };
  const past = { roomId, votes, endedAt: now, ...(ending === "lost" && { lost: true as const }) };
  rememberRoom(member, { ...past, ...ofMember, rejected: isRejecting });
  rememberRoom(partner, { ...past, ...ofPartner, rejected: false });
  // Getting rid of a partner counts as a skip, by whichever call.
  if (reason === "skipped" || ending === "leave" || isRejecting)
    member.skipPenalty = afterSkip(member.skipPenalty, now, options.skipping);
  if (outcome.cooldown && options.skipCooldownMs > 0)
    avoid(draft, member, partner, now + options.skipCooldownMs);

  send(draft, partner, { type: "partner-disconnected", roomId, reason });
  if (partner.wishes?.autoRejoin && !around.suspended(partner))
    enter(draft, partner, { wishes: partner.wishes, place: "kept" }, around);
  else if (!partner.wishes) send(draft, partner, idle);

  const { wishes } = member;
  const rejoins =
    outcome.rejoins === "always" ||
    (outcome.rejoins === "if-wished" && wishes?.autoRejoin === true);
  // A report or block always ends the room; its price is the wait before the next one.
  const isDelayed = isRejecting && penalized(member, now) !== undefined;
  if (rejoins && wishes && !isDelayed && !around.suspended(member)) {
    const place = isRejecting && isFrequent(member.skipPenalty) ? "new" : outcome.place;
    enter(draft, member, { wishes, place }, around);
  } else {
    member.queuedSince = undefined;
    if (rejoins && (isDelayed || !wishes)) send(draft, member, idle);
  }
}

/** Takes the member out of lobby and room, because it is suspended. */
export function evictMember(draft: ChangeDraft, around: Surroundings): void {
  const { member } = draft;
  if (statusOf(member) === "idle") return;
  member.ticket = undefined;
  if (member.room) endRoom(draft, member.room, "removed", around);
  const refused = around.suspended(member);
  const suspended = refused && { suspended: noticeOf(refused) };
  send(draft, member, { type: "resync", state: { status: "idle" }, ...suspended });
}

/** What a session is told of its suspension, as it would be refused. */
function noticeOf({ until, because, caseId, appeal }: Rejection): SuspensionNotice {
  return {
    ...(until !== undefined && { until }),
    ...(because && { because }),
    ...(caseId !== undefined && { caseId }),
    ...(appeal !== undefined && { appeal }),
  };
}
