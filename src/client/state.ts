/** The public states, events and errors of a peer stream. */
import type {
  Challenge,
  Chat,
  EndReason,
  Facts,
  Media,
  Mode,
  RejectionReason,
  SanctionReason,
} from "../protocol.ts";

/** How good a call is: see the documentation of the client. */
export type Quality = "good" | "fair" | "poor";

/**
 * Why this peer is idle without having called `stop()`. `cause` is what was thrown or received: tRPC's error with all that
 * the server sent, the browser's exception, a close event, or a response.
 */
export type PeerStreamError =
  /** Another tab has taken the session over; `start()` takes it back. */
  | { kind: "taken-over"; cause: unknown }
  /** The server refused, with one of the `rejectionReasons`. */
  | {
      kind: "rejected";
      reason: RejectionReason;
      message: string;
      cause: unknown;
      /** The invalid field of the input; with `bad-input`. */
      field?: string;
      /** Milliseconds after which a retry makes sense. */
      retryAfterMs?: number;
      /** Epoch milliseconds; with `suspended`, as the following ones. */
      until?: number;
      /** A reason of reports, or `operator`. */
      because?: SanctionReason;
      /** Names the decision, for whoever objects to it. */
      caseId?: string;
      /** Where to object: a URL or a text, if the operator says so. */
      appeal?: string;
      /** What is asked for; with `challenge`. For the kind `rules`: show them, and `start` with `agreed`. */
      challenge?: Challenge;
    }
  /** The server failed for a reason that it does not reveal. */
  | { kind: "server-fault"; message: string; cause: unknown }
  /** `what` is missing or switched off in this environment. Nothing was sent to the server. */
  | { kind: "unsupported"; what: "WebSocket" | "WebRTC"; message: string; cause: unknown }
  /** The browser threw while a call was set up, for example for invalid ICE servers. The partner was notified at once. */
  | { kind: "call-setup"; message: string; cause: unknown }
  /** The server does not accept pages of this origin: it has to be added to the server's CORS_ORIGIN. */
  | { kind: "origin-not-allowed"; origin: string; message: string; cause: unknown }
  /** No Peer Stream server responds at `url`. `status` is the HTTP status, if known. */
  | { kind: "wrong-url"; url: string; status?: number; message: string; cause: unknown }
  /** The server closed the socket with a code that forbids reconnecting (4500–4999). */
  | { kind: "turned-away"; code: number; message: string; cause: unknown }
  /** `close()` was called before. */
  | { kind: "closed"; message: string; cause: unknown };

/**
 * Why the last room ended, if this peer did not end it itself: the reason that the server sent, or `media-lost` when the
 * media path broke and could not be restored.
 */
export type RoomEnd = EndReason | "media-lost";

/** The last room, while its two members can ask to meet again: until then, in epoch milliseconds of this peer's clock. */
export interface PastRoom {
  roomId: string;
  until: number;
}

/** What is being restored while the room continues. */
type Missing = "signaling" | "partner" | "media";

/** The state of a peer, discriminated by `status`. Times are epoch milliseconds. */
export type PeerStreamState =
  | ({ status: "idle"; error?: PeerStreamError; ended?: RoomEnd; again?: PastRoom } & Sending)
  | (ActiveState &
      Sending & {
        /**
         * The server is reached over plain HTTP, because this network cuts WebSockets; absent while it is over a WebSocket.
         * Nothing else differs. For diagnostics, not for users.
         */
        transport?: "http";
      });

interface Sending {
  /**
   * `screen`: the picture of a screen is sent. `none`: the page has chosen to send nothing, or what it chose has ended. Absent: what the page
   * has chosen is sent, at first what the camera gives.
   */
  source?: "screen" | "none";
}

type ActiveState =
  | {
      status: "waiting";
      since: number;
      /** Peers in the lobby of this mode, and all that are online; absent until the server has sent them. */
      waiting?: number;
      online?: number;
      estimateMs?: number;
      /** Why the previous room ended; absent if this peer ended it, or there was none. */
      ended?: RoomEnd;
      /** Of which room `again()` is possible; absent once it was called, and after a report or block. */
      again?: PastRoom;
    }
  | {
      status: "connecting";
      roomId: string;
      sharedInterests: string[];
      /** What is known of the partner, of what the operator shows; `{}` without any. */
      partnerFacts: Facts;
      mode: Mode;
      /** Which way chat messages take: through the server, or over the data channel of the call. */
      chat: Chat;
    }
  | {
      status: "connected";
      roomId: string;
      sharedInterests: string[];
      partnerFacts: Facts;
      mode: Mode;
      chat: Chat;
      /** Absent in a room for text, where no connection is made. */
      remote?: MediaStream;
      /**
       * Whether the partner sends audio and video, and has not turned it off; absent in a room for text. Without video the last frame remains
       * visible, or none was ever received.
       */
      partnerMedia?: Media;
      /** How good the call is; absent in its first seconds, and in a room for text. */
      quality?: Quality;
      /**
       * The server has lost this room: it was restarted, or one of the two peers could not reach it for longer than its
       * grace. The call continues without the server, until a peer leaves or the media path breaks.
       */
      orphaned?: true;
    }
  | {
      status: "reconnecting";
      what: Missing;
      /** Absent without a room (the connection dropped in the lobby). */
      roomId?: string;
      sharedInterests?: string[];
      partnerFacts?: Facts;
      mode?: Mode;
      chat?: Chat;
      /** Still contains what arrives. */
      remote?: MediaStream;
      partnerMedia?: Media;
      /** When the partner's grace expires; with `what: "partner"`. */
      deadline?: number;
      /** Why the previous room ended; without a room. */
      ended?: RoomEnd;
      /** As while waiting; without a room. */
      again?: PastRoom;
    };

/** What happens besides the states. */
export type PeerStreamEvent =
  /**
   * A chat message in either direction. `at` is epoch milliseconds, of the server's clock for one that the server has relayed from the partner,
   * else of this peer's. `id`: of one that this peer sends through the server, in case it is `chat-undelivered`.
   */
  | { type: "chat"; roomId: string; from: "me" | "partner"; text: string; at: number; id?: number }
  /** A message of this peer's has not reached the partner: the room was over, or the operator has dropped it. */
  | { type: "chat-undelivered"; roomId: string; id: number }
  /** The partner has started to type, or has stopped without sending. */
  | { type: "typing"; roomId: string; typing: boolean }
  /** A message of the partner's application, as `send` was given it. Anything that JSON can express. */
  | { type: "data"; roomId: string; data: unknown }
  /**
   * A source has ended by itself: the user has stopped the screen with the browser's own button, or a track that the page had chosen is over. It
   * is not sent any more; after a screen what was sent before is.
   */
  | { type: "source-ended"; source: "screen" | "stream"; kind: "audio" | "video" }
  /** This peer was reported, and is suspended if that goes on. Comes once. */
  | { type: "warning"; because: SanctionReason; caseId?: string };

/** Whether two states are equal: the same fields with identical values. */
export function sameState(a: PeerStreamState, b: PeerStreamState): boolean {
  const left: Record<string, unknown> = { ...a };
  const right: Record<string, unknown> = { ...b };
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].every((key) => left[key] === right[key]);
}
