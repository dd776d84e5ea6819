/** The waiting tickets in Redis: whom each may be paired with, and the pairing of two. */
import { isRejection } from "../../domain/rejection.ts";
import type { Ticket } from "../../domain/ticket.ts";
import * as transitions from "../../domain/transitions.ts";
import { eligibleMax } from "../constants.ts";
import type { MatchOptions, PairRequest } from "../engine.ts";
import type { Node } from "./node.ts";
import { scripts, type Eligible } from "./scripts.ts";
import type { Transaction } from "./transaction.ts";
import type { Transactor } from "./transactor.ts";

/** Nearly all are asked for at once. */
const rememberedMax = 1000;

export class Lobby {
  readonly #node: Node;
  readonly #transactor: Transactor;
  readonly #remembered = new Map<string, MatchOptions>();

  constructor(node: Node, transactor: Transactor) {
    this.#node = node;
    this.#transactor = transactor;
  }

  /** Keeps the options that came with the commit by which a ticket entered the lobby, so that looking needs no round. */
  remember(found: Eligible): void {
    const options = optionsOf(found);
    if (!options) return;
    if (this.#remembered.size >= rememberedMax) this.#remembered.clear();
    this.#remembered.set(options.ticket.sessionId, options);
  }

  /** See `Engine.matchOptions`. */
  async matchOptions(sessionId: string, asEntered = false): Promise<MatchOptions | undefined> {
    const remembered = this.#remembered.get(sessionId);
    this.#remembered.delete(sessionId);
    if (asEntered && remembered) return remembered;
    const args = { session: sessionId, now: this.#node.now(), max: eligibleMax };
    const found = await this.#transactor.answering(() => this.#node.run(scripts.eligible, args));
    return isRejection(found) ? undefined : optionsOf(found);
  }

  /** See `Engine.pair`. */
  async pair(request: PairRequest): Promise<boolean> {
    const { impolite, polite, caller } = request;
    const ids: [string, string] = [impolite.sessionId, polite.sessionId];
    if (ids[0] === ids[1]) return false;
    const pairing = (transaction: Transaction): boolean => {
      const [first, second] = ids.map((id) => transaction.get(id)?.value);
      if (first?.ticket?.revision !== impolite.revision) return false;
      if (second?.ticket?.revision !== polite.revision || transaction.avoiding) return false;
      if (caller?.mutationId !== undefined && ids.includes(caller.sessionId)) {
        const result = JSON.stringify(transitions.pairedAtOnce);
        transaction.record = [caller.sessionId, caller.mutationId, result];
      }
      const around = this.#transactor.surroundings(transaction);
      return transaction.apply(transitions.pair(first, second, request, around));
    };
    const paired = await this.#transactor.answering(() =>
      this.#transactor.transact({ ids, pairing: true }, pairing),
    );
    return paired === true;
  }
}

function optionsOf(found: Eligible): MatchOptions | undefined {
  const [ticket, ...eligible] = found.flatMap(([, revision, json]): Ticket[] =>
    json === null ? [] : [{ ...(JSON.parse(json) as Ticket), revision: Number(revision) }],
  );
  if (!ticket) return undefined;
  return { ticket, eligible: eligible.sort((a, b) => a.queuedSince - b.queuedSince) };
}
