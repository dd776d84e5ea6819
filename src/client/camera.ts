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
  /** `close`, or a later `open` or `choose`, came before the devices did. What came is off again. */
  | { kind: "superseded"; cause: undefined }
  /** The peer stream that the camera belongs to has been closed for good. */
  | { kind: "closed"; cause: undefined }
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
  /** Another stream than before; undefined when it was closed. `opened`: because the page called `open`. */
  | { type: "stream"; stream: MediaStream | undefined; opened?: true }
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

/** A camera as its owner has it. */
export interface OwnedCamera extends Camera {
  /** Turns the devices off for good: `open` and `choose` answer `closed` from now on, and ask for nothing. */
  dispose(): void;
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

/**
 * What was asked of the devices. It counts for each of its kinds until something else is asked of that kind, and for
 * none once the camera is closed. Whoever has waited for devices checks it before doing anything with them.
 */
interface Request {
  kinds: readonly Kind[];
  counts(kind: Kind): boolean;
  /** The page called `open`. */
  opened: boolean;
}

/** Creates a camera that is closed. */
export function createCamera(parts: CameraParts): OwnedCamera {
  const { source } = parts;
  const events = createEmitter<CameraEvent>();
  let choice = recall(parts.storage);
  let stream: MediaStream | undefined;
  /** What the person wants open; empty when closed. */
  let wanted: Kind[] = [];
  /** Kinds whose device went away. */
  let missing: Kind[] = [];
  /** How often something was asked of each kind. */
  const asked: Record<Kind, number> = { video: 0, audio: 0 };
  let disposed = false;

  const onDeviceChange = () => {
    events.emit({ type: "devices" });
    if (missing.length > 0) void refill();
  };

  function request(of: readonly Kind[], opened = false): Request {
    const numbers = new Map(of.map((kind) => [kind, ++asked[kind]]));
    return { kinds: of, opened, counts: (kind) => numbers.get(kind) === asked[kind] };
  }

  /**
   * Asks the browser for these kinds. Devices that are `chosen` are meant; those remembered, which may be gone by now,
   * may be stood in for. (As `ideal` they would be one wish among many: Chromium may take another.)
   */
  async function ask({ kinds: of, counts }: Request, chosen?: Choice): Promise<CameraResult> {
    const result = await get(constraintsFor(of, chosen ?? choice));
    if (result.ok || chosen || result.error.kind !== "overconstrained") return result;
    const still = of.filter(counts);
    return still.length === 0 ? superseded() : get(constraintsFor(still, {}));
  }

  async function get(constraints: MediaStreamConstraints): Promise<CameraResult> {
    if (!source) return { ok: false, error: { kind: "insecure-context", cause: undefined } };
    try {
      return { ok: true, stream: await source.getUserMedia(constraints) };
    } catch (cause) {
      return { ok: false, error: { kind: kindOf(cause), cause } };
    }
  }

  /** Opens the kinds of a request that still count, beside what is open of the others. */
  async function take(req: Request, chosen?: Choice): Promise<CameraResult> {
    const result = await ask(req, chosen);
    const kindsNow = req.kinds.filter(req.counts);
    if (result.ok)
      for (const track of result.stream.getTracks()) if (!isOf(kindsNow, track.kind)) track.stop();
    if (kindsNow.length === 0) return superseded();
    if (!result.ok) return result;
    const old = stream?.getTracks() ?? [];
    const kept = old.filter(
      ({ kind, readyState }) =>
        readyState === "live" && isOf(wanted, kind) && !isOf(kindsNow, kind),
    );
    for (const track of old) if (!kept.includes(track)) track.stop();
    const fresh = result.stream.getTracks().filter(({ kind }) => isOf(kindsNow, kind));
    for (const track of fresh)
      // Fires only when the device ends it, never for a stop from here (Media Capture and Streams, 4.3.1).
      track.addEventListener("ended", () => {
        if (stream?.getTracks().includes(track)) gone([track.kind as Kind]);
      });
    missing = missing.filter((kind) => !kindsNow.includes(kind));
    stream = parts.stream([...kept, ...fresh]);
    events.emit({ type: "stream", stream, ...(req.opened && { opened: true }) });
    return { ok: true, stream };
  }

  function gone(of: readonly Kind[]): void {
    missing = [...new Set([...missing, ...of])];
    void refill();
  }

  /** Takes any other device in the place of what went away. */
  async function refill(): Promise<void> {
    const req = request(missing);
    const result = await take(req);
    if (!result.ok && req.kinds.some(req.counts))
      events.emit({ type: "lost", error: result.error });
  }

  function close(): void {
    request(kinds);
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
      if (disposed) return closed();
      wanted = video ? [...kinds] : ["audio"];
      source?.addEventListener("devicechange", onDeviceChange);
      // What was asked of the picture no longer counts where only the sound is wanted.
      request(kinds);
      return take(request(wanted, true));
    },
    async choose({ camera, microphone }) {
      if (disposed) return closed();
      choice = { ...choice, ...(camera && { camera }), ...(microphone && { microphone }) };
      remember(parts.storage, choice);
      const of: Kind[] = [];
      if (camera !== undefined && wanted.includes("video")) of.push("video");
      if (microphone !== undefined && wanted.includes("audio")) of.push("audio");
      if (of.length === 0) return undefined;
      const req = request(of);
      const result = await take(req, choice);
      if (result.ok || result.error.kind !== "in-use" || !stream) return result;
      // Many phones open one camera at a time: the old one first has to go.
      for (const track of stream.getTracks())
        if (isOf(of.filter(req.counts), track.kind)) track.stop();
      const again = await take(req, choice);
      const lost = of.filter(req.counts);
      if (!again.ok && lost.length > 0) gone(lost);
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
    dispose() {
      disposed = true;
      close();
      events.close();
    },
  };
}

function superseded(): CameraResult {
  return { ok: false, error: { kind: "superseded", cause: undefined } };
}

function closed(): CameraResult {
  return { ok: false, error: { kind: "closed", cause: undefined } };
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
function kindOf(cause: unknown): Exclude<CameraError["kind"], "superseded" | "closed"> {
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
