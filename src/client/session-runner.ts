/** Runs the session model: turns what happens into inputs, and executes the commands. */
import type { Challenge, IceAnswer } from "../protocol.ts";
import type { SourceResult } from "./camera.ts";
import type { Call, CallListener } from "./call.ts";
import type { CallCode } from "./call-code.ts";
import type { ConnectionListener } from "./connection.ts";
import { createEmitter } from "./emitter.ts";
import { describe } from "./log.ts";
import { Outgoing } from "./outgoing.ts";
import { browserTimers, type Timer, type Timers } from "./platform.ts";
import type { SessionCommand, SessionInput } from "./session-input.ts";
import type { SessionParts } from "./session-parts.ts";
import {
  createSessionModel,
  deriveState,
  type Room,
  type SessionModel,
  type Time,
} from "./session-model.ts";
import { SessionQueues } from "./session-queues.ts";
import type { StandingOffers } from "./standing-offers.ts";
import { updateSession } from "./session-update.ts";
import { sameState, type PeerStreamEvent, type PeerStreamState } from "./state.ts";
import type { Outcome } from "./types.ts";
import { createTypingIndicator } from "./typing-indicator.ts";

/** New ICE servers are waited for at most this long (milliseconds). */
const ICE_SERVERS_MS_MAX = 2000;

/**
 * Runs the session model: turns what happens into inputs, and executes the resulting commands.
 *
 * All decisions are made in `updateSession`. An input that results from a command, such as `call-begun`, is processed
 * before the remaining commands. The page's listeners are called last, so that what they call takes effect immediately.
 */
export class SessionRunner {
  readonly states = createEmitter<PeerStreamState>();
  readonly events = createEmitter<PeerStreamEvent>();
  readonly outgoing;
  readonly typing;

  readonly #parts: SessionParts;
  readonly #timers: Timers;
  readonly #queues: SessionQueues;
  readonly #requests = new Map<number, (outcome: Outcome) => void>();
  #nextRequest = 0;
  #standing: StandingOffers | undefined;
  #callCode: CallCode | undefined;
  #isLoading = false;
  #isHidden = false;
  #call: Call | undefined;
  #keepTimer: Timer | undefined;
  #solving: AbortController | undefined;

  #model = createSessionModel(currentTime());
  #state = deriveState(this.#model);
  #areListenersClosed = false;
  /** Events for the page that are emitted when the current input has been processed. */
  readonly #unsentEvents: PeerStreamEvent[] = [];
  /** The number of nested `process` calls. */
  #depth = 0;

  constructor(parts: SessionParts) {
    const { connection, rtc, timers = browserTimers } = parts;
    this.#parts = parts;
    this.#timers = timers;
    this.#queues = new SessionQueues({
      connection,
      timers,
      model: () => this.#model,
      process: (input) => this.process(input),
    });
    this.typing = createTypingIndicator(
      {
        send: (typing) => this.#sendTyping(typing),
        partnerTyping: (typing) => {
          const { call } = this.#model;
          if (call) this.#emit({ type: "typing", typing, roomId: call.roomId });
        },
      },
      timers,
    );
    this.outgoing = new Outgoing(
      () => rtc.stream(),
      (source, kind) => {
        void this.sendTracks();
        this.#emit({ type: "source-ended", source, kind });
      },
    );
    if (typeof parts.callCode === "object") this.#useCallCode(parts.callCode);
  }

  get model(): SessionModel {
    return this.#model;
  }

  get state(): PeerStreamState {
    return this.#state;
  }

  get call(): Call | undefined {
    return this.#call;
  }

  setHidden(isHidden: boolean): void {
    this.#isHidden = isHidden;
    this.#standing?.setHidden(isHidden);
  }

  /** Processes an input that is answered by a `resolve-request` command. */
  request(input: (request: number) => SessionInput): Promise<Outcome> {
    return new Promise((resolve) => {
      const request = this.#nextRequest++;
      this.#requests.set(request, resolve);
      this.process(input(request));
    });
  }

  /** Releases a screen, also one that the user is still choosing. What was sent before it is sent again. */
  endSharing(): void {
    const { source } = this.outgoing;
    this.outgoing.endSharing();
    if (source === "screen") void this.sendTracks();
  }

  /**
   * Sends the tracks of `outgoing`, in the current call too. The error is what the browser threw; it keeps sending the old track then.
   */
  async sendTracks(): Promise<SourceResult> {
    const { stream, source } = this.outgoing;
    this.process({ type: "source-changed", source });
    try {
      await this.#call?.replaceTracks(stream);
      return { ok: true };
    } catch (cause) {
      return { ok: false, error: { kind: "unknown", cause } };
    }
  }

  close(): void {
    this.outgoing.endSharing();
    this.process({ type: "close" });
    this.#areListenersClosed = true;
    this.states.close();
    this.events.close();
  }

  /** Applies an input. What the page receives is emitted after the outermost one. */
  process(input: SessionInput): void {
    // One that is closed unused, as on a server, looks for no logger.
    if (input.type !== "close") this.#parts.log?.("debug", describe(input));
    this.#depth += 1;
    try {
      const { model, commands } = updateSession(this.#model, input, currentTime());
      const hasEnded = this.#model.wanted && !model.wanted;
      this.#model = model;
      if (!model.solving) this.#solving?.abort();
      for (const command of commands) this.#execute(command);
      if (hasEnded) this.endSharing();
      this.#updateStanding();
    } finally {
      this.#depth -= 1;
    }
    if (this.#depth > 0) return;
    this.#emitEvents();
    this.#publish();
  }

  #useCallCode(code: CallCode): void {
    this.#callCode = code;
    if (this.#parts.standingOffers === false) return;
    const { connection, rtc, settings, iceServers } = this.#parts;
    const fetchIceServers = () => this.#fetchIceServers();
    const parts = { connection, rtc, timers: this.#timers, settings, iceServers, fetchIceServers };
    this.#standing = new code.StandingOffers(parts);
    this.#standing.setHidden(this.#isHidden);
  }

  /** Events only come once there is the code that they need. */
  #openConnection(): void {
    const { connection, callCode } = this.#parts;
    if (typeof callCode === "function" && !this.#callCode) {
      if (this.#isLoading) return;
      this.#isLoading = true;
      void callCode().then(
        (code) => {
          this.#useCallCode(code);
          if (!this.#model.closed) this.#openConnection();
        },
        (cause) => {
          this.#isLoading = false;
          const message = `the code of calls can't be loaded: ${String(cause)}`;
          this.process({ type: "stream-ended", error: { kind: "call-setup", message, cause } });
        },
      );
    } else if (connection.open(this.#connectionListener)) this.process({ type: "stream-opened" });
  }

  #updateStanding(): void {
    const { wanted, hasTicket, call, wishes, signaling } = this.#model;
    const isWaiting = wanted && hasTicket && !call && wishes.mode !== "text";
    const terms = isWaiting ? { ...wishes, local: this.outgoing.stream } : undefined;
    this.#standing?.update(terms, signaling === "connected");
  }

  #publish(): void {
    const next = deriveState(this.#model);
    if (sameState(this.#state, next)) return;
    this.#state = next;
    const isError = next.status === "idle" && next.error !== undefined;
    this.#parts.log?.(isError ? "warn" : "info", describe(next));
    if (!this.#areListenersClosed) this.states.emit(next);
  }

  #emit(event: PeerStreamEvent): void {
    this.#unsentEvents.push(event);
    if (this.#depth === 0) this.#emitEvents();
  }

  #emitEvents(): void {
    for (let next = this.#unsentEvents.shift(); next; next = this.#unsentEvents.shift())
      this.events.emit(next);
  }

  // -------------------------------------------------------------------------------------------
  // Commands

  #execute(command: SessionCommand): void {
    const { connection } = this.#parts;
    switch (command.type) {
      case "enqueue":
        return this.#queues.enqueue(command.key, command.mutation);
      case "enqueue-signal":
        return this.#queues.enqueueSignal(command.signal);
      case "enqueue-telling":
        return this.#queues.enqueueTelling(command.mutation, command.chat);
      case "hold-queues":
        return this.#queues.hold();
      case "open-queues":
        return this.#queues.open();
      case "hand-over-queues":
        return this.#queues.handOver();
      case "clear-mutations":
        return this.#queues.mutations.clear();
      case "clear-signals":
        return this.#queues.signals.clear();
      case "open-connection":
        return this.#openConnection();
      case "renew-connection":
        return connection.renew();
      case "close-connection":
        return connection.close();
      case "send-leave-on-unload":
        return connection.sendLeaveOnUnload();
      case "begin-call":
        return this.#beginCall(command.room);
      case "end-call":
        return this.#endCall(command.roomId);
      case "receive-signal":
        return this.#call?.receive(command.signal);
      case "repeat-offer":
        return this.#call?.repeatOffer();
      case "keep-place":
        this.#timers.clearTimeout(this.#keepTimer);
        this.#keepTimer = this.#timers.setTimeout(
          () => this.process({ type: "keep-place" }),
          command.afterMs,
        );
        return;
      case "resume-call":
        return this.#call?.onResume();
      case "renew-standing-offer":
        return this.#standing?.renew();
      case "set-partner-typing":
        return this.typing.setPartner(command.typing);
      case "end-own-typing":
        return this.typing.ownMessageSent();
      case "solve-challenge":
        return void this.#solveChallenge(command.challenge);
      case "emit":
        return this.#emit(command.event);
      case "resolve-request":
        this.#requests.get(command.request)?.(command.outcome);
        this.#requests.delete(command.request);
        return;
      default:
        command satisfies never;
    }
  }

  readonly #connectionListener: ConnectionListener = {
    event: (event) => {
      this.process({ type: "server-event", event, callAlive: this.#call?.alive ?? false });
    },
    disconnected: () => this.process({ type: "disconnected" }),
    opened: () => this.process({ type: "socket-opened" }),
    transportChanged: (kind) => this.process({ type: "transport-changed", kind }),
    ended: (error) => this.process({ type: "stream-ended", error }),
  };

  async #solveChallenge(challenge: Challenge): Promise<void> {
    this.#solving?.abort();
    const solving = new AbortController();
    this.#solving = solving;
    let input: SessionInput;
    try {
      const solution = await this.#parts.solveChallenge?.(challenge, solving.signal);
      if (solution === undefined) throw new Error("nothing solves challenges here");
      input = { type: "challenge-solved", solution };
    } catch (cause) {
      input = { type: "challenge-failed", cause };
    }
    if (!solving.signal.aborted) this.process(input);
  }

  #sendTyping(typing: boolean): boolean {
    const { call, signaling } = this.#model;
    if (call?.chat !== "server") return this.#call?.send({ type: "typing", typing }) ?? false;
    if (signaling !== "connected") return false;
    this.process({ type: "own-typing", typing });
    return true;
  }

  #beginCall(room: Room): void {
    const { pagePeer, rtc, log, settings, iceServers = room.iceServers } = this.#parts;
    const { roomId, mode, chat } = room;
    const onSamePage = (detected: boolean) =>
      this.process({ type: "same-page-partner", roomId, detected });
    if (pagePeer?.enter(roomId, () => onSamePage(false)) === false) return onSamePage(true);
    // Text through the server needs no connection, and no WebRTC.
    if (mode === "text" && chat === "server")
      return this.process({ type: "call-begun", room, remote: undefined });
    const prepared = room.polite ? undefined : this.#standing?.take(room);
    try {
      this.#call = this.#callCode?.createCall({
        room: { ...room, iceServers },
        local: this.outgoing.stream,
        prepared,
        rtc,
        ...(settings && { settings }),
        isHidden: () => this.#isHidden,
        timers: this.#timers,
        ...(log && { log }),
        canSignal: () => this.#model.call?.orphaned !== true,
        fetchIceServers: async () =>
          this.#parts.iceServers ? undefined : (await this.#fetchIceServers())?.iceServers,
        listener: this.#callListener(roomId),
      });
    } catch (cause) {
      return this.process({ type: "call-setup-failed", roomId, cause });
    }
    this.process({ type: "call-begun", room, remote: this.#call?.remote });
    this.#call?.begin();
    // What is not sent although the mode allows it.
    this.#call?.mediaChanged();
  }

  #callListener(roomId: string): CallListener {
    return {
      signal: (signal) => this.process({ type: "local-signal", signal }),
      connected: (path) => this.process({ type: "call-connected", path }),
      interrupted: (interrupted) => this.process({ type: "call-interrupted", interrupted }),
      failed: (cause) =>
        this.process(
          cause === undefined
            ? { type: "call-failed" }
            : { type: "call-setup-failed", roomId, cause },
        ),
      hungUp: () => this.process({ type: "call-hung-up" }),
      media: (media) => this.process({ type: "local-media", media }),
      quality: (quality) => this.process({ type: "call-quality", quality }),
      message: (message) => this.process({ type: "data-channel-message", message }),
    };
  }

  #endCall(roomId: string): void {
    this.typing.stop();
    this.#timers.clearTimeout(this.#keepTimer);
    this.#parts.pagePeer?.leave(roomId);
    this.#call?.end();
    this.#call = undefined;
  }

  /** ICE servers with new credentials; undefined if the server does not respond in time. */
  async #fetchIceServers(): Promise<IceAnswer | undefined> {
    if (this.#model.signaling === "lost" || this.#model.closed) return undefined;
    let timer: Timer | undefined;
    const timeout = new Promise<undefined>((resolve) => {
      timer = this.#timers.setTimeout(() => resolve(undefined), ICE_SERVERS_MS_MAX);
    });
    const answer = this.#parts.connection.iceServers().catch(() => undefined);
    return Promise.race([answer, timeout]).finally(() => this.#timers.clearTimeout(timer));
  }
}

const currentTime = (): Time => ({ nowMs: Date.now(), elapsedMs: performance.now() });
