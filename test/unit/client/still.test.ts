import { expect, test } from "bun:test";
import { browserTimers } from "../../../src/client/platform.ts";
import { takeStill, type StillParts } from "../../../src/client/still.ts";
import { limits } from "../../../src/protocol.ts";
import { FakeNetwork } from "./fake-rtc.ts";

/** A page whose canvas makes a JPEG of so many bytes per pixel at the best quality. */
function pageOf(bytesPerPixel: number, type = "image/jpeg") {
  const made: { width: number; height: number; quality: number }[] = [];
  const canvas = {
    width: 0,
    height: 0,
    getContext: () => ({ drawImage() {} }),
    toBlob(done: (blob: Blob) => void, _: string, quality: number) {
      const { width, height } = canvas;
      made.push({ width, height, quality });
      const bytes = Math.round(width * height * bytesPerPixel * quality);
      done(new Blob([new Uint8Array(bytes).fill(7)], { type }));
    },
  };
  return { made, page: { createElement: () => canvas } as never };
}
const partsOf = (page: Pick<Document, "createElement"> | undefined): StillParts => ({
  page,
  rtc: new FakeNetwork().browser("page"),
  timers: browserTimers,
});
const videoOf = (videoWidth: number, videoHeight: number) =>
  ({ videoWidth, videoHeight }) as HTMLVideoElement;

test("a still is a JPEG in base64, scaled down until it fits a report", async () => {
  const { made, page } = pageOf(0.5);
  const still = await takeStill(videoOf(1920, 1080), partsOf(page));
  const bytes = Buffer.from(still ?? "", "base64");
  expect(bytes.length).toBeGreaterThan(limits.stillBytesMax / 3);
  expect(bytes.length).toBeLessThanOrEqual(limits.stillBytesMax);
  expect(made[0]).toEqual({ width: 960, height: 540, quality: 0.85 });
  for (const { width, height } of made) expect(width / height).toBeCloseTo(16 / 9, 1);
});

test("a small picture is not scaled up", async () => {
  const { made, page } = pageOf(0.1);
  expect(await takeStill(videoOf(120, 160), partsOf(page))).toBeDefined();
  expect(made).toEqual([{ width: 120, height: 160, quality: 0.85 }]);
});

test.each([
  ["nothing is shown", videoOf(0, 0), pageOf(1).page],
  ["there are no elements", videoOf(640, 480), undefined],
  ["no size fits", videoOf(640, 480), pageOf(40).page],
  ["the browser makes no JPEG", videoOf(640, 480), pageOf(0.1, "image/png").page],
  [
    "the canvas can't be read",
    videoOf(640, 480),
    {
      createElement: () => ({
        getContext: () => ({ drawImage() {} }),
        toBlob() {
          throw new DOMException("tainted", "SecurityError");
        },
      }),
    } as never,
  ],
])("there is none where %s", async (_, video, page) => {
  expect(await takeStill(video, partsOf(page))).toBeUndefined();
});
