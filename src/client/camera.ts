import { createEmitter } from "./emitter.ts";

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

/** A camera or microphone to choose from. Labels are empty until the person has allowed one. */
export interface Device {
  id: string;
  label: string;
}

/** What can be chosen, and what is in use. */
export interface Devices {
  cameras: Device[];
  microphones: Device[];
  /** The ids in use, as far as there are any. */
  camera?: string;
  microphone?: string;
}

/** What a camera tells on its own account. */
export type CameraEvent =
  /** Another stream than before; undefined when it was closed. */
  | { type: "stream"; stream: MediaStream | undefined }
  /** Something was plugged in or out: look at `devices()` again. */
  | { type: "devices" }
  /** A device went away and no other could take its place. It is opened by itself when one comes. */
  | { type: "lost"; error: CameraError };

/**
 * The person's camera and microphone: chosen, remembered, and replaced by another one when one is pulled
 * out in the middle of a call.
 */
export interface Camera {
  /** What is open now. */
  readonly stream: MediaStream | undefined;
  /** Opens both, or the microphone alone; asks the person for permission where that is needed. Never throws. */
  open(kinds?: { video?: boolean }): Promise<CameraResult>;
  /**
   * Takes other devices, by their ids, and remembers them for the next time. Undefined when none of them
   * is open now. Never throws.
   */
  choose(choice: Choice): Promise<CameraResult | undefined>;
  /** What there is to choose from. Never throws. */
  devices(): Promise<Devices>;
  subscribe(listener: (event: CameraEvent) => void): () => void;
  /** Turns the devices off. `open` turns them on again. */
  close(): void;
}

/** Device ids. */
export interface Choice {
  camera?: string;
  microphone?: string;
}

/** As much of `navigator.mediaDevices` as is needed. Browsers leave it out on insecure pages. */
export type MediaSource = Pick<
  MediaDevices,
  "getUserMedia" | "enumerateDevices" | "addEventListener" | "removeEventListener"
>;

/** What a camera is made of. */
export interface CameraParts {
  source: MediaSource | undefined;
  /** Puts tracks into a stream. */
  stream(tracks: MediaStreamTrack[]): MediaStream;
  /** Where the choice is remembered, for good: `localStorage` fits. */
  storage: Pick<Storage, "getItem" | "setItem"> | undefined;
}

type Kind = "video" | "audio";
const kinds = ["video", "audio"] as const;

const KEY = "peer-stream.devices";

/** Creates a camera that is closed. */
export function createCamera(parts: CameraParts): Camera {
  const { source } = parts;
  const events = createEmitter<CameraEvent>();
  let choice = recall(parts.storage);
  let stream: MediaStream | undefined;
  /** What the person wants open; empty when closed. */
  let wanted: Kind[] = [];
  /** Kinds whose device went away. */
  let missing: Kind[] = [];
  /** Counts what was asked for, so that what comes late is let go. */
  let turn = 0;

  const onDeviceChange = () => {
    events.emit({ type: "devices" });
    if (missing.length > 0) void refill();
  };

  /**
   * Opens these kinds. Devices that are `chosen` are meant; those remembered, which may be gone by now,
   * may be stood in for. (As `ideal` they would be one wish among many: Chromium may take another.)
   */
  async function ask(asked: readonly Kind[], chosen?: Choice): Promise<CameraResult> {
    const result = await get(constraintsFor(asked, chosen ?? choice));
    if (result.ok || chosen || result.error.kind !== "overconstrained") return result;
    return get(constraintsFor(asked, {}));
  }

  async function get(constraints: MediaStreamConstraints): Promise<CameraResult> {
    if (!source) return { ok: false, error: { kind: "insecure-context", cause: undefined } };
    try {
      return { ok: true, stream: await source.getUserMedia(constraints) };
    } catch (cause) {
      return { ok: false, error: { kind: kindOf(cause), cause } };
    }
  }

  /** Opens these kinds beside what is open of the others. */
  async function take(asked: readonly Kind[], chosen?: Choice): Promise<CameraResult> {
    const mine = ++turn;
    const result = await ask(asked, chosen);
    if (!result.ok) return result;
    if (mine !== turn) {
      for (const track of result.stream.getTracks()) track.stop();
      return stream ? { ok: true, stream } : result;
    }
    const old = stream?.getTracks() ?? [];
    const kept = old.filter(({ kind }) => wanted.includes(kind as Kind) && !isOf(asked, kind));
    for (const track of old) if (!kept.includes(track)) track.stop();
    const fresh = result.stream.getTracks();
    for (const track of fresh)
      // Fires only when the device ends it, never for a stop from here (Media Capture and Streams, 4.3.1).
      track.addEventListener("ended", () => {
        if (stream?.getTracks().includes(track)) void gone(track.kind as Kind);
      });
    missing = missing.filter((kind) => !asked.includes(kind));
    stream = parts.stream([...kept, ...fresh]);
    events.emit({ type: "stream", stream });
    return { ok: true, stream };
  }

  async function gone(kind: Kind): Promise<void> {
    if (!missing.includes(kind)) missing.push(kind);
    await refill();
  }

  /** Takes any other device in the place of what went away. */
  async function refill(): Promise<void> {
    const mine = turn + 1;
    const result = await take([...missing]);
    if (mine !== turn) return;
    if (!result.ok && missing.length > 0) events.emit({ type: "lost", error: result.error });
  }

  function close(): void {
    turn += 1;
    wanted = [];
    missing = [];
    const old = stream;
    stream = undefined;
    source?.removeEventListener("devicechange", onDeviceChange);
    for (const track of old?.getTracks() ?? []) track.stop();
    if (old) events.emit({ type: "stream", stream: undefined });
  }

  return {
    get stream() {
      return stream;
    },
    async open({ video = true } = {}) {
      wanted = video ? [...kinds] : ["audio"];
      source?.addEventListener("devicechange", onDeviceChange);
      return take(wanted);
    },
    async choose({ camera, microphone }) {
      choice = { ...choice, ...(camera && { camera }), ...(microphone && { microphone }) };
      remember(parts.storage, choice);
      const asked: Kind[] = [];
      if (camera !== undefined && wanted.includes("video")) asked.push("video");
      if (microphone !== undefined && wanted.includes("audio")) asked.push("audio");
      if (asked.length === 0) return undefined;
      const result = await take(asked, choice);
      if (result.ok || result.error.kind !== "in-use" || !stream) return result;
      // Many phones open one camera at a time: the old one first has to go.
      for (const track of stream.getTracks()) if (isOf(asked, track.kind)) track.stop();
      const again = await take(asked, choice);
      if (!again.ok) for (const kind of asked) void gone(kind);
      return again;
    },
    async devices() {
      const all = await (source?.enumerateDevices() ?? Promise.resolve([])).catch(() => []);
      const of = (kind: MediaDeviceKind) =>
        all
          .filter((device) => device.kind === kind && device.deviceId !== "")
          .map(({ deviceId, label }) => ({ id: deviceId, label }));
      const camera = inUse(stream?.getVideoTracks());
      const microphone = inUse(stream?.getAudioTracks());
      return {
        cameras: of("videoinput"),
        microphones: of("audioinput"),
        ...(camera && { camera }),
        ...(microphone && { microphone }),
      };
    },
    subscribe: (listener) => events.subscribe(listener),
    close,
  };
}

function isOf(asked: readonly Kind[], kind: string): boolean {
  return asked.some((one) => one === kind);
}

function inUse(tracks: MediaStreamTrack[] | undefined): string | undefined {
  return tracks?.[0]?.getSettings().deviceId;
}

function constraintsFor(
  asked: readonly Kind[],
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
    ...(asked.includes("video") && { video }),
    ...(asked.includes("audio") && { audio }),
  };
}

function remember(storage: CameraParts["storage"], choice: Choice): void {
  try {
    storage?.setItem(KEY, JSON.stringify(choice));
  } catch {
    // Then it is chosen again next time.
  }
}

function recall(storage: CameraParts["storage"]): Choice {
  try {
    const kept: unknown = JSON.parse(storage?.getItem(KEY) ?? "{}");
    if (typeof kept !== "object" || kept === null) return {};
    const id = (name: string) => {
      const value: unknown = Reflect.get(kept, name);
      return typeof value === "string" ? value : undefined;
    };
    const [camera, microphone] = [id("camera"), id("microphone")];
    return { ...(camera && { camera }), ...(microphone && { microphone }) };
  } catch {
    return {};
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
