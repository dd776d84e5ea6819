/** Asks the nodes of a cluster which master has the keys of a part of the lobby. */
import { ask, firstOf, withAddress, type Asking, type ClusterLocation } from "./location.ts";

/** First and last slot of a range, its master, and its replicas; each with its address. */
export type SlotRange = [first: number, last: number, ...nodes: [string | null, number][]];

/** The seed with user, password and database of the first one. */
export function loginOf([first = ""]: readonly string[], seed: string): string {
  const { hostname, port } = new URL(seed);
  return withAddress(first, hostname, port === "" ? 6379 : port);
}

/** The URL of the master that has the slot of a key. */
export async function askCluster(
  { seeds }: ClusterLocation,
  key: string,
  asking: Asking,
): Promise<string> {
  return firstOf(seeds, async (seed) => {
    const [slotReply, slotsReply, stateReply] = await ask(asking, loginOf(seeds, seed), [
      ["CLUSTER", "KEYSLOT", key],
      ["CLUSTER", "SLOTS"],
      ["CLUSTER", "INFO"],
    ]);
    // A node that is cut off from the others goes on telling what it last knew.
    if (!String(stateReply).includes("cluster_state:ok"))
      throw new Error("CLUSTERDOWN the cluster is not in order");
    const slot = Number(slotReply);
    const ranges = slotsReply as SlotRange[];
    const range = ranges.find(([first, last]) => first <= slot && slot <= last);
    if (!range?.[2]) throw new Error(`CLUSTERDOWN no master serves slot ${slot}`);
    const [host, port] = range[2];
    // A node that does not know its own address, or has no host name to tell: the one that was asked.
    const known = host && host !== "?" ? host : new URL(seed).hostname;
    return withAddress(loginOf(seeds, seed), known, port);
  });
}
