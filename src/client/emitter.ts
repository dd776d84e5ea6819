/** Delivers values to callbacks and async iterators. */
export interface Emitter<T> {
  emit(value: T): void;
  /** Calls `listener` with every further value, until the returned function is called. */
  subscribe(listener: (value: T) => void): () => void;
  /**
   * Iterates over all further values, preceded by `first` if given. Values are buffered for a slow consumer; with
   * `keepLatest` only the newest one is.
   */
  iterate(options?: { first?: () => T; keepLatest?: boolean }): AsyncIterableIterator<T>;
  /** Ends all iterations and removes all listeners. */
  close(): void;
}

/** Creates an emitter. An exception in one listener does not affect the others: it is reported as uncaught. */
export function createEmitter<T>(): Emitter<T> {
  const listeners = new Set<(value: T) => void>();
  const iterations = new Set<() => void>();
  let closed = false;

  function emit(value: T): void {
    // A copy, as listeners may add others, which are called with later values only.
    for (const listener of Array.from(listeners)) {
      if (!listeners.has(listener)) continue;
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  function iterate({ first, keepLatest = false }: { first?: () => T; keepLatest?: boolean } = {}) {
    const buffer: T[] = first ? [first()] : [];
    const consumers: ((result: IteratorResult<T>) => void)[] = [];
    let done = closed;
    const push = (value: T) => {
      const consumer = consumers.shift();
      if (consumer) return consumer({ value, done: false });
      if (keepLatest) buffer.length = 0;
      buffer.push(value);
    };
    const end = () => {
      done = true;
      listeners.delete(push);
      iterations.delete(end);
      for (const consumer of consumers.splice(0)) consumer({ value: undefined, done: true });
    };
    if (!done) {
      listeners.add(push);
      iterations.add(end);
    }
    const iterator: AsyncIterableIterator<T> = {
      async next() {
        const value = buffer.shift();
        if (value !== undefined) return { value, done: false };
        if (done) return { value: undefined, done: true };
        return new Promise((resolve) => consumers.push(resolve));
      },
      async return() {
        end();
        buffer.length = 0;
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  return {
    emit,
    subscribe(listener) {
      // A new function, so that subscribing the same listener twice makes two subscriptions.
      const subscription = (value: T) => listener(value);
      listeners.add(subscription);
      return () => listeners.delete(subscription);
    },
    iterate,
    close() {
      closed = true;
      for (const end of iterations) end();
      listeners.clear();
    },
  };
}
