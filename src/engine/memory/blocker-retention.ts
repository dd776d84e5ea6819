/**
 * Sessions that are gone, but are kept because they block another one or are blocked: bounded in total and per address,
 * as they cost nothing to create. Past a bound the one that went first is dropped.
 */
import type { BlockLimits } from "../engine.ts";
import type { StoredSession } from "./stored-session.ts";

export class BlockerRetention {
  readonly #limits: BlockLimits;
  /** In the order in which they went, each with the address it last connected from. */
  readonly #sessions = new Map<StoredSession, string | undefined>();
  readonly #byAddress = new Map<string, Set<StoredSession>>();

  constructor(limits: BlockLimits) {
    this.#limits = limits;
  }

  /** Adds a session. Returns those that are too many now, already removed here. */
  add(session: StoredSession): StoredSession[] {
    const { addressHash } = session.value;
    this.#sessions.set(session, addressHash);
    const excess: StoredSession[] = [];
    if (addressHash !== undefined) {
      const sameAddress = this.#byAddress.get(addressHash) ?? new Set();
      sameAddress.add(session);
      this.#byAddress.set(addressHash, sameAddress);
      this.#takeFirstPast(this.#limits.blockersPerAddressMax, sameAddress, excess);
    }
    this.#takeFirstPast(this.#limits.blockersMax, this.#sessions, excess);
    return excess;
  }

  /** The session has come back, or is forgotten. Idempotent. */
  remove(session: StoredSession): void {
    const addressHash = this.#sessions.get(session);
    if (!this.#sessions.delete(session) || addressHash === undefined) return;
    const sameAddress = this.#byAddress.get(addressHash);
    sameAddress?.delete(session);
    if (sameAddress?.size === 0) this.#byAddress.delete(addressHash);
  }

  #takeFirstPast(
    max: number,
    sessions: Pick<Set<StoredSession>, "size"> & { keys(): Iterable<StoredSession> },
    excess: StoredSession[],
  ): void {
    const [first] = sessions.keys();
    if (max === 0 || sessions.size <= max || !first) return;
    this.remove(first);
    excess.push(first);
  }
}
