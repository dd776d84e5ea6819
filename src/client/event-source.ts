/** An `EventSource` for tRPC's `httpSubscriptionLink` that reads the stream by `fetch`, so that the token goes in a header. */
import { responseOf } from "./diagnosis.ts";
import type { Timers, Fetch } from "./platform.ts";
import { createEventParser, type ParsedEvent } from "./event-stream-parser.ts";

/** A response must begin within this time (milliseconds). A proxy that holds responses back is detected by it. */
const BEGIN_MS_MAX = 10_000;

/** An `EventSource` class, and control over all its instances. */
export interface EventSources {
  readonly EventSource: new (url: string) => Source;
  /** Ends all streams, as a dropped connection would. */
  drop(): void;
}

interface Source {
  readonly CONNECTING: number;
  readonly OPEN: number;
  readonly CLOSED: number;
  readyState: number;
  addEventListener(type: string, listener: (event: StreamEvent) => void): void;
  removeEventListener(): void;
  close(): void;
}

/** React Native has no class `Event`, nor `EventTarget`. */
interface StreamEvent {
  readonly type: string;
}

class StreamTarget {
  readonly #listeners: [type: string, listener: (event: StreamEvent) => void][] = [];

  addEventListener(type: string, listener: (event: StreamEvent) => void): void {
    this.#listeners.push([type, listener]);
  }

  /** tRPC's client closes the stream instead. */
  removeEventListener(): void {}

  emit(event: StreamEvent): void {
    for (const [type, listener] of this.#listeners) if (type === event.type) listener(event);
  }
}

/**
 * Why a stream ended. tRPC's client makes a `TRPCClientError` of it: with `data` if there is an `error` of the server (in
 * the shape of an error response), else with the message alone.
 */
interface StreamEnd extends StreamEvent {
  readonly message: string;
  readonly error: unknown;
}

function streamEnd(message: string, error?: unknown): StreamEnd {
  return { type: "error", message, error };
}

/**
 * Derives the class. Differences from the browser's own `EventSource` (WHATWG HTML, 9.2): it sends headers, and it never
 * reconnects by itself, so that whoever uses it decides when to. Every end is an `error` event with `readyState` CLOSED.
 *
 * @param headers - called for each request.
 */
export function createEventSources(
  fetch: Fetch,
  headers: () => Promise<Record<string, string>>,
  { setTimeout, clearTimeout }: Timers,
): EventSources {
  const open = new Set<FetchedEventSource>();

  class FetchedEventSource extends StreamTarget implements Source {
    readonly CONNECTING = 0;
    readonly OPEN = 1;
    readonly CLOSED = 2;
    readyState = 0;
    readonly #controller = new AbortController();
    readonly #beginTimeout = setTimeout(
      () => this.end(streamEnd("the stream of events does not begin")),
      BEGIN_MS_MAX,
    );

    constructor(url: string) {
      super();
      open.add(this);
      this.#read(url).then(
        (end) => this.end(end),
        (cause: unknown) => this.end(streamEnd(`the stream of events broke: ${String(cause)}`)),
      );
    }

    close(): void {
      clearTimeout(this.#beginTimeout);
      open.delete(this);
      this.readyState = this.CLOSED;
      this.#controller.abort();
    }

    end(why: StreamEnd): void {
      if (this.readyState === this.CLOSED) return;
      this.close();
      this.emit(why);
    }

    /** Reads the stream, and returns why it ended. Rejects if the connection breaks. */
    async #read(url: string): Promise<StreamEnd> {
      const answer = await fetch(url, {
        headers: { accept: "text/event-stream", ...(await headers()) },
        cache: "no-store",
        signal: this.#controller.signal,
      });
      const response = responseOf(answer);
      if (!response) return streamEnd("there is no response");
      const type = response.headers.get("content-type") ?? "";
      if (!response.ok || !response.body || !type.startsWith("text/event-stream"))
        return readError(response);
      this.readyState = this.OPEN;
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      const parse = createEventParser((event) => this.#dispatch(event));
      for (;;) {
        const { done, value } = await reader.read();
        clearTimeout(this.#beginTimeout);
        if (done) return streamEnd("the stream of events has ended");
        parse(decoder.decode(value, { stream: true }));
      }
    }

    #dispatch(event: ParsedEvent): void {
      if (this.readyState === this.CLOSED) return;
      const { type, data } = event;
      // tRPC's client would wait for a reconnect after some of these, which is not made here.
      if (type === "serialized-error") return this.end(toStreamEnd(data));
      this.emit(event);
    }
  }

  return {
    EventSource: FetchedEventSource,
    drop() {
      for (const source of open) source.end(streamEnd("the stream of events was dropped"));
    },
  };
}

/** tRPC answers with an error response, a proxy with anything. */
async function readError(response: Response): Promise<StreamEnd> {
  const message = `HTTP status ${response.status} instead of a stream of events`;
  try {
    const body: unknown = await response.json();
    const [first]: unknown[] = [body].flat();
    if (typeof first === "object" && first !== null && "error" in first)
      return streamEnd(message, first.error);
  } catch {}
  return streamEnd(message);
}

/** @param json - the error of an error response. */
function toStreamEnd(json: string): StreamEnd {
  const message = "the server ended the stream of events";
  try {
    return streamEnd(message, JSON.parse(json));
  } catch {
    return streamEnd(message);
  }
}
