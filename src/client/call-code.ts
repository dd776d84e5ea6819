/**
 * The code of rooms with media, which a page need not load before its peer looks for a partner. It is loaded before the first event stream is
 * opened: no room can come before that.
 */
import type { createCall } from "./call.ts";
import type { Timers } from "./platform.ts";
import type { StandingOffers } from "./standing-offers.ts";

/** Milliseconds after which a part that could not be loaded is requested again. */
const RETRY_MS = 1000;

export interface CallCode {
  readonly createCall: typeof createCall;
  readonly StandingOffers: typeof StandingOffers;
}

/** Loads it, again and again until that succeeds. */
export async function loadCallCode(timers: Timers): Promise<CallCode> {
  for (;;) {
    try {
      const [call, standing] = await Promise.all([
        import("./call.ts"),
        import("./standing-offers.ts"),
      ]);
      return { createCall: call.createCall, StandingOffers: standing.StandingOffers };
    } catch {
      await new Promise<void>((resolve) => timers.setTimeout(resolve, RETRY_MS));
    }
  }
}
