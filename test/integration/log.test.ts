import { expect, test } from "bun:test";
import { Collected, createLog } from "../../src/observe/log.ts";
import { join } from "node:path";
import { root } from "../support/root.ts";

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

test("a process that leaves at once, or by a bug, has told all that it had to tell", async () => {
  const module = JSON.stringify(join(root, "src/observe/log.ts"));
  for (const end of ["process.exit(0)", 'throw new Error("a bug")'])
    for (let n = 0; n < 8; n++) {
      const program = `
        import { createLog, toStandardOutput } from ${module};
        const log = createLog("info", toStandardOutput((task) => void setImmediate(task)));
        log.info("one");
        await new Promise((resolve) => setTimeout(resolve, ${n}));
        log.info("two");
        log.info("three");
        ${end};
      `;
      const { stdout } = await Bun.$`${process.execPath} -e ${program}`.quiet().nothrow();
      const lines = stdout.toString().trimEnd().split("\n");
      expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["one", "two", "three"]);
    }
}, 30_000);
