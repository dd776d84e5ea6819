/** Whether bytes are a JPEG, by its markers (ITU-T T.81, B.1): nothing is decoded. */

const [soi, eoi, sos] = [0xd8, 0xd9, 0xda];
/** SOF0 to SOF15 but DHT, JPG and DAC: the header of a frame, which has the size of the picture. */
const isFrameHeader = (marker: number) =>
  marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

/**
 * It must begin with SOI and end with EOI, and between them have segments whose lengths lead from one to the next: a frame header with a
 * size, and then a scan.
 */
export function isJpeg(bytes: Uint8Array): boolean {
  const at = (index: number) => bytes[index] ?? 0;
  const { length } = bytes;
  if (at(0) !== 0xff || at(1) !== soi || at(length - 2) !== 0xff || at(length - 1) !== eoi)
    return false;
  let hasFrame = false;
  for (let index = 2; index + 4 <= length;) {
    if (at(index) !== 0xff) return false;
    const marker = at(index + 1);
    // Fill bytes may come before a marker.
    if (marker === 0xff) {
      index += 1;
      continue;
    }
    const size = (at(index + 2) << 8) | at(index + 3);
    if (size < 2 || index + 2 + size > length - 2) return false;
    if (isFrameHeader(marker)) {
      const height = (at(index + 5) << 8) | at(index + 6);
      const width = (at(index + 7) << 8) | at(index + 8);
      hasFrame = size >= 8 && height > 0 && width > 0;
    }
    if (marker === sos) return hasFrame;
    index += 2 + size;
  }
  return false;
}
