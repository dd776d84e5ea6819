/** Counts of sessions, tickets and rooms, by lobby and in sum. */
import { modes, type Stats } from "../protocol.ts";
import { mainLobby } from "./lobby.ts";

/** Those of all lobbies together. */
export interface SiteStats extends Stats {
  /** By lobby, but for that one which is always there: only those in which somebody is. */
  readonly lobbies: ReadonlyMap<string, Stats>;
}

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

/** Those of the lobby that is always there: whatever is in none of the others. */
export function statsOfMain({ lobbies, ...all }: SiteStats): Stats {
  const main = noStats();
  addTo(main, all);
  for (const other of lobbies.values()) subtractFrom(main, other);
  return main;
}

/** By name, those of `main`, of all lobbies in which somebody is, and of the given ones, which come first. */
export function statsByLobby(site: SiteStats, lobbies: readonly string[]): Map<string, Stats> {
  const byLobby = new Map(lobbies.map((name) => [name, noStats()]));
  byLobby.set(mainLobby, statsOfMain(site));
  for (const [name, stats] of site.lobbies) byLobby.set(name, stats);
  return byLobby;
}
