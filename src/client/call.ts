/** One call with a partner: peer connection, perfect negotiation, data channel, and the media of both sides. */
import type { Quality } from "./state.ts";
import type { CallPath, IceServer, Media, RoomTerms, Signal, StandingOffer } from "../protocol.ts";
import { openCallConnection, type CallConnection, type PreparedOffer } from "./call-connection.ts";
import type { CallCounters, CallReading, Levels } from "./call-stats.ts";
import type { DataChannelMessage } from "./data-channel-message.ts";
import { IceMonitor } from "./ice-monitor.ts";
import { IceRestart } from "./ice-restart.ts";
import type { MediaSettings } from "./media-settings.ts";
import type { Log } from "./log.ts";
import { Negotiation } from "./negotiation.ts";
import { browserTimers, type Timer, type Timers, type Rtc } from "./platform.ts";

/** What a call reports. Nothing is reported after `end()`. */
export interface CallListener {
  signal(signal: Signal): void;
  /** The media path has connected for the first time. @param path absent where this browser does not tell it at once. */
  connected(path: CallPath | undefined): void;
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
  media(media: Media): void;
  /** The quality of the call is another one than before. */
  quality(quality: Quality): void;
  /** A message of the partner on the data channel. */
  message(message: DataChannelMessage): void;
}

/** A change of what is sent is reported at once, and further ones only this often (milliseconds): a button may be pressed quickly. */
const MEDIA_EVERY_MS = 300;

/** What a call is made of. */
export interface CallParts {
  room: Pick<RoomTerms, "roomId" | "polite" | "relayOnly" | "mode"> & {
    iceServers: IceServer[];
    /** The partner's standing offer. */
    offer?: StandingOffer;
    /** The partner has received this peer's. */
    standing?: true;
  };
  /** This peer's media; undefined to send nothing. */
  local: MediaStream | undefined;
  /** This peer's connection and offer, if they exist already. */
  prepared?: PreparedOffer | undefined;
  rtc: Rtc;
  listener: CallListener;
  /** How it is sent. */
  settings?: MediaSettings;
  /** Whether the page is hidden, so that nobody sees the quality. */
  isHidden?: () => boolean;
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
  /** Sends the offer, or answers the partner's, if there is one already. Otherwise the negotiation begins by itself. */
  begin(): void;
  /** Applies a signal of the partner. */
  receive(signal: Signal): void;
  /** Sends the offer again that has no answer yet. After a gap in the signaling it is unknown whether it arrived. */
  repeatOffer(): void;
  /** Sends `stream` instead of the current tracks; undefined sends nothing. */
  replaceTracks(stream: MediaStream | undefined): Promise<void>;
  /** A track was enabled or disabled: reports that. */
  mediaChanged(): void;
  /** Sends a message. False if the data channel cannot take it, or a chat message is blank or too long. */
  send(message: DataChannelMessage): boolean;
  /** Returns a reader of statistics: each reading is of the time since its previous one, and undefined once the call has ended. */
  meter(): () => Promise<CallReading | undefined>;
  /** As they were a moment ago: each call begins to read them anew. Empty at first, and once the call has ended. */
  levels(): Levels;
  /** The machine was asleep, or its network has changed: restarts ICE now if the media path is broken. */
  onResume(): void;
  /** Closes everything. May be called again. */
  end(): void;
}

/**
 * Starts a call: one RTCPeerConnection, negotiated by perfect negotiation (see `Negotiation`). Call `begin` next.
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
  readonly #parts: CallParts;
  readonly #connection: CallConnection;
  readonly #negotiation: Negotiation;
  readonly #restart: IceRestart;
  readonly #monitor: IceMonitor;
  #established = false;
  /** What the listener was last told, or takes to be sent. */
  #sent: Media;
  #mediaPause: Timer | undefined;
  readonly #isHidden: () => boolean;
  readonly #timers: Timers;
  readonly #startedAt = performance.now();
  #levels: Levels = {};
  #isReadingLevels = false;

  constructor(parts: CallParts) {
    const { room, local, prepared, rtc, listener, canSignal = () => true } = parts;
    this.#isHidden = parts.isHidden ?? (() => false);
    this.#timers = parts.timers ?? browserTimers;
    const { fetchIceServers = () => Promise.resolve(undefined) } = parts;
    const connection = prepared?.connection ?? openCallConnection(rtc, room, local, parts.settings);
    const { pc, configuration, ended } = connection;
    this.#parts = parts;
    this.#connection = connection;
    this.roomId = room.roomId;
    this.#listener = listener;
    this.#sent = { audio: room.mode !== "text", video: room.mode === "video" };
    this.remote = connection.remote;
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
    this.#listen(connection, parts.log);
  }

  get established(): boolean {
    return this.#established;
  }

  get alive(): boolean {
    return this.#established && this.#connection.channel.isOpen;
  }

  get #hasEnded(): boolean {
    return this.#connection.ended.aborted;
  }

  begin(): void {
    const { room, prepared } = this.#parts;
    if (prepared) {
      this.#negotiation.sendPrepared(prepared, room.standing === true, this.#timers);
      // The tracks that it was prepared with may have been replaced.
      this.replaceTracks(this.#parts.local).catch(() => {});
    } else if (room.offer) this.#answer(room.offer);
  }

  #answer(offer: StandingOffer): void {
    this.#negotiation.answerStanding({
      ...offer,
      sdp: this.#connection.settings.readRemote(offer.sdp),
    });
  }

  receive(signal: Signal): void {
    if (this.#hasEnded || signal.roomId !== this.roomId) return;
    if (signal.type === "add-ice-candidate") return this.#restart.receive(signal);
    this.#restart.receive({ ...signal, sdp: this.#connection.settings.readRemote(signal.sdp) });
  }

  repeatOffer(): void {
    this.#negotiation.repeatOffer();
  }

  async replaceTracks(stream: MediaStream | undefined): Promise<void> {
    await this.#connection.tracks.replace(stream);
    this.mediaChanged();
  }

  mediaChanged(): void {
    if (this.#hasEnded) return;
    this.#connection.tracks.observeSent(() => this.mediaChanged());
    const { sent } = this.#connection.tracks;
    const isChange = sent.audio !== this.#sent.audio || sent.video !== this.#sent.video;
    if (!isChange || this.#mediaPause !== undefined) return;
    this.#sent = sent;
    this.#mediaPause = this.#timers.setTimeout(() => {
      this.#mediaPause = undefined;
      this.mediaChanged();
    }, MEDIA_EVERY_MS);
    this.#listener.media(sent);
  }

  send(message: DataChannelMessage): boolean {
    return this.#connection.channel.send(message);
  }

  meter(): () => Promise<CallReading | undefined> {
    let before: CallCounters | undefined;
    return async () => {
      if (this.#hasEnded) return undefined;
      const code = await import("./call-stats.ts").catch(() => undefined);
      if (!code) return undefined;
      const { readCallStats, zeroCounters } = code;
      const report = await this.#connection.pc.getStats();
      if (this.#hasEnded) return undefined;
      const { reading, counters } = readCallStats(
        report,
        before ?? zeroCounters(this.#startedAt),
        performance.now(),
      );
      before = counters;
      const { dropped } = this.#connection.channel;
      return { ...reading, ...(dropped > 0 && { droppedMessages: dropped }) };
    };
  }

  levels(): Levels {
    if (this.#hasEnded) return {};
    if (!this.#isReadingLevels) {
      this.#isReadingLevels = true;
      const read = async () => {
        const { readLevels } = await import("./call-stats.ts");
        this.#levels = readLevels(await this.#connection.pc.getStats());
      };
      void read()
        .catch(() => {})
        .finally(() => (this.#isReadingLevels = false));
    }
    // What the partner has measured: that in the statistics is 0 in Chromium while the element that plays it is muted.
    const partner = this.#connection.pc
      .getReceivers()
      .flatMap((receiver) => receiver.getSynchronizationSources?.() ?? [])
      .find(({ audioLevel }) => audioLevel !== undefined)?.audioLevel;
    return { ...this.#levels, ...(partner !== undefined && { partner }) };
  }

  onResume(): void {
    this.#monitor.onResume();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#timers.clearTimeout(this.#mediaPause);
    this.#monitor.stop();
    this.#connection.close();
  }

  #createMonitor({ room }: CallParts, canSignal: () => boolean): IceMonitor {
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
      this.#timers,
    );
  }

  #listen({ pc, channel, ended: signal }: CallConnection, log?: Log): void {
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
    channel.listen(
      {
        message: (message) => this.#listener.message(message),
        closed: () => this.#listener.hungUp(),
      },
      signal,
    );
  }

  async #watchQuality(): Promise<void> {
    const { watchQuality } = await import("./call-quality.ts");
    if (this.#hasEnded) return;
    watchQuality(
      {
        read: this.meter(),
        report: (quality) => this.#listener.quality(quality),
        isHidden: this.#isHidden,
        timers: this.#timers,
      },
      this.#connection.ended,
    );
  }

  #onConnectionStateChange(): void {
    const { pc } = this.#connection;
    if (pc.connectionState === "connected" && !this.#established) {
      this.#established = true;
      this.#monitor.onEstablished();
      this.#connection.tracks.reapply();
      this.#listener.connected(pathOf(pc));
      // Without that code there is no word on the quality.
      this.#watchQuality().catch(() => {});
    }
    // DTLS has failed, and an ICE restart does not restore it. Only the DTLS transport itself shows this:
    // `connectionState` is `failed` for a failure of ICE as well, and in Chromium changes before `iceConnectionState`.
    if (pc.sctp?.transport.state === "failed") this.#fail();
  }

  #fail(fault?: unknown): void {
    if (this.#hasEnded) return;
    this.end();
    this.#listener.failed(fault);
  }
}

/** The path of the selected candidate pair (W3C WebRTC, 5.6.2), which not all browsers tell without a wait for statistics. */
function pathOf({ sctp }: RTCPeerConnection): CallPath | undefined {
  const pair = sctp?.transport.iceTransport?.getSelectedCandidatePair?.();
  if (!pair) return undefined;
  return [pair.local, pair.remote].some(({ type }) => type === "relay") ? "relayed" : "direct";
}
