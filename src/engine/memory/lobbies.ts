/** What is counted of each lobby in memory, and how long peers wait there. Of a lobby that nobody is in nothing is kept. */
import type { LobbyCounts } from "../../domain/change.ts";
import { LobbyWaits } from "../../domain/lobby.ts";
import { modes, type Mode, type Stats } from "../../protocol.ts";
import { addTo, noStats, type SiteStats } from "../../domain/stats.ts";

export class Lobbies {
  readonly #main = noStats();
  readonly #others = new Map<string, Stats>();
  readonly #waits = new LobbyWaits();

  countOnline(lobby: string | undefined, by: 1 | -1): void {
    const stats = this.#at(lobby);
    stats.online += by;
    this.#dropIfEmpty(lobby, stats);
  }

  countTicket(lobby: string | undefined, mode: Mode, by: 1 | -1): void {
    const stats = this.#at(lobby);
    stats.waiting[mode] += by;
    this.#dropIfEmpty(lobby, stats);
  }

  countRoom(lobby: string | undefined, mode: Mode, by: 1 | -1): void {
    const stats = this.#at(lobby);
    stats.rooms[mode] += by;
    this.#dropIfEmpty(lobby, stats);
  }

  /** Two were paired, the first of whom had waited so long (milliseconds). */
  recordWait(lobby: string | undefined, mode: Mode, waitedMs: number, now: number): void {
    this.#waits.record(lobby, mode, waitedMs, now);
  }

  /** What a peer is told that enters the lobby. */
  countsOf(lobby: string | undefined, mode: Mode, now: number): LobbyCounts {
    const stats = lobby === undefined ? this.#main : this.#others.get(lobby);
    return {
      waiting: stats?.waiting[mode] ?? 0,
      online: stats?.online ?? 0,
      estimateMs: this.#waits.estimate(lobby, mode, now),
    };
  }

  statsOf(lobby: string | undefined): Stats {
    const copy = noStats();
    addTo(copy, (lobby === undefined ? this.#main : this.#others.get(lobby)) ?? copy);
    return copy;
  }

  stats(): SiteStats {
    const sum = this.statsOf(undefined);
    const lobbies = new Map<string, Stats>();
    for (const name of this.#others.keys()) {
      const stats = this.statsOf(name);
      addTo(sum, stats);
      lobbies.set(name, stats);
    }
    return { ...sum, lobbies };
  }

  #at(lobby: string | undefined): Stats {
    if (lobby === undefined) return this.#main;
    let stats = this.#others.get(lobby);
    if (!stats) this.#others.set(lobby, (stats = noStats()));
    return stats;
  }

  #dropIfEmpty(lobby: string | undefined, { online, waiting, rooms }: Stats): void {
    if (lobby === undefined || online !== 0) return;
    for (const mode of modes) if (waiting[mode] !== 0 || rooms[mode] !== 0) return;
    this.#others.delete(lobby);
    this.#waits.forget(lobby);
  }
}
