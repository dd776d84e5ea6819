/**
 * Reports, posted to an operator's own system: signed, retried, bounded, and never in anybody's way. The body
 * is JSON; the header `x-peer-stream-signature` is `sha256=` and the HMAC-SHA256 of the body in hex.
 */
import { createHmac } from "node:crypto";

export interface WebhookOptions {
  url: string;
  secret: string;
  schedule: (delayMs: number, task: () => void) => () => void;
  /** Told of each notice that was given up. */
  onGivenUp: (why: string) => void;
}

/** Notices waiting; past that the newest is given up. */
const waitingMax = 1000;
const attemptsMax = 6;
const firstRetryMs = 1000;
const answerMs = 10_000;

/** Answers how to post a notice: it returns at once, and never throws. */
export function createWebhook(options: WebhookOptions): (notice: object) => void {
  const waiting: string[] = [];
  let busy = false;

  async function post(body: string): Promise<boolean> {
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

  const pause = (ms: number) => new Promise<void>((resolve) => options.schedule(ms, resolve));

  async function deliver(body: string) {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await pause(firstRetryMs * 2 ** (attempt - 1));
      if (await post(body)) return;
    }
    options.onGivenUp(`not accepted in ${attemptsMax} attempts`);
  }

  async function work() {
    busy = true;
    for (let body = waiting.shift(); body !== undefined; body = waiting.shift())
      await deliver(body);
    busy = false;
  }

  return (notice) => {
    if (waiting.length >= waitingMax) {
      options.onGivenUp("too many are waiting");
      return;
    }
    waiting.push(JSON.stringify(notice));
    if (!busy) void work();
  };
}
