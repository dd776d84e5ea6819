/** Messages of the application over the data channel, and a partner that sends too much or nonsense. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import fc from "fast-check";
import { DataChannel } from "../../../src/client/data-channel.ts";
import type { DataChannelMessage } from "../../../src/client/data-channel-message.ts";
import { FakeChannel } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** Two ends that reach each other, and what the second one hears. */
async function ends() {
  const [mine, theirs] = [new FakeChannel(), new FakeChannel()];
  const over = (channel: FakeChannel) =>
    new DataChannel({ createDataChannel: () => channel } as unknown as RTCPeerConnection);
  const [sender, receiver] = [over(mine), over(theirs)];
  const heard: DataChannelMessage[] = [];
  receiver.listen(
    { closed() {}, message: (message) => heard.push(message) },
    new AbortController().signal,
  );
  mine.pair(theirs);
  theirs.pair(mine);
  await settle();
  const texts = () => heard.flatMap((message) => (message.type === "chat" ? message.text : []));
  const values = () => heard.flatMap((message) => (message.type === "data" ? message.data : []));
  return { mine, sender, receiver, heard, texts, values };
}

describe("a message of the application", () => {
  test("arrives as JSON has it, whatever it is", async () => {
    const { sender, heard } = await ends();
    const sent = [
      null,
      0,
      "",
      "text",
      [1, [2]],
      { type: "chat", text: "no chat" },
      { a: { b: 1 } },
    ];
    for (const data of sent) expect(sender.send({ type: "data", data })).toBe(true);
    sender.send({ type: "data", data: { at: new Date(0), gone: undefined } });
    expect(heard).toEqual(
      [...sent, { at: "1970-01-01T00:00:00.000Z" }].map((data) => ({ type: "data", data })),
    );
  });

  test("that JSON can't express, or of more than 16 KiB, is not sent", async () => {
    const { sender, heard } = await ends();
    const circle: { me?: object } = {};
    circle.me = circle;
    const throws = {
      toJSON() {
        throw new Error("no");
      },
    };
    for (const data of [undefined, () => {}, Symbol("s"), 1n, circle, throws, "ä".repeat(8192)])
      expect(sender.send({ type: "data", data })).toBe(false);
    expect(sender.send({ type: "data", data: "ä".repeat(8191) })).toBe(true);
    expect(heard).toHaveLength(1);
  });

  test("is not sent while the partner does not receive fast enough", async () => {
    const { sender, mine } = await ends();
    mine.bufferedAmount = 64 * 1024 + 1;
    expect(sender.send({ type: "data", data: 1 })).toBe(false);
    mine.bufferedAmount = 0;
    expect(sender.send({ type: "data", data: 1 })).toBe(true);
  });

  test("that the browser refuses to send is not sent, and nothing is thrown: the partner's description says how large a message may be", async () => {
    const { sender, mine } = await ends();
    mine.send = () => {
      throw new TypeError("larger than max-message-size");
    };
    expect(sender.send({ type: "data", data: 1 })).toBe(false);
    expect(sender.send({ type: "chat", text: "hello" })).toBe(false);
    expect(sender.send({ type: "typing", typing: true })).toBe(false);
  });

  test("of many is bounded, arrives if `send` said so, and takes nothing of the chat", async () => {
    const { sender, receiver, values, texts } = await ends();
    let accepted = 0;
    for (let number = 0; number < 2000; number += 1)
      if (sender.send({ type: "data", data: 1 })) accepted += 1;
    expect(accepted).toBeGreaterThan(100);
    expect(accepted).toBeLessThan(600);
    expect(sender.send({ type: "chat", text: "still there" })).toBe(true);
    for (let second = 0; second < 60; second += 1) {
      await pass(1000);
      for (let number = 0; number < 500; number += 1)
        if (sender.send({ type: "data", data: 1 })) accepted += 1;
    }
    expect(values()).toHaveLength(accepted);
    expect(accepted / 60).toBeLessThan(250);
    expect(texts()).toEqual(["still there"]);
    expect(receiver.dropped).toBe(0);
  });
});

describe("a partner that floods", () => {
  const frames = {
    "messages of the application": '{"type":"data","data":0}',
    "long messages of the application": `{"type":"data","data":"${"x".repeat(16_000)}"}`,
    nonsense: "{".repeat(1000),
    "what is too long": "x".repeat(1_000_000),
    "messages that are named otherwise": '{"data":1,"type":"data"}',
    "chat messages": '{"type":"chat","text":"spam"}',
  };

  test.each(Object.entries(frames))(
    "with %s has the rest dropped and counted",
    async (_, frame) => {
      const { mine, receiver, heard } = await ends();
      for (let number = 0; number < 20_000; number += 1) mine.send(frame);
      const first = heard.length;
      expect(first).toBeLessThan(4100);
      expect(receiver.dropped).toBeGreaterThan(15_000);
      for (let second = 0; second < 10; second += 1) {
        await pass(1000);
        for (let number = 0; number < 2000; number += 1) mine.send(frame);
      }
      expect((heard.length - first) / 10).toBeLessThan(1000);
    },
  );

  test("with messages of the application can still chat and type", async () => {
    const { mine, heard } = await ends();
    for (let number = 0; number < 20_000; number += 1)
      mine.send(frames["messages of the application"]);
    heard.length = 0;
    mine.send('{"type":"chat","text":"Hello"}');
    mine.send('{"type":"typing","typing":true}');
    expect(heard).toEqual([
      { type: "chat", text: "Hello" },
      { type: "typing", typing: true },
    ]);
  });

  test("that has been cut off for a while loses nothing of what piled up meanwhile", async () => {
    const { mine, sender, receiver, values } = await ends();
    // The smallest messages that fit into 64 KiB, after as many as may be sent at once.
    let sent = 0;
    while (sender.send({ type: "data", data: 1 })) sent += 1;
    const frame = '{"type":"data","data":1}';
    const piled = Math.floor((64 * 1024) / frame.length);
    for (let number = 0; number < piled; number += 1) mine.send(frame);
    expect(values()).toHaveLength(sent + piled);
    expect(receiver.dropped).toBe(0);
  });

  test("with anything at all makes nothing throw", async () => {
    const { mine, heard } = await ends();
    const rubbish = fc.oneof(
      fc.string(),
      fc.json(),
      fc.json().map((json) => `{"type":"data","data":${json}`),
      fc.json().map((json) => `{"type":"data","data":${json},"data":1}`),
      fc.uint8Array().map((bytes) => bytes as unknown as string),
      fc.constantFrom(
        '{"type":"data"}',
        '{"type":"data","data":}',
        `{"type":"data","data":${"[".repeat(16_000)}${"]".repeat(16_000)}}`,
        `{"type":"data","data":${"[".repeat(8000)}${"]".repeat(8000)}}`,
        '{"type":"data","data":{"__proto__":{"polluted":1}}}',
      ),
    );
    fc.assert(fc.property(rubbish, (frame) => mine.send(frame)));
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(heard.every(({ type }) => ["data", "chat", "typing", "media"].includes(type))).toBe(
      true,
    );
  });
});
