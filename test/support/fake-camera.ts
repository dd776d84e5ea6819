const width = 160;
const height = 120;
const framesPerS = 30;
const frames = 15;
const barWidth = 40;

/**
 * A moving picture for a fake camera, in YUV4MPEG2: a bright bar that moves over a grey background. Chromium plays the
 * file in a loop and does not enlarge it. Encoding and decoding so small a picture takes less CPU time than the one of
 * Chromium's own fake camera.
 */
export function fakeCameraPicture(): Blob {
  const parts: (string | Uint8Array<ArrayBuffer>)[] = [
    `YUV4MPEG2 W${width} H${height} F${framesPerS}:1 Ip A1:1 C420jpeg\n`,
  ];
  const chroma = new Uint8Array((width * height) / 2).fill(128);
  for (let frame = 0; frame < frames; frame += 1) {
    const luma = new Uint8Array(width * height).fill(60);
    const left = Math.round((frame * (width - barWidth)) / frames);
    for (let row = height / 3; row < (2 * height) / 3; row += 1)
      luma.fill(200, row * width + left, row * width + left + barWidth);
    parts.push("FRAME\n", luma, chroma);
  }
  return new Blob(parts);
}
