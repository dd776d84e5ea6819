/** The person's devices, as browsers give and take them. */
import { describe, expect, test } from "bun:test";
import { createCamera, type CameraEvent, type MediaSource } from "../../../src/client/camera.ts";
import { isReactNative } from "./fake-rtc.ts";

class FakeTrack extends EventTarget {
  readyState = "live";
  readonly kind: string;
  readonly deviceId: string;
  constructor(kind: string, deviceId: string) {
    super();
    this.kind = kind;
    this.deviceId = deviceId;
  }
  getSettings = () => ({ deviceId: this.deviceId });
  stop = () => void (this.readyState = "ended");
  /** As when it is pulled out. */
  unplug() {
    this.stop();
    this.dispatchEvent(new Event("ended"));
  }
}

const streamOf = (tracks: FakeTrack[]) =>
  ({
    getTracks: () => [...tracks],
    getVideoTracks: () => tracks.filter(({ kind }) => kind === "video"),
    getAudioTracks: () => tracks.filter(({ kind }) => kind === "audio"),
  }) as unknown as MediaStream;

/** What `getUserMedia` rejects with; in react-native-webrtc it is no Error. */
const failure = (name: string) =>
  isReactNative ? { name, message: "no" } : new DOMException("no", name);

/** A machine with these devices, of which the first is the default, and the constraints that were requested. */
function machine(plugged = ["video:front", "video:usb", "audio:mic"]) {
  const target = new EventTarget();
  const requested: MediaStreamConstraints[] = [];
  const errors: string[] = [];
  const open: FakeTrack[] = [];
  const all = { plugged };
  const give = (kind: "video" | "audio", wish: boolean | MediaTrackConstraints) => {
    const ids = all.plugged.filter((id) => id.startsWith(kind)).map((id) => id.slice(6));
    const { deviceId } = typeof wish === "object" ? wish : {};
    const named = (deviceId ?? {}) as { exact?: string; ideal?: string };
    if (named.exact !== undefined && !ids.includes(named.exact))
      throw failure("OverconstrainedError");
    const id = named.exact ?? (ids.includes(named.ideal ?? "") ? named.ideal : ids[0]);
    if (id === undefined) throw failure("NotFoundError");
    const track = new FakeTrack(kind, id);
    open.push(track);
    return track;
  };
  const source = Object.assign(target, {
    async getUserMedia(constraints: MediaStreamConstraints) {
      requested.push(constraints);
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
        kind: id.startsWith("video") ? "videoinput" : "audioinput",
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
  const visit = () => {
    const camera = createCamera({
      source,
      storage,
      stream: (tracks) => streamOf(tracks as unknown as FakeTrack[]),
    });
    camera.subscribe((event) => events.push(event));
    return camera;
  };
  const devices = (stream: MediaStream | undefined) =>
    (stream?.getTracks() ?? []).map((track) => track.getSettings().deviceId);
  const live = () =>
    open.filter(({ readyState }) => readyState === "live").map(({ deviceId }) => deviceId);
  const change = () => void target.dispatchEvent(new Event("devicechange"));
  return { all, requested, camera: visit(), change, devices, errors, events, live, open, visit };
}

const turns = async () => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

describe("a camera that does not open", () => {
  test.each([
    ["NotAllowedError", "denied"],
    ["SecurityError", "denied"],
    ["NotFoundError", "not-found"],
    ["NotReadableError", "in-use"],
    ["AbortError", "in-use"],
    ["OverconstrainedError", "overconstrained"],
    ["TypeError", "unknown"],
  ] as const)("with %s is called %s", async (name, kind) => {
    const { camera, errors } = machine();
    errors.push(name, name);
    const result = await camera.open();
    expect(result).toMatchObject({ ok: false, error: { kind, cause: { name } } });
  });

  test("is hidden from pages that are not secure", async () => {
    const parts = { source: undefined, stream: streamOf as never, storage: undefined };
    const camera = createCamera(parts);
    expect(await camera.open()).toMatchObject({ error: { kind: "insecure-context" } });
    expect(await camera.devices()).toEqual({ cameras: [], microphones: [] });
  });
});

describe("a camera that opens", () => {
  test("is handed over, with what there is to choose from and what is in use", async () => {
    const { camera, devices } = machine();
    const result = await camera.open();
    expect(result.ok && devices(result.stream)).toEqual(["front", "mic"]);
    expect(await camera.devices()).toEqual({
      cameras: [
        { id: "front", label: "the front" },
        { id: "usb", label: "the usb" },
      ],
      microphones: [{ id: "mic", label: "the mic" }],
      camera: "front",
      microphone: "mic",
    });
  });

  test("may be the microphone alone", async () => {
    const { camera, devices, requested } = machine();
    await camera.open({ video: false });
    expect(devices(camera.stream)).toEqual(["mic"]);
    expect(requested[0]?.video).toBeUndefined();
  });

  test("is turned off by close, with an event", async () => {
    const { camera, live, events } = machine();
    await camera.open();
    camera.close();
    expect(live()).toEqual([]);
    expect(events.at(-1)).toEqual({ type: "stream", stream: undefined });
  });

  test("too late, after close, is let go", async () => {
    const { camera, live } = machine();
    const opening = camera.open();
    camera.close();
    await opening;
    expect(live()).toEqual([]);
    expect(camera.stream).toBeUndefined();
  });
});

describe("another camera", () => {
  test("takes the first one's place beside the same microphone, and is remembered", async () => {
    const { camera, devices, live, visit } = machine();
    await camera.open();
    const [, microphone] = camera.stream?.getTracks() ?? [];
    await camera.choose({ camera: "usb" });
    expect(devices(camera.stream)).toEqual(["mic", "usb"]);
    expect(camera.stream?.getAudioTracks()[0]).toBe(microphone as MediaStreamTrack);
    expect(live().sort()).toEqual(["mic", "usb"]);

    const next = visit();
    await next.open();
    expect(devices(next.stream)).toEqual(["usb", "mic"]);
  });

  test("chosen before anything is open counts from then on", async () => {
    const { camera, devices } = machine();
    expect(await camera.choose({ camera: "usb" })).toBeUndefined();
    await camera.open();
    expect(devices(camera.stream)).toEqual(["usb", "mic"]);
  });

  test("that is remembered and not there any more is stood in for", async () => {
    const { camera, devices, all, visit } = machine();
    await camera.choose({ camera: "usb" });
    all.plugged = ["video:front", "audio:mic"];
    const next = visit();
    expect((await next.open()).ok).toBe(true);
    expect(devices(next.stream)).toEqual(["front", "mic"]);
  });

  test("on a machine that opens one at a time gets it once the first is let go", async () => {
    const { camera, devices, errors } = machine();
    await camera.open();
    errors.push("NotReadableError");
    expect((await camera.choose({ camera: "usb" }))?.ok).toBe(true);
    expect(devices(camera.stream)).toEqual(["mic", "usb"]);
  });

  test("that does not open leaves the first one on", async () => {
    const { camera, devices, live } = machine();
    await camera.open();
    expect(await camera.choose({ camera: "gone" })).toMatchObject({
      error: { kind: "overconstrained" },
    });
    expect(devices(camera.stream)).toEqual(["front", "mic"]);
    expect(live()).toEqual(["front", "mic"]);
  });
});

describe("a camera that is pulled out", () => {
  test("is replaced by another one by itself", async () => {
    const { camera, all, open, events, devices } = machine();
    await camera.open();
    all.plugged = ["video:usb", "audio:mic"];
    open.find(({ kind }) => kind === "video")?.unplug();
    await turns();
    expect(devices(camera.stream)).toEqual(["mic", "usb"]);
    expect(events.map(({ type }) => type)).toEqual(["stream", "stream"]);
  });

  test("and was the only one is missed by name, and taken again when it is back", async () => {
    const { camera, all, open, events, change, devices } = machine(["video:front", "audio:mic"]);
    await camera.open();
    all.plugged = ["audio:mic"];
    open.find(({ kind }) => kind === "video")?.unplug();
    await turns();
    expect(events.at(-1)).toMatchObject({ type: "lost", error: { kind: "not-found" } });
    all.plugged = ["video:front", "audio:mic"];
    change();
    await turns();
    expect(devices(camera.stream)).toEqual(["mic", "front"]);
    expect(events.map(({ type }) => type)).toEqual(["stream", "lost", "devices", "stream"]);
  });

  test("together with its microphone is reported once", async () => {
    const { camera, all, open, events } = machine(["video:usb", "audio:usb"]);
    await camera.open();
    all.plugged = [];
    for (const track of open) track.unplug();
    await turns();
    expect(events.map(({ type }) => type)).toEqual(["stream", "lost"]);
  });

  test("after close is not reported", async () => {
    const { camera, open, events, requested, change } = machine();
    await camera.open();
    camera.close();
    open[0]?.unplug();
    change();
    await turns();
    expect(requested).toHaveLength(1);
    expect(events.map(({ type }) => type)).toEqual(["stream", "stream"]);
  });
});
