/** What the engine in memory keeps of an account: what holds for all its sessions. */
import { newStanding, type Standing } from "../../domain/session.ts";
import type { Avoider } from "./avoidance.ts";
import type { BitSet } from "./bit-set.ts";
import type { Person, Scheduled, StoredSession } from "./stored-session.ts";

export class Account implements Avoider<Person> {
  readonly name: string;
  /** Those that are not forgotten. */
  readonly sessions = new Set<StoredSession>();
  standing: Standing = newStanding;
  /** When it is forgotten, if it is kept without a session. */
  scheduled: Scheduled<Account> | undefined;
  avoids: Map<Person, number> | undefined;
  number: number | undefined;
  barred: BitSet | undefined;

  constructor(name: string) {
    this.name = name;
  }
}
