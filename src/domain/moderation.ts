/**
 * Who was reported by whom, and who is suspended. Many reports by one are one: a voice belongs to a pairing
 * that the server made, and voices are counted by the address they come from. Addresses come as keyed hashes
 * of their buckets; nothing here knows one.
 */
export interface ModerationLimits {
  /** How long a report counts (milliseconds). */
  windowMs: number;
  /** Reporters from distinct addresses within the window that suspend a session; 0: reports suspend nobody. */
  sessionReporters: number;
  /**
   * The same for an address, whatever sessions it had: a new session costs nothing. Larger, because many
   * share one. 0: an address is suspended only along with a session.
   */
  addressReporters: number;
  /** For how long each is suspended (milliseconds); an address for less, as others may have it next. */
  sessionMs: number;
  addressMs: number;
  /** Voices, accused and suspensions kept, each; past that the oldest lapse, or the soonest to end. */
  recordsMax: number;
}

/** A session and the keyed hash of the address bucket it comes from. */
export interface Party {
  sessionId: string;
  /** `undefined` for a session that was forgotten: its address is unknown, which is not an address itself. */
  addressHash: string | undefined;
}

export interface Subject {
  kind: "session" | "address";
  /** A session's id, or an address bucket's keyed hash. */
  id: string;
}

export interface Suspension {
  subject: Subject;
  /** Epoch milliseconds: suspended from `since` until just before `until`. */
  since: number;
  until: number;
  by: "reports" | "operator";
}

export interface Report {
  roomId: string;
  reporter: Party;
  /** Whom the server paired the reporter with in that room; the caller has made sure. */
  reported: Party;
}

/** What became of a report. */
export interface Verdict {
  /** Whether it was the first of this reporter in this room; another one counts for nothing. */
  counted: boolean;
  /** Who is suspended because of it. */
  suspended: Suspension[];
}

interface Accused {
  /** The reporters' address hashes and when each last reported (epoch milliseconds), longest ago first. */
  reporters: Map<string, number>;
  latest: number;
}

const keyOf = ({ kind, id }: Subject) => `${kind} ${id}`;
const sessionOf = ({ sessionId }: Party): Subject => ({ kind: "session", id: sessionId });
/** Earlier versions recorded `""` for an unknown address. */
const addressOf = ({ addressHash }: Party): Subject | undefined =>
  addressHash ? { kind: "address", id: addressHash } : undefined;

export class Moderation {
  readonly #limits: ModerationLimits;
  /** One per reporter and room → when it was given (epoch milliseconds), oldest first. */
  readonly #voices = new Map<string, number>();
  /** By subject, longest unreported first. */
  readonly #accused = new Map<string, Accused>();
  readonly #suspensions = new Map<string, Suspension>();

  constructor(limits: ModerationLimits) {
    this.#limits = limits;
  }

  /** Counts a report made at `now` (epoch milliseconds, as everywhere here). */
  report({ roomId, reporter, reported }: Report, now: number): Verdict {
    this.#forget(now);
    const from = addressOf(reporter)?.id;
    // Reporters are told apart by address: without one, the report has nothing to count by.
    if (from === undefined) return { counted: false, suspended: [] };
    const voice = `${roomId} ${reporter.sessionId}`;
    if (this.#voices.has(voice)) return { counted: false, suspended: [] };
    this.#voices.set(voice, now);
    dropPast(this.#voices, this.#limits.recordsMax);

    const { sessionReporters, addressReporters, sessionMs, addressMs } = this.#limits;
    const [session, address] = [sessionOf(reported), addressOf(reported)];
    const sessionFull = this.#accuse(session, from, sessionReporters, now);
    const addressFull = address && this.#accuse(address, from, addressReporters, now);
    const suspended: Suspension[] = [];
    if (sessionFull) suspended.push(this.#prolong(session, sessionMs, now));
    if (address && (sessionFull || addressFull))
      suspended.push(this.#prolong(address, addressMs, now));
    return { counted: true, suspended };
  }

  /** Until when (epoch milliseconds) a session must stay out, by its own name or its address'. */
  suspendedUntil(party: Party, now: number): number | undefined {
    if (this.#suspensions.size === 0) return undefined;
    const [own, shared] = [sessionOf(party), addressOf(party)].map((subject) => {
      const until = (subject && this.#suspensions.get(keyOf(subject))?.until) ?? 0;
      return until > now ? until : 0;
    });
    return Math.max(own ?? 0, shared ?? 0) || undefined;
  }

  /** An operator's word: it takes the place of any suspension there was, also of a longer one. */
  suspend(subject: Subject, until: number, now: number): Suspension {
    return this.#put({ subject, since: now, until, by: "operator" }, now);
  }

  /** Ends a suspension, and forgets what led to it; `false` if there was none. */
  lift(subject: Subject, now: number): boolean {
    const key = keyOf(subject);
    const suspension = this.#suspensions.get(key);
    this.#suspensions.delete(key);
    this.#accused.delete(key);
    return suspension !== undefined && suspension.until > now;
  }

  /** Every suspension there is at `now`, the first to end first. */
  list(now: number): Suspension[] {
    return [...this.#suspensions.values()]
      .filter(({ until }) => until > now)
      .sort((a, b) => a.until - b.until);
  }

  /** Adds a reporter; whether there are now so many that the subject is suspended, and its count begins anew. */
  #accuse(subject: Subject, from: string, enough: number, now: number): boolean {
    if (enough === 0) return false;
    const key = keyOf(subject);
    const { reporters } = this.#accused.get(key) ?? { reporters: new Map<string, number>() };
    reporters.delete(from);
    reporters.set(from, now);
    dropBefore(reporters, (at) => at, now - this.#limits.windowMs);
    this.#accused.delete(key);
    if (reporters.size >= enough) return true;
    this.#accused.set(key, { reporters, latest: now });
    dropPast(this.#accused, this.#limits.recordsMax);
    return false;
  }

  /** Suspends for `durationMs`; a suspension that lasts longer stays as it is. */
  #prolong(subject: Subject, durationMs: number, now: number): Suspension {
    const before = this.#suspensions.get(keyOf(subject));
    const until = now + durationMs;
    if (before !== undefined && before.until >= until) return before;
    return this.#put({ subject, since: now, until, by: "reports" }, now);
  }

  #put(suspension: Suspension, now: number): Suspension {
    this.#suspensions.set(keyOf(suspension.subject), suspension);
    if (this.#suspensions.size > this.#limits.recordsMax) {
      for (const [key, { until }] of this.#suspensions)
        if (until <= now) this.#suspensions.delete(key);
      const [soonest] = this.list(now);
      if (soonest && this.#suspensions.size > this.#limits.recordsMax)
        this.#suspensions.delete(keyOf(soonest.subject));
    }
    return suspension;
  }

  /** Drops the reports that count no more. */
  #forget(now: number): void {
    const oldest = now - this.#limits.windowMs;
    dropBefore(this.#voices, (at) => at, oldest);
    dropBefore(this.#accused, ({ latest }) => latest, oldest);
  }
}

/** Drops the first entries, which are the oldest, as far as they are of `oldest` or before. */
function dropBefore<V>(entries: Map<string, V>, timeOf: (value: V) => number, oldest: number) {
  for (const [key, value] of entries) {
    if (timeOf(value) > oldest) return;
    entries.delete(key);
  }
}

/** Drops the first entry of a map that has grown by one past its bound. */
function dropPast(entries: Map<string, unknown>, max: number) {
  const first = entries.keys().next();
  if (entries.size > max && !first.done) entries.delete(first.value);
}
