/** What the tests make engines with, unless one is about something else: the defaults, and skipping and intents are free. */
import type { EngineOptions } from "../../src/engine/engine.ts";

export const engineOptions: EngineOptions = {
  graceMs: 15_000,
  skipCooldownMs: 300_000,
  skipping: { burst: 0, forgetMs: 3000, delayMs: 1000, delayMsMax: 30_000 },
  intents: { perS: 0, burst: 1 },
  moderation: {
    windowMs: 3_600_000,
    sessionReporters: 3,
    addressReporters: 9,
    sessionSteps: [86_400_000],
    addressSteps: [3_600_000],
    warns: false,
    decayMs: 0,
    recordsMax: 1000,
    voteAfterMs: 5000,
    votesPerHour: 10,
  },
  avoidsMax: 1024,
  standby: { bytesMax: 1_000_000, bytesPerAddressMax: 300_000 },
  blocks: { blockersMax: 1000, blockersPerAddressMax: 100 },
  relax: { languageAfterMs: 5000, anybodyAfterMs: 10_000 },
};
