/** What the log says of a drain that does not end. */
import { expect, test } from "bun:test";
import { Shutdown } from "../../../src/app/shutdown.ts";
import { createLog } from "../../../src/observe/log.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

test("a drain that does not end in time is cut off, and the log says so", async () => {
  const system = createVirtualSystem();
  const lines: string[] = [];
  const codes: number[] = [];
  const shutdown = new Shutdown({
    system,
    log: createLog("info", { write: (line: string) => void lines.push(line) }),
    drainMs: 5000,
    exit: ((code: number) => void codes.push(code)) as (code: number) => never,
  });
  shutdown.drain = () => new Promise(() => {});
  shutdown.signalled("SIGTERM");
  await system.advance(4999);
  expect(codes).toEqual([]);
  await system.advance(1);
  expect(codes).toEqual([0]);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { msg: "leaving", signal: "SIGTERM" },
    { level: 40, msg: "the drain was not over in time: what was left is cut off", drainMs: 5000 },
  ]);
});
