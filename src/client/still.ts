/** A still of a video, for a report: a JPEG that is small enough for the server. It is only made when the page asks for it. */
import type { StillSource } from "./types.ts";
import { limits } from "../protocol.ts";
import { streamOf, type Timers, type Rtc } from "./platform.ts";

/** The longer side of the first attempt, in pixels, and by what it is multiplied in each further one. */
const sideMax = 960;
const shrink = 0.8;
/** Of JPEGs of the same size, the best first. */
const qualities = [0.85, 0.7, 0.5];
const sideMin = 64;
/** A stream without an element has to deliver a picture by then (milliseconds). */
const pictureMs = 3000;

/** What a still is made with. */
export interface StillParts {
  /** Creates the elements that it takes; undefined where there are none. */
  page: Pick<Document, "createElement"> | undefined;
  rtc: Pick<Rtc, "stream">;
  timers: Timers;
}

/**
 * Resolves with a JPEG in base64, of at most `limits.stillBytesMax` bytes; undefined if the source shows no picture, or it can't be read here.
 */
export async function takeStill(
  source: StillSource,
  { page, ...parts }: StillParts,
): Promise<string | undefined> {
  if (!page) return undefined;
  const own = "videoWidth" in source ? undefined : await showing(source, page, parts);
  const video = "videoWidth" in source ? source : own;
  try {
    return video && (await encode(video, page));
  } catch {
    // A canvas that the browser has tainted, or a context that it does not give.
    return undefined;
  } finally {
    if (own) own.srcObject = null;
  }
}

/** An element of its own that shows the stream or track; undefined if there is no picture in time. */
async function showing(
  source: MediaStream | MediaStreamTrack,
  page: Pick<Document, "createElement">,
  { rtc, timers }: Pick<StillParts, "rtc" | "timers">,
): Promise<HTMLVideoElement | undefined> {
  const video = page.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = "getTracks" in source ? source : streamOf(rtc, [source]);
  const picture = new Promise<boolean>((resolve) => {
    video.addEventListener("loadeddata", () => resolve(true), { once: true });
    timers.setTimeout(() => resolve(false), pictureMs);
  });
  video.play().catch(() => {});
  if (await picture) return video;
  video.srcObject = null;
  return undefined;
}

async function encode(
  video: HTMLVideoElement,
  page: Pick<Document, "createElement">,
): Promise<string | undefined> {
  const { videoWidth, videoHeight } = video;
  const longer = Math.max(videoWidth, videoHeight);
  if (longer === 0) return undefined;
  const canvas = page.createElement("canvas");
  for (let side = Math.min(longer, sideMax); side >= Math.min(longer, sideMin); side *= shrink) {
    canvas.width = Math.max(1, Math.round((videoWidth * side) / longer));
    canvas.height = Math.max(1, Math.round((videoHeight * side) / longer));
    const context = canvas.getContext("2d");
    if (!context) return undefined;
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    for (const quality of qualities) {
      const blob = await new Promise<Blob | null>((resolve) =>
        canvas.toBlob(resolve, "image/jpeg", quality),
      );
      // A browser that can't encode JPEG makes a PNG instead.
      if (blob?.type !== "image/jpeg") return undefined;
      if (blob.size <= limits.stillBytesMax) return toBase64(await blob.arrayBuffer());
    }
  }
  return undefined;
}

function toBase64(buffer: ArrayBuffer): string {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}
