import { expect, test } from "bun:test";
import { createLog } from "../../src/observe/log.ts";
import { keptCharsMax, LogSink } from "../../src/observe/log-sink.ts";
import { join } from "node:path";
import { root } from "../support/root.ts";
import { createVirtualSystem } from "../support/virtual-system.ts";

/** A log whose output does what a test says. */
function logTo(write: (text: string) => void | Promise<void>) {
  const system = createVirtualSystem();
  const tasks: (() => void)[] = [];
  const sink = new LogSink({
    output: { write },
    system: { ...system, defer: (task) => void tasks.push(task) },
  });
  return {
    sink,
    log: createLog("info", sink),
    advance: (ms: number) => system.advance(ms),
    endTurn() {
      for (const task of tasks.splice(0)) task();
    },
  };
}

const failure = (code: string) => Object.assign(new Error(code), { code });
const parse = (texts: string[]) =>
  texts
    .join("")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

test("what is logged in a turn is written at its end, in one go and in order", () => {
  const writes: string[] = [];
  const { log, endTurn } = logTo((text) => void writes.push(text));
  log.info("joined", { sessions: [] });
  log.debug("refused");
  log.warn("late");
  expect(writes).toEqual([]);
  endTurn();
  expect(writes).toHaveLength(1);
  expect(parse(writes).map(({ msg }) => msg)).toEqual(["joined", "late"]);

  endTurn();
  expect(writes).toHaveLength(1);
  log.info("ended");
  endTurn();
  expect(parse(writes).at(-1).msg).toBe("ended");
});

test("what was logged in a turn that does not end is written when asked, and once", () => {
  const writes: string[] = [];
  const { log, sink, endTurn } = logTo((text) => void writes.push(text));
  log.info("leaving");
  sink.flush();
  endTurn();
  expect(parse(writes).map(({ msg }) => msg)).toEqual(["leaving"]);
});

test("the level changes while it runs", () => {
  const writes: string[] = [];
  const { log, endTurn } = logTo((text) => void writes.push(text));
  log.debug("before");
  log.level = "debug";
  log.debug("meanwhile");
  expect(log.level).toBe("debug");
  log.level = "warn";
  log.info("after");
  endTurn();
  expect(parse(writes).map(({ msg }) => msg)).toEqual(["meanwhile"]);
});

test("while an output takes nothing, what is kept is bounded; then the number that was dropped comes first", async () => {
  const writes: string[] = [];
  let taken = Promise.withResolvers<void>();
  const { log, sink, advance, endTurn } = logTo((text) => {
    writes.push(text);
    return taken.promise;
  });
  log.info("taken slowly");
  endTurn();
  const line = "x".repeat(1000);
  const count = 2 * Math.ceil(keptCharsMax / line.length);
  for (let n = 0; n < count; n++) log.info(line);
  endTurn();
  expect(writes).toHaveLength(1);
  expect(sink.dropped.full).toBeGreaterThan(count / 3);
  expect(log.dropped?.()).toEqual({ full: sink.dropped.full, closed: 0 });

  taken.resolve();
  taken = Promise.withResolvers();
  taken.resolve();
  await advance(0);
  const [, notice, ...kept] = parse(writes);
  expect(notice).toMatchObject({
    level: 40,
    msg: "log lines were dropped",
    full: sink.dropped.full,
    closed: 0,
  });
  expect(kept).toHaveLength(count - sink.dropped.full);
  log.info("at last");
  endTurn();
  await sink.drained();
  expect(parse(writes).at(-1).msg).toBe("at last");
  expect(parse(writes).filter(({ msg }) => msg === "log lines were dropped")).toHaveLength(1);
});

test("an output that fails is tried again each second; what it did not take is counted by cause and told", async () => {
  const writes: string[] = [];
  let fault: string | undefined = "ENOSPC";
  let tries = 0;
  const { log, sink, advance, endTurn } = logTo((text) => {
    tries += 1;
    if (fault !== undefined) throw failure(fault);
    writes.push(text);
  });
  log.info("first");
  log.info("second");
  endTurn();
  log.info("third");
  endTurn();
  expect(tries).toBe(1);
  fault = "EPIPE";
  await advance(1000);
  expect(tries).toBe(2);
  expect(sink.dropped).toEqual({ full: 2, closed: 1 });
  log.info("fourth");
  fault = undefined;
  await advance(1000);
  expect(writes[0]).toStartWith("\n");
  expect(parse(writes)).toMatchObject([
    { msg: "log lines were dropped", full: 2, closed: 1 },
    { msg: "fourth" },
  ]);
});

test("a failure that comes later is counted as well, and whoever waits for the end need not", async () => {
  const { log, sink, endTurn } = logTo(() => Promise.reject(failure("EBADF")));
  log.info("lost");
  endTurn();
  await sink.drained();
  expect(sink.dropped).toEqual({ full: 0, closed: 1 });
});

test("a process that leaves at once, or by a bug, has told all that it had to tell", async () => {
  const path = (file: string) => JSON.stringify(join(root, "src", file));
  for (const end of ["process.exit(0)", 'throw new Error("a bug")'])
    for (let n = 0; n < 8; n++) {
      const program = `
        import { toStandardOutput } from ${path("app/standard-output.ts")};
        import { createLog } from ${path("observe/log.ts")};
        import { createSystem } from ${path("system.ts")};
        const log = createLog("info", toStandardOutput(createSystem()));
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
