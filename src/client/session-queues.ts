/** The mutations of a session on their way to the server, and what becomes of each, as inputs of the session model. */
import type { Signal } from "../protocol.ts";
import type { Connection } from "./connection.ts";
import { MutationQueue } from "./mutation-queue.ts";
import { signalMutation, type Mutation, type Telling } from "./mutations.ts";
import type { Timers } from "./platform.ts";
import type { SessionInput } from "./session-input.ts";
import { isRelevant, type SessionModel } from "./session-model.ts";

/** What the queues are made of. */
export interface SessionQueuesParts {
  connection: Pick<Connection, "call">;
  timers: Timers;
  /** What is not relevant to it any more is not sent. */
  model(): SessionModel;
  process(input: SessionInput): void;
}

/** Two queues, so that a delayed signal never delays a `leave`. */
export class SessionQueues {
  readonly mutations: MutationQueue;
  readonly signals: MutationQueue;
  readonly #parts: SessionQueuesParts;

  constructor(parts: SessionQueuesParts) {
    const { connection, timers } = parts;
    this.#parts = parts;
    const newQueue = () =>
      new MutationQueue((name, input) => connection.call(name, input), undefined, timers);
    this.mutations = newQueue();
    this.signals = newQueue();
  }

  hold(): void {
    this.mutations.hold();
    this.signals.hold();
  }

  open(): void {
    this.mutations.open();
    this.signals.open();
  }

  handOver(): void {
    this.mutations.handOver();
    this.signals.handOver();
  }

  enqueue(key: number, mutation: Mutation): void {
    const { model, process } = this.#parts;
    this.mutations.enqueue(mutation.name, mutation.input, {
      isRelevant: () => isRelevant(model(), mutation),
      answered: (answer) => {
        const accepted = mutation.name === "again" || ("accepted" in answer && answer.accepted);
        const caseId = "caseId" in answer ? answer.caseId : undefined;
        process({ type: "mutation-answered", key, accepted, caseId });
      },
      refused: (error) => process({ type: "mutation-refused", key, error }),
      dropped: () => process({ type: "mutation-dropped", key }),
    });
  }

  enqueueSignal(signal: Signal): void {
    const { model, process } = this.#parts;
    const mutation = signalMutation(signal);
    this.signals.enqueue(mutation.name, mutation.input, {
      isRelevant: () => isRelevant(model(), mutation),
      // The call survives the loss of a candidate.
      ...(signal.type !== "add-ice-candidate" && {
        refused: (error) => process({ type: "signal-refused", error }),
      }),
    });
  }

  /**
   * In the queue of the signals, so that it never delays a `leave` either.
   * @param chat the id of a chat message, which is reported if it does not arrive.
   */
  enqueueTelling(mutation: Telling, chat: number | undefined): void {
    const { model, process } = this.#parts;
    const { roomId } = mutation.input;
    const onUndelivered = () => {
      if (chat !== undefined) process({ type: "chat-undelivered", roomId, id: chat });
    };
    this.signals.enqueue(mutation.name, mutation.input, {
      isRelevant: () => isRelevant(model(), mutation),
      answered: ({ delivered }) => {
        if (!delivered) onUndelivered();
      },
      refused: onUndelivered,
      dropped: onUndelivered,
    });
  }
}
