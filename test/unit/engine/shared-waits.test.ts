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
  const time = { now: 0 };
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
    return new SharedWaits({ node, now: () => time.now });
  });
  return { nodes: nodes as [SharedWaits, SharedWaits], published, time };
}

test("the waits of a node are told to the others once, by lobby and mode, and counted once by itself", async () => {
  const { nodes, published } = openNodes("one", "two");
  const [one, two] = nodes;
  const [video, audio] = [{ mode: "video" as const }, { mode: "audio" as const }];
  const jazz = { lobby: "jazz", mode: "video" as const };
  for (const waitedMs of [1000, 2000, 9000]) one.record(video, waitedMs);
  one.record(audio, 5);
  for (const waitedMs of [10, 20, 90]) one.record(jazz, waitedMs);
  await one.tell();
  await one.tell();
  expect(published).toEqual([
    "waited\none\nvideo\n\n1000 2000 9000\naudio\n\n5\nvideo\njazz\n10 20 90",
  ]);
  expect(two.waits.estimate(undefined, "video", 0)).toBe(2000);
  expect(two.waits.estimate(undefined, "audio", 0)).toBeUndefined();
  expect(two.waits.estimate("jazz", "video", 0)).toBe(20);
  expect(two.waits.estimate("jazz", "audio", 0)).toBeUndefined();
  expect(two.waits.estimate("chess", "video", 0)).toBeUndefined();
  // If the first three were counted twice, 9000 would be the median.
  for (let n = 0; n < 3; n++) one.record(video, 10_000);
  expect(one.waits.estimate(undefined, "video", 0)).toBe(10_000);
});

test("as many waits are told as an estimate is made of: the latest", async () => {
  const { nodes, published } = openNodes("one", "two");
  for (let n = 0; n < 100; n++) nodes[0].record({ mode: "text" }, n);
  await nodes[0].tell();
  const latest = Array.from({ length: 64 }, (_, n) => n + 36);
  expect(published).toEqual([`waited\none\ntext\n\n${latest.join(" ")}`]);
});

test("nothing is kept of a lobby in which nobody was paired for ten minutes", async () => {
  const { nodes, time } = openNodes("one", "two");
  const [one, two] = nodes;
  const pairing = (lobby: string) => one.record({ lobby, mode: "video" }, 1000);
  pairing("jazz");
  time.now = 300_000;
  pairing("chess");
  await one.tell();
  time.now = 600_001;
  for (const node of [one, two]) await node.tell();
  // The other node was told of both when the second was recorded.
  expect([one.waits.size, two.waits.size]).toEqual([1, 2]);
  time.now = 900_001;
  for (const node of [one, two]) await node.tell();
  expect([one.waits.size, two.waits.size]).toEqual([0, 0]);
});

test("of more lobbies than a thousand the one whose last pairing is longest ago is forgotten", () => {
  const { nodes } = openNodes("one", "two");
  const [one] = nodes;
  const threePairings = (lobby: string) => {
    for (let n = 0; n < 3; n++) one.record({ lobby, mode: "video" }, 1000);
  };
  for (let n = 0; n < 1000; n++) threePairings(`lobby ${n}`);
  threePairings("lobby 0");
  threePairings("another");
  expect(one.waits.size).toBe(1000);
  expect(one.waits.estimate("lobby 0", "video", 0)).toBe(1000);
  expect(one.waits.estimate("lobby 1", "video", 0)).toBeUndefined();
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
