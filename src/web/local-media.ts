import type { Camera, CameraError, Choice } from "../client/camera.ts";
import type { Elements } from "./elements.ts";
import { createSyntheticCamera } from "./synthetic-camera.ts";
import { cameraWords, type CameraTrouble } from "./words.ts";

/** What this peer shows of itself. */
type Source = "camera" | "voice" | "drawn" | "none";

/** The person's own picture and sound, with all that can go wrong about them. */
export interface LocalMedia {
  /** What is shown and heard of this peer now. */
  readonly stream: MediaStream | undefined;
  /** Opens the camera unless that is done. False when there is trouble: it is on the page, with ways on. */
  ready(): Promise<boolean>;
  /** Takes other devices. */
  choose(choice: Choice): Promise<void>;
}

/** What local media tell. */
export interface LocalMediaListener {
  /** Another stream than before, or none. */
  changed(stream: MediaStream | undefined): void;
  /** There is trouble on the page now. */
  troubled(): void;
  /** The person chose a way on out of the trouble. */
  goOn(): void;
  muted(muted: { audio: boolean; video: boolean }): void;
}

/** Binds the preview, its toggles, and the panel for camera trouble. */
export function createLocalMedia(
  elements: Elements,
  camera: Camera,
  { drawn, listener }: { drawn: boolean; listener: LocalMediaListener },
): LocalMedia {
  const { localVideo, localText, toggles, mic, cam } = elements;
  const { trouble, troubleTitle, troubleText } = elements;
  let source: Source = drawn ? "drawn" : "camera";
  let settled = false;
  let stream: MediaStream | undefined;
  /** Under way, and for which source. */
  let opening: { from: Source; done: Promise<boolean> } | undefined;

  bind(elements.cameraRetry, "camera");
  bind(elements.cameraAudio, "voice");
  bind(elements.cameraSynthetic, "drawn");
  bind(elements.cameraNone, "none");
  for (const button of [mic, cam]) {
    button.addEventListener("click", () => {
      button.ariaPressed = String(button.ariaPressed !== "true");
      listener.muted({ audio: mic.ariaPressed === "true", video: cam.ariaPressed === "true" });
      showPreview();
    });
  }
  camera.subscribe((event) => {
    if (source !== "camera" && source !== "voice") return;
    if (event.type === "stream" && event.stream) use(event.stream);
    if (event.type === "lost") {
      settled = false;
      complainOf(event.error, true);
    }
  });

  function bind(button: HTMLButtonElement, way: Source): void {
    button.addEventListener("click", async () => {
      source = way;
      settled = false;
      if (await ready()) listener.goOn();
    });
  }

  function ready(): Promise<boolean> {
    if (settled) return Promise.resolve(true);
    // Another way chosen while the browser still asks for permission counts at once, and not what it asks for.
    if (opening?.from !== source) {
      const mine = { from: source, done: open() };
      opening = mine;
      void mine.done.finally(() => {
        if (opening === mine) opening = undefined;
      });
    }
    return opening.done;
  }

  async function open(): Promise<boolean> {
    if (source === "drawn" || source === "none") {
      camera.close();
      return use(source === "drawn" ? createSyntheticCamera() : undefined);
    }
    const result = await camera.open({ video: source === "camera" });
    if (!result.ok) complainOf(result.error);
    return result.ok;
  }

  function use(next: MediaStream | undefined): true {
    // A camera's own tracks are the camera's to stop.
    if (stream && stream !== camera.stream)
      for (const track of stream.getTracks()) if (!next?.getTracks().includes(track)) track.stop();
    stream = next;
    settled = true;
    trouble.hidden = true;
    localVideo.srcObject = next ?? null;
    localVideo.dataset["drawn"] = String(source === "drawn");
    showPreview();
    listener.changed(next);
    return true;
  }

  function showPreview(): void {
    const hasPicture = (stream?.getVideoTracks().length ?? 0) > 0;
    const dark = cam.ariaPressed === "true";
    localVideo.hidden = !hasPicture || dark;
    localText.hidden = hasPicture && !dark;
    toggles.hidden = stream === undefined;
    cam.hidden = !hasPicture;
    if (stream === undefined) localText.textContent = "The stranger neither sees nor hears you.";
    else if (hasPicture) localText.textContent = "Your camera is off.";
    else localText.textContent = "Only your voice is on.";
  }

  function complainOf({ kind }: CameraError, wasOpen = false): void {
    // Something else was asked for meanwhile, which says itself what becomes of it.
    if (kind === "superseded" || kind === "closed") return;
    complain(wasOpen && kind === "not-found" ? "ended" : kind);
  }

  function complain(kind: CameraTrouble): void {
    const { title, text } = cameraWords(kind);
    troubleTitle.textContent = title;
    troubleText.textContent = text;
    elements.cameraAudio.hidden = source === "voice" || kind === "insecure-context";
    trouble.hidden = false;
    listener.troubled();
    elements.cameraRetry.focus();
  }

  return {
    get stream() {
      return stream;
    },
    ready,
    async choose(choice) {
      const result = await camera.choose(choice);
      if (result && !result.ok) complainOf(result.error);
    },
  };
}
