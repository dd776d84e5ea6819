/** The inputs and commands of the session model. Both are plain values. */
import type {
  CallPath,
  Challenge,
  Evidence,
  Media,
  PeerEvent,
  ReportReason,
  Signal,
} from "../protocol.ts";
import type { DataChannelMessage } from "./data-channel-message.ts";
import type { Mutation, Telling } from "./mutations.ts";
import type { Room } from "./session-model.ts";
import type { PeerStreamError, PeerStreamEvent, PeerStreamState, Quality } from "./state.ts";
import type { TransportKind } from "./transport.ts";
import type { Outcome, Wishes } from "./types.ts";

/** What the page does. */
export type PageInput =
  /** `unsupported`: what this environment lacks; checked while no partner is wanted. */
  | { type: "start"; wishes: Wishes; unsupported?: PeerStreamError | undefined }
  | { type: "next"; unsupported?: PeerStreamError | undefined }
  | { type: "stop" }
  /** `request` identifies the call in the `resolve-request` command. */
  | {
      type: "report";
      request: number;
      reason?: ReportReason | undefined;
      note?: string | undefined;
      evidence?: Evidence | undefined;
    }
  | { type: "block"; request: number }
  | { type: "again"; request: number }
  /** The data channel has accepted a chat message of this peer; or it goes through the server, which takes it (see `isMessageText`). */
  | { type: "chat-sent"; text: string }
  /** The page's user types, or has stopped, and the partner is to be told through the server. */
  | { type: "own-typing"; typing: boolean }
  /** What is sent is from another source. */
  | { type: "source-changed"; source: PeerStreamState["source"] }
  /** The page is unloaded, or enters the back-forward cache. */
  | { type: "page-hide" }
  /** The page was restored from the back-forward cache. */
  | { type: "page-show" }
  /** The machine was asleep, or its network has changed. */
  | { type: "resume" }
  | { type: "close" };

/** What happens to the connection. */
export type ConnectionInput =
  /** `callAlive`: whether the data channel to the partner is open at this moment. */
  | { type: "server-event"; event: PeerEvent; callAlive: boolean }
  /** The socket dropped, or cannot be opened. */
  | { type: "disconnected" }
  /** A socket opened, possibly to replace one that still works. */
  | { type: "socket-opened" }
  /** The events arrive over another transport than before. */
  | { type: "transport-changed"; kind: TransportKind }
  /** The `open-connection` command began a new event stream. */
  | { type: "stream-opened" }
  /** The event stream has ended permanently. */
  | { type: "stream-ended"; error: PeerStreamError };

/** What happens to the call. `call-begun`, `call-setup-failed` and `same-page-partner` are results of `begin-call`. */
export type CallInput =
  /** `remote`: absent in a room without a connection. */
  | { type: "call-begun"; room: Room; remote: MediaStream | undefined }
  /** This browser threw `cause` while it set the call up: in the constructor, or later while it negotiated. */
  | { type: "call-setup-failed"; roomId: string; cause: unknown }
  /**
   * The partner is another peer on the same page. `detected`: this peer entered the room second and detected it, so that
   * it blocks the other one; otherwise the other one does that.
   */
  | { type: "same-page-partner"; roomId: string; detected: boolean }
  | { type: "call-connected"; path?: CallPath | undefined }
  | { type: "call-interrupted"; interrupted: boolean }
  /** The partner is away from the server, and the `keep-place` command's time has come. */
  | { type: "keep-place" }
  /** The media path could not be established or restored. */
  | { type: "call-failed" }
  | { type: "call-hung-up" }
  | { type: "call-quality"; quality: Quality }
  | { type: "data-channel-message"; message: DataChannelMessage }
  /** What this peer sends has changed. */
  | { type: "local-media"; media: Media }
  /** The call produced a signal for the partner. */
  | { type: "local-signal"; signal: Signal };

/** What became of a mutation. A key that is not pending any more is ignored. */
export type MutationInput =
  | { type: "mutation-answered"; key: number; accepted: boolean; caseId?: string | undefined }
  | { type: "mutation-refused"; key: number; error: PeerStreamError }
  | { type: "mutation-dropped"; key: number }
  | { type: "signal-refused"; error: PeerStreamError }
  /** A chat message that went through the server has not reached the partner. */
  | { type: "chat-undelivered"; roomId: string; id: number };

/** What became of a challenge: the result of `solve-challenge`. */
export type ChallengeInput =
  { type: "challenge-solved"; solution: string } | { type: "challenge-failed"; cause: unknown };

/** Everything that can happen to a session. */
export type SessionInput = PageInput | ConnectionInput | CallInput | MutationInput | ChallengeInput;

/** What the runner has to do, in order. */
export type SessionCommand =
  | { type: "enqueue"; key: number; mutation: Mutation }
  | { type: "enqueue-signal"; signal: Signal }
  /** `chat`: the id of the chat message that it is. */
  | { type: "enqueue-telling"; mutation: Telling; chat?: number }
  /** Both queues: keep everything until `open-queues`. */
  | { type: "hold-queues" }
  | { type: "open-queues" }
  /** Both queues: a new socket replaces the old one. */
  | { type: "hand-over-queues" }
  | { type: "clear-mutations" }
  | { type: "clear-signals" }
  | { type: "open-connection" }
  | { type: "renew-connection" }
  | { type: "close-connection" }
  | { type: "send-leave-on-unload" }
  /** Responds with `call-begun`, `call-setup-failed` or `same-page-partner`. */
  | { type: "begin-call"; room: Room }
  | { type: "end-call"; roomId: string }
  | { type: "receive-signal"; signal: Signal }
  | { type: "repeat-offer" }
  /** Responds with the input of that name. Replaces an earlier one. */
  | { type: "keep-place"; afterMs: number }
  /** Restarts ICE now if the media path is broken. */
  | { type: "resume-call" }
  /** If there is one. */
  | { type: "renew-standing-offer" }
  | { type: "set-partner-typing"; typing: boolean }
  /** A chat message was sent, which also ends the typing indicator at the partner. */
  | { type: "end-own-typing" }
  /** Replaces an earlier one. It is abandoned once the model does not need it any more. */
  | { type: "solve-challenge"; challenge: Challenge }
  | { type: "emit"; event: PeerStreamEvent }
  | { type: "resolve-request"; request: number; outcome: Outcome };
