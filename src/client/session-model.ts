/**
 * The session model: what the page wants, what the server last reported, and how the current call is doing.
 *
 * The model is an immutable value. `updateSession` computes the next one from an input, and `deriveState` computes the
 * public state from it. There is no clock, timer, DOM or WebRTC here: times are arguments, and `remote` is an opaque
 * reference.
 */
import {
  limits,
  type CallPath,
  type Challenge,
  type Chat,
  type Facts,
  type IceServer,
  type Media,
  type Mode,
  type QuotedMessage,
  type RoomTerms,
  type StandingOffer,
} from "../protocol.ts";
import type { Mutation, MutationName } from "./mutations.ts";
import type { PastRoom, PeerStreamError, PeerStreamState, RoomEnd, Quality } from "./state.ts";
import type { TransportKind } from "./transport.ts";
import type { Wishes } from "./types.ts";

/** The moment at which an input is processed. */
export interface Time {
  /** Wall clock, in epoch milliseconds: for what the page shows. */
  readonly nowMs: number;
  /** Monotonic clock, in milliseconds: for durations. */
  readonly elapsedMs: number;
}

/** What `create-offer`, `wait-for-offer` and a `paired` state contain. Servers of earlier versions send neither `media` nor `proof`. */
export type Room = Omit<RoomTerms, "media" | "proof"> & { media?: Media; proof?: string } & {
  iceServers: IceServer[];
  offer?: StandingOffer;
  standing?: true;
};

/** What the server reports about the lobby. */
export type Lobby = Omit<
  Extract<PeerStreamState, { status: "waiting" }>,
  "status" | "ended" | "again" | "transport"
>;

/** The call with the current partner. */
export interface CallModel {
  readonly roomId: string;
  readonly sharedInterests: string[];
  readonly partnerFacts: Facts;
  readonly mode: Mode;
  /** Which way chat messages and typing indicators take. */
  readonly chat: Chat;
  /** What the partner sends; absent in a room without a connection between the two, where all that they say goes through the server. */
  readonly remote: MediaStream | undefined;
  /** Whether the media path has ever connected; without a connection always. */
  readonly established: boolean;
  /** The media path when it connected, as far as the browser told it. */
  readonly path?: CallPath | undefined;
  /** The media path is broken and is being restored. */
  readonly interrupted: boolean;
  /** The partner has closed the data channel. */
  readonly hungUp: boolean;
  /**
   * The server has no room for this call any more, because it restarted or because one of the two peers was away for too long. The call
   * continues peer to peer, and the room exists again once both have presented their `proof`.
   */
  readonly orphaned: boolean;
  /** Proves to the server that this peer is in the room; absent or empty where the server makes none. */
  readonly proof: string | undefined;
  /** Epoch milliseconds by which a disconnected partner must reconnect to the server. */
  readonly partnerDeadline: number | undefined;
  /** What this peer sends, once that was not all that the mode allows. */
  readonly ownMedia: Media | undefined;
  /** What the partner sends, as the server says; absent without a connection, and of a server that does not say it. */
  readonly partnerMedia: Media | undefined;
  /** As last judged. */
  readonly quality: Quality | undefined;
  /** When the two were paired, by the monotonic clock. */
  readonly pairedAtMs: number;
  /** When the media path first connected, by the monotonic clock. */
  readonly connectedAtMs: number | undefined;
}

/** A mutation that has been enqueued and has no final answer yet. Signals are not tracked here. */
export interface PendingMutation {
  /** Identifies the mutation in the inputs that report its result. */
  readonly key: number;
  readonly mutation: Mutation;
  /** The page's `report()` or `block()` call that waits for the result. */
  readonly request: number | undefined;
}

/** The server wants a challenge to be solved before a `join`. */
export type RefusedByChallenge = Extract<PeerStreamError, { kind: "rejected" }> & {
  challenge: Challenge;
};

export interface SessionModel {
  /** `close()` has been called. */
  readonly closed: boolean;
  /** Whether the page wants a partner. */
  readonly wanted: boolean;
  readonly wishes: JoinWishes;
  /** The wishes have changed since the last `join`. */
  readonly wishesDirty: boolean;
  /**
   * The event stream: `none` before its first event and after its end, `connected` since a `session` event, `lost` while
   * it is reconnecting.
   */
  readonly signaling: "none" | "connected" | "lost";
  /** Over which the events arrive. */
  readonly transport: TransportKind;
  /** The stream is new and has not delivered `session` yet. That event may describe the state of an earlier page. */
  readonly newStream: boolean;
  /** This peer waits in the lobby, according to the server. */
  readonly hasTicket: boolean;
  /** The room that this peer is in, according to the server. */
  readonly serverRoom: string | undefined;
  /** The most recent room, for a report that is made after its end. */
  readonly lastRoom: string | undefined;
  /** The last messages of that room, as a report can quote them; the oldest first. */
  readonly messages: readonly QuotedMessage[];
  /** A room shared with another peer on the same page, until the server ends it. */
  readonly samePageRoom: string | undefined;
  readonly lobby: Lobby;
  readonly error: PeerStreamError | undefined;
  /** Why the previous room ended. */
  readonly ended: RoomEnd | undefined;
  /** The last room, if this peer can ask to meet its partner again. */
  readonly again: PastRoom | undefined;
  /** It has asked to meet somebody again, so the server may put it into a room although no partner is wanted. */
  readonly asksAgain: boolean;
  /** The refusal whose challenge is being solved: a `join` follows. */
  readonly solving: RefusedByChallenge | undefined;
  /** For the next `join`. */
  readonly solution: string | undefined;
  /** Challenges since the last `join` that was carried out. */
  readonly challenges: number;
  /** When the search for a partner began, by the monotonic clock. */
  readonly searchingSinceMs: number;
  readonly call: CallModel | undefined;
  /** Where what is sent comes from, if that is to be shown. */
  readonly source: PeerStreamState["source"];
  /** In the order in which they were enqueued. */
  readonly pending: readonly PendingMutation[];
  readonly nextKey: number;
}

/** The model of an idle peer. */
export function createSessionModel({ nowMs, elapsedMs }: Time): SessionModel {
  return {
    closed: false,
    wanted: false,
    wishes: withDefaults({}),
    wishesDirty: false,
    signaling: "none",
    transport: "websocket",
    newStream: false,
    hasTicket: false,
    serverRoom: undefined,
    lastRoom: undefined,
    messages: [],
    samePageRoom: undefined,
    lobby: { since: nowMs },
    error: undefined,
    ended: undefined,
    again: undefined,
    asksAgain: false,
    solving: undefined,
    solution: undefined,
    challenges: 0,
    searchingSinceMs: elapsedMs,
    call: undefined,
    source: undefined,
    pending: [],
    nextKey: 0,
  };
}

/** What `join` is sent. Without lobby, facts and wants it is in the form that the server reads fastest. */
type Optional = "lobby" | "facts" | "wants" | "agreed";
type JoinWishes = Required<Omit<Wishes, Optional>> & Pick<Wishes, Optional>;

/** Fills in the defaults of the `join` mutation. */
export function withDefaults(wishes: Wishes): JoinWishes {
  const { lobby, facts, wants, agreed } = wishes;
  return {
    interests: wishes.interests ?? [],
    languages: wishes.languages ?? [],
    mode: wishes.mode ?? "video",
    relayOnly: wishes.relayOnly ?? false,
    autoRejoin: wishes.autoRejoin ?? true,
    ...(lobby !== undefined && { lobby }),
    ...(facts && { facts }),
    ...(wants && { wants }),
    ...(agreed !== undefined && { agreed }),
  };
}

/** The last messages with one more, as many as the server takes in a report. */
export function withMessage(
  messages: readonly QuotedMessage[],
  message: QuotedMessage,
): readonly QuotedMessage[] {
  const last = [...messages, message].slice(-limits.quotedMessagesMax);
  let bytes = 0;
  const first = last.findLastIndex(({ text }) => {
    bytes += new TextEncoder().encode(text).length;
    return bytes > limits.quotedBytesMax;
  });
  return last.slice(first + 1);
}

/** The public state. */
export function deriveState(model: SessionModel): PeerStreamState {
  const { source, transport } = model;
  const state = { ...deriveStatus(model), ...(source && { source }) };
  return state.status === "idle" || transport === "websocket" ? state : { ...state, transport };
}

function deriveStatus(model: SessionModel): PeerStreamState {
  const { call, lobby, error } = model;
  const isLost = model.signaling === "lost";
  const past = {
    ...(model.ended !== undefined && { ended: model.ended }),
    ...(model.again && { again: model.again }),
  };
  if (call) return deriveCallState(call, isLost);
  if (!model.wanted) return { status: "idle", ...(error && { error }), ...past };
  if (isLost) return { status: "reconnecting", what: "signaling", ...past };
  return { status: "waiting", ...lobby, ...past };
}

function deriveCallState(call: CallModel, isLost: boolean): PeerStreamState {
  const { roomId, sharedInterests, partnerFacts, mode, chat, established, partnerDeadline } = call;
  const room = { roomId, sharedInterests, partnerFacts, mode, chat };
  const received = {
    ...(call.remote && { remote: call.remote }),
    ...(call.partnerMedia && { partnerMedia: call.partnerMedia }),
  };
  const reconnecting = {
    status: "reconnecting",
    ...room,
    ...(established && received),
  } as const;
  if (isLost) return { ...reconnecting, what: "signaling" };
  if (partnerDeadline !== undefined)
    return { ...reconnecting, what: "partner", deadline: partnerDeadline };
  if (!established) return { status: "connecting", ...room };
  if (call.interrupted) return { ...reconnecting, what: "media" };
  const { quality } = call;
  return {
    status: "connected",
    ...room,
    ...received,
    ...(quality && { quality }),
    ...(call.orphaned && { orphaned: true }),
  };
}

/**
 * Whether sending a queued mutation still makes sense. The queue checks this before every transmission, because a
 * mutation may wait for a reconnect while the situation changes.
 */
export function isRelevant(model: SessionModel, mutation: Mutation): boolean {
  switch (mutation.name) {
    case "join":
      // `join` names no room, so it must not be sent late: the next `session` event decides whether to join.
      return model.signaling === "connected" && model.wanted;
    case "connected":
      if (model.call?.orphaned) return model.call.roomId === mutation.input.roomId;
      return model.serverRoom === mutation.input.roomId;
    case "skip":
    case "failed":
      return model.serverRoom === mutation.input.roomId;
    case "again":
      return model.asksAgain;
    case "leave":
    // They name their room, so they are never too late.
    case "hint":
    case "standby":
    case "report":
    case "block":
      return true;
    case "offer":
    case "answer":
    case "addIceCandidate":
    case "say":
      return model.call?.roomId === mutation.input.roomId && !model.call.orphaned;
    case "media":
      // Only the latest counts.
      return isCurrent(model.call, mutation.input);
    case "typing":
      // After a reconnect it would be out of date.
      return model.call?.roomId === mutation.input.roomId && model.signaling === "connected";
    default:
      return mutation satisfies never;
  }
}

function isCurrent(call: CallModel | undefined, told: Media & { roomId: string }): boolean {
  if (call?.roomId !== told.roomId || call.orphaned) return false;
  return call.ownMedia?.audio === told.audio && call.ownMedia.video === told.video;
}

/** The most recently enqueued of these mutations that has no answer yet. */
export function lastPending(
  { pending }: SessionModel,
  ...names: MutationName[]
): MutationName | undefined {
  return pending.findLast(({ mutation }) => names.includes(mutation.name))?.mutation.name;
}

/** Whether the server may have this peer in a lobby or room, or is about to receive a request that puts it there. */
export function isEngaged(model: SessionModel): boolean {
  if (model.closed) return false;
  return (
    model.wanted || model.asksAgain || lastPending(model, "join", "skip", "leave") !== undefined
  );
}
