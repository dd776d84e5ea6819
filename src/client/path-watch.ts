/** Until when the first connection must stand. */
const CONNECT_MS_MAX = 20_000;
/** A path often comes back by itself within this time (W3C WebRTC 1.0, 4.4.3: `disconnected` may be transient). */
const PATIENCE_MS = 3000;
/** Between two restarts: gathering, a round trip of signaling, and the checks must fit in. */
const RESTART_EVERY_MS = 6000;
const RESTARTS_MAX = 4;
/**
 * The polite peer restarts so much later, and not at all if the partner has restarted by then: where both restart at the
 * same moment their offers cross, and Chromium may then decode the picture and not show it any more.
 */
const POLITE_DELAY_MS = 2500;

/** What a path watch may do. */
export interface PathActions {
  /** Restart ICE (RFC 8445, 9). */
  restart(): void;
  /** A restart that was asked for and has not begun is not needed any more. */
  cancelRestart(): void;
  /** Whether a restart could reach the partner. */
  canSignal(): boolean;
  interrupted(broken: boolean): void;
  /** Nothing helped within the bounds. */
  giveUp(): void;
}

/** Watches over the media path of one call: restarts ICE when it breaks, and knows when to stop trying. */
export interface PathWatch {
  /** The connection's `iceConnectionState` is this now. */
  ice(state: RTCIceConnectionState): void;
  /** The call connected for the first time. */
  established(): void;
  /** The machine has slept, or changed its network: what is broken is tried again, at once. */
  wake(): void;
  /** An offer of the partner's has restarted ICE: this side's turn comes only if that does not help. */
  partnerRestarted(): void;
  stop(): void;
}

/**
 * Begins to watch. Gives up when the first connection takes longer than 20 s; after that, when a break
 * outlasts four restarts: 30 s at most.
 * @param polite the role of this peer (see `POLITE_DELAY_MS`).
 */
export function createPathWatch(actions: PathActions, polite: boolean): PathWatch {
  let connecting = true;
  let broken = false;
  let restarts = 0;
  let stopped = false;
  let last: RTCIceConnectionState = "new";
  const deadline = setTimeout(giveUp, CONNECT_MS_MAX);
  let nextRestart: ReturnType<typeof setTimeout> | undefined;
  let delayed: ReturnType<typeof setTimeout> | undefined;

  function giveUp(): void {
    stop();
    actions.giveUp();
  }

  function stop(): void {
    stopped = true;
    clearTimeout(deadline);
    clearTimeout(nextRestart);
    clearTimeout(delayed);
  }

  function breakOff(): void {
    if (broken) return;
    broken = true;
    restarts = 0;
    if (connecting) return;
    actions.interrupted(true);
  }

  function mended(): void {
    clearTimeout(nextRestart);
    nextRestart = undefined;
    clearTimeout(delayed);
    if (!broken) return;
    broken = false;
    if (connecting) return;
    actions.interrupted(false);
  }

  function restart(): void {
    clearTimeout(nextRestart);
    // Where nobody carries signals, only the path itself can come back, and a failed one never does.
    const hopeless = last === "failed" && !actions.canSignal();
    if (restarts >= RESTARTS_MAX || hopeless) return giveUp();
    restarts += 1;
    nextRestart = setTimeout(restart, RESTART_EVERY_MS);
    if (!actions.canSignal()) return;
    if (!polite) return actions.restart();
    clearTimeout(delayed);
    delayed = setTimeout(() => actions.restart(), POLITE_DELAY_MS);
  }

  return {
    ice(state) {
      if (stopped) return;
      last = state;
      if (state === "connected" || state === "completed") return mended();
      if (state === "disconnected") {
        breakOff();
        nextRestart ??= setTimeout(restart, PATIENCE_MS);
      }
      if (state === "failed") {
        const first = !broken || restarts === 0;
        breakOff();
        // Later failures wait for their turn, so that restarts do not chase each other.
        if (first || !actions.canSignal()) restart();
      }
    },
    established() {
      if (stopped) return;
      connecting = false;
      broken = false;
      clearTimeout(deadline);
      clearTimeout(nextRestart);
      nextRestart = undefined;
    },
    wake() {
      if (stopped || connecting || !broken) return;
      restarts = 0;
      restart();
    },
    partnerRestarted() {
      clearTimeout(delayed);
      actions.cancelRestart();
      if (stopped || !broken || nextRestart === undefined) return;
      clearTimeout(nextRestart);
      nextRestart = setTimeout(restart, RESTART_EVERY_MS);
    },
    stop,
  };
}
