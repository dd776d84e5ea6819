/** Buttons that take two presses, as they end a call for good. */

/** How long a second press is accepted after the first (milliseconds). */
const ARMED_MS = 4000;

/** Actions that end a call for good take two presses, so that one accidental press ends none. */
export interface SecondPress {
  /** A press: the first arms, the second within four seconds acts. */
  press(): void;
  /** Cancels a first press. */
  disarm(): void;
}

/** Creates a two-press action. `needed` returns whether a second press is required; `armed` is called when that state changes. */
export function createSecondPress(parts: {
  needed(): boolean;
  armed(armed: boolean): void;
  act(): void;
}): SecondPress {
  let timer: ReturnType<typeof setTimeout> | undefined;

  function disarm(): void {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    parts.armed(false);
  }

  return {
    press() {
      if (timer === undefined && parts.needed()) {
        timer = setTimeout(disarm, ARMED_MS);
        return parts.armed(true);
      }
      disarm();
      parts.act();
    },
    disarm,
  };
}
