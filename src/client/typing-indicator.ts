/** The typing indicators of both sides: renewed while a user types, and expired when their end is lost. */
import { browserTimers, type Timer, type Timers } from "./platform.ts";

/** While the user keeps typing, the indicator is sent again after this time (milliseconds). */
const RENEW_EVERY_MS = 3000;
/** An indicator that is not renewed expires after this time, because its end may have been lost (milliseconds). */
const EXPIRES_AFTER_MS = 6000;

/** What a typing indicator does. */
export interface TypingIndicatorActions {
  /** Sends the indicator to the partner. Returns false if that is not possible. */
  send(typing: boolean): boolean;
  /** The partner starts or stops typing. Called only on a change. */
  partnerTyping(typing: boolean): void;
}

/** The typing indicators of both sides of a call. */
export interface TypingIndicator {
  /** The user types, or has stopped. May be called on every key press. */
  setOwn(typing: boolean): void;
  /** A message of this user was sent, which ends the indicator at the partner. */
  ownMessageSent(): void;
  /** The partner's indicator was received; a message of the partner ends it. */
  setPartner(typing: boolean): void;
  /** Resets both sides. Calls no action. */
  stop(): void;
}

export function createTypingIndicator(
  actions: TypingIndicatorActions,
  { setTimeout, clearTimeout }: Timers = browserTimers,
): TypingIndicator {
  /** When the own indicator was last sent, by the monotonic clock; undefined while it is off. */
  let sentAtMs: number | undefined;
  let expiry: Timer | undefined;

  function setPartner(typing: boolean): void {
    const wasTyping = expiry !== undefined;
    clearTimeout(expiry);
    expiry = typing ? setTimeout(() => setPartner(false), EXPIRES_AFTER_MS) : undefined;
    if (typing !== wasTyping) actions.partnerTyping(typing);
  }

  return {
    setOwn(typing) {
      if (!typing) {
        if (sentAtMs !== undefined) actions.send(false);
        sentAtMs = undefined;
        return;
      }
      const nowMs = performance.now();
      if (sentAtMs !== undefined && nowMs - sentAtMs < RENEW_EVERY_MS) return;
      if (actions.send(true)) sentAtMs = nowMs;
    },
    ownMessageSent() {
      sentAtMs = undefined;
    },
    setPartner,
    stop() {
      clearTimeout(expiry);
      expiry = undefined;
      sentAtMs = undefined;
    },
  };
}
