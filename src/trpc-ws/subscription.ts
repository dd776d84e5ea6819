/** One subscription: sends what its procedure emits until it ends or is stopped. */
import { getTRPCErrorFromUnknown, TRPCError } from "@trpc/server";
import { isObservable, observableToAsyncIterable } from "@trpc/server/observable";
import { isAbortError, isAsyncIterable } from "@trpc/server/unstable-core-do-not-import";
import { isPushSource, observe, type Observer, type PushSource } from "./observer.ts";
import type { Call } from "./requests.ts";
import type { CallId, ResponseEncoder } from "./responses.ts";
import type { Socket } from "./socket.ts";

/** The connection as its subscriptions need it. */
export interface SubscriptionHost {
  readonly encoder: ResponseEncoder;
  readonly socket: Pick<Socket, "send" | "congested" | "whenWritable">;
  /** Whether what is sent can still reach the peer. */
  readonly isOpen: boolean;
  send(text: string): void;
  /** Calls the procedure: its result, or a promise of it. */
  invoke(call: Call, abort: { readonly signal: AbortSignal }): unknown;
  /** Reports an error on the server only. */
  report(call: Call, cause: unknown): void;
  /** Also sends it. @throws if it can't be serialized. */
  sendError(call: Call, cause: unknown): void;
  /** As `sendError`; an error that can't be serialized is sent without detail. */
  trySendError(call: Call, cause: unknown): void;
  /** From now on the id may be used again. */
  release(call: Call): void;
}

export class Subscription implements Observer<unknown> {
  readonly #host: SubscriptionHost;
  readonly #call: Call;
  /** Of the call: unique on its connection while the subscription lasts. */
  readonly id: CallId;
  /** Made when its signal is asked for. */
  #controller: AbortController | undefined;
  #isStopped = false;
  /** Ends the wait for the next value. */
  #interrupt: (() => void) | undefined;
  /** Whether its source can be asked to wait. An observable can't: what it emits would only wait in memory without bound. */
  #canWait = true;
  /** Once it emits. */
  #source: PushSource<unknown> | undefined;

  constructor(host: SubscriptionHost, call: Call) {
    this.#host = host;
    this.#call = call;
    this.id = call.id;
  }

  /** At any moment: before the procedure has returned, while a value is awaited, or after the end. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#controller?.abort();
    this.#interrupt?.();
    this.#stopSource();
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isStopped) this.#controller.abort();
    return this.#controller.signal;
  }

  /** Calls the procedure. In the end an error or `stopped` has been sent, and the iterator has been disposed of. */
  run(): void {
    const host = this.#host;
    if (this.#isStopped || !host.isOpen) return void this.#iterateAll(undefined);
    let result: unknown;
    try {
      result = host.invoke(this.#call, this);
    } catch (cause) {
      result = Promise.reject(cause);
    }
    if (isPushSource(result) && host.isOpen) this.#observe(result);
    else void this.#iterateAll({ result });
  }

  // -------------------------------------------------------------------------------------------
  // Sources that push

  #observe(source: PushSource<unknown>): void {
    const host = this.#host;
    host.send(host.encoder.started(this.#call.prefix));
    let failure: { cause: unknown } | undefined;
    try {
      source[observe](this);
    } catch (cause) {
      failure = { cause };
    }
    this.#source = source;
    // It may have ended while it began.
    if (this.#isStopped) this.#stopSource();
    else if (failure) this.error(failure.cause);
  }

  #stopSource(): void {
    const host = this.#host;
    const source = this.#source;
    this.#source = undefined;
    if (!source) return;
    source.stop();
    this.#release();
    host.send(host.encoder.stopped(this.#call.prefix));
  }

  next(value: unknown): void {
    const host = this.#host;
    if (this.#isStopped || !host.isOpen) return;
    try {
      host.send(host.encoder.data(this.#call.prefix, value));
    } catch (cause) {
      this.error(cause);
    }
  }

  nextSerialized(trackedId: string, json: string): void {
    const host = this.#host;
    if (this.#isStopped || !host.isOpen) return;
    try {
      host.socket.send(host.encoder.trackedJson(this.#call.prefix, trackedId, json));
    } catch (cause) {
      this.error(cause);
    }
  }

  error(cause: unknown): void {
    if (this.#isStopped) return;
    this.#host.trySendError(this.#call, cause);
    this.stop();
  }

  // -------------------------------------------------------------------------------------------
  // Iterables

  async #iterateAll(begun: { result: unknown } | undefined): Promise<void> {
    const host = this.#host;
    const call = this.#call;
    try {
      const iterable = begun && (await this.#iterableOf(begun.result));
      if (iterable) await this.#iterate(iterable);
      this.#release();
    } catch (cause) {
      this.#release();
      // A procedure that gives up because it was stopped has done what it was asked.
      const { code, cause: reason } = getTRPCErrorFromUnknown(cause);
      if (!this.#isStopped || code !== "INTERNAL_SERVER_ERROR" || !isAbortError(reason))
        return host.trySendError(call, cause);
    }
    host.send(host.encoder.stopped(call.prefix));
  }

  #release(): void {
    if (!this.#host.isOpen) this.stop();
    this.#host.release(this.#call);
  }

  /** The iterable, once `started` has been sent; `undefined` if the subscription was stopped before. */
  async #iterableOf(begun: unknown): Promise<AsyncIterable<unknown> | undefined> {
    const host = this.#host;
    const call = this.#call;
    const result = await begun;
    if (!isAsyncIterable(result) && !isObservable(result))
      throw new TRPCError({
        code: "INTERNAL_SERVER_ERROR",
        message: `Subscription ${call.path} did not return an observable or a AsyncGenerator`,
      });
    if (!host.isOpen) this.stop();
    // To subscribe would begin work at once, whose results nobody would get.
    if (!host.isOpen && isObservable(result)) return undefined;
    this.#canWait = !isObservable(result);
    const iterable = isObservable(result) ? observableToAsyncIterable(result, this.signal) : result;
    if (this.#isStopped) {
      try {
        await dispose(iterable[Symbol.asyncIterator]());
      } catch (cause) {
        host.report(call, cause);
      }
      return undefined;
    }
    host.send(host.encoder.started(call.prefix));
    return iterable;
  }

  /** Sends each value, then disposes of the iterator in any case, then sends the error, if there was one. */
  async #iterate(iterable: AsyncIterable<unknown>): Promise<void> {
    let iterator: AsyncIterator<unknown> | undefined;
    let failure: { cause: unknown } | undefined;
    try {
      iterator = iterable[Symbol.asyncIterator]();
      await this.#sendAll(iterator);
    } catch (cause) {
      failure = { cause };
      // Before the disposal, which may wait for it.
      this.stop();
    }
    let afterwards: { cause: unknown } | undefined;
    try {
      if (iterator) await dispose(iterator);
    } catch (cause) {
      afterwards = { cause };
      this.stop();
    }
    if (failure) this.#host.sendError(this.#call, failure.cause);
    if (afterwards) this.#host.report(this.#call, afterwards.cause);
  }

  /**
   * Resolves when the iterator is done or the subscription stopped, rejects with what went wrong. While the socket is
   * congested the next value is not asked for, if the source can wait: one that is faster than its peer waits for it.
   * Callbacks instead of a loop of awaits, which would race every value against the stop.
   */
  #sendAll(iterator: AsyncIterator<unknown>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const host = this.#host;
    const call = this.#call;
    this.#interrupt = resolve;
    const advance = () => {
      if (!this.#isStopped) iterator.next().then(take, fail);
    };
    const take = ({ done, value }: IteratorResult<unknown>) => {
      if (this.#isStopped) return;
      if (done) return resolve();
      try {
        if (host.isOpen) host.send(host.encoder.data(call.prefix, value));
        if (this.#canWait && host.isOpen && host.socket.congested)
          host.socket.whenWritable(advance);
        else advance();
      } catch (cause) {
        reject(cause);
      }
    };
    const fail = (cause: unknown) => {
      if (!this.#isStopped) return reject(cause);
      // It is no longer awaited; and an AbortError is how a stopped iterator should end.
      if (!isAbortError(getTRPCErrorFromUnknown(cause).cause)) host.report(call, cause);
    };
    advance();
    return promise;
  }
}

async function dispose(iterator: AsyncIterator<unknown> & Partial<AsyncDisposable>) {
  await (Symbol.asyncDispose in iterator ? iterator[Symbol.asyncDispose]?.() : iterator.return?.());
}
