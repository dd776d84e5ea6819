/**
 * Sessions and accounts that are gone, but are kept because they block another one or are blocked: bounded in total and per
 * address, as sessions cost nothing to create. Past a bound the one that went first is dropped.
 */
import type { BlockLimits } from "../engine.ts";
import type { Person } from "./stored-session.ts";

export class BlockerRetention {
  readonly #limits: BlockLimits;
  /** In the order in which they went, each with the address it last connected from. */
  readonly #persons = new Map<Person, string | undefined>();
  readonly #byAddress = new Map<string, Set<Person>>();

  constructor(limits: BlockLimits) {
    this.#limits = limits;
  }

  /** Adds one that was last at this address. Returns those that are too many now, already removed here. */
  add(person: Person, addressHash: string | undefined): Person[] {
    this.#persons.set(person, addressHash);
    const excess: Person[] = [];
    if (addressHash !== undefined) {
      const sameAddress = this.#byAddress.get(addressHash) ?? new Set();
      sameAddress.add(person);
      this.#byAddress.set(addressHash, sameAddress);
      this.#takeFirstPast(this.#limits.blockersPerAddressMax, sameAddress, excess);
    }
    this.#takeFirstPast(this.#limits.blockersMax, this.#persons, excess);
    return excess;
  }

  /** It has come back, or is forgotten. Idempotent. */
  remove(person: Person): void {
    const addressHash = this.#persons.get(person);
    if (!this.#persons.delete(person) || addressHash === undefined) return;
    const sameAddress = this.#byAddress.get(addressHash);
    sameAddress?.delete(person);
    if (sameAddress?.size === 0) this.#byAddress.delete(addressHash);
  }

  #takeFirstPast(
    max: number,
    persons: Pick<Set<Person>, "size"> & { keys(): Iterable<Person> },
    excess: Person[],
  ): void {
    const [first] = persons.keys();
    if (max === 0 || persons.size <= max || !first) return;
    this.remove(first);
    excess.push(first);
  }
}
