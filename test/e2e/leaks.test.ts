/** What a page holds after many calls, compared with after a few. */
import { expect, test } from "bun:test";
import { couple, setStage, type Guest } from "./stage.ts";

const warmUpNexts = 10;
const nexts = 60;

/** Chromium's own counts of objects that a garbage collection leaves (DevTools Protocol, `Performance.getMetrics`). */
const counted = [
  "RTCPeerConnections",
  "ContextLifecycleStateObservers",
  "Nodes",
  "JSEventListeners",
];

async function holdings({ page }: Guest): Promise<Record<string, number>> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  // Some objects go only after others have gone.
  for (let n = 0; n < 3; n += 1) await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  await devtools.detach();
  const valueOf = (name: string) =>
    metrics.find((metric) => metric.name === name)?.value ?? Number.NaN;
  const tracks = await page.evaluate(() => {
    const streams = [...document.querySelectorAll("video")].map(({ srcObject }) => srcObject);
    return streams.flatMap((stream) => (stream instanceof MediaStream ? stream.getTracks() : []))
      .length;
  });
  return {
    ...Object.fromEntries(counted.map((name) => [name, valueOf(name)])),
    tracks,
    heapBytes: valueOf("JSHeapUsedSize"),
  };
}

test(`${nexts} presses of Next leave no connection, track, node, listener or memory behind`, async () => {
  // They meet again at once, as often as they like.
  await using stage = await setStage({
    SKIP_COOLDOWN_MS: "0",
    SKIP_BURST: "1000",
    LIMIT_INTENTS_PER_S: "100",
  });
  const guests = await couple(stage);
  const next = async (times: number) => {
    for (let n = 0; n < times; n += 1) {
      const one = guests[n % 2];
      if (!one) throw new Error("there are two");
      await one.next();

      await Promise.all(guests.map((guest) => guest.until("connected")));
      await Promise.all(guests.map((guest) => guest.sees()));
    }
  };
  await next(warmUpNexts);
  const before = await Promise.all(guests.map(holdings));
  await next(nexts);
  const after = await Promise.all(guests.map(holdings));
  console.log(
    `after ${warmUpNexts} and ${warmUpNexts + nexts} presses: ${JSON.stringify([before, after])}`,
  );
  for (const [index, now] of after.entries())
    for (const [name, value] of Object.entries(now)) {
      const then = before[index]?.[name] ?? Number.NaN;
      // A leak of one object a call would be sixty; of a call with all that belongs to it, some megabytes.
      const allowed = name === "heapBytes" ? 1_500_000 : 3;
      expect([name, value, value <= then + allowed]).toEqual([name, value, true]);
    }
  expect(await stage.clear()).toEqual([]);
}, 240_000);
