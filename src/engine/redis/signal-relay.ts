/**
 * Relays signals by scripts, the acknowledgement and the way to the partner included: those of a few milliseconds in one, so that
 * Redis is woken less often.
 */
import { resultKeptMs, resultsMax } from "../../domain/recorded-result.ts";
import { unchanged } from "../../domain/change.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import { knowsRoom } from "../../domain/session.ts";
import { limits } from "../../protocol.ts";
import type { System } from "../../system.ts";
import type { Caller } from "../engine.ts";
import type { Node } from "./node.ts";
import { scripts, type SignalOutcome } from "./scripts.ts";
import type { Transactor } from "./transactor.ts";

/** Signals in one script: each has five arguments, and Lua's stack is bounded. */
const signalsMax = 64;
/** Characters of signals in one script: the scripts of others wait as long as it runs. */
const charsMax = 256 * 1024;

export interface SignalRelayParts {
  node: Node;
  transactor: Transactor;
  clock: Pick<System, "schedule" | "elapsed" | "defer">;
  /** Two scripts are at least so far apart (milliseconds): what comes in between waits for the second. 0: none waits. */
  batchMs: number;
}

/** Signals that wait to be relayed together. */
interface Batch {
  /** Arguments of the script, five for each. */
  readonly args: string[];
  chars: number;
  readonly outcomes: Promise<readonly SignalOutcome[]>;
  readonly send: () => void;
}

export class SignalRelay {
  readonly #parts: SignalRelayParts;
  #batch: Batch | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;

  constructor(parts: SignalRelayParts) {
    this.#parts = parts;
  }

  /** See `Engine.send`. */
  send(caller: Caller, roomId: string, signal: string | undefined): Promise<boolean | Rejection> {
    return this.#parts.transactor.answering<boolean | Rejection>(async () => {
      switch (await this.#relay(caller, roomId, signal)) {
        case "delivered":
          return true;
        case "dropped":
          return false;
        case "taken-over":
          return reject("taken-over");
        case "unknown session":
          return reject("not-in-room");
        case "another room":
          return this.#sendToPastRoom(caller, roomId);
      }
    });
  }

  /** Sends what waits: nothing that is called later may overtake it. */
  flush(): void {
    this.#batch?.send();
  }

  /** Adds the signal to the batch, which goes at the end of this turn, or when the last one is `batchMs` ago. */
  async #relay(
    { sessionId, generation, mutationId = "" }: Caller,
    roomId: string,
    signal = "",
  ): Promise<SignalOutcome> {
    const batch = (this.#batch ??= this.#openBatch());
    const index = batch.args.length / 5;
    batch.args.push(sessionId, String(generation), roomId, signal, mutationId);
    batch.chars += signal.length;
    if (index + 1 === signalsMax || batch.chars > charsMax) batch.send();
    const outcome = (await batch.outcomes)[index];
    if (outcome === undefined) throw new Error("the script answers for each signal");
    return outcome;
  }

  #openBatch(): Batch {
    const { clock, batchMs } = this.#parts;
    const { promise: outcomes, resolve } = Promise.withResolvers<readonly SignalOutcome[]>();
    let cancel = () => {};
    const args: string[] = [];
    const send = () => {
      // It may have been sent already, as it was full.
      if (this.#batch !== batch) return;
      cancel();
      this.#batch = undefined;
      this.#sentAt = clock.elapsed();
      resolve(this.#run(args));
    };
    const batch: Batch = { args, chars: 0, outcomes, send };
    const waitMs = this.#sentAt + batchMs - clock.elapsed();
    if (waitMs > 0) cancel = clock.schedule(waitMs, send);
    else clock.defer(send);
    return batch;
  }

  #run(args: readonly string[]): Promise<readonly SignalOutcome[]> {
    const now = this.#parts.node.now();
    const bounds = {
      now,
      events_max: limits.logEventsMax,
      bytes_max: limits.logBytesMax,
      results_max: resultsMax,
      recorded_since: now - resultKeptMs,
    };
    return this.#parts.node.run(scripts.relaySignals, bounds, args);
  }

  /** Not delivered if the room was the caller's; else it is refused. */
  async #sendToPastRoom(caller: Caller, roomId: string): Promise<boolean | Rejection> {
    const outcome = await this.#parts.transactor.forCaller<{ delivered: boolean }>(
      caller,
      reject("not-in-room"),
      ({ value }) =>
        knowsRoom(value, roomId) ? unchanged(value, { delivered: false }) : reject("not-in-room"),
    );
    return isRejection(outcome) ? outcome : outcome.delivered;
  }
}
