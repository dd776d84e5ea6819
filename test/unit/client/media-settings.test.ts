import { describe, expect, test } from "bun:test";
import { createCall } from "../../../src/client/call.ts";
import {
  createMediaSettings,
  type AudioSettings,
  type VideoSettings,
} from "../../../src/client/media-settings.ts";
import { fakeCamera, FakeNetwork } from "./fake-rtc.ts";
import { settle } from "./virtual-time.ts";

interface Refused {
  audio?: string[];
  video?: string[];
}

/** What a call with these settings sends with. The tracks have these settings, and the browser refuses these parameters. */
async function senders(
  video?: VideoSettings,
  audio?: AudioSettings,
  track: MediaTrackSettings & { contentHint?: string } = {},
  refused: Refused = {},
) {
  const browser = new FakeNetwork().browser("alice");
  const local = fakeCamera();
  const [picture] = local.getVideoTracks();
  const { contentHint = "", ...settings } = track;
  Object.assign(picture ?? {}, { settings, contentHint });
  const connect: typeof browser.connect = (configuration) => {
    const pc = browser.connect(configuration);
    const { addTrack } = browser.last;
    browser.last.addTrack = function (added) {
      const sender = addTrack.call(this, added);
      for (const name of refused[added.kind as "audio" | "video"] ?? []) sender.refuses.add(name);
      return sender;
    };
    return pc;
  };
  const nothing = () => {};
  const call = createCall({
    room: { roomId: "room", polite: false, relayOnly: false, mode: "video", iceServers: [] },
    local,
    rtc: { connect, stream: browser.stream },
    settings: createMediaSettings(video, audio),
    listener: {
      signal: nothing,
      connected: nothing,
      interrupted: nothing,
      failed: nothing,
      media: nothing,
      quality: nothing,
      hungUp: nothing,
      message: nothing,
    },
  });
  await settle();
  const [sound, pictures] = browser.last.senders;
  if (!sound || !pictures) throw new Error("two kinds are sent");
  return { call, pc: browser.last, local, sound, pictures };
}

const encodingOf = ({ sender }: { sender: { parameters: Record<string, unknown> } }) =>
  (sender.parameters["encodings"] as Record<string, unknown>[])[0];

describe("what is sent", () => {
  test("is smooth before it is sharp by default, and sound is sent twice", async () => {
    const { sound, pictures, local } = await senders(undefined, undefined, {
      width: 1920,
      height: 1080,
    });
    expect(encodingOf(pictures)).toMatchObject({
      maxBitrate: 1_200_000,
      maxFramerate: 24,
      scaleResolutionDownBy: 1.5,
    });
    expect(pictures.sender.parameters).toMatchObject({
      degradationPreference: "maintain-framerate",
    });
    expect(local.getVideoTracks()[0]?.contentHint).toBe("motion");
    expect(pictures.codecs).toEqual([]);
    expect(sound.codecs).toEqual(["audio/red", "audio/opus", "audio/PCMU"]);
    expect(encodingOf(sound)).toEqual({ active: true });
  });

  test("is as the page says", async () => {
    const { sound, pictures, local } = await senders(
      {
        maxBitrate: 1,
        maxFramerate: 2,
        maxHeight: 240,
        codecs: ["h264", "VP9"],
        degradation: "balanced",
      },
      { maxBitrate: 3, red: false },
      // Of a phone that is held upright.
      { width: 480, height: 640 },
    );
    expect(encodingOf(pictures)).toMatchObject({
      maxBitrate: 1,
      maxFramerate: 2,
      scaleResolutionDownBy: 2,
    });
    expect(pictures.sender.parameters).toMatchObject({ degradationPreference: "balanced" });
    expect(local.getVideoTracks()[0]?.contentHint).toBe("");
    expect(pictures.codecs).toEqual(["video/H264", "video/VP9", "video/VP8", "video/rtx"]);
    expect(sound.codecs).toEqual([]);
    expect(encodingOf(sound)).toMatchObject({ maxBitrate: 3 });
  });

  test("of a screen, or of what the page calls detailed, stays sharp and as large as it is", async () => {
    for (const track of [{ displaySurface: "window" }, { contentHint: "detail" }]) {
      const large = { ...track, width: 2560, height: 1440 };
      const { pictures, local } = await senders({ maxHeight: 360 }, {}, large);
      expect(encodingOf(pictures)).toMatchObject({ scaleResolutionDownBy: 1 });
      expect(pictures.sender.parameters).toMatchObject({
        degradationPreference: "maintain-resolution",
      });
      expect(local.getVideoTracks()[0]?.contentHint).toBe("detail");
    }
  });

  test("is scaled as the page says also where the page wants it sharp", async () => {
    const settings: VideoSettings = { maxHeight: 360, degradation: "maintain-resolution" };
    const track = { width: 1280, height: 720 };
    const { pictures, local, call } = await senders(settings, {}, track);
    expect(local.getVideoTracks()[0]?.contentHint).toBe("detail");
    await call.replaceTracks(local);
    await settle();
    expect(encodingOf(pictures)).toMatchObject({ scaleResolutionDownBy: 2 });
  });

  test("is never enlarged, also where the size is not known", async () => {
    for (const size of [{ width: 160, height: 120 }, {}]) {
      const { pictures } = await senders({}, {}, size);
      expect(encodingOf(pictures)).toMatchObject({ scaleResolutionDownBy: 1 });
    }
  });

  test("goes without what the browser refuses, and with the rest", async () => {
    const refused = { video: ["maxFramerate", "degradationPreference"] };
    const { pictures, call } = await senders({}, {}, {}, refused);
    expect(encodingOf(pictures)).toMatchObject({ maxBitrate: 1_200_000, scaleResolutionDownBy: 1 });
    expect(pictures.sender.parameters).not.toHaveProperty("degradationPreference");
    // Refused for the first track, and for the next.
    await call.replaceTracks(fakeCamera());
    await settle();
    expect(pictures.sender.track).not.toBeNull();
  });

  test("goes with what the browser has refused during the negotiation, once the call is connected", async () => {
    const { pictures, pc } = await senders({}, {}, {}, { video: ["maxFramerate"] });
    expect(encodingOf(pictures)).not.toHaveProperty("maxFramerate");
    pictures.sender.refuses.clear();
    pc.connection("connected");
    await settle();
    expect(encodingOf(pictures)).toMatchObject({ maxFramerate: 24 });
    pc.close();
  });

  test("is scaled anew for each track", async () => {
    const { pictures, call } = await senders({ maxHeight: 360 }, {}, { width: 1280, height: 720 });
    expect(encodingOf(pictures)).toMatchObject({ scaleResolutionDownBy: 2 });
    const small = fakeCamera();
    Object.assign(small.getVideoTracks()[0] ?? {}, { settings: { width: 640, height: 360 } });
    await call.replaceTracks(small);
    await settle();
    expect(encodingOf(pictures)).toMatchObject({ scaleResolutionDownBy: 1 });
  });

  test("needs no choice of codecs: a browser without it, or that refuses, takes its own order", () => {
    const { prepare } = createMediaSettings({ codecs: ["VP9"] });
    const transceiver = (receiver: object) =>
      ({
        receiver,
        sender: { track: { kind: "video" } },
        setCodecPreferences() {
          throw new DOMException("refused", "InvalidModificationError");
        },
      }) as unknown as RTCRtpTransceiver;
    class Old {}
    class Refusing {
      static getCapabilities = () => ({ codecs: [{ mimeType: "video/VP9" }] });
    }
    expect(() => prepare(transceiver(new Old()))).not.toThrow();
    expect(() => prepare(transceiver(new Refusing()))).not.toThrow();
  });

  test("is silent in silence only if the page wants that", () => {
    const sdp = [
      "m=audio 9 UDP/TLS/RTP/SAVPF 63 111",
      "a=rtpmap:63 red/48000/2",
      "a=fmtp:63 111/111",
      "a=rtpmap:111 opus/48000/2",
      "a=fmtp:111 minptime=10;useinbandfec=1",
      "m=video 9 UDP/TLS/RTP/SAVPF 96",
      "a=fmtp:96 x=1",
      "",
    ].join("\r\n");
    const line = "a=fmtp:111 minptime=10;useinbandfec=1";
    const dtx = createMediaSettings({}, { dtx: true });
    expect(dtx.readRemote(sdp)).toBe(sdp.replace(line, `${line};usedtx=1`));
    expect(dtx.readRemote(dtx.readRemote(sdp))).toBe(dtx.readRemote(sdp));
    expect(dtx.readRemote("v=0\r\n")).toBe("v=0\r\n");
    expect(createMediaSettings().readRemote(sdp)).toBe(sdp);
  });
});
