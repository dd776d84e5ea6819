/**
 * The lobby's index: every ticket that can be paired now, found by what it accepts, the longest queued first. A ticket is
 * listed under each of its interests; under its languages and under its mode only once it accepts those. So a ticket that
 * looks under the same terms finds only tickets that match by the words of both sides, without reading any other. Whether the facts and
 * wants of both fit as well is asked of each, the longest queued first; and in a long list, after some that do not, of 32 at a time.
 */
import { fit, type Dimensions, type Fitting } from "../../domain/facts.ts";
import { forEachIndexTerm, type TermKind, type Ticket, type Wishes } from "../../domain/ticket.ts";
import type { Mode } from "../../protocol.ts";
import { isBarred, type Numbered } from "./avoidance.ts";
import { clearBit, countShared, hasBit, setBit, type BitSet } from "./bit-set.ts";
import { FitBlocks, type Listed } from "./fit-blocks.ts";
import { after, TimeBuckets, type Entry } from "../time-buckets.ts";

/** Times of queueing are compared to the second; within one, the order is that of arrival in the lobby. */
const queueBucketMs = 1000;
/** After so many barred tickets in a row it is worth checking whether all of them are. */
const barredInARow = 32;

/**
 * A list that is longer than this has blocks (see fit-blocks.ts), unless it is one by interest or language: whoever is missed there is found
 * among all once both accept anybody.
 */
const blocksFrom = 128;
/**
 * So many tickets that do not fit are compared in one look, shared out among the terms, as strangers can have tickets in a list that no bits
 * tell from those that fit, and comparing takes time. The more recently queued of those that fit may then be missed.
 */
const comparedMax = 1024;

/** A session as the index sees it. */
export interface WaitingPeer<P> {
  readonly value: { readonly ticket: Ticket | undefined };
  /** Whose ticket it is: several may be of one account. */
  readonly person: Numbered;
  /** Where its ticket is listed; absent while it is not. The person's `number` must not change meanwhile. */
  indexEntries: readonly IndexEntry<P>[] | undefined;
}

export interface IndexEntry<P> extends Listed, Entry<P> {
  readonly term: Term<P>;
}

/** All tickets listed under one word. */
interface Term<P> {
  /** The map that holds it, and its key there: an empty one is removed. */
  readonly terms: Map<string, Term<P>>;
  readonly word: string;
  readonly peers: TimeBuckets<P>;
  /** The numbers of those peers; and how many more have the same one, by number. */
  readonly numbers: BitSet;
  repeated: Map<number, number> | undefined;
  /** Once the list is long, if it is one that has any. */
  blocks: FitBlocks<IndexEntry<P>> | undefined;
}

/** What one look finds, and how far it goes under each term. */
interface Look {
  readonly found: Ticket[];
  readonly countMax: number;
  readonly misfitsMax: number;
}

/** The terms of one mode, by kind. */
type Terms<P> = Record<TermKind, Map<string, Term<P>>>;

export class LobbyIndex<P extends WaitingPeer<P>> {
  readonly #terms: Record<Mode, Terms<P>> = {
    video: newTerms(),
    audio: newTerms(),
    text: newTerms(),
  };
  readonly #dimensions: Dimensions | undefined;

  constructor(dimensions?: Dimensions) {
    this.#dimensions = dimensions && withLastBits(dimensions);
  }

  add(peer: P): void {
    const { number } = peer.person;
    const { ticket } = peer.value;
    if (!ticket) return;
    const { mode } = ticket.wishes;
    const entries: IndexEntry<P>[] = [];
    peer.indexEntries = entries;
    forEachIndexTerm(ticket, this.#dimensions?.sets, (kind, word) => {
      const term = termAt(this.#terms[mode][kind], word);
      if (number !== undefined) addNumber(term, number);
      const added: IndexEntry<P> = {
        term,
        value: peer,
        bucket: undefined,
        before: undefined,
        after: undefined,
        block: undefined,
        index: 0,
      };
      term.peers.insert(ticket.queuedSince, added);
      entries.push(added);
      if (term.blocks) term.blocks.add(added, ticket);
      else if (this.#dimensions && hasBlocks(kind) && term.peers.size === blocksFrom)
        makeBlocks(term, this.#dimensions);
    });
  }

  /** Idempotent. */
  remove(peer: P): void {
    const { indexEntries } = peer;
    const { number } = peer.person;
    const { ticket } = peer.value;
    if (!ticket || !indexEntries) return;
    for (const listed of indexEntries) {
      const { term } = listed;
      if (number !== undefined) removeNumber(term, number);
      term.peers.remove(listed);
      term.blocks?.remove(listed, ticket);
      if (term.peers.size === 0) term.terms.delete(term.word);
    }
    peer.indexEntries = undefined;
  }

  /**
   * The same wishes with the string objects of the tickets that are listed: one object compares several times faster than
   * two equal ones, and a popular word is kept once.
   */
  internStrings(wishes: Wishes): Wishes {
    if (wishes.interests.length === 0) return wishes;
    const known = this.#terms[wishes.mode].interest;
    const interests: string[] = [];
    for (const word of wishes.interests) interests.push(known.get(word)?.word ?? word);
    return { ...wishes, interests };
  }

  /**
   * The tickets of up to `max` peers who are not barred, from the term under which `peer` is listed, or of half as many
   * from each of several; the longest queued first.
   */
  eligibleFor(peer: P, max: number): Ticket[] {
    const found: Ticket[] = [];
    const entries = peer.indexEntries ?? [];
    const countMax = entries.length > 1 ? Math.ceil(max / 2) : max;
    const misfitsMax = Math.ceil(comparedMax / Math.max(1, entries.length));
    for (const { term } of entries) findIn(term, peer, { found, countMax, misfitsMax });
    return found;
  }
}

const newTerms = <P>(): Terms<P> => ({
  interest: new Map(),
  language: new Map(),
  anybody: new Map(),
  fact: new Map(),
});

function termAt<P>(terms: Map<string, Term<P>>, word: string): Term<P> {
  let term = terms.get(word);
  if (!term) {
    const peers = new TimeBuckets<P>(queueBucketMs);
    term = { terms, word, peers, numbers: new Map(), repeated: undefined, blocks: undefined };
    terms.set(word, term);
  }
  return term;
}

/** Keeps the bits of the last ticket: it is listed several times, and looks right after that. */
function withLastBits(dimensions: Dimensions): Dimensions {
  let last: Fitting | undefined;
  let bits: number[] = [];
  return {
    ...dimensions,
    bitsOf(fitting) {
      if (last !== fitting) bits = dimensions.bitsOf(fitting);
      last = fitting;
      return bits;
    },
  };
}

const hasBlocks = (kind: TermKind) => kind === "anybody" || kind === "fact";

/** The list has become long. */
function makeBlocks<P extends WaitingPeer<P>>(term: Term<P>, dimensions: Dimensions): void {
  const queuedSince = ({ value }: IndexEntry<P>) => value.value.ticket?.queuedSince ?? 0;
  const blocks = new FitBlocks(dimensions, queuedSince);
  term.blocks = blocks;
  for (let entry = term.peers.first; entry; entry = after(entry)) {
    const peer = entry.value;
    const listed = peer.indexEntries?.find((one) => one.term === term);
    if (listed && peer.value.ticket) blocks.add(listed, peer.value.ticket);
  }
}

/** Adds to what was found the tickets that are listed under a term and may be paired with that of `peer`. */
function findIn<P extends WaitingPeer<P>>(term: Term<P>, peer: P, look: Look): void {
  const { person } = peer;
  const { ticket } = peer.value;
  const { found, countMax, misfitsMax } = look;
  let count = 0;
  let barred = 0;
  let misfits = 0;
  for (let entry = term.peers.first; entry && count < countMax; entry = after(entry)) {
    const other = entry.value;
    if (other === peer || !other.value.ticket || !ticket) continue;
    if (isBarred(person, other.person)) {
      if (++barred === barredInARow && count === 0 && areAllBarred(person, term)) return;
    } else if (fit(ticket, other.value.ticket)) {
      count += 1;
      insert(found, other.value.ticket);
    } else if (term.blocks) {
      return findInBlocks(term.blocks, peer, ticket, look);
    } else if (++misfits === misfitsMax) return;
  }
}

/** The same, without reading those that bits tell not to fit. */
function findInBlocks<P extends WaitingPeer<P>>(
  blocks: FitBlocks<IndexEntry<P>>,
  peer: P,
  own: Ticket,
  { found, countMax, misfitsMax }: Look,
): void {
  const bounds = { countMax, refusedMax: misfitsMax };
  const first = blocks.findFirst(own, bounds, ({ value: other }, isTold) => {
    if (other === peer || isBarred(peer.person, other.person)) return false;
    const { ticket } = other.value;
    return ticket !== undefined && (isTold || fit(own, ticket));
  });
  for (const { value } of first) if (value.value.ticket) insert(found, value.value.ticket);
}

function addNumber<P>(term: Term<P>, number: number): void {
  if (!hasBit(term.numbers, number)) return setBit(term.numbers, number);
  term.repeated ??= new Map();
  term.repeated.set(number, (term.repeated.get(number) ?? 0) + 1);
}

function removeNumber<P>({ numbers, repeated }: Term<P>, number: number): void {
  const more = repeated?.get(number);
  if (more === undefined) clearBit(numbers, number);
  else if (more > 1) repeated?.set(number, more - 1);
  else repeated?.delete(number);
}

/** Whether all other peers of the term are barred for one of `person`, which is listed there too. */
function areAllBarred<P>({ barred, number }: Numbered, term: Term<P>): boolean {
  if (barred === undefined) return false;
  let count = countShared(barred, term.numbers);
  for (const [repeated, more] of term.repeated ?? []) if (hasBit(barred, repeated)) count += more;
  const isItselfCounted = number !== undefined && hasBit(barred, number);
  return count === term.peers.size - (isItselfCounted ? 0 : 1);
}

/** Inserts a ticket, once, into a list that is ordered by queueing. The list is short: a loop instead of `sort`. */
function insert(tickets: Ticket[], ticket: Ticket): void {
  if (tickets.includes(ticket)) return;
  let index = tickets.push(ticket) - 1;
  for (; index > 0; index--) {
    const before = tickets[index - 1];
    if (!before || before.queuedSince <= ticket.queuedSince) break;
    tickets[index] = before;
  }
  tickets[index] = ticket;
}
