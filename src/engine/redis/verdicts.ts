/** What reports and decisions do to one session of a shard, and what its log knows of what was said. */
import { messagesIn, type RoomMessages } from "../../domain/attestation.ts";
import { hasLanes } from "../../domain/lanes.ts";
import { isRejection, type Rejection } from "../../domain/rejection.ts";
import type { WarningEvent } from "../../domain/session.ts";
import * as transitions from "../../domain/transitions.ts";
import { limits } from "../../protocol.ts";
import type { EngineOptions } from "../engine.ts";
import { textOf } from "./log-entry.ts";
import type { Node } from "./node.ts";
import { scripts } from "./scripts.ts";
import type { Transactor } from "./transactor.ts";

export class Verdicts {
  readonly #node: Node;
  readonly #transactor: Transactor;
  readonly #options: Pick<EngineOptions, "relax">;

  constructor(node: Node, transactor: Transactor, options: Pick<EngineOptions, "relax">) {
    this.#node = node;
    this.#transactor = transactor;
    this.#options = options;
  }

  /** A report of the session has counted. */
  async reproach(sessionId: string): Promise<unknown> {
    if (!hasLanes(this.#options.relax)) return undefined;
    return this.#transactor.answering(() =>
      this.#transactor.transact({ ids: [sessionId] }, (transaction) => {
        const draft = transaction.get(sessionId);
        const around = this.#transactor.surroundings();
        return draft && transaction.apply(transitions.reproach(draft.value, around));
      }),
    );
  }

  /** Takes a session out of lobby and room, to which a suspension applies. Returns whose tickets entered the lobby. */
  async evict(sessionId: string): Promise<string[]> {
    const evicted = await this.#transactor.transact({ ids: [sessionId] }, (transaction) => {
      const draft = transaction.get(sessionId);
      if (!draft) return { newlyWaiting: [] };
      const partner = transaction.partnerOf(draft);
      const around = this.#transactor.surroundings();
      return transaction.apply(transitions.evict(draft.value, partner, around));
    });
    return isRejection(evicted) ? [] : evicted.newlyWaiting;
  }

  /** Tells a session a warning: now, or when it comes back. One that was forgotten is told nothing. */
  async warn(sessionId: string, warning: WarningEvent): Promise<void> {
    await this.#transactor.transact({ ids: [sessionId] }, (transaction) => {
      const draft = transaction.get(sessionId);
      return draft && transaction.apply(transitions.warn(draft.value, warning));
    });
  }

  /** The messages that a session was sent in a room, as far as its log has them. */
  messagesIn(session: string, roomId: string): Promise<RoomMessages["sent"] | Rejection> {
    const read = (after: number) =>
      this.#node.run(scripts.readLog, { session, after, events_max: limits.logEventsMax });
    return this.#transactor.answering(async () => {
      const [, , dropped] = await read(Number.MAX_SAFE_INTEGER);
      const [, , , entries] = await read(dropped);
      return messagesIn(entries.map(textOf), roomId);
    });
  }
}
