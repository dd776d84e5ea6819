/** What the page wants of the devices beyond opening them: constraints, an end of the wait, the other camera, a speaker. */
import { describe, expect, test } from "bun:test";
import { machine } from "./fake-devices.ts";
import { settle } from "./virtual-time.ts";

const phone = () => {
  const all = machine(["video:face", "video:back", "audio:mic"]);
  all.all.facing = { face: "user", back: "environment" };
  return all;
};

describe("constraints", () => {
  test("are merged with what is wanted anyway, and hold for the next devices", async () => {
    const { camera, requested } = machine();
    await camera.open({ video: { frameRate: { max: 15 } }, audio: { channelCount: 1 } });
    await camera.choose({ camera: "usb" });
    expect(requested).toEqual([
      {
        video: {
          width: { ideal: 1280 },
          height: { ideal: 720 },
          facingMode: "user",
          frameRate: { max: 15 },
        },
        audio: { echoCancellation: true, noiseSuppression: true, channelCount: 1 },
      },
      {
        video: {
          width: { ideal: 1280 },
          height: { ideal: 720 },
          deviceId: { exact: "usb" },
          frameRate: { max: 15 },
        },
      },
    ]);
  });

  test("that name a device count more than the remembered one, until another is chosen", async () => {
    const { camera, devices } = machine();
    await camera.choose({ camera: "usb" });
    await camera.open({ video: { deviceId: { exact: "front" } } });
    expect(devices(camera.stream)).toEqual(["front", "mic"]);
    await camera.choose({ camera: "usb" });
    expect(devices(camera.stream)).toEqual(["mic", "usb"]);
  });

  test("may leave out the microphone", async () => {
    const { camera, devices } = machine();
    await camera.open({ audio: false });
    expect(devices(camera.stream)).toEqual(["front"]);
  });

  test("that no device meets are named, and what was open stays open and wanted as before", async () => {
    const { camera, devices, events, live, all, open } = machine();
    await camera.open({ video: { frameRate: 15 } });
    const before = camera.stream;
    const result = await camera.open({ video: { width: { min: 8000 } }, audio: false });
    expect(result).toMatchObject({ error: { kind: "overconstrained", constraint: "width" } });
    expect(camera.stream).toBe(before as MediaStream);
    expect(live()).toEqual(["front", "mic"]);
    expect(events).toHaveLength(1);
    // The microphone is still wanted, and the next camera is asked for as the first one was.
    all.plugged = ["video:usb", "audio:usb"];
    for (const track of open) track.unplug();
    await settle();
    expect(devices(camera.stream)).toEqual(["usb", "usb"]);
  });

  test("a kind that is not wanted any more is not opened when its device is back", async () => {
    const { camera, devices, all, open, change } = machine(["video:front", "audio:mic"]);
    await camera.open();
    all.plugged = ["audio:mic"];
    open.find(({ kind }) => kind === "video")?.unplug();
    await settle();
    await camera.open({ video: false });
    all.plugged = ["video:front", "audio:mic"];
    change();
    await settle();
    expect(devices(camera.stream)).toEqual(["mic"]);
  });
});

describe("a signal", () => {
  test("that is aborted before asks for nothing", async () => {
    const { camera, requested } = machine();
    const cause = new Error("not now");
    const result = await camera.open({}, { signal: AbortSignal.abort(cause) });
    expect(result).toEqual({ ok: false, error: { kind: "aborted", cause } });
    expect(requested).toEqual([]);
  });

  test("that is aborted meanwhile answers at once, and devices that open later are off", async () => {
    const { camera, live, events, slow } = machine();
    const allow = slow();
    const giveUp = new AbortController();
    const opening = camera.open({}, { signal: giveUp.signal });
    giveUp.abort("enough");
    expect(await opening).toEqual({ ok: false, error: { kind: "aborted", cause: "enough" } });
    allow();
    await settle();
    expect(live()).toEqual([]);
    expect(events).toEqual([]);
    expect(camera.stream).toBeUndefined();
  });

  test("of one caller takes nothing from another who waits for the same", async () => {
    const { camera, live, slow } = machine();
    const allow = slow();
    const giveUp = new AbortController();
    const [one, other] = [camera.open({}, { signal: giveUp.signal }), camera.open()];
    giveUp.abort();
    allow();
    expect(await one).toMatchObject({ error: { kind: "aborted" } });
    expect(await other).toMatchObject({ ok: true });
    expect(live()).toEqual(["front", "mic"]);
  });

  test("leaves what was open before as it was", async () => {
    const { camera, live, slow, all, open } = machine();
    await camera.open();
    const allow = slow();
    const giveUp = new AbortController();
    const opening = camera.open({ video: false }, { signal: giveUp.signal });
    giveUp.abort();
    await opening;
    allow();
    await settle();
    expect(live()).toEqual(["front", "mic"]);
    all.plugged = ["video:usb", "audio:mic"];
    open.find(({ kind }) => kind === "video")?.unplug();
    await settle();
    expect(live()).toEqual(["mic", "usb"]);
  });
});

describe("a flip", () => {
  test("goes to the next camera, and around, and is remembered", async () => {
    const { camera, devices, visit } = machine(["video:a", "video:b", "video:c", "audio:mic"]);
    await camera.open();
    for (const id of ["b", "c", "a", "b"]) {
      expect(await camera.flip()).toMatchObject({ ok: true });
      expect(devices(camera.stream)).toEqual(["mic", id]);
    }
    const next = visit();
    await next.open();
    expect(devices(next.stream)).toEqual(["b", "mic"]);
  });

  test("goes to the other side of a phone, whose cameras open one at a time", async () => {
    const { camera, devices, live, requested } = phone();
    await camera.open({ video: { facingMode: "user", frameRate: 24 } });
    expect(await camera.flip()).toMatchObject({ ok: true });
    expect(devices(camera.stream)).toEqual(["mic", "back"]);
    expect(requested.at(-1)?.video).toMatchObject({
      facingMode: { exact: "environment" },
      frameRate: 24,
    });
    expect(await camera.flip()).toMatchObject({ ok: true });
    expect(live()).toEqual(["mic", "face"]);
    // One request each: nothing was tried in vain while the other camera was on.
    expect(requested).toHaveLength(3);
  });

  test("of a phone with cameras on one side only goes to the next one", async () => {
    const { camera, devices, all } = phone();
    all.facing = { face: "user", back: "user" };
    await camera.open();
    expect(await camera.flip()).toMatchObject({ ok: true });
    expect(devices(camera.stream)).toEqual(["mic", "back"]);
  });

  test("of the only camera is named, and leaves it on", async () => {
    for (const facing of [{}, { face: "user" }]) {
      const { camera, devices, all, events } = machine(["video:face", "audio:mic"]);
      all.facing = facing;
      await camera.open();
      expect(await camera.flip()).toMatchObject({ ok: false, error: { kind: "only-one" } });
      expect(devices(camera.stream)).toEqual(["face", "mic"]);
      expect(events).toHaveLength(1);
    }
  });

  test("that fails leaves or opens the first one again", async () => {
    for (const { all, errors } of [
      { all: machine(), errors: ["NotReadableError", "NotReadableError"] },
      { all: machine(), errors: ["NotAllowedError"] },
      { all: phone(), errors: ["NotReadableError"] },
      { all: phone(), errors: ["NotAllowedError"] },
    ]) {
      await all.camera.open();
      const before = [...all.live()];
      all.errors.push(...errors);
      const result = await all.camera.flip();
      expect(result).toMatchObject({ ok: false, error: { cause: { name: errors[0] } } });
      expect(all.camera.stream?.getTracks().every(({ readyState }) => readyState === "live")).toBe(
        true,
      );
      expect(all.live().sort()).toEqual(before.sort());
      expect(all.events.every(({ type }) => type === "stream")).toBe(true);
    }
  });

  test("of a camera that is closed meanwhile, or not open, opens nothing", async () => {
    const { camera, live, slow, requested } = machine();
    expect(await camera.flip()).toBeUndefined();
    await camera.open();
    const early = camera.flip();
    camera.close();
    expect(await early).toMatchObject({ error: { kind: "superseded" } });
    expect(requested).toHaveLength(1);
    await camera.open();
    const allow = slow();
    const flipping = camera.flip();
    await settle();
    camera.close();
    allow();
    expect(await flipping).toMatchObject({ error: { kind: "superseded" } });
    expect(live()).toEqual([]);
  });
});

describe("a speaker", () => {
  function player(...known: string[]) {
    const heard: string[] = [];
    const setSinkId = async (id: string) => {
      if (id !== "" && !known.includes(id)) throw new DOMException("gone", "NotFoundError");
      heard.push(id);
    };
    return { heard, setSinkId };
  }

  test("is listed, used and remembered like the devices", async () => {
    const { camera, visit } = machine(["sound:headphones", "audio:mic"]);
    const element = player("headphones");
    expect(await camera.setSpeaker(element)).toEqual({ ok: true });
    expect(await camera.setSpeaker(element, "headphones")).toEqual({ ok: true });
    expect(await visit().setSpeaker(element)).toEqual({ ok: true });
    expect(element.heard).toEqual(["", "headphones", "headphones"]);
    expect(await visit().devices()).toMatchObject({
      speakers: [{ id: "headphones", label: "the headphones" }],
      speaker: "headphones",
    });
    await camera.setSpeaker(element, "");
    await camera.setSpeaker(element);
    expect(element.heard.slice(3)).toEqual(["", ""]);
  });

  test("that is gone is named if it was asked for, and stood in for if it was remembered", async () => {
    const { camera } = machine();
    await camera.setSpeaker(player("headphones"), "headphones");
    const other = player();
    expect(await camera.setSpeaker(other, "headphones")).toMatchObject({
      error: { kind: "not-found", cause: { name: "NotFoundError" } },
    });
    expect(await camera.setSpeaker(other)).toEqual({ ok: true });
    expect(other.heard).toEqual([""]);
  });

  test("can't be chosen in a browser that has no choice", async () => {
    const { camera } = machine();
    expect(await camera.setSpeaker({}, "headphones")).toEqual({
      ok: false,
      error: { kind: "unsupported", cause: undefined },
    });
  });
});
