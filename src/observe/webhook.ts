/**
 * Notices, posted to an operator's own system: signed, retried, bounded, and without delaying any call. The body is JSON; the
 * header `x-peer-stream-signature` is `sha256=` and the HMAC-SHA256 of the body in hex.
 */
import { createHmac } from "node:crypto";
import type { OperatorMetrics, PostFailure } from "./operator-metrics.ts";

export interface WebhookOptions {
  url: string;
  secret: string;
  /** Notices that are posted at the same time. Default: 1, so that they arrive in order. */
  atOnceMax?: number;
  schedule: (delayMs: number, task: () => void) => () => void;
  /** Called for each notice that was given up, with the reason. */
  onGivenUp: (why: string) => void;
  metrics?: Pick<OperatorMetrics, "posted" | "postFailed"> | undefined;
}

export interface Webhook {
  /** Queues a notice, and never throws. What is returned resolves once it was accepted or given up; it never rejects. */
  post(notice: object): Promise<void>;
  /** Notices that have been neither accepted nor given up. */
  readonly pending: number;
  /** About how many bytes they have. */
  readonly pendingBytes: number;
  /**
   * From now on posts without pauses, each notice once more. Resolves when nothing is pending. The caller bounds the time: an
   * attempt may take 10 s.
   */
  flush(): Promise<void>;
}

/** Notices in the queue; past that the newest is given up. */
const queueMax = 1000;
const attemptsMax = 6;
const firstRetryMs = 1000;
/** How long an attempt may take (milliseconds). */
const answerMs = 10_000;

interface Queued {
  body: string;
  onSettled: () => void;
}

/** Posts each notice up to six times, with pauses of 1, 2, 4, 8 and 16 s. */
export function createWebhook(options: WebhookOptions): Webhook {
  const { atOnceMax = 1, metrics } = options;
  const queue: Queued[] = [];
  const pauses = new Set<() => void>();
  let posting = 0;
  let bytes = 0;
  let flushing = false;
  let onIdle: (() => void)[] = [];

  /** Resolves after `ms`, or when a flush begins. */
  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        pauses.delete(end);
        resolve();
      };
      const cancel = options.schedule(ms, end);
      pauses.add(end);
    });
  }

  async function deliver(body: string) {
    for (let attempts = 1; ; attempts++) {
      // Read before the attempt: one that was under way when the flush began is followed by another.
      const isLast = flushing || attempts === attemptsMax;
      const failure = await attempt(options, body);
      if (!failure) return metrics?.posted("accepted");
      metrics?.postFailed(failure.because);
      if (isLast) {
        metrics?.posted("given-up");
        return options.onGivenUp(`given up after attempt ${attempts}: ${failure.why}`);
      }
      if (!flushing) await pause(firstRetryMs * 2 ** (attempts - 1));
    }
  }

  async function deliverQueued() {
    posting += 1;
    for (let next = queue.shift(); next; next = queue.shift()) {
      await deliver(next.body);
      bytes -= next.body.length;
      next.onSettled();
    }
    posting -= 1;
    if (posting === 0) for (const resolve of onIdle.splice(0)) resolve();
  }

  return {
    post(notice) {
      if (queue.length >= queueMax) {
        metrics?.posted("queue-full");
        options.onGivenUp("the queue is full");
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        const body = JSON.stringify(notice);
        bytes += body.length;
        queue.push({ body, onSettled: resolve });
        if (posting < atOnceMax) void deliverQueued();
      });
    },
    get pending() {
      return queue.length + posting;
    },
    get pendingBytes() {
      return bytes;
    },
    async flush() {
      flushing = true;
      for (const end of pauses) end();
      if (posting > 0) await new Promise<void>((resolve) => onIdle.push(resolve));
    },
  };
}

interface PostFault {
  because: PostFailure;
  /** For the log: without the URL, which may have a secret in it. */
  why: string;
}

/** Why it was not accepted; `undefined` if it was. */
async function attempt(
  { url, secret, schedule }: WebhookOptions,
  body: string,
): Promise<PostFault | undefined> {
  const signature = createHmac("sha256", secret).update(body).digest("hex");
  const overdue = new AbortController();
  const cancel = schedule(answerMs, () => overdue.abort());
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-peer-stream-signature": `sha256=${signature}`,
      },
      body,
      signal: overdue.signal,
      redirect: "error",
    });
    // Of what is answered only the status matters.
    void response.body?.cancel();
    return response.ok
      ? undefined
      : { because: "refused", why: `the receiver answered ${response.status}` };
  } catch (error) {
    const { code, name } = error as { code?: unknown; name?: unknown };
    const fault = typeof code === "string" ? code : String(name);
    const why = overdue.signal.aborted ? `no answer within ${answerMs / 1000} s` : fault;
    return { because: "unanswered", why };
  } finally {
    cancel();
  }
}
