/** A session's events as a subscription yields them: tracked, and with the token that only `rpc` can make. */
import { tracked, type TrackedEnvelope } from "@trpc/server";
import type { PeerEvent } from "../protocol.ts";
import type { Delivery } from "../signaling.ts";
import type { Context } from "./context.ts";
import { refusal } from "./errors.ts";
import { openStream } from "./procedures.ts";

type Tracked = TrackedEnvelope<PeerEvent>;

/**
 * Counts as one of the connection's open streams until it ends. By hand and no generator: around another one
 * that would cost every event three more promises, and every idle peer a kilobyte.
 */
export class EventStream implements AsyncIterableIterator<Tracked> {
  readonly #deliveries: AsyncIterator<Delivery, void>;
  readonly #context: Context;
  readonly #place: Disposable;
  readonly #begun: Disposable;
  #ended = false;

  /**
   * @param begun is disposed at the latest when the stream ends.
   * @throws a refusal when the connection has too many streams open.
   */
  constructor(deliveries: AsyncIterator<Delivery, void>, context: Context, begun: Disposable) {
    this.#deliveries = deliveries;
    this.#context = context;
    this.#begun = begun;
    try {
      this.#place = openStream(context);
    } catch (refusal) {
      begun[Symbol.dispose]();
      throw refusal;
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Rejects with why the stream ends, if it ends by itself. */
  next(): Promise<IteratorResult<Tracked>> {
    return this.#deliveries.next().then(this.#pass, this.#fail);
  }

  async return(): Promise<IteratorResult<Tracked>> {
    try {
      await this.#deliveries.return?.();
    } finally {
      this.#end();
    }
    return { done: true, value: undefined };
  }

  readonly #pass = (
    result: IteratorResult<Delivery, void>,
  ): IteratorResult<Tracked> | Promise<IteratorResult<Tracked>> => {
    if (result.done) return this.#end();
    const delivery = result.value;
    if (!("end" in delivery)) {
      const { id, event } = delivery;
      return { done: false, value: tracked(id, this.#withToken(event)) };
    }
    if (delivery.end !== "behind") return this.#fail(refusal(delivery.end));
    this.#context.connection.comeBack();
    return this.next();
  };

  readonly #fail = (cause: unknown): never => {
    this.#end();
    throw cause;
  };

  #end(): IteratorReturnResult<undefined> {
    if (!this.#ended) this.#place[Symbol.dispose]();
    this.#ended = true;
    this.#begun[Symbol.dispose]();
    return { done: true, value: undefined };
  }

  #withToken(event: PeerEvent<unknown>): PeerEvent {
    return event.type === "session" ? { ...event, token: this.#context.signToken() } : event;
  }
}
