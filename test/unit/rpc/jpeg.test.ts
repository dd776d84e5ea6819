import { expect, test } from "bun:test";
import { join } from "node:path";
import { isJpeg } from "../../../src/rpc/jpeg.ts";
import { smallJpeg } from "../../support/jpeg.ts";
import { root } from "../../support/root.ts";

test("a JPEG is one by its markers", async () => {
  expect(isJpeg(smallJpeg())).toBe(true);
  expect(isJpeg(smallJpeg(30_000))).toBe(true);
  const photo = await Bun.file(join(root, "test/e2e/picture.jpg")).bytes();
  expect(isJpeg(photo)).toBe(true);
});

const changed = (change: (bytes: Uint8Array) => Uint8Array) => change(smallJpeg());

test.each([
  ["nothing", new Uint8Array()],
  ["a text", new TextEncoder().encode("<svg onload=alert(1)>")],
  ["a PNG", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
  ["both ends and nothing else", Uint8Array.of(0xff, 0xd8, 0xff, 0xd9)],
  ["one that is cut off", changed((bytes) => bytes.slice(0, -2))],
  ["one with something behind it", changed((bytes) => Uint8Array.of(...bytes, 1))],
  ["one without a frame", Uint8Array.of(0xff, 0xd8, 0xff, 0xda, 0, 2, 1, 0xff, 0xd9)],
  [
    "one without a size",
    changed((bytes) => {
      const frame = bytes.findIndex((byte, index) => byte === 0xff && bytes[index + 1] === 0xc0);
      return bytes.fill(0, frame + 5, frame + 9);
    }),
  ],
  ["a segment past its end", Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, 0, 0xff, 0xd9)],
  ["a segment of no length", Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0xff, 0xd9)],
])("%s is none", (_, bytes) => {
  expect(isJpeg(bytes)).toBe(false);
});
