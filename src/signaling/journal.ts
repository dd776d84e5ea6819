/** What happens to peers and rooms, as an operator can follow it: each thing is logged, counted and traced here, and nowhere else. */
import type { Ticket } from "../domain/ticket.ts";
import type { Room, RoomEnd } from "../domain/session.ts";
import type { Confirmed } from "../domain/living-calls.ts";
import { readRoomId } from "../domain/room-id.ts";
import { shortId } from "../observe/log-fields.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { RoomTraces } from "../observe/room-traces.ts";
import type { CallPath, Mode } from "../protocol.ts";
import type { StreamBeginning } from "./event-streams.ts";

export interface JournalParts {
  log: Log;
  metrics: Metrics;
  /** Absent: nobody receives any. */
  traces?: RoomTraces | undefined;
}

const shortIds = (...sessionIds: string[]) => sessionIds.map(shortId);

export class Journal {
  readonly #parts: JournalParts;

  constructor(parts: JournalParts) {
    this.#parts = parts;
  }

  streamBegan(sessionId: string, outcome: StreamBeginning): void {
    this.#parts.metrics.began(outcome);
    this.#parts.log.debug("stream began", { sessions: shortIds(sessionId), outcome });
  }

  streamEnded(sessionId: string): void {
    this.#parts.log.debug("stream ended", { sessions: shortIds(sessionId) });
  }

  joined(sessionId: string, mode: Mode): void {
    this.#parts.log.debug("joined", { sessions: shortIds(sessionId), mode });
  }

  /** @param now the engine's clock. */
  paired(room: string, newcomer: Ticket, partner: Ticket, now: number): void {
    const { lobby, mode } = newcomer.wishes;
    const members = [newcomer, partner].map(({ sessionId, since }) => ({
      sessionId,
      waitedMs: now - since,
    }));
    const waitedMs = members.map((member) => member.waitedMs);
    const sessions = shortIds(newcomer.sessionId, partner.sessionId);
    this.#parts.log.info("paired", { room, sessions, mode, waitedMs });
    this.#parts.metrics.paired({ lobby, mode }, waitedMs);
    this.#parts.traces?.paired(room, mode, members);
  }

  metAgain(room: Room): void {
    const { id, impoliteId, politeId, mode } = room;
    this.#parts.log.info("met again", {
      room: id,
      sessions: shortIds(impoliteId, politeId),
      mode,
    });
    this.#parts.metrics.metAgain(room);
    const members = [impoliteId, politeId].map((sessionId) => ({ sessionId, waitedMs: 0 }));
    this.#parts.traces?.paired(id, mode, members);
  }

  /** @param stated the partner, as the room's proof names it; and the path, which is only counted. */
  confirmed(
    room: string,
    sessionId: string,
    { connectedAfterMs: afterMs, connectedIn: lobby, confirmed, restored }: Confirmed,
    stated: { partnerId?: string | undefined; path?: CallPath | undefined },
  ): void {
    const { partnerId = confirmed?.partnerId, path } = stated;
    const sessions = shortIds(sessionId, ...(partnerId === undefined ? [] : [partnerId]));
    if (afterMs !== undefined) {
      this.#parts.metrics.connected({ mode: readRoomId(room).mode, lobby }, afterMs, path);
      this.#parts.log.info("connected", { room, sessions, afterMs });
    }
    if (confirmed?.both)
      this.#parts.traces?.connected(room, [sessionId, confirmed.partnerId], confirmed.afterMs);
    if (restored) this.#parts.log.info("restored", { room, sessions });
  }

  ended({ roomId: room, sessionId, partnerId, reason, ending: by, lastedMs }: RoomEnd): void {
    const sessions = shortIds(sessionId, partnerId);
    this.#parts.log.info("ended", { room, sessions, reason, by, lastedMs });
    this.#parts.metrics.ended(reason);
    if (reason === "connect-failed")
      this.#parts.traces?.failed(room, [sessionId, partnerId], lastedMs, reason);
  }

  blocked(room: string, sessionId: string): void {
    this.#parts.log.info("blocked", { room, sessions: shortIds(sessionId) });
  }
}
