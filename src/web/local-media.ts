/** The local preview, its buttons, and the panel for camera errors. */
import type { Camera, CameraError, CameraResult, Choice } from "../client/camera.ts";
import type { Elements } from "./elements.ts";
import { createLevelMeter } from "./level-meter.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { createSyntheticCamera } from "./synthetic-camera.ts";
import { isCameraTrouble, type CameraTrouble } from "./words.ts";

/** What this peer sends. */
type Source = "camera" | "audio" | "synthetic" | "none";

/** Receives what happens to the local media. */
export interface LocalMediaListener {
  /** A different stream is used from now on, or none. */
  changed(stream: MediaStream | undefined): void;
  /** The camera could not be opened, or was lost; the panel shows why. */
  failed(): void;
  /** The user chose one of the panel's alternatives, and it is ready. */
  chosen(): void;
  /** Resolves with what became of a device that had to be opened again. */
  muted(muted: { audio: boolean; video: boolean }): Promise<CameraResult | undefined>;
}

/** The local camera and microphone, or what replaces them: the preview, its toggles, and the panel for camera errors. */
export class LocalMedia {
  readonly #elements: Elements;
  readonly #camera: Camera;
  readonly #listener: LocalMediaListener;
  readonly #language: LanguageChoice;
  readonly #meter: ReturnType<typeof createLevelMeter>;
  #source: Source;
  #isSettled = false;
  #stream: MediaStream | undefined;
  #trouble: CameraTrouble | undefined;
  /** The opening in progress, and of which source. */
  #opening: { source: Source; done: Promise<boolean> } | undefined;

  /** `isSynthetic`: whether to start with an animated picture instead of the camera. */
  constructor(
    elements: Elements,
    camera: Camera,
    {
      isSynthetic,
      language,
      listener,
    }: { isSynthetic: boolean; language: LanguageChoice; listener: LocalMediaListener },
  ) {
    this.#elements = elements;
    this.#camera = camera;
    this.#listener = listener;
    this.#language = language;
    this.#meter = createLevelMeter(elements);
    this.#source = isSynthetic ? "synthetic" : "camera";
    this.#bindAlternative(elements.cameraRetry, "camera");
    this.#bindAlternative(elements.cameraAudio, "audio");
    this.#bindAlternative(elements.cameraSynthetic, "synthetic");
    this.#bindAlternative(elements.cameraNone, "none");
    this.#bindToggles();
    this.#showPreview();
    language.subscribe(() => {
      this.#showPreview();
      this.#showTrouble();
    });
    camera.subscribe((event) => {
      if (this.#source !== "camera" && this.#source !== "audio") return;
      if (event.type === "stream" && event.stream) this.#use(event.stream);
      if (event.type === "lost") {
        this.#isSettled = false;
        this.#showError(event.error, true);
      }
    });
  }

  /** What is sent now. */
  get stream(): MediaStream | undefined {
    return this.#stream;
  }

  /** Opens the camera unless it is open. Resolves to false if that failed; the panel then shows why, with alternatives. */
  ready(): Promise<boolean> {
    if (this.#isSettled) return Promise.resolve(true);
    // An alternative may be chosen while the browser still asks for permission; it replaces what is being opened.
    if (this.#opening?.source !== this.#source) {
      const opening = { source: this.#source, done: this.#open() };
      this.#opening = opening;
      void opening.done.finally(() => {
        if (this.#opening === opening) this.#opening = undefined;
      });
    }
    return this.#opening.done;
  }

  /** From now on the camera is wanted or not, besides the microphone. */
  wantVideo(isWanted: boolean): void {
    const source = isWanted ? "camera" : "audio";
    if (source === this.#source || this.#source === "synthetic" || this.#source === "none") return;
    this.#source = source;
    this.#isSettled = false;
  }

  /** Whether the picture is that of a camera of the user's. */
  get hasCamera(): boolean {
    return this.#source === "camera" && this.#camera.stream?.getVideoTracks().length === 1;
  }

  /** Turns everything off until it is `ready` again. */
  rest(): void {
    this.#camera.close();
    if (this.#stream) this.#use(undefined);
    this.#isSettled = false;
    this.#showPreview();
  }

  /** Shows how loud the microphone is, or nothing of that. */
  meter(isWanted: boolean): void {
    this.#meter.watch(isWanted ? this.#stream : undefined);
  }

  /** Switches to other devices. */
  async choose(choice: Choice): Promise<void> {
    const result = await this.#camera.choose(choice);
    if (result && !result.ok) this.#showError(result.error);
  }

  #bindAlternative(button: HTMLButtonElement, source: Source): void {
    button.addEventListener("click", async () => {
      this.#source = source;
      this.#isSettled = false;
      if (await this.ready()) this.#listener.chosen();
    });
  }

  #bindToggles(): void {
    const { mic, cam } = this.#elements;
    for (const button of [mic, cam]) {
      button.addEventListener("click", async () => {
        button.ariaPressed = String(button.ariaPressed !== "true");
        const result = this.#listener.muted({
          audio: mic.ariaPressed === "true",
          video: cam.ariaPressed === "true",
        });
        this.#showPreview();
        const opened = await result;
        if (opened && !opened.ok) this.#showError(opened.error);
      });
    }
  }

  async #open(): Promise<boolean> {
    if (this.#source === "synthetic" || this.#source === "none") {
      this.#camera.close();
      this.#use(this.#source === "synthetic" ? createSyntheticCamera() : undefined);
      return true;
    }
    const result = await this.#camera.open({ video: this.#source === "camera" });
    if (!result.ok) this.#showError(result.error);
    return result.ok;
  }

  #use(next: MediaStream | undefined): void {
    const { localVideo, trouble } = this.#elements;
    const previous = this.#stream;
    // The camera stops its own tracks.
    if (previous && previous !== this.#camera.stream)
      for (const track of previous.getTracks())
        if (!next?.getTracks().includes(track)) track.stop();
    this.#stream = next;
    this.#isSettled = true;
    this.#trouble = undefined;
    trouble.hidden = true;
    localVideo.srcObject = next ?? null;
    localVideo.dataset["synthetic"] = String(this.#source === "synthetic");
    this.#showPreview();
    this.#listener.changed(next);
  }

  #showPreview(): void {
    const { me, localVideo, localNote, localText, mic, cam } = this.#elements;
    const { camera: words } = this.#language.current.strings;
    const stream = this.#stream;
    const hasVideo = (stream?.getVideoTracks().length ?? 0) > 0;
    const isOff = cam.ariaPressed === "true";
    const isSeen = hasVideo && !isOff;
    me.toggleAttribute("data-seen", isSeen);
    me.toggleAttribute("data-open", stream !== undefined);
    localVideo.hidden = !isSeen;
    localNote.hidden = isSeen;
    mic.hidden = stream === undefined;
    cam.hidden = !hasVideo && !isOff;
    if (stream) localText.textContent = hasVideo || isOff ? words.off : words.audioOnly;
    else localText.textContent = this.#isSettled ? words.nothingSent : words.idle;
  }

  #showTrouble(): void {
    if (!this.#trouble) return;
    const { title, text } = this.#language.current.strings.camera[this.#trouble];
    this.#elements.troubleTitle.textContent = title;
    this.#elements.troubleText.textContent = text;
  }

  #showError({ kind }: CameraError, wasOpen = false): void {
    // A later request has replaced this one and shows its own result.
    if (!isCameraTrouble(kind)) return;
    this.#trouble = wasOpen && kind === "not-found" ? "ended" : kind;
    const { trouble, cameraAudio, cameraRetry } = this.#elements;
    cameraAudio.hidden = this.#source === "audio" || kind === "insecure-context";
    trouble.hidden = false;
    this.#showTrouble();
    this.#listener.failed();
    cameraRetry.focus();
  }
}
