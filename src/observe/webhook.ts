/**
 * Reports, posted to an operator's own system: signed, retried, bounded, and without delaying any call. The body
 * is JSON; the header `x-peer-stream-signature` is `sha256=` and the HMAC-SHA256 of the body in hex.
 */
import { createHmac } from "node:crypto";

export interface WebhookOptions {
  url: string;
  secret: string;
  schedule: (delayMs: number, task: () => void) => () => void;
  /** Called for each notice that was given up, with the reason. */
  onGivenUp: (why: string) => void;
}

export interface Webhook {
  /** Queues a notice. Returns at once and never throws. */
  post(notice: object): void;
  /** Notices that have been neither accepted nor given up. */
  readonly pending: number;
  /**
   * Posts what is queued without pauses, each notice once more, and resolves when nothing is pending. The caller
   * bounds the time: an attempt may take 10 s.
   */
  flush(): Promise<void>;
}

/** Notices in the queue; past that the newest is given up. */
const queueMax = 1000;
const attemptsMax = 6;
const firstRetryMs = 1000;
/** How long an attempt may take (milliseconds). */
const answerMs = 10_000;

/** Posts notices one after the other, each up to six times, with pauses of 1, 2, 4, 8 and 16 s. */
export function createWebhook(options: WebhookOptions): Webhook {
  const queue: string[] = [];
  let pending = 0;
  let flushing = false;
  let endPause = () => {};
  let onIdle = () => {};

  async function attempt(body: string): Promise<boolean> {
    const signature = createHmac("sha256", options.secret).update(body).digest("hex");
    const overdue = new AbortController();
    const cancel = options.schedule(answerMs, () => overdue.abort());
    try {
      const response = await fetch(options.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-peer-stream-signature": `sha256=${signature}`,
        },
        body,
        signal: overdue.signal,
        redirect: "error",
      });
      return response.ok;
    } catch {
      return false;
    } finally {
      cancel();
    }
  }

  /** Resolves after `ms`, or when a flush begins. */
  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = options.schedule(ms, resolve);
      endPause = () => {
        cancel();
        resolve();
      };
    });
  }

  async function deliver(body: string) {
    for (let attempts = 1; ; attempts++) {
      // Read before the attempt: one that was under way when the flush began is followed by another.
      const isLast = flushing || attempts === attemptsMax;
      if (await attempt(body)) return;
      if (isLast) return options.onGivenUp(`not accepted in ${attempts} attempts`);
      if (!flushing) await pause(firstRetryMs * 2 ** (attempts - 1));
    }
  }

  async function deliverAll() {
    for (let body = queue.shift(); body !== undefined; body = queue.shift()) {
      await deliver(body);
      pending -= 1;
    }
    onIdle();
  }

  return {
    post(notice) {
      if (queue.length >= queueMax) {
        options.onGivenUp("the queue is full");
        return;
      }
      queue.push(JSON.stringify(notice));
      pending += 1;
      if (pending === 1) void deliverAll();
    },
    get pending() {
      return pending;
    },
    async flush() {
      flushing = true;
      endPause();
      if (pending > 0) await new Promise<void>((resolve) => (onIdle = resolve));
    },
  };
}
