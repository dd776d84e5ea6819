/** Which decisions an exporter gets that asks for those behind the last one that it has. */
import { expect, test } from "bun:test";
import { DecisionLog } from "../../../src/engine/memory/decision-log.ts";

const decided = (at: number) =>
  [{ at, decision: "none", by: "operator", because: "operator" }] as const;

function logOf(...times: number[]) {
  const log = new DecisionLog(0);
  for (const at of times) log.append(decided(at));
  const list = (after?: string) => log.list({ after, limit: 10 }, 10_000);
  return { list, times: (after?: string) => list(after).map(({ at }) => at) };
}

test("decisions behind one of another process are those that were made after it", () => {
  const before = logOf(10, 20, 30).list();
  const { times } = logOf(40, 50);
  expect(times(before.at(-1)?.id)).toEqual([40, 50]);
});

test("decisions are in the order in which they were made, also if the clock was set back", () => {
  const { list, times } = logOf(30, 10, 10, 20);
  const ids = list().map(({ id }) => id);
  expect(ids.map((id) => times(id))).toEqual([[10, 10, 20], [10, 20], [20], []]);
});
