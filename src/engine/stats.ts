/** Counts of sessions, tickets and rooms, and their sums. */
import { modes } from "../protocol.ts";
import type { SiteStats, Stats } from "./engine.ts";

export const noStats = (): Stats => ({
  online: 0,
  waiting: { video: 0, audio: 0, text: 0 },
  rooms: { video: 0, audio: 0, text: 0 },
});

export function addTo(sum: Stats, { online, waiting, rooms }: Stats): void {
  sum.online += online;
  for (const mode of modes) {
    sum.waiting[mode] += waiting[mode];
    sum.rooms[mode] += rooms[mode];
  }
}

export function subtractFrom(all: Stats, { online, waiting, rooms }: Stats): void {
  all.online -= online;
  for (const mode of modes) {
    all.waiting[mode] -= waiting[mode];
    all.rooms[mode] -= rooms[mode];
  }
}

/** Those of several parts of a site together. */
export function sumOf(all: readonly SiteStats[]): SiteStats {
  const sum = noStats();
  const lobbies = new Map<string, Stats>();
  for (const one of all) {
    addTo(sum, one);
    for (const [name, stats] of one.lobbies) {
      const lobby = lobbies.get(name) ?? noStats();
      addTo(lobby, stats);
      lobbies.set(name, lobby);
    }
  }
  return { ...sum, lobbies };
}

/** Those of one lobby; `undefined` for the one that is always there, in which is whatever is in none of the others. */
export function statsIn({ lobbies, ...all }: SiteStats, lobby: string | undefined): Stats {
  if (lobby !== undefined) return lobbies.get(lobby) ?? noStats();
  const main = noStats();
  addTo(main, all);
  for (const other of lobbies.values()) subtractFrom(main, other);
  return main;
}
