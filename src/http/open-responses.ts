/** The responses that stay open: subscriptions over HTTP, as server-sent events. */

/** Sent first: how long a client waits before it comes back (milliseconds). Browsers would take several seconds. */
const retryMs = 1000;

/** What a response that stays open is made with. */
export interface OpenResponse {
  /** The request, whose signal is also aborted when the response ends for another reason. */
  readonly request: Request;
  /** Ends it. An `EventSource` comes back by itself, and resumes. Idempotent. */
  close(): void;
}

export class OpenResponses {
  readonly #schedule: (delayMs: number, task: () => void) => () => void;
  readonly #open = new Set<AbortController>();
  #onEmpty: (() => void) | undefined;

  constructor(schedule: (delayMs: number, task: () => void) => () => void) {
    this.#schedule = schedule;
  }

  /** Responses that are open. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Answers with what `respond` makes. Calls `release` once it has ended: sent whole, closed, or the client has gone.
   * @throws what `respond` throws.
   */
  async serve(
    request: Request,
    release: () => void,
    respond: (response: OpenResponse) => Promise<Response>,
  ): Promise<Response> {
    const controller = new AbortController();
    const signal = AbortSignal.any([request.signal, controller.signal]);
    const close = () => controller.abort();
    this.#open.add(controller);
    signal.addEventListener("abort", () => {
      this.#open.delete(controller);
      release();
      if (this.#open.size === 0) this.#onEmpty?.();
    });
    try {
      const response = await respond({ request: new Request(request, { signal }), close });
      if (response.body && isEventStream(response)) {
        const stream = new Response(untilAborted(response.body, signal, close), response);
        // It has no timeout, and would stay open after the stream without a place.
        stream.headers.set("connection", "close");
        return stream;
      }
      close();
      return response;
    } catch (bug) {
      close();
      throw bug;
    }
  }

  /** Ends them one by one, spread over `windowMs` milliseconds. Resolves when all have ended. */
  async drain(windowMs: number): Promise<void> {
    const asked = [...this.#open];
    if (asked.length === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      this.#schedule(windowMs, () => this.closeAll());
    });
    for (const [index, controller] of asked.entries())
      this.#schedule((windowMs * index) / asked.length, () => controller.abort());
    await empty;
  }

  closeAll(): void {
    for (const controller of this.#open) controller.abort();
  }
}

export const isEventStream = ({ headers }: Response) =>
  headers.get("content-type")?.startsWith("text/event-stream") === true;

/**
 * The stream, after the time to wait before a reconnect. It is read only as fast as the client takes it. On an abort it ends at
 * once, even if the client reads nothing: tRPC's own would first wait to be read.
 */
function untilAborted(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(new TextEncoder().encode(`retry: ${retryMs}\n\n`));
        const end = () => {
          // It may have been cancelled, or have failed, already.
          try {
            controller.close();
          } catch {}
          reader.cancel().catch(() => {});
        };
        if (signal.aborted) end();
        else signal.addEventListener("abort", end);
      },
      async pull(controller) {
        const { done, value } = await reader.read();
        if (signal.aborted) return;
        if (done) onEnd();
        else controller.enqueue(value);
      },
      cancel: onEnd,
    },
    { highWaterMark: 0 },
  );
}
