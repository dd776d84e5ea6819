/** What the partner gets to see and hear: of each kind one track, the camera's or one that the page has chosen. */
const kinds = ["audio", "video"] as const;
type Kind = (typeof kinds)[number];

export interface Outgoing {
  /** What is to be sent; undefined for nothing. The same object until its tracks are others. */
  readonly stream: MediaStream | undefined;
  /**
   * The page chooses what is sent. A track of the camera's stands for the camera, so that what the camera takes in its
   * place is sent as well; any other track, and a kind that `stream` lacks, stays as it is until the page chooses again.
   */
  choose(stream: MediaStream | undefined): void;
  /**
   * The camera has other tracks now. They replace its own, and nothing that the page has chosen.
   * @param opened the page has opened it, and so wants it sent where nothing was.
   */
  cameraChanged(stream: MediaStream | undefined, opened: boolean): void;
  /** Silences or blackens what is sent, now and later. */
  mute(change: { audio?: boolean; video?: boolean }): void;
}

/** @param newStream makes an empty stream. */
export function createOutgoing(newStream: () => MediaStream): Outgoing {
  const chosen: Record<Kind, MediaStreamTrack | "camera" | undefined> = {
    audio: "camera",
    video: "camera",
  };
  const muted = { audio: false, video: false };
  let camera: MediaStream | undefined;
  let stream: MediaStream | undefined;

  /** @param given a stream to use as it is if it holds just what is to be sent. */
  function compose(given: MediaStream | undefined): void {
    const tracks = kinds.flatMap((kind) => {
      const track = chosen[kind] === "camera" ? trackOf(camera, kind) : chosen[kind];
      return track ?? [];
    });
    if (!holds(stream, tracks)) {
      if (tracks.length === 0) stream = undefined;
      else if (holds(given, tracks)) stream = given;
      else {
        stream = newStream();
        for (const track of tracks) stream.addTrack(track);
      }
    }
    applyMuted();
  }

  function applyMuted(): void {
    for (const track of stream?.getTracks() ?? []) track.enabled = !muted[track.kind as Kind];
  }

  return {
    get stream() {
      return stream;
    },
    choose(given) {
      const own = camera?.getTracks() ?? [];
      for (const kind of kinds) {
        const track = trackOf(given, kind);
        chosen[kind] = track && own.includes(track) ? "camera" : track;
      }
      compose(given);
    },
    cameraChanged(given, opened) {
      camera = given;
      if (opened) for (const kind of kinds) if (trackOf(given, kind)) chosen[kind] ??= "camera";
      compose(given);
    },
    mute(change) {
      Object.assign(muted, change);
      applyMuted();
    },
  };
}

function trackOf(stream: MediaStream | undefined, kind: Kind): MediaStreamTrack | undefined {
  return stream?.getTracks().find((track) => track.kind === kind);
}

function holds(stream: MediaStream | undefined, tracks: readonly MediaStreamTrack[]): boolean {
  const held = stream?.getTracks() ?? [];
  return held.length === tracks.length && tracks.every((track) => held.includes(track));
}
