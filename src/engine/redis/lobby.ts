/** The waiting tickets in Redis: whom each may be paired with, and the pairing of two. */
import { fit, type Dimensions } from "../../domain/facts.ts";
import { requiredOfTicket } from "../../domain/lanes.ts";
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

  readonly #dimensions: Dimensions | undefined;

  constructor(node: Node, transactor: Transactor, dimensions: Dimensions | undefined) {
    this.#node = node;
    this.#transactor = transactor;
    this.#dimensions = dimensions;
  }

  /** Keeps the options that came with the commit by which a ticket entered the lobby, so that looking needs no round. */
  remember(found: Eligible): void {
    keep(this.#entered, found);
  }

  /** See `Engine.matchOptions`. */
  async matchOptions(sessionId: string, asEntered = false): Promise<MatchOptions | undefined> {
    const entered = take(this.#entered, sessionId);
    const args = { session: sessionId, now: this.#node.now(), max: eligibleMax };
    const script = this.#dimensions ? scripts.eligibleByFit : scripts.eligible;
    const found =
      asEntered && entered
        ? entered
        : await this.#transactor.answering(() => this.#node.run(script, args));
    if (isRejection(found)) return undefined;
    const options = optionsOf(found, args.now);
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

/**
 * Facts and wants are compared once more, by their names: the bits that were compared in Redis may be of a node to which the operator has
 * declared other dimensions.
 */
function optionsOf(found: Eligible, now: number): MatchOptions | undefined {
  const [ticket, ...eligible] = found.flatMap(([id, pairs]) => {
    const stored = decodeSession(id, fieldsOf(pairs)).value.ticket;
    if (!stored) return [];
    return { ...stored, required: requiredOfTicket(stored.wishes, now - stored.since) };
  });
  if (!ticket) return undefined;
  const fitting = eligible.filter((other) => fit(ticket, other));
  return { ticket, eligible: fitting.sort((a, b) => a.queuedSince - b.queuedSince) };
}
