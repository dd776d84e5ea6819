/** Events on their way to a caller that takes them one by one: an iterator over what an observer is told. */
import { tracked, type TrackedEnvelope } from "@trpc/server";
import { limits, type PeerEvent } from "../protocol.ts";
import type { Observer } from "../trpc-ws/observer.ts";

type Tracked = TrackedEnvelope<PeerEvent>;

/** A whole log may be replayed at once; as much again may come meanwhile. */
const eventsMax = 2 * limits.logEventsMax;
const charsMax = 2 * limits.logBytesMax;

export class EventQueue implements Observer<Tracked> {
  readonly #onOverflow: () => void;
  /** Serialized events stay text until they are taken: the log holds the same one. */
  #waiting: (Tracked | { id: string; json: string })[] = [];
  #chars = 0;
  #end: { cause?: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** @param onOverflow called when the caller has left too many untaken; it should give up. */
  constructor(onOverflow: () => void) {
    this.#onOverflow = onOverflow;
  }

  next(value: Tracked): void {
    this.#add(value, 0);
  }

  nextSerialized(id: string, json: string): void {
    this.#add({ id, json }, json.length);
  }

  #add(event: Tracked | { id: string; json: string }, chars: number): void {
    if (this.#end) return;
    this.#waiting.push(event);
    this.#chars += chars;
    if (this.#waiting.length > eventsMax || this.#chars > charsMax) this.#onOverflow();
    this.#wake?.();
  }

  error(cause: unknown): void {
    this.#end ??= { cause };
    this.#wake?.();
  }

  /** Nothing is taken any more. */
  stop(): void {
    this.#end = {};
    this.#waiting = [];
    this.#wake?.();
  }

  /**
   * The next event. To be called again only once that has come.
   * @throws the error that it has ended with, after the last event.
   */
  async take(): Promise<IteratorResult<Tracked, void>> {
    while (this.#waiting.length === 0 && !this.#end)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    const event = this.#waiting.shift();
    if (event && "json" in event) {
      this.#chars -= event.json.length;
      return { done: false, value: tracked(event.id, JSON.parse(event.json) as PeerEvent) };
    }
    if (event) return { done: false, value: event };
    if (this.#end && "cause" in this.#end) throw this.#end.cause;
    return { done: true, value: undefined };
  }
}
