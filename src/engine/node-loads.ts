/** How many peers each node has, as the nodes tell each other; only where there can be several. */
import type { Activity } from "../domain/levelling.ts";
import type { MaybePromise } from "../maybe-promise.ts";

export interface NodeLoad {
  /** Another one each time that it begins. */
  readonly id: string;
  readonly name: string;
  /** Sessions with a stream there. */
  readonly peers: number;
  /** Whether it is about to end. */
  readonly draining: boolean;
}

export interface NodeLoads {
  /** This node and the others, as of the last heartbeat: at most a second ago. `undefined` while they can't be known. */
  list(): { own: NodeLoad; others: readonly NodeLoad[] } | undefined;
  /** What a session does; `undefined` for one that is to be left alone, or while that can't be known. */
  activityOf(sessionId: string): MaybePromise<Activity | undefined>;
  /** From now on the others are told that this node is about to end. */
  drain(): void;
}
