/** Asks Sentinels for the master, and listens for their word that it is another one. */
import type { System } from "../../system.ts";
import { Link } from "./link.ts";
import { ask, firstOf, withAddress, type Asking, type SentinelLocation } from "./location.ts";

/** The first one that answers with a name decides. */
export const askSentinels = (location: SentinelLocation, asking: Asking): Promise<string> =>
  firstOf(location.sentinels, (sentinel) => askSentinel(location, sentinel, asking));

/** The URL of the master by the word of one Sentinel. */
export async function askSentinel(
  location: Pick<SentinelLocation, "url" | "password">,
  sentinel: string,
  asking: Asking,
): Promise<string> {
  const name = new URL(location.url).hostname;
  const [master] = await ask(asking, urlOf(location, sentinel), [
    ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name],
  ]);
  if (!master) throw new Error(`the Sentinels know no master named ${name}`);
  const [host, port] = master as [string, string];
  return withAddress(location.url, host, port);
}

function urlOf(
  { url, password }: Pick<SentinelLocation, "url" | "password">,
  sentinel: string,
): string {
  const login = password === undefined ? "" : `:${encodeURIComponent(password)}@`;
  const address = /:\d+$/.test(sentinel) ? sentinel : `${sentinel}:26379`;
  return `${new URL(url).protocol}//${login}${address}`;
}

export interface SentinelWatchOptions extends Asking {
  location: SentinelLocation;
  clock: Pick<System, "schedule" | "random">;
  /** A Sentinel says that the master has another address; it is called once for each that says so. */
  onMoved: (url: string) => void;
}

/**
 * A connection to each Sentinel. They promote a replica some ten seconds before they turn a master that lives into a replica:
 * what it is told meanwhile is lost, so it must be left at once.
 */
export class SentinelWatch {
  readonly #links: readonly Link[];

  constructor(options: SentinelWatchOptions) {
    const { location, onMoved } = options;
    const name = new URL(location.url).hostname;
    const receive = (message: string) => {
      const [moved, , , host, port] = message.split(" ");
      if (moved === name && host !== undefined && port !== undefined)
        onMoved(withAddress(location.url, host, port));
    };
    this.#links = location.sentinels.map(
      (sentinel) =>
        new Link({
          ...options,
          locate: () => Promise.resolve(urlOf(location, sentinel)),
          prepare: async (connection) => {
            await connection.subscribe("+switch-master", receive);
          },
          onReady: () => {},
          // Others are there. It is tried again.
          onLost: () => {},
        }),
    );
  }

  close(): void {
    for (const link of this.#links) link.close();
  }
}
