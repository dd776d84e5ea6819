/**
 * The lobby's index: every ticket that can be paired now, findable by what it accepts, oldest place first.
 * A ticket stands under each of its interests; under its languages and under its mode only once it accepts
 * that. So whoever looks there too is a match by both sides' wishes, without reading anyone else.
 */
import { accepts, type Ticket } from "../../domain/ticket.ts";
import type { Mode } from "../../protocol.ts";
import { barred, type Avoider } from "./avoidance.ts";
import { clearBit, countShared, setBit, type Bits } from "./bits.ts";
import { after, Calendar, type Entry } from "./calendar.ts";

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
  readonly key: string;
  readonly calendar: Calendar<W>;
  /** The numbers of those who stand here. */
  readonly numbers: Bits;
}

export interface Lobby<W> {
  add(waiter: W): void;
  /** Idempotent. */
  remove(waiter: W): void;
  /**
   * The tickets of up to `countMax` who are not barred, from each stand where the waiter itself stands,
   * oldest place first.
   */
  candidates(waiter: W, countMax: number): Ticket[];
  waiting(mode: Mode): number;
}

/** Where a ticket stands, and just as well where it looks. */
function standsUnder({ wishes, accepts: acceptance }: Ticket): string[] {
  const keys: string[] = [];
  for (const interest of wishes.interests) keys.push(`${wishes.mode} interest ${interest}`);
  if (accepts(acceptance, "language"))
    for (const language of wishes.languages) keys.push(`${wishes.mode} language ${language}`);
  if (accepts(acceptance, "anybody")) keys.push(wishes.mode);
  return keys;
}

export function createLobby<W extends Waiter<W>>(): Lobby<W> {
  const index = new Map<string, Stand<W>>();
  const waiting: Record<Mode, number> = { video: 0, audio: 0, text: 0 };

  function standAt(key: string): Stand<W> {
    let stand = index.get(key);
    if (!stand) {
      stand = { key, calendar: new Calendar(placeDayMs), numbers: new Map() };
      index.set(key, stand);
    }
    return stand;
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
      waiter.standing = standsUnder(ticket).map((key) => {
        const stand = standAt(key);
        if (number !== undefined) setBit(stand.numbers, number);
        return { stand, entry: stand.calendar.add(ticket.place, waiter) };
      });
    },
    remove(waiter) {
      const { ticket, standing, number } = waiter;
      if (!ticket || !standing) return;
      waiting[ticket.wishes.mode] -= 1;
      for (const { stand, entry } of standing) {
        if (number !== undefined) clearBit(stand.numbers, number);
        stand.calendar.remove(entry);
        if (stand.calendar.size === 0) index.delete(stand.key);
      }
      waiter.standing = undefined;
    },
    candidates(waiter, countMax) {
      const found: Ticket[] = [];
      const standing = waiter.standing ?? [];
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
          if (standing.length === 1 || !found.includes(value.ticket)) found.push(value.ticket);
        }
      }
      return standing.length > 1 ? found.sort((a, b) => a.place - b.place) : found;
    },
    waiting: (mode) => waiting[mode],
  };
}
