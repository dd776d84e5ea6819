/** The page's processor of the camera's picture: what is shown and sent of it, and that nothing else ever is. */
import type { Processor } from "../../../src/client/types.ts";
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createProcessedCamera } from "../../../src/client/processed-camera.ts";
import type { CameraEvent } from "../../../src/client/camera.ts";
import { FakeTrack, machine, streamOf } from "./fake-devices.ts";
import { pass, settle } from "./virtual-time.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const asTrack = (track: FakeTrack) => track as unknown as MediaStreamTrack;

/** A camera with a processor to come, and all that the page saw of it. */
function stage(plugged?: string[]) {
  const devices = machine(plugged);
  const camera = createProcessedCamera(devices.camera, (tracks) =>
    streamOf(tracks as unknown as FakeTrack[]),
  );
  const events: CameraEvent[] = [];
  camera.subscribe((event) => events.push(event));
  const made: FakeTrack[] = [];
  const blur: Processor = (track) => {
    const blurred = new FakeTrack("video", `blurred ${track.getSettings().deviceId}`);
    made.push(blurred);
    return asTrack(blurred);
  };
  const seen = () => devices.devices(camera.stream);
  const live = () =>
    made.filter(({ readyState }) => readyState === "live").map(({ deviceId }) => deviceId);
  return { ...devices, camera, events, made, blur, seen, live, open: devices.open };
}

describe("a processor", () => {
  test("none is: the stream is the camera's own", async () => {
    const { camera, seen, events } = stage();
    const result = await camera.open();
    expect(result).toEqual({ ok: true, stream: camera.stream as MediaStream });
    expect(seen()).toEqual(["front", "mic"]);
    expect(events).toEqual([{ type: "stream", stream: camera.stream, opened: true }]);
    camera.close();
    expect(camera.stream).toBeUndefined();
  });

  test("has been through with the picture before it is in the stream, also when the camera changes", async () => {
    const { camera, seen, live, blur, events } = stage();
    await camera.process(blur);
    const opened = await camera.open();
    expect(opened).toEqual({ ok: true, stream: camera.stream as MediaStream });
    expect(seen()).toEqual(["mic", "blurred front"]);
    expect(await camera.flip()).toMatchObject({ ok: true });
    expect(seen()).toEqual(["mic", "blurred usb"]);
    expect(live()).toEqual(["blurred usb"]);
    await camera.choose({ camera: "front" });
    expect(seen()).toEqual(["mic", "blurred front"]);
    const shown = events.flatMap((event) =>
      event.type === "stream" ? (event.stream?.getVideoTracks() ?? []) : [],
    );
    expect(shown.every((track) => String(track.getSettings().deviceId).startsWith("blurred"))).toBe(
      true,
    );
    camera.close();
    expect(live()).toEqual([]);
    expect(camera.stream).toBeUndefined();
  });

  test("set while the raw picture is shown takes it away at once; without it the raw one is back", async () => {
    const { camera, seen, live, blur } = stage();
    await camera.open();
    const processing = camera.process(blur);
    expect(seen()).toEqual(["mic"]);
    expect(await processing).toEqual({ ok: true });
    expect(seen()).toEqual(["mic", "blurred front"]);
    expect(await camera.process(undefined)).toEqual({ ok: true });
    expect(seen()).toEqual(["front", "mic"]);
    expect(live()).toEqual([]);
  });

  test("that is replaced is shown until the next one is ready", async () => {
    const { camera, seen, blur } = stage();
    await camera.process(blur);
    await camera.open();
    const { promise, resolve } = Promise.withResolvers<MediaStreamTrack>();
    const processing = camera.process(() => promise);
    await settle();
    expect(seen()).toEqual(["mic", "blurred front"]);
    const other = new FakeTrack("video", "other");
    resolve(asTrack(other));
    await processing;
    expect(seen()).toEqual(["mic", "other"]);
  });

  const failing: [string, Processor][] = [
    [
      "throws",
      () => {
        throw new Error("no GPU");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no model"))],
    ["returns nothing", () => undefined as never],
    ["returns a stream", () => streamOf([new FakeTrack("video", "in a stream")]) as never],
    ["returns sound", () => asTrack(new FakeTrack("audio", "sound"))],
    [
      "returns a track that has ended",
      () => {
        const track = new FakeTrack("video", "dead");
        track.stop();
        return asTrack(track);
      },
    ],
    ["never returns", () => new Promise(() => {})],
  ];
  test.each(failing)("that %s shows no picture, and is named", async (_, processor) => {
    const { camera, seen, events, blur } = stage();
    await camera.process(blur);
    await camera.open();
    const processing = camera.process(processor);
    await pass(15_000);
    const result = await processing;
    expect(result).toMatchObject({ ok: false, error: { kind: "processor" } });
    expect(!result.ok && result.error.cause).toBeInstanceOf(Error);
    expect(seen()).toEqual(["mic"]);
    expect(events.at(-1)).toMatchObject({ type: "processor-failed", error: { kind: "processor" } });
    // The camera can still be opened, which says the same, and the raw picture be asked for.
    const opening = camera.open();
    await pass(15_000);
    expect(await opening).toMatchObject({ ok: false, error: { kind: "processor" } });
    expect(seen()).toEqual(["mic"]);
    await camera.process(undefined);
    expect(seen()).toEqual(["front", "mic"]);
  });

  test("that answers after it was given up has its track stopped", async () => {
    const { camera, seen } = stage();
    const { promise, resolve } = Promise.withResolvers<MediaStreamTrack>();
    await camera.open();
    const processing = camera.process(() => promise);
    await pass(15_000);
    expect(await processing).toMatchObject({ error: { kind: "processor" } });
    const late = new FakeTrack("video", "late");
    resolve(asTrack(late));
    await settle();
    expect(late.readyState).toBe("ended");
    expect(seen()).toEqual(["mic"]);
  });

  test("that answers for a camera that was switched or closed meanwhile has its track stopped", async () => {
    const { camera, seen, blur } = stage();
    const { promise, resolve } = Promise.withResolvers<MediaStreamTrack>();
    let first = true;
    await camera.process((track) => {
      if (!first) return blur(track);
      first = false;
      return promise;
    });
    const opening = camera.open();
    await settle();
    await camera.flip();
    expect(await opening).toMatchObject({ error: { kind: "superseded" } });
    const late = new FakeTrack("video", "late");
    resolve(asTrack(late));
    await settle();
    expect(late.readyState).toBe("ended");
    expect(seen()).toEqual(["mic", "blurred usb"]);
  });

  test("that is replaced or taken away while the camera opens leaves the camera open, and `open` says so", async () => {
    const { camera, seen, blur } = stage();
    const hang = () => new Promise<MediaStreamTrack>(() => {});
    await camera.process(hang);
    const opening = camera.open();
    await settle();
    await camera.process(blur);
    expect(await opening).toEqual({ ok: true, stream: camera.stream as MediaStream });
    expect(seen()).toEqual(["mic", "blurred front"]);
    camera.close();
    await camera.process(hang);
    const again = camera.open();
    await settle();
    await camera.process(undefined);
    expect(await again).toEqual({ ok: true, stream: camera.stream as MediaStream });
    expect(seen()).toEqual(["front", "mic"]);
  });

  test("is not waited for once the opening is aborted, and the camera is closed if it was", async () => {
    const { camera, open } = stage();
    await camera.process(() => new Promise(() => {}));
    const [first, second] = [new AbortController(), new AbortController()];
    const openings = [first, second].map(({ signal }) => camera.open({}, { signal }));
    await settle();
    expect(open.map(({ readyState }) => readyState)).toEqual(["live", "live"]);
    first.abort("changed my mind");
    expect(await openings[0]).toMatchObject({
      ok: false,
      error: { kind: "aborted", cause: "changed my mind" },
    });
    // Somebody still waits for it.
    expect(open.map(({ readyState }) => readyState)).toEqual(["live", "live"]);
    second.abort();
    expect(await openings[1]).toMatchObject({ error: { kind: "aborted" } });
    expect(open.map(({ readyState }) => readyState)).toEqual(["ended", "ended"]);
    expect(camera.stream).toBeUndefined();
  });

  test("keeps no listener on the signal of an opening once that has a result", async () => {
    const { camera } = stage();
    await camera.process((track) => track);
    const { signal } = new AbortController();
    const listeners = new Set<unknown>();
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...all: Parameters<typeof addEventListener>) => {
      listeners.add(all[1]);
      addEventListener.apply(signal, all);
    };
    signal.removeEventListener = (...all: Parameters<typeof removeEventListener>) => {
      listeners.delete(all[1]);
      removeEventListener.apply(signal, all);
    };
    for (let openings = 0; openings < 3; openings += 1) {
      expect(await camera.open({}, { signal })).toMatchObject({ ok: true });
      await settle();
      expect(listeners.size).toBe(0);
    }
  });

  test("of a camera that was open leaves it open when the next opening is aborted", async () => {
    const { camera, open } = stage();
    await camera.open();
    void camera.process(() => new Promise(() => {}));
    const aborting = new AbortController();
    const opening = camera.open({}, { signal: aborting.signal });
    await settle();
    aborting.abort();
    expect(await opening).toMatchObject({ error: { kind: "aborted" } });
    expect(open.filter(({ readyState }) => readyState === "live")).toHaveLength(2);
  });

  test("whose track ends by itself shows no picture, and is named", async () => {
    const { camera, seen, made, blur, events } = stage();
    await camera.process(blur);
    await camera.open();
    made[0]?.unplug();
    expect(seen()).toEqual(["mic"]);
    expect(events.at(-1)).toMatchObject({ type: "processor-failed" });
  });

  test("of a camera that is pulled out shows no last picture, and the next one's when there is one", async () => {
    const { camera, seen, all, open, change, live, blur, events } = stage([
      "video:front",
      "audio:mic",
    ]);
    await camera.process(blur);
    await camera.open();
    all.plugged = ["audio:mic"];
    open.find(({ kind }) => kind === "video")?.unplug();
    await settle();
    expect(seen()).toEqual(["mic"]);
    expect(live()).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: "lost" });
    all.plugged = ["video:usb", "audio:mic"];
    change();
    await settle();
    expect(seen()).toEqual(["mic", "blurred usb"]);
  });

  test("may return the camera's own track, which is not stopped when the processor goes", async () => {
    const { camera, seen } = stage();
    await camera.open();
    await camera.process((track) => track);
    expect(seen()).toEqual(["mic", "front"]);
    await camera.process(undefined);
    expect(camera.stream?.getTracks().map(({ readyState }) => readyState)).toEqual([
      "live",
      "live",
    ]);
  });

  test("of a camera that is opened for sound alone is not asked", async () => {
    const { camera, seen, made, blur } = stage();
    await camera.process(blur);
    expect(await camera.open({ video: false })).toMatchObject({ ok: true });
    expect(seen()).toEqual(["mic"]);
    expect(made).toEqual([]);
  });
});
