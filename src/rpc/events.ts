/** The events of a session as a subscription: tracked, and with the token that only `rpc` can sign. */
import { tracked, type TrackedEnvelope } from "@trpc/server";
import type { Caller } from "../engine/engine.ts";
import type { PeerEvent } from "../protocol.ts";
import type { Delivery, EventsRequest, OpenEvents } from "../signaling/event-streams.ts";
import { closeCodes } from "../trpc-ws/close-codes.ts";
import { observe, type Observer, type PushSource } from "../trpc-ws/observer.ts";
import type { Context } from "./context.ts";
import { refusal } from "./errors.ts";
import { EventQueue } from "./event-queue.ts";
import { beginSession, openStream } from "./procedures.ts";

type Tracked = TrackedEnvelope<PeerEvent>;

/**
 * Counts as one of the connection's open streams until it ends. It is also the request that it passes to `signaling`, as every
 * further object would be one for each idle peer.
 */
export class EventStream implements PushSource<Tracked>, EventsRequest {
  readonly lastEventId: string | undefined;
  readonly #context: Context;
  #sessionBegun: (() => void) | undefined;
  #observer: Observer<Tracked> | undefined;
  #stream: OpenEvents | undefined;
  #isOver = false;

  /**
   * @param signal stops it, besides `stop`: whoever iterates it is waiting for the next event.
   * @throws a refusal when the connection has too many streams open.
   */
  constructor(context: Context, lastEventId: string | undefined, signal?: AbortSignal) {
    openStream(context.connection);
    this.#context = context;
    this.lastEventId = lastEventId;
    this.#sessionBegun = beginSession(context.connection);
    if (signal?.aborted) this.stop();
    else signal?.addEventListener("abort", () => this.stop());
  }

  [observe](observer: Observer<Tracked>): void {
    this.#observer = observer;
    this.#stream = this.#context.signaling.events(this);
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#observer instanceof EventQueue) this.#observer.stop();
    this.#stream?.close();
    this.#sessionBegun?.();
    const { connection } = this.#context;
    if (connection.caller) connection.caller = { ...connection.caller, streaming: false };
    this.#context.connection.subscriptions -= 1;
  }

  /** For callers that can't be pushed to. */
  [Symbol.asyncIterator](): AsyncIterator<Tracked, void> {
    const queue = new EventQueue(() => this.#closeSlow());
    return {
      next: async () => {
        if (this.#isOver) queue.stop();
        else if (!this.#observer) this[observe](queue);
        try {
          return await queue.take();
        } catch (cause) {
          this.stop();
          throw cause;
        }
      },
      return: async () => {
        // Also if iterating never began.
        this.stop();
        return { done: true, value: undefined };
      },
    };
  }

  // -------------------------------------------------------------------------------------------
  // The request

  get known(): Caller | undefined {
    return this.#context.connection.caller;
  }

  get newSessionId(): string {
    return this.#context.connection.newSessionId;
  }

  get addressHash(): string {
    return this.#context.connection.addressHash;
  }

  get account(): string | undefined {
    return this.#context.account;
  }

  get lobby(): string | undefined {
    return this.#context.connection.identity.lobby;
  }

  get lobbies(): readonly string[] {
    return this.#context.lobbies;
  }

  graceMsMax(): number {
    return this.#context.identityMs();
  }

  onIdentified(caller: Caller): void {
    this.#context.connection.caller = { ...caller, streaming: true };
    this.#sessionBegun?.();
    this.#sessionBegun = undefined;
  }

  deliver(delivery: Delivery): void {
    if ("event" in delivery) {
      const { id, event } = delivery;
      this.#observer?.next(tracked(id, this.#withToken(event)));
    } else if ("json" in delivery) this.#observer?.nextSerialized(delivery.id, delivery.json);
    else if ("bug" in delivery) this.#observer?.error(delivery.bug);
    else if (delivery.end === "overflow") this.#closeSlow();
    else this.#observer?.error(refusal(delivery.end));
  }

  #closeSlow(): void {
    const { socket } = this.#context.connection;
    // A caller inside this process has no connection that could be closed.
    if (socket) socket.close(closeCodes.slowConsumer, "too slow");
    else this.stop();
  }

  #withToken(event: PeerEvent<unknown>): PeerEvent {
    return event.type === "session" ? { ...event, token: this.#context.signToken() } : event;
  }
}
