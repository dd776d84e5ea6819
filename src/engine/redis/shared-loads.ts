/** How many peers each node has. Each writes its own number along with its heartbeat in shard 0, whose answer has those of all. */
import { isRejection, type Rejection } from "../../domain/rejection.ts";
import { activityOf, type Activity } from "../../domain/levelling.ts";
import type { NodeLoad, NodeLoads } from "../node-loads.ts";
import type { Pairs } from "./scripts.ts";
import type { Shard } from "./shard.ts";

/** Carries out a verb of a session where that is. */
type At = <T>(sessionId: string, verb: (shard: Shard) => Promise<T>) => Promise<T | Rejection>;

export class SharedLoads implements NodeLoads {
  readonly #name: string;
  readonly #shards: readonly Shard[];
  readonly #site: Shard;
  readonly #at: At;
  #isDraining = false;
  #all: readonly NodeLoad[] = [];
  /** Those of the heartbeat before, as a node that is gone is no longer among `#all`. */
  #before: readonly NodeLoad[] = [];

  /** @param name what the other nodes call this one. @param site the first of the shards. */
  constructor(name: string, shards: readonly Shard[], site: Shard, at: At) {
    this.#name = name;
    this.#shards = shards;
    this.#site = site;
    this.#at = at;
  }

  /** This node's, as `heartbeat.lua` stores it. */
  text(): string {
    const peers = this.#shards.reduce((sum, { inboxes }) => sum + inboxes.size, 0);
    return `${peers} ${this.#isDraining ? 1 : 0} ${this.#name}`;
  }

  /** Takes those of all nodes: id → text. */
  take(pairs: Pairs): void {
    const all: NodeLoad[] = [];
    for (let index = 0; index < pairs.length; index += 2) {
      const [, peers, draining, name] = /^(\d+) ([01]) (.*)$/s.exec(pairs[index + 1] ?? "") ?? [];
      if (peers === undefined || name === undefined) continue;
      all.push({ id: pairs[index] ?? "", name, peers: Number(peers), draining: draining === "1" });
    }
    this.#before = this.#all;
    this.#all = all;
  }

  /** What a node is called, also shortly after it is gone; its id if that is not known. */
  nameOf(id: string): string {
    const known = [...this.#all, ...this.#before].find((one) => one.id === id);
    return known?.name || id;
  }

  list(): ReturnType<NodeLoads["list"]> {
    const { id, available } = this.#site.node;
    if (!available) return undefined;
    const own = this.#all.find((one) => one.id === id);
    return own && { own, others: this.#all.filter((one) => one !== own) };
  }

  async activityOf(sessionId: string): Promise<Activity | undefined> {
    const activity = await this.#at(sessionId, ({ transactor }) =>
      transactor.answering<Activity | Rejection | undefined>(async () => {
        const transaction = await transactor.look(sessionId);
        return activityOf(transaction.get(sessionId)?.value);
      }),
    );
    return isRejection(activity) ? undefined : activity;
  }

  drain(): void {
    this.#isDraining = true;
  }
}
