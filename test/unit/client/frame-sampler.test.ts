/** Frames of the own camera for a classifier: how often, of what, and what becomes of its word. */
import type { FrameSampling } from "../../../src/client/types.ts";
import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { sampleFrames } from "../../../src/client/frame-sampler.ts";
import { createPeer } from "../../../src/client/peer.ts";
import type { Hint } from "../../../src/protocol.ts";
import { FakeConnection } from "./fake-connection.ts";
import { FakeNetwork, callCode } from "./fake-rtc.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const hint: Hint = { label: "red", score: 0.5 };

function begin(sampling: Partial<FrameSampling> = {}) {
  const track = { readyState: "live", enabled: true };
  const log: string[] = [];
  const sent: Hint[] = [];
  const all = { track: track as typeof track | undefined, log, sent, end: () => {} };
  all.end = sampleFrames(
    {
      onFrame() {
        log.push("frame");
        return hint;
      },
      ...sampling,
    },
    {
      track: () => all.track as unknown as MediaStreamTrack,
      send: (given) => void sent.push(given),
      createGrabber: () => ({
        grab: async (_, size) => {
          log.push(`grab ${size}`);
          return { close: () => void log.push("close") } as ImageBitmap;
        },
        end: () => void log.push("end"),
      }),
    },
  );
  return all;
}

const once = ["grab 224", "frame", "close"];

test("a frame at once and then every 3 s, each closed, until it ends", async () => {
  const { log, sent, end } = begin();
  await settle();
  expect(log).toEqual(once);
  await pass(2950);
  expect(log).toEqual(once);
  await pass(50);
  expect(log).toEqual([...once, ...once]);
  expect(sent).toEqual([hint, hint]);
  end();
  end();
  await pass(10_000);
  expect(log).toEqual([...once, ...once, "end"]);
});

test("never more often than that, and as seldom as is wished", async () => {
  const peer = createPeer({
    callCode,
    connection: new FakeConnection(),
    rtc: new FakeNetwork().browser("page"),
    page: () => ({ createElement: () => ({}) as never }),
  });
  for (const everyMs of [2999, 0, -1, Number.NaN, Infinity, 2 ** 31])
    expect(() => peer.sampleFrames({ everyMs, onFrame() {} })).toThrow(
      "everyMs must be from 3000 to 2147483647",
    );
  const { log } = begin({ everyMs: 10_000, size: 100 });
  await pass(9950);
  expect(log).toEqual(["grab 100", "frame", "close"]);
});

test("the next frame waits for the classifier, however slow, and for its fault as well", async () => {
  const verdicts: PromiseWithResolvers<Hint | undefined>[] = [];
  const { log, sent } = begin({
    onFrame() {
      const verdict = Promise.withResolvers<Hint | undefined>();
      verdicts.push(verdict);
      return verdict.promise;
    },
  });
  await pass(10_000);
  expect(log).toEqual(["grab 224"]);
  verdicts[0]?.reject(new Error("out of memory"));
  await pass(3000);
  expect(log).toEqual(["grab 224", "close", "grab 224"]);
  verdicts[1]?.resolve(undefined);
  await pass(3000);
  expect([verdicts.length, sent]).toEqual([3, []]);
});

test("there are none outside a browser, which is an error at once", () => {
  const rtc = new FakeNetwork().browser("phone");
  const peer = createPeer({ callCode, connection: new FakeConnection(), rtc });
  expect(() => peer.sampleFrames({ onFrame() {} })).toThrow("only be taken in a browser");
});

test("there is no frame without a camera, of one that is off, or of one that is gone", async () => {
  const all = begin();
  await settle();
  all.log.length = 0;
  for (const track of [
    undefined,
    { readyState: "live", enabled: false },
    { readyState: "ended", enabled: true },
  ]) {
    all.track = track;
    await pass(3000);
  }
  expect(all.log).toEqual([]);
  all.track = { readyState: "live", enabled: true };
  await pass(3000);
  expect(all.log).toEqual(once);
});

test("what a classifier says after the end is not sent", async () => {
  const verdict = Promise.withResolvers<Hint>();
  const { sent, end, log } = begin({ onFrame: () => verdict.promise });
  await settle();
  end();
  verdict.resolve(hint);
  await settle();
  expect([sent, log]).toEqual([[], ["grab 224", "end", "close"]]);
});
