/** A sign is sent again this often while the page says that its user types (milliseconds). */
const RENEW_EVERY_MS = 3000;
/** One that is not renewed for so long has lapsed: its end may have been lost (milliseconds). */
const LAPSES_AFTER_MS = 6000;

/** What a call's typing signs bring about. */
export interface TypingSignActions {
  /** Sends a sign to the partner; false if it could not be sent. */
  send(typing: boolean): boolean;
  /** The partner starts or stops typing. Called only when that changes. */
  partnerTypes(typing: boolean): void;
}

/** The typing signs of both sides of one call. */
export interface TypingSign {
  /** The user types, or has stopped. May be called at every key. */
  own(typing: boolean): void;
  /** This user's message has gone out, which ends its sign at the partner. */
  ownMessage(): void;
  /** The partner's sign came. */
  partner(typing: boolean): void;
  /** The partner's message came, which ends its sign. */
  partnerMessage(): void;
  /** Forgets both sides; nothing is called any more. */
  stop(): void;
}

export function createTypingSign(actions: TypingSignActions): TypingSign {
  /** When this user's sign was sent last, by the monotonic clock; undefined while there is none. */
  let sentAt: number | undefined;
  let lapse: ReturnType<typeof setTimeout> | undefined;

  function show(typing: boolean): void {
    const wasTyping = lapse !== undefined;
    clearTimeout(lapse);
    lapse = typing ? setTimeout(() => show(false), LAPSES_AFTER_MS) : undefined;
    if (typing !== wasTyping) actions.partnerTypes(typing);
  }

  return {
    own(typing) {
      if (!typing) {
        if (sentAt !== undefined) actions.send(false);
        sentAt = undefined;
        return;
      }
      const now = performance.now();
      if (sentAt !== undefined && now - sentAt < RENEW_EVERY_MS) return;
      if (actions.send(true)) sentAt = now;
    },
    ownMessage() {
      sentAt = undefined;
    },
    partner: show,
    partnerMessage: () => show(false),
    stop() {
      clearTimeout(lapse);
      lapse = undefined;
      sentAt = undefined;
    },
  };
}
