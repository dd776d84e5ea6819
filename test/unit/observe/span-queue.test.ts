import { expect, test } from "bun:test";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";
import { queueMax, SpanQueue } from "../../../src/observe/span-queue.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

type Answer = Parameters<SpanExporter["export"]>[1];

function queueTo(receive: (batch: ReadableSpan[], answer: Answer) => void) {
  const system = createVirtualSystem();
  const lost: [because: string, count: number, why: string][] = [];
  const batches: string[][] = [];
  const queue = new SpanQueue({
    schedule: system.schedule,
    everyMs: 1000,
    onLost: (...all) => void lost.push(all),
    abandon() {},
    exporter: {
      export(batch, answer) {
        batches.push(batch.map(({ name }) => name));
        receive(batch, answer);
      },
    },
  });
  return {
    system,
    queue,
    lost,
    batches,
    end(count: number) {
      for (let n = 0; n < count; n++) queue.onEnd({ name: String(n) } as ReadableSpan);
    },
  };
}

test("spans are sent after a while, together and in order", async () => {
  const { system, batches, lost, end } = queueTo((_, answer) => answer({ code: 0 }));
  end(3);
  expect(batches).toEqual([]);
  await system.advance(1000);
  expect(batches).toEqual([["0", "1", "2"]]);
  end(1000);
  await system.advance(1000);
  expect(batches.slice(1).map((batch) => batch.length)).toEqual([512, 488]);
  await system.advance(10_000);
  expect(batches).toHaveLength(3);
  expect(lost).toEqual([]);
});

test("a receiver that hangs is sent one batch at a time; what waits is bounded, and the rest is counted", async () => {
  const { system, queue, batches, lost, end } = queueTo(() => {});
  end(10);
  await system.advance(1000);
  end(3 * queueMax);
  await system.advance(5000);
  expect(batches).toHaveLength(1);
  expect(lost).toHaveLength(2 * queueMax);
  expect(lost[0]).toEqual(["full", 1, "the receiver is too slow"]);
  lost.length = 0;
  await system.advance(10_000);
  expect(lost).toEqual([["receiver", 10, "no answer within 15000 ms"]]);
  expect(batches).toHaveLength(2);
  await system.advance(5 * 15_000);
  expect(lost.slice(1).reduce((sum, [, count]) => sum + count, 0)).toBe(queueMax);
  await queue.shutdown();
});

test("what a receiver refuses is counted with the reason, and so is an exporter that throws", async () => {
  const { system, lost, end } = queueTo((batch, answer) => {
    if (batch.length > 1) throw new Error("broken");
    answer({ code: 1, error: new Error("refused") });
  });
  end(1);
  await system.advance(1000);
  end(2);
  await system.advance(1000);
  expect(lost).toEqual([
    ["receiver", 1, "Error: refused"],
    ["receiver", 2, "Error: broken"],
  ]);
});
