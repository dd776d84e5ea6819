/** One call with a partner: peer connection, perfect negotiation, data channel, and the media of both sides. */
import type { IceServer, RoomTerms, Signal } from "../protocol.ts";
import { readCallStats, type CallCounters, type CallReading } from "./call-stats.ts";
import { DataChannel } from "./data-channel.ts";
import type { DataChannelMessage, PartnerMedia } from "./data-channel-message.ts";
import { IceMonitor } from "./ice-monitor.ts";
import { IceRestart } from "./ice-restart.ts";
import type { Log } from "./log.ts";
import { MediaTracks } from "./media-tracks.ts";
import { Negotiation } from "./negotiation.ts";
import { browserTimers, type Timers } from "./platform.ts";

/** The browser's part of WebRTC, replaceable for tests. */
export interface Rtc {
  connect(configuration: RTCConfiguration): RTCPeerConnection;
  stream(): MediaStream;
}

/** A stream of these tracks. */
export function streamOf(
  rtc: Pick<Rtc, "stream">,
  tracks: readonly MediaStreamTrack[],
): MediaStream {
  const stream = rtc.stream();
  for (const track of tracks) stream.addTrack(track);
  return stream;
}

/** What a call reports. Nothing is reported after `end()`. */
export interface CallListener {
  signal(signal: Signal): void;
  /** The media path has connected for the first time. */
  connected(): void;
  /** The media path broke and is being restored (`true`), or is restored (`false`). */
  interrupted(interrupted: boolean): void;
  /**
   * The call could not be established or restored, and has ended itself. `fault` is what this browser threw while the call
   * was set up, if that is the cause.
   */
  failed(fault?: unknown): void;
  /** The partner has closed its end, for an unknown reason. */
  hungUp(): void;
  /** What this peer sends has changed; at first all that the mode allows is taken to be sent. */
  media(media: PartnerMedia): void;
  /** A message of the partner on the data channel. */
  message(message: DataChannelMessage): void;
}

/** What a call is made of. */
export interface CallParts {
  room: Pick<RoomTerms, "roomId" | "polite" | "relayOnly" | "mode"> & { iceServers: IceServer[] };
  /** This peer's media; undefined to send nothing. */
  local: MediaStream | undefined;
  rtc: Rtc;
  listener: CallListener;
  timers?: Timers;
  log?: Log;
  /** Whether signals reach the partner: an ICE restart needs that. */
  canSignal?: () => boolean;
  /**
   * Requests the ICE servers with credentials that are valid now, in a bounded time; `undefined` keeps the current ones.
   * Must not reject.
   */
  fetchIceServers?: () => Promise<IceServer[] | undefined>;
}

/** The direct connection to the partner of one room. */
export interface Call {
  readonly roomId: string;
  /** What the partner sends. The same object for the whole call; its tracks change. */
  readonly remote: MediaStream;
  /** Whether the media path has ever connected. */
  readonly established: boolean;
  /** Whether the partner is present at this moment: the data channel is open. */
  readonly alive: boolean;
  /** Applies a signal of the partner. */
  receive(signal: Signal): void;
  /** Sends the offer again that has no answer yet. After a gap in the signaling it is unknown whether it arrived. */
  repeatOffer(): void;
  /** Sends `stream` instead of the current tracks; undefined sends nothing. */
  replaceTracks(stream: MediaStream | undefined): Promise<void>;
  /** A track was enabled or disabled: announces that to the partner. */
  mediaChanged(): void;
  /** Sends a message. False if the data channel cannot take it, or a chat message is blank or too long. */
  send(message: DataChannelMessage): boolean;
  /** Statistics; undefined once the call has ended. */
  stats(): Promise<CallReading | undefined>;
  /** The machine was asleep, or its network has changed: restarts ICE now if the media path is broken. */
  onResume(): void;
  /** Closes everything. May be called again. */
  end(): void;
}

/**
 * Starts a call: one RTCPeerConnection, negotiated by perfect negotiation (see `Negotiation`).
 *
 * @throws what the browser throws for the configuration or the tracks; nothing is left open then.
 */
export function createCall(parts: CallParts): Call {
  return new PeerConnectionCall(parts);
}

class PeerConnectionCall implements Call {
  readonly roomId: string;
  readonly remote: MediaStream;
  readonly #listener: CallListener;
  readonly #pc: RTCPeerConnection;
  readonly #channel: DataChannel;
  readonly #ending = new AbortController();
  readonly #negotiation: Negotiation;
  readonly #restart: IceRestart;
  readonly #tracks: MediaTracks;
  readonly #monitor: IceMonitor;
  #established = false;
  /** What the listener was last told, or takes to be sent. */
  #sent: PartnerMedia;
  #counters: CallCounters = {
    at: performance.now(),
    sentBytes: 0,
    receivedBytes: 0,
    receivedPackets: 0,
    lostPackets: 0,
  };

  constructor(parts: CallParts) {
    const { room, local, rtc, listener, canSignal = () => true } = parts;
    const { fetchIceServers = () => Promise.resolve(undefined) } = parts;
    const ended = this.#ending.signal;
    this.roomId = room.roomId;
    this.#listener = listener;
    this.#sent = { audio: room.mode !== "text", video: room.mode === "video" };
    this.remote = rtc.stream();
    const configuration = {
      iceServers: room.iceServers,
      iceTransportPolicy: room.relayOnly ? "relay" : "all",
      bundlePolicy: "max-bundle",
    } as const;
    const pc = rtc.connect(configuration);
    this.#pc = pc;
    this.#channel = new DataChannel(pc);
    this.#monitor = this.#createMonitor(parts, canSignal);
    this.#negotiation = new Negotiation(
      pc,
      room,
      {
        signal: (signal) => listener.signal(signal),
        failed: (fault) => {
          // An established call survives a failed renegotiation.
          if (!this.#established) this.#fail(fault);
        },
      },
      ended,
    );
    this.#restart = new IceRestart({
      pc,
      configuration,
      fetchIceServers,
      onPartnerRestart: () => this.#monitor.onPartnerRestart(),
      apply: (signal) => this.#negotiation.receive(signal),
      ended,
    });
    this.#tracks = new MediaTracks(pc, room.mode, this.remote, ended);
    this.#listen(ended, parts.log);
    try {
      this.#tracks.send(local);
    } catch (fault) {
      this.end();
      throw fault;
    }
  }

  get established(): boolean {
    return this.#established;
  }

  get alive(): boolean {
    return this.#established && this.#channel.isOpen;
  }

  get #hasEnded(): boolean {
    return this.#ending.signal.aborted;
  }

  receive(signal: Signal): void {
    if (!this.#hasEnded && signal.roomId === this.roomId) this.#restart.receive(signal);
  }

  repeatOffer(): void {
    this.#negotiation.repeatOffer();
  }

  async replaceTracks(stream: MediaStream | undefined): Promise<void> {
    await this.#tracks.replace(stream);
    this.mediaChanged();
  }

  mediaChanged(): void {
    if (this.#hasEnded) return;
    this.#tracks.observeSent(() => this.mediaChanged());
    const { sent } = this.#tracks;
    if (sent.audio !== this.#sent.audio || sent.video !== this.#sent.video) {
      this.#sent = sent;
      this.#listener.media(sent);
    }
    if (this.#channel.isOpen) this.#channel.announceMedia(sent);
  }

  send(message: DataChannelMessage): boolean {
    return this.#channel.send(message);
  }

  async stats(): Promise<CallReading | undefined> {
    if (this.#hasEnded) return undefined;
    const report = await this.#pc.getStats();
    const { reading, counters } = readCallStats(report, this.#counters, performance.now());
    if (this.#hasEnded) return undefined;
    this.#counters = counters;
    return reading;
  }

  onResume(): void {
    this.#monitor.onResume();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#ending.abort();
    this.#monitor.stop();
    this.#pc.close();
    this.#tracks.end();
  }

  #createMonitor(
    { room, timers = browserTimers }: CallParts,
    canSignal: () => boolean,
  ): IceMonitor {
    return new IceMonitor(
      {
        restart: () => void this.#restart.restart(),
        cancelRestart: () => this.#restart.cancel(),
        canSignal,
        interrupted: (interrupted) => {
          if (!interrupted) this.#restart.cancel();
          this.#listener.interrupted(interrupted);
        },
        giveUp: () => this.#fail(),
      },
      room.polite,
      timers,
    );
  }

  #listen(signal: AbortSignal, log?: Log): void {
    const pc = this.#pc;
    pc.addEventListener(
      "iceconnectionstatechange",
      () => {
        log?.("debug", `ice ${pc.iceConnectionState}`);
        this.#monitor.onStateChange(pc.iceConnectionState);
      },
      { signal },
    );
    pc.addEventListener(
      "connectionstatechange",
      () => {
        log?.("debug", `connection ${pc.connectionState}`);
        this.#onConnectionStateChange();
      },
      { signal },
    );
    this.#channel.listen(
      {
        opened: () => this.mediaChanged(),
        message: (message) => this.#listener.message(message),
        closed: () => this.#listener.hungUp(),
      },
      signal,
    );
  }

  #onConnectionStateChange(): void {
    if (this.#pc.connectionState === "connected" && !this.#established) {
      this.#established = true;
      this.#monitor.onEstablished();
      this.#listener.connected();
    }
    // DTLS has failed, and an ICE restart does not restore it. Only the DTLS transport itself shows this:
    // `connectionState` is `failed` for a failure of ICE as well, and in Chromium changes before `iceConnectionState`.
    if (this.#pc.sctp?.transport.state === "failed") this.#fail();
  }

  #fail(fault?: unknown): void {
    if (this.#hasEnded) return;
    this.end();
    this.#listener.failed(fault);
  }
}
