/** What becomes of notices for a webhook is counted: each in the end, and each attempt that failed. */
import { expect, test } from "bun:test";
import { createOperatorMetrics } from "../../../src/observe/operator-metrics.ts";
import { MetricMakers } from "../../../src/observe/metric-makers.ts";
import { createWebhook } from "../../../src/observe/webhook.ts";
import { Registry } from "prom-client";
import { readMetrics } from "../../support/metric-text.ts";

function post(url: string, notices: number) {
  const registry = new Registry();
  const webhook = createWebhook({
    url,
    secret: "shared with the receiver",
    metrics: createOperatorMetrics(new MetricMakers(registry)),
    onGivenUp() {},
    // Pauses are over at once; no attempt is ever late.
    schedule(delayMs, task) {
      if (delayMs !== 10_000) queueMicrotask(task);
      return () => {};
    },
  });
  const settled = Promise.all(Array.from({ length: notices }, (_, n) => webhook.post({ n })));
  return {
    async counted() {
      await settled;
      const { value } = readMetrics(await registry.metrics());
      const of = (name: string, label: string, values: string[]) =>
        values.map((one) => value(`peer_stream_webhook_${name}_total`, { [label]: one }));
      return {
        deliveries: of("deliveries", "outcome", ["accepted", "given-up", "queue-full"]),
        failures: of("attempts_failed", "because", ["refused", "unanswered"]),
      };
    },
  };
}

test("a notice that is accepted at the third attempt, and one that never is", async () => {
  let refusals = 2;
  await using stack = new AsyncDisposableStack();
  const receiver = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { n } = (await request.json()) as { n: number };
      return new Response(null, { status: n === 1 || refusals-- > 0 ? 500 : 204 });
    },
  });
  stack.defer(() => receiver.stop(true));
  expect(await post(receiver.url.href, 2).counted()).toEqual({
    deliveries: [1, 1, 0],
    failures: [2 + 6, 0],
  });
});

test("a receiver that is away, and a queue that is full", async () => {
  // One is being posted, and a thousand wait.
  expect(await post("http://127.0.0.1:9/", 1003).counted()).toEqual({
    deliveries: [0, 1001, 2],
    failures: [0, 6 * 1001],
  });
});
