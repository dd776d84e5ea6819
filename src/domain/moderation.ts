/**
 * Who was reported by whom, and who is suspended. A report counts as a vote if its room earned one, once per reporter and room,
 * and for few rooms per hour and network. Votes are counted by network, not by session or address: a session costs nothing, and
 * an IPv6 /48 has 65,536 address buckets. Addresses are given as keyed hashes of their buckets. Where there is an account, the sessions
 * of that account are one reporter and one subject.
 */
import type { ReportReason, SanctionReason } from "../protocol.ts";
import { reject, type Rejection } from "./rejection.ts";
import { Sanctions } from "./sanctions.ts";
import { takeToken, type TokenBucket } from "./token-bucket.ts";
import { countPersons, mostFrequentReason, type Vote } from "./votes.ts";

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
  /**
   * For how long an account or session is suspended (milliseconds): the first time, the second, and so on; the last applies from then on. For
   * an address they should be shorter, as others may get it next.
   */
  sessionSteps: readonly number[];
  addressSteps: readonly number[];
  /** Whether a warning comes before the first suspension by reports. */
  warns: boolean;
  /** After which a warning or suspension no longer counts towards the next step (milliseconds); 0: never. */
  decayMs: number;
  /** Where whoever is suspended can object: a URL or a text, told along with the suspension. */
  appeal?: string | undefined;
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
  because: SanctionReason;
  /** That of the report which led to it, or one of its own; absent if it is from before there were cases. */
  caseId?: string | undefined;
}

/** What comes before a first suspension. */
export interface Warning {
  subject: Subject;
  /** Epoch milliseconds. */
  at: number;
  because: SanctionReason;
  caseId?: string | undefined;
}

/** The reasons for an operator's decision. */
export interface Grounds {
  /** Default: `operator`. */
  because?: SanctionReason | undefined;
  /** The case that it decides, or under which somebody can object to it. */
  caseId?: string | undefined;
  /** The operator's own reference to its notes. */
  noteId?: string | undefined;
}

export interface Report {
  roomId: string;
  reporter: Reporter;
  /** The partner in that room; the caller has verified it. */
  reported: Party;
  /** Whether the room earned a vote: media flowed for both, or it lasted. Default: true. */
  earned?: boolean;
  /** Default: `other`. */
  reason?: ReportReason | undefined;
  /** Names the report. */
  caseId?: string | undefined;
}

/** The effect of a report. */
export interface Verdict {
  /** Whether it was the reporter's first report of this room; another one changes nothing. */
  first: boolean;
  /** Whether it counts as a vote towards a suspension. */
  counted: boolean;
  /** Suspensions that it caused. */
  suspended: Suspension[];
  /** Warnings that it caused; absent without any. */
  warned?: Warning[];
  /** The reports that are decided by this, by their cases; absent without any. */
  cases?: string[];
}

interface ReportRecord {
  /** The last vote of each reporter, by a list of its account and networks in JSON, the longest ago first. */
  votes: Map<string, Vote>;
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
  readonly #sanctions: Sanctions;
  /** By network and by account, the one that has voted least recently first. */
  readonly #votes = new Map<string, TokenBucket>();

  constructor(limits: ModerationLimits) {
    this.#limits = limits;
    this.#sanctions = new Sanctions(limits);
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

    const { sessionReporters, addressReporters, sessionSteps, addressSteps } = this.#limits;
    const [person, address] = [accountOf(reported) ?? sessionOf(reported), addressOf(reported)];
    const vote = { at: steady, reason: report.reason ?? "other", caseId: report.caseId };
    const ofPerson = this.#addVote(person, from, vote, sessionReporters);
    const ofAddress = address && this.#addVote(address, from, vote, addressReporters);
    const verdict: Verdict = { first: true, counted: true, suspended: [] };
    const because = mostFrequentReason(ofPerson ?? ofAddress ?? []);
    const grounds = { because, caseId: report.caseId };
    if (ofPerson) this.#sanction(verdict, person, sessionSteps, grounds, now);
    // It is suspended along with a person, but not warned: others may have it.
    const isSuspended = verdict.suspended.length > 0;
    if (address && (ofAddress || isSuspended))
      this.#sanction(verdict, address, addressSteps, grounds, now, isSuspended);
    const cases = new Set([...(ofPerson ?? []), ...(ofAddress ?? [])].map(({ caseId }) => caseId));
    cases.delete(undefined);
    if (cases.size > 0) verdict.cases = [...cases] as string[];
    return verdict;
  }

  /** Adds the next step for a subject to a verdict: a warning, or a suspension. */
  #sanction(
    verdict: Verdict,
    subject: Subject,
    steps: readonly number[],
    { because, caseId }: { because: SanctionReason; caseId: string | undefined },
    now: number,
    isCertain = false,
  ): void {
    const before = this.#suspensions.get(keyOf(subject));
    const isSuspended = before !== undefined && before.until > now;
    const step = this.#sanctions.nextStep(keyOf(subject), now, { isCertain });
    const reasons = caseId === undefined ? { because } : { because, caseId };
    if (step === "warning") {
      this.#sanctions.add(keyOf(subject), { at: now });
      (verdict.warned ??= []).push({ subject, at: now, ...reasons });
      return;
    }
    const until = now + (steps[Math.min(step, steps.length - 1)] ?? 0);
    // One that lasts longer stays as it is.
    if (isSuspended && before.until >= until) return void verdict.suspended.push(before);
    const suspension: Suspension = { subject, since: now, until, by: "reports", ...reasons };
    verdict.suspended.push(this.#put(suspension, now));
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

  /** The suspension that keeps a session out the longest: its own, its account's or its address'. */
  suspensionOf(party: Party, now: number): Suspension | undefined {
    if (this.#suspensions.size === 0) return undefined;
    let latest: Suspension | undefined;
    for (const subject of [sessionOf(party), accountOf(party), addressOf(party)]) {
      const one = subject && this.#suspensions.get(keyOf(subject));
      if (one && one.until > now && one.until > (latest?.until ?? 0)) latest = one;
    }
    return latest;
  }

  /** How a session that must stay out is refused; `undefined` for any other. */
  refusalOf(party: Party, now: number): Rejection | undefined {
    const suspension = this.suspensionOf(party, now);
    if (!suspension) return undefined;
    const { until, because, caseId } = suspension;
    const { appeal } = this.#limits;
    return reject("suspended", {
      until,
      because,
      ...(caseId !== undefined && { caseId }),
      ...(appeal !== undefined && { appeal }),
    });
  }

  /** An operator's decision. It replaces any suspension of the subject, also a longer one. */
  suspend(
    subject: Subject,
    until: number,
    now: number,
    { because = "operator", caseId }: Grounds = {},
  ): Suspension {
    const suspension: Suspension = { subject, since: now, until, by: "operator", because };
    return this.#put(caseId === undefined ? suspension : { ...suspension, caseId }, now);
  }

  /** The reports that count against a subject at present, by their cases. */
  casesOf(subject: Subject): string[] {
    const votes = this.#records.get(keyOf(subject))?.votes.values() ?? [];
    return [...votes].flatMap(({ caseId }) => caseId ?? []);
  }

  /** Takes in that a subject was warned, or suspended until then, before: the next step follows from it. */
  recall(subject: Subject, at: number, until?: number): void {
    this.#sanctions.add(keyOf(subject), { at, until });
  }

  /** Takes in that a suspension was lifted before. */
  recallLift(subject: Subject): void {
    this.#sanctions.forget(keyOf(subject));
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
    this.#sanctions.forget(key);
    return suspension !== undefined && suspension.until > now;
  }

  /** Every suspension there is at `now`, the first to end first. */
  list(now: number): Suspension[] {
    return [...this.#suspensions.values()]
      .filter(({ until }) => until > now)
      .sort((a, b) => a.until - b.until);
  }

  /** Adds a vote. Returns the votes that are enough for a sanction of the subject; then its count starts again at 0. */
  #addVote(subject: Subject, from: string, vote: Vote, enough: number): Vote[] | undefined {
    if (enough === 0) return undefined;
    const key = keyOf(subject);
    const { votes } = this.#records.get(key) ?? { votes: new Map<string, Vote>() };
    votes.delete(from);
    votes.set(from, vote);
    dropBefore(votes, ({ at }) => at, vote.at - this.#limits.windowMs);
    this.#records.delete(key);
    if (countPersons(votes.keys()) >= enough) return [...votes.values()];
    this.#records.set(key, { votes, latest: vote.at });
    dropPast(this.#records, this.#limits.recordsMax);
    return undefined;
  }

  #put(suspension: Suspension, now: number): Suspension {
    this.#suspensions.set(keyOf(suspension.subject), suspension);
    const { subject, since: at, until } = suspension;
    this.#sanctions.add(keyOf(subject), { at, until });
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
