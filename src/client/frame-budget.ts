/** How much may be sent or received over the data channel: a token bucket in characters. */

/** Added for each frame, so that many small ones cost something, too. */
const FRAME_COST = 256;

/**
 * What may be sent at once, and what of that is replenished per second, in characters of frames and 256 for each. At that cost a sender has at
 * most 228 messages a second of its application, and a chat message of usual length every 20 ms.
 */
const sent = { atOnce: 128 * 1024, data: 64 * 1024, chat: 16 * 1024 };

/**
 * What is taken of a partner. More than a partner with the same limits sends: `atOnce` also has room for the smallest messages that pile up in
 * 64 KiB while the path is interrupted.
 */
const received = { atOnce: 1024 * 1024, data: 256 * 1024, chat: 32 * 1024 };

/** Data of the application has a budget of its own, so that it never takes that of chat and typing. */
export class FrameBudget {
  readonly #limits: typeof sent;
  readonly #left: Record<"data" | "chat", { amount: number; atMs: number }>;

  constructor(direction: "sent" | "received") {
    this.#limits = direction === "sent" ? sent : received;
    const { atOnce: amount } = this.#limits;
    const atMs = performance.now();
    this.#left = { data: { amount, atMs }, chat: { amount, atMs } };
  }

  /** Takes a frame off the budget. False if there is not enough left. */
  take(kind: "data" | "chat", chars: number): boolean {
    const left = this.#left[kind];
    const nowMs = performance.now();
    const more = ((nowMs - left.atMs) / 1000) * this.#limits[kind];
    left.amount = Math.min(this.#limits.atOnce, left.amount + more);
    left.atMs = nowMs;
    const cost = chars + FRAME_COST;
    if (left.amount < cost) return false;
    left.amount -= cost;
    return true;
  }
}
