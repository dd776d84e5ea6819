/** The tracks of a call in both directions, limited to the kinds of the room's mode. */
import type { Media, Mode } from "../protocol.ts";
import type { MediaSettings } from "./media-settings.ts";

const kinds = ["audio", "video"] as const;

/** The kinds of tracks in a room of each mode. */
const kindsOf: Record<Mode, readonly string[]> = {
  video: ["audio", "video"],
  audio: ["audio"],
  text: [],
};

/** The tracks of a call in both directions, limited to the kinds of the room's mode. */
export class MediaTracks {
  readonly #pc: RTCPeerConnection;
  readonly #kinds: readonly string[];
  readonly #remote: MediaStream;
  readonly #settings: MediaSettings;
  readonly #ended: AbortSignal;
  #applied: Promise<void> = Promise.resolve();
  /** Sent tracks on which listeners have been registered. */
  readonly #observed = new WeakSet<MediaStreamTrack>();

  /**
   * @param remote - receives the partner's tracks.
   * @param ended - aborted when the call ends.
   */
  constructor(
    pc: RTCPeerConnection,
    mode: Mode,
    remote: MediaStream,
    settings: MediaSettings,
    ended: AbortSignal,
  ) {
    this.#pc = pc;
    this.#kinds = kindsOf[mode];
    this.#remote = remote;
    this.#settings = settings;
    this.#ended = ended;
    pc.addEventListener("track", ({ track, transceiver }) => this.#receive(track, transceiver), {
      signal: ended,
    });
  }

  /** @throws what `addTrack` throws. */
  send(stream: MediaStream | undefined): void {
    if (stream) for (const track of this.#tracksOf(stream)) this.#add(track, stream);
  }

  /** Sends the tracks of `stream` instead of the current ones, without a new negotiation where possible. */
  async replace(stream: MediaStream | undefined): Promise<void> {
    for (const kind of kinds) {
      if (this.#ended.aborted) return;
      const track = this.#tracksOf(stream).find((own) => own.kind === kind);
      // Looked up each time, so that a transceiver that a concurrent call has added is used and not added twice.
      const transceiver = this.#sendingTransceiver(kind);
      if (transceiver) {
        await transceiver.sender.replaceTrack(track ?? null);
        this.#applySettings(transceiver.sender);
      } else if (track && stream) this.#add(track, stream);
    }
  }

  /** Whether audio and video are sent: from a track that is live, enabled, and not muted by the device. */
  get sent(): Media {
    return { audio: this.#isSending("audio"), video: this.#isSending("video") };
  }

  /** Calls `listener` when a track that is sent now ends, or is muted or unmuted by its device. */
  observeSent(listener: () => void): void {
    for (const { sender } of this.#pc.getTransceivers()) {
      const { track } = sender;
      if (!track || this.#observed.has(track)) continue;
      this.#observed.add(track);
      for (const event of ["ended", "mute", "unmute"])
        track.addEventListener(event, listener, { signal: this.#ended });
    }
  }

  /** Stops and removes the partner's tracks. */
  end(): void {
    for (const track of this.#remote.getTracks()) {
      track.stop();
      this.#remote.removeTrack(track);
    }
  }

  /** Takes a track of the partner. One of a kind that the mode does not have is rejected. */
  #receive(track: MediaStreamTrack, transceiver: RTCRtpTransceiver): void {
    if (this.#kinds.includes(track.kind)) return this.#remote.addTrack(track);
    track.stop();
    transceiver.direction = "inactive";
  }

  #add(track: MediaStreamTrack, stream: MediaStream): void {
    const sender = this.#pc.addTrack(track, stream);
    const transceiver = this.#pc.getTransceivers().find((one) => one.sender === sender);
    if (transceiver) this.#settings.prepare(transceiver);
    this.#applySettings(sender);
  }

  /** Once more: a browser may refuse parameters during a negotiation. */
  reapply(): void {
    for (const sender of this.#pc.getTransceivers().map((one) => one.sender))
      this.#applySettings(sender);
  }

  /** In turn, because a browser takes parameters only if nobody has changed them since they were read. */
  #applySettings(sender: RTCRtpSender): void {
    this.#applied = this.#applied.then(() => this.#settings.apply(sender));
  }

  #tracksOf(stream: MediaStream | undefined): MediaStreamTrack[] {
    return stream?.getTracks().filter(({ kind }) => this.#kinds.includes(kind)) ?? [];
  }

  #sendingTransceiver(kind: string): RTCRtpTransceiver | undefined {
    return this.#pc
      .getTransceivers()
      .find(
        ({ sender, receiver, direction }) =>
          direction !== "stopped" &&
          receiver.track.kind === kind &&
          (sender.track !== null || direction.startsWith("send")),
      );
  }

  #isSending(kind: string): boolean {
    return this.#pc.getTransceivers().some(({ sender: { track } }) => {
      return track?.kind === kind && track.readyState === "live" && track.enabled && !track.muted;
    });
  }
}
