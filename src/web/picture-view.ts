/** How the partner's picture is shown: fitted into its frame before a blurred edge, or filling it; full screen; and how loud. */
import type { Elements } from "./elements.ts";
import { recall, remember } from "./storage.ts";

const BACKDROP_EVERY_MS = 400;
/** Without a choice of the user's the picture fills the frame if it loses no more than this share of its area. */
const CROPPED_MAX = 0.3;

export interface PictureView {
  /** The frame or the picture has another size. */
  arrange(): void;
}

/** Binds the controls of the picture: their buttons, and a double press on the picture. */
export function createPictureView(elements: Elements): PictureView {
  const { room, stage, remoteVideo, backdrop, fill } = elements;
  const brush = backdrop.getContext("2d");
  if (brush) brush.fillStyle = "rgb(12 10 16 / 35%)";
  let chosen = recall("fill");
  let timer: ReturnType<typeof setInterval> | undefined;

  function arrange(): void {
    const isFilled =
      chosen === "" ? croppedShare(remoteVideo, stage) <= CROPPED_MAX : chosen === "1";
    stage.dataset["view"] = isFilled ? "fill" : "fit";
    fill.ariaPressed = String(isFilled);
    clearInterval(timer);
    const hasEdge = !isFilled && remoteVideo.srcObject !== null;
    if (hasEdge) timer = setInterval(paint, BACKDROP_EVERY_MS);
    paint();
  }

  /** So few pixels that enlarging them blurs them, which costs less than a filter; darker than the picture before it. */
  function paint(): void {
    if (!brush || remoteVideo.videoWidth === 0 || document.hidden) return;
    const { width, height } = backdrop;
    brush.drawImage(remoteVideo, 0, 0, width, height);
    brush.fillRect(0, 0, width, height);
  }

  function toggle(): void {
    chosen = stage.dataset["view"] === "fill" ? "0" : "1";
    remember("fill", chosen);
    arrange();
  }

  fill.addEventListener("click", toggle);
  // Where the picture fills the window, it lies behind its neighbours.
  room.addEventListener("dblclick", ({ target }) => {
    if (target === room || (target instanceof Node && stage.contains(target))) toggle();
  });
  new ResizeObserver(arrange).observe(stage);
  bindFullscreen(elements);
  bindVolume(elements);
  return { arrange };
}

/** The share of the picture that a frame cuts off when it is filled: 0–1. */
function croppedShare({ videoWidth, videoHeight }: HTMLVideoElement, frame: HTMLElement): number {
  const picture = videoWidth / videoHeight;
  const hole = frame.clientWidth / frame.clientHeight;
  const kept = Math.min(picture / hole, hole / picture);
  return Number.isFinite(kept) ? 1 - kept : 0;
}

function bindFullscreen({ fullscreen }: Elements): void {
  // Not on an iPhone.
  fullscreen.hidden = !document.fullscreenEnabled;
  const show = () => void (fullscreen.ariaPressed = String(document.fullscreenElement !== null));
  fullscreen.addEventListener("click", () => {
    const change = document.fullscreenElement
      ? document.exitFullscreen()
      : document.documentElement.requestFullscreen();
    void change.catch(() => {});
  });
  document.addEventListener("fullscreenchange", show);
}

function bindVolume({ volume, volumeField, remoteVideo }: Elements): void {
  const set = (percent: number) => void (remoteVideo.volume = percent / 100);
  set(50);
  // iOS leaves the volume to its own buttons.
  volumeField.hidden = remoteVideo.volume !== 0.5;
  volume.value = recall("volume") || "100";
  set(volume.valueAsNumber);
  volume.addEventListener("input", () => {
    set(volume.valueAsNumber);
    remember("volume", volume.value);
  });
}
