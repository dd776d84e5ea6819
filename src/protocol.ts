/**
 * The whole wire language: what a peer may send, what it is told, and how large each thing may be.
 *
 * Everything travels as tRPC v11 over one WebSocket at `/trpc`; queries and mutations also over HTTP
 * at `/trpc/<name>`. A peer subscribes to `events`, then calls the mutations. Schemas and types only.
 */
import { z } from "zod";

/** Constants of the language: every field a peer sends has a bound. Units come last in the names. */
export const limits = {
  /** One WebSocket frame, whole. */
  frameBytesMax: 64 * 1024,
  /** An offer or answer; browsers make 4–8 KB with video. */
  sdpBytesMax: 32 * 1024,
  /** One ICE candidate line; real ones are about 150 bytes. */
  candidateBytesMax: 1024,
  /** Calls in one WebSocket batch. */
  batchCallsMax: 128,
  /** Calls in one HTTP batch. */
  httpBatchCallsMax: 10,
  /** Calls of one socket in work at a time; the rest wait in order. */
  callsInFlightMax: 16,
  /** Subscriptions open on one socket. */
  subscriptionsMax: 4,
  interestsMax: 10,
  /** Characters (code points) of one interest. */
  interestCharsMax: 32,
  languagesMax: 5,
  /** Characters of one language tag. */
  languageCharsMax: 64,
  /** Characters of a client-made mutation id. */
  mutationIdCharsMax: 64,
  /** Events kept for a session that comes back, and their bytes. */
  logEventsMax: 256,
  logBytesMax: 256 * 1024,
} as const;

export const modes = ["video", "audio", "text"] as const;
/** Peers meet only peers of the same mode. */
export type Mode = (typeof modes)[number];

/** Why somebody is reported: a closed list, so that it can be counted and can carry no message. */
export const reportReasons = ["nudity", "harassment", "hate", "minor", "spam", "other"] as const;
export type ReportReason = (typeof reportReasons)[number];

// ---------------------------------------------------------------------------------------------
// What a peer sends

/**
 * Any string that a peer sends: well-formed Unicode. A lone surrogate can be written in JSON but not in UTF-8
 * (RFC 8259, 8.2), so that two parsers of the same text would disagree about it.
 */
export const wireString = () =>
  z.string().refine((text) => text.isWellFormed(), "must be well-formed Unicode");

const utf8 = new TextEncoder();

/** A string of at most `bytes` bytes of UTF-8; the cheap test settles all but the near misses. */
const bounded = (bytes: number) =>
  wireString().refine((text) => text.length * 3 <= bytes || utf8.encode(text).length <= bytes, {
    message: `must be at most ${bytes} bytes`,
  });

const mutationId = wireString().min(1).max(limits.mutationIdCharsMax).optional();
const roomId = wireString().min(1).max(64);

const interest = wireString()
  .regex(/\S/, "must not be blank")
  .max(limits.interestCharsMax * 2)
  .refine((text) => [...text].length <= limits.interestCharsMax, {
    message: `must be at most ${limits.interestCharsMax} characters`,
  });

/** A BCP 47 language tag; only its primary subtag counts in matching. One that can't be read is left out. */
const language = wireString().max(limits.languageCharsMax);

/** `join`: enter the lobby with these wishes; while waiting, replace them and keep the place. */
export const joinInput = z
  .strictObject({
    id: mutationId,
    interests: z.array(interest).max(limits.interestsMax).default([]),
    languages: z.array(language).max(limits.languagesMax).default([]),
    mode: z.enum(modes).default("video"),
    /** Hide both peers' addresses from each other: media goes through TURN only. */
    relayOnly: z.boolean().default(false),
    /** Back to the lobby by itself when the partner goes. */
    autoRejoin: z.boolean().default(true),
  })
  .prefault({});

/** `skip`: leave this partner, find a new one. Names the room it means, so that a late one hits nobody else. */
export const skipInput = z.strictObject({ id: mutationId, roomId: roomId.optional() }).prefault({});

/** `leave`: out of lobby or room. */
export const leaveInput = z.strictObject({ id: mutationId }).prefault({});

/** `offer`, `answer`: the SDP's text (RFC 8829), relayed as it is. */
export const descriptionInput = z.strictObject({
  id: mutationId,
  roomId,
  sdp: bounded(limits.sdpBytesMax).min(1),
});

/**
 * An RTCIceCandidateInit (W3C WebRTC, 4.8). `candidate: ""` ends a generation and is relayed like any other.
 */
export interface Candidate {
  candidate: string;
  sdpMid?: string | null | undefined;
  sdpMLineIndex?: number | null | undefined;
  usernameFragment?: string | null | undefined;
}

export const candidateInit = z.strictObject({
  candidate: bounded(limits.candidateBytesMax),
  sdpMid: wireString().max(64).nullish(),
  sdpMLineIndex: z.int().min(0).max(0xffff).nullish(),
  usernameFragment: wireString().max(256).nullish(),
});

/** `addIceCandidate` */
export const candidateInput = z.strictObject({ id: mutationId, roomId, candidate: candidateInit });

/** `connected`, `failed`: the browser's verdict on the media path. */
export const verdictInput = z.strictObject({ id: mutationId, roomId });

/** `report`, `block`: only somebody one was paired with, now or in one of the last few rooms. */
export const reportInput = z.strictObject({
  id: mutationId,
  roomId,
  reason: z.enum(reportReasons).optional(),
});

/** `iceServers`, `stats` */
export const noInput = z.strictObject({}).prefault({});

/** `events`: the last id received, to go on from there. tRPC's client fills it in by itself. */
export const eventsInput = z
  .strictObject({ lastEventId: wireString().max(128).optional() })
  .prefault({});

// ---------------------------------------------------------------------------------------------
// What a peer is told

/** An RTCIceServer (W3C WebRTC, 4.2.5). */
export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

/** What both roles are told about their room. */
export interface RoomTerms {
  /** 128 random bits; the fence for every signal. */
  roomId: string;
  /** Perfect negotiation's role: the impolite peer makes the offer and wins a glare. */
  polite: boolean;
  /** Use `iceTransportPolicy: 'relay'`. */
  relayOnly: boolean;
  /** The wishes that both named, normalised. */
  sharedInterests: string[];
  /** Which media may be sent: an offer or answer with others is refused as `wrong-mode`. */
  mode: Mode;
}

export type Status = "idle" | "waiting" | "paired";

/** The answer of whatever may change where a peer stands. */
export interface StatusAnswer {
  status: Status;
}

/** The answer of `stats`. */
export interface Stats {
  /** Sessions with an open stream. */
  online: number;
  waiting: Record<Mode, number>;
  rooms: Record<Mode, number>;
}

/** Where a peer stands. Times are epoch milliseconds of the server's clock. */
export type PeerState<Ice = { iceServers: IceServer[] }> =
  | { status: "idle" }
  | { status: "waiting"; since: number }
  | ({ status: "paired"; partner: "here" } & RoomTerms & Ice)
  | ({ status: "paired"; partner: "reconnecting"; deadline: number } & RoomTerms & Ice);

export const endReasons = ["left", "skipped", "lost", "connect-failed", "removed"] as const;
/** Why a room has ended, as the partner is told. */
export type EndReason = (typeof endReasons)[number];

/** A signal: relayed from one member of a room to the other, and to nobody else. */
export type Signal =
  | { type: "offer"; roomId: string; sdp: string }
  | { type: "answer"; roomId: string; sdp: string }
  | { type: "add-ice-candidate"; roomId: string; candidate: Candidate };

/**
 * Everything a peer is told, discriminated by `type`. What is secret or short-lived is put in at the
 * moment of sending and never kept: `Token` in `session`, `Ice` wherever a room is described.
 */
export type PeerEvent<Token = { token: string }, Ice = { iceServers: IceServer[] }> =
  /** Who you are and where you stand. The first event on every stream. */
  | ({ type: "session"; resumed: boolean; state: PeerState<Ice> } & Token)
  /** You wait for a partner. Told once on entering. */
  | { type: "lobby"; waiting: number; online: number; estimateMs?: number }
  /** Paired: you make the offer. */
  | ({ type: "create-offer" } & RoomTerms & { polite: false } & Ice)
  /** Paired: the partner makes the offer. */
  | ({ type: "wait-for-offer" } & RoomTerms & { polite: true } & Ice)
  | Signal
  /** The partner's connection dropped; it has until `deadline` (epoch milliseconds). */
  | { type: "partner-reconnecting"; roomId: string; deadline: number }
  | { type: "partner-reconnected"; roomId: string }
  /** The room has ended. */
  | { type: "partner-disconnected"; roomId: string; reason: EndReason }
  /** What you missed can't be replayed: start from this state. */
  | { type: "resync"; state: PeerState<Ice> };

/** An event as the log keeps it: without what is put in when it is sent. */
export type LoggedEvent = PeerEvent<unknown, unknown>;

// ---------------------------------------------------------------------------------------------
// What a peer is refused

/** The stable words in `data.reason` of every refusal. */
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

/** What `error.data` carries beside tRPC's own fields. */
export interface RejectionFields {
  reason?: RejectionReason;
  /** The input's field that is wrong, as a dotted path (`candidate.sdpMid`); with `bad-input`. */
  field?: string;
  /** Milliseconds after which trying again makes sense. */
  retryAfterMs?: number;
  /** Epoch milliseconds; with `suspended`. */
  until?: number;
}
