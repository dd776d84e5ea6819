/**
 * What it does to a session that a stream of it opens, that its last one closes, and that it does not come back: pure functions, as those in
 * transitions.ts.
 */
import type { PeerState } from "../protocol.ts";
import {
  endRoom,
  evictMember,
  finishChange,
  renewTicket,
  send,
  setTicket,
  startChange,
  type Change,
  type Entered,
  type Surroundings,
} from "./change.ts";
import type { Recovery } from "./event-log.ts";
import { lobbyNamed, lobbyOf, mainLobby, withLobby } from "./lobby.ts";
import { proofFor } from "./room-proof.ts";
import { askNoMore, connectFrom, roomTerms, type Session, type SessionDraft } from "./session.ts";
import { defaultWishes } from "./ticket.ts";

export interface Attachment {
  addressHash: string;
  /** The same each time, as the session's token is bound to it. */
  account?: string | undefined;
  /** See `AttachRequest`. */
  lobby?: string | undefined;
  lobbies?: readonly string[] | undefined;
  /** The lowest generation that the session is known to have had. */
  generation: number;
  /** Whether the events after the peer's position can be replayed; `none` if it gave no position. */
  recovery: Recovery | "none";
}

/**
 * A stream opens. Without a position of the living log it takes the session over, and the streams before it end. Sends
 * `session`, and `resync` where the past can't be replayed.
 * @throws for another account than the session has had so far.
 */
export function attach(
  session: Session,
  partner: Session | undefined,
  { addressHash, account, lobby, lobbies, generation, recovery }: Attachment,
  around: Surroundings,
): Change<Entered> {
  const draft = startChange(session, partner);
  const { member, newlyWaiting } = draft;
  // A session that has never been attached is one that was forgotten, and only kept because another one has blocked it.
  if (session.account !== account && (session.generation > 0 || session.account !== undefined))
    throw new Error("a session has been attached with another account than its own");
  member.account = account;
  connectFrom(member, addressHash);
  if (recovery === "none" || recovery === "other-epoch")
    member.generation = Math.max(session.generation, generation) + 1;
  member.present = true;
  member.graceUntil = undefined;
  member.keepUntil = undefined;
  member.lostAt = undefined;
  if (!session.present) {
    renewTicket(member, around);
    if (session.graceUntil !== undefined && session.room && partner)
      send(draft, partner, { type: "partner-reconnected", roomId: session.room.id });
  }
  putInto(member, lobby ?? lobbyAllowed(member, lobbies), around);
  if (around.suspended(member)) evictMember(draft, around);
  const resumed = recovery === "whole";
  const state = stateOf(member, draft.partner ?? partner, around);
  send(draft, member, { type: "session", resumed, state });
  if (!resumed && recovery !== "none") send(draft, member, { type: "resync", state });
  if (member.warning) {
    send(draft, member, member.warning);
    member.warning = undefined;
  }
  if (member.ticket && !newlyWaiting.includes(member.id)) newlyWaiting.push(member.id);
  return finishChange(draft, { newlyWaiting });
}

/** The name of the lobby that the session is in, if it may choose that, or else of the one that is always there. */
function lobbyAllowed(session: Session, lobbies: readonly string[] | undefined): string {
  const lobby = lobbyOf(session) ?? mainLobby;
  return lobbies === undefined || lobbies.includes(lobby) ? lobby : mainLobby;
}

/** A ticket comes along, so that nobody meets it where it was. */
function putInto(member: SessionDraft, name: string, around: Surroundings): void {
  const lobby = lobbyNamed(name);
  if (lobby === lobbyOf(member)) return;
  member.wishes = withLobby(member.wishes ?? defaultWishes, lobby);
  const { ticket } = member;
  if (ticket) setTicket(member, { ...ticket, wishes: withLobby(ticket.wishes, lobby) }, around);
}

/**
 * The last stream has closed, at `since` (epoch milliseconds): room and ticket are kept for the grace, and the room for longer if its partner
 * says that media flows.
 * @param graceMsMax for how long at most.
 */
export function detach(
  session: Session,
  partner: Session | undefined,
  { since, graceMsMax = Number.POSITIVE_INFINITY }: { since: number; graceMsMax?: number },
  around: Surroundings,
): Change<undefined> {
  const draft = startChange(session, partner);
  const { member } = draft;
  const { graceMs, callKeepMs } = around.options;
  const graceUntil = Math.max(around.now, since + Math.min(graceMs, graceMsMax));
  member.present = false;
  member.graceUntil = graceUntil;
  if (callKeepMs > 0) member.keepUntil = since + Math.min(callKeepMs, graceMsMax);
  renewTicket(member, around);
  if (session.room && partner)
    send(draft, partner, {
      type: "partner-reconnecting",
      roomId: session.room.id,
      deadline: graceUntil + around.wallOffsetMs,
    });
  return finishChange(draft, undefined);
}

/** The grace is over: the session leaves lobby and room, and its log ends. */
export function expireGrace(
  session: Session,
  partner: Session | undefined,
  around: Surroundings,
): Change<Entered> {
  const draft = startChange(session, partner);
  const { member, newlyWaiting } = draft;
  member.graceUntil = undefined;
  member.keepUntil = undefined;
  member.presented = undefined;
  member.lostAt = around.now;
  if (member.room) endRoom(draft, member.room, "lost", around);
  askNoMore(member);
  member.ticket = undefined;
  member.queuedSince = undefined;
  return finishChange(draft, { newlyWaiting });
}

/** What a session is told of its state. */
export function stateOf(
  { id, room, ticket }: Session,
  partner: Session | undefined,
  around: Surroundings,
): PeerState<unknown> {
  const { wallOffsetMs, options } = around;
  if (!room)
    return ticket ? { status: "waiting", since: ticket.since + wallOffsetMs } : { status: "idle" };
  const terms = roomTerms(id, room, options.seal?.(proofFor(id, room, around)) ?? "");
  if (partner?.graceUntil === undefined) return { status: "paired", partner: "here", ...terms };
  const deadline = partner.graceUntil + wallOffsetMs;
  return { status: "paired", partner: "reconnecting", deadline, ...terms };
}
