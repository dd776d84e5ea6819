/** What is asked of `getUserMedia` and `getDisplayMedia`, and what their errors mean. */
import type { CameraError, CameraResult, Choice, MediaSource, Kind, Wishes } from "./camera.ts";

/** Calls `getUserMedia` for the requested kinds, with exactly the chosen devices. Never rejects. */
export async function requestMedia(
  source: MediaSource | undefined,
  kinds: readonly Kind[],
  choice: Choice,
  wishes: Wishes,
): Promise<CameraResult> {
  if (!source) return { ok: false, error: { kind: "insecure-context", cause: undefined } };
  try {
    return { ok: true, stream: await source.getUserMedia(constraintsFor(kinds, choice, wishes)) };
  } catch (cause) {
    return { ok: false, error: mediaErrorOf(cause) };
  }
}

/** Asks for the picture of a screen, window or tab, which the user chooses. Its sound is left out. Never rejects. */
export async function requestScreen(source: MediaSource | undefined): Promise<CameraResult> {
  if (!source?.getDisplayMedia)
    return { ok: false, error: { kind: "unsupported", cause: undefined } };
  try {
    return { ok: true, stream: await source.getDisplayMedia({ video: true }) };
  } catch (cause) {
    return { ok: false, error: mediaErrorOf(cause) };
  }
}

/** The same wishes for any device of these kinds. */
export function ofAnyDevice(wishes: Wishes, kinds: readonly Kind[]): Wishes {
  const result = { ...wishes };
  for (const kind of kinds) {
    const wish = wishes[kind];
    if (typeof wish !== "object") continue;
    const others = { ...wish };
    for (const name of ["deviceId", "groupId", "facingMode"] as const) delete others[name];
    result[kind] = others;
  }
  return result;
}

function constraintsFor(
  kinds: readonly Kind[],
  { camera, microphone }: Choice,
  wishes: Wishes,
): MediaStreamConstraints {
  const [video, audio] = [wishes.video, wishes.audio].map((wish) =>
    typeof wish === "object" ? wish : {},
  );
  // The page's word for a device counts more than the remembered one.
  const anyCamera = camera === undefined || video?.deviceId || video?.facingMode;
  const anyMicrophone = microphone === undefined || audio?.deviceId;
  return {
    ...(kinds.includes("video") && {
      video: {
        width: { ideal: 1280 },
        height: { ideal: 720 },
        ...(anyCamera ? { facingMode: "user" } : { deviceId: { exact: camera } }),
        ...video,
      },
    }),
    ...(kinds.includes("audio") && {
      audio: {
        echoCancellation: true,
        noiseSuppression: true,
        ...(!anyMicrophone && { deviceId: { exact: microphone } }),
        ...audio,
      },
    }),
  };
}

/**
 * By the exception names of W3C Media Capture and Streams, 10.3, and those of older browsers. What react-native-webrtc rejects with is no `Error`,
 * and may have the name in its message.
 */
export function mediaErrorOf(cause: unknown): CameraError {
  const { name, message } = Object(cause) as { name?: unknown; message?: unknown };
  switch (name === "DOMException" ? message : name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
    case "SecurityError":
      return { kind: "denied", cause };
    case "NotFoundError":
    case "DevicesNotFoundError":
      return { kind: "not-found", cause };
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return { kind: "in-use", cause };
    case "OverconstrainedError": {
      const { constraint } = cause as { constraint?: unknown };
      return {
        kind: "overconstrained",
        cause,
        ...(constraint ? { constraint: String(constraint) } : {}),
      };
    }
    default:
      return { kind: "unknown", cause };
  }
}
