/** The local camera and microphone: opened, switched, turned off, and replaced when a device is unplugged. */
import { readDeviceChoice, writeDeviceChoice } from "./device-choice.ts";
import { createEmitter } from "./emitter.ts";
import { requestMedia, type Kind } from "./media-request.ts";

/** Why there is no camera or microphone. `cause` is what the browser threw. */
export type CameraError =
  /** The user or the system has denied access. */
  | { kind: "denied"; cause: unknown }
  /** No such device is connected. */
  | { kind: "not-found"; cause: unknown }
  /** Another program uses the device, or the hardware failed. */
  | { kind: "in-use"; cause: unknown }
  /** The page was loaded over plain HTTP from another machine; browsers hide media devices from such pages. */
  | { kind: "insecure-context"; cause: unknown }
  /** No device meets the constraints. */
  | { kind: "overconstrained"; cause: unknown }
  /** `close`, or a later `open` of other kinds or `choose`, was called before the devices opened. They have been closed again. */
  | { kind: "superseded"; cause: undefined }
  /** The peer stream that the camera belongs to has been closed. */
  | { kind: "closed"; cause: undefined }
  | { kind: "unknown"; cause: unknown };

export type CameraResult = { ok: true; stream: MediaStream } | { ok: false; error: CameraError };

/** A camera or microphone. Labels are empty until the user has granted access to one. */
export interface Device {
  id: string;
  label: string;
}

/** The available devices, and those in use. */
export interface Devices {
  cameras: Device[];
  microphones: Device[];
  /** The ids of the devices in use, if any. */
  camera?: string;
  microphone?: string;
}

/** What a camera reports. */
export type CameraEvent =
  /** Another stream than before; undefined after `close`. `opened`: because the page called `open`. */
  | { type: "stream"; stream: MediaStream | undefined; opened?: true }
  /** A device was connected or disconnected: `devices()` has a new result. */
  | { type: "devices" }
  /** A device was disconnected and no other could replace it. The next one that is connected is opened automatically. */
  | { type: "lost"; error: CameraError };

/**
 * The user's camera and microphone: selectable, remembered, and replaced automatically when one is disconnected during a
 * call.
 */
export interface Camera {
  /** What is open now. */
  readonly stream: MediaStream | undefined;
  /**
   * Opens both, or the microphone alone; the browser asks for permission if necessary. While these are being opened it is not
   * asked again: both callers get the same result. Never rejects.
   */
  open(kinds?: { video?: boolean }): Promise<CameraResult>;
  /**
   * Switches to other devices, and remembers them. Undefined if no device of these kinds is open now. Never rejects.
   */
  choose(choice: Choice): Promise<CameraResult | undefined>;
  /** The available devices. Never rejects. */
  devices(): Promise<Devices>;
  subscribe(listener: (event: CameraEvent) => void): () => void;
  /** Closes the devices. `open` opens them again. */
  close(): void;
}

/** A camera with the methods of its owner. */
export interface OwnedCamera extends Camera {
  /** Closes the devices of these kinds, and opens none for them until they are restored. */
  release(kinds: readonly Kind[]): void;
  /** Opens released devices again, if the page wants them open. Undefined if there are none. Never rejects. */
  restore(kinds: readonly Kind[]): Promise<CameraResult | undefined>;
  /** Closes the devices permanently: from now on `open` and `choose` return the error `closed`. */
  dispose(): void;
}

/** Device ids. */
export interface Choice {
  camera?: string;
  microphone?: string;
}

/** The required part of `navigator.mediaDevices`, which is undefined in insecure contexts; without `getDisplayMedia` on phones. */
export type MediaSource = Pick<
  MediaDevices,
  "getUserMedia" | "enumerateDevices" | "addEventListener" | "removeEventListener"
> &
  Partial<Pick<MediaDevices, "getDisplayMedia">>;

/** What a camera is made of. */
export interface CameraParts {
  source: MediaSource | undefined;
  /** Creates a stream of tracks. */
  stream(tracks: MediaStreamTrack[]): MediaStream;
  /** Stores the chosen devices: `localStorage` is suitable. */
  storage: Pick<Storage, "getItem" | "setItem"> | undefined;
}

const kinds = ["video", "audio"] as const;

/**
 * A request for devices. It is valid for each of its kinds until there is another request for that kind, and for none
 * once the camera is closed. This is checked again after each wait for a device.
 */
interface DeviceRequest {
  kinds: readonly Kind[];
  isValid(kind: Kind): boolean;
  /** The page called `open`. */
  opened: boolean;
}

/** Creates a camera that is closed. */
export function createCamera(parts: CameraParts): OwnedCamera {
  const camera = new DeviceCamera(parts);
  // Closures instead of methods, so that the page may pass them on detached, as event listeners.
  return {
    get stream() {
      return camera.stream;
    },
    open: (options) => camera.open(options),
    choose: (choice) => camera.choose(choice),
    devices: () => camera.devices(),
    subscribe: (listener) => camera.subscribe(listener),
    close: () => camera.close(),
    release: (released) => camera.release(released),
    restore: (restored) => camera.restore(restored),
    dispose: () => camera.dispose(),
  };
}

class DeviceCamera implements OwnedCamera {
  readonly #parts: CameraParts;
  readonly #source: MediaSource | undefined;
  readonly #events = createEmitter<CameraEvent>();
  #choice: Choice;
  #stream: MediaStream | undefined;
  /** The kinds that the page wants open; empty when closed. */
  #wanted: Kind[] = [];
  /** Kinds that are off although the page wants them open. */
  #released: readonly Kind[] = [];
  /** Kinds whose device was disconnected. */
  #missing: Kind[] = [];
  /** The number of requests so far, by kind. */
  readonly #requests: Record<Kind, number> = { video: 0, audio: 0 };
  /** What the page's last `open` requested, until there is a result. */
  #opening: { request: DeviceRequest; result: Promise<CameraResult> } | undefined;
  #isDisposed = false;

  constructor(parts: CameraParts) {
    this.#parts = parts;
    this.#source = parts.source;
    this.#choice = readDeviceChoice(parts.storage);
  }

  get stream(): MediaStream | undefined {
    return this.#stream;
  }

  async open({ video = true }: { video?: boolean } = {}): Promise<CameraResult> {
    if (this.#isDisposed) return closed();
    this.#wanted = video ? [...kinds] : ["audio"];
    const wanted = this.#wanted.filter((kind) => !this.#released.includes(kind));
    const opening = this.#opening;
    if (opening?.request.kinds.length === wanted.length && wanted.every(opening.request.isValid))
      return opening.result;
    this.#source?.addEventListener("devicechange", this.#onDeviceChange);
    // Invalidates all earlier requests, also those for video if only audio is requested now.
    this.#createRequest(kinds);
    const request = this.#createRequest(wanted, true);
    if (wanted.length === 0) return { ok: true, stream: this.#parts.stream([]) };
    const result = this.#openDevices(request);
    this.#opening = { request, result };
    void result.then(() => {
      if (this.#opening?.request === request) this.#opening = undefined;
    });
    return result;
  }

  async choose({ camera, microphone }: Choice): Promise<CameraResult | undefined> {
    if (this.#isDisposed) return closed();
    this.#choice = {
      ...this.#choice,
      ...(camera && { camera }),
      ...(microphone && { microphone }),
    };
    writeDeviceChoice(this.#parts.storage, this.#choice);
    const chosen = this.#wanted.filter(
      (kind) =>
        (kind === "video" ? camera : microphone) !== undefined && !this.#released.includes(kind),
    );
    if (chosen.length === 0) return undefined;
    const request = this.#createRequest(chosen);
    const result = await this.#openDevices(request, this.#choice);
    if (result.ok || result.error.kind !== "in-use" || !this.#stream) return result;
    // Many phones open only one camera at a time, so the current one is closed first.
    for (const track of this.#stream.getTracks())
      if (includesKind(chosen.filter(request.isValid), track.kind)) track.stop();
    const retried = await this.#openDevices(request, this.#choice);
    const lost = chosen.filter(request.isValid);
    if (!retried.ok && lost.length > 0) this.#replaceMissing(lost);
    return retried;
  }

  async devices(): Promise<Devices> {
    const all = await (this.#source?.enumerateDevices() ?? Promise.resolve([])).catch(() => []);
    const ofKind = (kind: MediaDeviceKind) =>
      all
        .filter((device) => device.kind === kind && device.deviceId !== "")
        .map(({ deviceId, label }) => ({ id: deviceId, label }));
    const camera = deviceIdOf(this.#stream?.getVideoTracks());
    const microphone = deviceIdOf(this.#stream?.getAudioTracks());
    return {
      cameras: ofKind("videoinput"),
      microphones: ofKind("audioinput"),
      ...(camera && { camera }),
      ...(microphone && { microphone }),
    };
  }

  subscribe(listener: (event: CameraEvent) => void): () => void {
    return this.#events.subscribe(listener);
  }

  release(released: readonly Kind[]): void {
    this.#released = kinds.filter((kind) => [...this.#released, ...released].includes(kind));
    this.#missing = this.#missing.filter((kind) => !released.includes(kind));
    this.#createRequest(released);
    const old = this.#stream?.getTracks() ?? [];
    const kept = old.filter(({ kind }) => !includesKind(released, kind));
    if (kept.length === old.length) return;
    for (const track of old) if (!kept.includes(track)) track.stop();
    const stream = kept.length > 0 ? this.#parts.stream(kept) : undefined;
    this.#stream = stream;
    this.#events.emit({ type: "stream", stream });
  }

  async restore(restored: readonly Kind[]): Promise<CameraResult | undefined> {
    if (this.#isDisposed) return closed();
    const off = [...this.#released, ...this.#missing];
    const wanted = this.#wanted.filter((kind) => restored.includes(kind) && off.includes(kind));
    this.#released = this.#released.filter((kind) => !restored.includes(kind));
    if (wanted.length === 0) return undefined;
    this.#missing = [...new Set([...this.#missing, ...wanted])];
    return this.#openMissing();
  }

  close(): void {
    this.#createRequest(kinds);
    this.#wanted = [];
    this.#missing = [];
    const old = this.#stream;
    this.#stream = undefined;
    this.#source?.removeEventListener("devicechange", this.#onDeviceChange);
    for (const track of old?.getTracks() ?? []) track.stop();
    if (old) this.#events.emit({ type: "stream", stream: undefined });
  }

  dispose(): void {
    this.#isDisposed = true;
    this.close();
    this.#events.close();
  }

  readonly #onDeviceChange = (): void => {
    this.#events.emit({ type: "devices" });
    if (this.#missing.length > 0) void this.#openMissing();
  };

  /** Creates a request, which invalidates earlier ones for the same kinds. */
  #createRequest(requested: readonly Kind[], opened = false): DeviceRequest {
    const numbers = new Map(requested.map((kind) => [kind, ++this.#requests[kind]]));
    const isValid = (kind: Kind) => numbers.get(kind) === this.#requests[kind];
    return { kinds: requested, opened, isValid };
  }

  /** Opens the kinds of a request that are still valid, and keeps the open devices of the other kinds. */
  async #openDevices(request: DeviceRequest, chosen?: Choice): Promise<CameraResult> {
    const result = await this.#requestMedia(request, chosen);
    const valid = request.kinds.filter(request.isValid);
    if (result.ok)
      for (const track of result.stream.getTracks())
        if (!includesKind(valid, track.kind)) track.stop();
    if (valid.length === 0) return superseded();
    if (!result.ok) return result;
    const old = this.#stream?.getTracks() ?? [];
    const kept = old.filter(
      ({ kind, readyState }) =>
        readyState === "live" && includesKind(this.#wanted, kind) && !includesKind(valid, kind),
    );
    for (const track of old) if (!kept.includes(track)) track.stop();
    const added = result.stream.getTracks().filter(({ kind }) => includesKind(valid, kind));
    for (const track of added) this.#observe(track);
    this.#missing = this.#missing.filter((kind) => !valid.includes(kind));
    const stream = this.#parts.stream([...kept, ...added]);
    this.#stream = stream;
    this.#events.emit({ type: "stream", stream, ...(request.opened && { opened: true }) });
    return { ok: true, stream };
  }

  /**
   * Requests the kinds from the browser. Devices that are `chosen` now are required; remembered ones, which may have been
   * disconnected since, may be replaced by others. (With `ideal` instead of `exact` Chromium may use another device
   * although the remembered one is connected.)
   */
  async #requestMedia(request: DeviceRequest, chosen?: Choice): Promise<CameraResult> {
    const result = await requestMedia(this.#source, request.kinds, chosen ?? this.#choice);
    if (result.ok || chosen || result.error.kind !== "overconstrained") return result;
    const valid = request.kinds.filter(request.isValid);
    return valid.length === 0 ? superseded() : requestMedia(this.#source, valid, {});
  }

  #observe(track: MediaStreamTrack): void {
    // `ended` fires only when the device ends the track, and not for `stop()` (Media Capture and Streams, 4.3.1).
    track.addEventListener("ended", () => {
      if (this.#stream?.getTracks().includes(track)) this.#replaceMissing([track.kind as Kind]);
    });
  }

  #replaceMissing(lost: readonly Kind[]): void {
    this.#missing = [...new Set([...this.#missing, ...lost])];
    void this.#openMissing();
  }

  /** Opens any other device in place of a disconnected one. */
  async #openMissing(): Promise<CameraResult> {
    const request = this.#createRequest(this.#missing);
    const result = await this.#openDevices(request);
    if (!result.ok && request.kinds.some(request.isValid))
      this.#events.emit({ type: "lost", error: result.error });
    return result;
  }
}

function superseded(): CameraResult {
  return { ok: false, error: { kind: "superseded", cause: undefined } };
}

function closed(): CameraResult {
  return { ok: false, error: { kind: "closed", cause: undefined } };
}

function includesKind(some: readonly Kind[], kind: string): boolean {
  return some.some((one) => one === kind);
}

function deviceIdOf(tracks: MediaStreamTrack[] | undefined): string | undefined {
  return tracks?.[0]?.getSettings().deviceId;
}
