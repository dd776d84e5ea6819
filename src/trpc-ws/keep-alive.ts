/** Pings peers that are silent, and ends the sockets of those that do not answer. */
import type { Socket } from "./socket.ts";

/** What all sockets' keep-alive timers have in common. */
export interface KeepAliveTiming {
  pingMs: number;
  pongWaitMs: number;
  /** Milliseconds of a monotonic clock. */
  elapsed: () => number;
  schedule: (delayMs: number, task: () => void) => () => void;
}

/** Sockets that are due within this share of `pingMs` are checked together. */
const slotShare = 1 / 1000;

/** Sockets that are checked together, and how many of them are still open. */
interface Slot {
  readonly members: KeepAlive[];
  remaining: number;
  readonly cancel: () => void;
}

/** A timer wheel: one timer for each slot instead of one for each socket, since sockets are far more. */
export class KeepAliveWheel {
  readonly timing: KeepAliveTiming;
  readonly #slotMs: number;
  /** By their time, in slots. */
  readonly #slots = new Map<number, Slot>();

  constructor(timing: KeepAliveTiming) {
    this.timing = timing;
    this.#slotMs = Math.max(1, timing.pingMs * slotShare);
  }

  /** Has the socket checked in `delayMs` milliseconds, or a slot later. */
  enter(keepAlive: KeepAlive, delayMs: number): Slot {
    const now = this.timing.elapsed();
    const number = Math.ceil((now + delayMs) / this.#slotMs);
    const slot = this.#slots.get(number) ?? this.#open(number, number * this.#slotMs - now);
    slot.members.push(keepAlive);
    slot.remaining += 1;
    return slot;
  }

  #open(number: number, delayMs: number): Slot {
    const members: KeepAlive[] = [];
    // The number may be used again once the slot is over.
    const close = () => {
      if (this.#slots.get(number) === slot) this.#slots.delete(number);
    };
    const cancelTimer = this.timing.schedule(delayMs, () => {
      close();
      for (const member of members) member.check();
    });
    const cancel = () => {
      close();
      cancelTimer();
    };
    const slot: Slot = { members, remaining: 0, cancel };
    this.#slots.set(number, slot);
    return slot;
  }
}

/**
 * Pings a silent peer as tRPC's `keepAlive` does. A message only notes the time; the next check finds out how long ago that
 * was, so that a message costs no timer.
 */
export class KeepAlive {
  readonly #wheel: KeepAliveWheel;
  /** Until it has ended: its slot may still hold this for a while. */
  #socket: Socket | undefined;
  #lastMessageAt: number;
  /** When the ping was sent that has not been answered. */
  #pingedAt: number | undefined;
  /** Of the next check; none once it has ended. */
  #slot: Slot | undefined;

  constructor(socket: Socket, wheel: KeepAliveWheel) {
    this.#wheel = wheel;
    this.#socket = socket;
    this.#lastMessageAt = wheel.timing.elapsed();
    this.#slot = wheel.enter(this, wheel.timing.pingMs);
  }

  /** The peer has sent a message, at `now` of the monotonic clock. */
  touch(now: number): void {
    this.#lastMessageAt = now;
    this.#pingedAt = undefined;
  }

  end(): void {
    const slot = this.#slot;
    this.#slot = undefined;
    this.#socket = undefined;
    if (!slot) return;
    slot.remaining -= 1;
    if (slot.remaining === 0) slot.cancel();
  }

  check(): void {
    if (!this.#slot) return;
    const { pingMs, pongWaitMs, elapsed } = this.#wheel.timing;
    const now = elapsed();
    const dueMs =
      this.#pingedAt === undefined
        ? this.#lastMessageAt + pingMs - now
        : this.#pingedAt + pongWaitMs - now;
    if (dueMs > 0) this.#slot = this.#wheel.enter(this, dueMs);
    else if (this.#pingedAt === undefined) {
      this.#pingedAt = now;
      this.#slot = this.#wheel.enter(this, pongWaitMs);
      this.#socket?.send("PING");
    } else this.#socket?.terminate();
  }
}
