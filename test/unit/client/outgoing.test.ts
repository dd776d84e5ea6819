/** Which tracks are sent: the page's or the camera's. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createOutgoing } from "../../../src/client/outgoing.ts";

interface Track {
  kind: string;
  name: string;
  enabled: boolean;
}

const track = (name: string): Track => ({
  name,
  kind: /mic|voice/.test(name) ? "audio" : "video",
  enabled: true,
});

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
    const outgoing = createOutgoing(streamOf);
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
    const outgoing = createOutgoing(streamOf);
    outgoing.cameraChanged(streamOf(raw, mic), true);
    outgoing.choose(streamOf(blurred, mic));
    expect(namesIn(outgoing.stream)).toEqual(["blurred", "mic"]);
    // The microphone is the camera's own, and follows it.
    outgoing.cameraChanged(streamOf(raw, ...(next ? [next] : [])), false);
    expect(namesIn(outgoing.stream)).toEqual(["blurred", ...(next ? ["other mic"] : [])]);
  });

  test("B11 of the page's own stays when the camera is opened, chosen or closed", () => {
    const outgoing = createOutgoing(streamOf);
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
    const outgoing = createOutgoing(streamOf);
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
    const outgoing = createOutgoing(streamOf);
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
        const outgoing = createOutgoing(streamOf);
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
