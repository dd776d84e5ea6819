import { createCamera } from "../../../src/client/create-camera.ts";
import { isReactNative } from "./fake-rtc.ts";
import {
  type CameraParts,
  type CameraEvent,
  type MediaSource,
} from "../../../src/client/camera.ts";

const kinds: Record<string, string> = {
  video: "videoinput",
  audio: "audioinput",
  sound: "audiooutput",
};

export class FakeTrack extends EventTarget {
  readyState = "live";
  readonly kind: string;
  readonly deviceId: string;
  readonly #facingMode: string | undefined;
  constructor(kind: string, deviceId: string, facingMode?: string) {
    super();
    this.kind = kind;
    this.deviceId = deviceId;
    this.#facingMode = facingMode;
  }
  getSettings = () => ({
    deviceId: this.deviceId,
    ...(this.#facingMode && { facingMode: this.#facingMode }),
  });
  stop = () => void (this.readyState = "ended");
  /** As when it is pulled out. */
  unplug() {
    this.stop();
    this.dispatchEvent(new Event("ended"));
  }
}

export const streamOf = (tracks: FakeTrack[]) =>
  ({
    getTracks: () => [...tracks],
    getVideoTracks: () => tracks.filter(({ kind }) => kind === "video"),
    getAudioTracks: () => tracks.filter(({ kind }) => kind === "audio"),
  }) as unknown as MediaStream;

/** What `getUserMedia` rejects with; in react-native-webrtc it is no Error. */
const failure = (name: string) =>
  isReactNative ? { name, message: "no" } : new DOMException("no", name);

/** A machine with these devices, of which the first is the default, and the constraints that were requested. */
export function machine(plugged = ["video:front", "video:usb", "audio:mic"]) {
  const target = new EventTarget();
  const requested: MediaStreamConstraints[] = [];
  const errors: string[] = [];
  const open: FakeTrack[] = [];
  let gate: Promise<void> | undefined;
  /** Requests wait from now on, until the returned function is called. */
  const slow = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    return resolve;
  };
  /** `facing`: of a phone's cameras, which are opened one at a time. */
  const all = { plugged, facing: {} as Record<string, string> };
  const give = (kind: "video" | "audio", wish: boolean | MediaTrackConstraints) => {
    const ids = all.plugged.filter((id) => id.startsWith(kind)).map((id) => id.slice(6));
    const { deviceId, facingMode, width } = typeof wish === "object" ? wish : {};
    const unmet = (constraint: string) =>
      Object.assign(failure("OverconstrainedError"), { constraint });
    if (typeof width === "object" && (width.min ?? 0) > 4000) throw unmet("width");
    const named = (deviceId ?? {}) as { exact?: string };
    if (named.exact !== undefined && !ids.includes(named.exact)) throw unmet("deviceId");
    const { exact } = (facingMode ?? {}) as { exact?: string };
    const fitting = ids.filter((id) => exact === undefined || all.facing[id] === exact);
    if (ids.length > 0 && fitting.length === 0) throw unmet("facingMode");
    const id = named.exact ?? fitting[0];
    if (id === undefined) throw failure("NotFoundError");
    const isOn = (other: FakeTrack) => other.kind === "video" && other.readyState === "live";
    if (kind === "video" && all.facing[id] !== undefined && open.some(isOn))
      throw failure("NotReadableError");
    const track = new FakeTrack(kind, id, all.facing[id]);
    open.push(track);
    return track;
  };
  const source = Object.assign(target, {
    async getUserMedia(constraints: MediaStreamConstraints) {
      requested.push(constraints);
      await gate;
      const error = errors.shift();
      if (error) throw failure(error);
      const { video, audio } = constraints;
      return streamOf([
        ...(video ? [give("video", video)] : []),
        ...(audio ? [give("audio", audio)] : []),
      ]);
    },
    enumerateDevices: async () =>
      all.plugged.map((id) => ({
        kind: kinds[id.slice(0, 5)],
        deviceId: id.slice(6),
        label: `the ${id.slice(6)}`,
      })),
  }) as unknown as MediaSource;
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
  const events: CameraEvent[] = [];
  const parts: CameraParts = {
    source,
    storage,
    stream: (tracks) => streamOf(tracks as unknown as FakeTrack[]),
  };
  const visit = () => {
    const camera = createCamera(parts);
    camera.subscribe((event) => events.push(event));
    return camera;
  };
  const devices = (stream: MediaStream | undefined) =>
    (stream?.getTracks() ?? []).map((track) => track.getSettings().deviceId);
  const live = () =>
    open.filter(({ readyState }) => readyState === "live").map(({ deviceId }) => deviceId);
  const change = () => void target.dispatchEvent(new Event("devicechange"));
  return {
    all,
    parts,
    requested,
    camera: visit(),
    change,
    devices,
    errors,
    events,
    live,
    open,
    slow,
    visit,
  };
}
