/** Applies changes, and in the same step pairs those who meet again because of one (domain/again.ts), before anybody else can have them. */
import { awaitedRooms, mayMeetBy, meetAgain, resultAfterMeeting } from "../../domain/again.ts";
import type { Change, Surroundings } from "../../domain/change.ts";
import type { Room, RoomProof } from "../../domain/session.ts";
import { hasBlocked } from "./avoidance.ts";
import type { SessionStore } from "./session-store.ts";
import type { StoredSession } from "./stored-session.ts";

export class Meetings {
  onMetAgain: (room: Room) => void = () => {};
  readonly #store: SessionStore;
  readonly #surroundings: () => Surroundings;

  constructor(store: SessionStore, surroundings: () => Surroundings) {
    this.#store = store;
    this.#surroundings = surroundings;
  }

  /** As `SessionStore.apply`. Whoever meets somebody again is paired in the result, too. */
  apply<Result>(
    change: Change<Result>,
    member: StoredSession,
    partner: StoredSession | undefined,
  ): Result {
    const memberMay = mayMeetBy(member.value, change.member);
    const partnerMay = partner && change.partner && mayMeetBy(partner.value, change.partner);
    const result = this.#store.apply(change, member, partner);
    if (!memberMay && !partnerMay) return result;
    const met = new Set<string>();
    if (memberMay) this.#meet(member, met);
    if (partnerMay) this.#meet(partner, met);
    return resultAfterMeeting(result, member.id, met);
  }

  /** Whom a proof names as the partner, unless a block stands between the two. */
  partnerBy(proof: RoomProof | undefined, session: StoredSession): StoredSession | undefined {
    const partner = proof && this.#store.get(proof.partnerId);
    return partner && !hasBlocked(session.person, partner.person) ? partner : undefined;
  }

  #meet(session: StoredSession, met: Set<string>): void {
    const around = this.#surroundings();
    for (const past of awaitedRooms(session.current(), around.now)) {
      const other = this.#store.get(past.partnerId);
      if (!other || hasBlocked(session.person, other.person)) continue;
      const change = meetAgain(session.current(), other.current(), past, around);
      if (!change) continue;
      this.#store.apply(change, session, other);
      met.add(session.id).add(other.id);
      if (change.room) this.onMetAgain(change.room.room);
      return;
    }
  }
}
