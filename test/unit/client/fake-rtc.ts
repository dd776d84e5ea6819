import type { Rtc } from "../../../src/client/platform.ts";
import { createCall } from "../../../src/client/call.ts";
import { StandingOffers } from "../../../src/client/standing-offers.ts";

/** Whether the tests run as in React Native (see react-native.test.ts): with what react-native-webrtc has, and no more. */
export const isReactNative = process.env["PEER_STREAM_TESTS"] === "react-native";

/** The content of a fake description; its JSON is the SDP. */
interface FakeSdp {
  /** The line that identifies a restart. */
  ufrag: string;
  connection: string;
  generation: number;
  kinds: string[];
}

/**
 * The network between two fake peer connections. They connect once each has a description and a
 * candidate of the other's current generation, and the network is up.
 */
export class FakeNetwork {
  readonly connections: FakePeerConnection[] = [];
  whole = true;
  /** The last candidates of a generation are found so much later (milliseconds). */
  lateMs = 0;

  /** A browser on this network. */
  browser(
    name: string,
  ): Rtc & { readonly last: FakePeerConnection; readonly all: FakePeerConnection[] } {
    const all: FakePeerConnection[] = [];
    return {
      all,
      get last() {
        const last = all.at(-1);
        if (!last) throw new Error(`${name} has no connection yet`);
        return last;
      },
      connect: (configuration) => {
        const made = new FakePeerConnection(this, `${name}-${all.length + 1}`, configuration);
        all.push(made);
        this.connections.push(made);
        return made as unknown as RTCPeerConnection;
      },
      stream: () => new FakeStream() as unknown as MediaStream,
    };
  }

  /** Interrupts the network: connections become `disconnected`, and need a restart to recover. */
  cut(): void {
    this.whole = false;
    for (const connection of this.connections) connection.lose("disconnected");
  }

  mend(): void {
    this.whole = true;
    for (const connection of this.connections) this.check(connection);
  }

  partnerOf(connection: FakePeerConnection): FakePeerConnection | undefined {
    const name = connection.remoteSdp?.connection;
    return this.connections.find((other) => other.name === name);
  }

  check(connection: FakePeerConnection): void {
    const partner = this.partnerOf(connection);
    if (!this.whole || !partner || this.partnerOf(partner) !== connection) return;
    if (!connection.reaches(partner) || !partner.reaches(connection)) return;
    connection.arrive(partner);
    partner.arrive(connection);
  }
}

interface FakeDtlsTransport {
  state: RTCDtlsTransportState;
  /** Not in all browsers. */
  iceTransport?: { getSelectedCandidatePair?(): FakePair | null };
}

type FakePair = Record<"local" | "remote", { type: RTCIceCandidateType }>;

/** The part of RTCPeerConnection that perfect negotiation uses, with the same order of operations. */
export class FakePeerConnection extends EventTarget {
  signalingState: RTCSignalingState = "stable";
  iceConnectionState: RTCIceConnectionState = "new";
  connectionState: RTCPeerConnectionState = "new";
  /** Not in react-native-webrtc 124, nor is `getConfiguration`. */
  readonly sctp: { transport: FakeDtlsTransport } | undefined = isReactNative
    ? undefined
    : { transport: { state: "new" } };
  localDescription: { type: "offer" | "answer"; sdp: string } | null = null;
  remoteDescription: { type: "offer" | "answer"; sdp: string } | null = null;
  remoteSdp: FakeSdp | undefined;
  readonly channel = new FakeChannel();
  readonly senders: FakeTransceiver[] = [];
  readonly added: string[] = [];
  /** The tracks of the partner. */
  readonly received: { track: FakeTrack; transceiver: { direction: string } }[] = [];
  restarts = 0;
  offers = 0;
  readonly name: string;
  configuration: RTCConfiguration;
  readonly #network: FakeNetwork;
  readonly #session: number;
  #chain: Promise<unknown> = Promise.resolve();
  /** Those in the chain. */
  #operations = 0;
  #needed = false;
  #generation = 0;
  #wantsNewGeneration = true;
  #connectedGenerations = "";
  #candidateGenerations = new Set<number>();

  constructor(network: FakeNetwork, name: string, configuration: RTCConfiguration) {
    super();
    this.#network = network;
    this.#session = network.connections.length + 1;
    this.name = name;
    this.configuration = configuration;
    if (isReactNative) Object.assign(this, { getConfiguration: undefined });
  }

  createDataChannel(): FakeChannel {
    this.#need();
    return this.channel;
  }

  addTrack(track: FakeTrack): FakeTransceiver["sender"] {
    const transceiver = new FakeTransceiver(track);
    this.senders.push(transceiver);
    this.#need();
    return transceiver.sender;
  }

  getTransceivers(): FakeTransceiver[] {
    return this.senders;
  }

  /** Of each receiver the last packets' levels. */
  levels: { audioLevel?: number }[] = [];

  getReceivers() {
    return [{ getSynchronizationSources: () => this.levels }, {}];
  }

  getConfiguration(): RTCConfiguration {
    return this.configuration;
  }

  setConfiguration(configuration: RTCConfiguration): void {
    this.configuration = configuration;
  }

  restartIce(): void {
    this.restarts += 1;
    this.#wantsNewGeneration = true;
    this.#need();
  }

  setLocalDescription(): Promise<void> {
    return this.#queue(() => {
      const type = this.signalingState === "have-remote-offer" ? "answer" : "offer";
      const fresh = this.#wantsNewGeneration;
      if (fresh) this.#generation += 1;
      this.#wantsNewGeneration = false;
      const sdp: FakeSdp = {
        ufrag: `a=ice-ufrag:${this.#generation}`,
        connection: this.name,
        generation: this.#generation,
        kinds: this.senders.map(({ sender }) => sender.track?.kind ?? "none"),
      };
      const origin = `o=- ${this.#session} ${this.#generation} IN IP4 127.0.0.1`;
      // A first answer that describes everything leaves nothing to negotiate.
      const isComplete = sdp.kinds.every((kind) => this.remoteSdp?.kinds.includes(kind));
      if (type === "answer" && !this.localDescription && isComplete) this.#needed = false;
      this.localDescription = { type, sdp: `${origin}\n${JSON.stringify(sdp)}` };
      if (type === "offer") {
        this.offers += 1;
        this.#needed = false;
      }
      this.#signaling(type === "offer" ? "have-local-offer" : "stable");
      if (fresh) void this.#gather();
    });
  }

  setRemoteDescription(description: { type: "offer" | "answer"; sdp: string }): Promise<void> {
    return this.#queue(() => {
      const sdp = JSON.parse(description.sdp.slice(description.sdp.indexOf("{"))) as FakeSdp;
      if (description.type === "answer" && this.signalingState !== "have-local-offer") {
        throw new DOMException("no offer to answer", "InvalidStateError");
      }
      if (description.type === "offer" && this.signalingState === "have-local-offer") {
        // The implicit rollback (RFC 8829, 4.1.10.2).
        this.#needed = true;
      }
      if (description.type === "offer" && (this.remoteSdp?.generation ?? 0) < sdp.generation) {
        // The answerer of a restart restarts as well.
        this.#wantsNewGeneration = true;
      }
      this.remoteDescription = description;
      this.remoteSdp = sdp;
      for (const kind of sdp.kinds) {
        if (this.added.includes(kind)) continue;
        this.added.push(kind);
        const track = new FakeTrack(kind);
        const transceiver = { direction: "recvonly" };
        this.received.push({ track, transceiver });
        this.dispatchEvent(Object.assign(new Event("track"), { track, transceiver }));
      }
      this.#signaling(description.type === "offer" ? "have-remote-offer" : "stable");
    });
  }

  addIceCandidate(candidate: RTCIceCandidateInit): Promise<void> {
    return this.#queue(() => {
      if (!this.remoteSdp) throw new DOMException("no remote description", "InvalidStateError");
      if (candidate.candidate === "") return;
      const generation = Number(candidate.usernameFragment);
      if (generation !== this.remoteSdp.generation) {
        throw new DOMException("unknown ufrag", "OperationError");
      }
      this.#candidateGenerations.add(generation);
      this.#network.check(this);
    });
  }

  close(): void {
    this.signalingState = "closed";
    this.connectionState = "closed";
    this.channel.end();
    const partner = this.#network.partnerOf(this);
    if (this.#network.whole) partner?.channel.end();
  }

  reaches(partner: FakePeerConnection): boolean {
    return (
      this.signalingState === "stable" &&
      this.#candidateGenerations.has(partner.#generation) &&
      this.sctp?.transport.state !== "failed"
    );
  }

  arrive(partner: FakePeerConnection): void {
    const generations = `${this.#generation}/${partner.#generation}`;
    if (this.#connectedGenerations === generations) return;
    this.#connectedGenerations = generations;
    this.channel.pair(partner.channel);
    this.ice("connected");
    this.connection("connected");
  }

  /** The network fails; only for a connection that was established. */
  lose(state: "disconnected" | "failed"): void {
    if (this.connectionState === "closed" || this.#connectedGenerations === "") return;
    this.ice(state);
    this.connection(state);
  }

  /** What it reports. */
  stats: Record<string, unknown>[] = [];

  async getStats(): Promise<Map<string, unknown>> {
    return new Map(this.stats.map((entry, index) => [String(index), entry]));
  }

  ice(state: RTCIceConnectionState): void {
    this.iceConnectionState = state;
    this.dispatchEvent(new Event("iceconnectionstatechange"));
  }

  connection(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }

  /** The DTLS handshake or session has failed. */
  failDtls(): void {
    if (this.sctp) this.sctp.transport.state = "failed";
    this.connection("failed");
  }

  async #gather(): Promise<void> {
    // Later, so that the description is sent before its candidates.
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    const usernameFragment = String(this.#generation);
    const found = (candidate: string) => {
      const line = { candidate, sdpMid: "0", sdpMLineIndex: 0, usernameFragment };
      this.dispatchEvent(Object.assign(new Event("icecandidate"), { candidate: line }));
    };
    found(`candidate:${this.name} 1`);
    const { lateMs } = this.#network;
    if (lateMs > 0) await new Promise((resolve) => setTimeout(resolve, lateMs));
    found(`candidate:${this.name} 2`);
    found("");
    this.dispatchEvent(Object.assign(new Event("icecandidate"), { candidate: null }));
  }

  #signaling(state: RTCSignalingState): void {
    this.signalingState = state;
    if (state !== "stable") return;
    this.#network.check(this);
  }

  #need(): void {
    this.#needed = true;
    queueMicrotask(() => {
      // W3C WebRTC 1.0, 4.7.3: it waits for the operations, and for a stable state.
      if (!this.#needed || this.signalingState !== "stable" || this.#operations > 0) return;
      this.#needed = false;
      this.dispatchEvent(new Event("negotiationneeded"));
    });
  }

  /** The operations chain (W3C WebRTC 1.0, 4.4.1.2). */
  #queue(operation: () => void): Promise<void> {
    const run = this.#chain.then(() => {
      if (this.signalingState === "closed") throw new DOMException("closed", "InvalidStateError");
      operation();
    });
    this.#operations += 1;
    this.#chain = run
      .catch(() => {})
      .then(() => {
        this.#operations -= 1;
        if (this.#needed) this.#need();
      });
    return run;
  }
}

export class FakeChannel extends EventTarget {
  readyState: RTCDataChannelState = "connecting";
  bufferedAmount = 0;
  #other: FakeChannel | undefined;

  pair(other: FakeChannel): void {
    this.#other = other;
    if (this.readyState === "open") return;
    this.readyState = "open";
    // Later, when the other end is open as well.
    queueMicrotask(() => this.dispatchEvent(new Event("open")));
  }

  send(data: string): void {
    this.#other?.dispatchEvent(new MessageEvent("message", { data }));
  }

  close(): void {
    this.end();
  }

  end(): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    queueMicrotask(() => this.dispatchEvent(new Event("close")));
  }
}

/** Of the browser to which the receivers belong. */
class FakeReceiver {
  static codecs: Record<string, string[]> = {
    audio: ["audio/opus", "audio/red", "audio/PCMU"],
    video: ["video/VP8", "video/rtx", "video/VP9", "video/H264"],
  };
  readonly track: FakeTrack;

  constructor(kind: string) {
    this.track = new FakeTrack(kind);
  }

  static getCapabilities(kind: string) {
    return { codecs: (FakeReceiver.codecs[kind] ?? []).map((mimeType) => ({ mimeType })) };
  }
}

class FakeSender {
  track: FakeTrack | null;
  parameters: Record<string, unknown> = { encodings: [{ active: true }] };
  /** Members of the parameters that this browser refuses. */
  readonly refuses = new Set<string>();

  constructor(track: FakeTrack) {
    this.track = track;
  }

  async replaceTrack(next: FakeTrack | null): Promise<void> {
    this.track = next;
  }

  getParameters(): Record<string, unknown> {
    return structuredClone(this.parameters);
  }

  async setParameters(parameters: Record<string, unknown>): Promise<void> {
    const text = JSON.stringify(parameters);
    for (const name of this.refuses)
      if (text.includes(`"${name}"`)) throw new DOMException(name, "InvalidModificationError");
    this.parameters = parameters;
  }
}

class FakeTransceiver {
  direction = "sendrecv";
  readonly receiver: FakeReceiver;
  readonly sender: FakeSender;
  codecs: string[] = [];

  constructor(track: FakeTrack) {
    this.receiver = new FakeReceiver(track.kind);
    this.sender = new FakeSender(track);
  }

  setCodecPreferences(codecs: { mimeType: string }[]): void {
    this.codecs = codecs.map(({ mimeType }) => mimeType);
  }
}

class FakeTrack extends EventTarget {
  readonly kind: string;
  enabled = true;
  muted = false;
  readyState = "live";
  contentHint = "";
  settings: MediaTrackSettings = {};

  constructor(kind: string) {
    super();
    this.kind = kind;
  }

  stop(): void {
    this.readyState = "ended";
  }

  getSettings(): MediaTrackSettings {
    return this.settings;
  }
}

class FakeStream {
  #tracks: FakeTrack[] = [];
  /** What `RTCView` shows; only in react-native-webrtc. */
  toURL = isReactNative ? () => "stream" : undefined;

  getTracks = () => [...this.#tracks];
  getAudioTracks = () => this.#tracks.filter(({ kind }) => kind === "audio");
  getVideoTracks = () => this.#tracks.filter(({ kind }) => kind === "video");
  addTrack = (track: FakeTrack) => void this.#tracks.push(track);
  removeTrack = (track: FakeTrack) =>
    void (this.#tracks = this.#tracks.filter((other) => other !== track));
}

/** A stream with audio and video, or with the given kinds. */
export function fakeCamera(...kinds: string[]): MediaStream {
  const stream = new FakeStream();
  for (const kind of kinds.length > 0 ? kinds : ["audio", "video"])
    stream.addTrack(new FakeTrack(kind));
  return stream as unknown as MediaStream;
}

/** What a page loads before its first room. */
export const callCode = { createCall, StandingOffers };
