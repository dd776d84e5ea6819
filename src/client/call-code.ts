/**
 * The code of rooms with media, which a page need not load before its peer looks for a partner. It is loaded before the first event stream is
 * opened: no room can come before that.
 */
import type { createCall } from "./call.ts";
import type { Timers } from "./platform.ts";
import type { StandingOffers } from "./standing-offers.ts";

/**
 * Milliseconds before each further try. A phone may be without a network for a while; but a part that is gone, as after a deploy, stays
 * away.
 */
const RETRIES_MS = [1000, 2000, 4000, 8000, 15_000];

export interface CallCode {
  readonly createCall: typeof createCall;
  readonly StandingOffers: typeof StandingOffers;
}

/**
 * Loads it, for half a minute if necessary.
 *
 * @throws what the last try has failed with.
 */
export async function loadCallCode(timers: Timers, load = importCallCode): Promise<CallCode> {
  for (const delayMs of RETRIES_MS) {
    try {
      return await load();
    } catch {
      await new Promise<void>((resolve) => timers.setTimeout(resolve, delayMs));
    }
  }
  return load();
}

async function importCallCode(): Promise<CallCode> {
  const [{ createCall }, { StandingOffers }] = await Promise.all([
    import("./call.ts"),
    import("./standing-offers.ts"),
  ]);
  return { createCall, StandingOffers };
}
