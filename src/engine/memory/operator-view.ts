/** What an operator's console reads of the engine in memory, and the room that it ends. */
import type { Surroundings } from "../../domain/change.ts";
import { lobbyOf, mainLobby } from "../../domain/lobby.ts";
import { closeRoom } from "../../domain/room-closing.ts";
import { statusOf } from "../../domain/session.ts";
import {
  notedReportsMax,
  type Found,
  type NotedReport,
  type OperatorView,
  type RoomClosing,
} from "../operator-view.ts";
import type { Meetings } from "./meetings.ts";
import type { SessionStore } from "./session-store.ts";

export class MemoryOperatorView implements OperatorView {
  readonly #store: SessionStore;
  readonly #meetings: Meetings;
  readonly #surroundings: () => Surroundings;
  /** The oldest first. */
  readonly #reports: NotedReport[] = [];

  constructor(store: SessionStore, meetings: Meetings, surroundings: () => Surroundings) {
    this.#store = store;
    this.#meetings = meetings;
    this.#surroundings = surroundings;
  }

  note(report: NotedReport): undefined {
    this.#reports.push(report);
    if (this.#reports.length > notedReportsMax) this.#reports.shift();
  }

  noted(): NotedReport[] {
    return this.#reports.toReversed();
  }

  find(letters: string, max: number): Found {
    const sessions: Found["sessions"] = [];
    for (const { id, value } of this.#store.sessions()) {
      if (!value.present || !id.startsWith(letters)) continue;
      if (sessions.length === max) return { sessions, more: true };
      const { account, room } = value;
      const [status, lobby = mainLobby] = [statusOf(value), lobbyOf(value)];
      sessions.push({ id, account, status, roomId: room?.id, lobby });
    }
    return { sessions, more: false };
  }

  endRoom(roomId: string): RoomClosing {
    for (const session of this.#store.sessions()) {
      if (session.value.room?.id !== roomId) continue;
      const partner = this.#store.partnerOf(session);
      const around = this.#surroundings();
      const change = closeRoom(session.current(), partner?.current(), roomId, around);
      if (change) return { ended: true, ...this.#meetings.apply(change, session, partner) };
    }
    return { ended: false, newlyWaiting: [] };
  }
}
