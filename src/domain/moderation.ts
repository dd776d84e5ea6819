/**
 * Who was reported by whom, and who is suspended. A report counts as a vote if its room earned one, once per reporter and room,
 * and for few rooms per hour and network. Votes are counted by network, not by session or address: a session costs nothing, and
 * an IPv6 /48 has 65,536 address buckets. Addresses are given as keyed hashes of their buckets. Where there is an account, the sessions
 * of that account are one reporter and one subject.
 */
import { takeToken, type TokenBucket } from "./token-bucket.ts";

export interface ModerationLimits {
  /** How long a report counts (milliseconds). */
  windowMs: number;
  /**
   * Reporters from distinct addresses within the window that suspend a session, or the account that it belongs to. 0: reports suspend
   * neither.
   */
  sessionReporters: number;
  /**
   * The same for an address, over all its sessions, as a new session costs nothing. Larger, as many peers can share one. 0: an
   * address is suspended only along with a session or account.
   */
  addressReporters: number;
  /** For how long each is suspended (milliseconds); an address for less, as others may get it next. */
  sessionMs: number;
  addressMs: number;
  /** Reports, records and suspensions kept, each. Past that the oldest are dropped, or the suspensions that end soonest. */
  recordsMax: number;
  /** A room has to last this long (milliseconds) for a report from it to count, unless media flowed for both. */
  voteAfterMs: number;
  /** Reports of one network, and of one account, that count in an hour; 0: all. */
  votesPerHour: number;
}

/** A session, its account, and the keyed hash of the bucket of the address that it connects from. */
export interface Party {
  sessionId: string;
  /** `undefined` for a session that was forgotten: its address is unknown. */
  addressHash: string | undefined;
  account?: string | undefined;
}

/** The author of a report. */
export interface Reporter extends Party {
  /** Networks that the session, or its account, connected from before: votes from there count as those of the same person. */
  earlierNetworks?: readonly string[];
  /** Rooms that it, or its account, was in before, and in how many of them it reported or blocked its partner. */
  roomCount?: number;
  roomsRejected?: number;
}

/**
 * The network of an address: its IPv4 /24 or IPv6 /48, as the beginning of the address' keyed hash (see `hashOf` in
 * http/admission.ts).
 */
export function networkOf(addressHash: string): string {
  return addressHash.slice(0, networkHashChars);
}

/** 48 bits: enough to distinguish the few networks that report the same subject. */
export const networkHashChars = 8;

/**
 * Reports and blocks of a session that always count. After them, a session that rejects nearly all its partners is considered
 * to be the cause itself.
 */
const rejectionsTolerated = 3;
const rejectionShareMax = 0.75;

export const subjectKinds = ["account", "session", "address"] as const;

export interface Subject {
  kind: (typeof subjectKinds)[number];
  /** The operator's id of an account, a session's id, or an address bucket's keyed hash. */
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
  /** The partner in that room; the caller has verified it. */
  reported: Party;
  /** Whether the room earned a vote: media flowed for both, or it lasted. Default: true. */
  earned?: boolean;
}

/** The effect of a report. */
export interface Verdict {
  /** Whether it was the reporter's first report of this room; another one changes nothing. */
  first: boolean;
  /** Whether it counts as a vote towards a suspension. */
  counted: boolean;
  /** Suspensions that it caused. */
  suspended: Suspension[];
}

interface ReportRecord {
  /** Each reporter, as a list of its account and networks in JSON, and when it last reported (epoch milliseconds), the longest ago first. */
  reporters: Map<string, number>;
  latest: number;
}

const keyOf = ({ kind, id }: Subject) => `${kind} ${id}`;
const sessionOf = ({ sessionId }: Party): Subject => ({ kind: "session", id: sessionId });
const accountOf = ({ account }: Party): Subject | undefined =>
  account === undefined ? undefined : { kind: "account", id: account };
const addressOf = ({ addressHash }: Party): Subject | undefined =>
  addressHash ? { kind: "address", id: addressHash } : undefined;

export class Moderation {
  readonly #limits: ModerationLimits;
  /** Reporter and room → when it was reported (epoch milliseconds), the oldest first. */
  readonly #reports = new Map<string, number>();
  /** By subject, the least recently reported first. */
  readonly #records = new Map<string, ReportRecord>();
  readonly #suspensions = new Map<string, Suspension>();
  /** By network and by account, the one that has voted least recently first. */
  readonly #votes = new Map<string, TokenBucket>();

  constructor(limits: ModerationLimits) {
    this.#limits = limits;
  }

  /** Whether this reporter has reported this room before. */
  hasReport({ roomId, reporter }: Pick<Report, "roomId" | "reporter">): boolean {
    return this.#reports.has(reportKeyOf(roomId, reporter));
  }

  /** Whether a report can count at all, judged by the report alone. */
  canCount({ reporter, earned = true }: Report): boolean {
    // Reporters are distinguished by network, so one without a network can't be counted.
    return earned && addressOf(reporter) !== undefined && !isHabitualReporter(reporter);
  }

  /**
   * Processes a report.
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
    const account = accountOf(reporter);
    const voter = account && keyOf(account);
    const isCounted =
      network !== undefined &&
      this.canCount(report) &&
      (voter === undefined || this.#takeVote(voter, steady)) &&
      this.#takeVote(network, steady);
    if (!isCounted) return { first: true, counted: false, suspended: [] };
    const networks = new Set([network, ...(reporter.earlierNetworks ?? [])].sort());
    const from = JSON.stringify(voter === undefined ? [...networks] : [voter, ...networks]);

    const { sessionReporters, addressReporters, sessionMs, addressMs } = this.#limits;
    const [person, address] = [accountOf(reported) ?? sessionOf(reported), addressOf(reported)];
    const personFull = this.#addReporter(person, from, sessionReporters, steady);
    const addressFull = address && this.#addReporter(address, from, addressReporters, steady);
    const suspended: Suspension[] = [];
    if (personFull) suspended.push(this.#prolong(person, sessionMs, now));
    if (address && (personFull || addressFull))
      suspended.push(this.#prolong(address, addressMs, now));
    return { first: true, counted: true, suspended };
  }

  /** Whether this network or account still has a vote in this hour; takes it then. */
  #takeVote(voter: string, now: number): boolean {
    const { votesPerHour, recordsMax } = this.#limits;
    if (votesPerHour === 0) return true;
    const bucket = this.#votes.get(voter) ?? { fullAt: 0 };
    const rate = { perS: votesPerHour / 3600, burst: votesPerHour };
    if (takeToken(bucket, rate, now) > 0) return false;
    this.#votes.delete(voter);
    this.#votes.set(voter, bucket);
    dropPast(this.#votes, recordsMax);
    return true;
  }

  /** Until when (epoch milliseconds) a session must stay out, by its own name, its account's or its address'. */
  suspendedUntil(party: Party, now: number): number | undefined {
    if (this.#suspensions.size === 0) return undefined;
    let latest = 0;
    for (const subject of [sessionOf(party), accountOf(party), addressOf(party)]) {
      const until = (subject && this.#suspensions.get(keyOf(subject))?.until) ?? 0;
      if (until > now) latest = Math.max(latest, until);
    }
    return latest || undefined;
  }

  /** An operator's decision. It replaces any suspension of the subject, also a longer one. */
  suspend(subject: Subject, until: number, now: number): Suspension {
    return this.#put({ subject, since: now, until, by: "operator" }, now);
  }

  /** Restores a stored suspension. One that is known already is unchanged. */
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

  /** Adds a reporter. Returns whether there are enough to suspend the subject; then its count starts again at 0. */
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

/** Whether a session reports or blocks nearly all its partners. */
function isHabitualReporter({ roomCount = 0, roomsRejected = 0 }: Reporter): boolean {
  return roomsRejected >= rejectionsTolerated && roomsRejected > rejectionShareMax * roomCount;
}

/** How many persons these reporters are at most: those who share an account or a network, of now or before, are taken for one. */
function countPersons(reporters: Iterable<string>): number {
  let persons: Set<string>[] = [];
  for (const reporter of reporters) {
    const names = new Set(JSON.parse(reporter) as string[]);
    const others = persons.filter((person) => person.isDisjointFrom(names));
    for (const same of persons)
      if (!others.includes(same)) for (const name of same) names.add(name);
    persons = [...others, names];
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
