/**
 * Who was reported by whom, and who is suspended. A report counts as a vote if its room earned one, once per reporter
 * and room, and for few rooms per hour and network. Votes are counted by network, not by session or address: a session
 * costs nothing, and whoever has an IPv6 /48 has 65,536 address buckets. Addresses come as keyed hashes of their
 * buckets; nothing here knows one.
 */
import { takeToken, type TokenBucket } from "./token-bucket.ts";

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
  /** A room has to last this long (milliseconds) for a report from it to count, unless media flowed for both. */
  voteAfterMs: number;
  /** Reports of one network that count in an hour; 0: all. */
  votesPerHour: number;
}

/** A session and the keyed hash of the address bucket it comes from. */
export interface Party {
  sessionId: string;
  /** `undefined` for a session that was forgotten: its address is unknown, which is not an address itself. */
  addressHash: string | undefined;
}

/** One who reports, and its record. */
export interface Reporter extends Party {
  /** Networks that this session came from before: what was voted from there is the same person's. */
  earlierNetworks?: readonly string[];
  /** Rooms that it was in before this one, and in how many of them it has reported or blocked the other one. */
  roomCount?: number;
  roomsRejected?: number;
}

/**
 * The network of an address: its IPv4 /24 or IPv6 /48, as the beginning of the address' keyed hash. The admission makes
 * the hashes so.
 */
export function networkOf(addressHash: string): string {
  return addressHash.slice(0, networkHashChars);
}

/** 48 bits: two networks among the few that report somebody are not taken for one. */
export const networkHashChars = 8;

/**
 * Reports and blocks that are always believed. After them, one that turns against nearly everybody it meets is taken to
 * be the reason itself.
 */
const rejectionsTolerated = 3;
const rejectionShareMax = 0.75;

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
  reporter: Reporter;
  /** Whom the server paired the reporter with in that room; the caller has made sure. */
  reported: Party;
  /** Whether the room earned a vote: media flowed for both, or it lasted. Earlier versions did not say. */
  earned?: boolean;
}

/** What became of a report. */
export interface Verdict {
  /** Whether it was the first of this reporter in this room; another one is no news. */
  first: boolean;
  /** Whether it counts as a vote towards a suspension. */
  counted: boolean;
  /** Who is suspended because of it. */
  suspended: Suspension[];
}

interface ReportRecord {
  /** The networks each reporter has come from, joined, and when it last reported (epoch milliseconds), longest ago first. */
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
  readonly #reports = new Map<string, number>();
  /** By subject, longest unreported first. */
  readonly #records = new Map<string, ReportRecord>();
  readonly #suspensions = new Map<string, Suspension>();
  /** By network, the one that voted least recently first. */
  readonly #votes = new Map<string, TokenBucket>();

  constructor(limits: ModerationLimits) {
    this.#limits = limits;
  }

  /** Whether this reporter's report from this room is known: another one is no news. */
  hasReport({ roomId, reporter }: Pick<Report, "roomId" | "reporter">): boolean {
    return this.#reports.has(reportKeyOf(roomId, reporter));
  }

  /** Whether a report can count at all; the same for all who judge it, whatever else they know. */
  canCount({ reporter, earned = true }: Report): boolean {
    // Reporters are told apart by network: without one, there is nothing to count by.
    return earned && addressOf(reporter) !== undefined && !isHabitualReporter(reporter);
  }

  /**
   * Takes in a report.
   * @param now epoch milliseconds, by which suspensions begin and end.
   * @param steady the same by a clock that never steps, for the windows in which votes count.
   */
  report(report: Report, now: number, steady = now): Verdict {
    this.#forget(steady);
    const { reporter, reported } = report;
    if (this.hasReport(report)) return { first: false, counted: false, suspended: [] };
    this.#reports.set(reportKeyOf(report.roomId, reporter), steady);
    dropPast(this.#reports, this.#limits.recordsMax);
    const network = addressOf(reporter) && networkOf(addressOf(reporter)?.id ?? "");
    if (network === undefined || !this.canCount(report) || !this.#takeVote(network, steady))
      return { first: true, counted: false, suspended: [] };
    const from = [network, ...(reporter.earlierNetworks ?? [])].sort().join(" ");

    const { sessionReporters, addressReporters, sessionMs, addressMs } = this.#limits;
    const [session, address] = [sessionOf(reported), addressOf(reported)];
    const sessionFull = this.#addReporter(session, from, sessionReporters, steady);
    const addressFull = address && this.#addReporter(address, from, addressReporters, steady);
    const suspended: Suspension[] = [];
    if (sessionFull) suspended.push(this.#prolong(session, sessionMs, now));
    if (address && (sessionFull || addressFull))
      suspended.push(this.#prolong(address, addressMs, now));
    return { first: true, counted: true, suspended };
  }

  /** Whether this network still has a vote in this hour; takes it then. */
  #takeVote(network: string, now: number): boolean {
    const { votesPerHour, recordsMax } = this.#limits;
    if (votesPerHour === 0) return true;
    const bucket = this.#votes.get(network) ?? { fullAt: 0 };
    const rate = { perS: votesPerHour / 3600, burst: votesPerHour };
    if (takeToken(bucket, rate, now) > 0) return false;
    this.#votes.delete(network);
    this.#votes.set(network, bucket);
    dropPast(this.#votes, recordsMax);
    return true;
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

  /** Takes in a suspension that was kept elsewhere; one that is known already stays as it is. */
  restore(suspension: Suspension, now: number): void {
    if (!this.#suspensions.has(keyOf(suspension.subject))) this.#put(suspension, now);
  }

  /** Ends a suspension, and forgets what led to it; `false` if there was none. */
  lift(subject: Subject, now: number): boolean {
    const key = keyOf(subject);
    const suspension = this.#suspensions.get(key);
    this.#suspensions.delete(key);
    this.#records.delete(key);
    return suspension !== undefined && suspension.until > now;
  }

  /** Every suspension there is at `now`, the first to end first. */
  list(now: number): Suspension[] {
    return [...this.#suspensions.values()]
      .filter(({ until }) => until > now)
      .sort((a, b) => a.until - b.until);
  }

  /** Adds a reporter; whether there are now so many that the subject is suspended, and its count begins anew. */
  #addReporter(subject: Subject, from: string, enough: number, now: number): boolean {
    if (enough === 0) return false;
    const key = keyOf(subject);
    const { reporters } = this.#records.get(key) ?? { reporters: new Map<string, number>() };
    reporters.delete(from);
    reporters.set(from, now);
    dropBefore(reporters, (at) => at, now - this.#limits.windowMs);
    this.#records.delete(key);
    if (countPersons(reporters.keys()) >= enough) return true;
    this.#records.set(key, { reporters, latest: now });
    dropPast(this.#records, this.#limits.recordsMax);
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
    dropBefore(this.#reports, (at) => at, oldest);
    dropBefore(this.#records, ({ latest }) => latest, oldest);
  }
}

const reportKeyOf = (roomId: string, { sessionId }: Party) => `${roomId} ${sessionId}`;

/** Whether somebody reports or blocks nearly everybody it meets. */
function isHabitualReporter({ roomCount = 0, roomsRejected = 0 }: Reporter): boolean {
  return roomsRejected >= rejectionsTolerated && roomsRejected > rejectionShareMax * roomCount;
}

/** How many persons these reporters are at most: those who share a network, of now or before, are taken for one. */
function countPersons(reporters: Iterable<string>): number {
  let persons: Set<string>[] = [];
  for (const reporter of reporters) {
    const networks = new Set(reporter.split(" "));
    const others = persons.filter((person) => person.isDisjointFrom(networks));
    for (const same of persons)
      if (!others.includes(same)) for (const network of same) networks.add(network);
    persons = [...others, networks];
  }
  return persons.length;
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
