/** Relays signals: one script each, its acknowledgement and the way to the partner included. */
import { resultKeptMs, resultsMax } from "../../domain/recorded-result.ts";
import { unchanged } from "../../domain/change.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import { knowsRoom } from "../../domain/session.ts";
import { limits } from "../../protocol.ts";
import type { Caller } from "../engine.ts";
import type { Node } from "./node.ts";
import { scripts } from "./scripts.ts";
import type { Transactor } from "./transactor.ts";

export class SignalRelay {
  readonly #node: Node;
  readonly #transactor: Transactor;

  constructor(node: Node, transactor: Transactor) {
    this.#node = node;
    this.#transactor = transactor;
  }

  /** See `Engine.send`. */
  send(caller: Caller, roomId: string, signal: string | undefined): Promise<boolean | Rejection> {
    return this.#transactor.answering<boolean | Rejection>(async () => {
      const now = this.#node.now();
      const outcome = await this.#node.run(scripts.relaySignal, {
        now,
        events_max: limits.logEventsMax,
        bytes_max: limits.logBytesMax,
        results_max: resultsMax,
        session: caller.sessionId,
        generation: caller.generation,
        room: roomId,
        signal: signal ?? "",
        mutation: caller.mutationId ?? "",
        recorded_since: now - resultKeptMs,
      });
      switch (outcome) {
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

  /** Not delivered if the room was the caller's; else it is refused. */
  async #sendToPastRoom(caller: Caller, roomId: string): Promise<boolean | Rejection> {
    const outcome = await this.#transactor.forCaller<{ delivered: boolean }>(
      caller,
      reject("not-in-room"),
      ({ value }) =>
        knowsRoom(value, roomId) ? unchanged(value, { delivered: false }) : reject("not-in-room"),
    );
    return isRejection(outcome) ? outcome : outcome.delivered;
  }
}
