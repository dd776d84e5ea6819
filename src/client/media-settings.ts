/** How audio and video are sent: rates, sizes and codecs, and what is given up first on a poor line. */

/** What of the video is kept when the line or the machine is too slow for all of it. */
export type Degradation = "maintain-framerate" | "maintain-resolution" | "balanced";

/** How video is sent. What a browser does not support stays as it is there. */
export interface VideoSettings {
  /** Bits per second. Default: 1,200,000. */
  maxBitrate?: number;
  /** Frames per second. Default: 24. */
  maxFramerate?: number;
  /** Pixels of the shorter side, to which a larger picture is scaled down; not that of a screen. Default: 720. */
  maxHeight?: number;
  /** The preferred codecs, the best first, as in MIME types: `["VP9", "VP8"]`. Default: the order of the browser. */
  codecs?: readonly string[];
  /** Default: `maintain-framerate`, and for a screen `maintain-resolution`. */
  degradation?: Degradation;
}

/** How audio is sent. What a browser does not support stays as it is there. */
export interface AudioSettings {
  /** Bits per second, with what `red` adds. Default: chosen by the browser. */
  maxBitrate?: number;
  /** Sends next to nothing during silence (RFC 7587, 3.1.3). Default: false, as the beginnings of words suffer. */
  dtx?: boolean;
  /** Sends each packet of audio again with the next one (RFC 2198), so that a lost one is not missing. Default: true. */
  red?: boolean;
}

/** Applies the settings to what is sent. A browser that refuses one of them sends without it. */
export interface MediaSettings {
  /** Before the first offer or answer with this sender. */
  prepare(transceiver: RTCRtpTransceiver): void;
  /** Whenever the sender has another track. Never rejects. */
  apply(sender: RTCRtpSender): Promise<void>;
  /** The partner's description as it has to be applied here. */
  readRemote(sdp: string): string;
}

export function createMediaSettings(
  video: VideoSettings = {},
  audio: AudioSettings = {},
): MediaSettings {
  const { maxBitrate = 1_200_000, maxFramerate = 24, maxHeight = 720, codecs = [] } = video;
  const preferred: Record<string, readonly string[]> = {
    video: codecs,
    audio: (audio.red ?? true) ? ["red"] : [],
  };

  function changesFor(track: MediaStreamTrack): Change[] {
    if (track.kind === "audio") {
      const { maxBitrate: rate } = audio;
      return rate === undefined ? [] : [encoding({ maxBitrate: rate })];
    }
    const { width = 0, height = 0, displaySurface } = track.getSettings();
    // Of the hints those of the page, as they are also set below.
    const isScreen =
      displaySurface !== undefined ||
      (video.degradation === undefined && ["detail", "text"].includes(track.contentHint));
    const { degradation = isScreen ? "maintain-resolution" : "maintain-framerate" } = video;
    // For browsers without the preference, which derive it from the hint (W3C MediaStreamTrack Content Hints, 5).
    if (track.contentHint === "") track.contentHint = hints[degradation];
    const scale = isScreen ? 1 : Math.max(1, Math.min(width, height) / maxHeight);
    return [
      encoding({ maxBitrate }),
      encoding({ maxFramerate }),
      encoding({ scaleResolutionDownBy: scale }),
      (parameters) => Object.assign(parameters, { degradationPreference: degradation }),
    ];
  }

  return {
    prepare(transceiver) {
      const { receiver, sender } = transceiver;
      const kind = sender.track?.kind ?? "";
      const names = (preferred[kind] ?? []).map((name) => `${kind}/${name}`.toLowerCase());
      const rank = ({ mimeType }: RTCRtpCodec) => names.indexOf(mimeType.toLowerCase()) >>> 0;
      // Of the implementation that the receiver is of, which need not be the page's own.
      const { getCapabilities } = receiver.constructor as Partial<typeof RTCRtpReceiver>;
      try {
        const known = getCapabilities?.(kind)?.codecs ?? [];
        if (known.some((codec) => rank(codec) < names.length))
          transceiver.setCodecPreferences([...known].sort((a, b) => rank(a) - rank(b)));
      } catch {
        // The order of the browser remains.
      }
    },
    async apply(sender) {
      const { track } = sender;
      // One at a time, so that a browser that refuses one takes the others.
      for (const change of track ? changesFor(track) : []) {
        try {
          const parameters = sender.getParameters();
          change(parameters);
          await sender.setParameters(parameters);
        } catch {
          // What the browser refuses, it does without.
        }
      }
    },
    readRemote(sdp) {
      // There is no API for it. What a peer says of Opus is what it likes to receive, so it is the partner's that counts here.
      const type = audio.dtx && /^a=rtpmap:(\d+) opus\//im.exec(sdp)?.[1];
      if (!type) return sdp;
      return sdp.replace(new RegExp(`^a=fmtp:${type} (?!.*usedtx).*`, "m"), "$&;usedtx=1");
    },
  };
}

const hints: Record<Degradation, string> = {
  "maintain-framerate": "motion",
  "maintain-resolution": "detail",
  balanced: "",
};

type Change = (parameters: RTCRtpSendParameters) => void;

function encoding(values: Partial<RTCRtpEncodingParameters>): Change {
  return ({ encodings }) => {
    for (const one of encodings) Object.assign(one, values);
  };
}
