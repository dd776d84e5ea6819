/**
 * What a subscription may answer besides tRPC's async iterables and observables: an iterable that can also push.
 * Each event then goes out in the very call that made it, and no promise is made for it.
 */
export const push = Symbol("push");

/** Takes what is pushed. Neither method throws; both are called as methods. */
export interface Sink<T> {
  next(value: T): void;
  /** Nothing more will come. */
  fail(cause: unknown): void;
}

export interface Pushing<T> extends AsyncIterable<T> {
  /** Begins at once. */
  [push](sink: Sink<T>): void;
  /** Nothing is pushed any more; called once, after it has begun. */
  stop(): void;
}

export function isPushing(value: unknown): value is Pushing<unknown> {
  return typeof value === "object" && value !== null && push in value;
}
