/** How long a socket may be silent, and what happens then. */
import type { Socket } from "./socket.ts";

/** In milliseconds. */
export interface SocketDeadlines {
  /** An application ping after this much quiet from the peer, whatever is sent to it. */
  pingMs: number;
  /** How long its answer may take. */
  pongWaitMs: number;
  /** How long the first message may take where the URL announces one (`connectionParams=1`). */
  firstMessageMs: number;
}

export const defaultDeadlines: SocketDeadlines = {
  pingMs: 10_000,
  pongWaitMs: 5_000,
  firstMessageMs: 10_000,
};

/** What every socket's timers are made with. */
export interface Timing {
  deadlines: SocketDeadlines;
  /** Epoch milliseconds. */
  now: () => number;
  schedule: (delayMs: number, task: () => void) => () => void;
}

/**
 * Pings a peer that is quiet, as tRPC's `keepAlive` does. Hearing from it only notes the time: the one timer
 * looks, when it fires, how long ago that was, so that a message costs no timer.
 */
export class KeepAlive {
  readonly #socket: Socket;
  readonly #timing: Timing;
  #heardAt: number;
  #pinged = false;
  #cancel: () => void;

  constructor(socket: Socket, timing: Timing) {
    this.#socket = socket;
    this.#timing = timing;
    this.#heardAt = timing.now();
    this.#cancel = timing.schedule(timing.deadlines.pingMs, this.#look);
  }

  /** Any message of the peer's, whatever it says. */
  heard(): void {
    this.#heardAt = this.#timing.now();
    this.#pinged = false;
  }

  end(): void {
    this.#cancel();
  }

  readonly #look = () => {
    const { deadlines, now, schedule } = this.#timing;
    if (this.#pinged) return this.#socket.terminate();
    // A clock that was set back makes nobody wait longer than for one ping.
    const dueMs = Math.min(this.#heardAt + deadlines.pingMs - now(), deadlines.pingMs);
    if (dueMs > 0) {
      this.#cancel = schedule(dueMs, this.#look);
      return;
    }
    this.#pinged = true;
    this.#cancel = schedule(deadlines.pongWaitMs, this.#look);
    this.#socket.send("PING");
  };
}
