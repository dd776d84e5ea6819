/**
 * Which addresses make sessions, or are reported, faster than usual: those are challenged where challenges are adaptive. Counted on
 * each node by itself, by the bucket of the address, in token buckets that cost nothing once they are full again.
 */
import { RateLimiter } from "../rate-limiter.ts";

/** Sessions of an address that join without a challenge: a household, and those who clear their storage. */
const sessionsRate = { perS: 1 / 60, burst: 10 };
/** Reports that count against sessions of an address: with the third one within an hour it is challenged, until that hour is over. */
const reportsRate = { perS: 1 / 3600, burst: 3 };

export class AddressActivity {
  readonly #sessions: RateLimiter;
  readonly #reports: RateLimiter;

  /** @param elapsed the monotonic clock, in milliseconds. */
  constructor(elapsed: () => number) {
    this.#sessions = new RateLimiter(sessionsRate, elapsed);
    this.#reports = new RateLimiter(reportsRate, elapsed);
  }

  /** A session joins for the first time. Whether that is as usual; if not, it is not counted. */
  takeSession(addressHash: string): boolean {
    return this.#sessions.take(addressHash) === 0;
  }

  /** A report has counted against a session of the address. */
  reported(addressHash: string): void {
    this.#reports.take(addressHash);
  }

  isReported(addressHash: string): boolean {
    const wait = this.#reports.take(addressHash);
    if (wait === 0) this.#reports.giveBack(addressHash, 1);
    return wait > 0;
  }
}
