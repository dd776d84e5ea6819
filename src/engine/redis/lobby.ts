/** The waiting tickets in Redis: whom each may be paired with, and the pairing of two. */
import { isRejection } from "../../domain/rejection.ts";
import type { Ticket } from "../../domain/ticket.ts";
import * as transitions from "../../domain/transitions.ts";
import { eligibleMax } from "../constants.ts";
import type { MatchOptions, PairRequest } from "../engine.ts";
import type { Node } from "./node.ts";
import { scripts } from "./scripts.ts";
import type { Transactor } from "./transactor.ts";

export class Lobby {
  readonly #node: Node;
  readonly #transactor: Transactor;

  constructor(node: Node, transactor: Transactor) {
    this.#node = node;
    this.#transactor = transactor;
  }

  /** See `Engine.matchOptions`. */
  async matchOptions(sessionId: string): Promise<MatchOptions | undefined> {
    const args = { session: sessionId, now: this.#node.now(), max: eligibleMax };
    const found = await this.#transactor.answering(() => this.#node.run(scripts.eligible, args));
    if (isRejection(found)) return undefined;
    const [ticket, ...eligible] = found.flatMap(([, revision, json]): Ticket[] =>
      json === null ? [] : [{ ...(JSON.parse(json) as Ticket), revision: Number(revision) }],
    );
    if (!ticket) return undefined;
    return { ticket, eligible: eligible.sort((a, b) => a.queuedSince - b.queuedSince) };
  }

  /** See `Engine.pair`. */
  async pair(request: PairRequest): Promise<boolean> {
    const { impolite, polite } = request;
    const ids: [string, string] = [impolite.sessionId, polite.sessionId];
    if (ids[0] === ids[1]) return false;
    const paired = await this.#transactor.answering(async () => {
      // A session that comes to avoid the other one after this has another revision.
      if (await this.#avoidEachOther(...ids)) return false;
      return this.#transactor.transact({ ids }, (transaction) => {
        const [first, second] = ids.map((id) => transaction.get(id)?.value);
        if (first?.ticket?.revision !== impolite.revision) return false;
        if (second?.ticket?.revision !== polite.revision) return false;
        const around = this.#transactor.surroundings(transaction);
        return transaction.apply(transitions.pair(first, second, request, around));
      });
    });
    return paired === true;
  }

  async #avoidEachOther(one: string, other: string): Promise<boolean> {
    const { keys } = this.#node;
    const until = (session: string, avoided: string) =>
      this.#node.command("ZSCORE", keys.avoidances(session), avoided);
    const ends = await Promise.all([until(one, other), until(other, one)]);
    return ends.some((end) => end !== null && Number(end) > this.#node.now());
  }
}
