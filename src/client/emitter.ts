/** Tells listeners of values, as callbacks and as async iterables. */
export interface Emitter<T> {
  emit(value: T): void;
  /** Calls `listener` with every value from now on, until the returned function is called. */
  subscribe(listener: (value: T) => void): () => void;
  /**
   * Every value from the moment of iterating on, `first` before them if given. A reader that is slow
   * loses nothing; `keepLatest` makes it skip to the newest instead.
   */
  iterate(options?: { first?: () => T; keepLatest?: boolean }): AsyncIterableIterator<T>;
  /** Ends all iterations and forgets all listeners. */
  close(): void;
}

/** Creates an emitter. A listener that throws does not keep the others from hearing. */
export function createEmitter<T>(): Emitter<T> {
  const listeners = new Set<(value: T) => void>();
  const enders = new Set<() => void>();
  let closed = false;

  return {
    emit(value) {
      for (const listener of listeners) {
        try {
          listener(value);
        } catch (error) {
          // Reported as uncaught, where a developer looks for it.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
    subscribe(listener) {
      // Its own function, so that the same listener given twice is two subscriptions.
      const own = (value: T) => listener(value);
      listeners.add(own);
      return () => listeners.delete(own);
    },
    iterate({ first, keepLatest = false } = {}) {
      const ready: T[] = first ? [first()] : [];
      const readers: ((result: IteratorResult<T>) => void)[] = [];
      let done = closed;
      const hear = (value: T) => {
        const reader = readers.shift();
        if (reader) return reader({ value, done: false });
        if (keepLatest) ready.length = 0;
        ready.push(value);
      };
      const end = () => {
        done = true;
        listeners.delete(hear);
        enders.delete(end);
        for (const reader of readers.splice(0)) reader({ value: undefined, done: true });
      };
      if (!done) {
        listeners.add(hear);
        enders.add(end);
      }
      return {
        async next() {
          const value = ready.shift();
          if (value !== undefined) return { value, done: false };
          if (done) return { value: undefined, done: true };
          return new Promise((resolve) => readers.push(resolve));
        },
        async return() {
          end();
          ready.length = 0;
          return { value: undefined, done: true };
        },
        [Symbol.asyncIterator]() {
          return this;
        },
      };
    },
    close() {
      closed = true;
      for (const end of enders) end();
      listeners.clear();
    },
  };
}
