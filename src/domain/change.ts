/**
 * A change of one or two sessions as a value, and the two steps that most transitions are made of: a session enters the
 * lobby, and a room ends.
 */
import type { LoggedEvent, Mode, Status } from "../protocol.ts";
import { reject, type Rejection } from "./rejection.ts";
import { outcomeOf, type Ending } from "./room.ts";
import {
  rememberRoom,
  statusOf,
  type PastRoom,
  type Room,
  type RoomEnd,
  type Session,
} from "./session.ts";
import {
  afterFailure,
  afterSkip,
  isFrequent,
  penaltyRemainingMs,
  type SkipLimits,
} from "./skip-penalty.ts";
import { acceptanceAfter, type RelaxSteps, type Wishes } from "./ticket.ts";

export interface TransitionOptions {
  /** How long two who skipped avoid each other (milliseconds); 0: not at all. */
  skipCooldownMs: number;
  relax: RelaxSteps;
  skipping: SkipLimits;
  /** How long a room has to last (milliseconds) for reports from it to count, unless media flowed for both. */
  voteAfterMs: number;
}

/** What a transition may look at besides the sessions it concerns. */
export interface Surroundings {
  /** The engine's clock (epoch milliseconds, never steps). */
  readonly now: number;
  /** By how much the wall clock is ahead of it: peers are sent wall-clock times. */
  readonly wallOffsetMs: number;
  readonly options: TransitionOptions;
  /** The lobby before the change. */
  lobby(mode: Mode): LobbyCounts;
  /** `suspended` for a session that must stay out. */
  suspended(session: Session): Rejection | undefined;
}

export interface LobbyCounts {
  waiting: number;
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
  /** Those sessions that become different, whole; at most two. */
  readonly sessions: readonly Session[];
  readonly room: RoomChange | undefined;
  /** In the order in which they are appended; a session that has no log any more is sent none. */
  readonly events: readonly AddressedEvent[];
  readonly avoidances: readonly Avoidance[];
  readonly result: Result;
}

export type RoomChange =
  | { kind: "began"; room: Room; waitedMs: number }
  | { kind: "updated"; room: Room }
  | { kind: "ended"; room: Room; end: RoomEnd };

export interface AddressedEvent {
  sessionId: string;
  event: LoggedEvent;
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
export interface Draft {
  readonly before: readonly [Session, Session | undefined];
  member: Session;
  partner: Session | undefined;
  room: RoomChange | undefined;
  readonly events: AddressedEvent[];
  readonly avoidances: Avoidance[];
  readonly newlyWaiting: string[];
}

export function draftOf(member: Session, partner: Session | undefined): Draft {
  return {
    before: [member, partner],
    member,
    partner,
    room: undefined,
    events: [],
    avoidances: [],
    newlyWaiting: [],
  };
}

export function changeOf<Result>(draft: Draft, result: Result): Change<Result> {
  const { before, member, partner, room, events, avoidances } = draft;
  const sessions: Session[] = [];
  if (member !== before[0]) sessions.push(member);
  if (partner && partner !== before[1]) sessions.push(partner);
  return { sessions, room, events, avoidances, result };
}

export function send(draft: Draft, { id }: Session, event: LoggedEvent): void {
  draft.events.push({ sessionId: id, event });
}

// ---------------------------------------------------------------------------------------------
// Tickets

/** A new version of the session's ticket, with what it accepts by now. Versions seen before become invalid. */
export function withTicket(
  session: Session,
  ticket: { wishes: Wishes; since: number; queuedSince: number },
  { now, options }: Surroundings,
): Session {
  const { wishes, since, queuedSince } = ticket;
  const revision = session.revision + 1;
  const { accepts } = acceptanceAfter(wishes, now - since, options.relax);
  return {
    ...session,
    revision,
    ticket: { sessionId: session.id, wishes, since, queuedSince, accepts, revision },
  };
}

export const renewTicket = (session: Session, around: Surroundings): Session =>
  session.ticket ? withTicket(session, session.ticket, around) : session;

/** The session with a new ticket, and the `lobby` event for it. */
export function enter(
  draft: Draft,
  who: "member" | "partner",
  entry: { wishes: Wishes; place: "kept" | "new" },
  around: Surroundings,
): void {
  const session = draft[who];
  if (!session) return;
  const { wishes, place } = entry;
  const since = around.now;
  const queuedSince = place === "new" ? since : (session.queuedSince ?? since);
  const entered = withTicket(
    { ...session, wishes, queuedSince },
    { wishes, since, queuedSince },
    around,
  );
  draft[who] = entered;
  draft.newlyWaiting.push(entered.id);
  const { waiting, online, estimateMs } = around.lobby(wishes.mode);
  // The counts are those from before the change.
  const isNewlyOnline = draft.member.present && !draft.before[0].present;
  const added = [draft.member, draft.partner].filter(
    (one) =>
      one?.present &&
      one.ticket?.wishes.mode === wishes.mode &&
      draft.newlyWaiting.includes(one.id),
  );
  send(draft, entered, {
    type: "lobby",
    waiting: waiting + added.length,
    online: online + (isNewlyOnline ? 1 : 0),
    ...(estimateMs !== undefined && { estimateMs }),
  });
}

/** `rate-limited` while the session still has to wait for having skipped too often. */
export function penalized({ skipPenalty }: Session, now: number): Rejection | undefined {
  const retryAfterMs = penaltyRemainingMs(skipPenalty, now);
  return retryAfterMs > 0 ? reject("rate-limited", { retryAfterMs }) : undefined;
}

// ---------------------------------------------------------------------------------------------
// Rooms

/** Reports count from a room in which media flowed for both, or that lasted; not from one that was just made. */
export function earnsVote(room: Room, { now, options }: Surroundings): boolean {
  if (room.mode !== "text" && room.politeConnected && room.impoliteConnected) return true;
  return now - room.since >= options.voteAfterMs;
}

/** The ending that counts: a member whose calls fail again and again is treated as one who skips. */
function effectiveEnding(draft: Draft, room: Room, ending: Ending, now: number): Ending {
  if (ending !== "failed" || room.state !== "connecting") return ending;
  const { penalty, tolerated } = afterFailure(draft.member.skipPenalty, now);
  draft.member = { ...draft.member, skipPenalty: penalty };
  return tolerated ? ending : "skip";
}

/** Ends the member's room. The partner returns to the lobby if it wishes to, and so does the member by the room's table. */
export function endRoom(draft: Draft, room: Room, ending: Ending, around: Surroundings): void {
  const { now, options } = around;
  const { partner } = draft;
  if (!partner) throw new Error("a room has two members");
  const outcome = outcomeOf(room.state, effectiveEnding(draft, room, ending, now));
  const isRejecting = ending === "report" || ending === "block";
  const { id: sessionId } = draft.member;
  draft.room = {
    kind: "ended",
    room,
    end: {
      roomId: room.id,
      sessionId,
      partnerId: partner.id,
      reason: outcome.reason,
      ending,
      lastedMs: now - room.since,
    },
  };
  const votes = earnsVote(room, around);
  const past = (partnerId: string, rejected: boolean): PastRoom => ({
    roomId: room.id,
    partnerId,
    votes,
    rejected,
  });
  let member = rememberRoom({ ...draft.member, room: undefined }, past(partner.id, isRejecting));
  // Getting rid of a partner counts as a skip, by whichever call.
  if (outcome.reason === "skipped" || ending === "leave" || isRejecting)
    member = { ...member, skipPenalty: afterSkip(member.skipPenalty, now, options.skipping) };
  draft.member = member;
  draft.partner = rememberRoom({ ...partner, room: undefined }, past(sessionId, false));
  if (outcome.cooldown && options.skipCooldownMs > 0)
    draft.avoidances.push({ sessionId, otherId: partner.id, until: now + options.skipCooldownMs });

  send(draft, partner, { type: "partner-disconnected", roomId: room.id, reason: outcome.reason });
  if (partner.wishes?.autoRejoin && !around.suspended(partner))
    enter(draft, "partner", { wishes: partner.wishes, place: "kept" }, around);

  const { wishes } = member;
  const rejoins =
    outcome.rejoins === "always" ||
    (outcome.rejoins === "if-wished" && wishes?.autoRejoin === true);
  // A report or block always ends the room; its price is the wait before the next one.
  const isDelayed = isRejecting && penalized(member, now) !== undefined;
  if (rejoins && wishes && !isDelayed && !around.suspended(member)) {
    const place = isRejecting && isFrequent(member.skipPenalty) ? "new" : outcome.place;
    enter(draft, "member", { wishes, place }, around);
  } else {
    draft.member = { ...member, queuedSince: undefined };
    if (isDelayed && rejoins) send(draft, member, { type: "resync", state: { status: "idle" } });
  }
}

/** Takes the member out of lobby and room, because it is suspended. */
export function evictDraft(draft: Draft, around: Surroundings): void {
  const { member } = draft;
  if (statusOf(member) === "idle") return;
  draft.member = { ...member, ticket: undefined };
  if (member.room) endRoom(draft, member.room, "removed", around);
  send(draft, draft.member, { type: "resync", state: { status: "idle" } });
}
