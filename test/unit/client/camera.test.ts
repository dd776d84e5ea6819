/** The person's devices, as browsers give and take them. */
import { createCamera } from "../../../src/client/create-camera.ts";
import { describe, expect, test } from "bun:test";
import { machine, streamOf } from "./fake-devices.ts";
import { settle } from "./virtual-time.ts";

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
    expect(await camera.devices()).toEqual({ cameras: [], microphones: [], speakers: [] });
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
      speakers: [],
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
    await settle();
    expect(devices(camera.stream)).toEqual(["mic", "usb"]);
    expect(events.map(({ type }) => type)).toEqual(["stream", "stream"]);
  });

  test("and was the only one is missed by name, and taken again when it is back", async () => {
    const { camera, all, open, events, change, devices } = machine(["video:front", "audio:mic"]);
    await camera.open();
    all.plugged = ["audio:mic"];
    open.find(({ kind }) => kind === "video")?.unplug();
    await settle();
    expect(events.at(-1)).toMatchObject({ type: "lost", error: { kind: "not-found" } });
    all.plugged = ["video:front", "audio:mic"];
    change();
    await settle();
    expect(devices(camera.stream)).toEqual(["mic", "front"]);
    expect(events.map(({ type }) => type)).toEqual(["stream", "lost", "devices", "stream"]);
  });

  test("together with its microphone is reported once", async () => {
    const { camera, all, open, events } = machine(["video:usb", "audio:usb"]);
    await camera.open();
    all.plugged = [];
    for (const track of open) track.unplug();
    await settle();
    expect(events.map(({ type }) => type)).toEqual(["stream", "lost"]);
  });

  test("after close is not reported", async () => {
    const { camera, open, events, requested, change } = machine();
    await camera.open();
    camera.close();
    open[0]?.unplug();
    change();
    await settle();
    expect(requested).toHaveLength(1);
    expect(events.map(({ type }) => type)).toEqual(["stream", "stream"]);
  });
});
