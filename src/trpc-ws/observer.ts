/**
 * What a subscription may return besides tRPC's async iterables and observables: a source that pushes. Each event is then
 * sent in the very call that emits it, without a promise, and an idle subscription keeps none.
 */
export const observe = Symbol("observe");

/** Receives what a source emits. Neither method throws; all are called as methods. */
export interface Observer<T> {
  next(value: T): void;
  /** A tracked event whose data is serialized already, as JSON. */
  nextSerialized(trackedId: string, json: string): void;
  /** Nothing more is emitted. */
  error(cause: unknown): void;
}

/** Callers that can't be pushed to (tRPC over HTTP, server-side calls) iterate it instead. */
export interface PushSource<T> extends AsyncIterable<T> {
  /** Emits to `observer` from now on. */
  [observe](observer: Observer<T>): void;
  /** Nothing is emitted any more. Called once, after `observe`. */
  stop(): void;
}

export function isPushSource(value: unknown): value is PushSource<unknown> {
  return typeof value === "object" && value !== null && observe in value;
}
