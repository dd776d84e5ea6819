/**
 * The lobby's index: every ticket that can be paired now, findable by what it accepts, oldest place first.
 * A ticket stands under each of its interests; under its languages and under its mode only once it accepts
 * that. So whoever looks there too is a match by both sides' wishes, without reading anyone else.
 */
import { accepts, type Acceptance, type Ticket, type Wishes } from "../../domain/ticket.ts";
import type { Mode } from "../../protocol.ts";
import { barred, type Avoider } from "./avoidance.ts";
import { clearBit, countShared, setBit, type BitSet } from "./bit-set";
import { after, TimeBuckets, type Entry } from "./time-buckets";

/** Places are told apart to the second; within one, who came first to the lobby goes first. */
const placeDayMs = 1000;
/** After so many barred ones in a row it is worth asking whether anybody at all is not. */
const barredInARow = 32;

/** A session that waits, to the lobby. */
export interface Waiter<W> extends Avoider<W> {
  readonly ticket: Ticket | undefined;
  /** Where its ticket stands in the index; absent while it is held. Its number must not change meanwhile. */
  standing: readonly Standing<W>[] | undefined;
}

export interface Standing<W> {
  readonly stand: Stand<W>;
  readonly entry: Entry<W>;
}

interface Stand<W> {
  /** Where it is kept, and under which word: it goes when nobody stands there. */
  readonly among: Map<string, Stand<W>>;
  readonly word: string;
  readonly calendar: TimeBuckets<W>;
  /** The numbers of those who stand here. */
  readonly numbers: BitSet;
}

export interface Lobby<W> {
  add(waiter: W): void;
  /**
   * The same wishes in the words of those who wait already: strings that are one object compare several
   * times faster, and a popular word is kept once.
   */
  inKnownWords(wishes: Wishes): Wishes;
  /** Idempotent. */
  remove(waiter: W): void;
  /**
   * The tickets of up to `max` who are not barred, from the stand where the waiter itself stands, or of half as
   * many from each of several; oldest place first.
   */
  candidates(waiter: W, max: number): Ticket[];
  waiting(mode: Mode): number;
}

/** One mode's stands, by what a ticket there accepts: a word of its own, or anybody. */
type Stands<W> = Record<Acceptance, Map<string, Stand<W>>>;

const everybody = "";

/** Into its place among tickets that are in the order of theirs, once. They are few: a loop, and no `sort`. */
function insert(tickets: Ticket[], ticket: Ticket): void {
  if (tickets.includes(ticket)) return;
  let index = tickets.push(ticket) - 1;
  for (; index > 0; index--) {
    const before = tickets[index - 1];
    if (!before || before.queuedSince <= ticket.queuedSince) break;
    tickets[index] = before;
  }
  tickets[index] = ticket;
}

export function createLobby<W extends Waiter<W>>(): Lobby<W> {
  const newStands = (): Stands<W> => ({
    interest: new Map(),
    language: new Map(),
    anybody: new Map(),
  });
  const index: Record<Mode, Stands<W>> = {
    video: newStands(),
    audio: newStands(),
    text: newStands(),
  };
  const waiting: Record<Mode, number> = { video: 0, audio: 0, text: 0 };

  function standAt(among: Map<string, Stand<W>>, word: string): Stand<W> {
    let stand = among.get(word);
    if (!stand) {
      stand = { among, word, calendar: new TimeBuckets(placeDayMs), numbers: new Map() };
      among.set(word, stand);
    }
    return stand;
  }

  /** Where a ticket stands, and just as well where it looks. */
  function standsOf({ wishes, accepts: acceptance }: Ticket): Stand<W>[] {
    const { interest, language, anybody } = index[wishes.mode];
    const stands: Stand<W>[] = [];
    for (const word of wishes.interests) stands.push(standAt(interest, word));
    if (accepts(acceptance, "language"))
      for (const word of wishes.languages) stands.push(standAt(language, word));
    if (accepts(acceptance, "anybody")) stands.push(standAt(anybody, everybody));
    return stands;
  }

  /** Whether everybody else at the stand is barred for the waiter, who stands there too. */
  function allBarred(waiter: W, { calendar, numbers }: Stand<W>): boolean {
    return waiter.barred !== undefined && countShared(waiter.barred, numbers) === calendar.size - 1;
  }

  return {
    add(waiter) {
      const { ticket, number } = waiter;
      if (!ticket) return;
      waiting[ticket.wishes.mode] += 1;
      const standing: Standing<W>[] = [];
      for (const stand of standsOf(ticket)) {
        if (number !== undefined) setBit(stand.numbers, number);
        standing.push({ stand, entry: stand.calendar.add(ticket.queuedSince, waiter) });
      }
      waiter.standing = standing;
    },
    inKnownWords(wishes) {
      if (wishes.interests.length === 0) return wishes;
      const known = index[wishes.mode].interest;
      const interests: string[] = [];
      for (const word of wishes.interests) interests.push(known.get(word)?.word ?? word);
      return { ...wishes, interests };
    },
    remove(waiter) {
      const { ticket, standing, number } = waiter;
      if (!ticket || !standing) return;
      waiting[ticket.wishes.mode] -= 1;
      for (const { stand, entry } of standing) {
        if (number !== undefined) clearBit(stand.numbers, number);
        stand.calendar.remove(entry);
        if (stand.calendar.size === 0) stand.among.delete(stand.word);
      }
      waiter.standing = undefined;
    },
    candidates(waiter, max) {
      const found: Ticket[] = [];
      const standing = waiter.standing ?? [];
      const countMax = standing.length > 1 ? Math.ceil(max / 2) : max;
      for (const { stand } of standing) {
        let count = 0;
        let passed = 0;
        for (let entry = stand.calendar.first; entry && count < countMax; entry = after(entry)) {
          const { value } = entry;
          if (value === waiter || !value.ticket) continue;
          if (barred(waiter, value)) {
            if (++passed === barredInARow && count === 0 && allBarred(waiter, stand)) break;
            continue;
          }
          count += 1;
          insert(found, value.ticket);
        }
      }
      return found;
    },
    waiting: (mode) => waiting[mode],
  };
}
