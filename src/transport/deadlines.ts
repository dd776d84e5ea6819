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
  /** Milliseconds of a monotonic clock. */
  elapsed: () => number;
  schedule: (delayMs: number, task: () => void) => () => void;
}

/** Sockets whose time comes within so much of a ping's wait are looked at together. */
const roundShare = 1 / 1000;

/** Those who are looked at together, and how many of them are still there. */
interface Round {
  readonly members: KeepAlive[];
  left: number;
  /** Gives the round up. */
  readonly cancel: () => void;
}

/** The rounds of all sockets: a timer for each of these, and none for each socket, since those are far more. */
export class KeepAlives {
  readonly timing: Timing;
  readonly #roundMs: number;
  /** By their time, in rounds. */
  readonly #rounds = new Map<number, Round>();

  constructor(timing: Timing) {
    this.timing = timing;
    this.#roundMs = Math.max(1, timing.deadlines.pingMs * roundShare);
  }

  /** Lets it be looked at in `delayMs` milliseconds, or a round later. */
  enter(keepAlive: KeepAlive, delayMs: number): Round {
    const now = this.timing.elapsed();
    const number = Math.ceil((now + delayMs) / this.#roundMs);
    const round = this.#rounds.get(number) ?? this.#open(number, number * this.#roundMs - now);
    round.members.push(keepAlive);
    round.left += 1;
    return round;
  }

  #open(number: number, delayMs: number): Round {
    const members: KeepAlive[] = [];
    // Its number may be given again once it is over.
    const close = () => {
      if (this.#rounds.get(number) === round) this.#rounds.delete(number);
    };
    const cancelTimer = this.timing.schedule(delayMs, () => {
      close();
      for (const member of members) member.look();
    });
    const cancel = () => {
      close();
      cancelTimer();
    };
    const round: Round = { members, left: 0, cancel };
    this.#rounds.set(number, round);
    return round;
  }
}

/**
 * Pings a peer that is quiet, as tRPC's `keepAlive` does. Hearing from it only notes the time: the next look sees how
 * long ago that was, so that a message costs no timer.
 */
export class KeepAlive {
  readonly #all: KeepAlives;
  /** Until it has ended: its round may still hold this for a while. */
  #socket: Socket | undefined;
  #heardAt: number;
  /** When the ping was sent that has not been answered. */
  #pingedAt: number | undefined;
  /** Of the next look; none once it has ended. */
  #round: Round | undefined;

  constructor(socket: Socket, all: KeepAlives) {
    this.#all = all;
    this.#socket = socket;
    this.#heardAt = all.timing.elapsed();
    this.#round = all.enter(this, all.timing.deadlines.pingMs);
  }

  /** Any message of the peer's, whatever it says. */
  heard(): void {
    this.#heardAt = this.#all.timing.elapsed();
    this.#pingedAt = undefined;
  }

  end(): void {
    const round = this.#round;
    this.#round = undefined;
    this.#socket = undefined;
    if (!round) return;
    round.left -= 1;
    if (round.left === 0) round.cancel();
  }

  look(): void {
    if (!this.#round) return;
    const { deadlines } = this.#all.timing;
    const now = this.#all.timing.elapsed();
    if (this.#pingedAt === undefined) {
      if (this.#isEarly(this.#heardAt + deadlines.pingMs - now)) return;
      this.#pingedAt = now;
      this.#round = this.#all.enter(this, deadlines.pongWaitMs);
      this.#socket?.send("PING");
    } else {
      if (this.#isEarly(this.#pingedAt + deadlines.pongWaitMs - now)) return;
      this.#socket?.terminate();
    }
  }

  /** Whether nothing is due for another `dueMs`, because the peer was heard from: then it is looked at again at that time. */
  #isEarly(dueMs: number): boolean {
    if (dueMs <= 0) return false;
    this.#round = this.#all.enter(this, dueMs);
    return true;
  }
}
