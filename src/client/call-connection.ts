/** What a call needs before its room is known: a peer connection with its data channel and its tracks. */
import type { Rtc } from "./platform.ts";
import type { Candidate, IceServer, RoomTerms } from "../protocol.ts";
import { DataChannel } from "./data-channel.ts";
import { createMediaSettings, type MediaSettings } from "./media-settings.ts";
import { MediaTracks } from "./media-tracks.ts";

/** A connection in the state `have-local-offer`, and its offer. */
export interface PreparedOffer {
  readonly connection: CallConnection;
  readonly sdp: string;
  /** All that have been gathered. */
  readonly candidates: readonly Candidate[];
  /** How many of them the server certainly has. */
  readonly published: number;
}

/** A peer connection with everything that its first offer describes. */
export interface CallConnection {
  readonly pc: RTCPeerConnection;
  readonly configuration: RTCConfiguration & { iceServers: IceServer[] };
  readonly channel: DataChannel;
  readonly tracks: MediaTracks;
  readonly settings: MediaSettings;
  /** What the partner sends. */
  readonly remote: MediaStream;
  /** Aborted by `close`. */
  readonly ended: AbortSignal;
  /** May be called again. */
  close(): void;
}

/**
 * Opens a connection that sends `local`.
 *
 * @throws what the browser throws for the configuration or the tracks; nothing is left open then.
 */
export function openCallConnection(
  rtc: Rtc,
  room: Pick<RoomTerms, "relayOnly" | "mode"> & { iceServers: IceServer[] },
  local: MediaStream | undefined,
  settings: MediaSettings = createMediaSettings(),
): CallConnection {
  const ending = new AbortController();
  const remote = rtc.stream();
  const configuration = {
    iceServers: room.iceServers,
    iceTransportPolicy: room.relayOnly ? "relay" : "all",
    bundlePolicy: "max-bundle",
  } as const;
  const pc = rtc.connect(configuration);
  try {
    const channel = new DataChannel(pc);
    const tracks = new MediaTracks(pc, room.mode, remote, settings, ending.signal);
    tracks.send(local);
    const close = () => {
      if (ending.signal.aborted) return;
      ending.abort();
      pc.close();
      tracks.end();
    };
    const ended = ending.signal;
    return { pc, configuration, channel, tracks, settings, remote, ended, close };
  } catch (fault) {
    pc.close();
    throw fault;
  }
}
