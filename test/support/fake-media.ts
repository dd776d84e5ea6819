/** What the fake camera and microphone of Chromium play where it matters what there is to encode. */

const framesPerS = 30;
const frames = 44;
const rate = 48_000;

/** A picture in YUV4MPEG2 with a texture all over, which moves to and fro in the middle, as a head in front of a wall does. */
export function movingPicture(width: number, height: number): Blob {
  const texture = createTexture(width + frames * 4, height);
  const parts: (string | Uint8Array<ArrayBuffer>)[] = [
    `YUV4MPEG2 W${width} H${height} F${framesPerS}:1 Ip A1:1 C420jpeg\n`,
  ];
  const chroma = new Uint8Array((width * height) / 2).fill(128);
  for (let frame = 0; frame < frames; frame += 1) {
    const moved = 2 * (frame < frames / 2 ? frame : frames - frame);
    const luma = new Uint8Array(width * height);
    for (let y = 0; y < height; y += 1)
      for (let x = 0; x < width; x += 1) {
        const [across, down] = [
          (x - width / 2 - moved) / (width / 5),
          (y - height / 2) / (height / 2.2),
        ];
        const isHead = across ** 2 + down ** 2 < 1;
        luma[y * width + x] = isHead ? texture(x - moved + frames, y) : texture(x, y) >> 1;
      }
    parts.push("FRAME\n", luma, chroma);
  }
  return new Blob(parts);
}

/** Eight seconds of a voice without words: a tone with overtones, in syllables, as a WAV file. */
export function speech(): Uint8Array<ArrayBuffer> {
  const samples = rate * 8;
  const bytes = new Uint8Array(44 + samples * 2);
  const view = new DataView(bytes.buffer);
  const text = (at: number, word: string) => bytes.set(new TextEncoder().encode(word), at);
  text(0, "RIFF");
  view.setUint32(4, 36 + samples * 2, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, samples * 2, true);
  for (let index = 0; index < samples; index += 1) {
    const turns = 2 * Math.PI * (index / rate);
    const pitch = 140 * turns + 40 * Math.sin(0.5 * turns);
    let value = 0;
    for (let overtone = 1; overtone < 12; overtone += 1)
      value += Math.sin(pitch * overtone) / overtone;
    const syllable = Math.sqrt(Math.max(0, Math.sin(3.5 * turns)));
    view.setInt16(44 + index * 2, Math.round(6000 * value * syllable), true);
  }
  return bytes;
}

/** Smooth noise: values of a coarse grid, and between them their average. */
function createTexture(width: number, height: number): (x: number, y: number) => number {
  const cell = 8;
  const across = Math.ceil(width / cell) + 2;
  let seed = 7;
  const grid = Array.from({ length: across * (Math.ceil(height / cell) + 2) }, () => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed / 0x7fffffff;
  });
  return (x, y) => {
    const [column, row] = [Math.floor(x / cell), Math.floor(y / cell)];
    const [right, down] = [x / cell - column, y / cell - row];
    const at = (c: number, r: number) => grid[r * across + c] ?? 0;
    const upper = at(column, row) * (1 - right) + at(column + 1, row) * right;
    const lower = at(column, row + 1) * (1 - right) + at(column + 1, row + 1) * right;
    return Math.round(40 + 170 * (upper * (1 - down) + lower * down));
  };
}
