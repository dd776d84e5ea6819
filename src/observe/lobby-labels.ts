/** The label `lobby` of a site's metrics, of which there is a bounded number. */
import { mainLobby } from "../domain/lobby.ts";

/** Lobbies that peers can't choose, as the operator puts them there, have so many labels; those that come later have one together. */
const othersMax = 100;

export type LobbyLabels = (lobby: string | undefined) => { lobby?: string };

/**
 * @param choosable the names of the lobbies that peers can choose. If that is only `main`, it has no label: a site without lobbies
 *   has none at all.
 */
export function createLobbyLabels(choosable: readonly string[]): LobbyLabels {
  const main = choosable.length > 1 ? { lobby: mainLobby } : {};
  const named = new Set(choosable);
  const max = named.size + othersMax;
  return (lobby = mainLobby) => {
    if (lobby === mainLobby) return main;
    if (named.size < max) named.add(lobby);
    return { lobby: named.has(lobby) ? lobby : "other" };
  };
}
