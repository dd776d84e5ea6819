/** Sends mutations in order: each is repeated until it is answered, also over reconnects. */
import type { Answer, Input, MutationName } from "./mutations.ts";
import { browserTimers, randomId, type Timer, type Timers } from "./platform.ts";
import { readRefusal, retryAfterRefusalMs } from "./refusal.ts";
import type { PeerStreamError } from "./state.ts";

/** A mutation that is refused temporarily is tried this often. */
const TRIES_MAX = 8;
/** Milliseconds until a mutation without an answer is sent again, while the connection is open. */
const RESEND_MS = 250;

/** How one mutation is treated. */
interface Delivery<K extends MutationName> {
  /** Checked before every transmission: a mutation that has become pointless is dropped. */
  isRelevant(): boolean;
  answered?(answer: Answer<K>): void;
  /** Refused permanently, or too often. */
  refused?(error: PeerStreamError): void;
  /** Removed without an answer: no longer relevant, or the queue was cleared. */
  dropped?(): void;
}

interface Entry {
  isRelevant(): boolean;
  dropped(): void;
  /** Sends the mutation. Resolves with a function that reports the answer. */
  send(): Promise<() => void>;
  /** What a failed transmission means: `removed` for good, or the milliseconds after which to send it again. */
  onFailure(error: unknown): "removed" | number;
  sent: boolean;
  /** Counts the transmissions, so that a late failure of an earlier one is ignored. */
  transmissions: number;
}

/**
 * Mutations on their way to the server: sent in order, each executed once.
 *
 * The queue sends without waiting for answers, because one transport preserves the order. What a dropped connection left
 * unanswered is sent again with the same mutation id, which the server executes only once. A refusal with a
 * `retryAfterMs` is retried after that time, and delays everything enqueued after it.
 */
export class MutationQueue {
  readonly #call: <K extends MutationName>(name: K, input: Input<K>) => Promise<Answer<K>>;
  readonly #newId: () => string;
  readonly #timers: Timers;
  #entries: Entry[] = [];
  #isOpen = false;
  #isHandingOver = false;
  #pause: Timer | undefined;

  /** @param newId - returns a mutation id: random, at most 64 characters. */
  constructor(
    call: <K extends MutationName>(name: K, input: Input<K>) => Promise<Answer<K>>,
    newId: () => string = randomId,
    timers = browserTimers,
  ) {
    this.#call = call;
    this.#newId = newId;
    this.#timers = timers;
  }

  enqueue<K extends MutationName>(name: K, input: Input<K>, delivery: Delivery<K>): void {
    this.#entries.push(this.#createEntry(name, input, delivery));
    this.#flush();
  }

  /** The connection is up: sends what was held, in the order in which it was enqueued. */
  open(): void {
    this.#isOpen = true;
    this.#cancelPause();
    this.#flush();
  }

  /** The connection is down: holds everything, including what has been sent and then fails without an answer. */
  hold(): void {
    this.#isOpen = false;
    this.#cancelPause();
  }

  /**
   * A new socket or transport replaces the current one. What has not been sent waits for the answers to what has been,
   * because there is no order between the two.
   */
  handOver(): void {
    this.#isHandingOver = true;
  }

  /** Drops everything. Nothing more is sent, and answers to what was sent are ignored. */
  clear(): void {
    this.#cancelPause();
    for (const entry of this.#entries) this.#drop(entry);
  }

  #createEntry<K extends MutationName>(name: K, input: Input<K>, delivery: Delivery<K>): Entry {
    let id = this.#newId();
    let tries = 0;
    return {
      sent: false,
      transmissions: 0,
      isRelevant: () => delivery.isRelevant(),
      dropped: () => delivery.dropped?.(),
      send: async () => {
        const answer = await this.#call(name, Object.assign({}, input, { id }));
        return () => delivery.answered?.(answer);
      },
      onFailure: (error) => {
        const refusal = readRefusal(error);
        if (refusal.kind === "unanswered") return RESEND_MS;
        const retryMs = retryAfterRefusalMs(refusal);
        if (retryMs !== undefined && ++tries < TRIES_MAX) {
          // A new call, as the one with that id has had its answer.
          id = this.#newId();
          return retryMs;
        }
        if (delivery.isRelevant()) delivery.refused?.(refusal);
        else delivery.dropped?.();
        return "removed";
      },
    };
  }

  #flush(): void {
    for (const entry of this.#entries) if (!entry.sent && !entry.isRelevant()) this.#drop(entry);
    this.#isHandingOver &&= this.#entries.some(({ sent }) => sent);
    if (!this.#isOpen || this.#isHandingOver || this.#pause !== undefined) return;
    for (const entry of this.#entries) if (!entry.sent) this.#transmit(entry);
  }

  #transmit(entry: Entry): void {
    entry.sent = true;
    const transmission = ++entry.transmissions;
    entry.send().then(
      (reportAnswer) => {
        if (!this.#entries.includes(entry)) return;
        this.#remove(entry);
        reportAnswer();
        if (this.#isHandingOver) this.#flush();
      },
      (error: unknown) => {
        if (!this.#entries.includes(entry) || entry.transmissions !== transmission) return;
        const result = entry.onFailure(error);
        if (result === "removed") this.#remove(entry);
        else {
          entry.sent = false;
          this.#pauseFor(result);
        }
        if (this.#isHandingOver) this.#flush();
      },
    );
  }

  #pauseFor(ms: number): void {
    if (!this.#isOpen) return;
    this.#timers.clearTimeout(this.#pause);
    this.#pause = this.#timers.setTimeout(() => {
      this.#pause = undefined;
      this.#flush();
    }, ms);
  }

  #cancelPause(): void {
    this.#timers.clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  #drop(entry: Entry): void {
    this.#remove(entry);
    entry.dropped();
  }

  #remove(entry: Entry): void {
    this.#entries = this.#entries.filter((other) => other !== entry);
  }
}
