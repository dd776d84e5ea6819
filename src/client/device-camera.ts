/** The camera and microphone of `camera.ts`: requests to the browser that may be answered late, or be replaced by others meanwhile. */
import type {
  CameraError,
  CameraEvent,
  CameraParts,
  CameraResult,
  Choice,
  Devices,
  MediaSource,
  OwnedCamera,
  SourceResult,
  Kind,
  Wishes,
  Player,
} from "./camera.ts";
import { readDeviceChoice, writeDeviceChoice } from "./device-choice.ts";
import { createEmitter } from "./emitter.ts";
import { ofAnyDevice, requestMedia } from "./media-request.ts";
import { playOn } from "./speaker.ts";

const kinds = ["video", "audio"] as const;

/**
 * A request for devices. It is valid for each of its kinds until there is another request for that kind, and for none
 * once the camera is closed. This is checked again after each wait for a device.
 */
interface DeviceRequest {
  kinds: readonly Kind[];
  isValid(kind: Kind): boolean;
  /** What the page wants from now on, if the request succeeds. Default: what it wanted before. */
  wishes?: Wishes;
  /** The page called `open`. */
  opened?: true;
}

/** Which devices a request is for. It is repeated without that only if they were merely remembered. */
interface Target {
  choice: Choice;
  facingMode?: string;
}

/** A call of `open` in progress, or several for the same. */
interface Opening {
  request: DeviceRequest;
  /** What was wanted before. */
  before: Kind[];
  key: string;
  callers: number;
  result: Promise<CameraResult>;
}

/** See `Camera`. */
export class DeviceCamera implements OwnedCamera {
  readonly #parts: CameraParts;
  readonly #source: MediaSource | undefined;
  readonly #events = createEmitter<CameraEvent>();
  #choice: Choice;
  #stream: MediaStream | undefined;
  /** The kinds that the page wants open; empty when closed. */
  #wanted: Kind[] = [];
  #wishes: Wishes = {};
  /** Kinds that are off although the page wants them open. */
  #released: readonly Kind[] = [];
  /** Kinds whose device was disconnected. */
  #missing: Kind[] = [];
  /** The number of requests so far, by kind. */
  readonly #requests: Record<Kind, number> = { video: 0, audio: 0 };
  /** The page's last `open`, until there is a result. */
  #opening: Opening | undefined;
  #isDisposed = false;

  constructor(parts: CameraParts) {
    this.#parts = parts;
    this.#source = parts.source;
    this.#choice = readDeviceChoice(parts.storage);
  }

  get stream(): MediaStream | undefined {
    return this.#stream;
  }

  async open(
    { video = true, audio = true }: Wishes = {},
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<CameraResult> {
    if (this.#isDisposed) return failed("closed");
    if (signal?.aborted) return failed("aborted", signal.reason);
    const wishes = { video, audio };
    const key = JSON.stringify(wishes);
    const current = this.#opening;
    const opening =
      current?.key === key && current.request.kinds.every(current.request.isValid)
        ? current
        : this.#beginOpening(wishes, key);
    opening.callers += 1;
    if (!signal) return opening.result;
    return new Promise((resolve) => {
      const onAbort = () => {
        resolve(failed("aborted", signal.reason));
        if (--opening.callers === 0) this.#cancel(opening);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      void opening.result.then((result) => {
        signal.removeEventListener("abort", onAbort);
        resolve(result);
      });
    });
  }

  async choose(choice: Choice): Promise<CameraResult | undefined> {
    if (this.#isDisposed) return failed("closed");
    this.#remember(choice);
    const chosen: Kind[] = [];
    const open = this.#unreleased(this.#wanted);
    if (choice.camera !== undefined && open.includes("video")) chosen.push("video");
    if (choice.microphone !== undefined && open.includes("audio")) chosen.push("audio");
    if (chosen.length === 0) return undefined;
    const request = this.#createRequest(chosen, ofAnyDevice(this.#wishes, chosen));
    return this.#switch(request, [{ choice: this.#choice }]);
  }

  async flip(): Promise<CameraResult | undefined> {
    if (this.#isDisposed) return failed("closed");
    const [track] = this.#stream?.getVideoTracks() ?? [];
    if (!track) return undefined;
    const { deviceId, facingMode } = track.getSettings();
    const request = this.#createRequest(["video"], ofAnyDevice(this.#wishes, ["video"]));
    const choice = this.#choice;
    const { cameras } = await this.devices();
    if (!request.isValid("video")) return failed("superseded");
    const index = cameras.findIndex(({ id }) => id === deviceId);
    const next = cameras[(index + 1) % cameras.length];
    if (!next || next.id === deviceId) return failed("only-one");
    const targets: Target[] = [{ choice: { ...choice, camera: next.id } }];
    const isPhone = facingMode === "user" || facingMode === "environment";
    if (isPhone)
      targets.unshift({ choice, facingMode: facingMode === "user" ? "environment" : "user" });
    // Most phones open only one camera at a time, and some let the first one go dark instead of refusing the second.
    const result = await this.#switch(request, targets, isPhone);
    if (!result.ok) return result;
    const opened = deviceIdOf(result.stream.getVideoTracks());
    this.#remember(opened ? { camera: opened } : {});
    return result;
  }

  async setSpeaker(element: Player, id?: string): Promise<SourceResult> {
    const result = await playOn(element, id ?? this.#choice.speaker ?? "");
    if (id !== undefined) {
      if (result.ok) this.#remember({ speaker: id });
    } else if (!result.ok && result.error.kind === "not-found") return playOn(element, "");
    return result;
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
      speakers: ofKind("audiooutput"),
      ...(camera && { camera }),
      ...(microphone && { microphone }),
      ...(this.#choice.speaker && { speaker: this.#choice.speaker }),
    };
  }

  subscribe(listener: (event: CameraEvent) => void): () => void {
    return this.#events.subscribe(listener);
  }

  release(released: readonly Kind[]): void {
    this.#released = kinds.filter((kind) => [...this.#released, ...released].includes(kind));
    this.#missing = this.#unreleased(this.#missing);
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
    if (this.#isDisposed) return failed("closed");
    const off = [...this.#released, ...this.#missing];
    const wanted = this.#wanted.filter((kind) => restored.includes(kind) && off.includes(kind));
    this.#released = this.#released.filter((kind) => !restored.includes(kind));
    return wanted.length === 0 ? undefined : this.#replaceMissing(wanted);
  }

  #unreleased(some: readonly Kind[]): Kind[] {
    return some.filter((kind) => !this.#released.includes(kind));
  }

  close(): void {
    this.#createRequest(kinds);
    this.#opening = undefined;
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

  #remember(choice: Choice): void {
    // "" is a speaker, the system's choice, and no other device.
    const given = Object.entries(choice).filter(([name, id]) => id || name === "speaker");
    this.#choice = { ...this.#choice, ...Object.fromEntries(given) };
    writeDeviceChoice(this.#parts.storage, this.#choice);
  }

  #beginOpening(wishes: Wishes, key: string): Opening {
    const before = this.#wanted;
    const wanted = kinds.filter((kind) => wishes[kind]);
    this.#wanted = wanted;
    this.#source?.addEventListener("devicechange", this.#onDeviceChange);
    // Invalidates all earlier requests, also those for video if only audio is requested now.
    this.#createRequest(kinds);
    const asked = this.#unreleased(wanted);
    const request: DeviceRequest = { ...this.#createRequest(asked, wishes), opened: true };
    const devices: Promise<CameraResult> =
      asked.length > 0
        ? this.#openDevices(request)
        : Promise.resolve({ ok: true, stream: this.#parts.stream([]) });
    const result = devices.then((opened) => {
      if (this.#opening !== opening) return opened;
      this.#opening = undefined;
      // What was open remains.
      if (!opened.ok && this.#stream) this.#wanted = before;
      return opened;
    });
    const opening: Opening = { request, before, key, callers: 0, result };
    return (this.#opening = opening);
  }

  /** Nobody waits for the devices any more. */
  #cancel(opening: Opening): void {
    if (this.#opening !== opening) return;
    this.#opening = undefined;
    if (!this.#stream) return this.close();
    this.#createRequest(kinds);
    this.#wanted = opening.before;
  }

  /** Creates a request, which invalidates earlier ones for the same kinds. */
  #createRequest(requested: readonly Kind[], wishes?: Wishes): DeviceRequest {
    const numbers = new Map(requested.map((kind) => [kind, ++this.#requests[kind]]));
    const isValid = (kind: Kind) => numbers.get(kind) === this.#requests[kind];
    return { kinds: requested, isValid, ...(wishes && { wishes }) };
  }

  /**
   * Opens the first of these devices that is there.
   *
   * @param isOneAtATime - the devices in use are closed first; otherwise only if the browser asks for that.
   */
  async #switch(
    request: DeviceRequest,
    targets: readonly Target[],
    isOneAtATime = false,
  ): Promise<CameraResult> {
    let result = failed("superseded");
    let hasStopped = false;
    const stop = () => {
      hasStopped = true;
      const valid = request.kinds.filter(request.isValid);
      for (const track of this.#stream?.getTracks() ?? [])
        if (includesKind(valid, track.kind)) track.stop();
    };
    if (isOneAtATime) stop();
    for (const target of targets) {
      result = await this.#openDevices(request, target);
      if (!result.ok && result.error.kind === "in-use" && this.#stream && !hasStopped) {
        stop();
        result = await this.#openDevices(request, target);
      }
      if (result.ok || result.error.kind !== "overconstrained") break;
    }
    const lost = request.kinds.filter(request.isValid);
    if (!result.ok && hasStopped && lost.length > 0) await this.#replaceMissing(lost);
    return result;
  }

  /** Opens the kinds of a request that are still valid, and keeps the open devices of the other kinds. */
  async #openDevices(request: DeviceRequest, target?: Target): Promise<CameraResult> {
    const result = await this.#requestMedia(request, target);
    const valid = request.kinds.filter(request.isValid);
    if (result.ok)
      for (const track of result.stream.getTracks())
        if (!includesKind(valid, track.kind)) track.stop();
    if (valid.length === 0) return failed("superseded");
    if (!result.ok) return result;
    if (request.wishes) this.#wishes = request.wishes;
    const old = this.#stream?.getTracks() ?? [];
    const kept = old.filter(
      ({ kind, readyState }) =>
        readyState === "live" && includesKind(this.#wanted, kind) && !includesKind(valid, kind),
    );
    for (const track of old) if (!kept.includes(track)) track.stop();
    const added = result.stream.getTracks().filter(({ kind }) => includesKind(valid, kind));
    for (const track of added) this.#observe(track);
    this.#missing = this.#missing.filter(
      (kind) => this.#wanted.includes(kind) && !valid.includes(kind),
    );
    const stream = this.#parts.stream([...kept, ...added]);
    this.#stream = stream;
    this.#events.emit({ type: "stream", stream, ...(request.opened && { opened: true }) });
    return { ok: true, stream };
  }

  /**
   * Requests the kinds from the browser. Devices that are the `target` are required; remembered ones, which may have been
   * disconnected since, may be replaced by others. (With `ideal` instead of `exact` Chromium may use another device
   * although the remembered one is connected.)
   */
  async #requestMedia(request: DeviceRequest, target?: Target): Promise<CameraResult> {
    const wishes = { ...(request.wishes ?? this.#wishes) };
    const exact = target?.facingMode;
    if (exact) wishes.video = { ...Object(wishes.video), facingMode: { exact } };
    const ask = (asked: readonly Kind[], choice: Choice) =>
      requestMedia(this.#source, asked, choice, wishes);
    const result = await ask(request.kinds, target?.choice ?? this.#choice);
    if (result.ok || target || result.error.kind !== "overconstrained") return result;
    const valid = request.kinds.filter(request.isValid);
    return valid.length === 0 ? failed("superseded") : ask(valid, {});
  }

  #observe(track: MediaStreamTrack): void {
    // `ended` fires only when the device ends the track, and not for `stop()` (Media Capture and Streams, 4.3.1).
    track.addEventListener("ended", () => {
      if (this.#stream?.getTracks().includes(track))
        void this.#replaceMissing([track.kind as Kind]);
    });
  }

  #replaceMissing(lost: readonly Kind[]): Promise<CameraResult> {
    this.#missing = [...new Set([...this.#missing, ...lost])];
    return this.#openMissing();
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

function failed(
  kind: "superseded" | "closed" | "aborted" | "only-one",
  cause?: unknown,
): CameraResult {
  return { ok: false, error: { kind, cause } as CameraError };
}

function includesKind(some: readonly Kind[], kind: string): boolean {
  return some.some((one) => one === kind);
}

function deviceIdOf(tracks: MediaStreamTrack[] | undefined): string | undefined {
  return tracks?.[0]?.getSettings().deviceId;
}
