/** Waiting times that one node has measured, on the others. */
import { expect, test } from "bun:test";
import { createKeys } from "../../../src/engine/redis/keys.ts";
import {
  decodeMessage,
  encodeMessage,
  type OwnMessage,
} from "../../../src/engine/redis/messages.ts";
import { SharedWaits } from "../../../src/engine/redis/shared-waits.ts";

/** Nodes that receive what any of them publishes, themselves included. */
function openNodes(...ids: string[]) {
  const published: string[] = [];
  const nodes = ids.map((id) => {
    const node = {
      id,
      keys: createKeys("site:"),
      async publish(_: string, message: OwnMessage) {
        const text = encodeMessage(message);
        published.push(text);
        const received = decodeMessage(text);
        if (received?.type !== "waited") throw new Error(`this is no waiting time: ${text}`);
        for (const other of nodes) other.receive(received);
      },
    };
    return new SharedWaits({ node, now: () => 0 });
  });
  return { nodes: nodes as [SharedWaits, SharedWaits], published };
}

test("the waits of a node are told to the others once, by mode, and counted once by itself", async () => {
  const { nodes, published } = openNodes("one", "two");
  const [one, two] = nodes;
  for (const waitedMs of [1000, 2000, 9000]) one.record("video", waitedMs);
  one.record("audio", 5);
  await one.tell();
  await one.tell();
  expect(published).toEqual(["waited\none\nvideo\n1000 2000 9000", "waited\none\naudio\n5"]);
  expect(two.estimators.video.estimate(0)).toBe(2000);
  expect(two.estimators.audio.estimate(0)).toBeUndefined();
  // If the first three were counted twice, 9000 would be the median.
  for (let n = 0; n < 3; n++) one.record("video", 10_000);
  expect(one.estimators.video.estimate(0)).toBe(10_000);
});

test("as many waits are told as an estimate is made of: the latest", async () => {
  const { nodes, published } = openNodes("one", "two");
  for (let n = 0; n < 100; n++) nodes[0].record("text", n);
  await nodes[0].tell();
  const latest = Array.from({ length: 64 }, (_, n) => n + 36);
  expect(published).toEqual([`waited\none\ntext\n${latest.join(" ")}`]);
});

test("several events come in one message, in order; a text that is no message is none", () => {
  expect(decodeMessage('events\nalice\n3\n{"a":1}\nbob\n7\n{"b":2}')).toEqual({
    type: "events",
    events: [
      { sessionId: "alice", offset: 3, text: '{"a":1}' },
      { sessionId: "bob", offset: 7, text: '{"b":2}' },
    ],
  });
  expect(decodeMessage("nonsense\n1")).toBeUndefined();
});
