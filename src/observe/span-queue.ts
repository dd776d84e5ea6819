/**
 * Spans on their way to a receiver that may hang, refuse or be gone: one batch at a time, and a bounded number that wait. Nobody waits
 * for them, and what is lost is counted.
 */
import type { ReadableSpan, SpanExporter, SpanProcessor } from "@opentelemetry/sdk-trace";
import type { System } from "../system.ts";
import type { SpansLost } from "./room-traces.ts";
import { textOfError } from "./text-of-error.ts";

export interface SpanQueueParts {
  exporter: Pick<SpanExporter, "export">;
  /** Ends the request that is under way, which has taken too long: the exporter itself waits as long as something arrives. */
  abandon: () => void;
  schedule: System["schedule"];
  /** How often spans are sent (milliseconds). */
  everyMs: number;
  /** Must not throw. */
  onLost: (because: SpansLost, count: number, why: string) => void;
}

/** Spans that wait at most, and that are sent at once. */
export const queueMax = 2048;
const batchMax = 512;
/** A batch that is not answered by then is given up (milliseconds). The exporter itself gives up sooner. */
const answerMs = 15_000;

export class SpanQueue implements SpanProcessor {
  readonly #parts: SpanQueueParts;
  #queue: ReadableSpan[] = [];
  #sending: Promise<void> | undefined;
  #cancel: (() => void) | undefined;

  constructor(parts: SpanQueueParts) {
    this.#parts = parts;
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if (this.#queue.length >= queueMax)
      return this.#parts.onLost("full", 1, "the receiver is too slow");
    this.#queue.push(span);
    this.#cancel ??= this.#parts.schedule(this.#parts.everyMs, () => {
      this.#cancel = undefined;
      void this.forceFlush();
    });
  }

  /** Resolves when all that wait have been sent or lost. The caller bounds the time. */
  forceFlush(): Promise<void> {
    return (this.#sending ??= this.#sendAll().finally(() => (this.#sending = undefined)));
  }

  shutdown(): Promise<void> {
    this.#cancel?.();
    return this.forceFlush();
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, batchMax);
      const failure = await this.#send(batch);
      if (failure !== undefined) this.#parts.onLost("receiver", batch.length, failure);
    }
  }

  /** Why it was not accepted. */
  #send(batch: ReadableSpan[]): Promise<string | undefined> {
    return new Promise((resolve) => {
      const cancel = this.#parts.schedule(answerMs, () => {
        resolve(`no answer within ${answerMs} ms`);
        this.#parts.abandon();
      });
      const end = (failure: string | undefined) => {
        cancel();
        resolve(failure);
      };
      try {
        this.#parts.exporter.export(batch, ({ code, error }) =>
          end(code === 0 ? undefined : textOfError(error ?? "it was refused")),
        );
      } catch (error) {
        end(textOfError(error));
      }
    });
  }
}
