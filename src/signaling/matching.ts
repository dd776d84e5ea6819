/** Pairs tickets: asks the engine who is eligible, lets the policy choose, and has the engine pair the two. */
import { sharedInterests, type Policy } from "../domain/matchmaker.ts";
import { roomIdFor } from "../domain/room-id.ts";
import type { Ticket } from "../domain/ticket.ts";
import type { Caller, Engine, PairRequest } from "../engine/engine.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type { Log } from "../observe/log.ts";
import type { Chat } from "../protocol.ts";
import type { System } from "../system.ts";
import type { Journal } from "./journal.ts";

export interface MatcherParts {
  engine: Pick<Engine, "matchOptions" | "pair" | "now">;
  system: Pick<System, "random" | "id">;
  policy: Policy;
  /** Every room is relay-only. */
  forceRelay: boolean;
  /** Which way the words of rooms for video and audio take. */
  chat: Chat;
  log: Log;
  journal: Pick<Journal, "paired">;
  /** A ticket is to be matched again, after a bug: `takeRetries` soon. */
  onRetry: () => void;
}

export class Matcher {
  readonly #parts: MatcherParts;
  #retryQueue: string[] = [];

  constructor(parts: MatcherParts) {
    this.#parts = parts;
  }

  /** Tickets whose matching failed because of a bug. */
  takeRetries(): string[] {
    const retries = this.#retryQueue;
    this.#retryQueue = [];
    return retries;
  }

  /**
   * Pairs each of these tickets that can be paired now, one after the other.
   * @param caller whose call led to this: if it is paired, so is the recorded result of its mutation.
   * @returns whether the caller was paired.
   */
  matchAll(sessionIds: readonly string[], caller?: Caller): MaybePromise<boolean> {
    let isCallerPaired = false;
    const note = (sessionId: string, partnerId: string | undefined) => {
      if (partnerId === undefined) return;
      isCallerPaired ||= caller?.sessionId === sessionId || caller?.sessionId === partnerId;
    };
    const remaining = sessionIds.values();
    // Once one match has to be awaited, so have those after it.
    const continueAfter = async (first: string, matching: Promise<string | undefined>) => {
      note(first, await matching);
      for (const sessionId of remaining) note(sessionId, await this.#tryMatch(sessionId, caller));
      return isCallerPaired;
    };
    for (const sessionId of remaining) {
      const matching = this.#tryMatch(sessionId, caller);
      if (matching instanceof Promise) return continueAfter(sessionId, matching);
      note(sessionId, matching);
    }
    return isCallerPaired;
  }

  /** Isolates failures: an exception, of the policy perhaps, retries this ticket only. */
  #tryMatch(sessionId: string, caller: Caller | undefined): MaybePromise<string | undefined> {
    const retry = (bug: unknown) => {
      this.#parts.log.bug(bug, "matching");
      this.#retryQueue.push(sessionId);
      this.#parts.onRetry();
      return undefined;
    };
    try {
      const matching = this.#match(sessionId, caller);
      return matching instanceof Promise ? matching.catch(retry) : matching;
    } catch (bug) {
      return retry(bug);
    }
  }

  /** The partner's session id, if the ticket was paired. */
  #match(
    sessionId: string,
    caller: Caller | undefined,
    isFirst = true,
  ): MaybePromise<string | undefined> {
    const { engine, policy, system, journal } = this.#parts;
    // Right after its own call a ticket has just entered; a sweep is there to look again.
    const hasJustEntered = isFirst && caller !== undefined;
    return chain(engine.matchOptions(sessionId, hasJustEntered), (options) => {
      if (!options || options.eligible.length === 0) return undefined;
      const { ticket, eligible } = options;
      const partner = policy(ticket, eligible, { now: engine.now(), random: system.random });
      if (!partner) return undefined;
      const request = this.#pairRequest(ticket, partner, caller);
      return chain(engine.pair(request), (paired) => {
        // One of the two has changed meanwhile: choose again among those who are left.
        if (!paired) return this.#match(sessionId, caller, false);
        journal.paired(request.roomId, ticket, partner, engine.now());
        return partner.sessionId;
      });
    });
  }

  #pairRequest(newcomer: Ticket, partner: Ticket, caller: Caller | undefined): PairRequest {
    const { chat, forceRelay, system } = this.#parts;
    const relayOnly = forceRelay || newcomer.wishes.relayOnly || partner.wishes.relayOnly;
    return {
      roomId: roomIdFor({ relayOnly, mode: newcomer.wishes.mode, chat }, system.id()),
      impolite: newcomer,
      polite: partner,
      relayOnly,
      sharedInterests: sharedInterests(newcomer, partner),
      caller,
    };
  }
}
