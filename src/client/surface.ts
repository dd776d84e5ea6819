/** What a frontend sees of a peer stream, beside its states. */
import type { Mode, ReportReason } from "../protocol.ts";
import type { CallStats } from "./call-stats.ts";
import type { Camera } from "./camera.ts";
import type { Counts } from "./connection.ts";
import type { PeerStreamError, PeerStreamEvent, PeerStreamState } from "./state.ts";

/** What a peer wishes for. All of it may be left out. */
export interface Wishes {
  /** At most 10, of at most 32 characters each. Whoever shares one is preferred. */
  interests?: string[];
  /** At most 5 BCP 47 tags, such as `en` or `pt-BR`. */
  languages?: string[];
  /** Only peers of one mode meet. Default `video`. */
  mode?: Mode;
  /** Hide this peer's address from its partners: media goes through a relay only. Default false. */
  relayOnly?: boolean;
  /** Look for the next partner when one leaves. Default true. */
  autoRejoin?: boolean;
}

/** What `start` takes. */
export interface StartOptions extends Wishes {
  /**
   * What the partner gets to see and hear from now on, as with `replaceTracks`. Default: what was chosen so far; at first
   * what `camera` has open. Without either, this peer only receives.
   */
  stream?: MediaStream;
}

/** What became of a `report` or `block`. */
export type Outcome = { ok: true; accepted: boolean } | { ok: false; error: PeerStreamError };

/**
 * One anonymous peer and its calls. The state is the only truth: what a method brings about is seen in
 * `state`, and only the methods that ask the server something answer by a promise.
 */
export interface PeerStream {
  /** Where this peer stands now. */
  readonly state: PeerStreamState;
  /** The person's own devices. What it opens is sent by itself, also in the middle of a call, unless the page chose otherwise. */
  readonly camera: Camera;
  /** Looks for a partner, and goes on doing so until `stop()`. In a room it only changes the wishes. */
  start(options?: StartOptions): void;
  /** Leaves the partner and looks for another; looks again when idle; does nothing while waiting. */
  next(): void;
  /** Out of lobby or room. */
  stop(): void;
  /** Says something to the partner: 1 to 2000 characters. False when it could not be said. */
  sendChat(text: string): boolean;
  /**
   * Shows the partner that something is being written, or no longer. May be called at every key: while the user keeps typing
   * the sign is sent every 3 s, and one that is not renewed lapses after 6 s at the partner.
   */
  sendTyping(typing: boolean): void;
  /**
   * Sends the tracks of `stream` from now on, in this call without a new one and in those that follow; nothing when
   * undefined. It stays so until `replaceTracks`, or `start` with a stream, is called again: whatever becomes of `camera`,
   * its own picture and sound never take the place of a track that the page made. A track that is the camera's own
   * stands for the camera: what the camera takes in its place is sent as well. Where nothing is sent, `camera.open()`
   * sends what it opens.
   */
  replaceTracks(stream: MediaStream | undefined): Promise<void>;
  /** Silences the microphone, blackens the camera, or undoes it; also for streams that come later. */
  setMuted(muted: { audio?: boolean; video?: boolean }): void;
  /** Reports the partner, or the last one, and never meets it again in this session. */
  report(reason?: ReportReason): Promise<Outcome>;
  /** Never meets the partner, or the last one, again in this session. */
  block(): Promise<Outcome>;
  /** How the present call fares; undefined without one. */
  stats(): Promise<CallStats | undefined>;
  /** How many peers are online, wait, and are in rooms. Rejects when the server can't be asked. */
  counts(): Promise<Counts>;
  /** Calls `listener` on every change of state; not with the present one. Returns how to stop. */
  subscribe(listener: (state: PeerStreamState) => void): () => void;
  /** Calls `listener` with every chat message of both sides, and the like. Returns how to stop. */
  onEvent(listener: (event: PeerStreamEvent) => void): () => void;
  /** The present state and every one that follows; a slow reader skips to the newest. */
  states(): AsyncIterableIterator<PeerStreamState>;
  /** What `onEvent` tells, from now on; a slow reader loses nothing. */
  events(): AsyncIterableIterator<PeerStreamEvent>;
  /** Ends everything for good, `camera` included; streams given to `start` stay open, being the page's. */
  close(): void;
}
