/** A value, or a promise of one: a synchronous engine costs no promises. */
export type MaybePromise<T> = T | Promise<T>;

/** Calls `next` with the value: at once if it is no promise, else when it resolves. */
export function chain<T, R>(
  given: MaybePromise<T>,
  next: (value: T) => MaybePromise<R>,
): MaybePromise<R> {
  return given instanceof Promise ? given.then(next) : next(given);
}
