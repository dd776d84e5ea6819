/** The waiting tickets in Redis: whom each may be paired with, and the pairing of two. */
import { isRejection } from "../../domain/rejection.ts";
import * as transitions from "../../domain/transitions.ts";
import { eligibleMax } from "../constants.ts";
import type { MatchOptions, PairRequest } from "../engine.ts";
import type { Node } from "./node.ts";
import { scripts, type Eligible } from "./scripts.ts";
import { decodeSession, fieldsOf } from "./session-codec.ts";
import type { Transaction } from "./transaction.ts";
import type { Transactor } from "./transactor.ts";

/** Options kept at a time. Nearly all are used at once, and without any nothing is lost but a round. */
const keptMax = 1000;

export class Lobby {
  readonly #node: Node;
  readonly #transactor: Transactor;
  /** Options that came with a commit, by the session that entered the lobby. */
  readonly #entered = new Map<string, Eligible>();
  /** Options that have been looked at: if one of them is chosen, the two need not be read again. */
  readonly #lookedAt = new Map<string, Eligible>();

  constructor(node: Node, transactor: Transactor) {
    this.#node = node;
    this.#transactor = transactor;
  }

  /** Keeps the options that came with the commit by which a ticket entered the lobby, so that looking needs no round. */
  remember(found: Eligible): void {
    keep(this.#entered, found);
  }

  /** See `Engine.matchOptions`. */
  async matchOptions(sessionId: string, asEntered = false): Promise<MatchOptions | undefined> {
    const entered = take(this.#entered, sessionId);
    const args = { session: sessionId, now: this.#node.now(), max: eligibleMax };
    const found =
      asEntered && entered
        ? entered
        : await this.#transactor.answering(() => this.#node.run(scripts.eligible, args));
    if (isRejection(found)) return undefined;
    const options = optionsOf(found);
    if (options && options.eligible.length > 0) keep(this.#lookedAt, found);
    return options;
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
      const around = this.#transactor.surroundings();
      return transaction.apply(transitions.pair(first, second, request, around));
    };
    const known = take(this.#lookedAt, impolite.sessionId)?.filter(([id]) => ids.includes(id));
    const paired = await this.#transactor.answering(() =>
      this.#transactor.transact(
        { ids, pairing: true, known: known?.length === ids.length ? known : undefined },
        pairing,
      ),
    );
    return paired === true;
  }
}

function keep(options: Map<string, Eligible>, found: Eligible): void {
  const [own] = found;
  if (!own) return;
  if (options.size >= keptMax) options.clear();
  options.set(own[0], found);
}

function take(options: Map<string, Eligible>, sessionId: string): Eligible | undefined {
  const found = options.get(sessionId);
  options.delete(sessionId);
  return found;
}

function optionsOf(found: Eligible): MatchOptions | undefined {
  const [ticket, ...eligible] = found.flatMap(([id, pairs]) => {
    const { value } = decodeSession(id, fieldsOf(pairs));
    return value.ticket ?? [];
  });
  if (!ticket) return undefined;
  return { ticket, eligible: eligible.sort((a, b) => a.queuedSince - b.queuedSince) };
}
