/** Reports: the two whom one is about may be in two shards, and it is filed in shard 0. */
import type { RoomMessages } from "../../domain/attestation.ts";
import { isRejection, type Rejection } from "../../domain/rejection.ts";
import type { Caller, Engine, Reported } from "../engine.ts";
import type { Shard } from "./shard.ts";
import type { Suspensions } from "./suspensions.ts";

export interface ReportingParts {
  suspensions: Suspensions;
  /** Carries out a verb in the shard in which a session is. */
  at: <T>(sessionId: string, verb: (shard: Shard) => Promise<T>) => Promise<T | Rejection>;
  /** The same in that which belongs to the whole site. */
  onSite: <T>(verb: () => Promise<T | Rejection>) => Promise<T | Rejection>;
}

export class Reporting {
  readonly #parts: ReportingParts;

  constructor(parts: ReportingParts) {
    this.#parts = parts;
  }

  async report(...report: Parameters<Engine["report"]>): Promise<Reported | Rejection> {
    const [caller, roomId, reason, filing] = report;
    const found = await this.#met(caller, roomId);
    if (isRejection(found)) return found;
    const { met, ...parties } = found;
    const filed = { roomId, reason, caseId: filing?.caseId, ...parties, earned: met.votes };
    const made = await this.#parts.onSite(() =>
      this.#parts.suspensions.report(filed, filing?.isHeld),
    );
    // If this fails the report has counted all the same.
    if (!isRejection(made) && made.counted)
      await this.#parts.at(met.partnerId, (shard) => shard.verdicts.reproach(met.partnerId));
    return made;
  }

  async messagesIn(caller: Caller, roomId: string): Promise<RoomMessages | Rejection> {
    const found = await this.#met(caller, roomId);
    if (isRejection(found)) return found;
    const [received, sent] = await Promise.all(
      [caller.sessionId, found.met.partnerId].map((id) =>
        this.#parts.at(id, (shard) => shard.verdicts.messagesIn(id, roomId)),
      ),
    );
    if (isRejection(received)) return received;
    return isRejection(sent) ? sent : { received: received ?? [], sent: sent ?? [] };
  }

  /** The caller and the other member of its present or recent room, which may be in two shards by now. */
  async #met(caller: Caller, roomId: string) {
    const found = await this.#parts.at(caller.sessionId, (shard) => shard.metIn(caller, roomId));
    if (isRejection(found)) return found;
    const reported = await this.#parts.at(found.met.partnerId, (shard) => shard.party(found.met));
    return isRejection(reported) ? reported : { ...found, reported };
  }
}
