/** What becomes of an entry that a node appends while it reads what all nodes have appended. */
import { expect, test } from "bun:test";
import type { Decision } from "../../../src/domain/lifecycle.ts";
import { RedisUnavailable } from "../../../src/engine/redis/client.ts";
import { createKeys } from "../../../src/engine/redis/keys.ts";
import { ModerationLog } from "../../../src/engine/redis/moderation-log.ts";
import { engineOptions } from "../../support/engine-options.ts";
import { answerWithin } from "../../support/until.ts";

/** A log over a stream in memory. `beforeAnswer` runs when an entry is in the stream, and its writer does not know its id yet. */
function createLog(beforeAnswer: (log: ModerationLog, entries: unknown[]) => Promise<unknown>) {
  const entries: [id: string, fields: string[]][] = [];
  const log: ModerationLog = new ModerationLog({
    limits: engineOptions.moderation,
    keys: createKeys("test"),
    nodeId: "this node",
    now: () => 1000,
    async command(name, ...args) {
      if (name !== "XRANGE") return [];
      const after = String(args[1]);
      return entries.filter(([id]) => after === "-" || Number(id) > Number(after.slice(1)));
    },
    async append(json) {
      const id = String(entries.length + 1);
      entries.push([id, ["entry", json]]);
      await beforeAnswer(log, entries);
      return id;
    },
    lifecycle: [],
    tell: async () => {},
    notifyNodes: async () => {},
    decisions: { restore: async () => {}, add() {}, flush: async () => {} },
    onVerdict() {},
  });
  return log;
}

const report = {
  kind: "report",
  at: 1000,
  roomId: "room",
  reason: "spam",
  reporter: { sessionId: "alice", addressHash: "a" },
  reported: { sessionId: "bob", addressHash: "b" },
  earned: true,
} as unknown as Decision;

test("one that is read before its id is known has its effect all the same", async () => {
  const log = createLog((log) => log.sync());
  expect(await answerWithin(1000, log.append(report))).toMatchObject({
    first: true,
    counted: true,
  });
});

test("one that is lost before it is read, as by a failover, is refused as unavailable", async () => {
  const log = createLog(async (_log, entries) => void entries.splice(0));
  expect(await answerWithin(1000, log.append(report)).catch((error) => error)).toBeInstanceOf(
    RedisUnavailable,
  );
});
