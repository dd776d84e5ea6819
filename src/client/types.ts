/** The public types of a peer stream, except for its states and events. */
import type { CaseAnswer, Hint, Mode, QuotedMessage, ReportReason, Stats } from "../protocol.ts";
import type { FactsDeclaration, FactsInput, Site, WantsInput } from "../protocol/declaration.ts";
import type { CallStats, Levels } from "./call-stats.ts";
import type { Camera, CameraResult, SourceResult } from "./camera.ts";
import type { PeerStreamError, PeerStreamEvent, PeerStreamState } from "./state.ts";

/** What a still is made from: an element that shows the video, or its stream or track. */
export type StillSource = HTMLVideoElement | MediaStream | MediaStreamTrack;

/** The number of peers online, and per mode of those that wait and of rooms. */
export type Counts = Stats;

/** Turns the camera's track into another one: of a canvas, or of a `VideoTrackGenerator`. */
export type Processor = (track: MediaStreamTrack) => MediaStreamTrack | Promise<MediaStreamTrack>;

/** Options of `sampleFrames`. */
export interface FrameSampling {
  /** Milliseconds between two frames, at least 3000. Default: 3000. */
  everyMs?: number;
  /** Pixels of a frame's longer side. Default: 224, which is what many classifiers take. */
  size?: number;
  /**
   * Called with each frame, which is closed afterwards, and with no further one before this is done. What it returns, if anything, is
   * sent to the server as a `hint` while this peer is in a room. What it throws is ignored.
   */
  onFrame(frame: ImageBitmap): Hint | undefined | void | Promise<Hint | undefined | void>;
}

/** What a peer wishes for. All fields are optional. */
export interface Wishes<Declared extends FactsDeclaration = FactsDeclaration> {
  /** At most 10, of at most 32 characters each. Peers that share one are preferred. */
  interests?: string[];
  /** At most 5 BCP 47 tags, such as `en` or `pt-BR`. */
  languages?: string[];
  /** Only peers of the same mode are paired. Default: `video`. */
  mode?: Mode;
  /** Hides this peer's IP address from its partners: media goes through a relay only. Default: false. */
  relayOnly?: boolean;
  /** Searches for the next partner when one leaves. Default: true. */
  autoRejoin?: boolean;
  /** Only peers of the same lobby are paired: one of those that the site has. Default: the one that it puts this peer into, or `main`. */
  lobby?: string;
  /** What this peer states of itself, by name: `{ age: 31 }`. Only what the server has declared; see `site`. */
  facts?: FactsInput<Declared>;
  /** What it wants of its partner, by name: `{ age: { from: 25, to: 40, hard: true } }`. Only of what the server has declared. */
  wants?: WantsInput<Declared>;
  /** The version of the site's rules that the user has agreed to; see `site`. */
  agreed?: string;
}

/** What is sent: see `setSource`. */
export type Source = "camera" | "screen" | MediaStream | undefined;

/** The options of `start`. */
export interface StartOptions<
  Declared extends FactsDeclaration = FactsDeclaration,
> extends Wishes<Declared> {
  /**
   * What the partner receives from now on, as with `setSource`. Default: what was chosen before, initially what
   * `camera` has open. Without either, this peer only receives.
   */
  stream?: MediaStream;
  /** When it is aborted, that is as `stop()`, until the next `start`. */
  signal?: AbortSignal;
}

/** The result of a `report`, `block` or `again`. */
export type Outcome =
  | {
      ok: true;
      accepted: boolean;
      /** Of a report: names it, also for `case`. */
      caseId?: string;
    }
  | { ok: false; error: PeerStreamError };

/** What a report says and shows besides its reason. Only the site's operator sees it. */
export interface ReportDetails {
  /** At most 500 characters. */
  note?: string;
  evidence?: {
    /** As `still` makes it. */
    still?: string;
    /** As `recentMessages` has them. */
    messages?: QuotedMessage[];
  };
}

/**
 * One anonymous peer and its calls. The effect of a method is visible in `state`; only methods that request something from
 * the server return a promise.
 *
 * `Declared` is the server's declaration of facts; without it `facts` and `wants` are checked by the server only.
 */
export interface PeerStream<Declared extends FactsDeclaration = FactsDeclaration> {
  /** The current state. */
  readonly state: PeerStreamState;
  /** The user's devices. What it opens is sent automatically, also during a call, unless the page chose other tracks. */
  readonly camera: Camera;
  /** Searches for a partner, and for further ones, until `stop()`. In a room it only changes the wishes. */
  start(options?: StartOptions<Declared>): void;
  /** Leaves the partner and searches for another; searches again when idle; does nothing while waiting. */
  next(): void;
  /** Leaves lobby and room. */
  stop(): void;
  /**
   * Sends the partner a message of 1 to 2000 characters; in rooms for text, and where the operator wants that, through the server. False if it
   * could not be sent. One that goes through the server may still turn out not to arrive: then there is an event `chat-undelivered`.
   */
  sendChat(text: string): boolean;
  /**
   * Shows the partner that the user types, or has stopped. May be called on every key press: while the user keeps typing the
   * indicator is sent every 3 s, and it expires at the partner after 6 s without a renewal.
   */
  sendTyping(typing: boolean): void;
  /**
   * The one place where it is decided what is sent, from now on, in this call without a new one and in those that follow: what `camera` gives
   * (the default), a screen, or the tracks of a stream; undefined sends nothing. This applies until the next call, or `start` with a stream: the camera's
   * tracks never replace a track that the page made. A track that is the camera's own stands for the camera: its replacement is sent as well.
   * Where nothing is sent, `camera.open()` sends what it opens. A track that ends is not sent any more (event `source-ended`). Never rejects.
   */
  setSource(source: Source): Promise<SourceResult>;
  /** The same as `setSource` with a stream or undefined. */
  replaceTracks(stream: MediaStream | undefined): Promise<SourceResult>;
  /**
   * Sends the picture of a screen, window or tab that the user chooses, in place of the camera's or stream's picture; the sound remains that of before.
   * Until `stopSharing`, `setSource`, the browser's own button, or the peer is idle again (`stop`, `close`). `next` does not end it. The state has `source: "screen"`
   * meanwhile. The errors are those of `CameraError`, such as `denied` and `unsupported`. Must be called in a gesture. Never rejects.
   */
  shareScreen(): Promise<SourceResult>;
  /** Releases the screen; what was sent before it is sent again. */
  stopSharing(): void;
  /**
   * Sends the camera's picture through `processor`, such as a blur; undefined ends that. It is called with the camera's track whenever that changes, and returns another
   * one of its own for each, which is stopped when it is not needed any more. `camera.stream` has the processed picture, too. The raw one is never sent while there is a
   * processor: if that throws, returns no live track, or takes more than 15 s, no picture is sent, and the camera reports `processor-failed`. Resolves once the picture
   * is processed, or will be when the camera is opened. Never rejects.
   */
  setProcessor(processor: Processor | undefined): Promise<SourceResult>;
  /**
   * Sends the partner's application a message over the data channel, apart from the chat: anything that JSON can express, in at most 16 KiB. False if it is not sent: there is no
   * call, or it is not connected; the message is too long or can't be expressed; or too much has been sent lately.
   */
  send(data: unknown): boolean;
  /** Calls `listener` with every message of the partner's application. Check its shape: it may be anything. Returns a function that unsubscribes. */
  onData(listener: (data: unknown, roomId: string) => void): () => void;
  /**
   * Turns the sent audio or video off or on, also for later tracks, but not that of a screen. With `release` the devices of what is turned off are
   * closed, so that their light goes out, and `camera.open()` leaves them closed, too; what is turned on again opens them, without a new call.
   * Resolves with what became of that, undefined if nothing was to be opened. Never rejects.
   */
  setMuted(muted: {
    audio?: boolean;
    video?: boolean;
    release?: boolean;
  }): Promise<CameraResult | undefined>;
  /**
   * Reports the current or last partner, who is not paired with this session again. Take the still and the messages before, and let the user see and
   * agree to what is sent.
   */
  report(reason?: ReportReason, details?: ReportDetails): Promise<Outcome>;
  /**
   * A still of the partner's video as a report takes it: a JPEG in base64 of at most 36,864 bytes, scaled until it fits. Nothing is sent. Undefined
   * if there is no picture. Rejects if the code for it can't be loaded.
   * @param source an element that shows it, or its stream or track.
   */
  still(source: StillSource): Promise<string | undefined>;
  /** The last messages with the current or last partner, at most 30, the oldest first. */
  recentMessages(): QuotedMessage[];
  /** What was decided of a report of this session or its account. Rejects when the server cannot be reached, or it is another one's. */
  case(caseId: string): Promise<CaseAnswer>;
  /** The current or last partner is not paired with this session again. */
  block(): Promise<Outcome>;
  /**
   * Asks to meet the partner of the last room again, while the state has `again`. If the partner asks for that as well, the two are paired as
   * soon as neither is in another room; until then neither learns whether the other one has asked. Until `stop()` it is in force while idle,
   * too. `accepted: false`: there is nobody to ask for.
   */
  again(): Promise<Outcome>;
  /** Statistics of the current call; undefined without one. */
  stats(): Promise<CallStats | undefined>;
  /**
   * Calls `listener` with the statistics of the current call again and again, until the returned function is called or the peer stream is
   * closed; never between calls. Rates are those since the listener was last called.
   * @param everyMs milliseconds, at least 250. Default: 1000. @throws RangeError for less.
   */
  onStats(listener: (stats: CallStats) => void, everyMs?: number): () => void;
  /**
   * How loud both sides are, from 0 to 1: for a meter that asks for them several times a second, as each call returns what was measured at the
   * previous one. Empty at first, and without a call; `mine` is absent in Firefox.
   */
  levels(): Levels;
  /**
   * How many peers of a lobby are online, waiting, and in rooms. Rejects when the server cannot be reached, or has no such lobby.
   * @param lobby default: as in `start`.
   */
  counts(lobby?: string): Promise<Counts>;
  /** What the server's operator has declared: modes, facts, lobbies and rules. Rejects when the server cannot be reached. */
  site(): Promise<Site>;
  /**
   * Gives frames of this peer's own camera to a classifier, before and during rooms, until the returned function is called or the peer
   * stream is closed.
   * @throws RangeError for more than one frame in 3 s; Error outside a browser.
   */
  sampleFrames(sampling: FrameSampling): () => void;
  /** Calls `listener` on every change of state, not with the current one. Returns a function that unsubscribes. */
  subscribe(listener: (state: PeerStreamState) => void): () => void;
  /** Calls `listener` with every event. Returns a function that unsubscribes. */
  onEvent(listener: (event: PeerStreamEvent) => void): () => void;
  /** The current state and all that follow; a slow consumer receives only the newest. */
  states(): AsyncIterableIterator<PeerStreamState>;
  /** All further events; they are buffered for a slow consumer. */
  events(): AsyncIterableIterator<PeerStreamEvent>;
  /** Ends everything permanently, `camera` included. Streams that were given to `start` remain open. */
  close(): void;
}
