/** Which tracks are sent: the page's or the camera's. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Outgoing } from "../../../src/client/outgoing.ts";

class Track extends EventTarget {
  readonly name: string;
  readonly kind: string;
  enabled = true;
  readyState = "live";
  constructor(name: string) {
    super();
    this.name = name;
    this.kind = /mic|voice/.test(name) ? "audio" : "video";
  }
  stop = () => void (this.readyState = "ended");
  /** By itself. */
  end() {
    this.stop();
    this.dispatchEvent(new Event("ended"));
  }
}

const track = (name: string) => new Track(name);

function streamOf(...tracks: Track[]): MediaStream {
  const held = [...tracks];
  return {
    getTracks: () => [...held],
    addTrack: (one: Track) => void held.push(one),
  } as unknown as MediaStream;
}

const namesIn = (stream: MediaStream | undefined) =>
  (stream?.getTracks() ?? []).map((one) => (one as unknown as Track).name).sort();

describe("B11 what is sent", () => {
  const [raw, mic, otherMic, blurred] = ["raw", "mic", "other mic", "blurred"].map(track) as [
    Track,
    Track,
    Track,
    Track,
  ];

  test("B11 is the camera's until the page chooses", () => {
    const outgoing = new Outgoing(streamOf, () => {});
    expect(outgoing.stream).toBeUndefined();
    const camera = streamOf(raw, mic);
    outgoing.cameraChanged(camera, true);
    expect(outgoing.stream).toBe(camera);
    outgoing.cameraChanged(undefined, false);
    expect(outgoing.stream).toBeUndefined();
  });

  test.each([
    ["unplugged", undefined],
    ["replaced", otherMic],
  ])("B11 stays the page's picture when the camera's microphone is %s", (_, next) => {
    const outgoing = new Outgoing(streamOf, () => {});
    outgoing.cameraChanged(streamOf(raw, mic), true);
    outgoing.choose(streamOf(blurred, mic));
    expect(namesIn(outgoing.stream)).toEqual(["blurred", "mic"]);
    // The microphone is the camera's own, and follows it.
    outgoing.cameraChanged(streamOf(raw, ...(next ? [next] : [])), false);
    expect(namesIn(outgoing.stream)).toEqual(["blurred", ...(next ? ["other mic"] : [])]);
  });

  test("B11 of the page's own stays when the camera is opened, chosen or closed", () => {
    const outgoing = new Outgoing(streamOf, () => {});
    const page = streamOf(blurred, track("voice"));
    outgoing.choose(page);
    for (const [camera, opened] of [
      [streamOf(raw, mic), true],
      [streamOf(raw, otherMic), false],
      [undefined, false],
    ] as const) {
      outgoing.cameraChanged(camera, opened);
      expect(outgoing.stream).toBe(page);
    }
  });

  test("B11 of a kind that the page left out stays nothing, unless it opens the camera", () => {
    const outgoing = new Outgoing(streamOf, () => {});
    outgoing.cameraChanged(streamOf(raw, mic), true);
    outgoing.choose(streamOf(mic));
    outgoing.cameraChanged(streamOf(track("usb"), mic), false);
    expect(namesIn(outgoing.stream)).toEqual(["mic"]);
    outgoing.choose(undefined);
    outgoing.cameraChanged(streamOf(raw, mic), false);
    expect(outgoing.stream).toBeUndefined();
    outgoing.cameraChanged(streamOf(raw, mic), true);
    expect(namesIn(outgoing.stream)).toEqual(["mic", "raw"]);
  });

  test("B11 is muted, both of the page and of the camera, and nothing else is", () => {
    const outgoing = new Outgoing(streamOf, () => {});
    const tracks = ["raw", "mic", "blurred", "other mic"].map(track) as [
      Track,
      Track,
      Track,
      Track,
    ];
    outgoing.cameraChanged(streamOf(tracks[0], tracks[1]), true);
    outgoing.choose(streamOf(tracks[2], tracks[1]));
    outgoing.mute({ video: true, audio: true });
    outgoing.cameraChanged(streamOf(tracks[0], tracks[3]), false);
    expect(tracks.map(({ enabled }) => enabled)).toEqual([true, false, false, false]);
  });

  test("B11 is never a raw picture once the page has chosen another, for any change of the camera", () => {
    const camera = fc.record({
      tracks: fc.subarray(["raw", "raw usb", "mic", "usb mic"]),
      opened: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(camera), fc.array(camera), fc.boolean(), (before, after, withMic) => {
        const outgoing = new Outgoing(streamOf, () => {});
        const apply = ({ tracks, opened }: { tracks: string[]; opened: boolean }) =>
          outgoing.cameraChanged(streamOf(...tracks.map(track)), opened);
        for (const change of before) apply(change);
        outgoing.choose(streamOf(blurred, ...(withMic ? [track("voice")] : [])));
        for (const change of after) {
          apply(change);
          expect(namesIn(outgoing.stream)).toContain("blurred");
          expect(namesIn(outgoing.stream).join()).not.toContain("raw");
          if (withMic) expect(namesIn(outgoing.stream)).toEqual(["blurred", "voice"]);
        }
      }),
    );
  });
});

describe("a screen", () => {
  /** A camera, a call's worth of what is sent, and what has ended. */
  function stage() {
    const ended: string[] = [];
    const outgoing = new Outgoing(streamOf, (source, kind) => ended.push(`${source} ${kind}`));
    const [raw, mic, screen] = [track("raw"), track("mic"), track("screen")];
    outgoing.cameraChanged(streamOf(raw, mic), true);
    const shown = (...tracks: Track[]) =>
      Promise.resolve({ ok: true as const, stream: streamOf(...tracks) });
    return { outgoing, ended, raw, mic, screen, shown };
  }

  test("takes the picture's place, keeps the microphone, and gives the camera back with what became of it", async () => {
    const { outgoing, mic, screen, shown, ended } = stage();
    expect(await outgoing.share(shown(screen))).toEqual({ ok: true });
    expect(namesIn(outgoing.stream)).toEqual(["mic", "screen"]);
    expect(outgoing.source).toBe("screen");
    outgoing.cameraChanged(streamOf(track("raw usb"), mic), false);
    expect(namesIn(outgoing.stream)).toEqual(["mic", "screen"]);
    outgoing.endSharing();
    expect(namesIn(outgoing.stream)).toEqual(["mic", "raw usb"]);
    expect(outgoing.source).toBeUndefined();
    expect(screen.readyState).toBe("ended");
    expect(ended).toEqual([]);
  });

  test("that ends by itself, by the browser's button, gives back what was sent before and says so", async () => {
    const { outgoing, screen, shown, ended, mic } = stage();
    outgoing.choose(streamOf(track("blurred"), mic));
    await outgoing.share(shown(screen));
    screen.end();
    expect(namesIn(outgoing.stream)).toEqual(["blurred", "mic"]);
    expect(ended).toEqual(["screen video"]);
  });

  test("is sent although the camera is turned off, which it still is afterwards", async () => {
    const { outgoing, raw, mic, screen, shown } = stage();
    outgoing.mute({ video: true, audio: true });
    await outgoing.share(shown(screen));
    expect([screen.enabled, mic.enabled]).toEqual([true, false]);
    outgoing.mute({ video: false });
    outgoing.mute({ video: true });
    expect(screen.enabled).toBe(true);
    outgoing.endSharing();
    expect(raw.enabled).toBe(false);
  });

  test("that comes after another decision is released", async () => {
    for (const decide of ["choose", "endSharing", "share"] as const) {
      const { outgoing, screen, shown, mic } = stage();
      const sharing = outgoing.share(shown(screen));
      if (decide === "choose") outgoing.choose(streamOf(mic));
      if (decide === "endSharing") outgoing.endSharing();
      if (decide === "share") void outgoing.share(shown(track("other screen")));
      expect(await sharing).toMatchObject({ ok: false, error: { kind: "superseded" } });
      expect(screen.readyState).toBe("ended");
      expect(namesIn(outgoing.stream)).not.toContain("screen");
    }
  });

  test("is replaced by another one, and stays if that is refused", async () => {
    const { outgoing, screen, shown } = stage();
    await outgoing.share(shown(screen));
    const error = { kind: "denied", cause: "no" } as const;
    expect(await outgoing.share(Promise.resolve({ ok: false, error }))).toEqual({
      ok: false,
      error,
    });
    expect(namesIn(outgoing.stream)).toEqual(["mic", "screen"]);
    await outgoing.share(shown(track("other screen")));
    expect(namesIn(outgoing.stream)).toEqual(["mic", "other screen"]);
    expect(screen.readyState).toBe("ended");
  });

  test("a chosen track that ends is not sent any more, and not chosen any more", () => {
    const { outgoing, ended } = stage();
    const [blurred, voice] = [track("blurred"), track("voice")];
    const own = streamOf(blurred, voice);
    outgoing.choose(own);
    outgoing.choose(own);
    blurred.end();
    expect(namesIn(outgoing.stream)).toEqual(["voice"]);
    expect(outgoing.source).toBeUndefined();
    voice.end();
    expect(outgoing.stream).toBeUndefined();
    expect(outgoing.source).toBe("none");
    expect(ended).toEqual(["stream video", "stream audio"]);
    // One that has ended before is none.
    outgoing.choose(own);
    expect(outgoing.source).toBe("none");
    outgoing.choose("camera");
    expect(namesIn(outgoing.stream)).toEqual(["mic", "raw"]);
    expect(outgoing.source).toBeUndefined();
    blurred.end();
    expect(ended).toHaveLength(2);
  });
});
