/** How long a first press waits for the second. */
const ARMED_MS = 4000;

/** What loses a stranger for good takes two presses, so that nobody is lost by accident. */
export interface SecondPress {
  /** A press: the first arms, the second within four seconds acts. */
  press(): void;
  /** Forgets a first press. */
  disarm(): void;
}

/** Binds two presses. `armed` is told of each change, to show it; `needed` says whether one is enough. */
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
