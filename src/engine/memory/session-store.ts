/** The sessions in memory, with all that is derived from them: lobby index, counts, deadlines. It applies changes. */
import type { Avoidance, Change, RoomChange } from "../../domain/change.ts";
import { stageOf, toLogText, withOffer } from "../../domain/event-log.ts";
import { lobbyOf } from "../../domain/lobby.ts";
import type { Subject } from "../../domain/moderation.ts";
import { partnerIdOf, withStanding, type RoomEnd, type Session } from "../../domain/session.ts";
import type { Before } from "../../domain/lifecycle.ts";
import { nextRelaxation } from "../../domain/ticket.ts";
import { retentionMsMin, tokenLifeMs } from "../constants.ts";
import type { DeadlineNotifier } from "../deadline-notifier.ts";
import type { EngineOptions, TicketVersion } from "../engine.ts";
import { Account, StoredSession, type OpenStream, type Person } from "./stored-session.ts";
import { createAvoidanceGraph, type AvoidanceGraph } from "./avoidance.ts";
import { BlockerRetention } from "./blocker-retention.ts";
import { cancel, Deadlines, type Cooldown } from "./deadlines.ts";
import { Lobbies } from "./lobbies.ts";
import { LobbyIndex } from "./lobby-index.ts";
import { StandingOffers } from "./standing-offers.ts";

export class SessionStore {
  readonly lobby: LobbyIndex<StoredSession>;
  readonly lobbies = new Lobbies();
  readonly deadlines: Deadlines;
  readonly offers: StandingOffers;
  onRoomEnded: (end: RoomEnd) => void = () => {};
  /** Called before a change is applied, if there is anybody to tell. */
  onChange: ((change: Change<unknown>, before: Before) => void) | undefined;
  readonly #sessions = new Map<string, StoredSession>();
  readonly #accounts = new Map<string, Account>();
  readonly #avoidance: AvoidanceGraph<Person>;
  readonly #blockers: BlockerRetention;
  readonly #now: () => number;
  readonly #options: EngineOptions;
  readonly #retentionMs: number;

  constructor(now: () => number, options: EngineOptions, notifier: DeadlineNotifier) {
    this.#now = now;
    this.#options = options;
    this.lobby = new LobbyIndex(options.dimensions);
    this.deadlines = new Deadlines(notifier);
    this.#avoidance = createAvoidanceGraph(options.avoidsMax);
    this.#blockers = new BlockerRetention(options.blocks);
    this.offers = new StandingOffers(options.standby);
    this.#retentionMs = Math.max(retentionMsMin, options.skipCooldownMs);
  }

  /** All that are kept, also those that are absent. */
  sessions(): Iterable<StoredSession> {
    return this.#sessions.values();
  }

  get(id: string): StoredSession | undefined {
    return this.#sessions.get(id);
  }

  /** The session whose ticket this is, if it is still this version. */
  ticketAt({ sessionId, revision }: TicketVersion): StoredSession | undefined {
    const session = this.#sessions.get(sessionId);
    return session?.value.ticket?.revision === revision ? session : undefined;
  }

  create(id: string, addressHash: string | undefined, account: string | undefined): StoredSession {
    const of = account === undefined ? undefined : this.#accountNamed(account);
    const session = new StoredSession(id, addressHash, of);
    this.#sessions.set(id, session);
    of?.sessions.add(session);
    return session;
  }

  #accountNamed(name: string): Account {
    let account = this.#accounts.get(name);
    if (!account) {
      account = new Account(name);
      this.#accounts.set(name, account);
      this.#avoidance.avoidItself(account);
    }
    this.#blockers.remove(account);
    if (account.scheduled) cancel(account.scheduled);
    account.scheduled = undefined;
    return account;
  }

  /** Keeps a session again that was forgotten: its token is still valid, and so must be a block or report of it. */
  revive(id: string, accountName: string | undefined): StoredSession {
    const session = this.create(id, undefined, accountName);
    const lostAt = this.#now();
    session.value = { ...session.value, lostAt };
    const { retentions } = this.deadlines;
    session.scheduled = this.deadlines.schedule(retentions, lostAt + this.#retentionMs, session);
    return session;
  }

  /** The other member of the session's room. */
  partnerOf({ value: { id, room } }: StoredSession): StoredSession | undefined {
    return room && this.#sessions.get(partnerIdOf(id, room));
  }

  /** All to which a suspension of the subject applies. */
  sessionsOf({ kind, id }: Subject): StoredSession[] {
    if (kind === "account") return [...(this.#accounts.get(id)?.sessions ?? [])];
    const session = this.#sessions.get(id);
    if (kind === "session") return session ? [session] : [];
    return [...this.#sessions.values()].filter(({ value }) => value.addressHash === id);
  }

  clear(): void {
    this.#sessions.clear();
    this.#accounts.clear();
    this.offers.clear();
  }

  // -------------------------------------------------------------------------------------------
  // Changes

  /**
   * Applies a change as a whole, then wakes the streams that have something to read. Returns its result.
   * @param member the session that the change is about.
   * @param partner the other session that the transition was given.
   */
  apply<Result>(
    change: Change<Result>,
    member: StoredSession,
    partner: StoredSession | undefined,
  ): Result {
    const { partner: nextPartner, avoidances, room, events, result } = change;
    if (nextPartner && !partner) throw new Error("a partner that is changed must be given");
    this.onChange?.(change, { member: member.value, partner: partner?.value });
    // Before it is dropped by the change.
    const { offerOf } = events.find((one) => one.offerOf !== undefined) ?? {};
    const offer = offerOf === undefined ? undefined : this.offers.of(offerOf);
    this.#replace(member, change.member);
    if (partner && nextPartner) this.#replace(partner, nextPartner);
    for (const avoidance of avoidances) this.#avoid(avoidance);
    this.#index(member);
    if (partner && nextPartner) this.#index(partner);
    if (room) this.#changeRoom(room);
    let isMemberToRead = false;
    let isPartnerToRead = false;
    for (const { sessionId, event, offerOf: withOfferOf } of events) {
      const isForMember = sessionId === member.id;
      const complete = toLogText(event);
      const text =
        withOfferOf === undefined || offer === undefined ? complete : withOffer(complete, offer);
      (isForMember ? member : partner)?.log?.append(text, stageOf(text));
      if (isForMember) isMemberToRead = true;
      else isPartnerToRead = true;
    }
    if (isMemberToRead) wakeAll(member.streams);
    if (isPartnerToRead && partner) wakeAll(partner.streams);
    return result;
  }

  #replace(stored: StoredSession, next: Session): void {
    const before = stored.value;
    // A ticket leaves the index before anything changes that the index is built from.
    if (stored.indexEntries && (before.ticket !== next.ticket || !next.present))
      this.#unindex(stored);
    stored.value = next;
    if (before.standby && !next.standby) this.offers.drop(next.id);
    // What is the same as before may be out of date: see `StoredSession.current`.
    if (stored.account && withStanding(next, before) !== next) stored.account.standing = next;
    this.#countPresence(before, next);
    if (next.present && !before.present) this.#blockers.remove(stored);
    if (before.graceUntil !== next.graceUntil || before.lostAt !== next.lostAt)
      this.#scheduleAbsence(stored, next);
  }

  #countPresence(before: Session, next: Session): void {
    const [from, to] = [lobbyOf(before), lobbyOf(next)];
    if (before.present === next.present && (from === to || !next.present)) return;
    if (next.present) this.lobbies.countOnline(to, 1);
    if (before.present) this.lobbies.countOnline(from, -1);
  }

  /** Of an absent session either the end of its grace is scheduled, or that it is forgotten. */
  #scheduleAbsence(stored: StoredSession, { graceUntil, keepUntil, lostAt }: Session): void {
    this.#unschedule(stored);
    const { graces, keeps, retentions } = this.deadlines;
    if (graceUntil !== undefined) {
      const buckets = graceUntil === keepUntil ? keeps : graces;
      stored.scheduled = this.deadlines.schedule(buckets, graceUntil, stored);
    }
    if (lostAt === undefined) return;
    stored.log = undefined;
    stored.scheduled = this.deadlines.schedule(retentions, lostAt + this.#retentionMs, stored);
  }

  #index(stored: StoredSession): void {
    const { ticket, present } = stored.value;
    if (!ticket || !present || stored.indexEntries) return;
    this.lobby.add(stored);
    this.lobbies.countTicket(ticket.wishes.lobby, ticket.wishes.mode, 1);
    const now = this.#now();
    const relaxesAt = nextRelaxation(ticket, now, this.#options.relax);
    if (relaxesAt !== undefined)
      stored.scheduled = this.deadlines.scheduleRelaxation(relaxesAt, now, stored);
  }

  /** Also cancels its relaxation: only a ticket that is in the index has one. */
  #unindex(stored: StoredSession): void {
    const { ticket } = stored.value;
    this.lobby.remove(stored);
    if (ticket) this.lobbies.countTicket(ticket.wishes.lobby, ticket.wishes.mode, -1);
    this.#unschedule(stored);
  }

  #unschedule(stored: StoredSession): void {
    if (stored.scheduled) cancel(stored.scheduled);
    stored.scheduled = undefined;
  }

  #avoid({ sessionId, otherId, until }: Avoidance): void {
    const session = this.#sessions.get(sessionId);
    const other = this.#sessions.get(otherId);
    if (!session || !other) return;
    const { person } = session;
    this.#avoidance.avoid(person, other.person, until);
    if (Number.isFinite(until))
      this.deadlines.startCooldown({ one: person, other: other.person, until });
  }

  #changeRoom(change: RoomChange): void {
    const { lobby, mode } = change.room;
    if (change.kind === "began") {
      this.lobbies.countRoom(lobby, mode, 1);
      const { waitedMs } = change;
      if (waitedMs !== undefined) this.lobbies.recordWait(lobby, mode, waitedMs, this.#now());
    } else if (change.kind === "restored") this.lobbies.countRoom(lobby, mode, 1);
    else if (change.kind === "ended") {
      this.lobbies.countRoom(lobby, mode, -1);
      this.onRoomEnded(change.end);
    }
  }

  // -------------------------------------------------------------------------------------------
  // Deadlines

  /** A cooldown is over. If both wait they may meet now, and no event would tell them: the first one looks again. */
  endCooldown({ one, other, until }: Cooldown): string[] {
    const ended = this.#avoidance.expire(one, other, until);
    return ended && waitingOf(other).length > 0 ? waitingOf(one) : [];
  }

  /** Forgets a session that has been gone for long; later if it blocks another one, or is blocked. */
  expire(session: StoredSession): string[] {
    session.scheduled = undefined;
    if (!this.#avoidance.blocks(session)) return this.forget(session);
    // What costs memory and is not needed for so long.
    session.results = undefined;
    session.value = { ...session.value, recentRooms: [], wishes: undefined };
    const { blockerRetentions } = this.deadlines;
    const at = (session.value.lostAt ?? this.#now()) + tokenLifeMs;
    session.scheduled = this.deadlines.schedule(blockerRetentions, at, session);
    this.#keepBlocker(session, session.value.addressHash);
    return [];
  }

  /** Forgets others in its place if there are too many. */
  #keepBlocker(person: Person, addressHash: string | undefined): void {
    for (const dropped of this.#blockers.add(person, addressHash)) {
      if (dropped instanceof Account) {
        if (dropped.scheduled) cancel(dropped.scheduled);
        this.forgetAccount(dropped);
      } else {
        this.#unschedule(dropped);
        this.forget(dropped);
      }
    }
  }

  forget(session: StoredSession): string[] {
    const { account } = session;
    this.#blockers.remove(session);
    this.#avoidance.forget(session);
    this.#sessions.delete(session.id);
    account?.sessions.delete(session);
    if (account?.sessions.size === 0) this.#retire(account, session.value);
    return [];
  }

  /** The last session of an account is forgotten. */
  #retire(account: Account, { lostAt, addressHash }: Session): void {
    if (!this.#avoidance.blocks(account)) return void this.forgetAccount(account);
    const at = (lostAt ?? this.#now()) + tokenLifeMs;
    const { accountRetentions } = this.deadlines;
    account.scheduled = this.deadlines.schedule(accountRetentions, at, account);
    this.#keepBlocker(account, addressHash);
  }

  forgetAccount(account: Account): string[] {
    this.#blockers.remove(account);
    this.#avoidance.forget(account);
    this.#accounts.delete(account.name);
    return [];
  }
}

/** Those of a person's sessions that wait. */
function waitingOf({ sessions }: Person): string[] {
  const waiting: string[] = [];
  for (const { id, value } of sessions) if (value.ticket) waiting.push(id);
  return waiting;
}

/** Wakes streams. A reader may close its stream at once, and so change the list. */
export function wakeAll(streams: readonly OpenStream[]): void {
  if (streams.length === 1) return streams[0]?.wake();
  for (const { wake } of streams.slice()) wake();
}
