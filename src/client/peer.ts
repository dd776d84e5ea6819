/** A peer stream without its camera: the public methods, as inputs of the session. */
import {
  isMessageText,
  type CaseAnswer,
  type Hint,
  type Mode,
  type QuotedMessage,
  type ReportReason,
} from "../protocol.ts";
import type { Site } from "../protocol/declaration.ts";
import type { Call } from "./call.ts";
import type { CallStats, Levels } from "./call-stats.ts";
import type { MediaSource, SourceResult } from "./camera.ts";
import { requestScreen } from "./media-request.ts";
import { browserTimers } from "./platform.ts";
import { repeat } from "./repeat.ts";
import type { SessionParts } from "./session-parts.ts";
import { SessionRunner } from "./session-runner.ts";
import type { PeerStreamError, PeerStreamEvent, PeerStreamState } from "./state.ts";
import type {
  Outcome,
  PeerStream,
  ReportDetails,
  Source,
  StartOptions,
  FrameSampling,
  StillSource,
} from "./types.ts";

/** The shortest time between two readings of statistics (milliseconds). */
const STATS_MS_MIN = 250;
/** Milliseconds between two frames for a classifier. */
const FRAMES_MS_MIN = 3000;
/** A timer of more milliseconds fires at once (HTML, 8.6). */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What a peer is made of. */
export interface PeerParts extends SessionParts {
  /** Returns what this environment lacks for rooms of a mode. Checked before anything is sent. */
  findUnsupported?: (mode: Mode) => PeerStreamError | undefined;
  /** Returns what captures screens. Default: nothing does. */
  media?: () => MediaSource | undefined;
  /** Creates elements for pictures of a video; returns undefined where there are none. */
  page?: () => Pick<Document, "createElement"> | undefined;
}

/** A peer stream without its camera, and the page events that it reacts to. */
export interface Peer extends Omit<PeerStream, "camera" | "setMuted" | "setProcessor"> {
  /** Turns what is sent off or on; the devices stay as they are. */
  setMuted(muted: { audio?: boolean; video?: boolean }): void;
  /** The camera has other tracks. `opened`: because the page has opened it. */
  cameraChanged(stream: MediaStream | undefined, opened: boolean): void;
  /** The page is unloaded, or enters the back-forward cache. */
  onPageHide(): void;
  /** The page was restored from the back-forward cache. */
  onPageShow(): void;
  /** The machine was asleep, or its network has changed. */
  onResume(): void;
  /** The page has been hidden, or is visible again. */
  onVisibility(isHidden: boolean): void;
}

/** Creates an idle peer. */
export function createPeer(parts: PeerParts): Peer {
  return new SessionPeer(parts);
}

/** The page's side of a session: each method is an input of the session model. */
class SessionPeer implements Peer {
  readonly #session: SessionRunner;
  readonly #parts: PeerParts;
  /** Of the last `start`. */
  #startSignal: AbortSignal | undefined;
  readonly #onAbort = () => this.stop();
  /** What `close` ends. */
  readonly #stops = new Set<() => void>();
  readonly #readStats = this.#createStatsReader();

  constructor(parts: PeerParts) {
    this.#session = new SessionRunner(parts);
    this.#parts = parts;
  }

  get state(): PeerStreamState {
    return this.#session.state;
  }

  start({ stream, signal, ...wishes }: StartOptions = {}): void {
    if (signal?.aborted) return this.stop();
    this.#listenTo(signal);
    if (stream) void this.setSource(stream);
    this.#session.process({
      type: "start",
      wishes,
      unsupported: this.#findUnsupported(wishes.mode),
    });
  }

  next(): void {
    const { mode } = this.#session.model.wishes;
    this.#session.process({ type: "next", unsupported: this.#findUnsupported(mode) });
  }

  stop(): void {
    this.#listenTo(undefined);
    this.#session.process({ type: "stop" });
  }

  report(reason?: ReportReason, { note, evidence }: ReportDetails = {}): Promise<Outcome> {
    return this.#session.request((request) => ({
      type: "report",
      request,
      reason,
      note,
      evidence,
    }));
  }

  async still(source: StillSource): Promise<string | undefined> {
    const { page, rtc, timers = browserTimers } = this.#parts;
    const { takeStill } = await import("./still.ts");
    return takeStill(source, { page: page?.(), rtc, timers });
  }

  recentMessages(): QuotedMessage[] {
    return [...this.#session.model.messages];
  }

  case(caseId: string): Promise<CaseAnswer> {
    return this.#parts.connection.caseOf(caseId);
  }

  block(): Promise<Outcome> {
    return this.#session.request((request) => ({ type: "block", request }));
  }

  again(): Promise<Outcome> {
    return this.#session.request((request) => ({ type: "again", request }));
  }

  sendChat(text: string): boolean {
    const { call } = this.#session.model;
    if (call?.chat === "server") {
      // The server takes no other control characters than TAB and LF.
      const sent = text.replace(/\r\n?/g, "\n");
      if (call.orphaned || !isMessageText(sent)) return false;
      this.#session.process({ type: "chat-sent", text: sent });
      return true;
    }
    if (!this.#session.call?.send({ type: "chat", text })) return false;
    this.#session.process({ type: "chat-sent", text });
    return true;
  }

  sendTyping(typing: boolean): void {
    this.#session.typing.setOwn(typing);
  }

  send(data: unknown): boolean {
    return this.#session.call?.send({ type: "data", data }) ?? false;
  }

  async setSource(source: Source): Promise<SourceResult> {
    if (this.#isClosed) return { ok: false, error: { kind: "closed", cause: undefined } };
    const { outgoing } = this.#session;
    if (source === "screen") {
      const result = await outgoing.share(requestScreen(this.#parts.media?.()));
      if (!result.ok) return result;
    } else outgoing.choose(source);
    return this.#session.sendTracks();
  }

  replaceTracks(stream: MediaStream | undefined): Promise<SourceResult> {
    return this.setSource(stream);
  }

  shareScreen(): Promise<SourceResult> {
    return this.setSource("screen");
  }

  stopSharing(): void {
    this.#session.endSharing();
  }

  cameraChanged(stream: MediaStream | undefined, opened: boolean): void {
    if (this.#isClosed) return;
    this.#session.outgoing.cameraChanged(stream, opened);
    void this.#session.sendTracks();
  }

  setMuted(muted: { audio?: boolean; video?: boolean }): void {
    if (this.#isClosed) return;
    this.#session.outgoing.mute(muted);
    this.#session.call?.mediaChanged();
  }

  stats(): Promise<CallStats | undefined> {
    return this.#readStats();
  }

  onStats(listener: (stats: CallStats) => void, everyMs = 1000): () => void {
    requireEveryMs(everyMs, STATS_MS_MIN);
    if (this.#isClosed) return () => {};
    const read = this.#createStatsReader();
    const end = repeat(this.#parts.timers ?? browserTimers, everyMs, async () => {
      const stats = await read().catch(() => undefined);
      if (stats && this.#stops.has(stop)) listener(stats);
    });
    const stop = () => {
      this.#stops.delete(stop);
      end();
    };
    this.#stops.add(stop);
    return stop;
  }

  levels(): Levels {
    const { call, model } = this.#session;
    const isSilent = model.call?.partnerMedia?.audio === false;
    return { ...call?.levels(), ...(isSilent && { partner: 0 }) };
  }

  counts(lobby?: string): ReturnType<PeerStream["counts"]> {
    return this.#parts.connection.counts(lobby);
  }

  site(): Promise<Site> {
    return this.#parts.connection.site();
  }

  sampleFrames(sampling: FrameSampling): () => void {
    if (this.#isClosed) return () => {};
    requireEveryMs(sampling.everyMs ?? FRAMES_MS_MIN, FRAMES_MS_MIN);
    const { rtc, timers = browserTimers } = this.#parts;
    const page = this.#parts.page?.();
    if (!page) throw new Error("frames can only be taken in a browser");
    let end = () => {};
    const stop = () => {
      this.#stops.delete(stop);
      end();
    };
    import("./frame-sampler.ts").then(
      ({ sampleFrames, createVideoGrabber }) => {
        if (!this.#stops.has(stop)) return;
        end = sampleFrames(sampling, {
          track: () => this.#session.outgoing.stream?.getVideoTracks()[0],
          send: (hint) => this.#sendHint(hint),
          createGrabber: () => createVideoGrabber(page, rtc),
          timers,
        });
      },
      (error) => this.#parts.log?.("error", `sampleFrames: ${String(error)}`),
    );
    this.#stops.add(stop);
    return stop;
  }

  subscribe(listener: (state: PeerStreamState) => void): () => void {
    return this.#session.states.subscribe(listener);
  }

  onEvent(listener: (event: PeerStreamEvent) => void): () => void {
    return this.#session.events.subscribe(listener);
  }

  onData(listener: (data: unknown, roomId: string) => void): () => void {
    return this.onEvent((event) => {
      if (event.type === "data") listener(event.data, event.roomId);
    });
  }

  states(): AsyncIterableIterator<PeerStreamState> {
    return this.#session.states.iterate({ first: () => this.#session.state, keepLatest: true });
  }

  events(): AsyncIterableIterator<PeerStreamEvent> {
    return this.#session.events.iterate();
  }

  onPageHide(): void {
    this.#session.process({ type: "page-hide" });
  }

  onPageShow(): void {
    this.#session.process({ type: "page-show" });
  }

  onResume(): void {
    this.#session.process({ type: "resume" });
  }

  onVisibility(isHidden: boolean): void {
    this.#session.setHidden(isHidden);
  }

  close(): void {
    this.#listenTo(undefined);
    if (!this.#isClosed) this.#session.close();
    for (const stop of this.#stops) stop();
  }

  /** Listens to this signal instead of the one before, which may outlive the search. */
  #listenTo(signal: AbortSignal | undefined): void {
    this.#startSignal?.removeEventListener("abort", this.#onAbort);
    this.#startSignal = signal;
    signal?.addEventListener("abort", this.#onAbort);
  }

  get #isClosed(): boolean {
    return this.#session.model.closed;
  }

  /** Returns a reader of the current call's statistics, with rates since its previous reading. */
  #createStatsReader(): () => Promise<CallStats | undefined> {
    let metered: Call | undefined;
    let read: ReturnType<Call["meter"]> | undefined;
    return async () => {
      const { call } = this.#session;
      if (call !== metered) read = call?.meter();
      metered = call;
      const { model } = this.#session;
      if (!model.call || !read) return undefined;
      const { roomId, pairedAtMs, connectedAtMs } = model.call;
      const times = {
        matchMs: Math.round(pairedAtMs - model.searchingSinceMs),
        ...(connectedAtMs !== undefined && { connectMs: Math.round(connectedAtMs - pairedAtMs) }),
      };
      const reading = await read();
      return reading && { roomId, ...times, ...reading };
    };
  }

  /** Not repeated: the next one is as good. */
  #sendHint({ label, score }: Hint): void {
    const { serverRoom: roomId } = this.#session.model;
    if (roomId === undefined) return;
    this.#parts.connection.call("hint", { roomId, label, score }).catch(() => {});
  }

  /** Only while no partner is wanted: a running search is not interrupted. */
  #findUnsupported(mode: Mode = "video"): PeerStreamError | undefined {
    const { wanted, closed } = this.#session.model;
    return wanted || closed ? undefined : this.#parts.findUnsupported?.(mode);
  }
}

/** @throws RangeError */
function requireEveryMs(everyMs: number, min: number): void {
  // Not `<`, which lets NaN pass.
  if (!(everyMs >= min && everyMs <= TIMER_MS_MAX))
    throw new RangeError(`everyMs must be from ${min} to ${TIMER_MS_MAX}`);
}
