/** The stream that is sent to partners: the tracks of the camera, or the page's own stream. */

const kinds = ["audio", "video"] as const;
type Kind = (typeof kinds)[number];

/** What the partner receives: at most one track per kind, from the camera or chosen by the page. */
export interface Outgoing {
  /** What to send; undefined for nothing. The same object until its tracks change. */
  readonly stream: MediaStream | undefined;
  /**
   * The page chooses what to send. A track of the camera stands for the camera: its replacement is sent as well. Any other
   * track, and a kind that `stream` does not have, remain until the next call.
   */
  choose(stream: MediaStream | undefined): void;
  /**
   * The camera has other tracks. They replace the camera's previous tracks, and never a track that the page has chosen.
   *
   * @param opened - the page has opened the camera, so it is also sent for kinds for which nothing was chosen.
   */
  cameraChanged(stream: MediaStream | undefined, opened: boolean): void;
  /** Enables or disables what is sent, now and later. */
  mute(change: { audio?: boolean; video?: boolean }): void;
}

/** @param newStream - creates an empty stream. */
export function createOutgoing(newStream: () => MediaStream): Outgoing {
  const chosen: Record<Kind, MediaStreamTrack | "camera" | undefined> = {
    audio: "camera",
    video: "camera",
  };
  const muted = { audio: false, video: false };
  let camera: MediaStream | undefined;
  let stream: MediaStream | undefined;

  /** @param given - a stream that is used as it is if it contains exactly the tracks to send. */
  function updateStream(given: MediaStream | undefined): void {
    const tracks = kinds.flatMap((kind) => {
      const track = chosen[kind] === "camera" ? trackOf(camera, kind) : chosen[kind];
      return track ?? [];
    });
    if (!hasExactly(stream, tracks)) {
      if (tracks.length === 0) stream = undefined;
      else if (hasExactly(given, tracks)) stream = given;
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
      const cameraTracks = camera?.getTracks() ?? [];
      for (const kind of kinds) {
        const track = trackOf(given, kind);
        chosen[kind] = track && cameraTracks.includes(track) ? "camera" : track;
      }
      updateStream(given);
    },
    cameraChanged(given, opened) {
      camera = given;
      if (opened) for (const kind of kinds) if (trackOf(given, kind)) chosen[kind] ??= "camera";
      updateStream(given);
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

function hasExactly(stream: MediaStream | undefined, tracks: readonly MediaStreamTrack[]): boolean {
  const present = stream?.getTracks() ?? [];
  return present.length === tracks.length && tracks.every((track) => present.includes(track));
}
