/** What is asked of `getUserMedia`, and what its errors mean. */
import type { CameraError, CameraResult, Choice, MediaSource } from "./camera.ts";

export type Kind = "video" | "audio";

/** Calls `getUserMedia` for the requested kinds, with exactly the chosen devices. Never rejects. */
export async function requestMedia(
  source: MediaSource | undefined,
  kinds: readonly Kind[],
  choice: Choice,
): Promise<CameraResult> {
  if (!source) return { ok: false, error: { kind: "insecure-context", cause: undefined } };
  try {
    return { ok: true, stream: await source.getUserMedia(constraintsFor(kinds, choice)) };
  } catch (cause) {
    return { ok: false, error: { kind: errorKindOf(cause), cause } };
  }
}

function constraintsFor(
  kinds: readonly Kind[],
  { camera, microphone }: Choice,
): MediaStreamConstraints {
  const video = {
    width: { ideal: 1280 },
    height: { ideal: 720 },
    ...(camera === undefined ? { facingMode: "user" } : { deviceId: { exact: camera } }),
  };
  const audio = {
    echoCancellation: true,
    noiseSuppression: true,
    ...(microphone !== undefined && { deviceId: { exact: microphone } }),
  };
  return {
    ...(kinds.includes("video") && { video }),
    ...(kinds.includes("audio") && { audio }),
  };
}

/**
 * By the exception names of W3C Media Capture and Streams, 10.3, and those of older browsers. What react-native-webrtc rejects with is no `Error`,
 * and may have the name in its message.
 */
function errorKindOf(cause: unknown): Exclude<CameraError["kind"], "superseded" | "closed"> {
  const { name, message } = Object(cause) as { name?: unknown; message?: unknown };
  switch (name === "DOMException" ? message : name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "DevicesNotFoundError":
      return "not-found";
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return "in-use";
    case "OverconstrainedError":
      return "overconstrained";
    default:
      return "unknown";
  }
}
