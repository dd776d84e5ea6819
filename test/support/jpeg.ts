/** A JPEG as far as its markers go: one frame of 8 × 8, and a scan that nothing decodes. */

/** @param bytes how many it has; a comment fills it up. Default: as few as possible. */
export function smallJpeg(bytes = 0): Uint8Array {
  const head = [0xff, 0xd8];
  const frame = [0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0];
  const scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x12, 0x34];
  const end = [0xff, 0xd9];
  const missing = bytes - [head, frame, scan, end].flat().length - 4;
  const size = Math.max(0, missing) + 2;
  const comment = missing < 0 ? [] : [0xff, 0xfe, size >> 8, size & 0xff];
  const filling = missing < 0 ? [] : Array.from({ length: missing }, (_, n) => (n * 7) % 251);
  return Uint8Array.from([head, comment, filling, frame, scan, end].flat());
}

export const base64Of = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
