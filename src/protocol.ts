/**
 * The wire contract: types and limits of everything that a peer sends and is sent. It imports nothing; the schemas that check
 * what a peer sends are in `rpc/schemas.ts`.
 *
 * Everything travels as tRPC v11 over one WebSocket at `/trpc`; queries and mutations also over HTTP at `/trpc/<name>`. A
 * peer subscribes to `events`, then calls the mutations.
 */

/** Every field that a peer sends has a bound. Units come last in the names. */
export const limits = {
  /** One WebSocket frame. */
  frameBytesMax: 64 * 1024,
  /** The SDP of an offer or answer; with video browsers make 4–8 KB. */
  sdpBytesMax: 32 * 1024,
  /** One ICE candidate line; real ones are about 150 bytes. */
  candidateBytesMax: 1024,
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
  /** Characters of a mutation id, which the client chooses. */
  mutationIdCharsMax: 64,
  /** How long after a room's end its members can ask to meet again (milliseconds). */
  againMs: 300_000,
  /** Events of a session that are kept for resuming, and their bytes. */
  logEventsMax: 256,
  logBytesMax: 256 * 1024,
} as const;

export const modes = ["video", "audio", "text"] as const;
/** Only peers of the same mode are paired. */
export type Mode = (typeof modes)[number];

/** Why a partner is reported: a closed list, so that it can be counted and carries no message. */
export const reportReasons = ["nudity", "harassment", "hate", "minor", "spam", "other"] as const;
export type ReportReason = (typeof reportReasons)[number];

// ---------------------------------------------------------------------------------------------
// What a peer sends (see `rpc/schemas.ts` for the inputs of the procedures)

/** An RTCIceCandidateInit (W3C WebRTC, 4.8). `candidate: ""` ends a generation and is relayed like any other. */
export interface Candidate {
  candidate: string;
  sdpMid?: string | null | undefined;
  sdpMLineIndex?: number | null | undefined;
  usernameFragment?: string | null | undefined;
}

// ---------------------------------------------------------------------------------------------
// What a peer is sent

/** An RTCIceServer (W3C WebRTC, 4.2.5). */
export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

/** What both members are sent about their room. */
export interface RoomTerms {
  /** 128 random bits. Every signal names it, so that none reaches another room. */
  roomId: string;
  /** The role in perfect negotiation (W3C WebRTC, 10.7): the impolite peer makes the offer and wins a glare. */
  polite: boolean;
  /** Use `iceTransportPolicy: 'relay'`. */
  relayOnly: boolean;
  /** The interests that both named, normalised. */
  sharedInterests: string[];
  /** Which media may be sent: an offer or answer with others is refused as `wrong-mode`. */
  mode: Mode;
}

export type Status = "idle" | "waiting" | "paired";

/** The result of every mutation that may change a peer's status. */
export interface StatusAnswer {
  status: Status;
}

/** The result of `stats`. */
export interface Stats {
  /** Sessions with an open stream. */
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

export const endReasons = ["left", "skipped", "lost", "connect-failed", "removed"] as const;
/** Why a room has ended, as the partner is sent it. */
export type EndReason = (typeof endReasons)[number];

/** A signal: relayed from one member of a room to the other one only. */
export type Signal =
  | { type: "offer"; roomId: string; sdp: string }
  | { type: "answer"; roomId: string; sdp: string }
  | { type: "add-ice-candidate"; roomId: string; candidate: Candidate };

/**
 * Everything a peer is sent, discriminated by `type`. What is secret or short-lived is added when an event is sent, and never
 * kept: `Token` in `session`, `Ice` wherever a room is described.
 */
export type PeerEvent<Token = { token: string }, Ice = { iceServers: IceServer[] }> =
  /** The session's token and state: the first event of every stream. */
  | ({ type: "session"; resumed: boolean; state: PeerState<Ice> } & Token)
  /** The peer waits for a partner. Sent once on entering the lobby. */
  | { type: "lobby"; waiting: number; online: number; estimateMs?: number }
  /** Paired: this peer makes the offer. */
  | ({ type: "create-offer" } & RoomTerms & { polite: false } & Ice)
  /** Paired: the partner makes the offer. */
  | ({ type: "wait-for-offer" } & RoomTerms & { polite: true } & Ice)
  | Signal
  /** The partner's connection dropped; it has until `deadline` (epoch milliseconds). */
  | { type: "partner-reconnecting"; roomId: string; deadline: number }
  | { type: "partner-reconnected"; roomId: string }
  /** The room has ended. */
  | { type: "partner-disconnected"; roomId: string; reason: EndReason }
  /** Missed events can't be replayed: start from this state. */
  | { type: "resync"; state: PeerState<Ice> };

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
  "draining",
  "unavailable",
] as const;
export type RejectionReason = (typeof rejectionReasons)[number];

/** The fields of `error.data` besides tRPC's own. */
export interface RejectionFields {
  reason?: RejectionReason;
  /** The input's field that is wrong, as a dotted path (`candidate.sdpMid`); with `bad-input`. */
  field?: string;
  /** Milliseconds after which trying again makes sense. */
  retryAfterMs?: number;
  /** Epoch milliseconds; with `suspended`. */
  until?: number;
}
