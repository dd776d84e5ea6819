/** Why there is no camera or microphone. `cause` is what the browser threw. */
export type CameraError =
  /** The person or the system said no. */
  | { kind: "denied"; cause: unknown }
  /** No such device is connected. */
  | { kind: "not-found"; cause: unknown }
  /** Another program has it, or the hardware failed. */
  | { kind: "in-use"; cause: unknown }
  /** The page came over plain HTTP from another machine; browsers hide cameras from such pages. */
  | { kind: "insecure-context"; cause: unknown }
  /** No device can do what was asked for. */
  | { kind: "overconstrained"; cause: unknown }
  | { kind: "unknown"; cause: unknown };

export type CameraResult = { ok: true; stream: MediaStream } | { ok: false; error: CameraError };

/** As much of `navigator.mediaDevices` as is needed. Browsers leave it out on insecure pages. */
export type Devices = Pick<MediaDevices, "getUserMedia"> | undefined;

/** Opens camera and microphone, or says by name why not. Never throws. */
export async function openCamera(
  constraints: MediaStreamConstraints,
  devices: Devices = navigator.mediaDevices,
): Promise<CameraResult> {
  if (!devices) return { ok: false, error: { kind: "insecure-context", cause: undefined } };
  try {
    return { ok: true, stream: await devices.getUserMedia(constraints) };
  } catch (cause) {
    return { ok: false, error: { kind: kindOf(cause), cause } };
  }
}

/** By the names of W3C Media Capture and Streams, 10.3, and those older browsers use. */
function kindOf(cause: unknown): CameraError["kind"] {
  switch (cause instanceof Error ? cause.name : "") {
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
