/** What transitions may look at in the engine in memory. One object for all verbs, as there is one verb at a time. */
import type { Surroundings } from "../../domain/change.ts";
import { partyOf } from "../../domain/session.ts";
import type { System } from "../../system.ts";
import { transitionOptionsOf, type EngineOptions } from "../engine.ts";
import type { SessionStore } from "./session-store.ts";
import type { Suspensions } from "./suspensions.ts";

export interface SurroundingsParts {
  system: Pick<System, "now">;
  /** The engine's clock. */
  now: () => number;
  options: EngineOptions;
  store: Pick<SessionStore, "lobbies">;
  suspensions: Pick<Suspensions, "refusalOf">;
}

/** Returns a function that answers with the surroundings of this moment, always the same object. */
export function createSurroundings(parts: SurroundingsParts): () => Surroundings {
  const { system, options, store, suspensions } = parts;
  const around: Surroundings & { now: number } = {
    now: 0,
    get wallOffsetMs() {
      return system.now() - this.now;
    },
    options: transitionOptionsOf(options),
    lobby: (mode, lobby) => store.lobbies.countsOf(lobby, mode, parts.now()),
    suspended: (session) => suspensions.refusalOf(partyOf(session)),
  };
  return () => {
    around.now = parts.now();
    return around;
  };
}
