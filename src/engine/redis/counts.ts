/** What read_counts.lua has counted, as `Stats`. */
import { modes, type Stats } from "../../protocol.ts";
import { noStats, subtractFrom, type SiteStats } from "../../domain/stats.ts";
import type { Counted, Pairs } from "./scripts.ts";

/** `online`, then tickets and rooms of each mode. */
type Counts = readonly [counts: readonly number[], ofLobbies: Pairs];

export function siteStatsOf([counts, ofLobbies]: Counts): SiteStats {
  const lobbies = lobbiesIn(ofLobbies);
  // The sum over all of them.
  lobbies.delete("");
  return { ...allOf(counts), lobbies };
}

/** @param counts those that were read for this lobby. */
export function lobbyStatsOf([counts, ofLobbies]: Counts, lobby: string | undefined): Stats {
  const counted = lobbiesIn(ofLobbies).get(lobby ?? "") ?? noStats();
  if (lobby !== undefined) return counted;
  const rest = allOf(counts);
  subtractFrom(rest, counted);
  return rest;
}

function allOf([online = 0, ...byMode]: readonly number[]): Stats {
  const all = { ...noStats(), online };
  for (const [index, mode] of modes.entries()) {
    all.waiting[mode] = byMode[2 * index] ?? 0;
    all.rooms[mode] = byMode[2 * index + 1] ?? 0;
  }
  return all;
}

function lobbiesIn(fields: Pairs): Map<string, Stats> {
  const lobbies = new Map<string, Stats>();
  for (let index = 0; index < fields.length; index += 2) {
    const [name = "", counted = ""] = (fields[index] ?? "").split("\n");
    const stats = lobbies.get(name) ?? noStats();
    set(stats, counted as Counted, Number(fields[index + 1]));
    lobbies.set(name, stats);
  }
  return lobbies;
}

function set(stats: Stats, counted: Counted, count: number): void {
  if (counted === "online") stats.online = count;
  for (const mode of modes) {
    if (counted === `waiting ${mode}`) stats.waiting[mode] = count;
    if (counted === `rooms ${mode}`) stats.rooms[mode] = count;
  }
}
