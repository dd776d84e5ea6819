/**
 * The lobby's index: every ticket that can be paired now, findable by what it accepts, oldest place first.
 * A ticket stands under each of its interests; under its languages and under 'anybody' only once it accepts
 * that. So whoever looks there too is a match by both sides' wishes, without reading anyone else.
 */
import { accepts, type Ticket } from "../../domain/ticket.ts";
import type { Mode } from "../../protocol.ts";
import { Calendar, type Entry } from "./calendar.ts";

/** Places are told apart to the second; within one, who came first to the lobby goes first. */
const placeDayMs = 1000;

export interface Lobby {
  add(ticket: Ticket): void;
  /** Idempotent. */
  remove(ticket: Ticket): void;
  /**
   * Up to `countMax` tickets from each place in the index where `ticket` may look, each fitting by `fits`,
   * oldest place first.
   */
  candidates(ticket: Ticket, fits: (other: Ticket) => boolean, countMax: number): Ticket[];
  waiting(mode: Mode): number;
}

/** Where a ticket stands, and just as well where it looks. */
function* standsUnder({ wishes, accepts: acceptance }: Ticket): Generator<string> {
  for (const interest of wishes.interests) yield `${wishes.mode} interest ${interest}`;
  if (accepts(acceptance, "language"))
    for (const language of wishes.languages) yield `${wishes.mode} language ${language}`;
  if (accepts(acceptance, "anybody")) yield `${wishes.mode} anybody`;
}

export function createLobby(): Lobby {
  const index = new Map<string, Calendar<Ticket>>();
  const standing = new Map<Ticket, { key: string; entry: Entry<Ticket> }[]>();
  const waiting: Record<Mode, number> = { video: 0, audio: 0, text: 0 };

  return {
    add(ticket) {
      const entries = [];
      for (const key of standsUnder(ticket)) {
        let calendar = index.get(key);
        if (!calendar) index.set(key, (calendar = new Calendar(placeDayMs)));
        entries.push({ key, entry: calendar.add(ticket.place, ticket) });
      }
      standing.set(ticket, entries);
      waiting[ticket.wishes.mode] += 1;
    },
    remove(ticket) {
      const entries = standing.get(ticket);
      if (!entries) return;
      for (const { key, entry } of entries) {
        const calendar = index.get(key);
        calendar?.remove(entry);
        if (calendar?.size === 0) index.delete(key);
      }
      standing.delete(ticket);
      waiting[ticket.wishes.mode] -= 1;
    },
    candidates(ticket, fits, countMax) {
      const found = new Set<Ticket>();
      for (const key of standsUnder(ticket)) {
        let count = 0;
        for (const other of index.get(key) ?? []) {
          if (!fits(other)) continue;
          found.add(other);
          if (++count === countMax) break;
        }
      }
      return [...found].sort((a, b) => a.place - b.place);
    },
    waiting: (mode) => waiting[mode],
  };
}
