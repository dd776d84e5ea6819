/** Watches the ICE connection of a call: when to restart ICE, and when to give up. */
import type { Timer, Timers } from "./platform.ts";

/** Time limit for the first connection. */
const CONNECT_MS_MAX = 20_000;
/** A path often recovers without a restart within this time (W3C WebRTC 1.0, 4.4.3: `disconnected` may be transient). */
const DISCONNECTED_MS_MAX = 3000;
/** Interval between two restarts: gathering, a round trip of signaling, and the connectivity checks must fit in. */
const RESTART_EVERY_MS = 6000;
const RESTARTS_MAX = 4;
/**
 * The polite peer restarts later by this time, and not at all if the partner has restarted by then. If both restart at
 * the same moment their offers collide, and Chromium may then decode the video without rendering it.
 */
const POLITE_DELAY_MS = 2500;

/** What an ICE monitor does. */
export interface IceMonitorActions {
  /** Restarts ICE (RFC 8445, 9). */
  restart(): void;
  /** Cancels a restart that was requested and has not begun. */
  cancelRestart(): void;
  /** Whether the offer of a restart could reach the partner. */
  canSignal(): boolean;
  interrupted(interrupted: boolean): void;
  /** The path could not be established or restored within the limits. */
  giveUp(): void;
}

/**
 * Monitors the media path of one call: restarts ICE when it breaks, and limits the attempts.
 *
 * Gives up when the first connection takes longer than 20 s. After that, it gives up when an interruption outlasts four
 * restarts, which is after 30 s at most.
 */
export class IceMonitor {
  readonly #actions: IceMonitorActions;
  readonly #polite: boolean;
  #isConnecting = true;
  #isInterrupted = false;
  #restarts = 0;
  #isStopped = false;
  #state: RTCIceConnectionState = "new";
  readonly #timers: Timers;
  readonly #connectTimeout: Timer;
  #nextRestart: Timer | undefined;
  #delayedRestart: Timer | undefined;

  /** @param polite - the role of this peer (see `POLITE_DELAY_MS`). */
  constructor(actions: IceMonitorActions, polite: boolean, timers: Timers) {
    this.#actions = actions;
    this.#polite = polite;
    this.#timers = timers;
    this.#connectTimeout = timers.setTimeout(() => this.#giveUp(), CONNECT_MS_MAX);
  }

  /** The connection's `iceConnectionState` has changed to `state`. */
  onStateChange(state: RTCIceConnectionState): void {
    if (this.#isStopped) return;
    this.#state = state;
    if (state === "connected" || state === "completed") return this.#onRestored();
    if (state === "disconnected") {
      this.#onInterrupted();
      this.#nextRestart ??= this.#timers.setTimeout(() => this.#restart(), DISCONNECTED_MS_MAX);
    }
    if (state === "failed") {
      const isFirst = !this.#isInterrupted || this.#restarts === 0;
      this.#onInterrupted();
      // Further failures wait for the interval, so that a restart is not aborted by the next one.
      if (isFirst || !this.#actions.canSignal()) this.#restart();
    }
  }

  /** The call has connected for the first time. */
  onEstablished(): void {
    if (this.#isStopped) return;
    this.#isConnecting = false;
    this.#isInterrupted = false;
    this.#timers.clearTimeout(this.#connectTimeout);
    this.#timers.clearTimeout(this.#nextRestart);
    this.#nextRestart = undefined;
  }

  /** The machine was asleep, or its network has changed: an interrupted path is restarted now, with all attempts again. */
  onResume(): void {
    if (this.#isStopped || this.#isConnecting || !this.#isInterrupted) return;
    this.#restarts = 0;
    this.#restart();
  }

  /** An offer of the partner has restarted ICE. This peer restarts only if that does not help. */
  onPartnerRestart(): void {
    this.#timers.clearTimeout(this.#delayedRestart);
    this.#actions.cancelRestart();
    if (this.#isStopped || !this.#isInterrupted || this.#nextRestart === undefined) return;
    this.#timers.clearTimeout(this.#nextRestart);
    this.#nextRestart = this.#timers.setTimeout(() => this.#restart(), RESTART_EVERY_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timers.clearTimeout(this.#connectTimeout);
    this.#timers.clearTimeout(this.#nextRestart);
    this.#timers.clearTimeout(this.#delayedRestart);
  }

  #giveUp(): void {
    this.stop();
    this.#actions.giveUp();
  }

  #onInterrupted(): void {
    if (this.#isInterrupted) return;
    this.#isInterrupted = true;
    this.#restarts = 0;
    if (!this.#isConnecting) this.#actions.interrupted(true);
  }

  #onRestored(): void {
    this.#timers.clearTimeout(this.#nextRestart);
    this.#nextRestart = undefined;
    this.#timers.clearTimeout(this.#delayedRestart);
    if (!this.#isInterrupted) return;
    this.#isInterrupted = false;
    if (!this.#isConnecting) this.#actions.interrupted(false);
  }

  #restart(): void {
    this.#timers.clearTimeout(this.#nextRestart);
    // Without signaling the path can only recover by itself, and a failed one does not.
    const isHopeless = this.#state === "failed" && !this.#actions.canSignal();
    if (this.#restarts >= RESTARTS_MAX || isHopeless) return this.#giveUp();
    this.#restarts += 1;
    this.#nextRestart = this.#timers.setTimeout(() => this.#restart(), RESTART_EVERY_MS);
    if (!this.#actions.canSignal()) return;
    if (!this.#polite) return this.#actions.restart();
    this.#timers.clearTimeout(this.#delayedRestart);
    this.#delayedRestart = this.#timers.setTimeout(() => this.#actions.restart(), POLITE_DELAY_MS);
  }
}
