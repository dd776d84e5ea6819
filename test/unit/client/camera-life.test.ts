/** Requests for devices that are answered late: after another request, or after the camera was closed. */
import { createCamera } from "../../../src/client/create-camera.ts";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type CameraEvent, type MediaSource } from "../../../src/client/camera.ts";

class FakeTrack extends EventTarget {
  readyState = "live";
  readonly kind: string;
  constructor(kind: string) {
    super();
    this.kind = kind;
  }
  getSettings = () => ({});
  stop = () => void (this.readyState = "ended");
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

/** Devices whose requests the test answers. */
function slowMachine() {
  const made: FakeTrack[] = [];
  const requests: { allow(): void; refuse(error: string): void }[] = [];
  const target = new EventTarget();
  let listeners = 0;
  const source = Object.assign(target, {
    addEventListener(...args: Parameters<EventTarget["addEventListener"]>) {
      listeners += 1;
      EventTarget.prototype.addEventListener.apply(target, args);
    },
    getUserMedia({ video, audio }: MediaStreamConstraints) {
      const { promise, resolve, reject } = Promise.withResolvers<MediaStream>();
      requests.push({
        allow() {
          const kinds = [...(video ? ["video"] : []), ...(audio ? ["audio"] : [])];
          const tracks = kinds.map((kind) => new FakeTrack(kind));
          made.push(...tracks);
          resolve(streamOf(tracks));
        },
        refuse: (error) => reject(new DOMException("no", error)),
      });
      return promise;
    },
    enumerateDevices: async () => [],
  }) as unknown as MediaSource;
  const camera = createCamera({
    source,
    storage: undefined,
    stream: (tracks) => streamOf(tracks as unknown as FakeTrack[]),
  });
  const events: CameraEvent[] = [];
  camera.subscribe((event) => events.push(event));
  return {
    camera,
    events,
    made,
    requests,
    live: () => made.filter(({ readyState }) => readyState === "live"),
    listened: () => listeners,
    devicesChange: () => target.dispatchEvent(new Event("devicechange")),
    /** Allows all requests, until there are none. */
    async answerAll() {
      for (let round = 0; round < 20; round += 1) {
        for (const request of requests.splice(0)) request.allow();
        await Bun.sleep(0);
      }
    },
  };
}

const superseded = { ok: false, error: { kind: "superseded" } };

describe("B10 a camera", () => {
  test("B10 closed while another device is opened for the one in use is not turned on again", async () => {
    const { camera, requests, live, answerAll, events } = slowMachine();
    const opening = camera.open();
    requests.shift()?.allow();
    await opening;
    const choosing = camera.choose({ camera: "usb" });
    requests.shift()?.refuse("NotReadableError");
    // The second request, which follows the release of the first device.
    while (requests.length === 0) await Promise.resolve();
    camera.close();
    events.length = 0;
    requests.shift()?.refuse("NotReadableError");
    expect(await choosing).toMatchObject(superseded);
    await answerAll();
    expect(live()).toEqual([]);
    expect(events).toEqual([]);
  });

  test.each(["close", "dispose"] as const)(
    "B10 that opens after %s is off at once, with the result `superseded`",
    async (way) => {
      const { camera, requests, live, events } = slowMachine();
      const opening = camera.open();
      camera[way]();
      requests.shift()?.allow();
      expect(await opening).toMatchObject(superseded);
      expect(live()).toEqual([]);
      expect(camera.stream).toBeUndefined();
      expect(events).toEqual([]);
    },
  );

  test("B10 closed while a remembered device turns out to be disconnected requests no other", async () => {
    const { camera, requests } = slowMachine();
    await camera.choose({ camera: "usb" });
    const opening = camera.open();
    camera.close();
    requests.shift()?.refuse("OverconstrainedError");
    expect(await opening).toMatchObject(superseded);
    expect(requests).toEqual([]);
  });

  test("B10 opened twice asks once, and both callers get the same", async () => {
    const { camera, requests, live } = slowMachine();
    const [first, second] = [camera.open(), camera.open()];
    expect(requests).toHaveLength(1);
    requests.shift()?.allow();
    expect(await second).toEqual({ ok: true, stream: camera.stream as MediaStream });
    expect(await first).toBe(await second);
    expect(live()).toHaveLength(2);
  });

  test("B10 opened again after it was closed, or once it was refused, asks again", async () => {
    const { camera, requests, live } = slowMachine();
    const first = camera.open();
    camera.close();
    const second = camera.open();
    expect(requests).toHaveLength(2);
    for (const request of requests.splice(0)) request.allow();
    expect(await first).toMatchObject(superseded);
    expect(await second).toMatchObject({ ok: true });
    expect(live()).toHaveLength(2);
    camera.close();
    const refused = camera.open();
    requests.shift()?.refuse("NotAllowedError");
    expect(await refused).toMatchObject({ ok: false, error: { kind: "denied" } });
    void camera.open();
    expect(requests).toHaveLength(1);
  });

  test("B10 of which only the sound is wanted after all gives no picture", async () => {
    const { camera, requests, live } = slowMachine();
    const [both, sound] = [camera.open(), camera.open({ video: false })];
    for (const request of requests.splice(0).reverse()) request.allow();
    expect(await both).toMatchObject(superseded);
    expect(await sound).toMatchObject({ ok: true });
    expect(live().map(({ kind }) => kind)).toEqual(["audio"]);
  });

  test("B10 that loses its microphone while another picture is chosen gets both", async () => {
    const { camera, requests, live, made, answerAll } = slowMachine();
    const opening = camera.open();
    requests.shift()?.allow();
    await opening;
    const choosing = camera.choose({ camera: "usb" });
    made.find(({ kind }) => kind === "audio")?.unplug();
    await answerAll();
    expect(await choosing).toMatchObject({ ok: true });
    expect(
      camera.stream
        ?.getTracks()
        .map(({ kind }) => kind)
        .sort(),
    ).toEqual(["audio", "video"]);
    expect(live()).toHaveLength(2);
  });

  test("B10 that was disposed of opens nothing, chooses nothing and listens to nothing", async () => {
    const { camera, requests, listened, devicesChange, answerAll, live } = slowMachine();
    camera.dispose();
    const closed = { ok: false, error: { kind: "closed" } };
    expect(await camera.open()).toMatchObject(closed);
    expect(await camera.choose({ camera: "usb" })).toMatchObject(closed);
    devicesChange();
    expect(requests).toEqual([]);
    expect(listened()).toBe(0);
    await answerAll();
    expect(live()).toEqual([]);
  });

  test("B10 is off after close for any sequence of requests and answers, and a successful result is live", async () => {
    const step = fc.constantFrom(
      "open",
      "voice",
      "choose camera",
      "choose both",
      "close",
      "allow",
      "allow",
      "in use",
      "gone",
      "denied",
      "unplug",
      "plug",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.boolean(), async (steps, forGood) => {
        const machine = slowMachine();
        const { camera, requests, made } = machine;
        const wrong: string[] = [];
        const check = (answer: Promise<Awaited<ReturnType<typeof camera.open>> | undefined>) =>
          void answer.then((result) => {
            if (!result?.ok) return;
            for (const track of result.stream.getTracks())
              if (track.readyState !== "live" && camera.stream === result.stream)
                wrong.push(`ok with a dead ${track.kind}`);
          });
        for (const name of steps) {
          if (name === "open") check(camera.open());
          if (name === "voice") check(camera.open({ video: false }));
          if (name === "choose camera") check(camera.choose({ camera: "usb" }));
          if (name === "choose both") check(camera.choose({ camera: "usb", microphone: "usb" }));
          if (name === "close") camera.close();
          if (name === "allow") requests.shift()?.allow();
          if (name === "in use") requests.shift()?.refuse("NotReadableError");
          if (name === "gone") requests.shift()?.refuse("OverconstrainedError");
          if (name === "denied") requests.shift()?.refuse("NotAllowedError");
          if (name === "unplug") made.findLast(({ readyState }) => readyState === "live")?.unplug();
          if (name === "plug") machine.devicesChange();
          for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
          // Every live track is one that the page can see and stop.
          const open = camera.stream?.getTracks() ?? [];
          for (const track of machine.live())
            if (!open.includes(track as unknown as MediaStreamTrack))
              wrong.push(`after ${name} a ${track.kind} is on that is not in the stream`);
        }
        if (forGood) camera.dispose();
        else camera.close();
        const before = requests.length;
        await machine.answerAll();
        expect(machine.live()).toEqual([]);
        expect(camera.stream).toBeUndefined();
        expect(wrong).toEqual([]);
        // Earlier requests may be answered; there are no further ones.
        expect(requests.length).toBeLessThanOrEqual(before);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a device that is released", () => {
  const kindsOf = (stream: MediaStream | undefined) =>
    stream?.getTracks().map(({ kind }) => kind) ?? [];

  async function opened() {
    const machine = slowMachine();
    const opening = machine.camera.open();
    machine.requests.shift()?.allow();
    await opening;
    machine.events.length = 0;
    return machine;
  }

  test("is off, and the other one goes on; it is on again when it is restored", async () => {
    const { camera, requests, live, events } = await opened();
    const [microphone] = camera.stream?.getAudioTracks() ?? [];
    camera.release(["video"]);
    expect(live().map(({ kind }) => kind)).toEqual(["audio"]);
    expect(camera.stream?.getTracks()).toEqual(microphone ? [microphone] : []);
    expect(events).toEqual([{ type: "stream", stream: camera.stream }]);
    camera.release(["video"]);
    expect(events).toHaveLength(1);
    const restoring = camera.restore(["video"]);
    requests.shift()?.allow();
    expect(await restoring).toEqual({ ok: true, stream: camera.stream as MediaStream });
    expect(kindsOf(camera.stream)).toEqual(["audio", "video"]);
    expect(camera.stream?.getAudioTracks()).toEqual(microphone ? [microphone] : []);
    expect(events).toHaveLength(2);
    expect(await camera.restore(["video"])).toBeUndefined();
    expect(requests).toEqual([]);
  });

  test("is left closed by open(), by choose() and by a change of devices", async () => {
    const { camera, requests, devicesChange, made } = await opened();
    camera.release(["video"]);
    devicesChange();
    expect(await camera.choose({ camera: "usb" })).toBeUndefined();
    expect(requests).toEqual([]);
    const opening = camera.open();
    requests.shift()?.allow();
    expect(kindsOf((await opening).ok ? camera.stream : undefined)).toEqual(["audio"]);
    camera.release(["audio"]);
    expect(camera.stream).toBeUndefined();
    const result = await camera.open();
    expect(result.ok && kindsOf(result.stream)).toEqual([]);
    expect(made.filter(({ kind }) => kind === "video")).toHaveLength(1);
    expect(requests).toEqual([]);
    camera.close();
    expect(await camera.restore(["audio", "video"])).toBeUndefined();
    const again = camera.open();
    requests.shift()?.allow();
    await again;
    expect(kindsOf(camera.stream)).toEqual(["video", "audio"]);
  });

  test("that does not open again is reported with the reason, and opens with the next attempt or device", async () => {
    const { camera, requests, events, devicesChange } = await opened();
    camera.release(["video"]);
    events.length = 0;
    const restoring = camera.restore(["video"]);
    requests.shift()?.refuse("NotReadableError");
    const error = { kind: "in-use", cause: expect.anything() };
    expect(await restoring).toEqual({ ok: false, error } as never);
    expect(events).toEqual([{ type: "lost", error }] as never);
    const again = camera.restore(["video"]);
    requests.shift()?.refuse("NotFoundError");
    expect(await again).toMatchObject({ error: { kind: "not-found" } });
    devicesChange();
    requests.shift()?.allow();
    await Bun.sleep(0);
    expect(kindsOf(camera.stream)).toEqual(["audio", "video"]);
  });

  test("while it is being opened is off as soon as it opens", async () => {
    const { camera, requests, live, events } = slowMachine();
    const opening = camera.open();
    camera.release(["video"]);
    requests.shift()?.allow();
    expect(kindsOf((await opening).ok ? camera.stream : undefined)).toEqual(["audio"]);
    expect(live().map(({ kind }) => kind)).toEqual(["audio"]);
    const restoring = camera.restore(["video"]);
    camera.release(["video"]);
    requests.shift()?.allow();
    expect(await restoring).toMatchObject(superseded);
    expect(live().map(({ kind }) => kind)).toEqual(["audio"]);
    expect(events.filter(({ type }) => type === "lost")).toEqual([]);
  });

  test("of a camera that was disposed of is not restored", async () => {
    const { camera, requests } = await opened();
    camera.release(["video"]);
    camera.dispose();
    expect(await camera.restore(["video"])).toMatchObject({ error: { kind: "closed" } });
    expect(requests).toEqual([]);
  });
});
