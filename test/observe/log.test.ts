import { expect, test } from "bun:test";
import { Collected, createLog } from "../../src/observe/log.ts";

/** Where turns end when they are told to. */
function turns() {
  const tasks: (() => void)[] = [];
  return {
    soon: (task: () => void) => void tasks.push(task),
    end() {
      for (const task of tasks.splice(0)) task();
    },
  };
}

test("what is logged in a turn is written at its end, in one go and in order", () => {
  const turn = turns();
  const writes: string[] = [];
  const log = createLog("info", new Collected({ write: (text) => writes.push(text) }, turn.soon));

  log.info("joined", { session: "aaaa" });
  log.debug("refused");
  log.warn("late");
  expect(writes).toEqual([]);
  turn.end();
  expect(writes).toHaveLength(1);
  const lines = writes[0]?.trimEnd().split("\n") ?? [];
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["joined", "late"]);

  turn.end();
  expect(writes).toHaveLength(1);
  log.info("ended");
  turn.end();
  expect(JSON.parse(writes[1] ?? "").msg).toBe("ended");
});

test("what was logged in a turn that does not end is written when asked, and once", () => {
  const turn = turns();
  const writes: string[] = [];
  const lines = new Collected({ write: (text) => writes.push(text) }, turn.soon);
  createLog("info", lines).info("leaving");
  lines.flush();
  turn.end();
  expect(writes.map((text) => JSON.parse(text).msg)).toEqual(["leaving"]);
});
