/**
 * A session, its room and its ticket as immutable values: what the transitions read and produce, however an engine
 * stores them.
 */
import type { EndReason, Facts, LoggedEvent, Media, Mode, Status } from "../protocol.ts";
import { networkOf, type Party, type Reporter } from "./moderation.ts";
import type { Ending, RoomState } from "./room.ts";
import type { Conduct } from "./conduct.ts";
import { readRoomId } from "./room-id.ts";
import type { SkipPenalty } from "./skip-penalty.ts";
import type { Ticket, Wishes } from "./ticket.ts";

export interface RoomProof {
  readonly roomId: string;
  /** The member that was sent it: nobody else can present it. */
  readonly sessionId: string;
  readonly partnerId: string;
  readonly polite: boolean;
  /** Of the room. */
  readonly lobby?: string | undefined;
  readonly sharedInterests: readonly string[];
  /** What this member was told of its partner. */
  readonly partnerFacts?: Facts | undefined;
  /** When the room began, and when the proof expires: epoch milliseconds of the wall clock, as it outlives the process. */
  readonly since: number;
  readonly until: number;
}

export interface Session {
  readonly id: string;
  /** The operator's own id of whoever this is; `undefined` for one without an account. Never sent to a peer. */
  readonly account: string | undefined;
  /** Keyed hash of the address it last connected from; `undefined` if it was forgotten and has not come back. */
  readonly addressHash: string | undefined;
  /** Networks it connected from before the present one (see `networkOf`), the latest last; at most 3. */
  readonly earlierNetworks: readonly string[];
  /** Counts take-overs: a caller with a lower number has lost the session to another tab. */
  readonly generation: number;
  /** Whether it has an open stream. */
  readonly present: boolean;
  readonly ticket: Ticket | undefined;
  readonly room: Room | undefined;
  /** What is counted of its standing offer, which an engine keeps beside the session: see standby.ts. */
  readonly standby: Standby | undefined;
  /** The last ones asked for; they outlive ticket and room. */
  readonly wishes: Wishes | undefined;
  /** Epoch milliseconds since which it counts as waiting: kept through rooms that others ended. */
  readonly queuedSince: number | undefined;
  /** The last rooms that ended, the latest last; at most 8. */
  readonly recentRooms: readonly PastRoom[];
  /** Rooms that have ended, and those of them whose other member it reported or blocked. */
  readonly roomCount: number;
  readonly roomsRejected: number;
  readonly skipPenalty: SkipPenalty | undefined;
  /** Only kept where there are lanes. */
  readonly conduct: Conduct | undefined;
  /** When the account has all its intents again (epoch milliseconds: see `TokenBucket`); 0 without an account. */
  readonly intentsFullAt: number;
  /** A warning that it is still to be told: it was absent. Of an account whichever session comes first. */
  readonly warning: WarningEvent | undefined;
  /** Absent, but its room and ticket are kept until then (epoch milliseconds). */
  readonly graceUntil: number | undefined;
  /** How far its grace can be extended by a partner to whom media flows; `undefined` unless it is absent, and without living calls. */
  readonly keepUntil: number | undefined;
  /** The proof of a lost room that it waits in for its partner: see living-calls.ts. */
  readonly presented: RoomProof | undefined;
  /** When its grace expired (epoch milliseconds); `undefined` before that, and once it has come back. */
  readonly lostAt: number | undefined;
  /** Increases with each version of its ticket. */
  readonly revision: number;
}

/** A standing offer counts against the address that its session was connected from. */
export interface Standby {
  /** Of its JSON in UTF-8. */
  readonly bytes: number;
  readonly addressHash: string | undefined;
}

export type WarningEvent = Extract<LoggedEvent, { type: "warning" }>;

/** The two are members, the impolite one makes the offer. A room that changes is another value with the same id. */
export interface Room {
  readonly id: string;
  readonly mode: Mode;
  /** That in which the two met. */
  readonly lobby?: string | undefined;
  readonly politeId: string;
  readonly impoliteId: string;
  readonly relayOnly: boolean;
  readonly sharedInterests: readonly string[];
  /** Epoch milliseconds. */
  readonly since: number;
  readonly state: RoomState;
  /** Whether each member has confirmed that media flows. */
  readonly politeConnected: boolean;
  readonly impoliteConnected: boolean;
  /** When it came to exist again, after it was lost (epoch milliseconds). */
  readonly restoredAt?: number;
  /** What each member's partner is told of it; absent: nothing. */
  readonly politeFacts?: Facts | undefined;
  readonly impoliteFacts?: Facts | undefined;
  /** What each member has said that it sends; absent: nothing yet. */
  readonly politeMedia?: Media | undefined;
  readonly impoliteMedia?: Media | undefined;
}

/** What a member remembers of a room that has ended. */
export interface PastRoom {
  readonly roomId: string;
  readonly partnerId: string;
  readonly partnerAccount?: string | undefined;
  /** Whether a report from it counts: both members confirmed that media flowed, or it lasted. */
  readonly votes: boolean;
  /** Whether this member reported or blocked the other one. */
  readonly rejected: boolean;
  /** Epoch milliseconds. */
  readonly endedAt: number;
  /** It ended because one of the two was away for too long, so it can exist again: see living-calls.ts. */
  readonly lost?: true;
  /** This member asks to meet the other one again: the unguessable part of the id of the room that they would be in. See again.ts. */
  readonly again?: string;
}

/** A room that has ended. */
export interface RoomEnd {
  roomId: string;
  /** The member through which it ended, and the other one. */
  sessionId: string;
  partnerId: string;
  /** What the partner is sent. */
  reason: EndReason;
  /** What the member did, or what happened to it. */
  ending: Ending;
  lastedMs: number;
}

const recentRoomsMax = 8;
const networksMax = 3;

const none: readonly never[] = [];

/** A session without any history. */
export function newSession(
  id: string,
  addressHash: string | undefined,
  account?: string | undefined,
): Session {
  return {
    id,
    account,
    addressHash,
    earlierNetworks: none,
    generation: 0,
    present: false,
    ticket: undefined,
    room: undefined,
    standby: undefined,
    wishes: undefined,
    queuedSince: undefined,
    recentRooms: none,
    roomCount: 0,
    roomsRejected: 0,
    skipPenalty: undefined,
    conduct: undefined,
    intentsFullAt: 0,
    warning: undefined,
    graceUntil: undefined,
    keepUntil: undefined,
    presented: undefined,
    lostAt: undefined,
    revision: 0,
  };
}

/** A session as a transition works on it. It becomes a value when the transition returns. */
export type SessionDraft = { -readonly [Field in keyof Session]: Session[Field] };

/** A copy. Field by field, as that is several times faster than spreading, and keeps the compact shape of a literal. */
export function copyOf(session: Session): SessionDraft {
  return {
    id: session.id,
    account: session.account,
    addressHash: session.addressHash,
    earlierNetworks: session.earlierNetworks,
    generation: session.generation,
    present: session.present,
    ticket: session.ticket,
    room: session.room,
    standby: session.standby,
    wishes: session.wishes,
    queuedSince: session.queuedSince,
    recentRooms: session.recentRooms,
    roomCount: session.roomCount,
    roomsRejected: session.roomsRejected,
    skipPenalty: session.skipPenalty,
    conduct: session.conduct,
    intentsFullAt: session.intentsFullAt,
    warning: session.warning,
    graceUntil: session.graceUntil,
    keepUntil: session.keepUntil,
    presented: session.presented,
    lostAt: session.lostAt,
    revision: session.revision,
  };
}

/**
 * What is known of a person besides what one session is doing. It is the same in all sessions of an account: an engine keeps it with
 * the account, and gives each transition the sessions with what the account has by then.
 */
export type Standing = Pick<
  Session,
  | "earlierNetworks"
  | "roomCount"
  | "roomsRejected"
  | "skipPenalty"
  | "conduct"
  | "intentsFullAt"
  | "warning"
>;

export const newStanding: Standing = newSession("", undefined);

/** The session with the standing of its account, which may be one of its sessions as a whole; the same object if it has that already. */
export function withStanding(session: Session, standing: Standing): Session {
  const { earlierNetworks, roomCount, roomsRejected, skipPenalty } = standing;
  const { conduct, intentsFullAt, warning } = standing;
  const isSame =
    session.earlierNetworks === earlierNetworks &&
    session.roomCount === roomCount &&
    session.roomsRejected === roomsRejected &&
    session.skipPenalty === skipPenalty &&
    session.conduct === conduct &&
    session.intentsFullAt === intentsFullAt &&
    session.warning === warning;
  if (isSame) return session;
  const counts = { roomCount, roomsRejected, skipPenalty, conduct, intentsFullAt };
  return { ...session, ...counts, earlierNetworks, warning };
}

/**
 * Who avoids and is avoided: the account, where there is one, in all its sessions, which are never paired with each other. No session's id
 * contains an `@`.
 */
export function personOf({ id, account }: Pick<Session, "id" | "account">): string {
  return account === undefined ? id : `@${account}`;
}

export function statusOf({ room, ticket }: Session): Status {
  if (room) return "paired";
  return ticket ? "waiting" : "idle";
}

export function partnerIdOf(sessionId: string, { politeId, impoliteId }: Room): string {
  return politeId === sessionId ? impoliteId : politeId;
}

/** Whether the room is the session's, or was one of its last few. */
export function knowsRoom({ room, recentRooms }: Session, roomId: string): boolean {
  return room?.id === roomId || recentRooms.some((past) => past.roomId === roomId);
}

/** All that a mode allows: what a member counts as sending until it says otherwise. */
export function mediaIn(mode: Mode): Media {
  return { audio: mode !== "text", video: mode === "video" };
}

const noFacts: Facts = {};

/** What a member is sent about its room; complete but for the ICE servers. @param proof sealed: see room-proof.ts. */
export function roomTerms(sessionId: string, room: Room, proof: string) {
  const polite = room.politeId === sessionId;
  return {
    roomId: room.id,
    polite,
    relayOnly: room.relayOnly,
    sharedInterests: [...room.sharedInterests],
    mode: room.mode,
    chat: readRoomId(room.id).chat,
    media: (polite ? room.impoliteMedia : room.politeMedia) ?? mediaIn(room.mode),
    partnerFacts: (polite ? room.impoliteFacts : room.politeFacts) ?? noFacts,
    proof,
  };
}

/** Adds an ended room to the session's memory. */
export function rememberRoom(session: SessionDraft, past: PastRoom): void {
  session.recentRooms = [...session.recentRooms.slice(1 - recentRoomsMax), past];
  session.roomCount += 1;
  if (past.rejected) session.roomsRejected += 1;
}

/** The session has reported or blocked the other member of an ended room; counted once per room. */
export function rejectPastPartner(session: SessionDraft, roomId: string): void {
  const past = session.recentRooms.find((one) => one.roomId === roomId);
  if (!past || past.rejected) return;
  session.recentRooms = session.recentRooms.map((one) =>
    one === past ? { ...past, rejected: true } : one,
  );
  session.roomsRejected += 1;
}

/** The session no longer asks to meet that one again, or anybody. */
export function askNoMore(session: SessionDraft, partnerId?: string): void {
  const isMeant = (past: PastRoom) =>
    past.again !== undefined && (partnerId === undefined || past.partnerId === partnerId);
  if (!session.recentRooms.some(isMeant)) return;
  session.recentRooms = session.recentRooms.map((past) => {
    if (!isMeant(past)) return past;
    const { again: _, ...unasked } = past;
    return unasked;
  });
}

/** The session has connected from an address. */
export function connectFrom(session: SessionDraft, addressHash: string): void {
  const { account, addressHash: from = "", earlierNetworks } = session;
  const network = networkOf(addressHash);
  session.addressHash = addressHash;
  // An account may be in several networks at once, so its list also has the present ones.
  const added = account === undefined ? networkOf(from) : network;
  const isKnown = account === undefined ? added === network : earlierNetworks.includes(network);
  if (added === "" || isKnown) return;
  const others = earlierNetworks.filter((one) => one !== added && one !== network);
  session.earlierNetworks = [...others, added].slice(-networksMax);
}

export const partyOf = ({ id, addressHash, account }: Session): Party =>
  account === undefined ? { sessionId: id, addressHash } : { sessionId: id, addressHash, account };

/** The session as the author of a report, with all that decides whether the report counts. */
export const reporterOf = (session: Session): Reporter => ({
  ...partyOf(session),
  ...(session.earlierNetworks.length > 0 && { earlierNetworks: session.earlierNetworks }),
  roomCount: session.roomCount,
  roomsRejected: session.roomsRejected,
});
