/** Where Redis is now: at a URL, or wherever Sentinels or the nodes of a cluster say. */
import type { System } from "../../system.ts";
import { askCluster } from "./cluster-location.ts";
import type { Asking, RedisLocation } from "./location.ts";
import { askSentinels, SentinelWatch } from "./sentinel-location.ts";

export interface LocatorOptions extends Asking {
  location: RedisLocation;
  /** A key of those that are wanted; in a cluster they are all in one slot. */
  key: string;
}

/** The URL of the Redis that takes writes for `key`. Rejects if nobody can tell. */
export function locate({ location, key, ...asking }: LocatorOptions): Promise<string> {
  if (typeof location === "string") return Promise.resolve(location);
  return location.kind === "sentinel"
    ? askSentinels(location, asking)
    : askCluster(location, key, asking);
}

/**
 * What a Sentinel has told is taken for granted for so long, whatever others say (milliseconds): until they have heard of it from
 * each other, and have turned the old master into a replica.
 */
const toldMs = 12_000;

/** The same, and listens for news where there are any. */
export class Locator {
  readonly #options: LocatorOptions & { clock: Pick<System, "elapsed"> };
  readonly #watch: SentinelWatch | undefined;
  #told: { url: string; until: number } | undefined;

  /** @param onMoved called with its URL when Redis is at another place than before, by the word of one who knows. */
  constructor(
    options: LocatorOptions & { clock: Pick<System, "schedule" | "random" | "elapsed"> },
    onMoved: (url: string) => void,
  ) {
    this.#options = options;
    const { location, clock } = options;
    if (typeof location === "string" || location.kind === "cluster") return;
    this.#watch = new SentinelWatch({
      ...options,
      location,
      onMoved: (url) => {
        this.#told = { url, until: clock.elapsed() + toldMs };
        onMoved(url);
      },
    });
  }

  /** Rejects if nobody can tell. */
  async locate(): Promise<string> {
    // What is told while they are asked is newer than their answer.
    const asked = this.#toldUrl() ?? (await locate(this.#options));
    return this.#toldUrl() ?? asked;
  }

  close(): void {
    this.#watch?.close();
  }

  #toldUrl(): string | undefined {
    const isNew = this.#told && this.#options.clock.elapsed() < this.#told.until;
    return isNew ? this.#told?.url : undefined;
  }
}
