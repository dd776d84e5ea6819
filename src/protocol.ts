/**
 * The wire contract: types and limits of everything that a peer sends and is sent. It imports nothing; the schemas that check
 * what a peer sends are in `rpc/schemas.ts`.
 *
 * Everything travels as tRPC v11 over one WebSocket at `/trpc`; queries and mutations also over HTTP at `/trpc/<name>`. A
 * peer subscribes to `events`, then calls the mutations.
 */

/**
 * The version of this contract, as `site` tells it: a whole number, and another one would break existing clients. What may change within one is
 * in rpc/README.md.
 */
export const protocolVersion = 1;

/** Every field that a peer sends has a bound. Units come last in the names. */
export const limits = {
  /** One WebSocket frame. */
  frameBytesMax: 64 * 1024,
  /** The SDP of an offer or answer; with video browsers make 4–8 KB. */
  sdpBytesMax: 32 * 1024,
  /** One ICE candidate line; real ones are about 150 bytes. */
  candidateBytesMax: 1024,
  /** Candidates of a standing offer, and the bytes of the whole offer as JSON. */
  standingCandidatesMax: 32,
  standingBytesMax: 40 * 1024,
  /** Calls in one WebSocket batch. */
  batchCallsMax: 128,
  /** Calls in one HTTP batch. */
  httpBatchCallsMax: 10,
  /** Calls of one socket that run at a time; the rest wait in order. */
  callsInFlightMax: 16,
  /** Subscriptions open on one socket. */
  subscriptionsMax: 4,
  interestsMax: 10,
  /** Characters (code points) of one interest. */
  interestCharsMax: 32,
  languagesMax: 5,
  /** Characters of one language tag. */
  languageCharsMax: 64,
  /** Characters (code points) of one message. */
  messageCharsMax: 2000,
  /** Characters of a mutation id, which the client chooses. */
  mutationIdCharsMax: 64,
  /** Bytes of the solution of a challenge. */
  solutionBytesMax: 4096,
  /** Characters of the version of the rules. */
  rulesVersionCharsMax: 64,
  /** Characters of the label of a hint. */
  hintLabelCharsMax: 64,
  /** How long after a room's end its members can ask to meet again (milliseconds). */
  againMs: 300_000,
  /** Characters of a room's proof. A room that would need more, for all that is shown of its members, has none. */
  proofCharsMax: 32_768,
  /** Characters (code points) of a report's note. */
  noteCharsMax: 500,
  /** Decoded bytes of a report's still: in base64 it fits a frame along with the rest. */
  stillBytesMax: 36_864,
  /** Messages that a report quotes, and bytes of their texts together. */
  quotedMessagesMax: 30,
  quotedBytesMax: 8192,
  /** Events of a session that are kept for resuming, and their bytes. */
  logEventsMax: 256,
  logBytesMax: 256 * 1024,
} as const;

export const modes = ["video", "audio", "text"] as const;
/** Only peers of the same mode are paired. */
export type Mode = (typeof modes)[number];

/**
 * Which way the words of a room take: through the server, by `say`; or from browser to browser, over a data channel that the two
 * open. Rooms for text are `server`, and make no connection at all.
 */
export type Chat = "server" | "direct";

/** Whether a peer sends audio and video. */
export interface Media {
  audio: boolean;
  video: boolean;
}

/** A control character (Unicode's Cc) other than TAB and LF. */
const unfitControl = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/; // oxlint-disable-line no-control-regex

/** A character that can be seen: none of those that leave a text blank. */
export const visibleCharacter = /[^\s\u2800\p{Default_Ignorable_Code_Point}]/u;

/**
 * Whether a text can be sent as a message: 1 to `limits.messageCharsMax` code points of well-formed Unicode, not blank, and no control
 * characters but TAB and LF. Bidirectional formatting characters pass: whoever shows a text must isolate it.
 */
export function isMessageText(text: string): boolean {
  // A code point has at most two code units.
  if (text.length > 2 * limits.messageCharsMax || !visibleCharacter.test(text)) return false;
  if (text.length > limits.messageCharsMax && [...text].length > limits.messageCharsMax)
    return false;
  return !unfitControl.test(text) && text.isWellFormed();
}

/** A fact: a value of `one`, values of a `set`, a number of a `range`, or a `flag`. */
export type FactValue = string | readonly string[] | number | boolean;
export type Facts = Readonly<Record<string, FactValue>>;

/**
 * What a peer has to do before it may join; it calls `join` again with the `solution`, and with `agreed` for the kind `rules`. The
 * kind says what the other fields are.
 */
export interface Challenge {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** What a page shows once, before the first search. */
export interface Rules {
  /** What `join` is told as `agreed`, at most `limits.rulesVersionCharsMax` characters; another one with each change. */
  readonly version: string;
  readonly text?: string;
  /** Where the whole text is. */
  readonly url?: string;
  /** The least age in years, which is asked for, too; absent: any. */
  readonly age?: number;
  /** Whether `join` is refused without them. */
  readonly required: boolean;
}

/** A classifier's word about the peer's own camera. */
export interface Hint {
  readonly label: string;
  /** From 0 to 1. */
  readonly score: number;
}

/** Why a partner is reported: a closed list, so that it can be counted and carries no message. */
export const reportReasons = ["nudity", "harassment", "hate", "minor", "spam", "other"] as const;
export type ReportReason = (typeof reportReasons)[number];

/** Why somebody was warned or suspended: what most of the reports said, or else the operator's own decision. */
export const sanctionReasons = [...reportReasons, "operator"] as const;
export type SanctionReason = (typeof sanctionReasons)[number];

/** What is told of a suspension. */
export interface SuspensionNotice {
  /** Epoch milliseconds. */
  until?: number;
  because?: SanctionReason;
  /** Names the decision, for whoever objects to it. */
  caseId?: string;
  /** Where to object: a URL or a text, as the operator has set it. */
  appeal?: string;
}

export const caseDecisions = ["none", "warned", "suspended"] as const;

/** The result of `case`: what was decided of a report, and when (epoch milliseconds); neither as long as nothing was. */
export interface CaseAnswer {
  decision?: (typeof caseDecisions)[number];
  at?: number;
}

/** One message of a room as a reporter quotes it. */
export interface QuotedMessage {
  from: "me" | "partner";
  text: string;
  /** Epoch milliseconds. */
  at: number;
}

/** What a reporter shows an operator. */
export interface Evidence {
  /** A picture of the partner: a JPEG in base64, without a `data:` prefix. */
  still?: string | undefined;
  /** The oldest first. */
  messages?: QuotedMessage[] | undefined;
}

// ---------------------------------------------------------------------------------------------
// What a peer sends (see `rpc/schemas.ts` for the inputs of the procedures)

/** An RTCIceCandidateInit (W3C WebRTC, 4.8). `candidate: ""` ends a generation and is relayed like any other. */
export interface Candidate {
  candidate: string;
  sdpMid?: string | null | undefined;
  sdpMLineIndex?: number | null | undefined;
  usernameFragment?: string | null | undefined;
}

/** An offer that a peer leaves while it waits, for whoever is paired with it: the description, and the candidates found so far. */
export interface StandingOffer {
  sdp: string;
  candidates: Candidate[];
}

// ---------------------------------------------------------------------------------------------
// What a peer is sent

/** An RTCIceServer (W3C WebRTC, 4.2.5). */
export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

/** What `iceServers` answers. */
export interface IceAnswer {
  iceServers: IceServer[];
  /** All rooms are. */
  relayOnly?: true;
  /** Milliseconds after which others are to be asked for, while the credentials are not in use. */
  renewAfterMs?: number;
}

/** What both members are sent about their room. */
export interface RoomTerms {
  /** Opaque, with 128 random bits. Every signal names it, so that none reaches another room. */
  roomId: string;
  /** The role in perfect negotiation (W3C WebRTC, 10.7): the impolite peer makes the offer and wins a glare. */
  polite: boolean;
  /** Use `iceTransportPolicy: 'relay'`. */
  relayOnly: boolean;
  /** The interests that both named, normalised. */
  sharedInterests: string[];
  /** Which media may be sent: an offer or answer with others is refused as `wrong-mode`, and in a room for text each signal. */
  mode: Mode;
  chat: Chat;
  /** What the partner sends; at first all that the mode allows. */
  media: Media;
  /** What is known of the partner, of what the operator shows; `{}` without any. */
  partnerFacts: Facts;
  /**
   * Proves to the server that this peer is in the room, for `connected` once the server or the partner was away: opaque, of no use to anybody
   * else, and valid for a day.
   */
  proof: string;
}

export type Status = "idle" | "waiting" | "paired";

/** The result of every mutation that may change a peer's status. */
export interface StatusAnswer {
  status: Status;
}

/** What `standby` is answered: whether the offer is kept, to be sent to whoever is paired with the peer. */
export interface Kept {
  kept: boolean;
}

/** What a signal or a message is answered: whether the partner is sent it. */
export interface Delivered {
  delivered: boolean;
}

/** The result of `stats`: the counts of one lobby. */
export interface Stats {
  /** Sessions with an open stream; of a lobby those that have joined it last, whether they wait, are in a room, or neither. */
  online: number;
  waiting: Record<Mode, number>;
  rooms: Record<Mode, number>;
}

/** The state of a peer. Times are epoch milliseconds of the server's clock. */
export type PeerState<Ice = { iceServers: IceServer[] }> =
  | { status: "idle" }
  | { status: "waiting"; since: number }
  | ({ status: "paired"; partner: "here" } & RoomTerms & Ice)
  | ({ status: "paired"; partner: "reconnecting"; deadline: number } & RoomTerms & Ice);

/** The path of a room's media: between the two browsers, or through a TURN server of either. */
export const callPaths = ["direct", "relayed"] as const;
export type CallPath = (typeof callPaths)[number];

export const endReasons = ["left", "skipped", "lost", "connect-failed", "removed"] as const;
/** Why a room has ended, as the partner is sent it. */
export type EndReason = (typeof endReasons)[number];

/** A signal: relayed from one member of a room to the other one only. */
export type Signal =
  | { type: "offer"; roomId: string; sdp: string }
  | { type: "answer"; roomId: string; sdp: string }
  | { type: "add-ice-candidate"; roomId: string; candidate: Candidate };

/** A text of the partner's, sent through the server. `at`: when the server received it (epoch milliseconds). */
export interface Message {
  type: "message";
  roomId: string;
  text: string;
  at: number;
}

/**
 * Everything a peer is sent, discriminated by `type`. What is secret or short-lived is added when an event is sent, and never
 * kept: `Token` in `session`, `Ice` wherever a room is described.
 */
export type PeerEvent<Token = { token: string }, Ice = { iceServers: IceServer[] }> =
  /** The session's token and state: the first event of every stream. */
  | ({ type: "session"; resumed: boolean; state: PeerState<Ice> } & Token)
  /** The peer waits for a partner. Sent once on entering the lobby. */
  | { type: "lobby"; waiting: number; online: number; estimateMs?: number }
  /** Paired: this peer makes the offer. `standing`: the partner has got its standing offer, which it answers. */
  | ({ type: "create-offer"; standing?: true } & RoomTerms & { polite: false } & Ice)
  /** Paired: the partner makes the offer, or has left it already: then it is to be answered at once. */
  | ({ type: "wait-for-offer"; offer?: StandingOffer } & RoomTerms & { polite: true } & Ice)
  | Signal
  | Message
  /** The partner types, or has stopped. Holds for 6 s, and until its next message. */
  | { type: "typing"; roomId: string; typing: boolean }
  /** What the partner sends from now on. */
  | ({ type: "partner-media"; roomId: string } & Media)
  /** The partner's connection dropped; it has until `deadline` (epoch milliseconds). */
  | { type: "partner-reconnecting"; roomId: string; deadline: number }
  | { type: "partner-reconnected"; roomId: string }
  /** The room has ended. */
  | { type: "partner-disconnected"; roomId: string; reason: EndReason }
  /** This peer was reported, and what comes next is a suspension. Sent once. */
  | { type: "warning"; because: SanctionReason; caseId?: string }
  /** Missed events can't be replayed: start from this state. `suspended`: it is idle because of that. */
  | { type: "resync"; state: PeerState<Ice>; suspended?: SuspensionNotice };

/** An event as the log keeps it: without what is added when it is sent. */
export type LoggedEvent = PeerEvent<unknown, unknown>;

// ---------------------------------------------------------------------------------------------
// How a peer is refused

/** The stable values of `data.reason` in every refusal. */
export const rejectionReasons = [
  "bad-input",
  "not-subscribed",
  "not-in-room",
  "unauthorized",
  "taken-over",
  "rate-limited",
  "suspended",
  "relay-unavailable",
  "wrong-mode",
  "wrong-protocol",
  "challenge",
  "draining",
  "unavailable",
] as const;
export type RejectionReason = (typeof rejectionReasons)[number];

/** The fields of `error.data` besides tRPC's own. */
export interface RejectionFields extends SuspensionNotice {
  reason?: RejectionReason;
  /** The input's field that is wrong, as a dotted path (`candidate.sdpMid`); with `bad-input`. */
  field?: string;
  /** Milliseconds after which trying again makes sense. */
  retryAfterMs?: number;
  until?: number;
  /** What to do before calling `join` again; with `challenge`. */
  challenge?: Challenge;
}
