/** Runs the session model: turns what happens into inputs, and executes the commands. */
import type { Challenge, Signal } from "../protocol.ts";
import type { SourceResult } from "./camera.ts";
import type { Call } from "./call.ts";
import type { CallCode } from "./call-code.ts";
import type { ConnectionListener, IceAnswer } from "./connection.ts";
import { createEmitter } from "./emitter.ts";
import { describe } from "./log.ts";
import type { MutationQueue } from "./mutation-queue.ts";
import { signalMutation, type Mutation, type Telling } from "./mutations.ts";
import { Outgoing } from "./outgoing.ts";
import { browserTimers, type Timer, type Timers } from "./platform.ts";
import type { SessionCommand, SessionInput } from "./session-input.ts";
import {
  askForIceServers,
  callInputs,
  createQueue,
  enqueueTelling,
  standingOffersOf,
  type SessionParts,
} from "./session-parts.ts";
import {
  createSessionModel,
  deriveState,
  isRelevant,
  type Room,
  type SessionModel,
  type Time,
} from "./session-model.ts";
import type { StandingOffers } from "./standing-offers.ts";
import { updateSession } from "./session-update.ts";
import { sameState, type PeerStreamEvent, type PeerStreamState } from "./state.ts";
import type { Outcome } from "./types.ts";
import { createTypingIndicator } from "./typing-indicator.ts";

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
  // Two queues, so that a delayed signal never delays a `leave`.
  readonly #mutations: MutationQueue;
  readonly #signals: MutationQueue;
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
    this.#mutations = createQueue(connection, timers);
    this.#signals = createQueue(connection, timers);
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
    this.#standing = standingOffersOf(code, this.#parts, () => this.#fetchIceServers());
    this.#standing.setHidden(this.#isHidden);
  }

  /** Events only come once there is the code that they need. */
  #openConnection(): void {
    const { connection, callCode } = this.#parts;
    if (typeof callCode === "function" && !this.#callCode) {
      if (this.#isLoading) return;
      this.#isLoading = true;
      void callCode().then((code) => {
        this.#useCallCode(code);
        if (!this.#model.closed) this.#openConnection();
      });
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
        return this.#enqueue(command.key, command.mutation);
      case "enqueue-signal":
        return this.#enqueueSignal(command.signal);
      case "enqueue-telling":
        return this.#enqueueTelling(command.mutation, command.chat);
      case "hold-queues":
        this.#mutations.hold();
        return this.#signals.hold();
      case "open-queues":
        this.#mutations.open();
        return this.#signals.open();
      case "hand-over-queues":
        this.#mutations.handOver();
        return this.#signals.handOver();
      case "clear-mutations":
        return this.#mutations.clear();
      case "clear-signals":
        return this.#signals.clear();
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

  #enqueue(key: number, mutation: Mutation): void {
    this.#mutations.enqueue(mutation.name, mutation.input, {
      isRelevant: () => isRelevant(this.#model, mutation),
      answered: (answer) => {
        const accepted = mutation.name === "again" || ("accepted" in answer && answer.accepted);
        const caseId = "caseId" in answer ? answer.caseId : undefined;
        this.process({ type: "mutation-answered", key, accepted, caseId });
      },
      refused: (error) => this.process({ type: "mutation-refused", key, error }),
      dropped: () => this.process({ type: "mutation-dropped", key }),
    });
  }

  #enqueueSignal(signal: Signal): void {
    const mutation = signalMutation(signal);
    this.#signals.enqueue(mutation.name, mutation.input, {
      isRelevant: () => isRelevant(this.#model, mutation),
      // The call survives the loss of a candidate.
      ...(signal.type !== "add-ice-candidate" && {
        refused: (error) => this.process({ type: "signal-refused", error }),
      }),
    });
  }

  #enqueueTelling(mutation: Telling, chat: number | undefined): void {
    const { roomId } = mutation.input;
    const onUndelivered = () =>
      chat !== undefined && this.process({ type: "chat-undelivered", roomId, id: chat });
    enqueueTelling(this.#signals, mutation, () => this.#model, onUndelivered);
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
        listener: callInputs(roomId, (input) => this.process(input)),
      });
    } catch (cause) {
      return this.process({ type: "call-setup-failed", roomId, cause });
    }
    this.process({ type: "call-begun", room, remote: this.#call?.remote });
    this.#call?.begin();
    // What is not sent although the mode allows it.
    this.#call?.mediaChanged();
  }

  #endCall(roomId: string): void {
    this.typing.stop();
    this.#timers.clearTimeout(this.#keepTimer);
    this.#parts.pagePeer?.leave(roomId);
    this.#call?.end();
    this.#call = undefined;
  }

  async #fetchIceServers(): Promise<IceAnswer | undefined> {
    if (this.#model.signaling === "lost" || this.#model.closed) return undefined;
    return askForIceServers(this.#parts.connection, this.#timers);
  }
}

const currentTime = (): Time => ({ nowMs: Date.now(), elapsedMs: performance.now() });
