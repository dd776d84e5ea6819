/**
 * The lobbies of a site: only peers of one lobby meet, and each has counts and an estimate of its own. The one that is always there
 * has a name for those outside; inside, a peer that is in it states none.
 */
import type { Mode } from "../protocol.ts";
import type { Session } from "./session.ts";
import type { Wishes } from "./ticket.ts";
import { createWaitEstimators, type WaitEstimator } from "./wait-estimate.ts";

/** The name of the lobby that is always there. */
export const mainLobby = "main";

/** The lobby as it is kept: `undefined` for the one that is always there. */
export const lobbyNamed = (name: string | undefined): string | undefined =>
  name === mainLobby ? undefined : name;

/** In which lobby a session is: that of the wishes it stated last, or that it was attached with. */
export const lobbyOf = ({ wishes }: Pick<Session, "wishes">): string | undefined => wishes?.lobby;

/** The same wishes in another lobby. */
export function withLobby(wishes: Wishes, lobby: string | undefined): Wishes {
  if (lobby !== undefined) return { ...wishes, lobby };
  const { lobby: _, ...others } = wishes;
  return others;
}

/** How long peers wait, by lobby and mode. Of a lobby in which nobody was paired nothing is kept. */
export class LobbyWaits {
  readonly #main = createWaitEstimators();
  readonly #others = new Map<string, Record<Mode, WaitEstimator>>();
  readonly #lobbiesMax: number;

  /** @param lobbiesMax past which the lobby whose last pairing is longest ago is forgotten. */
  constructor(lobbiesMax = Number.POSITIVE_INFINITY) {
    this.#lobbiesMax = lobbiesMax;
  }

  /** A peer of the lobby was paired after `waitedMs`. */
  record(lobby: string | undefined, mode: Mode, waitedMs: number, now: number): void {
    this.#estimatorsFor(lobby)[mode].record(waitedMs, now);
  }

  /** Milliseconds; `undefined` while there are too few samples. */
  estimate(lobby: string | undefined, mode: Mode, now: number): number | undefined {
    const estimators = lobby === undefined ? this.#main : this.#others.get(lobby);
    return estimators?.[mode].estimate(now);
  }

  #estimatorsFor(lobby: string | undefined): Record<Mode, WaitEstimator> {
    if (lobby === undefined) return this.#main;
    const estimators = this.#others.get(lobby) ?? createWaitEstimators();
    // Kept in the order of their last pairings.
    this.#others.delete(lobby);
    this.#others.set(lobby, estimators);
    for (const oldest of this.#others.keys()) {
      if (this.#others.size <= this.#lobbiesMax) break;
      this.#others.delete(oldest);
    }
    return estimators;
  }

  /** Nobody is in the lobby any more. */
  forget(lobby: string): void {
    this.#others.delete(lobby);
  }

  /** Forgets the lobbies of which all samples are too old to count. */
  forgetStale(now: number): void {
    for (const [lobby, estimators] of this.#others) {
      if (!Object.values(estimators).every((one) => one.isStale(now))) return;
      this.#others.delete(lobby);
    }
  }

  /** Lobbies of which something is kept, besides the one that is always there. */
  get size(): number {
    return this.#others.size;
  }
}
