/** What may be there already. */
export type Awaitable<T> = T | Promise<T>;

/** Goes on with it: at once, or when it is there. No promise is made for what is. */
export function goOn<T, R>(given: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return given instanceof Promise ? given.then(next) : next(given);
}
