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

/** The same, and listens for news where there are any. */
export class Locator {
  readonly #options: LocatorOptions;
  readonly #watch: SentinelWatch | undefined;
  /** What was told last, and has not been used. */
  #told: string | undefined;

  /** @param onMoved called with its URL when Redis is at another place than before, by the word of one who knows. */
  constructor(
    options: LocatorOptions & { clock: Pick<System, "schedule" | "random"> },
    onMoved: (url: string) => void,
  ) {
    this.#options = options;
    const { location } = options;
    if (typeof location === "string" || location.kind === "cluster") return;
    this.#watch = new SentinelWatch({
      ...options,
      location,
      onMoved: (url) => {
        this.#told = url;
        onMoved(url);
      },
    });
  }

  /** Rejects if nobody can tell. */
  async locate(): Promise<string> {
    // A Sentinel that does not know it yet might be the first to answer.
    const told = this.#told;
    this.#told = undefined;
    return told ?? locate(this.#options);
  }

  close(): void {
    this.#watch?.close();
  }
}
