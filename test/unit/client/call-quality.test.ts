import type { Quality } from "../../../src/client/state.ts";
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createJudge, watchQuality } from "../../../src/client/call-quality.ts";
import type { CallReading } from "../../../src/client/call-stats.ts";
import { browserTimers } from "../../../src/client/platform.ts";
import { pass } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const reading = (figures: Partial<CallReading> = {}): CallReading => ({
  roundTripMs: 20,
  sentBitsPerS: 0,
  receivedBitsPerS: 0,
  codecs: {},
  ...figures,
});
const good = reading();
const fair = reading({ lossRatio: 0.05 });
const poor = reading({ lossRatio: 0.2 });

const judged = (...readings: CallReading[]) => {
  const judge = createJudge();
  return readings.map((one) => judge(one)).join(" ");
};

describe("a call is", () => {
  test.each<[Partial<CallReading>, Quality]>([
    [{}, "good"],
    [{ lossRatio: 0.029, roundTripMs: 249, concealedRatio: 0.019, frozenRatio: 0.049 }, "good"],
    [{ lossRatio: 0.03 }, "fair"],
    [{ lossRatio: 0.1 }, "poor"],
    [{ roundTripMs: 250 }, "fair"],
    [{ roundTripMs: 500 }, "poor"],
    [{ concealedRatio: 0.02 }, "fair"],
    [{ concealedRatio: 0.08 }, "poor"],
    [{ frozenRatio: 0.05 }, "fair"],
    [{ frozenRatio: 0.2 }, "poor"],
    [{ availableBitsPerS: 250_000 }, "good"],
    [{ availableBitsPerS: 249_999 }, "fair"],
    [{ availableBitsPerS: 99_999 }, "poor"],
    [{ lossRatio: 0.03, roundTripMs: 600 }, "poor"],
  ])("with %j %s", (figures, word) => expect(judged(reading(figures))).toBe(word));

  test("called worse after two readings in a row, by the better of the two", () => {
    expect(judged(good, fair, good, fair, fair)).toBe("good good good good fair");
    expect(judged(good, poor, poor)).toBe("good good poor");
    expect(judged(good, poor, fair)).toBe("good good fair");
  });

  test("called better after three readings in a row, by the worst of the three", () => {
    expect(judged(poor, good, good, good)).toBe("poor poor poor good");
    expect(judged(poor, good, fair, good)).toBe("poor poor poor fair");
    expect(judged(fair, good, good, fair, good, good)).toBe("fair fair fair fair fair fair");
  });
});

describe("a watch", () => {
  function watch() {
    const ending = new AbortController();
    const words: Quality[] = [];
    const page = { hidden: false, now: good as CallReading | undefined, reads: 0 };
    watchQuality(
      {
        read: async () => {
          page.reads += 1;
          if (!page.now) throw new Error("no figures");
          return page.now;
        },
        report: (word) => words.push(word),
        isHidden: () => page.hidden,
        timers: browserTimers,
      },
      ending.signal,
    );
    return { page, words, end: () => ending.abort() };
  }

  test("reports a word only when it changes", async () => {
    const { page, words } = watch();
    await pass(12_000);
    expect(words).toEqual(["good"]);
    page.now = poor;
    await pass(12_000);
    page.now = good;
    await pass(12_000);
    expect(words).toEqual(["good", "poor", "good"]);
  });

  test("reads nothing while the page is hidden, and goes on after figures that fail", async () => {
    const { page, words } = watch();
    page.hidden = true;
    await pass(30_000);
    expect(page.reads).toBe(0);
    page.hidden = false;
    page.now = undefined;
    await pass(6000);
    page.now = good;
    await pass(3000);
    expect(page.reads).toBe(3);
    expect(words).toEqual(["good"]);
  });

  test("has no word before anything was measured", async () => {
    const { page, words } = watch();
    page.now = { sentBitsPerS: 0, receivedBitsPerS: 0, codecs: {} };
    await pass(9000);
    expect(page.reads).toBe(3);
    expect(words).toEqual([]);
  });

  test("ends with the call, and leaves no timer behind", async () => {
    const { page, words, end } = watch();
    await pass(2900);
    end();
    await pass(9000);
    expect(page.reads).toBe(0);
    expect(words).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });
});
