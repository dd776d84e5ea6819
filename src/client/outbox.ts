import type { Answer, Input, MutationName } from "./connection.ts";
import { readRefusal, retryAfterRefusalMs } from "./refusal.ts";
import type { PeerStreamError } from "./state.ts";

const TRIES_MAX = 8;
const RESEND_MS = 250;

/** How one mutation is to be treated. */
interface Delivery<K extends MutationName> {
  /** Asked before every sending: what has become pointless meanwhile is dropped, never sent late. */
  relevant(): boolean;
  answered?(answer: Answer<K>): void;
  /** Refused for good, or too often. */
  refused?(error: PeerStreamError): void;
  /** Given up without an answer: no longer relevant, or everything was forgotten. */
  dropped?(): void;
}

/** Mutations on their way to the server, in order, each done once. */
export interface Outbox {
  put<K extends MutationName>(name: K, input: Input<K>, delivery: Delivery<K>): void;
  /** The connection is there: what is held goes out, in the order it was put in. */
  open(): void;
  /** The connection dropped: everything is held, and so is what fails for want of an answer. */
  hold(): void;
  /**
   * Another socket takes this one's place: what has not been sent waits for the answers to what was,
   * because two sockets keep no order between them.
   */
  turnOver(): void;
  /** Whether a mutation of that name has not been answered yet. */
  has(name: MutationName): boolean;
  /** Which of these was put in last, among those that have not been answered yet. */
  last(...names: MutationName[]): MutationName | undefined;
  /** Forgets everything, at once: nothing is sent any more, and no answer is told. */
  clear(): void;
}

interface Entry {
  name: MutationName;
  relevant(): boolean;
  dropped(): void;
  /** Resolves with what is to be told once the entry is done. */
  send(): Promise<() => void>;
  /** Says what a failure means for the entry: gone, or the milliseconds after which to try again. */
  settle(error: unknown): "gone" | number;
  sent: boolean;
  /** Counts the sendings, so that a late failure of an earlier one changes nothing. */
  sending: number;
}

/**
 * Creates an outbox over `call`.
 *
 * It sends without waiting for answers, as one socket keeps the order. What a dropped connection left
 * unanswered is sent again with the same mutation id, which the server does only once. A refusal that
 * names a time is tried again after it, and holds up what was put in later.
 *
 * @param newId - makes mutation ids; random ones, at most 64 characters.
 */
export function createOutbox(
  call: <K extends MutationName>(name: K, input: Input<K>) => Promise<Answer<K>>,
  newId: () => string = randomId,
): Outbox {
  let entries: Entry[] = [];
  let isOpen = false;
  let turningOver = false;
  let pause: ReturnType<typeof setTimeout> | undefined;

  function flush(): void {
    for (const entry of entries) if (!entry.sent && !entry.relevant()) drop(entry);
    turningOver &&= entries.some(({ sent }) => sent);
    if (!isOpen || turningOver || pause !== undefined) return;
    for (const entry of entries) if (!entry.sent) transmit(entry);
  }

  function transmit(entry: Entry): void {
    entry.sent = true;
    const sending = ++entry.sending;
    entry.send().then(
      (tell) => {
        if (!entries.includes(entry)) return;
        remove(entry);
        tell();
        if (turningOver) flush();
      },
      (error: unknown) => {
        if (!entries.includes(entry) || entry.sending !== sending) return;
        const verdict = entry.settle(error);
        if (verdict === "gone") remove(entry);
        else {
          entry.sent = false;
          pauseFor(verdict);
        }
        if (turningOver) flush();
      },
    );
  }

  function pauseFor(ms: number): void {
    if (!isOpen) return;
    clearTimeout(pause);
    pause = setTimeout(() => {
      pause = undefined;
      flush();
    }, ms);
  }

  function unpause(): void {
    clearTimeout(pause);
    pause = undefined;
  }

  function drop(entry: Entry): void {
    remove(entry);
    entry.dropped();
  }

  function remove(entry: Entry): void {
    entries = entries.filter((other) => other !== entry);
  }

  return {
    put(name, input, delivery) {
      let id = newId();
      let tries = 0;
      entries.push({
        name,
        sent: false,
        sending: 0,
        relevant: () => delivery.relevant(),
        dropped: () => delivery.dropped?.(),
        async send() {
          const answer = await call(name, Object.assign({}, input, { id }));
          return () => delivery.answered?.(answer);
        },
        settle(error) {
          const refusal = readRefusal(error);
          if (refusal.kind === "unanswered") return RESEND_MS;
          const retryMs = retryAfterRefusalMs(refusal);
          if (retryMs !== undefined && ++tries < TRIES_MAX) {
            // A refused id is used up: the server may answer it the same way for good.
            id = newId();
            return retryMs;
          }
          if (delivery.relevant()) delivery.refused?.(refusal);
          else delivery.dropped?.();
          return "gone";
        },
      });
      flush();
    },
    open() {
      isOpen = true;
      unpause();
      flush();
    },
    hold() {
      isOpen = false;
      unpause();
    },
    turnOver() {
      turningOver = true;
    },
    has: (name) => entries.some((entry) => entry.name === name),
    last: (...names) => entries.findLast(({ name }) => names.includes(name))?.name,
    clear() {
      unpause();
      for (const entry of entries) drop(entry);
    },
  };
}

/** 128 random bits. Not `crypto.randomUUID`, which browsers hide from pages over plain HTTP (W3C Secure Contexts). */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
