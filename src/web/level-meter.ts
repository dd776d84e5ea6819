/** The level of the user's microphone, as a bar under the preview: whether it works is seen before anybody listens. */
import type { Elements } from "./elements.ts";

const REFRESH_EVERY_MS = 80;
/** What the empty bar stands for; the full one is 0 dBFS. */
const SILENCE_DB = -60;

export interface LevelMeter {
  /** Shows the level of this stream; nothing for undefined, or a stream without sound. */
  watch(stream: MediaStream | undefined): void;
}

export function createLevelMeter({ level, levelBar }: Elements): LevelMeter {
  let watched: MediaStream | undefined;
  let stop = () => {};

  function begin(stream: MediaStream): () => void {
    const audio = new AudioContext();
    const analyser = audio.createAnalyser();
    analyser.fftSize = 1024;
    audio.createMediaStreamSource(stream).connect(analyser);
    // One that was made without a press of the user's begins suspended.
    void audio.resume().catch(() => {});
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const share = shareOf(samples);
      levelBar.style.scale = `${share} 1`;
      level.ariaValueNow = String(Math.round(20 * share) * 5);
    }, REFRESH_EVERY_MS);
    return () => {
      clearInterval(timer);
      void audio.close().catch(() => {});
    };
  }

  return {
    watch(stream) {
      const heard = stream?.getAudioTracks().length ? stream : undefined;
      if (heard === watched) return;
      watched = heard;
      stop();
      stop = heard ? begin(heard) : () => {};
      level.hidden = heard === undefined;
    },
  };
}

/** How much of the bar these samples fill: 0–1. */
function shareOf(samples: Float32Array): number {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return Math.min(1, Math.max(0, 1 - (10 * Math.log10(power)) / SILENCE_DB));
}
