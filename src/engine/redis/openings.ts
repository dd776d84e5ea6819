/**
 * Which shards of the lobby are open to new sessions: the first ones, as many as are needed for those who are online. Each node looks at
 * the shards at its heartbeats, and any node changes their number, which is kept in shard 0.
 */
import type { Stats } from "../../protocol.ts";
import { addTo, noStats, statsOfMain, sumOf, type SiteStats } from "../../domain/stats.ts";
import { RedisUnavailable } from "./client.ts";
import { scripts } from "./scripts.ts";
import type { Shard } from "./shard.ts";
import { weightOf, withShard } from "./shard-ids.ts";

export interface OpeningsParts {
  shards: readonly Shard[];
  /** See `RedisOptions`. */
  openAbove: number;
  closeBelow: number;
}

/** What this node knows of a shard. */
interface Known {
  /** At its last heartbeat. */
  stats: SiteStats;
  /** Those of the lobby that is always there. */
  main: Stats;
  /** Sessions that were born here since. */
  births: number;
}

export class Openings {
  readonly #parts: OpeningsParts;
  readonly #known: Known[];
  #open = 1;

  constructor(parts: OpeningsParts) {
    this.#parts = parts;
    this.#known = parts.shards.map(() => ({ stats: sumOf([]), main: noStats(), births: 0 }));
  }

  /** How many are open; those with lower numbers. */
  get open(): number {
    return this.#open;
  }

  /** Looks at a shard; at the first one also how many are open, and whether that has to change. @throws {RedisUnavailable} */
  async refresh(shard: number): Promise<void> {
    const { shards, openAbove, closeBelow } = this.#parts;
    const at = shards[shard];
    if (!at) return;
    const stats = await at.counts();
    this.#known[shard] = { stats, main: statsOfMain(stats), births: 0 };
    if (shard > 0) return;
    await this.read();
    const online = this.#known.reduce((sum, { stats }) => sum + stats.online, 0);
    const open = this.#open;
    const isCrowded = open < shards.length && online / open > openAbove;
    const isEmpty = open > 1 && online / (open - 1) < closeBelow;
    if (!isCrowded && !isEmpty) return;
    const change = { before: open, after: isCrowded ? open + 1 : open - 1 };
    this.#setOpen(await at.node.run(scripts.setOpenShards, change));
  }

  /** Finds out how many are open. @throws {RedisUnavailable} */
  async read(): Promise<void> {
    const { node } = this.#parts.shards[0] ?? {};
    if (node) this.#setOpen(Number((await node.command("GET", node.keys.openShards())) ?? 1));
  }

  #setOpen(open: number): void {
    this.#open = Math.max(1, Math.min(open, this.#parts.shards.length));
  }

  /**
   * The id of a session that is born where the fewest are; one with an account where those of its account are.
   * @param id 22 unguessable characters of base64url.
   */
  newSessionId(id: string, account?: string): string {
    const shard = this.homeOf(account)?.number ?? 0;
    const known = this.#known[shard];
    if (known) known.births += 1;
    return withShard(id, shard);
  }

  /** Of the open and available ones. When their number changes by one, few accounts get another. */
  homeOf(account: string | undefined): Shard | undefined {
    if (account === undefined) return this.leastCrowded(this.#open);
    const open = this.#parts.shards.slice(0, this.#open).filter(({ node }) => node.available);
    const weight = ({ number }: Shard) => weightOf(account, number);
    return open.sort((a, b) => weight(b) - weight(a))[0];
  }

  /** Of the available ones among the first `count`. */
  leastCrowded(count: number): Shard | undefined {
    const crowd = ({ number }: Shard) =>
      (this.#known[number]?.stats.online ?? 0) + (this.#known[number]?.births ?? 0);
    const available = this.#parts.shards.slice(0, count).filter(({ node }) => node.available);
    return available.sort((a, b) => crowd(a) - crowd(b) || a.number - b.number)[0];
  }

  /** Those of a lobby who are online or wait in the other shards, as it was at their last heartbeats. */
  elsewhere(shard: number, lobby: string | undefined): Stats {
    const sum = noStats();
    for (const [number, { stats, main }] of this.#known.entries())
      if (number !== shard)
        addTo(sum, lobby === undefined ? main : (stats.lobbies.get(lobby) ?? noStats()));
    return sum;
  }

  /** What is counted now in all available shards. @throws {RedisUnavailable} */
  async stats(): Promise<SiteStats> {
    return sumOf(await this.#ofEach((shard) => shard.counts()));
  }

  /** The same of one lobby. @throws {RedisUnavailable} */
  async statsOf(lobby: string | undefined): Promise<Stats> {
    const sum = noStats();
    for (const stats of await this.#ofEach((shard) => shard.countsOf(lobby))) addTo(sum, stats);
    return sum;
  }

  #ofEach<T>(count: (shard: Shard) => Promise<T>): Promise<T[]> {
    const available = this.#parts.shards.filter(({ node }) => node.available);
    if (available.length === 0) throw new RedisUnavailable("no part of the site is available");
    return Promise.all(available.map(count));
  }
}
