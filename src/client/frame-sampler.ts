/** Samples what this peer's own camera shows, for a classifier in the page. */
import type { FrameSampling } from "./types.ts";
import type { Hint } from "../protocol.ts";
import { browserTimers, type Timer, type Timers, streamOf, type Rtc } from "./platform.ts";

/** What a sampler is made of. */
export interface SamplerParts {
  /** The track that is sent, or would be; undefined without any. */
  track(): MediaStreamTrack | undefined;
  /** Sends what `onFrame` has returned. */
  send(hint: Hint): void;
  createGrabber(): FrameGrabber;
  timers?: Timers;
}

/** Takes pictures of a track. */
export interface FrameGrabber {
  /** Undefined while there is no picture. */
  grab(track: MediaStreamTrack, size: number): Promise<ImageBitmap | undefined>;
  end(): void;
}

/** Samples until the returned function is called. */
export function sampleFrames(
  { everyMs = 3000, size = 224, onFrame }: FrameSampling,
  {
    track,
    send,
    createGrabber,
    timers: { setTimeout, clearTimeout } = browserTimers,
  }: SamplerParts,
): () => void {
  const grabber = createGrabber();
  let timer: Timer | undefined;
  let isOver = false;

  async function sample(): Promise<void> {
    const sampled = track();
    // A track that is muted shows black.
    if (sampled?.readyState !== "live" || !sampled.enabled) return;
    const frame = await grabber.grab(sampled, size);
    if (!frame) return;
    try {
      const hint = isOver ? undefined : await onFrame(frame);
      if (hint && !isOver) send(hint);
    } finally {
      frame.close();
    }
  }

  async function repeat(): Promise<void> {
    await sample().catch(() => {});
    if (!isOver) timer = setTimeout(repeat, everyMs);
  }

  void repeat();
  return () => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    grabber.end();
  };
}

/** Plays the track in an element that is in no document. */
export function createVideoGrabber(
  page: Pick<Document, "createElement">,
  rtc: Pick<Rtc, "stream">,
): FrameGrabber {
  const video = page.createElement("video");
  video.muted = true;
  video.playsInline = true;
  let shown: MediaStreamTrack | undefined;
  return {
    async grab(track, size) {
      if (track !== shown) {
        shown = track;
        video.srcObject = streamOf(rtc, [track]);
        await video.play();
      }
      const { videoWidth: width, videoHeight: height } = video;
      if (width === 0) return undefined;
      const scale = Math.min(1, size / Math.max(width, height));
      return createImageBitmap(video, {
        resizeWidth: Math.max(1, Math.round(scale * width)),
        resizeHeight: Math.max(1, Math.round(scale * height)),
      });
    },
    end() {
      video.srcObject = null;
    },
  };
}
