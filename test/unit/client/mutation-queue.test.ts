import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { MutationQueue } from "../../../src/client/mutation-queue.ts";
import type { MutationName } from "../../../src/client/mutations.ts";
import { refusal } from "./fake-connection.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

interface Sent {
  name: MutationName;
  id: string;
  /** Identifies the mutation. */
  room: string;
  answer(): void;
  fail(error: unknown): void;
}

const dropped = new Error("WebSocket closed");

/** An open queue, what it has sent, and the results it has reported. */
function alice() {
  const sent: Sent[] = [];
  let ids = 0;
  const queue = new MutationQueue(
    (name, input) =>
      new Promise((resolve, reject) => {
        const { id = "", roomId = "" } = input as { id?: string; roomId?: string };
        sent.push({ name, id, room: roomId, answer: () => resolve({} as never), fail: reject });
      }),
    () => `id-${++ids}`,
  );
  queue.open();
  const results: string[] = [];
  const over = new Set<string>();
  return {
    queue,
    sent,
    results,
    /** The rooms of what was sent since the last call. */
    take: () => sent.splice(0),
    rooms: () => sent.splice(0).map(({ room }) => room),
    put(roomId: string) {
      queue.enqueue(
        "skip",
        { roomId },
        {
          isRelevant: () => !over.has(roomId),
          answered: () => results.push(`${roomId} answered`),
          refused: (error) => results.push(`${roomId} refused: ${error.kind}`),
          dropped: () => results.push(`${roomId} dropped`),
        },
      );
    },
    end: (roomId: string) => void over.add(roomId),
  };
}

/** Alice's connection drops: what has no answer gets none. */
async function drop({ queue, take }: ReturnType<typeof alice>) {
  const lost = take();
  for (const { fail } of lost) fail(dropped);
  queue.hold();
  await settle();
  return lost;
}

describe("what a drop left unanswered", () => {
  test("is sent again with the same ids, in the same order, before what was put in meanwhile", async () => {
    const all = alice();
    for (const room of ["a", "b", "c"]) all.put(room);
    all.sent[1]?.answer();
    await settle();
    const before = await drop(all);
    all.put("d");
    await pass(5000);
    expect(all.sent).toEqual([]);
    all.queue.open();
    const again = all.take();
    expect(again.map(({ room }) => room)).toEqual(["a", "c", "d"]);
    expect(again[0]?.id).toBe(before[0]?.id as string);
    expect(again[1]?.id).toBe(before[2]?.id as string);
  });

  test("is sent again after every drop, and reported once", async () => {
    const all = alice();
    all.put("a");
    const ids = new Set<string | undefined>();
    for (let drops = 0; drops < 20; drops += 1) {
      ids.add((await drop(all))[0]?.id);
      all.queue.open();
    }
    expect(ids.size).toBe(1);
    all.sent[0]?.answer();
    await settle();
    expect(all.results).toEqual(["a answered"]);
    await drop(all);
    all.queue.open();
    expect(all.rooms()).toEqual([]);
  });

  test("is dropped when its room is over, and the others go", async () => {
    const all = alice();
    all.put("a");
    all.put("b");
    await drop(all);
    all.end("a");
    all.queue.open();
    expect(all.rooms()).toEqual(["b"]);
    expect(all.results).toEqual(["a dropped"]);
  });

  test("is not sent twice when a late failure of the first sending comes in", async () => {
    const all = alice();
    all.put("a");
    const [first] = all.take();
    all.queue.hold();
    all.queue.open();
    first?.fail(dropped);
    await pass(1000);
    expect(all.take()).toHaveLength(1);
  });
});

describe("a refusal", () => {
  test("that names a time is tried again after it, with a new id, and holds up what came later", async () => {
    const all = alice();
    all.put("a");
    const [first] = all.take();
    first?.fail(refusal({ reason: "rate-limited", retryAfterMs: 700 }));
    await settle();
    all.put("b");
    await pass(650);
    expect(all.sent).toEqual([]);
    await pass(100);
    expect(all.sent[0]?.id).not.toBe(first?.id as string);
    expect(all.rooms()).toEqual(["a", "b"]);
  });

  test("that is permanent is reported, and nothing is retried", async () => {
    const all = alice();
    all.put("a");
    all.take()[0]?.fail(refusal({ reason: "bad-input", field: "roomId" }));
    await pass(10_000);
    expect(all.sent).toEqual([]);
    expect(all.results).toEqual(["a refused: rejected"]);
  });
});

describe("when another socket takes over", () => {
  test("what is put in waits for the answers to what was sent on the first", async () => {
    const all = alice();
    all.put("a");
    all.put("b");
    const [a, b] = all.take();
    all.queue.handOver();
    all.put("c");
    a?.answer();
    await settle();
    expect(all.sent).toEqual([]);
    b?.answer();
    await settle();
    expect(all.rooms()).toEqual(["c"]);
    all.put("d");
    expect(all.rooms()).toEqual(["d"]);
  });

  test("and the first dies before it has answered, the order stays", async () => {
    const all = alice();
    all.put("a");
    all.put("b");
    const [a, b] = all.take();
    all.queue.handOver();
    all.put("c");
    a?.fail(dropped);
    b?.fail(dropped);
    await pass(1000);
    expect(all.rooms()).toEqual(["a", "b", "c"]);
  });

  test("nothing waits when nothing is under way", () => {
    const all = alice();
    all.queue.handOver();
    all.put("a");
    expect(all.rooms()).toEqual(["a"]);
  });
});
