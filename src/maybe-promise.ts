/** What may be there already. */
export type MaybePromise<T> = T | Promise<T>;

/** Goes on with it: at once, or when it is there. No promise is made for what is. */
export function chain<T, R>(
  given: MaybePromise<T>,
  next: (value: T) => MaybePromise<R>,
): MaybePromise<R> {
  return given instanceof Promise ? given.then(next) : next(given);
}
