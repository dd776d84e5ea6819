/** What is sent to partners, and the only place where that is decided: the camera, the page's own stream, or a screen. */
import type { CameraResult, SourceResult } from "./camera.ts";

const kinds = ["audio", "video"] as const;
type Kind = (typeof kinds)[number];

/** What the partner receives: at most one track per kind, from the camera or chosen by the page. */
export class Outgoing {
  readonly #newStream: () => MediaStream;
  readonly #onEnded: (source: "screen" | "stream", kind: Kind) => void;
  readonly #chosen: Record<Kind, MediaStreamTrack | "camera" | undefined> = {
    audio: "camera",
    video: "camera",
  };
  readonly #muted = { audio: false, video: false };
  #camera: MediaStream | undefined;
  #screen: MediaStreamTrack | undefined;
  #stream: MediaStream | undefined;
  /** Decisions on the screen so far. */
  #shares = 0;

  /**
   * @param newStream - creates an empty stream.
   * @param onEnded - called when a track has ended that the page has chosen, or that of the screen. It is not sent any more.
   */
  constructor(
    newStream: () => MediaStream,
    onEnded: (source: "screen" | "stream", kind: Kind) => void,
  ) {
    this.#newStream = newStream;
    this.#onEnded = onEnded;
  }

  /** What to send; undefined for nothing. The same object until its tracks change. */
  get stream(): MediaStream | undefined {
    return this.#stream;
  }

  /** `none`: nothing is chosen, or what was has ended. Undefined: what the page has chosen, at first the camera. */
  get source(): "screen" | "none" | undefined {
    if (this.#screen) return "screen";
    return this.#chosen.audio || this.#chosen.video ? undefined : "none";
  }

  /**
   * The page chooses what to send. A track of the camera stands for the camera: its replacement is sent as well. Any other
   * track, and a kind that `source` does not have, remain until the next call, or until the track ends.
   */
  choose(source: MediaStream | "camera" | undefined): void {
    this.#setScreen(undefined);
    const given = source === "camera" ? undefined : source;
    const cameraTracks = this.#camera?.getTracks() ?? [];
    for (const kind of kinds) {
      const track = trackOf(given, kind);
      const isCamera = source === "camera" || (track && cameraTracks.includes(track));
      this.#chosen[kind] = isCamera ? "camera" : track;
      // The same listener for all: a track that is chosen twice has it once.
      if (!isCamera) track?.addEventListener("ended", this.#onTrackEnded);
    }
    this.#updateStream(given ?? this.#camera);
  }

  /**
   * Sends the picture of a screen in place of the chosen one, once there is one. It takes the place of the one before. `superseded` if there was
   * another call, or one of `choose` or `endSharing`, meanwhile; the screen is released then.
   */
  async share(capture: Promise<CameraResult>): Promise<SourceResult> {
    const current = ++this.#shares;
    const result = await capture;
    if (!result.ok) return result;
    const track = trackOf(result.stream, "video");
    if (current !== this.#shares || !track) {
      for (const late of result.stream.getTracks()) late.stop();
      return { ok: false, error: { kind: "superseded", cause: undefined } };
    }
    this.#setScreen(track);
    this.#updateStream();
    return { ok: true };
  }

  /** Releases the screen. What was chosen is sent again. */
  endSharing(): void {
    this.#setScreen(undefined);
    this.#updateStream();
  }

  /**
   * The camera has other tracks. They replace the camera's previous tracks, and never a track that the page has chosen.
   *
   * @param opened - the page has opened the camera, so it is also sent for kinds for which nothing was chosen.
   */
  cameraChanged(camera: MediaStream | undefined, opened: boolean): void {
    this.#camera = camera;
    if (opened)
      for (const kind of kinds) if (trackOf(camera, kind)) this.#chosen[kind] ??= "camera";
    this.#updateStream(camera);
  }

  /** Enables or disables what is sent, now and later, but for a screen. */
  mute(change: { audio?: boolean; video?: boolean }): void {
    Object.assign(this.#muted, change);
    this.#applyMuted();
  }

  readonly #onTrackEnded = ({ target }: Event): void => {
    const isScreen = this.#screen !== undefined && target === this.#screen;
    const kind = isScreen ? "video" : kinds.find((each) => this.#chosen[each] === target);
    if (!kind) return;
    if (isScreen) this.#screen = undefined;
    else this.#chosen[kind] = undefined;
    this.#updateStream();
    this.#onEnded(isScreen ? "screen" : "stream", kind);
  };

  #setScreen(next: MediaStreamTrack | undefined): void {
    this.#shares += 1;
    this.#screen?.stop();
    this.#screen = next;
    next?.addEventListener("ended", this.#onTrackEnded);
  }

  /** @param given - a stream that is used as it is if it contains exactly the tracks to send. */
  #updateStream(given?: MediaStream): void {
    const tracks = kinds.flatMap((kind) => {
      if (kind === "video" && this.#screen) return this.#screen;
      const chosen = this.#chosen[kind];
      return (chosen === "camera" ? trackOf(this.#camera, kind) : chosen) ?? [];
    });
    if (!hasExactly(this.#stream, tracks)) {
      if (tracks.length === 0) this.#stream = undefined;
      else if (hasExactly(given, tracks)) this.#stream = given;
      else {
        const stream = this.#newStream();
        for (const track of tracks) stream.addTrack(track);
        this.#stream = stream;
      }
    }
    this.#applyMuted();
  }

  #applyMuted(): void {
    for (const track of this.#stream?.getTracks() ?? [])
      if (track !== this.#screen) track.enabled = !this.#muted[track.kind as Kind];
  }
}

/** One that has ended stands for nothing. */
function trackOf(stream: MediaStream | undefined, kind: Kind): MediaStreamTrack | undefined {
  return stream?.getTracks().find((track) => track.kind === kind && track.readyState !== "ended");
}

function hasExactly(stream: MediaStream | undefined, tracks: readonly MediaStreamTrack[]): boolean {
  const present = stream?.getTracks() ?? [];
  return present.length === tracks.length && tracks.every((track) => present.includes(track));
}
