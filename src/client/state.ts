import type { PartnerMedia } from "./chat.ts";
import type { EndReason, RejectionReason } from "../protocol.ts";

/**
 * Why there is no call and none is looked for, when that was not this peer's own wish. `cause` is what was thrown or
 * received: the error that tRPC threw with all the server sent, the browser's exception, a close event, a response.
 */
export type PeerStreamError =
  /** Another tab has this session now; `start()` takes it back. */
  | { kind: "taken-over"; cause: unknown }
  /** The server refused, in its own stable words (see `rejectionReasons`). */
  | {
      kind: "rejected";
      reason: RejectionReason;
      message: string;
      cause: unknown;
      /** The input's field that is wrong; with `bad-input`. */
      field?: string;
      /** Milliseconds after which trying again makes sense. */
      retryAfterMs?: number;
      /** Epoch milliseconds; with `suspended`. */
      until?: number;
    }
  /** The server failed in a way it does not explain. */
  | { kind: "server-fault"; message: string; cause: unknown }
  /** This is no browser, or one in which `what` is missing or switched off. Nothing was sent to the server. */
  | { kind: "unsupported"; what: "WebSocket" | "WebRTC"; message: string; cause: unknown }
  /** The browser threw while a call was set up, as for ICE servers it can't read. The partner was told at once. */
  | { kind: "call-setup"; message: string; cause: unknown }
  /** The server does not accept pages of this origin: it has to be added to its CORS_ORIGIN. */
  | { kind: "origin-not-allowed"; origin: string; message: string; cause: unknown }
  /** No Peer Stream server answers at `url`. `status` is that of HTTP, as far as it is known. */
  | { kind: "wrong-url"; url: string; status?: number; message: string; cause: unknown }
  /** The server closed the socket with a code that means not to come back (4500–4999). */
  | { kind: "turned-away"; code: number; message: string; cause: unknown }
  /** `close()` was called before. */
  | { kind: "closed"; message: string; cause: unknown };

/**
 * Why the last room ended, as far as this peer did not end it itself: what the server told, or
 * `media-lost` when the path between the two broke and could not be mended.
 */
export type RoomEnd = EndReason | "media-lost";

/** What is being brought back while the room goes on. */
type Missing = "signaling" | "partner" | "media";

/** Where a peer stands, discriminated by `status`. Times are epoch milliseconds. */
export type PeerStreamState =
  | { status: "idle"; error?: PeerStreamError; ended?: RoomEnd }
  | {
      status: "waiting";
      since: number;
      /** Peers in the lobby of this mode, and all that are online; once the server has told. */
      waiting?: number;
      online?: number;
      estimateMs?: number;
      /** Why the room before ended; absent when this peer ended it or there was none. */
      ended?: RoomEnd;
    }
  | { status: "connecting"; roomId: string; sharedInterests: string[] }
  | {
      status: "connected";
      roomId: string;
      sharedInterests: string[];
      remote: MediaStream;
      /** What the partner sends, once it has told: a camera that is off shows its last picture, or none. */
      partnerMedia?: PartnerMedia;
      /**
       * The server has lost this room: it was restarted, or one of the two could not reach it for longer than
       * its grace. The call continues without it, until one leaves or the path between them breaks.
       */
      orphaned?: true;
    }
  | {
      status: "reconnecting";
      what: Missing;
      /** Absent while there is no room yet (the lobby's connection dropped). */
      roomId?: string;
      sharedInterests?: string[];
      /** Goes on showing what still arrives. */
      remote?: MediaStream;
      partnerMedia?: PartnerMedia;
      /** Until when the partner may come back; with `what: "partner"`. */
      deadline?: number;
      /** Why the room before ended; without a room. */
      ended?: RoomEnd;
    };

/** What happens in a room beside its states. */
export type PeerStreamEvent =
  /** A message in either direction. `at` is epoch milliseconds of this peer's clock. */
  | { type: "chat"; roomId: string; from: "me" | "partner"; text: string; at: number }
  /** The partner has begun to write, or has stopped without sending. */
  | { type: "typing"; roomId: string; typing: boolean };

/** Tells whether two states would look the same to a listener. */
export function sameState(a: PeerStreamState, b: PeerStreamState): boolean {
  const left: Record<string, unknown> = { ...a };
  const right: Record<string, unknown> = { ...b };
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].every((key) => left[key] === right[key]);
}
