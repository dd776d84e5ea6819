/** One subscription: what its procedure yields, on its way to the socket until it ends or is stopped. */
import { getTRPCErrorFromUnknown, TRPCError } from "@trpc/server";
import { isObservable, observableToAsyncIterable } from "@trpc/server/observable";
import { isAbortError, isAsyncIterable } from "@trpc/server/unstable-core-do-not-import";
import type { Answers, CallId } from "./answers.ts";
import type { Call } from "./calls.ts";
import { isPushing, push, type Pushing, type Sink } from "./push.ts";

/** The connection, as its subscriptions need it. */
export interface SubscriptionHost {
  readonly answers: Answers;
  /** Whether anything that is said still reaches the peer. */
  readonly open: boolean;
  say(text: string): void;
  /** Calls the procedure: its result, or a promise of it. */
  invoke(call: Call, abort: { readonly signal: AbortSignal }): unknown;
  /** For the server's eyes only. */
  report(call: Call, cause: unknown): void;
  /** Also to the peer. @throws if it can't be worded. */
  refuse(call: Call, cause: unknown): void;
  /** As `refuse`, but what can't be worded is told without a name. */
  refuseAnyhow(call: Call, cause: unknown): void;
  /** From now on the id may be used again. */
  release(call: Call): void;
}

export class Subscription implements Sink<unknown> {
  readonly #host: SubscriptionHost;
  readonly #call: Call;
  /** Of the call: no two of a connection at a time. */
  readonly id: CallId;
  /** Made when somebody asks for its signal. */
  #controller: AbortController | undefined;
  #stopped = false;
  /** Ends the wait for the next event. */
  #interrupt: (() => void) | undefined;
  /** What pushes, once it has begun. */
  #source: Pushing<unknown> | undefined;

  constructor(host: SubscriptionHost, call: Call) {
    this.#host = host;
    this.#call = call;
    this.id = call.id;
  }

  /** At any moment: before the procedure has answered, while an event is waited for, or after the end. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#controller?.abort();
    this.#interrupt?.();
    this.#stopSource();
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#stopped) this.#controller.abort();
    return this.#controller.signal;
  }

  /** Calls the procedure. At the end an error, or `stopped`, has been said, and whatever was iterated is disposed. */
  run(): void {
    const host = this.#host;
    if (this.#stopped || !host.open) return void this.#iterateAll(undefined);
    let result: unknown;
    try {
      result = host.invoke(this.#call, this);
    } catch (cause) {
      result = Promise.reject(cause);
    }
    if (isPushing(result) && host.open) this.#takeFrom(result);
    else void this.#iterateAll({ result });
  }

  // -------------------------------------------------------------------------------------------
  // What is pushed

  #takeFrom(source: Pushing<unknown>) {
    const host = this.#host;
    host.say(host.answers.started(this.#call.head));
    let failure: { cause: unknown } | undefined;
    try {
      source[push](this);
    } catch (cause) {
      failure = { cause };
    }
    this.#source = source;
    // It may have ended while it began.
    if (this.#stopped) this.#stopSource();
    else if (failure) this.fail(failure.cause);
  }

  #stopSource() {
    const host = this.#host;
    const source = this.#source;
    this.#source = undefined;
    if (!source) return;
    source.stop();
    this.#release();
    host.say(host.answers.stopped(this.#call.head));
  }

  next(value: unknown): void {
    const host = this.#host;
    if (this.#stopped || !host.open) return;
    try {
      host.say(host.answers.data(this.#call.head, value));
    } catch (cause) {
      this.fail(cause);
    }
  }

  fail(cause: unknown): void {
    if (this.#stopped) return;
    this.#host.refuseAnyhow(this.#call, cause);
    this.stop();
  }

  // -------------------------------------------------------------------------------------------
  // What is iterated

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
      if (!this.#stopped || code !== "INTERNAL_SERVER_ERROR" || !isAbortError(reason))
        return host.refuseAnyhow(call, cause);
    }
    host.say(host.answers.stopped(call.head));
  }

  #release() {
    if (!this.#host.open) this.stop();
    this.#host.release(this.#call);
  }

  /** What there is to iterate, once that has been said; nothing if it was stopped before. */
  async #iterableOf(begun: unknown): Promise<AsyncIterable<unknown> | undefined> {
    const host = this.#host;
    const call = this.#call;
    const result = await begun;
    if (!isAsyncIterable(result) && !isObservable(result))
      throw new TRPCError({
        code: "INTERNAL_SERVER_ERROR",
        message: `Subscription ${call.path} did not return an observable or a AsyncGenerator`,
      });
    if (!host.open) this.stop();
    // Subscribing begins its work at once: nobody is there to be told of it.
    if (!host.open && isObservable(result)) return undefined;
    const iterable = isObservable(result) ? observableToAsyncIterable(result, this.signal) : result;
    if (this.#stopped) {
      try {
        await dispose(iterable[Symbol.asyncIterator]());
      } catch (cause) {
        host.report(call, cause);
      }
      return undefined;
    }
    host.say(host.answers.started(call.head));
    return iterable;
  }

  /** Says each event, then disposes of the iterator whatever happened, then tells what went wrong. */
  async #iterate(iterable: AsyncIterable<unknown>): Promise<void> {
    let iterator: AsyncIterator<unknown> | undefined;
    let failure: { cause: unknown } | undefined;
    try {
      iterator = iterable[Symbol.asyncIterator]();
      await this.#drain(iterator);
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
    if (failure) this.#host.refuse(this.#call, failure.cause);
    if (afterwards) this.#host.report(this.#call, afterwards.cause);
  }

  /**
   * Resolves when the iterator is done or the subscription stopped, rejects with what went wrong. Callbacks
   * and no loop of awaits, since that would race every event against the stop.
   */
  #drain(iterator: AsyncIterator<unknown>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const host = this.#host;
    const call = this.#call;
    this.#interrupt = resolve;
    const say = ({ done, value }: IteratorResult<unknown>) => {
      if (this.#stopped) return;
      if (done) return resolve();
      try {
        if (host.open) host.say(host.answers.data(call.head, value));
        iterator.next().then(say, fail);
      } catch (cause) {
        reject(cause);
      }
    };
    const fail = (cause: unknown) => {
      if (!this.#stopped) return reject(cause);
      // Nobody waits for it any more; and an AbortError is how a stopped one should end.
      if (!isAbortError(getTRPCErrorFromUnknown(cause).cause)) host.report(call, cause);
    };
    iterator.next().then(say, fail);
    return promise;
  }
}

async function dispose(iterator: AsyncIterator<unknown> & Partial<AsyncDisposable>) {
  await (Symbol.asyncDispose in iterator ? iterator[Symbol.asyncDispose]?.() : iterator.return?.());
}
